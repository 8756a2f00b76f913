-- Who sees which rows through views and functions: the ways are named, and what is said of a row is what happens.
\pset format unaligned
\pset tuples_only on
\set SHOW_CONTEXT never
create role rv_owner nologin;
create role rv_lens nologin;
create role rv_group nologin;
create role rv_clerk nologin in role rv_group;
create schema rv authorization rv_owner;
grant usage on schema rv to rv_lens, rv_group, rv_clerk;
grant create on schema rv to rv_lens;
set role rv_owner;
create table rv.doc (id int primary key, tenant int, who name, body text);
insert into rv.doc select n, n % 3, case n % 2 when 0 then 'rv_clerk' else 'rv_lens' end, 'b' || n from generate_series(1, 12) n;
alter table rv.doc enable row level security;
create policy lens on rv.doc to rv_lens using (tenant < 2) with check (tenant = 1);
create policy mine on rv.doc to rv_group using (who = current_user);
grant select, insert, update, delete on rv.doc to rv_lens, rv_group;
create view rv.of_owner as select id as number, tenant, who from rv.doc where id <> 12;
grant select, update, insert, delete on rv.of_owner to rv_clerk;
create function rv.count_all() returns bigint language sql security definer set search_path = pg_catalog, pg_temp as 'select count(*) from rv.doc';
create function rv.atomic() returns bigint language sql security definer set search_path = pg_catalog, pg_temp return (select count(*) from rv.doc);
create function rv.another() returns bigint language sql security definer set search_path = pg_catalog, pg_temp as 'select count(*) from rv.docs_of_somebody';
revoke execute on function rv.atomic() from public;
grant execute on function rv.atomic() to rv_group;
set role rv_lens;
set check_function_bodies = off;
create view rv.of_lens as select * from rv.doc;
create view rv.of_invoker with (security_invoker = yes) as select * from rv.doc;
create view rv.above as select id as n, who as person from rv.of_invoker;
create view rv.checked as select * from rv.doc where tenant < 2 with check option;
create view rv.joined as select a.id, b.body from rv.doc a join rv.doc b using (id);
create view rv.sums as select tenant, count(*) as n from rv.doc group by tenant;
grant select, update, insert, delete on rv.of_lens, rv.of_invoker, rv.above, rv.checked to rv_clerk;
grant select on rv.joined, rv.sums to rv_clerk;
reset role;
select command, access, reason, permissive, through from postern.row_access where relation = 'rv.doc'::regclass and role = 'rv_clerk' order by array_position('{SELECT,INSERT,UPDATE,DELETE}', command);
select command, access, through from postern.row_access where relation = 'rv.doc'::regclass and role = 'rv_lens' order by array_position('{SELECT,INSERT,UPDATE,DELETE}', command);

-- One row, through each of them.
select * from postern.explain_row('rv.of_owner', '{"number": 3}', 'SELECT', 'rv_clerk');
select * from postern.explain_row('rv.of_lens', '{"id": 2}', 'SELECT', 'rv_clerk');
select * from postern.explain_row('rv.of_lens', '{"id": 3}', 'SELECT', 'rv_clerk');
select * from postern.explain_row('rv.of_invoker', '{"id": 3}', 'SELECT', 'rv_clerk');
select * from postern.explain_row('rv.above', '{"n": 4}', 'SELECT', 'rv_clerk');
select * from postern.explain_row('rv.sums', '{"tenant": 2}', 'SELECT', 'rv_clerk');
select says from postern.explain_row('rv.of_owner', '{"number": 12}', 'SELECT', 'rv_clerk') where step = 'verdict';
select says from postern.explain_row('rv.of_owner', '{"number": 99}', 'SELECT', 'rv_clerk') where step = 'verdict';
select says, expression from postern.explain_row('rv.of_lens', '{"id": 3}', 'UPDATE', 'rv_clerk', new_row => '{"tenant": 2}') where step = 'verdict';
select says, expression from postern.explain_row('rv.of_lens', '{"id": 3}', 'UPDATE', 'rv_clerk', new_row => '{"tenant": 1, "body": "x"}') where step = 'verdict';
select says, expression from postern.explain_row('rv.of_lens', null, 'INSERT', 'rv_clerk', new_row => '{"id": 50, "tenant": 0}') where step = 'verdict';
select says, expression from postern.explain_row('rv.of_lens', '{"id": 5}', 'DELETE', 'rv_clerk') where step = 'verdict';
select says, expression from postern.explain_row('rv.joined', '{"id": 5}', 'DELETE', 'rv_clerk') where step = 'verdict';
select says, expression from postern.explain_row('rv.sums', '{"tenant": 0}', 'SELECT', 'rv_group') where step = 'verdict';
select says, expression from postern.explain_row('pg_catalog.pg_tables', '{"tablename": "x"}', 'SELECT', 'rv_clerk');

