-- postern.definer_rule: SECURITY DEFINER only with a path that nobody else can capture, by whatever route.
\pset format unaligned
\pset tuples_only on
\set SHOW_CONTEXT never
create role nr_owner nologin;
create role nr_other nologin;
create role nr_mallory nologin;
create role nr_child nologin in role nr_owner;
create schema nr authorization nr_owner;
create schema nr_open authorization nr_owner;
grant usage on schema nr, nr_open to public;
grant create on schema nr_open to nr_mallory;
show postern.definer_rule;

-- A warning, and it is made.
set role nr_owner;
create function nr.plain() returns int language sql security definer as 'select 1';
create function nr.good() returns int language sql security definer set search_path = nr, pg_temp as 'select 1';
create function nr.invoker() returns int language sql as 'select 1';
create procedure nr.proc() language sql security definer as 'select 1';
create function nr."Odd name"("char", text[]) returns int language sql security definer set search_path = 'nr, pg_temp' as 'select 1';
reset role;

-- An error, and it is not.
set postern.definer_rule = error;
\set VERBOSITY sqlstate
create function nr.bad() returns int language sql security definer as 'select 1';
\set VERBOSITY default
-- Each route.
create or replace function nr.good() returns int language sql security definer as 'select 2';
alter function nr.invoker() security definer;
alter function nr.good() reset search_path;
alter function nr.good() reset all;
alter function nr.good() set search_path = '';
alter function nr.good() set search_path = pg_catalog;
alter function nr.good() set search_path = pg_temp, nr;
alter function nr.good() set search_path = pg_temp, nr, pg_temp;
alter function nr.good() set search_path = nr_open, nr, pg_temp;
alter function nr.good() set search_path = 'nr, pg_temp';
alter function nr.good() set search_path = pg_temp_3, pg_temp;
alter function nr.good() set search_path from current;
alter routine nr.good() reset search_path;
alter routine nr.invoker() security definer;
alter procedure nr.proc() set work_mem = '1MB';
alter procedure nr.proc() security definer;
do $$ begin alter function nr.good() reset search_path; end $$;
do $$ begin execute 'create function nr.bad() returns int language sql security definer as ''select 1'''; end $$;
create function nr.makes() returns void language plpgsql as $$ begin execute 'alter function nr.good() reset search_path'; end $$;
select nr.makes();
create schema nr_made create table t (i int);
begin;
alter function nr.good() set search_path = nr, pg_temp;
savepoint s;
alter function nr.good() reset search_path;
rollback to s;
alter function nr.good() set work_mem = '1MB';
commit;
select p.proconfig from pg_proc p where p.oid = 'nr.good()'::regprocedure;
select count(*) from pg_proc where proname = 'bad';
-- What obeys.
alter function nr.good() set search_path = pg_catalog, pg_temp;
alter function nr.good() set search_path = pg_temp;
alter function nr.good() set search_path = pg_catalog, information_schema, nr, pg_temp;
alter function nr.good() set search_path = "$user", nr, pg_temp;
create function nr.atomic() returns int language sql security definer begin atomic select 1; end;
alter function nr.invoker() security definer set search_path = nr, pg_temp;
alter function nr.plain() security invoker;
-- What a handler caught is not held against what comes after it.
create table nr.log (what text);
do $$ begin
  begin
    alter function nr.good() reset search_path;
  exception when invalid_function_definition then insert into nr.log values (sqlerrm);
  end;
  begin
    -- The server refuses the second half; the first is undone.
    execute 'create function nr.bad() returns int language sql security definer as ''select 1''; select 1/0';
  exception when others then insert into nr.log values (sqlstate);
  end;
  alter function nr.invoker() cost 7;
end $$;
table nr.log;

-- A schema that is not there, and who could make it.
alter function nr.good() set search_path = nr_later, pg_temp;
grant create on database regression to nr_mallory;
alter function nr.good() set search_path = nr_later, nr, pg_temp;
alter function nr.good() set search_path = "$user", nr, pg_temp;
revoke create on database regression from nr_mallory;
-- Members of the owner are trusted, members of others that may create are not, whether they inherit or not.
create role nr_group nologin;
create schema nr_shared authorization nr_group;
alter function nr.good() set search_path = nr_shared, pg_temp;
grant nr_group to nr_owner;
alter function nr.good() set search_path = nr_shared, pg_temp;
drop role nr_child;
revoke nr_group from nr_owner;
create role nr_child noinherit nologin in role nr_group;
alter function nr.good() set search_path = nr_shared, pg_temp;
create schema nr_childs authorization nr_owner;
create role nr_heir nologin in role nr_owner;
grant create on schema nr_childs to nr_heir;
alter function nr.good() set search_path = nr_childs, pg_temp;
grant create on schema nr_childs to public;
alter function nr.good() set search_path = nr_childs, pg_temp;
alter function nr.good() set search_path = nr, pg_temp;

