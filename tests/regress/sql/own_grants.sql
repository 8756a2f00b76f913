-- Privileges on our own objects are given by roles; who reads which conflicts.
\pset format unaligned
\pset tuples_only on
\set SHOW_CONTEXT never
set client_min_messages = warning;
create role og_user nologin;
create role og_stats nologin in role postern_read_all_stats;
create role og_conflicts nologin in role postern_read_all_conflicts;
create role og_owner nologin;
-- Refused, with the role to grant instead: tables, columns, functions, schemas, all of a schema, and to PUBLIC.
grant select on postern.admitted to og_user;
grant select (role) on postern.admitted to og_user;
revoke select on postern.admitted from postern_monitor;
grant execute on function postern.admit(text) to og_user;
grant execute on function postern.admit to og_user;
grant execute on routine postern.replication_judgement to public;
grant usage on schema df to og_user;
grant create on schema postern to og_user;
grant select on all tables in schema postern to og_user;
grant all on sequence postern.message_id_seq to og_user;
-- Found by the path as well, and in code.
set search_path = postern;
grant select on admitted to og_user;
reset search_path;
do $$ begin grant select on postern.admitted to og_user; end $$;
grant usage on type postern.caller to og_user;
grant usage on domain postern.caller to og_user;
alter default privileges in schema df, postern grant select on tables to og_user;
alter default privileges in schema public, postern revoke execute on functions from public;
-- Whoever is a member of one of our roles could take its privileges from all who are: in any spelling, and in code.
create role og_member nologin in role postern_read_all_conflicts, postern_application;
set role og_member;
drop owned by postern_read_all_conflicts;
drop owned by og_member, postern_application cascade;
set role postern_read_all_conflicts;
drop owned by current_user;
reset role;
drop owned by postern_monitor;
do $$ begin drop owned by postern_admin; end $$;
select count(distinct a.grantee) from pg_class c, aclexplode(c.relacl) a where a.grantee::regrole::text like 'postern%';
drop owned by og_member;
drop role og_member;
-- Not ours, not there, and what is meant: membership, HTTP steps.
create table mine (id int);
grant select on mine to og_user;
grant select on postern.no_such_table to og_user;
grant execute on function postern.no_such_function() to og_user;
grant postern_monitor to og_user;
revoke postern_monitor from og_user;
select df.grant_usage('og_user', include_http => true);
grant execute on function df.http(text, text, text, jsonb, integer) to og_user;
select df.revoke_usage('og_user');
create domain any_int as int;
grant usage on type any_int to og_user;
grant usage on type postern.no_such_type to og_user;
grant usage on type no_such_schema.t to og_user;
alter default privileges grant select on tables to og_user;
alter default privileges revoke select on tables from og_user;
alter default privileges in schema public grant select on tables to og_user;
alter default privileges in schema public revoke select on tables from og_user;
drop domain any_int;
drop owned by og_owner;
-- A warning, or nothing.
set postern.direct_grants = warn;
grant select on postern.admitted to og_user;
set postern.direct_grants = off;
revoke select on postern.admitted from og_user;
reset postern.direct_grants;
set role og_user;
set postern.direct_grants = off;
reset role;

-- Statistics are for those who read statistics.
set role og_stats;
select count(*) from postern.subscription_stats;
set role og_user;
select count(*) from postern.subscription_stats;
select * from postern.subscription_counts();
select postern.record_apply_conflicts();
reset role;
select postern.record_apply_conflicts();
-- Conflicts: those of tables that one may read, all rows of.
create table og_open (id int);
create table og_closed (id int);
create table og_filtered (id int);
grant select on og_open, og_filtered to og_user;
alter table og_filtered enable row level security;
create policy p on og_filtered using (id = 1);
insert into postern.apply_conflicts (subscription, relation, kind, errors)
select 'sub', t, 'apply', 1 from unnest('{og_open,og_closed,og_filtered}'::regclass[]) t;
insert into postern.apply_conflicts (subscription, relation, kind, errors) values ('sub', null, 'sync', 1), ('sub', 4294967295, 'sync', 1);
set role og_user;
select relation, kind from postern.apply_conflicts;
insert into postern.apply_conflicts (subscription, kind, errors) values ('sub', 'apply', 1);
delete from postern.apply_conflicts;
set role og_conflicts;
select count(*) from postern.apply_conflicts;
reset role;
delete from postern.apply_conflicts;
drop table mine, og_open, og_closed, og_filtered;
drop role og_user, og_stats, og_conflicts, og_owner;
