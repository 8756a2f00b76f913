-- What rows refuses: every function that takes a table, given everything that is not one of the caller's own tables; every other
-- argument, given what it may not be. Each refusal has its SQLSTATE and a HINT, and changes nothing.
\pset format unaligned
\pset tuples_only on
\set SHOW_CONTEXT never
create role rf_owner nologin;
create role rf_clerk nologin;
create role rf_eve nologin;
create schema rf authorization rf_owner;
create foreign data wrapper rf_wrapper;
create server rf_server foreign data wrapper rf_wrapper;
create foreign table rf.abroad (id int) server rf_server;
alter foreign table rf.abroad owner to rf_owner;
grant usage on schema rf to rf_clerk, rf_eve;
set role rf_owner;
create table rf.doc (id int primary key, tenant int);
alter table rf.doc enable row level security;
create policy p on rf.doc using (tenant = 1);
create table rf.bare (id int primary key);
create table rf.parted (id int) partition by range (id);
alter table rf.parted enable row level security;
create view rf.seen as select * from rf.doc;
create materialized view rf.kept as select 1 as id;
create sequence rf.numbers;
create type rf.pair as (id int);
create temp table rf_temp (id int);
alter table rf_temp enable row level security;
reset role;

-- What a statement ends with: its SQLSTATE, whether it has a hint, and the message.
create function rf.refusal(statement text) returns text language plpgsql as $$
declare
    hint text;
begin
    execute statement;
    return 'done';
exception when others then
    get stacked diagnostics hint = pg_exception_hint;
    return concat_ws(' ', sqlstate, case when hint = '' then 'WITHOUT HINT' else 'hint' end, sqlerrm);
end
$$;
grant execute on function rf.refusal(text) to public;
create view rf.functions (n, call) as values
    (1, 'postern.grant_direct(''{select}'', %L, ''{rf_clerk}'')'), (2, 'postern.revoke_direct(''{select}'', %L, ''{rf_clerk}'')'),
    (3, 'postern.revoke(''{select}'', %L, ''{rf_clerk}'')'), (4, 'postern.set_row_security(''error'', %L)'),
    (5, 'postern.create_policy(%L, ''q'', using_qual => ''true'')'), (6, 'postern.drop_policy(%L, ''q'')'),
    (7, 'postern.explain_row(%L, ''{"id": 1}'', ''SELECT'', ''rf_clerk'')');
grant select on rf.functions to public;

-- Every function, every relation that is none of those it is for. A foreign table, an index, a type: no table; the server's and ours:
-- system tables; another session's business: a temporary one.
set role rf_owner;
select kind, string_agg(distinct said, ' | ' order by said) as said, count(*)
  from (values (1, 'foreign table', 'rf.abroad'), (2, 'materialized view', 'rf.kept'), (3, 'sequence', 'rf.numbers'), (4, 'index', 'rf.doc_pkey'),
               (5, 'type', 'rf.pair'), (6, 'temporary table', 'pg_temp.rf_temp')) r (o, kind, name),
       rf.functions f, lateral rf.refusal('select ' || format(f.call, r.name)) said
 group by o, kind order by o;
reset role;
select kind, string_agg(distinct said, ' | ' order by said) as said, count(*)
  from (values (1, 'system table', 'pg_catalog.pg_class'), (2, 'shared table', 'pg_catalog.pg_authid'), (3, 'the standard''s', 'information_schema.sql_parts'),
               (4, 'ours', 'postern.direct_access')) r (o, kind, name),
       rf.functions f, lateral rf.refusal('select ' || format(f.call, r.name)) said
 group by o, kind order by o;
