-- Who sees which rows, and why: what is said is what happens.
\pset format unaligned
\pset tuples_only on
\set SHOW_CONTEXT never
create role sn_owner nologin;
create role sn_heir nologin in role sn_owner;
create role sn_noheir nologin noinherit in role sn_owner;
create role sn_clerk nologin;
create role sn_group nologin;
create role sn_member nologin in role sn_group;
create role sn_bypass nologin bypassrls;
create role sn_nothing nologin;
create role sn_operator nologin in role postern_admin;
grant create on schema public to sn_owner;
set role sn_owner;
create table sn_doc (id int, tenant int, who text, v int);
insert into sn_doc select n, n % 3, case n % 2 when 0 then 'sn_clerk' else 'sn_member' end, nullif(n % 4, 0) from generate_series(1, 12) n;
alter table sn_doc enable row level security;
create policy mine on sn_doc using (who = current_user) with check (tenant < 2);
create policy staff on sn_doc for select to sn_group using (tenant = 1);
create policy cap on sn_doc as restrictive for delete using (id < 10);
create table sn_forced (id int, tenant int, who text, v int);
insert into sn_forced table sn_doc;
alter table sn_forced enable row level security, force row level security;
create table sn_plain (id int, tenant int, who text, v int);
insert into sn_plain table sn_doc;
create table sn_default (id int, tenant int, who text, v int);
insert into sn_default table sn_doc;
alter table sn_default enable row level security;
create policy only_inserts on sn_default with check (true);
create policy restrictive_alone on sn_default as restrictive for delete using (true);
grant select, insert, update, delete on sn_doc, sn_forced, sn_plain, sn_default to sn_clerk, sn_group, sn_bypass, sn_noheir;
set client_min_messages = warning;
select count(*) from postern.grant_direct('{select}', 'sn_doc', '{sn_group}');
select count(*) from postern.grant_direct('{update,delete}', 'sn_default', '{sn_clerk}');
select postern.set_row_security('error', 'sn_doc', 'sn_clerk', '{delete}');
reset client_min_messages;
reset role;
select role, command, access, reason, permissive, restrictive from postern.row_access
 where relation = 'sn_doc'::regclass and role like 'sn\_%' order by role, array_position('{SELECT,INSERT,UPDATE,DELETE}', command);

-- Each cell, done for real: rows, "permission", "refused" (a check), or "error".
create function sn_do(statement text) returns text language plpgsql as $$
declare n bigint;
begin
    execute statement;
    get diagnostics n = row_count;
    return n;
exception when insufficient_privilege then
    return case when sqlerrm like 'new row violates%' then 'refused'
                when sqlerrm like 'row security would filter%' then 'error'
                when sqlerrm like 'permission denied%' then 'permission' else sqlerrm end;
end
$$;
select count(*) as cells, count(*) filter (where not agrees) as wrong from (
    select case a.access
             when 'none' then done in ('permission', '0', 'refused')
             when 'error' then done = 'error'
             when 'filtered' then case a.command when 'INSERT' then done in ('refused', '1') else done::int < 12 end
             else done = case a.command when 'INSERT' then '1' else '12' end
           end as agrees
      from postern.row_access a
      join pg_roles r on r.rolname = a.role,
           lateral (select postern.evaluate_as(r.oid, null, format('select public.sn_do(%L)', case a.command
               when 'SELECT' then format('select from %s', a.relation)
               -- No policy allows this row.
               when 'INSERT' then format('insert into %s values (99, 2, ''nobody'', 1)', a.relation)
               when 'UPDATE' then format('update %s set v = 1, tenant = 0', a.relation)
               else format('delete from %s', a.relation) end))) d (done)
     where a.role like 'sn\_%' and a.relation::text like 'sn\_%') x;