-- Every row of every view: the verdict is what happens.
create function rv.sees(view text, key text, id int) returns bool language plpgsql as $$
declare n bigint;
begin
    execute format('select count(*) from rv.%I where %I = %s', view, key, id) into n;
    return n > 0;
end
$$;
grant execute on function rv.sees(text, text, int) to public;
select count(*) as rows, count(*) filter (where says = 'visible') as seen, count(*) filter (where (says = 'visible') is distinct from happens::bool) as wrong
  from (select e.says, postern.evaluate_as(r.oid, null, format('select rv.sees(%L, %L, %s)', v.name, v.key, d.id)) as happens
          from (values ('of_owner', 'number'), ('of_lens', 'id'), ('of_invoker', 'id'), ('above', 'n'), ('joined', 'id')) v (name, key),
               generate_series(1, 12) d (id), pg_roles r,
               lateral (select e.says from postern.explain_row(('rv.' || v.name)::regclass, jsonb_build_object(v.key, d.id), 'SELECT', r.rolname) e where e.step = 'verdict') e
         where r.rolname in ('rv_clerk', 'rv_owner', 'rv_lens') and has_table_privilege(r.oid, 'rv.' || v.name, 'SELECT')) x;
-- And under random policies, grants and modes: random statements on random views.
set client_min_messages = warning;
create function rv.try(statement text) returns text language plpgsql as $$
declare n bigint;
begin
    execute statement;
    get diagnostics n = row_count;
    return n;
exception when insufficient_privilege then
    return case when sqlerrm like 'new row violates%' then 'refused' when sqlerrm like 'row security would filter%' then 'error mode'
                when sqlerrm like 'permission denied%' then 'permission denied' else sqlerrm end;
when with_check_option_violation then
    return 'refused';
when unique_violation then
    return 'may raise';
end
$$;
grant execute on function rv.try(text) to public;
do $$
declare
    expressions text[] := array['true', 'false', 'tenant = 1', 'who = current_user', 'id > 6', 'body is null', 'null::bool', 'tenant in (select 1 union select 2)'];
    roles text[] := array['rv_clerk', 'rv_lens', 'rv_group', 'rv_owner'];
    views text[] := array['of_owner number', 'of_lens id', 'of_invoker id', 'above n', 'checked id'];
    policy name; command text; who text; view text; key text; id int; statement text; new_row jsonb;
    verdict text; real text; seen jsonb := '{}'; wrong int := 0;
