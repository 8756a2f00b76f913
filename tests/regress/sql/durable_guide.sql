-- What the documentation shows, as it is shown there.
\pset format unaligned
\pset tuples_only on
\set SHOW_CONTEXT never
create role gd_ann nologin;
set client_min_messages = warning;
select df.grant_usage('gd_ann');
reset client_min_messages;
create schema gd authorization gd_ann;
set role gd_ann;
set search_path = gd;
create table documents (id int, processed bool);
insert into documents select g, false from generate_series(1, 5) g;
reset role;
alter role gd_ann set search_path = gd;
set role gd_ann;
-- README.
select df.start(
    'select id from documents where not processed limit 100' |=> 'batch'
    ~> 'update documents set processed = true where id in (select id from $batch.*)', 'process') as id \gset
select df.await_instance(:'id');
select count(*) from documents where processed;
-- Retries.
create table failures (what text);
select df.start(df.catch(
    df.retry('select charge_next_order()', backoff => '1 millisecond'),
    'insert into failures (what) select $error::jsonb->>''message''')) as id \gset
select df.await_instance(:'id');
select what from failures;
select attempt, status, sqlstate from df.history where instance_id = :'id' and node_type = 'SQL' order by n;
select df.start(df.timeout('select pg_sleep(600)', '50 milliseconds')) as id \gset
select df.await_instance(:'id');
-- Undoing.
create table stock (item int, free int);
create table bookings (item int);
insert into stock values (7, 3);
select df.start(
       df.compensate('update stock set free = free - 1 where item = 7',   'update stock set free = free + 1 where item = 7')
    ~> df.compensate('insert into bookings (item) values (7)',            'delete from bookings where item = 7')
    ~> 'select charge_customer()',
    'booking') as id \gset
select df.await_instance(:'id');
select error->>'message' from df.instances where id = :'id';
select free, (select count(*) from bookings) from stock;
-- Approval.
create table orders (id int, status text, tenant int, day date, amount numeric);
-- By a step, which has the server's time zone and not that of this session.
select df.start($$insert into orders values (17, 'new', 1, current_date - 1, 10.50), (18, 'new', 2, current_date - 1, 1),
                                            (19, 'new', 2, current_date - 1, 2)$$) as id \gset
select df.await_instance(:'id');
select df.start(
       df.wait_for_signal('decision', 3 * 24 * 3600) |=> 'd'
    ~> df.if('select not ($d::jsonb->>''timed_out'')::bool and $d::jsonb->''data''->>''approved'' = ''yes''',
             'update orders set status = ''approved'' where id = 17',
             'update orders set status = ''rejected'' where id = 17'),
    'order 17') as id \gset
select df.signal(:'id', 'decision', '{"approved": "yes"}');
select df.await_instance(:'id');
select status from orders where id = 17;
-- The nightly job, once, without the night.
create table tenants (id int);
create table totals (tenant int, day date, amount numeric);
insert into tenants values (1), (2);
select df.start(df.map('select id from tenants',
                  'insert into totals (tenant, day, amount)
                   select $item.id, current_date - 1, sum(amount) from orders where tenant = $item.id and day = current_date - 1',
                  concurrency => 4)) as id \gset
select df.await_instance(:'id');
select tenant, amount from totals order by tenant;
select df.start(
    @> (df.wait_for_schedule('CRON_TZ=Europe/Berlin 0 2 * * *') ~> 'select 1'), 'nightly', key => 'nightly') as id \gset
select df.start(
    @> (df.wait_for_schedule('CRON_TZ=Europe/Berlin 0 2 * * *') ~> 'select 1'), 'nightly', key => 'nightly') = :'id';
select df.cancel(:'id') is not null;
select df.await_instance(:'id');
reset role;
reset search_path;
set client_min_messages = warning;
select df.revoke_usage('gd_ann');
drop schema gd cascade;
drop role gd_ann;
