-- Policies that run as the owner of their table, and in an order.
\pset format unaligned
\pset tuples_only on
\set SHOW_CONTEXT never
create role rp_owner nologin;
create role rp_clerk nologin;
create role rp_other nologin;
create role rp_eve nologin;
create schema rp authorization rp_owner;
grant usage on schema rp to rp_clerk, rp_other, rp_eve;
create schema rp_evil authorization rp_eve;
set role rp_owner;
set search_path = rp;
-- What nobody but the owner may read.
create table member (who name, tenant int);
insert into member values ('rp_clerk', 1), ('rp_clerk', 2), ('rp_other', 3), ('rp_eve', 4);
create table closed (tenant int);
insert into closed values (2);
create table doc (id int primary key, tenant int, body text);
insert into doc select n, n % 5, 'b' || n from generate_series(1, 20) n;
create index on doc (tenant);
alter table doc enable row level security;
grant select, insert, update, delete on doc to rp_clerk, rp_other, rp_eve;

-- Each form of a sub-select gives what the same condition gives to who may read everything.
create function rp.same(qual text, label text) returns text language plpgsql as $$
declare
    who text; said bigint; meant bigint; out text := '';
begin
    perform postern.create_policy('rp.doc', 'p', using_qual => qual, run_as => 'owner');
    foreach who in array '{rp_clerk,rp_other,rp_eve}'::text[] loop
        execute format('set local role %I', who);
        select count(*) into said from rp.doc;
        set local role rp_owner;
        execute format('select count(*) from rp.doc where %s', replace(qual, 'current_user', quote_literal(who))) into meant;
        out := out || format(' %s=%s', said, meant);
    end loop;
    perform postern.drop_policy('rp.doc', 'p');
    return label || ':' || out;
end
$$;
select rp.same(q, l) from (values
    ($$tenant in (select m.tenant from member m where m.who = current_user)$$, 'in'),
    ($$tenant = any (select m.tenant from member m where m.who = current_user)$$, 'any'),
    ($$tenant = (select min(m.tenant) from member m where m.who = current_user)$$, 'scalar'),
    ($$tenant = any (array(select m.tenant from member m where m.who = current_user))$$, 'array'),
    ($$tenant = any ((select array_agg(m.tenant) from member m where m.who = current_user)::int[])$$, 'array value'),
    ($$tenant not in (select tenant from closed)$$, 'not in'),
    ($$tenant > all (select tenant from closed)$$, 'all'),
    ($$exists (select from member m where m.tenant = doc.tenant and m.who = current_user)$$, 'exists'),
    ($$exists (select 1 from member m where doc.tenant = m.tenant and m.who = current_user order by m.who limit 1)$$, 'exists with limit'),
    ($$exists (select from member m where m.tenant < doc.tenant and m.who = current_user)$$, 'exists, less'),
    ($$not exists (select from closed c where c.tenant = doc.tenant)$$, 'not exists'),
    ($$exists (select from closed)$$, 'exists of nothing of the row'),
    ($$(tenant, id % 2) in (select m.tenant, 1 from member m where m.who = current_user)$$, 'row'),
    ($$id > 3 and (exists (select from member m join closed c on c.tenant = m.tenant where m.tenant = doc.tenant) or body = 'b7')$$, 'nested'),
    ($$exists (select from member m where m.tenant = doc.tenant and exists (select from closed c where c.tenant = doc.tenant and c.tenant = m.tenant))$$, 'row used below'),
    ($$(select count(*) from member m where m.tenant = doc.tenant or m.who = doc.body) > 0$$, 'row, twice'),
    ($$body ~ '^b' and body <> '$1' and "doc".body <> E'\\$1''' and tenant in (select tenant from closed)$$, 'literals')
) f (q, l);
-- Nulls: an element that is null, and a row that is.
insert into member values ('rp_clerk', null);
insert into doc values (100, null, 'null');
select rp.same(q, l) from (values
    ($$tenant in (select m.tenant from member m where m.who = current_user)$$, 'in'),
    ($$tenant not in (select m.tenant from member m where m.who = current_user)$$, 'not in'),
    ($$exists (select from member m where m.tenant = doc.tenant and m.who = current_user)$$, 'exists'),
    ($$not exists (select from member m where m.tenant = doc.tenant and m.who = current_user)$$, 'not exists')
) f (q, l);
delete from doc where id = 100;
delete from member where tenant is null;
-- More than one row is an error here as there.
select postern.create_policy('doc', 'p', using_qual => 'tenant = (select m.tenant from member m where m.who = current_user)', run_as => 'owner');
set role rp_clerk;
select count(*) from doc;
set role rp_other;
select count(*) from doc;
set role rp_owner;
select postern.drop_policy('doc', 'p');
select count(*) from pg_proc where pronamespace = 'rp'::regnamespace and proname <> 'same';

