-- Besides the example, what clients write to: a table of each user's own notes, and a schema in which they make tables.
create table public.notes (
    id bigint generated always as identity primary key,
    owner text not null default postern.fact('claims.sub'),
    body text not null,
    rank int unique deferrable initially deferred,
    tags text[],
    data jsonb,
    made timestamptz
);
alter table public.notes owner to invoices_owner;
alter table public.notes enable row level security, force row level security;
create policy own_notes on public.notes to app_user using (owner = (select postern.fact('claims.sub')));
grant select, insert, update, delete on public.notes to app_user;

create schema scratch;
grant usage, create on schema scratch to app_user;
