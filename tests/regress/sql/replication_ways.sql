-- Ways round the rules of replication, the rest of them. The numbers are those of the list of ways; the others are in trigger_rule (1 to 17,
-- 19 to 22, 25 to 28, 35 to 41, 46, 50, 52, 53, 56, 63, 64, 67), replication_notes (18, 21 to 24, 30, 32, 34, 42, 55, 56, 59, 65, 66) and
-- publications (43 to 49); of two servers, of scripts and restores, and of servers without the library (51, 58, 60, 61) in the end-to-end
-- tests; 62 in the isolation tests; 33 in those of postern check.
\pset format unaligned
\pset tuples_only on
\set SHOW_CONTEXT never
set client_min_messages = warning;
create role rw_owner nologin;
create role rw_author nologin;
create schema rw;
grant usage, create on schema rw to public;
set search_path = rw;
set role rw_owner;
create table doc (id int primary key, body text);
create function owners() returns trigger language plpgsql as 'begin return new; end';
grant trigger on doc to rw_author;
set role rw_author;
create function authors() returns trigger language plpgsql as 'begin return new; end';
reset role;
set client_min_messages = error;
create publication rw_pub for table doc;
set client_min_messages = warning;

-- 13: foreign tables, which are never replicated.
create foreign data wrapper rw_wrapper;
create server rw_server foreign data wrapper rw_wrapper;
create foreign table far (id int) server rw_server;
alter foreign table far owner to rw_owner;
grant trigger on far to rw_author;
set role rw_author;
create trigger t13 before insert on far for each row execute function authors();
reset role;
drop trigger t13 on far;
set postern.trigger_rule = error;
set role rw_author;
create trigger t13 before insert on far for each row execute function authors();
reset role;
reset postern.trigger_rule;

-- 29: a function of a replicated table that sets what it may not, by its owner and by a superuser.
set role rw_owner;
create trigger t29 before insert on doc for each row execute function owners();
alter function owners() set role = rw_owner;
alter function owners() set search_path = pg_catalog, pg_temp;
alter function owners() reset search_path;
reset role;
alter function owners() set session_replication_role = replica;
select reason, sentence, mend from postern.replication_findings where relation = 'doc'::regclass;
alter function owners() reset session_replication_role;
-- And one that has it before it is attached.
set role rw_owner;
create function sets_role() returns trigger language plpgsql set role = rw_owner as 'begin return new; end';
create trigger t29s before insert on doc for each row execute function sets_role();
-- 31: another name and another schema are no other function.
reset role;
create schema rw_other;
grant all on schema rw_other to rw_owner;
set role rw_owner;
alter function owners() set schema rw_other;
alter function rw_other.owners() set schema rw;
reset role;
select tgname, tgfoid::regprocedure from pg_trigger where tgrelid = 'doc'::regclass and not tgisinternal;

-- 41: what cannot be published, and what is published and cannot become that.
create unlogged table quick (id int primary key);
create temporary table passing (id int primary key);
alter publication rw_pub add table quick;
alter publication rw_pub add table passing;
alter publication rw_pub add table far;
alter table doc set unlogged;
set role rw_author;
create temporary table own (id int);
create trigger t41 before insert on own for each row execute function authors();
drop table own;
reset role;
-- 45: a trigger that is switched off counts, since the owner of the table switches it on.
create table off (id int primary key);
create trigger t45 before insert on off for each row execute function authors();
alter table off owner to rw_owner;
alter table off disable trigger t45;
alter publication rw_pub add table off;

-- 54: types and operator classes with functions of their own are a superuser's, and are noted.
create type word;
create function word_in(cstring) returns word language internal immutable strict as 'textin';
create function word_out(word) returns cstring language internal immutable strict as 'textout';
create type word (input = word_in, output = word_out, like = text);
create function order_of(int, int) returns int language plpgsql immutable as 'begin return $1 - $2; end';
create operator class backwards for type int using btree as
    operator 1 >, operator 2 >=, operator 3 =, operator 4 <=, operator 5 <, function 1 order_of(int, int);
set role rw_author;
create function own_out(word) returns cstring language internal immutable strict as 'textout';
create operator class own for type int using btree as function 1 btint4cmp(int, int);
reset role;
set role rw_owner;
alter table doc add column w word;
create index doc_backwards on doc (id backwards);
reset role;
select note, object, function, sentence from postern.replication_notes where relation = 'doc'::regclass order by 1, 2, 3;
-- Of an extension that is trusted they are nothing to say of.
alter extension plpgsql add function word_in(cstring);
alter extension plpgsql add function order_of(int, int);
set postern.trusted_extensions = plpgsql;
select note, object, function, sentence from postern.replication_notes where relation = 'doc'::regclass order by 1, 2, 3;
reset postern.trusted_extensions;
alter extension plpgsql drop function word_in(cstring);
alter extension plpgsql drop function order_of(int, int);

