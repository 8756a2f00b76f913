-- What is allowed about replicated tables and worth to know; what the log says; ways round the rules that are not DDL of the table.
-- The numbers are those of the list of ways.
\pset format unaligned
\pset tuples_only on
\set SHOW_CONTEXT never
set client_min_messages = warning;
create role no_owner nologin;
create role no_author nologin;
create schema no;
grant usage, create on schema no to public;
set search_path = no;
set role no_owner;
create function owners() returns trigger language plpgsql as 'begin return new; end';
create function steers() returns trigger language plpgsql as $$ begin execute format('select %I', tg_argv[0]); return new; end $$;
create function quotes() returns trigger language plpgsql as $$ begin perform tg_argv[0]; return new; end $$;
create table doc (id int primary key, v int);
create table bare (id int);
grant trigger on doc to no_author;
set role no_author;
create function definer() returns trigger language plpgsql security definer set search_path = pg_catalog, pg_temp as 'begin return new; end';
reset role;
create publication no_pub for table no.doc, no.bare;
create function notes() returns setof text language sql stable as
    $$ select concat_ws(' | ', relation, note, object, function, sentence) from postern.replication_notes order by 1 $$;
-- 42: no replica identity, at once and when it is taken away later.
select notes();
set role no_owner;
alter table doc replica identity nothing;
select notes();
alter table doc replica identity default;
alter table bare replica identity full;
select notes();
-- 18: who may attach the owner's function chooses what it executes. One that only reads its arguments is nothing to say of.
set role no_author;
create trigger t18 before insert on doc for each row execute function steers('secret');
create trigger t18q before insert on doc for each row execute function quotes('secret');
create trigger t18n before insert on doc for each row execute function steers();
select notes();
-- 32: EXECUTE is revoked, and the trigger fires.
create trigger t32 before insert on doc for each row execute function definer();
reset role;
revoke execute on function definer() from public, no_author;
select notes();
grant execute on function definer() to no_author;
-- 34: a function in a language that nothing holds in; only a superuser makes it, or makes one of it.
set role no_author;
create function loads() returns trigger language c as 'regress', 'trigger_return_old';
reset role;
drop trigger t18 on doc;
drop trigger t18q on doc;
drop trigger t18n on doc;
drop trigger t32 on doc;
create function internal() returns trigger language internal as 'suppress_redundant_updates_trigger';
alter function internal() owner to no_owner;
create trigger t34 before update on doc for each row execute function internal();
select notes();
drop trigger t34 on doc;
-- 55: rules do not fire on apply.
set role no_owner;
create rule r55 as on insert to doc where new.id < 0 do instead nothing;
alter table doc enable always rule r55;
select notes();
drop rule r55 on doc;
-- 56: who may switch triggers off in its session.
reset role;
grant set on parameter session_replication_role to no_author;
select notes();
revoke set on parameter session_replication_role from no_author;
-- 58: the rules are not in force.
set postern.trigger_rule = warn;
select notes();
reset postern.trigger_rule;
select notes();

-- 21, 22, 23, 30: what becomes of a trigger of a replicated table is in the log. Other tables', and the server's own, are not.
set role no_owner;
create trigger audit after insert on doc for each row execute function owners();
create table other (id int primary key references doc);
create trigger audit after insert on other for each row execute function owners();
set client_min_messages = log;
alter table other disable trigger audit;
alter table other disable trigger user;
drop trigger audit on other;
alter table doc enable always trigger audit;
alter table doc disable trigger audit;
alter table doc disable trigger audit;
alter trigger audit on doc rename to audited;
alter table doc enable trigger user;
-- 23: it goes with an extension.
reset role;
set client_min_messages = warning;
-- One that this server has.
select name as some from pg_available_extensions where name in ('cube', 'vector') order by name limit 1 \gset
create extension :some;
create trigger t23 after insert on doc for each row execute function owners();
alter trigger t23 on doc depends on extension :some;
set client_min_messages = log;
drop extension :some;
set role no_owner;
begin;
savepoint s;
drop trigger audited on doc;
rollback;
drop function owners() cascade;
set client_min_messages = warning;
create function owners() returns trigger language plpgsql as 'begin return new; end';
-- The parent's owner switches on what the partition's owner has switched off.
create table parts (id int) partition by list (id);
create table parts_1 partition of parts for values in (1);
alter table parts replica identity full;
alter table parts_1 replica identity full;
create trigger audit after insert on parts for each row execute function owners();
reset role;
alter publication no_pub add table parts;
set role no_owner;
alter table parts_1 disable trigger audit;
set client_min_messages = log;
alter table parts enable trigger audit;
alter table parts detach partition parts_1;
set client_min_messages = warning;
-- 24: triggers that the server made for itself are out of the owner's reach.
do $$
declare
    made name := (select tgname from pg_trigger where tgrelid = 'no.other'::regclass and tgisinternal limit 1);
begin
    execute format('alter table no.other enable replica trigger %I', made);
exception when insufficient_privilege then
    raise warning 'refused: %', regexp_replace(sqlerrm, '\d+', 'N');
end
$$;
reset role;
-- 59: what a superuser writes into the catalogs is seen by who looks.
set role no_author;
create trigger t59 before insert on doc for each row execute function definer();
reset role;
set allow_system_table_mods = on;
update pg_proc set prosecdef = false where oid = 'definer()'::regprocedure;
reset allow_system_table_mods;
select relation, reason, object from postern.replication_findings where relation = 'doc'::regclass;
-- And the next change of it is judged as any.
set role no_author;
alter function definer() security invoker;
reset role;
alter function definer() security definer;
-- 65: who is renamed is who it was; what was dropped and made again is another's. The rules look at OIDs alone.
alter role no_author rename to no_writer;
set role no_writer;
alter function definer() security invoker;
reset role;
drop owned by no_writer cascade;
drop role no_writer;
create role no_author nologin;
grant trigger on doc to no_author;
set role no_author;
create function definer() returns trigger language plpgsql as 'begin return new; end';
create trigger t65 before insert on doc for each row execute function definer();
reset role;
-- 66: a tool that works as a superuser is told, and what it leaves is found.
create trigger t66 before insert on doc for each row execute function definer();
select relation, replicated, reason, object, mend from postern.replication_findings where relation = 'doc'::regclass;
drop publication no_pub;
drop schema no cascade;
drop owned by no_owner, no_author;
drop role no_owner, no_author;
