-- Who may attach code to a table, and every way round it. The numbers are those of the list of ways.
\pset format unaligned
\pset tuples_only on
\set SHOW_CONTEXT never
\set VERBOSITY default
set client_min_messages = warning;
create role tr_owner nologin;
create role tr_author nologin;
create role tr_other nologin;
create role tr_team nologin;
create role tr_mate nologin in role tr_team;
create role tr_admin nologin in role postern_admin;
create role tr_super nologin superuser;
create schema tr;
grant usage, create on schema tr to public;
set search_path = tr;
-- Functions of each, everyone may execute them.
set role tr_owner;
create function owners() returns trigger language plpgsql as 'begin return new; end';
create function owners_closed() returns trigger language plpgsql as 'begin return new; end';
revoke execute on function owners_closed() from public;
create function owners_test(int) returns bool language sql as 'select true';
set role tr_author;
create function authors() returns trigger language plpgsql as 'begin return new; end';
create function authors_definer() returns trigger language plpgsql security definer set search_path = pg_catalog, pg_temp as 'begin return new; end';
create function authors_test(int) returns bool language sql as 'select true';
create function authors_definer_test(int) returns bool language sql security definer as 'select true';
set role tr_mate;
create function mates() returns trigger language plpgsql as 'begin return new; end';
set role tr_super;
create function supers() returns trigger language plpgsql as 'begin return new; end';
set role tr_owner;
create table plain (id int primary key, v int);
create table member (id int primary key, v int);
grant all on plain, member to tr_author, tr_admin;
reset role;
grant trigger on plain to tr_mate;
create publication tr_pub for table tr.member;
create function triggers(regclass) returns setof text language sql as
    'select tgname || '' '' || tgenabled::text || '' '' || tgfoid::regproc from pg_trigger where tgrelid = $1 and not tgisinternal order by 1';

-- 1: a holder of TRIGGER, its own function. A warning for a table that is not replicated, an error for one that is.
set role tr_author;
create trigger t1 before insert on plain for each row execute function authors();
create trigger t1 before insert on member for each row execute function authors();
select triggers('member');
-- With the strictest setting it is refused for every table.
reset role;
drop trigger t1 on plain;
set postern.trigger_rule = error;
set role tr_author;
create trigger t1 before insert on plain for each row execute function authors();
select triggers('plain');
-- 2: its own SECURITY DEFINER function. 3: a function of the owner. 4: one that it may not execute.
create trigger t2 before insert on member for each row execute function authors_definer();
create trigger t3 before insert on member for each row execute function owners();
create trigger t4 before insert on member for each row execute function owners_closed();
select triggers('member');
-- 5: the owner, somebody else's function.
set role tr_owner;
create trigger t5 before insert on plain for each row execute function authors();
create trigger t5 before insert on member for each row execute function authors();
-- 6: the owner, a function that it may not execute.
reset role;
revoke execute on function authors_definer() from public;
set role tr_owner;
create trigger t6 before insert on plain for each row execute function authors_definer();
reset role;
grant execute on function authors_definer() to public;
-- 7: superusers and postern_admin; of what makes a replicated table unfit, they are warned.
set role tr_super;
create trigger t7 before insert on plain for each row execute function authors();
create trigger t7 before insert on member for each row execute function authors();
set role tr_admin;
create trigger t7a before insert on plain for each row execute function authors();
-- 8: neither.
set role tr_other;
create trigger t8 before insert on plain for each row execute function owners();
-- 9: by membership, through PUBLIC, as a member without INHERIT, after SET ROLE.
reset role;
create role tr_heir nologin in role tr_author;
create role tr_no_heir nologin noinherit in role tr_author;
set role tr_heir;
create trigger t9 before insert on plain for each row execute function authors();
create trigger t9 before insert on plain for each row execute function owners();
set role tr_no_heir;
create trigger t9n before insert on plain for each row execute function owners();
reset role;
grant trigger on plain to public;
set role tr_other;
create trigger t9p before insert on plain for each row execute function authors();
reset role;
revoke trigger on plain from public;
-- 10: a table of a group, and a member's own function: allowed, and the table cannot be replicated.
set role tr_team;
create table teams (id int primary key);
set role tr_mate;
create trigger t10 before insert on teams for each row execute function mates();
reset role;
create publication tr_team for table tr.teams;
select count(*) from pg_publication where pubname = 'tr_team';
-- 11: the server's own functions are everyone's; those of an extension, once an administrator trusts it.
set role tr_author;
create trigger t11 before update on member for each row execute function suppress_redundant_updates_trigger();
create trigger t11s before update on member for each row execute function supers();
reset role;
alter extension plpgsql add function supers();
set postern.trusted_extensions = 'hstore, plpgsql';
set role tr_author;
create trigger t11s before update on member for each row execute function supers();
reset role;
reset postern.trusted_extensions;
select object, reason from postern.replication_findings where relation = 'member'::regclass order by 1;
drop trigger t11s on member;
alter extension plpgsql drop function supers();
-- 12: constraint triggers. 13: views. 14: TRUNCATE, statements, transition tables.
set role tr_author;
create constraint trigger t12 after insert on member for each row execute function authors();
create constraint trigger t12 after insert on member from plain for each row execute function authors();
set role tr_owner;
create view seen as select * from plain;
grant trigger on seen to tr_author;
set role tr_author;
create trigger t13 instead of insert on seen for each row execute function authors();
create trigger t14 after truncate on member for each statement execute function authors();
create trigger t14 after insert on member referencing new table as n for each statement execute function authors();
-- 15: from DO, a function, a schema element; in a superuser's SECURITY DEFINER function the superuser counts.
do $$ begin create trigger t15 before insert on tr.member for each row execute function tr.authors(); end $$;
create function makes() returns void language plpgsql as
    $$ begin create trigger t15 before insert on tr.member for each row execute function tr.authors(); end $$;
