\set id 2 * random(1, 50000)
select id, name, balance, opened_at from bench.account where id = :id;
