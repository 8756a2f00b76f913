-- Which roles may be entered.
\set SHOW_CONTEXT never
\pset format unaligned
\pset tuples_only on
create role adm_alice nologin;
create role adm_bob nologin;
create role adm_super superuser nologin;
create role adm_member nologin in role adm_super;
create role adm_far nologin in role adm_member;
create role adm_bypass bypassrls nologin;
create role adm_create createrole nologin;
create role adm_repl replication nologin;
create role adm_files nologin in role pg_read_server_files;
create role adm_admin nologin in role postern_admin;
-- Code, message and detail.
create function try(statement text) returns text language plpgsql as $$
declare d text; begin
  execute statement; return 'ok';
exception when others then
  get stacked diagnostics d = pg_exception_detail;
  return sqlstate || ' ' || sqlerrm || coalesce(' / ' || nullif(d, ''), '');
end $$;
select try(format('select postern.admit(%L)', r)) from unnest(array[
  'adm_alice', 'adm_alice', 'adm_super', 'adm_member', 'adm_far', 'adm_bypass', 'adm_create', 'adm_repl', 'adm_files',
  'adm_admin', 'postern_gate', 'postern_admin', 'pg_read_all_data', 'pg_monitor', 'nosuch', '', 'ADM_ALICE', 'adm_alice ',
  repeat('a', 70)]) r;
-- What does not fit into a name is refused, not cut to the name of another role.
create role aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa;
select try($$select postern.admit(repeat('a', 63))$$);
select try(format(f, repeat('a', 64))) from unnest(array['select postern.admit(%L)', 'select postern.dismiss(%L)',
  'select * from postern.run_as(%L, null, ''select 1'')', 'select postern.create_api_key(%L, ''s'')']) f;
select try($$select postern.dismiss(repeat('a', 63))$$);
drop role aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa;
select role, role_name, admitted_by from postern.admitted;
-- Only postern_admin admits.
set role adm_bob;
select try($$select postern.admit('adm_bob')$$);
select try($$select postern.dismiss('adm_alice')$$);
select try($$insert into postern.admitted values ('adm_bob', 'adm_bob')$$);
select try($$select postern.refuse_powerful('adm_bob')$$);
reset role;
-- A right to enter is looked up each time (A49).
set session authorization postern_gate;
select try($$select postern.enter('adm_alice', null)$$), 'entered in a subtransaction';
select postern.enter('adm_alice', null) is not null, current_user;
select postern.enter('adm_bob', null);
\c
alter role adm_alice rename to adm_alicia;
set session authorization postern_gate;
select postern.enter('adm_alicia', null);
\c
select postern.admit('adm_alicia');
set session authorization postern_gate;
select postern.enter('adm_alicia', null) is not null, current_user;
\c
grant adm_super to adm_alicia;
set session authorization postern_gate;
select postern.enter('adm_alicia', null);
\c
revoke adm_super from adm_alicia;
alter role adm_alicia bypassrls;
set session authorization postern_gate;
select postern.enter('adm_alicia', null);
\c
-- Dropped and made again under the same name: another role.
drop role adm_alicia;
create role adm_alicia nologin;
set session authorization postern_gate;
select postern.enter('adm_alicia', null);
\c
-- A session that has entered before hears of every change.
select postern.admit('adm_bob');
set session authorization postern_gate;
select postern.enter('adm_bob', null) is not null, current_user;
reset session authorization;
select postern.dismiss('adm_bob');
set session authorization postern_gate;
select postern.enter('adm_bob', null);
reset session authorization;
select postern.admit('adm_bob');
set session authorization postern_gate;
select postern.enter('adm_bob', null) is not null, current_user;
reset session authorization;
alter role adm_bob superuser;
set session authorization postern_gate;
select postern.enter('adm_bob', null);
reset session authorization;
alter role adm_bob nosuperuser;
grant adm_member to adm_bob;
set session authorization postern_gate;
select postern.enter('adm_bob', null);
reset session authorization;
revoke adm_member from adm_bob;
set session authorization postern_gate;
select postern.enter('adm_bob', null) is not null, current_user;
reset session authorization;
-- However the list was changed.
set session_replication_role = replica;
delete from postern.admitted where role_name = 'adm_bob';
reset session_replication_role;
set session authorization postern_gate;
select postern.enter('adm_bob', null);
reset session authorization;
select postern.admit('adm_bob');
select postern.dismiss('adm_bob'), postern.dismiss('adm_bob'), postern.dismiss('adm_alicia');
select count(*) from postern.admitted;
drop function try(text);
drop role adm_alicia, adm_bob, adm_super, adm_member, adm_far, adm_bypass, adm_create, adm_repl, adm_files, adm_admin;