select makes();
reset role;
grant create on database regression to tr_author;
create function makes_as_super() returns void language plpgsql security definer as
    $$ begin create trigger t15s before insert on tr.member for each row execute function tr.authors(); end $$;
set role tr_author;
create schema tr_element
    create table element (id int)
    create trigger t15 before insert on element for each row execute function tr.owners();
select makes_as_super();
reset role;
drop trigger t15s on member;
drop trigger t7 on member;
-- An error that is caught leaves nothing, neither a trigger nor a note of it.
set role tr_author;
do $$
begin
    create trigger t63 before insert on tr.member for each row execute function tr.authors();
exception when insufficient_privilege then
    raise warning 'caught: %', sqlerrm;
end
$$;
create trigger t63 before insert on member for each row execute function owners();
-- 16: WHEN calls a function of somebody else; 17: and what becomes of it later.
create trigger t16 before insert on member for each row when (authors_test(new.id)) execute function owners();
create trigger t16 before insert on member for each row when (authors_test(new.id)) execute function authors_definer();
create trigger t16 before insert on member for each row when (owners_test(new.id)) execute function owners();
create trigger t17 before insert on member for each row when (authors_definer_test(new.id)) execute function owners();
alter function authors_definer_test(int) security invoker;
create or replace function authors_definer_test(int) returns bool language sql as 'select false';
-- An operator in WHEN is its function.
create operator <<<< (function = authors_eq, leftarg = int, rightarg = int);
create function authors_eq(int, int) returns bool language sql as 'select true';
create operator <<<< (function = authors_eq, leftarg = int, rightarg = int);
create trigger t16o before insert on member for each row when (new.id operator(tr.<<<<) 1) execute function owners();
reset role;
select triggers('member');

-- 19: CREATE OR REPLACE of somebody else's trigger, or of one that fires otherwise.
set role tr_owner;
create trigger audit before update on member for each row execute function owners();
alter table member enable always trigger audit;
set role tr_author;
create or replace trigger audit before update on member for each row execute function authors_definer();
create or replace trigger audit before update on member for each row execute function owners();
create or replace trigger t2 before delete on member for each row execute function authors_definer();
create or replace trigger t2 before delete on member for each row execute function authors();
create or replace trigger t2 before delete on member for each row execute function owners();
set role tr_owner;
create or replace trigger audit before update on member for each row execute function owners();
reset role;
select triggers('member');
-- 20, 21: what did not fire and now does. Administrators are warned, the owner is refused.
set role tr_super;
create trigger t20 before insert on member for each row execute function authors();
alter table member disable trigger t20;
set role tr_owner;
alter table member enable always trigger t20;
alter table member enable replica trigger t20;
alter table member enable trigger all;
-- 22: less is always allowed.
alter table member disable trigger t2;
alter trigger t2 on member rename to t2_renamed;
drop trigger t20 on member;
-- 50: a deferred constraint trigger that fires on apply.
create constraint trigger t50 after insert on member deferrable initially deferred for each row execute function owners();
alter table member enable replica trigger t50;
-- 14: after TRUNCATE, on apply.
create trigger t14t after truncate on member for each statement execute function owners();
alter table member enable always trigger t14t;
reset role;

