-- Code that comes into a replicated table by way of something else: a type within a type, a cast, a range, the negator of an operator, the
-- key of a table above a partition, the row type of another table, an extension that is trusted.
\pset format unaligned
\pset tuples_only on
\set SHOW_CONTEXT never
\set VERBOSITY default
set client_min_messages = warning;
create role rc_owner nologin;
create role rc_author nologin;
create schema rc;
grant usage, create on schema rc to public;
grant create on database regression to rc_author;
set search_path = rc;
-- What the author may attach, and what not.
set role rc_author;
create function test(int) returns int language plpgsql immutable as 'begin return $1; end';
create function less(int, int) returns float8 language plpgsql immutable as 'begin return $1 - $2; end';
create function differs(int, int) returns bool language plpgsql immutable as 'begin return $1 <> $2; end';
create domain authors_domain as int;
create function in_domain(int) returns int language plpgsql immutable security definer set search_path = pg_catalog, pg_temp as 'begin return $1; end';
create function in_type_default() returns int language plpgsql immutable security definer set search_path = pg_catalog, pg_temp as 'begin return 1; end';
create function in_cast(int) returns int language plpgsql immutable security definer set search_path = pg_catalog, pg_temp as 'begin return $1; end';
create function in_range(int, int) returns float8 language plpgsql immutable security definer set search_path = pg_catalog, pg_temp as 'begin return $1 - $2; end';
create function in_negator(int, int) returns bool language plpgsql immutable security definer set search_path = pg_catalog, pg_temp as 'begin return true; end';
create function in_key(int) returns int language plpgsql immutable security definer set search_path = pg_catalog, pg_temp as 'begin return $1; end';
create function in_index(int) returns int language plpgsql immutable security definer set search_path = pg_catalog, pg_temp as 'begin return $1; end';
create function in_predicate(int) returns int language plpgsql immutable security definer set search_path = pg_catalog, pg_temp as 'begin return $1; end';
set role rc_owner;
create function owners() returns trigger language plpgsql as 'begin return new; end';
create function same(int, int) returns bool language plpgsql immutable as 'begin return $1 = $2; end';
create table doc (id int primary key, body text);
reset role;
set client_min_messages = error;
create publication rc_pub for table doc;
set client_min_messages = warning;

-- A domain of the owner's own, with a check that is not: as a column, as the new type of one, in an array.
set role rc_owner;
create domain checked as int check (test(value) > 0);
alter table doc add column n checked;
alter table doc alter id type checked;
alter table doc add column n checked[];
-- A cast to a domain of somebody else, who adds a check later: in a check, a default, an index, a generated column, a condition.
alter table doc add check (id::authors_domain is not null);
alter table doc alter body set default (1::authors_domain)::text;
create index on doc ((id::authors_domain));
alter table doc add column g int generated always as (id::authors_domain) stored;
create trigger t before insert on doc for each row when (new.id::authors_domain is not null) execute function owners();
-- By a holder of TRIGGER, on any table.
reset role;
set postern.trigger_rule = error;
set role rc_owner;
create table plain (id int);
create sequence s;
create function closed(int) returns bool language sql as 'select true';
revoke execute on function closed(int) from public;
grant trigger on plain to rc_author;
set role rc_author;
create trigger t before insert on plain for each row when (new.id::authors_domain is not null) execute function owners();
-- 16: a function of the server that does what it is told; one that its author may not execute. What is harmless is let through.
create trigger t before insert on plain for each row when (query_to_xml('select 1', true, true, '') is not null) execute function owners();
create trigger t before insert on plain for each row when (table_to_xml('pg_authid', true, true, '') is not null) execute function owners();
create trigger t before insert on plain for each row when (rc.closed(new.id)) execute function owners();
create trigger t before insert on plain for each row when (pg_trigger_depth() = 0 and random() < 2 and now() < clock_timestamp() and nextval('rc.s') > 0) execute function owners();
set role rc_owner;
create trigger told before insert on doc for each row when (set_config('role', 'none', true) is not null) execute function owners();
create trigger told before insert on plain for each row when (set_config('role', 'none', true) is not null) execute function owners();
create trigger fine before insert on doc for each row when (pg_trigger_depth() = 0 and random() < 2) execute function owners();
select reason, object, function, mend from postern.replication_findings where relation = 'plain'::regclass;
drop table plain;
drop trigger fine on doc;
reset role;
reset postern.trigger_rule;
-- A domain that casts to a domain.
set role rc_owner;
create domain casts as int check (value::authors_domain is not null);
alter table doc add column n casts;
-- A range, of which somebody else subtracts the ends.
create type span as range (subtype = int, subtype_diff = less);
alter table doc add column s span;
alter table doc add column s rc.span[];
alter table doc add column s span_multirange;
create type span_ok as range (subtype = int);
alter table doc add column s span_ok;
-- NOT (a === b) is a !== b.
create operator === (function = same, leftarg = int, rightarg = int);
create operator !== (function = differs, leftarg = int, rightarg = int, negator = ===);
alter table doc add check (not id operator(rc.===) 0);
-- The operator gets its negator afterwards.
create operator ==== (function = same, leftarg = int, rightarg = int);
alter table doc add constraint c check (not id operator(rc.====) 0);
create operator !=== (function = differs, leftarg = int, rightarg = int, negator = ====);
alter table doc drop constraint c;
-- The key of a table above a partition: it is asked when a row is written into the partition alone.
create table parent (id int, v int) partition by list (test(id));
create table leaf partition of parent for values in (1);
create table middle (id int, v int) partition by list (id);
create table deep partition of middle for values in (3);
create table later (id int, v int);
reset role;
alter publication rc_pub add table leaf;
alter publication rc_pub add table deep, later;
set role rc_owner;
alter table parent attach partition later for values in (2);
alter table parent attach partition middle for values in (3);
-- A column of a table that is the type of a column.
set role rc_author;
create table authors_row (a int);
set role rc_owner;
alter table doc add column r authors_row[];
set role rc_author;
alter table authors_row add column b authors_domain;
alter table authors_row add column b int;
set role rc_owner;
alter table doc drop column r;
reset role;

