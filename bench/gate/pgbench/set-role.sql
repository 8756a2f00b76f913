\set id 2 * random(1, 50000)
\startpipeline
begin;
set local role bench_user;
select id, name, balance, opened_at from bench.account where id = :id;
commit;
\endpipeline
