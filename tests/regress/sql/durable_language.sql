-- The language of durable functions: what each function and operator builds, and what it refuses.
\pset format unaligned
\pset tuples_only on
\pset null '(null)'
\set SHOW_CONTEXT never
-- Operators and functions build the same text, with neither df nor public on the path.
set search_path = pg_temp;
select 'SELECT 1' ~> 'SELECT 2';
select 'SELECT 1' |=> 'a';
select 'SELECT 1' & 'SELECT 2';
select 'SELECT 1' | 'SELECT 2';
select 'SELECT 1' ?> 'SELECT 2';
select 'SELECT 1' ?> 'SELECT 2' !> 'SELECT 3';
select @> 'SELECT 1';
reset search_path;
select ('a' ~> 'b') = df.seq('a', 'b'), ('a' |=> 'x') = df.as('a', 'x'), ('a' & 'b') = df.join('a', 'b'),
       ('a' | 'b') = df.race('a', 'b'), ('a' ?> 'b' !> 'c') = df.if('a', 'b', 'c'), (@> 'a') = df.loop('a');
select ('a' |=> 'x') = df.as_op('a', 'x'), ('a' ?> 'b') = df.if_then_op('a', 'b'),
       ('a' ?> 'b' !> 'c') = df.if_else_op('a' ?> 'b', 'c'), (@> 'a') = df.loop_prefix_op('a');
-- One precedence, to the left.
select ('a' ~> 'b' |=> 'x' ~> 'c') = ((('a' ~> 'b') |=> 'x') ~> 'c'), ('a' ~> 'b' & 'c') = (('a' ~> 'b') & 'c'),
       (@> 'a' ~> 'b') = ((@> 'a') ~> 'b');
select 'q' ?> 'a' ~> 'b' !> 'c';
select 'q' ?> ('a' ~> 'b') !> 'c';
select 'a' !> 'b';
-- Every node.
select df.sql('SELECT ''{"node_type":"SQL"}''');
select df.sql('{"node_type":"SQL"}');
select df.sleep(3);
select df.sleep(interval '1.5 seconds');
select df.wait_for_schedule('*/5 * * * *');
select df.wait_for_signal('go');
select df.wait_for_signal('go', 5);
select df.loop('a', 'b');
select df.break();
select df.break('done');
select df.if_rows('x', 'a', 'b');
select df.join3('a', 'b', 'c');
select df.all(array['a', 'b', 'c', 'd']);
select df.race_all(array['a', 'b', 'c']);
select df.first(array['a', 'b']);
select df.retry('a');
select df.retry('a', 5, '2 seconds', 1.5, '1 minute', 0, array['40001', '08006']);
select df.catch('a', 'b');
select df.timeout('a', '1 minute');
select df.map('select id from t', 'select $item.id', 3);
select df.compensate('a', 'b');
select df.http('https://example.org/{x}', 'get', null, '{"A": "b"}', 5);
select df.http_multipart('https://example.org/', 'POST', '[{"name": "f", "data_b64": "YQ=="}]');
-- A NULL operand makes the whole NULL; a NULL argument that is needed is named.
select 'a' ~> null, null & 'b', df.sql(null), df.as(null, 'x'), df.sleep(null::bigint), df.all(null), df.join3('a', 'b', null);
select df.loop(null);
select df.wait_for_signal(null);
select df.retry(null);
select df.retry('a', null);
select df.map('a', null);
select df.http(null);
select df.all(array['a', null]);
-- What counts as a node.
select '{"node_type":"SQL","query":"SELECT 1"}' ~> '';
select '{"node_type":"NOPE"}' ~> 'b';
select '{"a": 1}' ~> '[1]';
select '{"node_type":"SQL","query":5}' ~> 'b';
select '{"node_type":"THEN","left_node":5}' ~> 'b';
-- Refusals while building.
select df.as('a', '');
select df.as('a', '1x');
select 'a' |=> 'x; drop';
select df.sleep(-1);
select df.sleep(interval '-1 second');
select df.wait_for_schedule('* * *');
select df.wait_for_schedule('61 * * * *');
select df.wait_for_schedule('@weekdays');
select df.wait_for_signal('');
select df.wait_for_signal('go', 0);
select df.if_rows('no name', 'a', 'b');
select df.all('{}');
select df.retry('a', 0);
select df.retry('a', 3, '-1 second');
select df.retry('a', 3, '1 second', max_backoff => '-1 day 23:00');
select df.retry('a', 3, '0', max_backoff => '0') is not null;
select df.timeout('a', '0');
select df.map('a', 'b', 0);
select df.map('a', 'b', 1, '');
select df.http('ftp://example.org/');
select df.http('https://example.org/', 'BREW');
select df.http('https://example.org/', 'GET', null, null, 0);
select df.http_multipart('https://example.org/', 'GET', '[{"name": "f", "data_b64": ""}]');
select df.http_multipart('https://example.org/');
select df.http_multipart('https://example.org/', 'POST', '{}');
select df.http_multipart('https://example.org/', 'POST', '[]');
-- Refusals at the start.
create role lng_ann nologin;
set client_min_messages = warning;
select df.grant_usage('lng_ann');
reset client_min_messages;
set role lng_ann;
select df.start(null);
select df.start('{"node_type":"NOPE"}');
select df.start('{"node_type":"SQL","query":5}');
select df.start('{"node_type":"THEN","left_node":{"node_type":"SQL","query":"a"}}');
select df.start('{"node_type":"LOOP","left_node":{"node_type":"SQL","query":"a"},"query":"{\"condition_node\": {\"node_type\":\"SQL\"}}"}');
select df.start('{"node_type":"SLEEP","query":"soon"}');
select df.start('{"node_type":"SQL","query":"a","extra_nodes":[{"node_type":"SQL","query":"b"}]}');
select df.start('{"node_type":"IF","query":"[]","left_node":{"node_type":"SQL","query":"a"},"right_node":{"node_type":"SQL","query":"b"}}');
do $$
declare chain text := 'SELECT 0';
begin
    for n in 1..300 loop chain := chain ~> 'SELECT 1'; end loop;
    perform df.start(chain);