-- Another owner has others against it: the schema is nr_owner's.
alter function nr.good() owner to nr_other;
alter function nr.good() owner to postgres;
reassign owned by nr_owner to nr_other;
select pg_get_userbyid(proowner) from pg_proc where oid = 'nr.good()'::regprocedure;
-- A superuser's function in a schema of nobody else's.
create schema nr_super;
create function nr_super.f() returns int language sql security definer set search_path = nr_super, pg_temp as 'select 1';

-- Nobody lesser turns it off.
set role nr_mallory;
set postern.definer_rule = off;
set local postern.definer_rule = off;
select set_config('postern.definer_rule', 'off', false);
alter role nr_mallory set postern.definer_rule = off;
alter database regression set postern.definer_rule = off;
create function nr_open.f() returns void language plpgsql security definer set search_path = pg_catalog, pg_temp set postern.definer_rule = off
  as $$ begin execute 'create function nr_open.g() returns int language sql security definer as ''select 1'''; end $$;
create function nr_open.g() returns int language sql security definer as 'select 1';
-- Not with things of the same names in front.
create function pg_temp.path_elements(text) returns text[] language sql as 'select array[''pg_catalog'', ''pg_temp'']';
create temp view subprograms as select 0::oid as oid where false;
set search_path = pg_temp, nr_open;
create function nr_open.g() returns int language sql security definer as 'select 1';
reset search_path;
do $$ begin
  create function pg_temp.g() returns int language sql security definer as 'select 1';
exception when invalid_function_definition then raise notice 'refused';
end $$;
discard temp;
reset role;

-- Event triggers: what they mend is mended, and what they break is refused.
create function nr.pins() returns event_trigger language plpgsql as $$
declare r record;
begin
  for r in select * from pg_event_trigger_ddl_commands() where object_type = 'function' and object_identity like 'nr.mended%' loop
    execute 'alter function ' || r.object_identity || ' set search_path = pg_catalog, pg_temp';
  end loop;
end $$;
create event trigger nr_pins on ddl_command_end when tag in ('CREATE FUNCTION') execute function nr.pins();
create function nr.mended() returns int language sql security definer as 'select 1';
drop event trigger nr_pins;
create function nr.unpins() returns event_trigger language plpgsql as $$ begin alter function nr.mended() reset search_path; end $$;
create event trigger nr_unpins on ddl_command_end when tag in ('CREATE TABLE') execute function nr.unpins();
create table nr.triggers_it (i int);
drop event trigger nr_unpins;

-- Scripts of extensions: by choice.
set postern.definer_rule = warn;
set postern.definer_rule_in_extensions = on;
create function nr.adds() returns event_trigger language plpgsql as $$
begin
    if to_regprocedure('nr.member()') is null then
        execute 'create function nr.member() returns int language sql security definer as ''select 1''';
    end if;
end $$;
create event trigger nr_adds on ddl_command_end when tag in ('CREATE TYPE') execute function nr.adds();
-- One that this server has.
select name as some from pg_available_extensions where name in ('cube', 'vector') order by name limit 1 \gset
create extension :some;
select pg_describe_object('pg_proc'::regclass, objid, 0), deptype from pg_depend where objid = 'nr.member()'::regprocedure and deptype = 'e';
drop extension :some cascade;
set postern.definer_rule = error;
create extension :some;
set postern.definer_rule_in_extensions = off;
create extension :some;
select security_definer, safe from postern.subprograms where identity = 'nr.member()';
drop extension :some cascade;
drop event trigger nr_adds;
reset postern.definer_rule_in_extensions;

-- Off.
set postern.definer_rule = off;
create function nr.bad() returns int language sql security definer as 'select 1';
set postern.definer_rule = error;
alter function nr.bad() cost 3;
select identity, kind, language, owner, security_definer, atomic, search_path, executable_by_public, safe, problem, remedy
  from postern.subprograms where schema ~ '^nr' order by identity collate "C";
-- Every role sees it; what changes later shows.
set role nr_mallory;
select identity, problem from postern.subprograms where identity = 'nr.invoker()';
reset role;
grant create on schema nr to nr_mallory;
select identity, problem from postern.subprograms where identity = 'nr.invoker()';
revoke create on schema nr from nr_mallory;
alter schema nr rename to nr_renamed;
select identity, problem, safe from postern.subprograms where name = 'invoker';
grant create on database regression to nr_mallory;
select identity, problem, remedy from postern.subprograms where name = 'invoker';
revoke create on database regression from nr_mallory;
alter schema nr_renamed rename to nr;
-- What mends is what is said.
select remedy from postern.subprograms where security_definer and not safe and schema ~ '^nr' order by identity \gexec
select count(*) from postern.subprograms where security_definer and not safe and schema ~ '^nr';
-- Without the extension there is no rule.
create database nr_without;
\c nr_without
set postern.definer_rule = error;
create function f() returns int language sql security definer as 'select 1';
\c regression
drop database nr_without with (force);

select postern.path_elements('a, "B c", "d""e", "$user",F'), postern.path_elements(''), postern.path_elements('a,,b'), postern.path_elements('"a');
drop schema nr, nr_open, nr_made, nr_shared, nr_childs, nr_super cascade;
drop role nr_owner, nr_other, nr_mallory, nr_child, nr_heir, nr_group;