-- What is allowed as SECURITY DEFINER stays that, however far away it is; and the owner changes what is its own.
set role rc_owner;
create domain inner_domain as int check (in_domain(value) > 0);
create domain default_domain as int default in_type_default();
create type pair as (a inner_domain[]);
create table rows (c pair);
create type diff as range (subtype = int, subtype_diff = in_range);
create domain cast_domain as int check (in_cast(value) > 0);
create operator <=> (function = same, leftarg = int, rightarg = int);
create operator <!> (function = in_negator, leftarg = int, rightarg = int, negator = <=>);
create table key (id int) partition by list (in_key(id));
create table key_1 partition of key for values in (1) partition by list (id);
create table key_1_1 partition of key_1 for values in (1);
create table doc1 (id int primary key, x rows[]);
create table doc2 (id int primary key, x diff);
create table doc3 (id int primary key check ((id::cast_domain)::int > 0));
create table doc4 (id int primary key check (not id operator(rc.<=>) 1));
create table doc5 (id int primary key);
create index on doc5 (in_index(id)) where in_predicate(id) = 1;
create table doc6 (id int primary key, v default_domain);
reset role;
alter publication rc_pub add table key_1_1, doc1, doc2, doc3, doc4, doc5, doc6;
set role rc_author;
alter function in_domain(int) security invoker;
alter function in_type_default() security invoker;
alter function in_cast(int) security invoker;
alter function in_range(int, int) security invoker;
alter function in_negator(int, int) security invoker;
alter function in_key(int) security invoker;
create or replace function in_index(int) returns int language plpgsql immutable as 'begin return $1; end';
alter routine in_predicate(int) security invoker;
reset role;
-- Only tables that use it are looked at.
select p.proname, u::regclass from pg_proc p, lateral postern.code_users(array['pg_proc'::regclass::oid], array[p.oid]) u
 where p.pronamespace = 'rc'::regnamespace and p.proname like 'in\_%' order by 1, u::text;
set role rc_author;
select count(*) from pg_proc where pronamespace = 'rc'::regnamespace and proname like 'in\_%' and not prosecdef;
-- Nothing uses this one.
alter function in_key(int) rename to in_key_now;
alter function test(int) security definer;
alter function test(int) security invoker;
set role rc_owner;
alter domain cast_domain add check (test(value) > 0) not valid;
alter domain inner_domain set default test(1);
alter type pair add attribute b authors_domain;
alter table rows add column d authors_domain;
reset role;
select relation, reason, object from postern.replication_findings where replicated;
select relation::regclass, kind, object, function::regprocedure from unnest('{doc1,doc2,doc3,doc4,key_1_1}'::regclass[]) r,
    lateral postern.table_code(array[r::oid]) k where function is not null order by r::text, 2, 3, 4;

-- 11: of an extension that is trusted its owner, too, adds functions, and takes them away. Only what a superuser has made is everyone's.
grant trigger on doc to rc_author;
create function supers() returns trigger language plpgsql as 'begin return new; end';
alter extension plpgsql add function supers();
set postern.trusted_extensions = plpgsql;
-- As whoever made it: the server made this one.
select extowner::regrole as before from pg_extension where extname = 'plpgsql' \gset
update pg_extension set extowner = 'rc_author'::regrole where extname = 'plpgsql';
set role rc_author;
create function own() returns trigger language plpgsql as 'begin return new; end';
alter extension plpgsql add function own();
create trigger own before insert on doc for each row execute function own();
create trigger supers before insert on doc for each row execute function supers();
reset role;
alter function supers() owner to rc_author;
alter function supers() owner to current_user;
alter extension plpgsql drop function own();
-- Who owns neither.
set role rc_author;
alter extension plpgsql drop function supers();
reset role;
update pg_extension set extowner = :'before'::regrole where extname = 'plpgsql';
alter extension plpgsql drop function supers();
drop trigger supers on doc;
reset postern.trusted_extensions;
drop publication rc_pub;
set client_min_messages = error;
drop schema rc cascade;
drop owned by rc_owner, rc_author;
drop role rc_owner, rc_author;
