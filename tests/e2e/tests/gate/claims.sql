-- Policies as applications of PostgREST and Supabase have them, without a word about Postern.
create schema auth;
grant usage on schema auth to app_user;

create function auth.uid() returns uuid language sql stable set search_path = '' as $$
    select coalesce(
        nullif(current_setting('request.jwt.claim.sub', true), ''),
        nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub'
    )::uuid
$$;
create function auth.jwt() returns jsonb language sql stable set search_path = '' as $$
    select coalesce(
        nullif(current_setting('request.jwt.claim', true), ''),
        nullif(current_setting('request.jwt.claims', true), '')
    )::jsonb
$$;
create function auth.role() returns text language sql stable set search_path = '' as $$
    select coalesce(
        nullif(current_setting('request.jwt.claim.role', true), ''),
        nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'role'
    )
$$;

create table public.todos (id int primary key, user_id uuid not null default auth.uid(), team text, task text);
alter table public.todos owner to invoices_owner;
alter table public.todos enable row level security;
grant select, insert, update, delete on public.todos to app_user;
create policy own on public.todos to app_user
    using (auth.uid() = user_id) with check (auth.uid() = user_id and auth.role() = 'app_user');
create policy team on public.todos for select to app_user
    using (team in (select jsonb_array_elements_text(auth.jwt() -> 'app_metadata' -> 'teams')));

insert into public.todos values
    (1, '00000000-0000-4000-8000-00000000000a', null, 'of alice'),
    (2, '00000000-0000-4000-8000-00000000000b', null, 'of bob'),
    (3, '00000000-0000-4000-8000-00000000000c', 'red', 'of the red team'),
    (4, '00000000-0000-4000-8000-00000000000c', 'blue', 'of the blue team');

create schema work;
grant usage, create on schema work to app_user;