-- 25, 26: the function becomes one that runs as whoever writes. 29: it sets what it may not.
set role tr_author;
alter function authors_definer() security invoker;
alter routine authors_definer() security invoker;
create or replace function authors_definer() returns trigger language plpgsql as 'begin return old; end';
create or replace function authors_definer() returns trigger language plpgsql security definer as 'begin return old; end';
alter function authors_definer() set search_path = pg_catalog, pg_temp;
alter function authors_definer() set role = 'tr_author';
set role tr_owner;
create or replace function owners() returns trigger language plpgsql as 'begin return old; end';
reset role;
-- 27, 28: the function's owner changes; a superuser may, and is told.
grant tr_other to tr_owner;
set role tr_owner;
alter function owners() owner to tr_other;
-- All of it at once leaves nothing that is foreign; what was one role's alone does.
begin;
reassign owned by tr_owner to tr_other;
rollback;
reset role;
begin;
alter function owners() owner to tr_other;
rollback;
grant tr_author, tr_other to tr_owner;
alter function authors_definer() owner to tr_owner;
create trigger t28 before insert on member for each row execute function authors_definer();
alter function authors_definer() security invoker;
alter function owners() owner to tr_owner;
set role tr_owner;
alter function authors_definer() owner to tr_author;
reset role;
drop trigger t28 on member;
alter function authors_definer() security definer;
alter function authors_definer() owner to tr_author;
revoke tr_author from tr_owner;
-- DROP OWNED takes the function, and the trigger with it.
begin;
drop owned by tr_author cascade;
select triggers('member');
rollback;
-- 31, 30: harmless.
set role tr_owner;
alter function owners() rename to owners_renamed;
alter function owners_renamed() rename to owners;
reset role;
-- 35: the table's owner changes, and with it whose the functions are.
set role tr_owner;
alter table member owner to tr_other;
reset role;
begin;
alter table member owner to tr_other;
rollback;
-- 41: it is made an extension's.
begin;
alter extension plpgsql add table member;
rollback;
-- 36: a membership changes nothing about a table that is replicated.
grant tr_author to tr_owner;
revoke tr_author from tr_owner;
-- ALTER ROLE: what a superuser owned was everyone's in WHEN.
begin;
grant execute on all functions in schema tr to public;
create function tr.super_test(int) returns bool language sql as 'select true';
alter function tr.super_test(int) owner to tr_super;
create trigger tw before insert on member for each row when (tr.super_test(new.id)) execute function tr.owners();
alter role tr_super nosuperuser;
rollback;

-- 37, 38, 39: partitions.
set role tr_owner;
create table parts (id int, v int) partition by list (id);
create table parts_1 partition of parts for values in (1);
create table parts_2 (id int, v int);
create trigger tp before insert on parts for each row execute function owners();
reset role;
create publication tr_parts for table tr.parts;
create table parts_3 (id int, v int);
alter table parts_3 owner to tr_other;
grant tr_other to tr_owner;
set role tr_owner;
alter table parts attach partition parts_2 for values in (2);
create table parts_4 partition of parts for values in (4);
-- The clone of the owner's trigger would run as the owner of the partition.
alter table parts attach partition parts_3 for values in (3);
alter table parts_1 owner to tr_other;
reset role;
select tgrelid::regclass, tgname, tgparentid <> 0 from pg_trigger where tgname = 'tp' order by 1;
-- A partition with a trigger of its own joins a replicated table.
set postern.trigger_rule = members;
create table parts_5 (id int, v int);
alter table parts_5 owner to tr_owner;
grant trigger on parts_5 to tr_author;
set role tr_author;
create trigger own before insert on parts_5 for each row execute function authors();
set role tr_owner;
alter table parts attach partition parts_5 for values in (5);
alter table parts detach partition parts_2;
alter table parts attach partition parts_2 for values in (2);
-- A trigger on the parent is one on every partition, with the owner of each.
grant trigger on parts, parts_1, parts_2, parts_4 to tr_author;
set role tr_author;
create trigger tq before insert on parts for each row execute function authors();
create trigger tq before insert on parts for each row execute function authors_definer();
reset role;
select count(*) from pg_trigger where tgname = 'tq';
-- 40: INHERITS and LIKE copy no trigger.
set role tr_owner;
create table child () inherits (member);
create table likeness (like member including all);
reset role;
select triggers('child') union all select triggers('likeness');

