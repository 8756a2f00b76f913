-- Looking at durable functions: lists, nodes, history, pictures.
\pset format unaligned
\pset tuples_only on
\set SHOW_CONTEXT never
create role ins_ann nologin;
create role ins_ben nologin;
create role ins_watch nologin;
set client_min_messages = warning;
select df.grant_usage('ins_ann'), df.grant_usage('ins_ben');
reset client_min_messages;
grant postern_monitor to ins_watch;
create table ins_turns (n int); grant all on ins_turns to ins_ann;
set role ins_ann;
-- An id under a name of ours.
select df.start(df.if('select true', 'select 1 as one' |=> 'x', 'select 2') ~> 'select $x + 1 as two', 'sums') as id \gset
select df.await_instance(:'id');
select df.status(:'id'), df.result(:'id');
select label, function_name, function_version, current_execution_id, status, output from df.instance_info(:'id');
select execution_id, status, event_count, duration_ms >= 0, output from df.instance_executions(:'id');
select count(*) from df.instance_executions(:'id', 1);
select * from df.instance_executions(:'id', 0);
select count(*) from df.instance_executions('ffffffff');
select node_id, node_type, query, result_name, left_node, right_node, status, result, inferred_status, inferred_status_from_ancestor_id
  from df.instance_nodes(:'id') order by node_id;
select execution_id, node_id, node_type, status, result from df.instance_nodes(:'id', 5) order by node_id;
select node_id, node_type, iteration, attempt, status, query, result from df.history where instance_id = :'id' order by strand, n;
select regexp_replace(df.explain(:'id'), :'id', 'ID');
-- A failure has its SQLSTATE, and what was not reached was skipped.
select df.start('select 1/0' ~> 'select 42', 'bad') as bad \gset
select df.await_instance(:'bad');
select status, output from df.instance_info(:'bad');
select df.result(:'bad') is null;
select status, output from df.instance_executions(:'bad');
select node_type, status, result, inferred_status from df.instance_nodes(:'bad') order by node_id;
select node_type, attempt, status, sqlstate, message, result from df.history where instance_id = :'bad' order by strand, n;
select replace(df.explain(:'bad'), :'bad', 'ID');
-- Whatever one branch decides came to what that did; what a break passes came to its value; of a loop the last iteration counts.
create temp table kinds as select label, df.start(fut, label) as id from (values
    ('break', df.loop('select 1' ~> df.break('{"done": true}'))),
    ('break in branches', df.loop(df.race(df.catch('select 1' ~> df.break('out'), 'select 2'), df.sleep(60)))),
    ('first', df.first(array['select 1', 'select pg_sleep(60)'])),
    ('losing loop', df.race('select 1', @> df.sleep(60))),
    ('race', df.race('select 1', df.sleep(60))),
    ('time-out', df.timeout(df.race('select 1', df.sleep(60)), '60 seconds'))) f(label, fut);
select label, df.await_instance(id) from kinds order by label;
select k.label, n.node_type, n.status, n.inferred_status, n.result from kinds k, df.instance_nodes(k.id) n order by k.label, n.node_id;
select df.start(df.retry(df.loop(('select 4' & df.loop('select 5', 'select false')) ~> df.if('insert into ins_turns values (1) returning (select count(*) from ins_turns) = 0', 'select 6', 'select 7'),
                                 'select count(*) < 2 from ins_turns')), 'turns') as turns \gset
select df.await_instance(:'turns');
select node_type, iteration, attempt, status from df.history where instance_id = :'turns' and status = 'completed' order by strand, n;
select node_type, query, status, inferred_status from df.instance_nodes(:'turns') order by node_id;
-- A cancelled one.
select df.start(df.wait_for_signal('never'), 'long') as long \gset
select replace(df.cancel(:'long', 'enough'), :'long', 'ID');
select df.await_instance(:'long');
select status, output from df.instance_info(:'long');
select status, output from df.instance_executions(:'long');
select replace(df.explain(:'long'), :'long', 'ID');
-- The SQL as it ran, for each iteration and attempt.
reset role;
create table ins_count (n int);
insert into ins_count values (0);
grant all on ins_count to ins_ann;
set role ins_ann;
select df.start(df.loop('update ins_count set n = n + 1 returning n' |=> 'c', 'select $c < 2'), 'twice') as twice \gset
select df.await_instance(:'twice');
select node_type, iteration, attempt, status, query, result from df.history where instance_id = :'twice' order by strand, n;
select df.start(df.catch(df.retry('select 1/0', 2, '10 milliseconds'), 'select $error'), 'tries') as tries \gset
select df.await_instance(:'tries');
select node_type, attempt, status, sqlstate from df.history where instance_id = :'tries' order by strand, n;
-- Lists.
select label, status, execution_count from df.list_instances();
select label, status, completed_at is not null from df.list_instances(null, 10, 'bad');
select label from df.list_instances('failed');
select label from df.list_instances('FAILED', 10, null);
select label from df.list_instances('nothing of that kind');
select label, next_cursor is null from df.list_instances(null, 2, null);
select label, next_cursor is null from df.list_instances(null, 2, null,
    (select distinct next_cursor from df.list_instances(null, 2, null)));
