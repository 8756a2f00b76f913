-- What 0.1.0.sql is a dump of, run on a server with version 0.1.0 after roles.sql; with psql. Only for the record: the dump is not made again.
create extension postern version '0.1.0';
create schema app;
grant usage on schema app to alice, bob, web;
create table app.log (what text not null, who name not null default current_user, tenant text default postern.fact('claims.tenant'));
grant select, insert on app.log to alice, bob;
create table app.door (open bool not null);
insert into app.door values (false);
grant select on app.door to alice;
create function app.pass() returns void language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    if not (select open from app.door) then raise exception 'the door is shut'; end if;
    insert into app.log(what) values ('through the door');
end $$;
grant execute on function app.pass() to alice;
create table app.tended (n int);
alter table app.tended owner to alice;
insert into app.tended values (1);
create table app.slow (n int not null);
insert into app.slow values (0);
grant select, update on app.slow to alice;

-- Who may what.
select df.grant_usage('alice', include_http => true);
select postern.admit('web');
select postern.create_api_key('web', 'job', '{"tenant": "acme"}', label => 'kept') is not null;
select postern.allow_http('api.example.com', 'alice');
select postern.set_quota('bob', 2, 100);
create table app.doc (id int primary key, tenant text not null);
insert into app.doc values (1, 'acme'), (2, 'other'), (3, 'other');
alter table app.doc enable row level security;
create policy tenant on app.doc using (tenant = postern.fact('claims.tenant'));
grant select on app.doc to alice, bob, web;
select count(*) from postern.grant_direct('{select}', 'app.doc', '{alice}');
select postern.set_row_security('error', 'app.doc', 'bob', '{select}');

-- Alice's. From here on another session has the locks that are told of at the end.
select pg_sleep(2);
set session authorization alice;
select df.set_secret('token', 'a secret');
select df.setvar('greeting', 'hello');
select df.start('insert into app.log(what) values (''timer before'')' ~> df.sleep(10800) ~> 'insert into app.log(what) values (''timer after {greeting}'')', 'timer');
select df.start('insert into app.log(what) values (''signal before'')' ~> df.wait_for_signal('go') |=> 'got' ~> 'insert into app.log(what) values (''signal after'')', 'signal');
select df.start('insert into app.log(what) values (''kept before'')' ~> df.wait_for_signal('a') ~> df.wait_for_signal('b') ~> 'insert into app.log(what) values (''kept after'')', 'kept');
select df.start('insert into app.log(what) values (''loop begins'')' ~> df.loop(
    'insert into app.log(what) values (''loop'')' ~> df.wait_for_signal('again'), 'select count(*) < 4 from app.log where what = ''loop'''), 'loop');
select df.start(df.map('select generate_series(1, 5) as n', 'insert into app.log(what) values (''map '' || $item.n)' ~> df.wait_for_signal('item'), 2)
    ~> 'insert into app.log(what) values (''map after'')', 'map');
select df.start(('insert into app.log(what) values (''left'')' & (df.wait_for_signal('right') ~> 'insert into app.log(what) values (''right'')'))
    ~> 'insert into app.log(what) values (''join after'')', 'join');
select df.start(df.retry('select app.pass()', 1000, interval '1 second', 1.0) ~> 'insert into app.log(what) values (''retry after'')', 'retry');
select df.start(df.race(df.wait_for_signal('race'), df.sleep(10800) ~> 'insert into app.log(what) values (''the loser'')')
    ~> 'insert into app.log(what) values (''race after'')', 'race');
select df.start('insert into app.log(what) values (''vacuum before'')' ~> 'vacuum app.tended' ~> 'insert into app.log(what) values (''vacuum after'')', 'vacuum');
select df.start('insert into app.log(what) values (''slow before'')' ~> 'update app.slow set n = n + 1' ~> 'insert into app.log(what) values (''slow after'')', 'slow');
select df.start('insert into app.log(what) values (''http before'')' ~> df.http('https://api.example.com/x', 'GET', headers => '{"authorization": "Bearer {secret:token}"}')
    ~> 'insert into app.log(what) values (''http after'')', 'http');
select df.start('insert into app.log(what) values (''paused before'')' ~> df.wait_for_signal('p') ~> 'insert into app.log(what) values (''paused after'')', 'paused');
select df.start('insert into app.log(what) values (''call before'')' ~> df.call(df.wait_for_signal('child') ~> 'insert into app.log(what) values (''child'')', 'callee')
    ~> 'insert into app.log(what) values (''call after'')', 'call');
select df.start(df.compensate('insert into app.log(what) values (''done'')', 'insert into app.log(what) values (''undone'')') ~> df.wait_for_signal('fail')
    ~> 'select 1/0', 'saga');
select df.start(df.timeout(df.wait_for_signal('never'), interval '3 hours'), 'timeout');
select df.start(df.catch(df.wait_for_signal('catch') ~> 'select 1/0', 'insert into app.log(what) values (''caught'')'), 'catch');
select df.start('insert into app.log(what) values (''rerun before'')' ~> 'select 1 / (select open::int from app.door)' ~> 'insert into app.log(what) values (''rerun after'')', 'rerun');
select df.start('insert into app.log(what) values (''ended'') returning what', 'ended');
select df.schedule('nightly', '0 0 1 1 *', 'insert into app.log(what) values (''tick'')');
reset session authorization;
set session authorization bob;
select df.start('insert into app.log(what) values (''bob before'')' ~> df.wait_for_signal('go') ~> 'insert into app.log(what) values (''bob after'')', 'bob');
reset session authorization;
-- With facts, as the gate would.
select df.grant_usage('web');
update postern.instance set facts = '{"claims": {"tenant": "acme"}}' where label = 'bob';
set session authorization alice;
-- Sent before it is waited for; one round of the loop; one item of the map.
select pg_sleep(1);
select df.signal(id, 'b') from df.instances where label = 'kept';
select df.signal(id, 'again') from df.instances where label = 'loop';
select df.signal(id, 'item') from df.instances where label = 'map';
select df.pause(id) from df.instances where label = 'paused';
select pg_sleep(1);
-- Another session has had, since before the starts and until after the dump, of `pg_dump --no-tablespaces app`:
--   begin; lock table app.tended in share update exclusive mode; select * from app.slow for update;
-- so that one statement at top level was begun, and one step ran, when the dump was made.
