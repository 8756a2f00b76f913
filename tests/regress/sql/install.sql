-- What the extension installs, and who may do what with it.
\pset format unaligned
\pset tuples_only on
select r.rolname, r.rolsuper, r.rolinherit, r.rolcanlogin, r.rolcreaterole, r.rolbypassrls, r.rolreplication
  from pg_roles r where r.rolname like 'postern%' order by 1;
-- 17 has one privilege more, m, for the owner.
select c.oid::regclass, c.relkind, replace(c.relacl::text, 'Dxtm', 'Dxt') from pg_class c
 where c.relnamespace in ('postern'::regnamespace, 'df'::regnamespace, '_duroxide'::regnamespace) and c.relkind in ('r', 'v', 'S')
 order by c.oid::regclass::text;
select p.oid::regprocedure, p.prosecdef, p.provolatile, p.proparallel, p.proconfig, p.proacl
  from pg_proc p where p.pronamespace = 'postern'::regnamespace order by p.proname;
-- Whoever has USAGE on df may call what is in it, but for these.
select p.oid::regprocedure, p.prosecdef, p.proacl from pg_proc p
 where p.pronamespace = 'df'::regnamespace and (p.proacl is not null or p.prosecdef) order by p.oid::regprocedure::text;
-- What is written in a language of ours pins its path; df.explain() evaluates what its caller wrote.
select p.oid::regprocedure from pg_proc p join pg_language l on l.oid = p.prolang
 where p.pronamespace in ('postern'::regnamespace, 'df'::regnamespace) and l.lanname in ('sql', 'plpgsql') and p.proconfig is null;
select n.nspname, n.nspacl from pg_namespace n where n.nspname in ('postern', 'df', '_duroxide') order by 1;
-- Every object has a comment.
select pg_describe_object(d.classid, d.objid, 0)
  from pg_depend d join pg_extension e on e.oid = d.refobjid and d.refclassid = 'pg_extension'::regclass
 where e.extname = 'postern' and d.deptype = 'e'
   and d.classid in ('pg_proc'::regclass, 'pg_class'::regclass, 'pg_operator'::regclass, 'pg_namespace'::regclass)
   and coalesce(obj_description(d.objid, d.classid::regclass::name), '') = ''
   and not exists (select from pg_class c where c.oid = d.objid and c.relkind in ('S', 'i'))
 order by 1;
-- Settings.
select name, setting, unit, context from pg_settings where name ~ '^(postern|pg_durable)\.' order by 1;
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
drop database squatted with (force);
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
  from pg_class c where c.relnamespace in ('postern'::regnamespace, 'df'::regnamespace, '_duroxide'::regnamespace) and c.relkind in ('r', 'v');
select p.oid::regprocedure from pg_proc p
 where p.pronamespace in ('postern'::regnamespace, 'df'::regnamespace)
   and exists (select from aclexplode(p.proacl) a where a.grantee = 'generous'::regrole) order by p.proname;
select p.oid::regprocedure from pg_proc p where p.pronamespace = 'postern'::regnamespace and has_function_privilege('generous', p.oid, 'EXECUTE') order by p.proname;
select n, has_schema_privilege('generous', n, 'CREATE'), has_schema_privilege('generous', n, 'USAGE') from unnest(array['postern', 'df', '_duroxide']) n;
\c regression
drop database defaults with (force);
drop role generous;
