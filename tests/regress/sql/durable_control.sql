-- Starting, signals, cancelling, waiting, variables.
\pset format unaligned
\pset tuples_only on
\pset null '(null)'
\set SHOW_CONTEXT never
create role ctl_ann nologin;
create table ctl_log (n int, what text);
grant all on ctl_log to ctl_ann;
set client_min_messages = warning;
select df.grant_usage('ctl_ann');
reset client_min_messages;
set role ctl_ann;
-- An id is eight hexadecimal digits; the status is one of five.
select df.start('select 1') as id \gset
select :'id' ~ '^[0-9a-f]{8}$', df.await_instance(:'id'), df.status(:'id'), df.status('ffffffff');
select df.start('select 1', 'label', current_database(), 'CALLER') as id \gset
select df.await_instance(:'id');
select label from df.instances where id = :'id';
-- The caller's transaction decides.
begin;
select df.start('insert into ctl_log values (1, ''rolled back'')', 'never') is not null;
rollback;
begin;
savepoint s;
select df.start('insert into ctl_log values (1, ''rolled back'')', 'never') is not null;
rollback to s;
select df.start('insert into ctl_log values (1, ''committed'')', 'once') as id \gset
commit;
select df.await_instance(:'id');
select * from ctl_log;
select count(*) from df.instances where label = 'never';
-- A key makes a start idempotent.
select df.start('insert into ctl_log values (2, ''keyed'')', key => 'k1') as id \gset
select df.start('insert into ctl_log values (2, ''keyed'')', key => 'k1') = :'id';
select df.await_instance(:'id');
select df.start('insert into ctl_log values (2, ''keyed'')', key => 'k1') = :'id';
select count(*) from ctl_log where n = 2;
-- Refusals.
select df.start('select 1', transaction_mode => 'maybe');
select df.start('select 1', transaction_mode => null);
select df.start('select 1', database => 'no such');
select df.start('select 1', database => 'template1');
select df.start('select 1', priority => 1000);
-- Signals are kept until they are waited for, and belong to the sender's transaction.
select df.start(df.wait_for_signal('go') |=> 's' ~> 'select ($s::jsonb)->''data''->>''x'' as x', 'signalled') as id \gset
begin;
select df.signal(:'id', 'go', '{"x": "rolled back"}');
rollback;
select df.signal(:'id', 'go', '{"x": "committed"}');
select df.await_instance(:'id'), df.result(:'id');
begin;
select df.start(df.sleep(interval '10 milliseconds') ~> df.wait_for_signal('early', 60), 'early') as id \gset
select df.signal(:'id', 'early', 'not json');
commit;
select df.await_instance(:'id'), df.result(:'id');
select df.start(df.wait_for_signal('never', 1), 'late') as id \gset
select df.await_instance(:'id'), df.result(:'id');
-- One that is too late is no error.
select df.signal(:'id', 'never');
select df.signal('', 'go');
select df.signal(:'id', '');
select df.signal('ffffffff', 'go');
select df.signal(null, 'go'), df.signal(:'id', null);
-- Cancelling is, too.
select df.start(df.wait_for_signal('x') ~> 'insert into ctl_log values (3, ''cancelled'')', 'cancelled') as id \gset
begin;
select replace(df.cancel(:'id'), :'id', 'ID');
-- Whoever has asked for it sees it at once, whatever else is asked.
select df.status(:'id'), df.await_instance(:'id', 5), (select status from df.instances where id = :'id');
select status from df.list_instances('cancelled') where instance_id = :'id';
select status from df.list_instances('cancelled', 10, 'cancelled') where instance_id = :'id';
select status from df.instance_info(:'id');
select replace(df.cancel(:'id', 'twice'), :'id', 'ID');
rollback;
select df.status(:'id') in ('pending', 'running');
select replace(df.cancel(:'id', 'no more'), :'id', 'ID');
select df.await_instance(:'id'), df.result(:'id');
select error->>'message', error->>'sqlstate', completed_at is null, ended_at is not null from df.instances where id = :'id';
select replace(df.cancel(:'id', 'again'), :'id', 'ID');
select error->>'message' from df.instances where id = :'id';
select df.cancel('ffffffff');
select df.cancel(null);
-- Pausing, resuming and going on from the step that failed belong to it as well.
select df.start(df.wait_for_signal('x') ~> 'insert into ctl_log values (50, ''resumed'')', 'paused') as id \gset
begin;
select replace(df.pause(:'id'), :'id', 'ID');
rollback;
select replace(df.pause(:'id'), :'id', 'ID');
do $$ begin while (select status from df.instances where label = 'paused') <> 'paused' loop perform pg_sleep(0.01); end loop; end $$;
select df.status(:'id'), paused_at is not null, ended_at is null from df.instances where id = :'id';
select status from df.list_instances('paused');
select df.explain(:'id') like '%Paused%';
select df.rerun(:'id');
select replace(df.resume(:'id'), :'id', 'ID'), df.signal(:'id', 'x');
select df.await_instance(:'id');
select paused_at is null from df.instances where id = :'id';
select df.pause(:'id');
select df.resume(:'id');
select df.rerun(:'id');
select df.pause('ffffffff');
select df.pause(null), df.resume(null), df.rerun(null);
select df.start('select 1' ~> 'select 1 / n as n from ctl_missing', 'rerun') as id \gset
select df.await_instance(:'id');
select can_rerun, reruns from df.instances where id = :'id';
select df.pause(:'id');
begin;
select replace(df.rerun(:'id'), :'id', 'ID');
select df.status(:'id');
rollback;
select replace(df.rerun(:'id'), :'id', 'ID');
select df.await_instance(:'id');
select can_rerun, reruns from df.instances where id = :'id';
select count(*), count(*) filter (where status = 'failed') from df.history where instance_id = :'id';
-- What runs is stopped.
select df.start('select pg_sleep(600)', 'sleeper') as id \gset
do $$ begin while not exists (select from df.instances where label = 'sleeper' and status = 'running') loop perform pg_sleep(0.01); end loop; end $$;
select df.cancel(:'id') is not null;
select df.await_instance(:'id');
-- Waiting.
select df.await_instance('ffffffff');
select df.await_instance(:'id', 0);
select df.await_instance(null);
select df.wait_for_completion(:'id');
begin;
select df.start('select 1') as id \gset
\set VERBOSITY sqlstate
select df.await_instance(:'id', 1);
\set VERBOSITY default
rollback;
select df.start('select df.await_instance(''ffffffff'')') as id \gset
select df.await_instance(:'id');
select error->>'message' from df.instances where id = :'id';
-- A failure has all that the server said.
select df.start('select 1/0 as n' |=> 'x' ~> 'select 2', 'division') as id \gset
select df.await_instance(:'id'), df.result(:'id');
select error from df.instances where id = :'id';
select df.start('select * from ctl_no_such', 'missing') as id \gset
select df.await_instance(:'id');
select error->>'sqlstate' from df.instances where id = :'id';
-- Variables.
select df.setvar('a', '1'), df.setvar('b', '2'), df.getvar('a'), df.getvar('nothing');
select df.setvar('a', '3');
select name, value, owner from df.vars order by name;
select df.unsetvar('a'), df.unsetvar('nothing');
select df.getvar('a'), df.setvar(null, '1'), df.setvar('c', null);
-- A function has those of its start.
select df.start(df.wait_for_signal('go') ~> 'select {b} as b', 'var') as id \gset
select df.setvar('b', '99');
select df.signal(:'id', 'go');
select df.await_instance(:'id'), df.result(:'id');
select df.clearvars();
select count(*) from df.vars;
select df.start('select df.setvar(''a'', ''b'')') as id \gset
select df.await_instance(:'id');
select error->>'message' from df.instances where id = :'id';
select df.start('select df.clearvars()') as id \gset
select df.await_instance(:'id');
select error->>'message' from df.instances where id = :'id';
-- What cannot be in a transaction block, and more than one statement.
select df.start('select 1; select 2') as id \gset
select df.await_instance(:'id');
select error->>'message' from df.instances where id = :'id';
select df.start('') as id \gset
select df.await_instance(:'id'), df.result(:'id');
-- A step starts another function, which is its own.
select df.start('select df.start(''insert into ctl_log values (4, current_user)'', ''child'') is not null as started', 'parent') as id \gset
select df.await_instance(:'id'), df.result(:'id');
select df.await_instance((select id from df.instances where label = 'child'));
select * from ctl_log where n = 4;
-- Results of every type are JSON that comes back.
select df.start($$select 1::int2 as i, 9007199254740993 as l, 1.50 as n, 'NaN'::float8 as f, true as t, null as z, array[1, 2] as a,
    '{"k": [1]}'::jsonb as j, '2024-06-15 12:30+00'::timestamptz as at, '2024-06-15'::date as d, '1 day'::interval as v, '\xff'::bytea as b$$) as id \gset
select df.await_instance(:'id');
select output from postern.instance where id = :'id';
-- On the stack of a trigger, from a function, in the caller's transaction.
create function pg_temp.t() returns trigger language plpgsql as
    $$ begin perform df.start('insert into ctl_log values (5, ''by trigger'')', 'trigger'); return null; end $$;
create temporary table ctl_t (n int);
create trigger t after insert on ctl_t for each statement execute function pg_temp.t();
insert into ctl_t values (1);
select df.await_instance((select id from df.instances where label = 'trigger'));
select * from ctl_log where n = 5;
reset role;
set client_min_messages = warning;
drop owned by ctl_ann;
drop table ctl_log;
select df.revoke_usage('ctl_ann');
drop role ctl_ann;