-- A view is explained, and nothing else is done with it; a name and a number of nothing.
select n, rf.refusal('select ' || format(call, 'rf.seen')) from rf.functions where n <> 7 order by n;
select string_agg(distinct said, ' | ') from rf.functions, rf.refusal('select ' || format(call, '4294967295')) said;
select n, rf.refusal('select ' || replace(call, '%L', 'null::regclass')) from rf.functions where n <> 4 order by n;
-- A table without row security, and a partitioned one, which may have it.
set role rf_owner;
select n, rf.refusal('select ' || format(call, 'rf.bare')) from rf.functions where n <> 7 order by n;
select n, rf.refusal('select ' || format(call, 'rf.parted')) from rf.functions where n <> 7 order by n;
select postern.drop_policy('rf.parted', 'q') from pg_policy where polrelid = 'rf.parted'::regclass and polname = 'q';

-- Roles and commands.
select a, rf.refusal(format('select postern.%s', a)) from (values
    ('grant_direct(''{select}'', ''rf.doc'', ''{nobody_of_that_name}'')'), ('grant_direct(''{select}'', ''rf.doc'', ''{RF_CLERK}'')'),
    ('grant_direct(''{select}'', ''rf.doc'', array[null]::name[])'), ('grant_direct(''{select}'', ''rf.doc'', ''{public}'')'),
    ('grant_direct(''{merge}'', ''rf.doc'', ''{rf_clerk}'')'), ('grant_direct(''{select,null}'', ''rf.doc'', ''{rf_clerk}'')'),
    ('grant_direct(null, ''rf.doc'', ''{rf_clerk}'')'), ('grant_direct(''{select}'', ''rf.doc'', ''{rf_clerk}'', null)'),
    ('grant_direct(''{"select; drop table rf.doc"}'', ''rf.doc'', ''{rf_clerk}'')'),
    ('revoke_direct(''{truncate}'', ''rf.doc'', ''{rf_clerk}'')'), ('revoke_direct(''{select}'', ''rf.doc'', ''{nobody_of_that_name}'')'),
    ('revoke_direct(''{select}'', ''rf.doc'', null)'), ('revoke_direct(''{select}'', ''rf.doc'', ''{rf_clerk}'', null)'),
    ('revoke(''{references}'', ''rf.doc'', ''{rf_clerk}'')'), ('revoke(''{select}'', ''rf.doc'', ''{nobody_of_that_name}'')'),
    ('revoke(''{select}'', ''rf.doc'', null)'), ('revoke(''{}'', ''rf.doc'', ''{rf_clerk}'')'),
    ('set_row_security(''error'', ''rf.doc'', ''nobody_of_that_name'')'), ('set_row_security(''error'', ''rf.doc'', commands => ''{merge}'')'),
    ('set_row_security(''error'', ''rf.doc'', commands => ''{}'')'), ('set_row_security(''true'', ''rf.doc'')'),
    ('set_row_security(null, ''rf.doc'')'), ('set_row_security(''ERROR'', ''rf.doc'')'),
    ('create_policy(''rf.doc'', ''q'', command => ''truncate'', using_qual => ''true'')'),
    ('create_policy(''rf.doc'', ''q'', roles => ''{nobody_of_that_name}'', using_qual => ''true'')'),
    ('create_policy(''rf.doc'', ''q'', command => ''insert'', using_qual => ''true'')'),
    ('create_policy(''rf.doc'', ''p'', using_qual => ''true'')')) v (a);

