-- The error mode: who would be filtered is told, and cannot change that.
\pset format unaligned
\pset tuples_only on
\set SHOW_CONTEXT never
create role er_owner nologin;
create role er_clerk nologin;
create role er_clerk2 nologin in role er_clerk;
create role er_other nologin;
create role er_admin nologin in role postern_admin;
grant create on schema public to er_owner;
set role er_owner;
create table er_doc (id int primary key, tenant int);
insert into er_doc select n, n % 3 from generate_series(1, 9) n;
alter table er_doc enable row level security;
create policy tenant on er_doc using (tenant = 1);
create policy cap on er_doc as restrictive for select using (id < 8);
create table er_empty (id int);
alter table er_empty enable row level security;
create table er_plain (id int);
create view er_view as select * from er_doc;
create view er_invoker with (security_invoker) as select * from er_doc;
create function er_rows() returns setof er_doc language sql stable as 'select * from public.er_doc';
grant select, insert, update, delete on er_doc, er_empty, er_plain, er_view, er_invoker to er_clerk, er_other;
-- Per table and role.
select postern.set_row_security('error', 'er_doc', 'er_clerk');
select relation, role, command, mode from postern.row_security_modes order by command;
set role er_clerk;
select * from er_doc;
explain select * from er_doc;
select * from er_doc where false;
insert into er_doc select 1, 1 where false;
update er_doc set tenant = 1 where false;
delete from er_doc;
merge into er_doc d using (values (1)) s (id) on d.id = s.id when matched then do nothing;
copy er_doc to stdout;
copy (select * from er_doc) to stdout;
\copy er_doc from /dev/null
begin;
declare c cursor for select * from er_doc;
rollback;
select exists (select from er_doc);
select (select count(*) from er_rows());
select count(*) from er_invoker;
create temp table er_into as select * from er_doc;
-- Unaffected: what is not filtered, other tables, a view that reads as its owner.
select count(*) from er_view;
select count(*) from er_plain;
select count(*) from er_empty;
-- It cannot be turned off by the role: not by settings, not by a function, not by asking.
set row_security = on;
select count(*) from er_doc;
set row_security = off;
select count(*) from er_doc;
reset row_security;
select postern.set_row_security('on', 'er_doc', 'er_clerk');
select postern.set_row_security('default', 'er_doc', 'er_clerk');
select postern.set_row_security('on');
select postern.change_row_security('er_doc'::regclass, 'er_clerk'::regrole, 'r', 'o');
select postern.row_security_check(10, 'er_doc'::regclass, 0, 'r', 'o');
delete from postern.row_security_modes;
-- Members inherit it, as they do policies; others see no difference; the owner neither.
set role er_clerk2;
select count(*) from er_doc;
set role er_other;
select count(*) from er_doc;
set role er_owner;
select count(*) from er_doc;
-- A plan of one role is none for another, and a change counts at the next execution.
set plan_cache_mode = force_generic_plan;
prepare q as select count(*) from er_doc;
execute q;
set role er_other;
execute q;
set role er_clerk;
execute q;
set role er_owner;
select postern.set_row_security('on', 'er_doc', 'er_clerk');
set role er_clerk;
execute q;
set role er_owner;
select postern.set_row_security('error', 'er_doc');          -- for the table: less specific than table and role
set role er_clerk;
execute q;
set role er_other;
execute q;
set role er_owner;
select postern.set_row_security('default', 'er_doc', 'er_clerk');
set role er_clerk;
execute q;
-- Direct access is not filtered.
set role er_owner;
select count(*) from postern.grant_direct('{select}', 'er_doc', '{er_clerk}');
set role er_clerk;
execute q;
delete from er_doc where id = 1;
set role er_owner;
select count(*) from postern.revoke_direct('{select}', 'er_doc', '{er_clerk}', true);
select postern.set_row_security('default', 'er_doc');
-- For one command.
select postern.set_row_security('error', 'er_doc', 'er_clerk', '{delete}');
set role er_clerk;
select count(*) from er_doc;
begin;
update er_doc set tenant = 1;
rollback;
delete from er_doc;
set role er_owner;
select postern.set_row_security('default', 'er_doc', 'er_clerk', '{delete}');
-- For a role on every table, and for the database: the administrator's.
select postern.set_row_security('error', role => 'er_other');
set role er_admin;
select postern.set_row_security('error', role => 'er_other');
set role er_other;
select count(*) from er_empty;
execute q;
set role er_clerk;
execute q;
set role er_admin;
select postern.set_row_security('default', role => 'er_other');
select postern.set_row_security('error');
set role er_other;
execute q;
set role er_clerk;
execute q;
reset role;
select count(*) from er_doc;
set role er_owner;
select postern.set_row_security('on', 'er_doc', 'er_other');
set role er_other;
execute q;
select * from er_empty;
-- Foreign keys are checked as the owner, who is not filtered.
set role er_owner;
create table er_ref (doc int references er_doc);
grant insert on er_ref to er_clerk;
set role er_clerk;
insert into er_ref values (9);
reset role;
-- What is set for every table is not for ours, of which everybody has a part, and asks for that.
select postern.set_row_security('error');
grant postern_application to er_clerk;
set role er_clerk;
select count(*) from df.instances;
select postern.is_error('postern.instance'::regclass, 'er_clerk'::regrole, 'r'), postern.is_error('er_doc'::regclass, 'er_clerk'::regrole, 'r');
select count(*) from er_doc;
reset role;
select postern.set_row_security('default');
revoke postern_application from er_clerk;
-- What is refused.
select postern.set_row_security('off');
select postern.set_row_security(null);
select postern.set_row_security('error', 'pg_class');
select postern.set_row_security('error', 'er_view');
select postern.set_row_security('error', 'er_doc', 'nobody_of_that_name');
select postern.set_row_security('error', 'er_doc', commands => '{truncate}');
set role er_admin;
select postern.set_row_security('default');
reset role;
deallocate q;
drop owned by er_owner cascade;
select count(*) from postern.row_security_modes;
drop role er_owner, er_clerk2, er_clerk, er_other, er_admin;
