-- An operator looks through the eyes of an identity.
\pset format unaligned
\pset tuples_only on
create role run_alice nologin;
create role run_operator login in role postern_admin;
create table run_t (id int primary key deferrable initially deferred, owner text);
insert into run_t values (1, 'alice'), (2, 'bob');
alter table run_t enable row level security;
create policy p on run_t using (owner = postern.fact('claims.sub'));
grant select, insert, update, delete on run_t to run_alice;
select postern.admit('run_alice');
set session authorization run_operator;
select * from postern.run_as('run_alice', '{"claims": {"sub": "alice"}}', 'select * from run_t');
select * from postern.run_as('run_alice', '{"claims": {"sub": "bob"}}', 'select id, current_user, 1.50 as n, null as z from run_t');
select * from postern.run_as('run_alice', null, 'select * from run_t');
select * from postern.run_as('run_alice', '{"claims": {"sub": "alice"}}', 'delete from run_t returning id');
select * from postern.run_as('run_alice', '{"claims": {"sub": "alice"}}', 'reset role');
select * from postern.run_as('run_alice', '{"claims": {"sub": "alice"}}', 'commit');
select * from postern.run_as('run_alice', '{"claims": {"sub": "alice"}}', 'select 1/0');
-- What would fail at commit fails.
select * from postern.run_as('run_alice', '{"claims": {"sub": "alice"}}', $$insert into run_t values (1, 'alice')$$);
-- Not nested, and not as who must not be entered.
select * from postern.run_as('postgres', null, 'select 1');
select * from postern.run_as('run_operator', null, 'select 1');
select * from postern.run_as('run_alice', null, $$select * from postern.run_as('run_alice', null, 'select 1')$$);
select * from postern.run_as(null, null, 'select 1');
select * from postern.run_as('run_alice', null, null);
-- The session is as it was, also after errors, also in a block.
begin;
select * from postern.run_as('run_alice', '{"claims": {"sub": "alice"}}', 'select set_config(''work_mem'', ''1MB'', false)');
select current_user, postern.facts() is null, current_setting('work_mem') = '1MB';
commit;
\c
select * from run_t order by id;
set session authorization run_alice;
select * from postern.run_as('run_alice', null, 'select 1');
\c
select postern.dismiss('run_alice');
drop table run_t;
drop role run_alice, run_operator;