-- 52: a domain of somebody else in a replicated table, its check, its default; 53: the other code that runs on apply.
set role tr_author;
create domain authors_domain as int;
set role tr_owner;
create domain owners_domain as int;
alter table member add column d authors_domain;
alter table member add column d owners_domain;
alter table member alter column v type authors_domain;
alter domain owners_domain add check (authors_test(value)) not valid;
alter domain owners_domain set default authors_test(1)::int;
alter domain owners_domain add check (owners_test(value)) not valid;
alter table member add constraint c check (authors_test(id)) not valid;
alter table member add constraint c check (owners_test(id)) not valid;
alter table member alter column v set default authors_test(1)::int;
set role tr_author;
create function authors_immutable(int) returns int language sql immutable as 'select $1';
set role tr_owner;
create index on member (authors_immutable(v));
create index on member (v) where authors_immutable(v) = 1;
alter table member add column g int generated always as (authors_immutable(v)) stored;
alter domain owners_domain owner to tr_other;
-- A domain within an array within a composite type.
set role tr_author;
create type authors_row as (n authors_domain);
set role tr_owner;
alter table member add column e authors_row[];
reset role;

-- 41: another schema, which is published.
create schema tr_all;
grant usage, create on schema tr_all to public;
create publication tr_all for tables in schema tr_all;
set role tr_author;
create table tr_all.moved (id int);
set role tr_owner;
create table strayed (id int);
grant trigger on strayed to tr_author;
set role tr_author;
create trigger t41 before insert on strayed for each row execute function authors();
set role tr_owner;
alter table strayed set schema tr_all;
reset role;
-- 46: a table that is published because of its schema, and a trigger in the same transaction.
begin;
set local role tr_owner;
create table tr_all.late (id int);
grant trigger on tr_all.late to tr_author;
set local role tr_author;
create trigger t46 before insert on tr_all.late for each row execute function tr.authors();
rollback;

-- 56: session_replication_role; 57: event triggers. Nothing of it rests on them.
grant set on parameter session_replication_role to tr_author;
set role tr_author;
set session_replication_role = replica;
create trigger t56 before insert on member for each row execute function authors();
reset session_replication_role;
reset role;
revoke set on parameter session_replication_role from tr_author;
-- The setting is a superuser's.
set role tr_author;
set postern.trigger_rule = off;
select set_config('postern.trigger_rule', 'off', false);
create function sets() returns void language sql set postern.trigger_rule = off as '';
alter role tr_author set postern.trigger_rule = off;
reset role;
-- 67: who may not use our schema gets our errors, not others.
set postern.direct_grants = off;
revoke usage on schema postern from public;
set role tr_author;
create trigger t67 before insert on member for each row execute function authors();
create trigger t67 before insert on member for each row execute function owners();
reset role;
grant usage on schema postern to public;
reset postern.direct_grants;
-- Our names are not the caller's, whatever is on the path.
set role tr_author;
create function tr.trigger_facts(oid) returns setof record language sql as 'select 1';
create table tr.pg_trigger (oid oid);
set search_path = tr, pg_catalog;
create trigger t67n before insert on member for each row execute function authors();
reset role;
set search_path = tr;
drop table tr.pg_trigger;
-- 64: a prepared transaction.
begin;
set local role tr_author;
create trigger t64 before insert on member for each row execute function owners();
prepare transaction 'tr_64';
rollback prepared 'tr_64';
-- The settings that refuse less.
set postern.trigger_rule = warn;
set role tr_author;
create trigger tw before insert on member for each row execute function authors();
reset role;
select relation, replicated, reason, object, function, function_owner, sentence, mend from postern.replication_findings
 where relation::text in ('member', 'teams') order by 1, 3, 4;
drop trigger tw on member;
set postern.trigger_rule = off;
set role tr_author;
create trigger tw before insert on member for each row execute function authors();
reset role;
drop trigger tw on member;
-- Without the extension everything is as it was.
create database tr_without;
\c tr_without
set client_min_messages = warning;
create table member (id int);
create publication p for table member;
create publication everything for all tables;
grant trigger on member to tr_author;
grant create on schema public to tr_author;
set role tr_author;
create function authors() returns trigger language plpgsql as 'begin return new; end';
create trigger t before insert on member for each row execute function authors();
reset role;
set client_min_messages = error;
create extension postern;
set client_min_messages = warning;
drop trigger t on member;
set role tr_author;
create trigger t before insert on member for each row execute function authors();
reset role;
drop extension postern;
set role tr_author;
create trigger t before insert on member for each row execute function authors();
reset role;
\c regression
drop database tr_without;
set client_min_messages = warning;
drop publication tr_pub, tr_parts, tr_all;
drop schema tr, tr_all, tr_element cascade;
drop owned by tr_author, tr_owner, tr_other, tr_team, tr_mate, tr_super;
drop role tr_owner, tr_author, tr_other, tr_mate, tr_team, tr_admin, tr_super, tr_heir, tr_no_heir;