-- As it is in the catalog: an ordinary policy, functions that are pinned and the owner's, called once, index used.
select postern.create_policy('doc', 'mine', roles => '{rp_clerk,rp_eve}', run_as => 'owner',
    using_qual => 'exists (select from member m where m.tenant = doc.tenant and m.who = current_user)',
    check_qual => 'tenant in (select m.tenant from member m where m.who = current_user) and body is not null');
select polname, polcmd, polpermissive, pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid) from pg_policy where polrelid = 'doc'::regclass;
select p.oid::regprocedure, p.prosecdef, p.provolatile, p.proparallel, p.proconfig, pg_get_userbyid(p.proowner), p.proacl, obj_description(p.oid)
  from pg_proc p where p.pronamespace = 'rp'::regnamespace and p.proname <> 'same' order by 1;
select pg_get_functiondef('doc_mine_using_1'::regproc);
set role rp_clerk;
set enable_seqscan = off;
explain (costs off) select * from rp.doc;
reset enable_seqscan;
select count(*), min(tenant), max(tenant) from doc;
-- Once per statement and mention of the table, however many rows there are.
reset role;
begin;
set local track_functions = 'all';
set local role rp_clerk;
select count(*) from doc;
reset role;
select funcname, calls from pg_stat_xact_user_functions where schemaname = 'rp';
set local role rp_clerk;
select count(*) from doc d, doc e;
reset role;
select funcname, calls from pg_stat_xact_user_functions where schemaname = 'rp';
rollback;
set role rp_clerk;
insert into doc values (101, 1, 'ok');
insert into doc values (102, 3, 'not mine');
update doc set tenant = 3 where id = 101;
delete from doc where id = 101;
-- What the policy reads stays unread.
select * from member;
set role rp_other;
select count(*) from doc;
-- Not for whom the policy is not.
select rp.doc_mine_using_1(postern.caller());

-- Attacks: to be somebody else in a call of the owner's function.
set role rp_eve;
select rp.doc_mine_using_1(postern.caller());
select rp.doc_mine_using_1('rp_clerk');
select rp.doc_mine_using_1('rp_clerk'::postern.caller);
select rp.doc_mine_using_1(('rp_clerk'::text)::postern.caller);
select rp.doc_mine_using_1((select oid from pg_roles where rolname = 'rp_clerk')::postern.caller);
select rp.doc_mine_using_1((select x from json_to_record('{"x": "16384"}') as r (x postern.caller)));
select rp.doc_mine_using_1((array['16384']::postern.caller[])[1]);
create cast (oid as postern.caller) without function;
create function rp_evil.f() returns postern.caller language plpgsql as $$ begin return 16384; end $$;
select rp.doc_mine_using_1(rp_evil.f());
select rp.doc_mine_using_1(null);
-- A definer's function asks for its owner, as it does anyway.
create function rp_evil.g() returns int[] language sql security definer as 'select rp.doc_mine_using_1(postern.caller())';
grant usage on schema rp_evil to rp_clerk;
set role rp_clerk;
select rp_evil.g();
-- Objects before ours change nothing.
set role rp_eve;
create table rp_evil.member (who name, tenant int);
insert into rp_evil.member select 'rp_eve', n from generate_series(0, 5) n;
create function rp_evil.caller() returns text language sql as $$ select 'rp_clerk' $$;
grant select on rp_evil.member to public;
create temp table member as select * from rp_evil.member;
set search_path = pg_temp, rp_evil, rp;
select count(*) from rp.doc;
set search_path = rp;
discard temp;

