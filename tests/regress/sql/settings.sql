-- An entered role has the settings that a login of it would have.
\set SHOW_CONTEXT never
\pset format unaligned
\pset tuples_only on
create role set_alice nologin;
create role set_bob nologin;
create role set_maker createrole nologin;
create role set_operator login in role postern_admin;
select postern.admit('set_alice'), postern.admit('set_bob');
create function set_seen(names text[]) returns text language sql as
  $$ select string_agg(n || '=' || current_setting(n, true), ' ') from unnest(names) n $$;
\set seen 'public.set_seen(''{work_mem,statement_timeout,search_path,log_min_duration_statement,set_x.y}'')'
alter role set_alice set work_mem = '7MB';
alter role set_alice set statement_timeout = '77s';
alter role set_alice set search_path = set_own, public;
alter role set_alice set log_min_duration_statement = '1h';
alter role set_alice set set_x.y = 'a=b';
alter role set_alice in database regression set work_mem = '8MB';
alter role set_alice in database template1 set work_mem = '9MB';
set session authorization postern_gate;
select :seen;
select postern.enter('set_alice', null) is null, :seen;
select :seen;
select postern.enter('set_bob', null) is null, :seen;
select postern.enter('set_alice', null) is null, 1 / (length(:seen) * 0);
select :seen;
-- A session hears of every change: for the role, in the database, of another database, and of no role.
reset session authorization;
alter role set_alice in database regression reset work_mem;
set session authorization postern_gate;
select postern.enter('set_alice', null) is null, :seen;
reset session authorization;
alter role set_alice reset all;
alter role set_bob set work_mem = '5MB';
set session authorization postern_gate;
select postern.enter('set_alice', null) is null, :seen;
select postern.enter('set_bob', null) is null, :seen;
reset session authorization;
do $$begin execute 'alter role set_bob set work_mem = ''6MB'''; end$$;
begin;
alter role set_bob set work_mem = '4MB';
rollback;
-- Operators see it too.
set session authorization set_operator;
select * from postern.run_as('set_bob', null, 'show work_mem');
show work_mem;
reset session authorization;
-- A role that only reads, unless the request says otherwise.
create table set_t (a int);
grant insert on set_t to set_bob;
create function set_insert() returns text language plpgsql as $$
begin insert into public.set_t values (1); return 'inserted'; exception when others then return sqlstate || ' ' || sqlerrm; end $$;
alter role set_bob set default_transaction_read_only = on;
set session authorization postern_gate;
select postern.enter('set_bob', null) is null, public.set_insert();
select postern.enter('set_bob', null) is null, set_config('transaction_read_only', 'off', true);
show transaction_read_only;
set default_transaction_read_only = off;
select postern.enter('set_bob', null) is null, public.set_insert();
reset default_transaction_read_only;
reset session authorization;
alter role set_bob reset all;
-- Neither the wall, nor facts, nor how the connection talks, whoever presets it.
grant set_bob to set_maker with admin option;
set role set_maker;
alter role set_bob set role = 'set_alice';
alter role set_bob set request.jwt.claims = '{"sub": "forged"}';
alter role set_bob set request.jwt.claim.sub = 'forged';
alter role set_bob set client_encoding = 'LATIN1';
alter role set_bob set datestyle = 'German';
alter role set_bob set row_security = off;
alter role set_bob set search_path = 'public';
alter role set_bob set postern.allow_temp = on;
alter role set_bob set session_replication_role = 'replica';
reset role;
alter role set_bob set session_authorization = 'postgres';
alter role set_bob set postern.allow_temp = on;
select setconfig from pg_db_role_setting where setrole = 'set_bob'::regrole;
create function set_wall() returns text language plpgsql as $$
begin create temp table t (a int); return 'made'; exception when others then return sqlstate || ' ' || sqlerrm; end $$;
set session authorization postern_gate;
select postern.enter('set_bob', '{"claims": {"sub": "bob"}}') is null, current_user, session_user,
  public.set_seen('{role,request.jwt.claims,client_encoding,datestyle,row_security,search_path,postern.allow_temp}'),
  current_setting('request.jwt.claim.sub') = '' as old_form_empty;
select postern.enter('set_bob', null) is null, public.set_wall();
reset session authorization;
-- What is no good any more is warned of, as at a login.
set allow_in_place_tablespaces = on;
create tablespace set_space location '';
alter role set_alice set default_tablespace = 'set_space';
drop tablespace set_space;
set session authorization postern_gate;
select postern.enter('set_alice', null) is null, public.set_seen('{default_tablespace}');
reset session authorization;
-- Nobody alters a role or its settings from inside.
create function set_alter(what text) returns text language plpgsql as
  $$begin execute what; return 'done'; exception when others then return sqlstate || ' ' || sqlerrm; end $$;
set session authorization postern_gate;
select postern.enter('set_alice', null) is null, public.set_alter('alter role set_alice set work_mem = ''1MB'''),
  public.set_alter('alter role current_user reset all'), public.set_alter('alter role all set work_mem = ''1MB''');
reset session authorization;
\c
drop function set_seen, set_insert, set_wall, set_alter;
drop table set_t;
select postern.dismiss('set_alice'), postern.dismiss('set_bob');
drop role set_alice, set_bob, set_maker, set_operator;
