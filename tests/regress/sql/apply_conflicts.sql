-- What is written down of an error that an apply worker has noted, and of counters; without a publisher.
\pset format unaligned
\pset tuples_only on
\set SHOW_CONTEXT never
set client_min_messages = error;
create role ac_owner nologin;
create role ac_reader nologin;
create schema ac authorization ac_owner;
set search_path = ac;
grant usage on schema ac to ac_reader;
set role ac_owner;
create table doc (id int primary key);
create table "doc-b" (id int primary key);
create table docs (id int primary key);
create table "of doc" (id int primary key);
grant select on doc to ac_reader;
reset role;
create schema "my ac";
create table "my ac".doc (id int primary key);
create subscription ac_sub connection 'dbname=none' publication ac_pub with (connect = false, slot_name = none);
select oid as sub from pg_subscription where subname = 'ac_sub' \gset
set allow_system_table_mods = on;
insert into pg_subscription_rel select :sub, t, 'r' from unnest(array['doc', '"doc-b"', 'docs', '"of doc"']::regclass[]) t;
reset allow_system_table_mods;
create function noted(origin text, sqlstate text default '23505', in_code bool default false, relation regclass default '-', kind text default 'apply')
returns text language plpgsql as $$
declare
    r postern.apply_conflicts;
begin
    delete from postern.apply_conflicts;
    perform postern.note_apply_error((select oid from pg_subscription where subname = 'ac_sub'), relation, kind, sqlstate, 'a message', origin, in_code, clock_timestamp());
    select * into r from postern.apply_conflicts;
    return concat_ws(' ', r.relation, r.kind, r.errors, r.sqlstate, r.message, r.position);
end
$$;
-- The table and the position, as each version and each language says it.
select noted('processing remote data for replication origin "pg_16395" during "INSERT" for replication target relation "ac.doc" in transaction 725 finished at 0/14BFA88');
select noted('processing remote data for replication origin "pg_16395" during message type "UPDATE" for replication target relation "ac.doc" column "id" in transaction 725, finished at 1A/14BFA88');
select noted('Verarbeiten empfangener Daten für Replication-Origin »pg_16395« bei Nachrichtentyp »INSERT« für Replikationszielrelation »ac.doc« in Transaktion 725, beendet bei 0/14BFA88');
select noted('traitement des données distantes pour la relation cible « ac.doc » dans la transaction 725, terminée à 0/14BFA88');
select noted('processing remote data for replication origin "pg_16395" during message type "COMMIT" in transaction 725, finished at 0/14BFA88');
select noted('processing remote data during message type "INSERT" for replication target relation "ac.docs" in transaction 725');
-- What could be one of two is neither; what is another's is not this one's.
select noted('for replication target relation "ac.doc-b" in transaction 725, finished at 0/1');
select noted('for replication target relation "ac.of doc" in transaction 725, finished at 0/1');
select noted('for replication target relation "xac.doc" in transaction 725, finished at 0/1');
select noted('for replication target relation "ac.doc.b" in transaction 725, finished at 0/1');
select noted('for replication target relation "ac.unknown" in transaction 725, finished at 0/1');
select noted('for replication target relation "F/A.0/1" in transaction 725, finished at 2/3');
select noted('ac.doc');
select noted('');
set allow_system_table_mods = on;
insert into pg_subscription_rel values (:sub, '"my ac".doc'::regclass, 'r');
reset allow_system_table_mods;
select noted('for replication target relation "my ac.doc" in transaction 725, finished at 0/1');
select noted('for replication target relation "ac.doc" in transaction 725, finished at 0/1');
-- In the first copy the worker knows it. A conflict is no error.
select noted('COPY doc, line 1', relation => 'doc', kind => 'sync');
select noted('for replication target relation "ac.docs"', '40001', kind => 'conflict');
-- What code says is kept to itself, but for names of what is missing and of constraints.
select noted('for replication target relation "ac.docs"', 'P0001', true);
select noted('for replication target relation "ac.docs"', '22P02', true);
select noted('for replication target relation "ac.docs"', '42P01', true);
select noted('for replication target relation "ac.docs"', '23505', true);
select noted('for replication target relation "ac.docs"', 'P0001', false);
-- A subscription that is gone, or of another database.
select postern.note_apply_error(1, 'docs'::regclass, 'apply', '23505', 'a message', '', false, now());
select count(*) from postern.apply_conflicts where relation is null;

-- The same at one place is one row; elsewhere it is another.
delete from postern.apply_conflicts;
select postern.note_apply_error(:sub, 0, 'apply', '23505', message, format('for replication target relation "ac.docs" finished at %s', place), false, '2020-01-01Z'::timestamptz + n * '1 s'::interval)
  from (values (1, 'a', '0/1'), (2, 'a', '0/1'), (3, 'a', '0/2'), (4, 'b', '0/2'), (5, 'a', '0/1')) v (n, message, place);
select errors, position, message, extract(second from seen_at)::int, extract(second from last_at)::int from postern.apply_conflicts order by id;
-- Counters: none of these were counted yet, so the next that are counted are these.
select kind, counted, noted from postern.apply_counts order by 1;
-- Counted while nobody had noted it, and noted afterwards: it is one error.
delete from postern.apply_conflicts;
delete from postern.apply_counts;
select postern.keep_apply_conflict('ac_sub', null, 'apply', 2, '0/1', null, null, clock_timestamp());
select postern.note_apply_error(:sub, 0, 'apply', '23505', 'a', 'for replication target relation "ac.docs"', false, clock_timestamp() - '1 s'::interval);
select relation, errors, sqlstate from postern.apply_conflicts order by id;
select postern.note_apply_error(:sub, 0, 'apply', '23505', 'a', 'for replication target relation "ac.docs"', false, clock_timestamp() - '1 s'::interval);
select relation, errors, sqlstate from postern.apply_conflicts order by id;
select count(*) from postern.apply_counts;
-- One that comes later was not counted then.
select postern.note_apply_error(:sub, 0, 'apply', '23505', 'a', 'for replication target relation "ac.docs"', false, clock_timestamp());
select relation, errors, sqlstate from postern.apply_conflicts order by id;
select kind, counted, noted from postern.apply_counts;
-- Counters that begin anew: nothing is made of it; and what a dropped subscription had is forgotten.
update postern.apply_counts set counted = 7;
select postern.record_apply_conflicts();
select kind, counted, noted from postern.apply_counts;
-- Who reads: the table is known, or all of the subscription's are readable.
select postern.note_apply_error(:sub, 'doc'::regclass, 'sync', '23505', 'a', '', false, now());
select postern.note_apply_error(:sub, 0, 'apply', '23505', 'b', 'in transaction 725', false, now());
set role ac_reader;
select relation, kind from postern.apply_conflicts order by 1, 2;
select * from postern.apply_counts;
select postern.note_apply_error(1, 0, 'apply', '23505', 'a', '', false, now());
select postern.keep_apply_conflict('ac_sub', null, 'apply', 2, '0/1', null, null, now());
reset role;
drop subscription ac_sub;
select postern.record_apply_conflicts();
select count(*) from postern.apply_counts;
delete from postern.apply_conflicts;
drop schema ac, "my ac" cascade;
drop role ac_owner, ac_reader;