-- What the server refuses while one of these functions runs has a hint too.
grant select on rf.doc to rf_clerk with grant option;
select count(*) from postern.grant_direct('{select}', 'rf.doc', '{rf_clerk}', true);
set role rf_clerk;
select count(*) from postern.grant_direct('{select}', 'rf.doc', '{rf_eve}', true);
set role rf_owner;
select a, rf.refusal(format('select postern.%s', a)) from (values
    ('revoke_direct(''{select}'', ''rf.doc'', ''{rf_clerk}'')'), ('revoke(''{select}'', ''rf.doc'', ''{rf_clerk}'')'),
    ('create_policy(''rf.doc'', ''q'', using_qual => ''count(*) > 1'')'), ('create_policy(''rf.doc'', ''q'', using_qual => ''generate_series(1, id) > 1'')'),
    ('create_policy(''rf.doc'', ''q'', using_qual => ''id'')'), ('create_policy(''rf.doc'', ''q'', using_qual => ''id = tenant + (select id from rf.doc d, rf.bare)'')'),
    ('create_policy(''rf.doc'', ''q'', using_qual => ''tenant = ''''x'''''')'),
    ('explain_row(''rf.doc'', ''{"ID": 1}'', ''SELECT'', ''rf_clerk'')'), ('explain_row(''rf.doc'', ''{"id": 1}'', ''UPDATE'', ''rf_clerk'', null, ''{"tennant": 1}'')'),
    ('explain_row(''rf.doc'', ''{"ctid": "(0,1)"}'', ''SELECT'', ''rf_clerk'')'), ('explain_row(''rf.seen'', ''{"nothing": 1}'', ''SELECT'', ''rf_clerk'')')) v (a);
set role rf_eve;
select rf.refusal($$select postern.grant_direct('{select}', 'rf.doc', '{rf_clerk}', true)$$);
reset role;
set client_min_messages = warning;
create schema rf_other;
grant usage on schema rf_other to rf_owner;
create table rf_other.doc (id int);
alter table rf_other.doc owner to rf_owner;
set role rf_owner;
select rf.refusal($$select postern.create_policy('rf_other.doc', 'q', using_qual => 'id in (select 1)', run_as => 'owner')$$);
select polname from pg_policy where polrelid = 'rf_other.doc'::regclass;
revoke all on rf.doc from rf_clerk cascade;
reset role;
drop schema rf_other cascade;
-- To be a role is to be able to SET ROLE to it: from 16 on, not every membership is that.
set client_min_messages = error;
do $$ begin
    execute case when current_setting('server_version_num')::int >= 160000 then 'grant rf_owner to rf_eve with set false, inherit false' else 'revoke rf_owner from rf_eve' end;
end $$;
set role rf_eve;
select rf.refusal($$select postern.attempt_as('rf_owner'::regrole, null, 'select 1')$$), rf.refusal($$select postern.evaluate_as('rf_owner'::regrole, null, 'select 1')$$);
reset role;
revoke rf_owner from rf_eve;
reset client_min_messages;
set role rf_owner;

-- Who may not: neither the clerk who has privileges, nor Eve who has none.
grant select, insert, update, delete on rf.doc to rf_clerk;
create view rf.for_others (n, call) as select n, call from rf.functions where n < 7 union all values (7, 'postern.set_row_security(''error'', null, ''rf_owner'')'),
    (8, 'postern.set_row_security(''error'', %L, ''rf_owner'')'), (9, 'postern.explain_row(%L, ''{"id": 1}'', ''SELECT'', ''rf_owner'')'),
    (10, 'postern.create_policy(%L, ''q'', using_qual => ''true'', run_as => ''owner'')'), (11, 'postern.drop_policy(%L, ''p'')');
grant select on rf.for_others to public;
set role rf_clerk;
-- REVOKE itself does not refuse whoever has the privilege: it warns, and does nothing.
set client_min_messages = error;
select n, rf.refusal('select ' || replace(call, '%L', '''rf.doc''')) from rf.for_others order by n;
reset client_min_messages;
set role rf_eve;
select n, rf.refusal('select ' || replace(call, '%L', '''rf.doc''')) from rf.for_others order by n;
reset role;

-- Nothing of all this stayed.
select (select count(*) from postern.direct_access), (select count(*) from postern.row_security_modes where relation in ('rf.doc'::regclass)),
       (select string_agg(polname, ' ' order by polname) from pg_policy where polrelid = 'rf.doc'::regclass),
       (select string_agg(privilege_type, ' ' order by privilege_type) from information_schema.table_privileges where table_name = 'doc' and table_schema = 'rf' and grantee = 'rf_clerk');
drop table rf_temp;
drop owned by rf_owner cascade;
drop server rf_server cascade;
drop foreign data wrapper rf_wrapper;
select count(*) from postern.row_security_modes;
drop role rf_owner, rf_clerk, rf_eve;