-- One row explained.
set role sn_owner;
create table sn_one (id int primary key, tenant int, who text);
insert into sn_one values (1, 1, 'sn_clerk'), (2, 2, 'x');
alter table sn_one enable row level security;
create policy tenant on sn_one using (tenant = (select postern.fact('claims.tenant'))::int);
create policy mine on sn_one for select to sn_clerk using (who = current_user);
create policy low on sn_one as restrictive using (id < 10);
grant select, insert, update on sn_one to sn_clerk;
reset role;
select * from postern.explain_row('sn_one', '{"id": 1}', as_role => 'sn_clerk', facts => '{"claims": {"tenant": 2}}');
select * from postern.explain_row('sn_one', '{"id": 2}', 'UPDATE', 'sn_clerk', '{"claims": {"tenant": 2}}', '{"tenant": 3}');
-- "Refused although the policy is true": RETURNING brings in SELECT.
set role sn_owner;
create policy any_insert on sn_one for insert with check (true);
reset role;
select step, name, says from postern.explain_row('sn_one', null, 'INSERT', 'sn_clerk', new_row => '{"id": 3, "tenant": 5}');
select step, name, says from postern.explain_row('sn_one', null, 'INSERT', 'sn_clerk', new_row => '{"id": 3, "tenant": 5}', reads => false);
select step, name, says from postern.explain_row('sn_one', '{"id": 1}', 'DELETE', 'sn_clerk');
select step, name, says from postern.explain_row('sn_one', '{"id": 7}', 'SELECT', 'sn_clerk');
select step, name, says from postern.explain_row('sn_one', '{"id": 1}', 'SELECT', 'sn_bypass');
select step, name, says from postern.explain_row('sn_one', '{"id": 1}', 'SELECT', 'sn_heir');

-- The verdict is what happens: random policies, grants, modes, roles, facts, rows and statements.
set client_min_messages = warning;
create table sn_r (id int, tenant int, who text, v int);
alter table sn_r owner to sn_owner;
alter table sn_r enable row level security;
grant usage, create on schema public to sn_owner;
create table sn_lookup (tenant int);
insert into sn_lookup values (1), (2);
grant select on sn_lookup to public;
do $$
declare
    expressions text[] := array['true', 'false', 'tenant = 1', 'who = current_user', 'v > 1', 'v is null', 'null::bool',
        'tenant = (postern.fact(''claims.tenant''))::int', 'exists (select from sn_lookup l where l.tenant = sn_r.tenant)',
        'sn_r is not null', 'id in (select 1 union select v)'];
    roles text[] := array['sn_clerk', 'sn_member', 'sn_group', 'sn_heir', 'sn_noheir', 'sn_bypass'];
    commands text[] := array['SELECT', 'INSERT', 'UPDATE', 'DELETE'];
    policy record;
    who text; command text; facts jsonb; reads bool; old_row text; new_row jsonb;
    statement text; verdict text; real text; expected text;
    seen jsonb := '{}'; wrong int := 0; cases int := 0;
