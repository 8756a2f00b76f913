-- Direct access and the error mode against who may not have them.
\pset format unaligned
\pset tuples_only on
\set SHOW_CONTEXT never
create role at_owner nologin;
create role at_clerk nologin;
create role at_eve nologin;
grant create on schema public to at_owner, at_eve;
create schema at_evil authorization at_eve;
set role at_owner;
create table at_doc (id int primary key, tenant int);
insert into at_doc select n, n % 3 from generate_series(1, 9) n;
alter table at_doc enable row level security;
create policy tenant on at_doc using (tenant = 1);
create policy cap on at_doc as restrictive using (id < 8);
grant select, insert, update, delete on at_doc to at_eve, at_clerk;
select count(*) from postern.grant_direct('{all}', 'at_doc', '{at_clerk}');
reset role;

-- Somebody's own conditions are no policies, and none of them looks like ours: a table with direct grants, a view of Eve's with
-- constants, ORs and barriers in it.
set role at_eve;
create view at_barrier with (security_barrier) as select * from at_doc where false or true;
create view at_false with (security_barrier) as select * from at_doc where (id > 0 or false);
select (select count(*) from at_barrier), (select count(*) from at_false);
begin;
with u as (update at_barrier set tenant = 1 returning id) select count(*) from u;
with u as (update at_false set tenant = 1 where false or id > 0 returning id) select count(*) from u;
with u as (update at_doc set tenant = 1 where false or id > 0 returning id) select count(*) from u;
with d as (delete from at_false returning id) select count(*) from d;
rollback;
insert into at_false values (20, 2);
-- A rule and a function of hers run as who they run as.
create table at_eves (id int);
create rule r as on insert to at_eves do instead select count(*) from at_doc;
grant insert, select on at_eves to at_clerk;
insert into at_eves values (1);
create function at_peek() returns bigint language sql as 'select count(*) from public.at_doc';
select at_peek();
-- Objects of hers before ours, in her path and in the schema for temporary objects.
create function at_evil.pg_has_role(oid, oid, text) returns bool language sql as 'select true';
create function at_evil.eq(oid, oid) returns bool language sql as 'select true';
create operator at_evil.= (leftarg = oid, rightarg = oid, function = at_evil.eq);
create temp table direct_access (relation regclass, grantee regrole, command "char", grantor regrole, with_grant bool);
insert into direct_access values ('at_doc', 'at_eve', 'r', 0, true);
set search_path = pg_temp, at_evil, public, pg_catalog;
select postern.grant_direct('{select}', 'public.at_doc', '{at_eve}');
select postern.set_row_security('on', 'public.at_doc');
select count(*) from public.at_doc;
reset search_path;
-- By the steps themselves, and by the tables.
select postern.change_direct('at_doc'::regclass, 'at_eve'::regrole, 'r', true, true);
select postern.change_direct('at_doc'::regclass, 'at_eve'::regrole, 'x', true, true);
select postern.change_direct(0, 0, 'r', true, true);
select postern.change_direct('at_doc'::regclass, 'at_eve'::regrole, '''', true, true);
select postern.change_row_security('at_doc'::regclass, 0, 'r', 'e');
select postern.direct_check('at_doc'::regclass, 'at_eve'::regrole, 'r');
select postern.lock_direct('at_doc'::regclass, 'r');
select postern.change_plain(true, 'select', 'at_doc', 'at_eve');
select postern.change_plain(true, 'select on pg_class to at_eve; grant select', 'at_doc', 'at_eve');
truncate postern.direct_access;
alter table postern.direct_access disable trigger all;
create trigger mine after insert on postern.direct_access for each row execute function postern.rows_changed();
-- Revoking what others have.
select postern.revoke('{select}', 'at_doc', '{at_clerk}');
select postern.revoke_direct('{select}', 'at_doc', '{at_clerk}');
revoke select on at_doc from at_clerk;
select role, command from postern.direct_grants order by command;
-- By a function that runs as its owner: the grant is Eve's, who may not.
create function at_definer() returns setof text language sql security definer as
    $$ select after from postern.grant_direct('{select}', 'public.at_doc', '{at_eve}') $$;
reset role;
set role at_clerk;
select at_definer();
-- The clerk, without grant option, passes nothing on.
select postern.grant_direct('{select}', 'at_doc', '{at_eve}');
-- The owner's own function passes on what its owner may: that is what SECURITY DEFINER means.
reset role;
set role at_owner;
create function at_lend() returns setof text language sql security definer set search_path = pg_catalog, pg_temp as
    $$ select after from postern.grant_direct('{select}', 'public.at_doc', '{at_eve}') $$;
set role at_eve;
select at_lend();
select count(*) from at_doc;
-- Nor are the steps a way for an owner to what the functions refuse: PUBLIC, roles and letters that are none.
set role at_owner;
grant select on at_doc to public;
select postern.change_direct('at_doc'::regclass, 0, 'r', true, false);
select postern.change_direct('at_doc'::regclass, 4294967295, 'r', true, false);
select postern.change_direct('at_doc'::regclass, 'at_eve'::regrole, 'x', true, false);
select postern.change_row_security('at_doc'::regclass, 4294967295, 'r', 'o');
select postern.change_row_security('at_doc'::regclass, 'at_eve'::regrole, 'x', 'o');
select postern.change_row_security('at_doc'::regclass, 'at_eve'::regrole, 'r', 'x');
select role, command from postern.direct_grants where role not in ('at_clerk') order by role;
select count(*) from postern.row_security_modes;
revoke select on at_doc from public;
-- A cascade takes it, and a later plain grant does not bring it back.
set role at_owner;
set client_min_messages = warning;
revoke select on at_doc from at_eve;
grant select on at_doc to at_eve;
set role at_eve;
select count(*) from at_doc;

-- An entered identity: direct access is the role's, the error mode too, and nothing else can be had by it.
reset role;
select postern.admit('at_clerk'), postern.admit('at_eve');
select * from postern.run_as('at_clerk', null, 'select count(*) from at_doc');
select * from postern.run_as('at_eve', null, 'select count(*) from at_doc');
select * from postern.run_as('at_eve', null, $$ select postern.grant_direct('{select}', 'at_doc', '{at_eve}') $$);
select * from postern.run_as('at_eve', null, $$ select postern.set_row_security('on') $$);
select postern.set_row_security('error', role => 'at_eve');
select * from postern.run_as('at_eve', null, 'select count(*) from at_doc');
select * from postern.run_as('at_eve', null, 'set row_security = on');
select * from postern.run_as('at_clerk', null, 'select count(*) from at_doc');
-- An owner that is entered grants what an owner may.
select postern.admit('at_owner');
select * from postern.run_as('at_owner', null, $$ select role, after from postern.grant_direct('{select}', 'at_doc', '{at_eve}') $$);
select postern.dismiss('at_clerk'), postern.dismiss('at_eve'), postern.dismiss('at_owner');
select postern.set_row_security('default', role => 'at_eve');

drop owned by at_owner, at_eve cascade;
drop role at_owner, at_clerk, at_eve;
