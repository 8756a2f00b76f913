-- Fifty people in five roles, each of whom sees one secret: by role and by fact.
create schema crowd;
create table crowd.secrets (role name, sub text, secret text);
insert into crowd.secrets
    select 'crowd_' || n % 5, 'person' || n, 'secret of person' || n from generate_series(0, 49) n;
create table crowd.log (id int primary key, role name not null default current_user,
    sub text not null default postern.fact('claims.sub'));

do $$
declare
    t text;
    r text;
begin
    foreach t in array array['secrets', 'log'] loop
        execute format('alter table crowd.%I owner to invoices_owner', t);
        execute format('alter table crowd.%I enable row level security, force row level security', t);
        execute format('create policy own on crowd.%I using (role = current_user and sub = (select postern.fact(''claims.sub'')))', t);
    end loop;
    for r in select 'crowd_' || n from generate_series(0, 4) n loop
        if not exists (select from pg_roles where rolname = r) then
            execute format('create role %I nologin', r);
        end if;
        execute format('grant usage on schema crowd to %I', r);
        execute format('grant select on crowd.secrets to %I', r);
        execute format('grant select, insert on crowd.log to %I', r);
        perform postern.admit(r::name);
    end loop;
end
$$;