begin
    perform setseed(0.42);
    for round in 1 .. 120 loop
        for policy in select polname from pg_policy where polrelid = 'sn_r'::regclass loop
            execute format('drop policy %I on sn_r', policy.polname);
        end loop;
        for n in 1 .. (random() * 5)::int loop
            command := (commands || '{ALL}')[1 + floor(random() * 5)];
            execute format('create policy %I on sn_r as %s for %s to %s %s %s', 'p' || n,
                case when random() < 0.6 then 'permissive' else 'restrictive' end, command,
                (array['public', 'sn_clerk', 'sn_group', 'sn_owner'])[1 + floor(random() * 4)],
                case when command <> 'INSERT' then format('using (%s)', expressions[1 + floor(random() * cardinality(expressions))]) else '' end,
                case when command in ('INSERT', 'ALL', 'UPDATE') and (command = 'INSERT' or random() < 0.5)
                     then format('with check (%s)', expressions[1 + floor(random() * cardinality(expressions))]) else '' end);
        end loop;
        execute case when random() < 0.3 then 'alter table sn_r force row level security' else 'alter table sn_r no force row level security' end;
        revoke all on sn_r from sn_clerk, sn_group, sn_noheir, sn_bypass;
        foreach who in array '{sn_clerk,sn_group,sn_noheir,sn_bypass}'::text[] loop
            foreach command in array commands loop
                if random() < 0.8 then execute format('grant %s on sn_r to %I', command, who); end if;
                if random() < 0.15 then perform postern.grant_direct(array[command], 'sn_r', array[who]::name[]); end if;
            end loop;
        end loop;
        delete from postern.row_security_modes where relation = 'sn_r'::regclass;
        if random() < 0.2 then
            perform postern.set_row_security('error', 'sn_r', (array['sn_clerk', 'sn_group', null])[1 + floor(random() * 3)], array[commands[1 + floor(random() * 4)]]);
        end if;
        for attempt in 1 .. 10 loop
            who := roles[1 + floor(random() * cardinality(roles))];
            command := commands[1 + floor(random() * 4)];
            facts := case when random() < 0.7 then jsonb_build_object('claims', jsonb_build_object('tenant', 1 + floor(random() * 2))) end;
            reads := random() < 0.5;
            delete from sn_r;
            insert into sn_r values (1, 1 + floor(random() * 3), (array['sn_clerk', 'sn_member', null])[1 + floor(random() * 3)], nullif(floor(random() * 4), 0));
            new_row := case when command in ('INSERT', 'UPDATE') then jsonb_build_object('id', 1, 'tenant', 1 + floor(random() * 3), 'who', 'sn_clerk', 'v', floor(random() * 3)) end;
            statement := case command
                when 'SELECT' then 'select from public.sn_r'
                when 'DELETE' then 'delete from public.sn_r' || case when reads then ' where id = 1' else '' end
                when 'UPDATE' then format('update public.sn_r set id = 1, tenant = %s, who = ''sn_clerk'', v = %s', new_row ->> 'tenant', new_row ->> 'v') || case when reads then ' where id = 1' else '' end
                else format('insert into public.sn_r values (1, %s, ''sn_clerk'', %s)', new_row ->> 'tenant', new_row ->> 'v') || case when reads then ' returning id' else '' end end;
            select says into verdict from postern.explain_row('sn_r', '{"id": 1}', command, who, facts, new_row, reads) where step = 'verdict';
            real := postern.evaluate_as(who::regrole, facts, format('select public.sn_do(%L)', statement));
            expected := case real when '1' then case command when 'SELECT' then 'visible' else 'allowed' end
                                  when '0' then 'hidden' when 'permission' then 'permission denied' when 'error' then 'error mode' else real end;
            cases := cases + 1;
            seen := jsonb_set(seen, array[expected], to_jsonb(coalesce((seen ->> expected)::int, 0) + 1));
            if verdict is distinct from expected then
                wrong := wrong + 1;
                raise warning '% as % % (reads %): said %, was %', statement, who, facts, reads, verdict, expected;
            end if;
        end loop;
    end loop;
    -- Each kind of end must have been met, often.
    raise warning '% cases, % wrong, all kinds of verdict met: %', cases, wrong,
        (select count(*) = 6 and min(value::int) > 20 from jsonb_each_text(seen));
end
$$;
reset client_min_messages;

-- Rows of partitions and children, which meet the policies of the table that is named; a column that is called as an alias of ours; what a
-- statement does not set: defaults, and generated columns.
set role sn_owner;
create table sn_parts (t int, k int) partition by list (k);
create table sn_part partition of sn_parts for values in (1, 2);
insert into sn_parts values (5, 1), (6, 2);
create table sn_parent (id int);
create table sn_child () inherits (sn_parent);
insert into sn_child values (7);
create table sn_made (id serial, tenant int default 1, doubled int generated always as (tenant * 2) stored, tags int[] default '{1}', at date default '2000-01-01');
insert into sn_made (tenant) values (3);
alter table sn_parts enable row level security;
alter table sn_parent enable row level security;
alter table sn_made enable row level security;
create policy p on sn_parts using (k = 1);
create policy p on sn_parent using (true);
create policy p on sn_made using (true) with check (doubled = 2 and 1 = any (tags) and at < current_date);
grant select, update on sn_parts, sn_parent to sn_clerk;
grant select, insert, update on sn_made to sn_clerk;
grant usage on sequence sn_made_id_seq to sn_clerk;
reset role;
select says from postern.explain_row('sn_parts', '{"t": 5}', as_role => 'sn_clerk') where step = 'verdict';
select says from postern.explain_row('sn_parts', '{"t": 6}', as_role => 'sn_clerk') where step = 'verdict';
select says from postern.explain_row('sn_parts', '{"t": 5}', 'UPDATE', 'sn_clerk', null, '{"k": 2}') where step = 'verdict';
select says from postern.explain_row('sn_parent', '{"id": 7}', as_role => 'sn_clerk') where step = 'verdict';
select r, says from (values ('{}'), ('{"tenant": 2}'), ('{"tags": [2]}'), ('{"tags": null}'), ('{"at": "9999-01-01"}')) v (r),
       lateral postern.explain_row('sn_made', null, 'INSERT', 'sn_clerk', null, r::jsonb, false) where step = 'verdict';
