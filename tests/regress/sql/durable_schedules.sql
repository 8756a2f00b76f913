-- Schedules: what they are given, what they refuse, whose they are. That they tick is in the end-to-end tests.
\pset format unaligned
\pset tuples_only on
\pset null '(null)'
\set SHOW_CONTEXT never
create role sch_ann nologin;
create role sch_ben nologin;
set client_min_messages = warning;
select df.grant_usage('sch_ann'), df.grant_usage('sch_ben');
reset client_min_messages;
set role sch_ann;
select df.schedule('a', 'CRON_TZ=Europe/Berlin 0 2 1 1 *', 'select 1' ~> 'select 2') > now();
select df.schedule('b', '@yearly', 'select 1', overlap => 'QUEUE', backfill => true, label => 'B', priority => -5) > now();
select name, cron, submitted_by, overlap, backfill, status, label, priority, started, missed, last_tick, last_instance, step
  from df.schedules order by name;
-- The same name replaces it.
select df.schedule('a', '0 2 1 1 *', 'select 3') > now();
select name, cron, overlap, step from df.schedules where name = 'a';
-- With the transaction.
begin;
select df.schedule('c', '@daily', 'select 1') > now();
select df.unschedule('a');
rollback;
select name from df.schedules order by name;
select df.pause_schedule('a');
select status, paused_at is not null from df.schedules where name = 'a';
select df.resume_schedule('a') > now(), df.resume_schedule('a') > now();
select df.unschedule('a');
-- Refusals.
select df.unschedule('a');
select df.pause_schedule('a');
select df.resume_schedule('a');
select df.schedule('', '@daily', 'select 1');
select df.schedule(null, '@daily', 'select 1');
select df.schedule('d', null, 'select 1');
select df.schedule('d', '@daily', null);
select df.schedule('d', 'every day', 'select 1');
select df.schedule('d', '0 0 30 2 *', 'select 1');
select df.schedule('d', '@daily', 'select 1', overlap => 'twice');
select df.schedule('d', '@daily', '{"node_type": "NONE"}');
select df.schedule('d', '@daily', 'select 1', priority => 1000);
-- Nobody else's.
set role sch_ben;
select name from df.schedules;
select df.unschedule('b');
update postern.schedule set owner = 'sch_ben';
reset role;
-- A superuser's would run with all rights.
select df.schedule('all rights', '@daily', 'select 1');
select name, submitted_by from df.schedules;
drop owned by sch_ann, sch_ben;
delete from postern.schedule;
drop role sch_ann, sch_ben;