begin
    perform setseed(0.7);
    for round in 1 .. 12 loop
        for policy in select polname from pg_policy where polrelid = 'rv.doc'::regclass loop
            execute format('drop policy %I on rv.doc', policy);
        end loop;
        for n in 1 .. 1 + (random() * 4)::int loop
            command := (array['ALL', 'ALL', 'SELECT', 'UPDATE', 'DELETE', 'INSERT'])[1 + floor(random() * 6)];
            execute format('create policy %I on rv.doc as %s for %s to %s', 'p' || n, case when random() < 0.7 then 'permissive' else 'restrictive' end,
                command, (array['public', 'rv_lens', 'rv_group'])[1 + floor(random() * 3)])
                || case when command <> 'INSERT' then format(' using (%s)', expressions[1 + floor(random() * cardinality(expressions))]) else '' end
                || case when command = 'INSERT' or (command in ('ALL', 'UPDATE') and random() < 0.5)
                        then format(' with check (%s)', expressions[1 + floor(random() * cardinality(expressions))]) else '' end;
        end loop;
        execute case when random() < 0.3 then 'alter table rv.doc force row level security' else 'alter table rv.doc no force row level security' end;
        perform postern.revoke_direct('{all}', 'rv.doc', '{rv_lens,rv_group}', true);
        if random() < 0.3 then perform postern.grant_direct('{select,insert,update}', 'rv.doc', array[(array['rv_lens', 'rv_group'])[1 + floor(random() * 2)]]::name[]); end if;
        perform postern.set_row_security(case when random() < 0.4 then 'error' else 'default' end, 'rv.doc', 'rv_lens');
        for attempt in 1 .. 12 loop
            who := roles[1 + floor(random() * cardinality(roles))];
            view := views[1 + floor(random() * cardinality(views))];
            key := split_part(view, ' ', 2);
            view := split_part(view, ' ', 1);
            id := 1 + floor(random() * 12);
            command := (array['SELECT', 'INSERT', 'INSERT', 'UPDATE', 'DELETE'])[1 + floor(random() * 5)];
            new_row := case command when 'UPDATE' then jsonb_build_object(key, id + 100)
                                    when 'INSERT' then jsonb_build_object(key, id + case when random() < 0.2 then 0 else 100 end,
                                        case view when 'above' then 'person' else 'who' end, (array['rv_clerk', 'rv_lens'])[1 + floor(random() * 2)])
                                        || case view when 'above' then '{}' else jsonb_build_object('tenant', floor(random() * 4)::int) end end;
            statement := case command when 'SELECT' then format('select from rv.%I where %I = %s', view, key, id)
                                      when 'UPDATE' then format('update rv.%I set %I = %s where %I = %s', view, key, id + 100, key, id)
                                      when 'INSERT' then (select format('insert into rv.%I (%s) values (%s)', view, string_agg(quote_ident(c.key), ', '), string_agg(quote_literal(c.value), ', '))
                                                            from jsonb_each_text(new_row) c)
                                      else format('delete from rv.%I where %I = %s', view, key, id) end;
            select says into verdict from postern.explain_row(('rv.' || view)::regclass, case when command <> 'INSERT' then jsonb_build_object(key, id) end, command, who, null, new_row) where step = 'verdict';
            real := postern.evaluate_as(who::regrole, null, format('select rv.try(%L)', statement));
            real := case real when '1' then case command when 'SELECT' then 'visible' else 'allowed' end when '0' then 'hidden' else real end;
            seen := jsonb_set(seen, array[real], to_jsonb(coalesce((seen ->> real)::int, 0) + 1));
            -- Through the view of the owner a row may not be there at all: that is said, and looks like one that is hidden.
            if verdict is distinct from real and not (verdict = 'no such row' and real = 'hidden') then
                wrong := wrong + 1;
                raise warning '% as %: said %, was %', statement, who, verdict, real;
            end if;
        end loop;
    end loop;
    raise warning '% wrong; met: %', wrong, (select string_agg(m.met, ', ' order by m.met) from jsonb_each_text(seen) m (met, times) where m.times::int > 2);
end
$$;
reset client_min_messages;
select postern.set_row_security('default', 'rv.doc', 'rv_lens');
do $$ declare p name; begin for p in select polname from pg_policy where polrelid = 'rv.doc'::regclass loop execute format('drop policy %I on rv.doc', p); end loop; end $$;
create policy again on rv.doc to rv_group using (who = current_user);
-- Looking leaves nothing, and is for whom it is.
select count(*), min(tenant), max(tenant) from rv.doc;
set role rv_clerk;
select * from postern.explain_row('rv.of_lens', '{"id": 3}', 'SELECT', 'rv_lens');
select count(*) > 0 from postern.explain_row('rv.of_lens', '{"id": 3}', 'SELECT', 'rv_clerk');
reset role;
drop owned by rv_owner, rv_lens cascade;
drop role rv_owner, rv_lens, rv_group, rv_clerk;
