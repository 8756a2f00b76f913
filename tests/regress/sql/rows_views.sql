-- Who sees which rows through views and functions: the ways are named, and what is said of a row is what happens.
\pset format unaligned
\pset tuples_only on
\set SHOW_CONTEXT never
create role rv_owner nologin;
create role rv_lens nologin;
create role rv_group nologin;
create role rv_clerk nologin in role rv_group;
create schema rv authorization rv_owner;
grant usage on schema rv to rv_lens, rv_group, rv_clerk;
grant create on schema rv to rv_lens;
set role rv_owner;
create table rv.doc (id int primary key, tenant int, who name, body text);
insert into rv.doc select n, n % 3, case n % 2 when 0 then 'rv_clerk' else 'rv_lens' end, 'b' || n from generate_series(1, 12) n;
alter table rv.doc enable row level security;
create policy lens on rv.doc to rv_lens using (tenant < 2) with check (tenant = 1);
create policy mine on rv.doc to rv_group using (who = current_user);
grant select, insert, update, delete on rv.doc to rv_lens, rv_group;
create view rv.of_owner as select id as number, tenant, who from rv.doc where id <> 12;
grant select, update, insert, delete on rv.of_owner to rv_clerk;
create function rv.count_all() returns bigint language sql security definer set search_path = pg_catalog, pg_temp as 'select count(*) from rv.doc';
create function rv.atomic() returns bigint language sql security definer set search_path = pg_catalog, pg_temp return (select count(*) from rv.doc);
create function rv.another() returns bigint language sql security definer set search_path = pg_catalog, pg_temp as 'select count(*) from rv.docs_of_somebody';
revoke execute on function rv.atomic() from public;
grant execute on function rv.atomic() to rv_group;
set role rv_lens;
set check_function_bodies = off;
create view rv.of_lens as select * from rv.doc;
create view rv.of_invoker with (security_invoker) as select * from rv.doc;
create view rv.above as select id as n, who as person from rv.of_invoker;
create view rv.joined as select a.id, b.body from rv.doc a join rv.doc b using (id);
create view rv.sums as select tenant, count(*) as n from rv.doc group by tenant;
grant select, update, insert, delete on rv.of_lens, rv.of_invoker, rv.above to rv_clerk;
grant select on rv.joined, rv.sums to rv_clerk;
reset role;
select command, access, reason, permissive, through from postern.row_access where relation = 'rv.doc'::regclass and role = 'rv_clerk' order by array_position('{SELECT,INSERT,UPDATE,DELETE}', command);
select command, access, through from postern.row_access where relation = 'rv.doc'::regclass and role = 'rv_lens' order by array_position('{SELECT,INSERT,UPDATE,DELETE}', command);

-- One row, through each of them.
select * from postern.explain_row('rv.of_owner', '{"number": 3}', 'SELECT', 'rv_clerk');
select * from postern.explain_row('rv.of_lens', '{"id": 2}', 'SELECT', 'rv_clerk');
select * from postern.explain_row('rv.of_lens', '{"id": 3}', 'SELECT', 'rv_clerk');
select * from postern.explain_row('rv.of_invoker', '{"id": 3}', 'SELECT', 'rv_clerk');
select * from postern.explain_row('rv.above', '{"n": 4}', 'SELECT', 'rv_clerk');
select * from postern.explain_row('rv.sums', '{"tenant": 2}', 'SELECT', 'rv_clerk');
select says from postern.explain_row('rv.of_owner', '{"number": 12}', 'SELECT', 'rv_clerk') where step = 'verdict';
select says from postern.explain_row('rv.of_owner', '{"number": 99}', 'SELECT', 'rv_clerk') where step = 'verdict';
select says, expression from postern.explain_row('rv.of_lens', '{"id": 3}', 'UPDATE', 'rv_clerk', new_row => '{"tenant": 2}') where step = 'verdict';
select says, expression from postern.explain_row('rv.of_lens', '{"id": 3}', 'UPDATE', 'rv_clerk', new_row => '{"tenant": 1, "body": "x"}') where step = 'verdict';
select says, expression from postern.explain_row('rv.of_lens', null, 'INSERT', 'rv_clerk', new_row => '{"id": 50, "tenant": 0}') where step = 'verdict';
select says, expression from postern.explain_row('rv.of_lens', '{"id": 5}', 'DELETE', 'rv_clerk') where step = 'verdict';
select says, expression from postern.explain_row('rv.joined', '{"id": 5}', 'DELETE', 'rv_clerk') where step = 'verdict';
select says, expression from postern.explain_row('rv.sums', '{"tenant": 0}', 'SELECT', 'rv_group') where step = 'verdict';
select says, expression from postern.explain_row('pg_catalog.pg_tables', '{"tablename": "x"}', 'SELECT', 'rv_clerk');

-- Every row of every view: the verdict is what happens.
create function rv.sees(view text, key text, id int) returns bool language plpgsql as $$
declare n bigint;
begin
    execute format('select count(*) from rv.%I where %I = %s', view, key, id) into n;
    return n > 0;
end
$$;
grant execute on function rv.sees(text, text, int) to public;
select count(*) as rows, count(*) filter (where says = 'visible') as seen, count(*) filter (where (says = 'visible') is distinct from happens::bool) as wrong
  from (select e.says, postern.evaluate_as(r.oid, null, format('select rv.sees(%L, %L, %s)', v.name, v.key, d.id)) as happens
          from (values ('of_owner', 'number'), ('of_lens', 'id'), ('of_invoker', 'id'), ('above', 'n'), ('joined', 'id')) v (name, key),
               generate_series(1, 12) d (id), pg_roles r,
               lateral (select e.says from postern.explain_row(('rv.' || v.name)::regclass, jsonb_build_object(v.key, d.id), 'SELECT', r.rolname) e where e.step = 'verdict') e
         where r.rolname in ('rv_clerk', 'rv_owner', 'rv_lens') and has_table_privilege(r.oid, 'rv.' || v.name, 'SELECT')) x;
-- Looking leaves nothing, and is for whom it is.
select count(*), min(tenant), max(tenant) from rv.doc;
set role rv_clerk;
select * from postern.explain_row('rv.of_lens', '{"id": 3}', 'SELECT', 'rv_lens');
select count(*) > 0 from postern.explain_row('rv.of_lens', '{"id": 3}', 'SELECT', 'rv_clerk');
reset role;
drop owned by rv_owner, rv_lens cascade;
drop role rv_owner, rv_lens, rv_group, rv_clerk;
