-- What may be published.
\pset format unaligned
\pset tuples_only on
\set SHOW_CONTEXT never
set client_min_messages = warning;
create role pu_owner nologin;
create role pu_author nologin;
create role pu_super nologin superuser;
create schema pu;
grant usage, create on schema pu to public;
grant create on database regression to pu_owner;
set search_path = pu;
set role pu_author;
create function authors() returns trigger language plpgsql as 'begin return new; end';
create function authors_definer() returns trigger language plpgsql security definer set search_path = pg_catalog, pg_temp as 'begin return new; end';
create domain authors_domain as int;
set role pu_owner;
create table good (id int primary key);
create table bad (id int primary key, "odd name" authors_domain);
create trigger "Odd" before insert on bad for each row execute function authors();
create trigger fine before insert on bad for each row execute function authors_definer();
create table referring (id int primary key references good);
create table part (id int) partition by list (id);
create table part_1 partition of part for values in (1);
create trigger tp before insert on part_1 for each row execute function authors();
reset role;
set client_min_messages = error;

-- A table with code of somebody else: refused to everyone, with what is wrong; foreign keys' own triggers are none.
set role pu_owner;
create publication p for table good, bad;
create publication p for table good, referring;
alter publication p add table bad;
alter publication p set table bad;
alter publication p add table part;
alter publication p add tables in schema pu;
reset role;
alter publication p add table pu.bad;
alter publication p add tables in schema pu;
select tablename from pg_publication_tables where pubname = 'p' order by 1;
-- The commands that mend it, and what is left after some of them.
select reason, object, mend from postern.replication_findings where relation in ('bad'::regclass, 'part_1'::regclass) order by relation::text, 1, 2;
alter function authors() owner to pu_owner;
alter domain authors_domain owner to pu_owner;
set role pu_owner;
alter publication p add table bad, part;
reset role;
alter function authors() owner to pu_author;
select reason, replicated, object from postern.replication_findings where relation in ('bad'::regclass, 'part_1'::regclass) order by relation::text, 1, 2;
alter function authors() owner to pu_owner;
drop publication p;

-- The system's tables, an extension's, ours: by name, by schema, by FOR ALL TABLES.
create publication p for table information_schema.sql_features;
create publication p for tables in schema information_schema;
create publication p for table pg_catalog.pg_class;
create publication p for table postern.admitted;
create publication p for tables in schema df;
set client_min_messages = warning;
do $$
declare
    what text;
begin
    -- How many tables it names changes with our versions.
    foreach what in array '{all tables,"tables in schema postern"}'::text[] loop
        begin
            execute 'create publication p for ' || what;
        exception when object_not_in_prerequisite_state then
            raise warning 'refused: %', what;
        end;
    end loop;
end
$$;
set client_min_messages = error;
create table of_extension (id int primary key);
alter extension plpgsql add table of_extension;
create publication p for table of_extension;
create publication p for tables in schema pu;
-- What to write instead.
select postern.publication_statement('p', '{pu}');
alter extension plpgsql drop table of_extension;
create publication p for tables in schema pu;
select tablename from pg_publication_tables where pubname = 'p' order by 1;
-- A table that joins the schema later.
set client_min_messages = warning;
create table pu.later (id int);
alter table later owner to pu_owner;
alter function authors() owner to pu_author;
grant trigger on later to pu_author;
set role pu_author;
create trigger t before insert on later for each row execute function authors();
reset role;
-- With warn, all of it is said and done; with off, done.
set postern.trigger_rule = warn;
create publication q for table postern.admitted;
drop publication q;
set postern.trigger_rule = off;
set client_min_messages = error;
create publication q for table postern.admitted;
drop publication q;
reset postern.trigger_rule;
-- A transaction that would be whole in the end is judged at each step.
set client_min_messages = error;
set role pu_owner;
begin;
create table fresh (id int);
create publication r for table fresh;
create trigger t before insert on fresh for each row execute function authors();
rollback;
reset role;
drop publication p;
drop schema pu cascade;
drop owned by pu_owner, pu_author, pu_super;
drop role pu_owner, pu_author, pu_super;
