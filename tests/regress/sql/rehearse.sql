-- What apply would run into, without a publisher.
\pset format unaligned
\pset tuples_only on
\set SHOW_CONTEXT never
set client_min_messages = warning;
create role re_owner nologin;
create role re_author nologin;
create role re_admin nologin in role postern_admin;
create schema re;
grant usage, create on schema re to public;
grant postern_admin to re_admin;
set search_path = re;
set role re_owner;
create table log (what text);
create table doc (id int primary key, kind text not null default 'note', at timestamptz default now(), n int generated always as (id * 2) stored);
create function write_log() returns trigger language plpgsql as $$ begin insert into log values (tg_op || ' as ' || current_user); return coalesce(new, old); end $$;
create trigger origin after insert or update or delete on doc for each row execute function write_log();
reset role;
-- The trigger does not fire on apply.
select step, runs_as, outcome from postern.rehearse_apply('doc');
set role re_owner;
alter table doc enable always trigger origin;
reset role;
select step, outcome, sqlstate, message, fix from postern.rehearse_apply('doc');
select count(*) from doc;
select count(*) from log;
-- The fix is what it says.
alter function re.write_log() set search_path = re, pg_temp;
select step, outcome, message from postern.rehearse_apply('doc');
select count(*) from doc;
select count(*) from log;
-- A default, a check, an index and a domain whose functions do not resolve.
set role re_owner;
create function helper(int) returns int language sql immutable as 'select $1';
create function calls_helper(int) returns int language plpgsql immutable as 'begin return helper($1); end';
create table defaulted (id int primary key, v int default calls_helper(1));
create table checked (id int primary key check (calls_helper(id) > 0));
create table indexed (id int primary key);
create index on indexed (calls_helper(id));
create domain positive as int check (calls_helper(value) > 0);
create table of_domain (id positive primary key);
reset role;
select t, step, outcome, message, fix from unnest('{defaulted,checked,indexed,of_domain}'::regclass[]) t, postern.rehearse_apply(t) order by t::text, step;
-- A sample of one's own; rows that are there; a truncation.
set role re_owner;
create table strict (id int primary key, kind text check (kind in ('a', 'b')), day date not null, who uuid, tags text[], span int4range, j jsonb);
create function refuse_all() returns trigger language plpgsql as $$ begin raise exception 'no truncation'; end $$;
create trigger t before truncate on strict for each statement execute function refuse_all();
alter table strict enable replica trigger t;
reset role;
select step, outcome, sqlstate, message from postern.rehearse_apply('strict');
select step, outcome, sqlstate, message from postern.rehearse_apply('strict', '{"kind": "a"}');
insert into strict values (1, 'b', now());
insert into doc values (1);
select step, outcome, message from postern.rehearse_apply('doc');
select count(*) from doc;
-- A row that is there is the sample: what the table asks of a row is met, whatever it is; nothing else of the table is touched.
set role re_owner;
create table asks (id int generated always as identity primary key, kind text not null check (kind in ('a', 'b')), pair point not null, who text unique);
create function only_kind() returns trigger language plpgsql as $$ begin perform missing.missing(); return new; end $$;
create function keeps() returns trigger language plpgsql as $$ begin if old.id > 1 then raise exception 'another row'; end if; return old; end $$;
create trigger k before update of kind on asks for each row execute function only_kind();
create trigger d before delete on asks for each row execute function keeps();
alter table asks enable always trigger d;
reset role;
-- Made up, it is not what the table takes, which is no news of the publisher's rows.
select step, outcome, sqlstate, message, context from postern.rehearse_apply('asks');
insert into asks overriding system value values (1, 'b', '(1,1)', 'x'), (2, 'a', '(2,2)', '1');
select step, outcome, sqlstate, message from postern.rehearse_apply('asks');
select step, outcome, sqlstate, message from postern.rehearse_apply('asks', '{"id": 1, "kind": "a", "pair": "(0,0)"}');
-- A trigger for some columns fires on apply whichever have changed.
alter table asks enable replica trigger k;
select step, outcome, sqlstate, message, context from postern.rehearse_apply('asks');
-- A row that cannot be taken out for the time is not the sample.
delete from asks where id = 1;
select step, outcome, sqlstate, message, context from postern.rehearse_apply('asks');
select id, kind from asks;
-- Tables without columns, or with none that can be written; rules that the statement would meet, and apply does not.
set role re_owner;
create table no_columns ();
create table generated (n int generated always as (1) stored);
create table counted (id int generated always as identity primary key);
create table ruled (id int primary key);
create rule r as on insert to ruled do instead nothing;
reset role;
select t, step, outcome, message from unnest('{no_columns,generated,counted,ruled}'::regclass[]) t, postern.rehearse_apply(t) order by t::text, step;
alter table ruled enable always rule r;
select step, outcome, message from postern.rehearse_apply('ruled');
insert into counted overriding system value values (7);
create rule r as on update to counted do instead nothing;
alter table counted enable replica rule r;
select step, outcome, message from postern.rehearse_apply('counted');
-- Who may: administrators, not as a superuser.
set role re_owner;
select * from postern.rehearse_apply('doc');
set role re_admin;
select step, outcome from postern.rehearse_apply('doc');
reset role;
create table supers (id int primary key);
grant trigger on supers to re_author;
set role re_admin;
select step, outcome from postern.rehearse_apply('supers');
reset role;
-- Code of others does not run as a superuser, not even to be looked at.
set role re_author;
create function leave() returns trigger language plpgsql as $$ begin raise exception 'I am %', current_user; end $$;
create trigger t before insert on supers for each row execute function leave();
reset role;
alter table supers enable always trigger t;
select step, outcome, message from postern.rehearse_apply('supers');
-- It cannot leave the role.
set role re_owner;
create function leaves() returns trigger language plpgsql as $$ begin execute 'reset role'; return new; end $$;
create table left_behind (id int primary key);
create trigger t before insert on left_behind for each row execute function leaves();
alter table left_behind enable always trigger t;
reset role;
select step, outcome, sqlstate, message from postern.rehearse_apply('left_behind');
select postern.rehearse_statement(null, 'select 1');
select postern.rehearse_statement('re_owner'::regrole, null);
select * from postern.rehearse_apply(0);
select * from postern.apply_identity;
select current_user = session_user, current_setting('session_replication_role');
drop schema re cascade;
drop role re_owner, re_author, re_admin;
