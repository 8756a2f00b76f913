-- Who may use durable functions, and that nobody reaches what is another's.
\pset format unaligned
\pset tuples_only on
\set SHOW_CONTEXT never
\set VERBOSITY default
create role prv_ann;
create role prv_ben;
create role prv_boss;
create role prv_heir noinherit;
create role "prv ""odd"" Ünï";
-- Without the grant nothing is there.
select has_schema_privilege('prv_ann', 'df', 'USAGE');
set role prv_ann;
select df.start('select 1');
select * from df.instances;
select * from postern.instance;
select df.grant_usage('prv_ann');
-- The operators are in pg_catalog; what they build is text.
select 'select 1' ~> 'select 2';
reset role;
-- A grant is membership of postern_application.
select df.grant_usage('prv_ann');
select df.grant_usage('prv "odd" Ünï');
select has_schema_privilege('prv_ann', 'df', 'USAGE'), has_table_privilege('prv_ann', 'df.instances', 'SELECT'),
       has_table_privilege('prv_ann', 'df.nodes', 'SELECT'), has_table_privilege('prv_ann', 'df.vars', 'SELECT'),
       has_function_privilege('prv_ann', 'df.start(text, text, text, text)', 'EXECUTE'),
       has_function_privilege('prv_ann', 'df.http(text, text, text, jsonb, integer)', 'EXECUTE'),
       has_function_privilege('prv_ann', 'df.metrics()', 'EXECUTE'),
       pg_has_role('prv_ann', 'postern_application', 'MEMBER WITH ADMIN OPTION');
select has_schema_privilege('prv "odd" Ünï', 'df', 'USAGE');
set role "prv ""odd"" Ünï";
select df.start('select current_user as u') as odd \gset
select df.await_instance(:'odd'), df.result(:'odd');
select submitted_by from df.instances;
reset role;
-- HTTP is a right of its own.
select df.grant_usage('prv_ben', include_http => true);
select has_function_privilege('prv_ben', 'df.http(text, text, text, jsonb, integer)', 'EXECUTE'),
       has_function_privilege('prv_ben', 'df.http_multipart(text, text, jsonb, jsonb, integer)', 'EXECUTE');
set role prv_ann;
select df.http('https://example.org/');
reset role;
-- With the right to hand it on; df.metrics() comes with it.
select df.grant_usage('prv_boss', true, true);
select has_function_privilege('prv_boss', 'df.metrics()', 'EXECUTE WITH GRANT OPTION');
select df.revoke_usage('prv_ben');
select has_schema_privilege('prv_ben', 'df', 'USAGE'), has_function_privilege('prv_ben', 'df.http(text, text, text, jsonb, integer)', 'EXECUTE');
set role prv_boss;
select df.grant_usage('prv_ben', true);
select has_schema_privilege('prv_ben', 'df', 'USAGE'), has_function_privilege('prv_ben', 'df.http(text, text, text, jsonb, integer)', 'EXECUTE');
select df.revoke_usage('prv_ben');
select has_schema_privilege('prv_ben', 'df', 'USAGE'), has_function_privilege('prv_ben', 'df.http(text, text, text, jsonb, integer)', 'EXECUTE');
reset role;
-- Without it, not.
set role prv_ann;
\set VERBOSITY sqlstate
select df.grant_usage('prv_ben');
select df.revoke_usage('prv_boss');
\set VERBOSITY default
reset role;
select has_schema_privilege('prv_boss', 'df', 'USAGE');
-- A role that does not inherit is given what it needs, or told.
set client_min_messages = error;
select df.grant_usage('prv_heir');
reset client_min_messages;
select has_schema_privilege('prv_heir', 'df', 'USAGE') = (current_setting('server_version_num')::int >= 160000);
-- Names that are none.
select df.grant_usage('prv_nobody');
select df.grant_usage(null);
select df.revoke_usage(null);
select df.revoke_usage('prv_nobody');
-- Rows of one's own, and no more; nobody writes them.
set role prv_ann;
select df.start(df.wait_for_signal('go', 600), 'ann') as ann \gset
select df.setvar('color', 'red');
select label, submitted_by, session_role = session_user::regrole, status in ('pending', 'running') from df.instances;
update df.instances set status = 'completed';
delete from df.instances;
insert into df.nodes (id) values ('00000000');
update postern.instance set status = 'completed';
update postern.strand set owner = 'prv_ann';
insert into postern.step select * from postern.step;
delete from postern.message;
update df.vars set value = 'blue';
insert into df.vars values ('a', 'b', 'prv_ann');
select df.metrics();
select * from df.executors;
reset role;
select df.grant_usage('prv_ben');
set role prv_ben;
select count(*) from df.instances;
select count(*) from df.vars;
select df.getvar('color') is null;
select df.status(:'ann') is null;
\set VERBOSITY sqlstate
select df.signal(:'ann', 'go');
select df.cancel(:'ann');
select df.await_instance(:'ann', 1);
\set VERBOSITY default
-- Not through the functions behind the views either: they see what their caller sees.
select count(*) from postern.durable_instances(null, null, null, 10);
reset role;
select df.cancel(:'ann') is not null;
select df.await_instance(:'ann');
-- Superusers have none, unless it is allowed.
select df.start('select 1');
set pg_durable.enable_superuser_instances = on;
begin;
select df.start('select 1') is not null;
rollback;
reset pg_durable.enable_superuser_instances;
-- LOGIN, if it is asked for.
set postern.start_requires_login = on;
set role prv_ann;
select df.start('select 1');
reset role;
reset postern.start_requires_login;
-- A role without CONNECT.
revoke connect on database regression from public;
set role prv_ann;
select df.start('select 1');
reset role;
grant connect on database regression to public;
-- A start inside a SECURITY DEFINER function of another role.
create schema prv;
grant usage on schema prv to prv_ann;
create function prv.wrap(q text) returns text language sql security definer as $$ select df.start(q, 'wrapped') $$;
alter function prv.wrap(text) owner to prv_ben;
set role prv_ann;
set postern.start_in_definer = 'allow';
reset role;
set session authorization prv_ann;
select prv.wrap('select current_user as u') as wrapped \gset
reset session authorization;
select df.await_instance(:'wrapped');
select submitted_by, session_role, definers, output from postern.instance where label = 'wrapped';
set postern.start_in_definer = 'refuse';
set role prv_ann;
select prv.wrap('select 1');
reset role;
set postern.start_in_definer = 'session';
begin;
set local session authorization prv_ann;
select prv.wrap('select 1') is not null;
select submitted_by from df.instances where label = 'wrapped';
rollback;
reset postern.start_in_definer;
-- All that was granted goes.
set client_min_messages = warning;
select df.revoke_usage('prv_ann'), df.revoke_usage('prv_ben'), df.revoke_usage('prv_heir'), df.revoke_usage('prv "odd" Ünï');
select df.revoke_usage('prv_boss');
select r.rolname from pg_roles r where r.rolname like 'prv%' and has_schema_privilege(r.oid, 'df', 'USAGE');
drop schema prv cascade;
drop owned by prv_ann, prv_ben;
drop role prv_ann, prv_ben, prv_boss, prv_heir, "prv ""odd"" Ünï";