select label, next_cursor is null from df.list_instances(null, 3, null,
    (select distinct next_cursor from df.list_instances(null, 2, null)));
select convert_from(decode(next_cursor, 'hex'), 'UTF8') ~ '^v1\|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00\|[0-9a-f]{8}$'
  from df.list_instances(null, 1, null);
-- The same page from any time zone, and from a cursor written in another.
set timezone = 'Asia/Kolkata';
select label from df.list_instances(null, 1, null,
    (select encode(convert_to('v1|' || to_char(created_at, 'YYYY-MM-DD"T"HH24:MI:SS.USOF') || '|' || id, 'UTF8'), 'hex')
       from df.instances where label = 'long'));
reset timezone;
select * from df.list_instances(null, 0);
select * from df.list_instances(null, null);
select * from df.list_instances(null, 0, null);
select * from df.list_instances(null, 1001);
select * from df.list_instances(null, 1001, null);
select * from df.list_instances(null, 10, null, 'xyz');
select * from df.list_instances(null, 10, null, '');
select * from df.list_instances(null, 10, null, encode('v1|now|00000000', 'hex'));
select * from df.list_instances(null, 10, null, encode('v1|2026-13-45T00:00:00.000000+00|00000000', 'hex'));
select * from df.list_instances(null, 10, null, repeat('00', 300));
select * from df.list_instances(null, 10, null, encode('v1|2026-01-01T00:00:00.000000+00|'' or true', 'hex'));
reset role;
set postern.list_instances_max_limit = 2;
select count(*) from df.list_instances(null, 3);
reset postern.list_instances_max_limit;
set pg_durable.list_instances_max_limit = 1;
select count(*) from df.list_instances(null, 2, null);
reset pg_durable.list_instances_max_limit;
set role ins_ann;
set postern.list_instances_max_limit = 5000;
-- Pictures of what was not started.
select df.explain('select 1');
select df.explain($$ 'select 1' |=> 'a' ~> df.sleep(5) $$);
select df.explain(df.loop('select 1' & df.wait_for_signal('go', 5), 'select false'));
select df.explain('select ''{"a": 1}''::jsonb @> ''{}''');
select df.explain('select 1' ~> 'select 2', 'mermaid');
select df.explain('select 1', 'svg') like '<svg%select 1%</svg>%';
select df.explain('select 1', 'png');
select df.explain('hello');
select df.explain('df.sql(null)');
select df.explain('{"node_type":"THEN"}');
select df.explain('00000000');
select df.explain(null) is null;
-- An expression means what it means to its writer, as its writer.
select df.explain('df.no_such()');
-- Others see nothing of it, and get no error.
set role ins_ben;
select count(*) from df.list_instances();
select count(*) from df.instance_info(:'id');
select count(*) from df.instance_nodes(:'id');
select count(*) from df.instance_executions(:'id');
select count(*) from df.history;
select count(*) from df.queue;
select df.status(:'id') is null, df.result(:'id') is null;
select replace(df.explain(:'id'), :'id', 'ID');
select * from df.metrics();
select count(*) from df.executors;
select count(*) from df._worker_epoch;
-- Who watches sees all.
set role ins_watch;
select total_instances >= 5, running_instances, completed_instances >= 2, failed_instances >= 1, total_executions = total_instances, total_events > 0 from df.metrics();
select count(*) from df.instances where submitted_by = 'ins_ann'::regrole;
select count(*) > 0, bool_and(state in ('runs', 'waits', 'looks')) from df.executors where database = current_database();
select count(*), bool_and(last_seen_at >= started_at) from df._worker_epoch;
reset role;
-- What waits.
set role ins_ann;
select df.start(df.wait_for_signal('a') & df.sleep(3600), 'waiting') as waiting \gset
do $$ begin while (select coalesce(sum(awaits_signal + sleeps), 0) < 2 from df.queue) loop perform pg_sleep(0.01); end loop; end $$;
select role, priority, due, awaits_signal, sleeps, awaits_branches, due_since, next_due > now() from df.queue;
select df.status(:'waiting'), inferred_status, node_type from df.instance_nodes(:'waiting') order by node_id;
select df.cancel(:'waiting') is not null;
select df.await_instance(:'waiting');
reset role;
-- Names that scripts look for.
select df.duroxide_schema(), df.target_database(), df.version() ~ '^postern \d', df.run(), df.run('x');
set role ins_ben;
select sentinel, schema_version, initialized_at is not null from _duroxide._worker_ready;
reset role;
drop table ins_count, ins_turns;
revoke postern_monitor from ins_watch;
set client_min_messages = error;
select df.revoke_usage('ins_ann'), df.revoke_usage('ins_ben');
drop owned by ins_ann;
drop role ins_ann, ins_ben, ins_watch;