-- Who may: who may CREATE POLICY.
select postern.create_policy('doc', 'x', using_qual => 'true');
select postern.create_policy('doc', 'x', using_qual => 'true', run_as => 'owner');
select postern.drop_policy('doc', 'mine');
set role rp_owner;
-- Nothing in an argument is anything but what it is for.
select postern.create_policy('doc', 'x', using_qual => 'true) with check (true');
select postern.create_policy('doc', 'x', using_qual => 'true); drop table member; --');
select postern.create_policy('doc', 'x', using_qual => 'true); drop table member; create policy y on doc using (true');
select postern.create_policy('doc', 'x', using_qual => 'true -- ');
select postern.create_policy('doc', 'y', using_qual => 'true /* ');
select postern.create_policy('doc', 'y', using_qual => '');
select postern.create_policy('doc', 'y', using_qual => 'select 1');
select postern.create_policy('doc', 'y', using_qual => 'id = 1, true');
select postern.create_policy('doc', 'y', using_qual => $$body = 'it''s; \'$$);
select postern.create_policy('doc', 'y"; drop table member; --', using_qual => 'true');
select postern.create_policy('doc', 'z', command => 'all to rp_eve using (true); --', using_qual => 'true');
select postern.create_policy('doc', 'z', roles => array['rp_eve using (true); drop table member; --']::name[], using_qual => 'true');
select postern.create_policy('doc', 'z', run_as => 'owner; drop table member', using_qual => 'true');
select postern.create_policy('doc', 'z', combine => 'permissive using (true)', using_qual => 'true');
select postern.create_policy('doc', 'z', using_qual => 'true', search_path => '"; drop table member');
select postern.create_policy('doc', repeat('z', 64), using_qual => 'true');
select postern.create_policy('doc', repeat('z', 60), using_qual => 'true', "position" => 1);
select postern.create_policy('doc', 'z', using_qual => 'true', "position" => 0);
select postern.create_policy('doc', 'z', using_qual => 'true', "position" => 10000);
select postern.create_policy('doc', null, using_qual => 'true');
select postern.create_policy('doc', 'z', roles => '{}', using_qual => 'true');
select postern.create_policy('doc', 'z', roles => '{nobody_here}', using_qual => 'true');
select postern.create_policy('doc', 'z', using_qual => 'no_such_column = 1');
select postern.create_policy('doc', 'mine', using_qual => 'true');
select postern.create_policy('pg_class', 'z', using_qual => 'true');
select postern.drop_policy('doc', 'no such');
select to_regclass('rp.member'), polname from pg_policy where polrelid = 'doc'::regclass order by polname;
select postern.drop_policy('doc', polname) from pg_policy where polrelid = 'doc'::regclass;
select count(*) from pg_proc where pronamespace = 'rp'::regnamespace and proname <> 'same';
-- A name that is taken, of whomever; a policy that the function is still needed for.
create function doc_p_using_1() returns int language sql return 1;
select postern.create_policy('doc', 'p', using_qual => 'tenant in (select tenant from closed)', run_as => 'owner');
select pg_get_expr(polqual, polrelid) from pg_policy where polrelid = 'doc'::regclass;
drop function doc_p2_using_1();
create policy q on doc using (tenant = any (doc_p2_using_1()));
select postern.drop_policy('doc', 'p');
select count(*) from pg_proc where proname = 'doc_p2_using_1';
drop policy q on doc;
drop function doc_p2_using_1(), doc_p_using_1();
-- An array is made anew by the statement, not taken out of a row, where it would be packed; what may be null is not.
select postern.create_policy('doc', 'a', using_qual => 'tenant = any (array(select tenant from closed)) or tenant = any ((select array_agg(tenant) from closed)::int[])', run_as => 'owner');
select pg_get_expr(polqual, polrelid) from pg_policy where polrelid = 'doc'::regclass;
select postern.drop_policy('doc', 'a');
-- A function of somebody's is called as the owner, once where it does not use the row.
create function rp.open_tenants() returns int[] language sql stable as 'select array_agg(tenant) from rp.closed';
create function rp.is_open(t int) returns bool language sql stable as 'select exists (select from rp.closed c where c.tenant = t)';
select postern.create_policy('doc', 'f', using_qual => 'tenant = any (rp.open_tenants()) and rp.is_open(tenant)', run_as => 'owner');
select pg_get_expr(polqual, polrelid) from pg_policy where polrelid = 'doc'::regclass;
set role rp_clerk;
select count(*) from doc;
set role rp_owner;
select postern.drop_policy('doc', 'f');
-- Default privileges of the owner reach no such function.
alter default privileges grant execute on functions to rp_eve;
select postern.create_policy('doc', 'p', roles => '{rp_clerk}', using_qual => 'tenant in (select tenant from closed)', run_as => 'owner');
select proacl from pg_proc where proname = 'doc_p_using_1';
select postern.drop_policy('doc', 'p');
alter default privileges revoke execute on functions from rp_eve;
-- Its own table: as the owner, who is not filtered; not where the owner is.
select postern.create_policy('doc', 'own', using_qual => 'tenant = (select max(d.tenant) from doc d)', run_as => 'owner');
set role rp_clerk;
select count(*) from doc;
set role rp_owner;
select postern.drop_policy('doc', 'own');
alter table doc force row level security;
select postern.create_policy('doc', 'own', using_qual => 'tenant = (select max(d.tenant) from doc d)', run_as => 'owner');
alter table doc no force row level security;
-- An owner who cannot read it either.
reset role;
create table rp.secret (tenant int);
select postern.create_policy('rp.doc', 's', using_qual => 'tenant in (select tenant from rp.secret)', run_as => 'owner');
-- Made by a superuser or a member, the function is the owner's all the same; who may not give it to the owner makes none.
select postern.create_policy('rp.doc', 's', using_qual => 'tenant in (select tenant from rp.closed)', run_as => 'owner');
select pg_get_userbyid(proowner) from pg_proc where proname = 'doc_s_using_1';
select postern.drop_policy('rp.doc', 's');
create role rp_member nologin in role rp_owner;
set role rp_member;
select postern.create_policy('rp.doc', 's', using_qual => 'tenant in (select tenant from rp.closed)', run_as => 'owner');
select pg_get_userbyid(proowner) from pg_proc where proname = 'doc_s_using_1';
select postern.drop_policy('rp.doc', 's');
-- Names mean what they mean to the caller.
set role rp_owner;
set search_path = rp;
select postern.create_policy('doc', 's', using_qual => 'tenant in (select tenant from closed)');
select postern.create_policy('doc', 't', using_qual => 'tenant in (select tenant from closed)', search_path => 'pg_catalog');
select postern.drop_policy('doc', 's');

-- The order: each notes its name when it is asked.
create function note(name text, says bool) returns bool language plpgsql volatile as $$ begin raise notice '%', name; return says; end $$;
create table line (id int);
insert into line values (1);
alter table line enable row level security;
grant select, insert on line to rp_clerk;
select postern.create_policy('line', 'third', using_qual => $$rp.note('and third', true)$$, combine => 'and', "position" => 30);
select postern.create_policy('line', 'first', using_qual => $$rp.note('and first', true)$$, combine => 'and', "position" => 10);
select postern.create_policy('line', 'second', using_qual => $$rp.note('and second', true)$$, combine => 'and', "position" => 20);
select postern.create_policy('line', 'c', using_qual => $$rp.note('or third', true)$$, "position" => 300);
select postern.create_policy('line', 'a', using_qual => $$rp.note('or first', false)$$, "position" => 1);
select postern.create_policy('line', 'b', using_qual => $$rp.note('or second', true)$$, "position" => 2);
set role rp_clerk;
select * from line;
-- Checks of new rows.
insert into line values (2);
reset role;
reset search_path;
drop table rp.secret;
drop owned by rp_owner, rp_eve cascade;
drop role rp_owner, rp_clerk, rp_other, rp_eve, rp_member;