end $$;
-- Half an IF is no statement.
select df.start('a' ?> 'b', 'half');
select df.start('a' ?> 'b' ~> 'c');
select 'a' ?> 'b' ~> 'c' !> 'd';
-- What is in an index has an end.
select df.start('SELECT 1', repeat('x', 2001));
select df.start('SELECT 1', key => repeat('x', 2001));
select df.wait_for_signal(repeat('x', 2001));
select df.call('SELECT 1', repeat('x', 2001));
select df.signal('00000000', repeat('x', 2001));
select df.setvar(repeat('x', 2001), '');
select df.schedule(repeat('x', 2001), '@daily', 'SELECT 1');
select df.schedule('s', '@daily', 'SELECT 1', label => repeat('x', 2001));
select df.start('SELECT 1', repeat('x', 2000), key => repeat('x', 2000)) is not null as fits;
-- Each way to call it means one function, whichever that is.
select df.start('SELECT 1', 'a', null, 'caller') is not null, df.start('SELECT 1'::varchar, 'a'::varchar) is not null,
       df.start('SELECT 1'::name) is not null, df.start('SELECT 1', 'a', null, 'caller', 'k') is not null,
       df.start('SELECT 1', 'a', key => 'k') = df.start('SELECT 2'::char(8), key => 'k'), df.start(fut => 'SELECT 1', priority => 5) is not null;
select df.sleep('2 seconds'), df.sleep('1.5'), df.sleep('30'), df.sleep(null) is null;
select df.sleep('soon');
select df.sleep('-1');
-- An answer is no step.
select df.setvar('a', 'b') ~> 'SELECT 1';
select df.start(df.setvar('a', 'b'));
select df.unsetvar('a') & 'SELECT 1';
select 'SELECT 1' | df.clearvars();
select @> df.setvar('a', 'b');
-- But a start beside one is none.
begin;
select df.setvar('a', 'b'), df.start('SELECT 1') is not null;
do $$ begin perform df.setvar('a', 'b'); perform df.start('SELECT 1'); perform df.start('SELECT 1' ~> 'SELECT 2'); end $$;
rollback;
-- Text that looks like a reference is one only where it can be.
select df.start('select 7 as n' |=> 'x' ~> 'select $x as a, ''$x'' as b, $$ $x $$ as c, /* $x */ ''{y}'' as d', 'text') as text \gset
select df.await_instance(:'text'), df.result(:'text');
select df.setvar('tab', 'pg_namespace');
select df.start('select nspname from {tab} where nspname = ''df''' |=> 'x' ~> 'select $x.nspname as n, ''{sys_label}'' as l', 'vars') as vars \gset
select df.await_instance(:'vars'), df.result(:'vars');
select df.clearvars();
reset role;
set client_min_messages = warning;
select df.revoke_usage('lng_ann');
drop role lng_ann;
