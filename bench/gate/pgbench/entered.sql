\set id 2 * random(1, 50000)
\startpipeline
select postern.enter(:role, :facts, null);
select id, name, balance, opened_at from bench.account where id = :id;
\endpipeline
