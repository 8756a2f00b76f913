-- What the extension installs, and who may do what with it.
\pset format unaligned
\pset tuples_only on
select r.rolname, r.rolsuper, r.rolinherit, r.rolcanlogin, r.rolcreaterole, r.rolbypassrls, r.rolreplication
  from pg_roles r where r.rolname like 'postern%' order by 1;
-- 17 has one privilege more, m, for the owner.
select c.relname, replace(c.relacl::text, 'Dxtm', 'Dxt') from pg_class c where c.relnamespace = 'postern'::regnamespace and c.relkind = 'r' order by 1;
select p.oid::regprocedure, p.prosecdef, p.provolatile, p.proparallel, p.proconfig, p.proacl
  from pg_proc p where p.pronamespace = 'postern'::regnamespace order by p.proname;
select n.nspacl from pg_namespace n where n.nspname = 'postern';
-- Every object has a comment.
select p.oid::regprocedure from pg_proc p
 where p.pronamespace = 'postern'::regnamespace and obj_description(p.oid, 'pg_proc') is null;
select c.oid::regclass from pg_class c
 where c.relnamespace = 'postern'::regnamespace and c.relkind = 'r' and obj_description(c.oid, 'pg_class') is null;
-- Settings.
select name, setting, unit, context from pg_settings where name like 'postern.%' order by 1;
set postern.no_such_setting = 1;
set postern.facts = '{"sub": "me"}';
-- Somebody made the schema first.
\set SHOW_CONTEXT never
create role squatter nologin;
create database squatted;
\c squatted
create schema postern authorization squatter;
create extension postern;
drop schema postern;
create extension postern;
\c regression
drop database squatted;
drop role squatter;
-- Default privileges of whoever installs reach nothing of ours.
create role generous nologin;
create database defaults;
\c defaults
alter default privileges grant all on tables to generous;
alter default privileges grant all on functions to generous;
alter default privileges grant all on schemas to generous;
alter default privileges grant select on tables to public;
create extension postern;
select count(*) filter (where has_table_privilege('generous', c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')) as tables
  from pg_class c where c.relnamespace = 'postern'::regnamespace and c.relkind = 'r';
select p.oid::regprocedure from pg_proc p where p.pronamespace = 'postern'::regnamespace and has_function_privilege('generous', p.oid, 'EXECUTE') order by p.proname;
select has_schema_privilege('generous', 'postern', 'CREATE');
\c regression
drop database defaults;
drop role generous;