-- Row filters: the server takes only its own functions in them.
set role rw_owner;
create function keeps(int) returns bool language sql immutable as 'select true';
reset role;
alter publication rw_pub set table doc where (keeps(id));
alter publication rw_pub set table doc where (id > 0);
alter publication rw_pub set table doc;

-- 57: event triggers are switched off, by the setting of 17 and later, and all of them one by one. Nothing rests on them.
do $$ begin perform set_config(name, 'off', false) from pg_settings where name = 'event_triggers'; end $$;
select count(*) from pg_event_trigger where evtenabled <> 'D';
set role rw_author;
create trigger t57 before insert on doc for each row execute function authors();
reset role;
do $$ begin perform set_config(name, 'on', false) from pg_settings where name = 'event_triggers'; end $$;

-- 52: a domain comes into a table by a composite type, which is somebody else's.
set role rw_author;
create type pair as (a int);
create domain pairs_domain as int;
set role rw_owner;
alter table doc add column q pair[];
set role rw_author;
alter type pair add attribute b pairs_domain;
alter type pair add attribute c int;
create type unused as (a pairs_domain);
reset role;
alter type pair add attribute b pairs_domain;
select reason, object, mend from postern.replication_findings where relation = 'doc'::regclass;
alter table doc drop column q;
-- 52, 53: a constraint of a domain is named with its domain.
create domain positive as int;
alter domain positive owner to rw_owner;
create function test(int) returns bool language sql as 'select true';
alter function test(int) owner to rw_author;
set role rw_owner;
alter table doc add column p positive[];
alter domain positive add constraint "is positive" check (rw.test(value)) not valid;
reset role;
alter domain positive add constraint "is positive" check (rw.test(value)) not valid;
select reason, object, function, sentence from postern.replication_findings where relation = 'doc'::regclass;
select relation, publication, subscription, sentence, mend, held from postern.recheck_replication(hold => true);
alter domain positive drop constraint "is positive";
select * from postern.recheck_replication();
set role rw_author;
select * from postern.recheck_replication();
reset role;

-- Who may make something without anybody asking: nothing of it is of a replicated table, or everything is the owner's.
set role rw_owner;
create table plain (id int primary key, v int default 1 check (v > 0));
create trigger t before insert on plain for each row execute function owners();
alter table plain alter v set default 2;
create trigger t before update on doc for each row execute function owners();
create trigger u before update on doc for each row execute function suppress_redundant_updates_trigger();
-- The same in one transaction with what makes it one.
begin;
reset role;
alter publication rw_pub add table plain;
grant trigger on plain to rw_author;
set role rw_author;
create trigger mine before insert on plain for each row execute function authors();
rollback;
begin;
grant trigger on plain to rw_author;
set local role rw_author;
create trigger mine before insert on plain for each row execute function authors();
reset role;
alter publication rw_pub add table plain;
rollback;
reset role;
-- A partition of a published table is one, at any depth, also where the table is published by its schema.
create schema rw_all;
set client_min_messages = error;
create publication rw_all for tables in schema rw_all;
set client_min_messages = warning;
grant usage on schema rw_all to public;
create table rw_all.top (id int) partition by list (id);
create table middle partition of rw_all.top for values in (1, 2) partition by list (id);
create table leaf partition of middle for values in (1);
alter table leaf owner to rw_owner;
grant trigger on leaf to rw_author;
set role rw_author;
create trigger mine before insert on leaf for each row execute function authors();
set role rw_owner;
create function leafs(int) returns bool language sql as 'select true';
reset role;
alter function leafs(int) owner to rw_author;
set role rw_owner;
alter table leaf add constraint c check (leafs(id)) not valid;
alter table leaf alter id set default leafs(1)::int;
reset role;
alter table middle detach partition leaf;
set role rw_owner;
alter table leaf add constraint c check (leafs(id)) not valid;
reset role;
alter table middle attach partition leaf for values in (1);
drop publication rw_all;
drop publication rw_pub;
set client_min_messages = error;
drop schema rw, rw_other, rw_all cascade;
drop foreign data wrapper rw_wrapper cascade;
drop owned by rw_owner, rw_author;
drop role rw_owner, rw_author;