select r, says from (values ('{"tenant": 1}'), ('{"at": "1999-01-01"}')) v (r),
       lateral postern.explain_row('sn_made', '{"id": 1}', 'UPDATE', 'sn_clerk', null, r::jsonb) where step = 'verdict';
set role sn_clerk;
insert into sn_made default values;
insert into sn_made (tenant) values (2);
insert into sn_made (tags) values ('{2}');
insert into sn_made (tags) values (null);
insert into sn_made (at) values ('9999-01-01');
update sn_made set at = '1999-01-01' where id = 1;
update sn_made set tenant = 1 where id = 1;
update sn_parts set k = 2 where t = 5;
select t from sn_parts;
select id from sn_parent;
reset role;
-- A default that raises for the role does so here.
create function sn_never() returns int language plpgsql as $$ begin raise 'never'; end $$;
alter table sn_made alter column tenant set default sn_never();
select * from postern.explain_row('sn_made', null, 'INSERT', 'sn_clerk', null, '{}', false) where step in ('default', 'verdict');
drop table sn_made, sn_parent, sn_parts cascade;
drop function sn_never();

-- Who may ask. A member of a role asks as that role, but with no facts; an administrator as whoever could be admitted.
set role sn_clerk;
select says from postern.explain_row('sn_plain', '{"id": 1}') where step = 'verdict';
select says from postern.explain_row('sn_one', '{"id": 1}') where step = 'verdict';
select says from postern.explain_row('sn_plain', '{"id": 1}', as_role => 'sn_owner');
select postern.evaluate_as('sn_owner'::regrole, null, 'select 1');
select postern.evaluate_as('sn_clerk'::regrole, '{"claims": {"tenant": 2}}', 'select 1');
select postern.evaluate_as('sn_clerk'::regrole, null, 'reset role');
set role sn_operator;
select postern.evaluate_as('sn_clerk'::regrole, '{"claims": {"tenant": 2}}', 'select postern.fact(''claims.tenant'')');
select postern.evaluate_as('postgres'::regrole, null, 'select 1');
select says from postern.explain_row('sn_one', '{"id": 1}', as_role => 'sn_clerk');
reset role;
-- A policy cannot leave the role that it is asked as.
set role sn_owner;
create function sn_out() returns bool language plpgsql as $$ begin perform set_config('role', 'none', true); return current_user = 'postgres'; end $$;
create policy trap on sn_plain using (sn_out());
alter table sn_plain enable row level security;
reset role;
select * from postern.explain_row('sn_plain', '{"id": 1}', as_role => 'sn_clerk');
-- A restrictive policy alone is not asked, whatever it would raise: no row is seen, and none is taken.
set role sn_owner;
create table sn_secret (id int);
create table sn_alone (id int primary key); insert into sn_alone values (1);
alter table sn_alone enable row level security;
create policy alone on sn_alone as restrictive using (id in (select s.id from sn_secret s));
grant select, insert on sn_alone to sn_clerk;
set role sn_clerk;
select count(*) from sn_alone;
insert into sn_alone values (2);
reset role;
select step, name, says from postern.explain_row('sn_alone', '{"id": 1}', as_role => 'sn_clerk') where step <> 'privilege';
select says from postern.explain_row('sn_alone', null, 'INSERT', 'sn_clerk', new_row => '{"id": 2}', reads => false) where step = 'verdict';
create policy opens on sn_alone using (true);
select says from postern.explain_row('sn_alone', '{"id": 1}', as_role => 'sn_clerk') where step = 'verdict';
-- What is refused.
select * from postern.explain_row('sn_one', '{}', as_role => 'sn_clerk');
select * from postern.explain_row('sn_doc', '{"tenant": 1}', as_role => 'sn_bypass');
select * from postern.explain_row('sn_one', '{"nothing": 1}', as_role => 'sn_clerk');
select * from postern.explain_row('sn_one', '{"id": 1}', 'UPDATE', 'sn_clerk');
select * from postern.explain_row('sn_one', '{"id": 1}', 'ALL', 'sn_clerk');
select * from postern.explain_row('sn_one', '{"id": 1}', 'TRUNCATE', 'sn_clerk');
select * from postern.explain_row('pg_class', '{"oid": 1}', 'SELECT', 'sn_clerk');
drop function sn_do(text);
drop table sn_lookup, sn_r cascade;
drop owned by sn_owner cascade;
drop role sn_owner, sn_heir, sn_noheir, sn_clerk, sn_group, sn_member, sn_bypass, sn_nothing, sn_operator;
