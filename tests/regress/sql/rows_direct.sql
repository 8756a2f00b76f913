-- Direct access past row security: the automaton, and every way to a table.
\pset format unaligned
\pset tuples_only on
\set SHOW_CONTEXT never
create role dr_owner nologin;
create role dr_clerk nologin;
create role dr_other nologin;
create role dr_group nologin;
create role dr_member nologin in role dr_group;
create role dr_noinherit nologin noinherit in role dr_group;
grant create on schema public to dr_owner;
set role dr_owner;
create table dr_doc (id int primary key, tenant int, body text);
insert into dr_doc select n, n % 3, 'b' || n from generate_series(1, 9) n;
alter table dr_doc enable row level security;
create policy tenant on dr_doc using (tenant = 1) with check (tenant = 1);
create policy cap on dr_doc as restrictive using (id < 8);
reset role;

-- The automaton of the row security discussion: twelve rows, for each command.
create table dr_expected (n int, pre text, action text, post text);
insert into dr_expected values
  (1, 'None', 'GRANT', 'Set'), (2, 'None', 'REVOKE', 'None'),
  (3, 'None', 'GRANT DIRECT', 'Set & Direct'), (4, 'None', 'REVOKE DIRECT', 'None'),
  (5, 'Set', 'GRANT', 'Set'), (6, 'Set', 'REVOKE', 'None'),
  (7, 'Set', 'GRANT DIRECT', 'Set & Direct'), (8, 'Set', 'REVOKE DIRECT', 'Set'),
  (9, 'Set & Direct', 'GRANT', 'Set & Direct'), (10, 'Set & Direct', 'REVOKE', 'None'),
  (11, 'Set & Direct', 'GRANT DIRECT', 'Set & Direct'), (12, 'Set & Direct', 'REVOKE DIRECT', 'None');
grant all on dr_expected to dr_owner;
set role dr_owner;
set client_min_messages = warning;
do $$
declare
    e dr_expected;
    command text;
    spelling int;
    got text;
    checked int := 0;
begin
    for e in select * from dr_expected order by n loop
        foreach command in array '{SELECT,INSERT,UPDATE,DELETE}'::text[] loop
            -- REVOKE by the statement itself, and by our function.
            for spelling in 1 .. case e.action when 'REVOKE' then 2 else 1 end loop
                perform postern.revoke('{all}', 'dr_doc', '{dr_clerk}');
                -- A neighbour that nothing may touch.
                perform postern.grant_direct('{all}', 'dr_doc', '{dr_other}');
                if e.pre = 'Set' then execute format('grant %s on dr_doc to dr_clerk', command); end if;
                if e.pre = 'Set & Direct' then perform postern.grant_direct(array[command], 'dr_doc', '{dr_clerk}'); end if;
                case e.action
                    when 'GRANT' then execute format('grant %s on dr_doc to dr_clerk', command);
                    when 'REVOKE' then
                        if spelling = 1 then execute format('revoke %s on dr_doc from dr_clerk', command);
                        else perform postern.revoke(array[command], 'dr_doc', '{dr_clerk}'); end if;
                    when 'GRANT DIRECT' then perform postern.grant_direct(array[command], 'dr_doc', '{dr_clerk}');
                    when 'REVOKE DIRECT' then perform postern.revoke_direct(array[command], 'dr_doc', '{dr_clerk}');
                end case;
                got := postern.direct_state('dr_doc'::regclass, 'dr_clerk'::regrole, postern.row_command(command));
                if got <> e.post then raise exception 'row %, %: % instead of %', e.n, command, got, e.post; end if;
                -- The other three commands are as they were, and so is the neighbour.
                if (select count(*) from unnest('{SELECT,INSERT,UPDATE,DELETE}'::text[]) c
                     where c <> command and postern.direct_state('dr_doc'::regclass, 'dr_clerk'::regrole, postern.row_command(c)) <> 'None') > 0
                   or (select count(*) from postern.direct_grants g where g.role = 'dr_other') <> 4
                then raise exception 'row %, %: something else has changed', e.n, command; end if;
                checked := checked + 1;
            end loop;
        end loop;
    end loop;
    raise warning '% transitions hold', checked;
end
$$;
select count(*) from postern.revoke('{all}', 'dr_doc', '{dr_clerk,dr_other}');
reset client_min_messages;
-- ALL over mixed cells is four independent transitions; the report says what was and what is.
select * from postern.grant_direct('{select}', 'dr_doc', '{dr_clerk}');
grant insert on dr_doc to dr_clerk;
select * from postern.revoke_direct('{all}', 'dr_doc', '{dr_clerk}');
select * from postern.revoke('{all}', 'dr_doc', '{dr_clerk}');
select * from postern.grant_direct('{select}', 'dr_doc', '{dr_clerk}');
select * from postern.revoke_direct('{select}', 'dr_doc', '{dr_clerk}', keep_privilege => true);
select relation, role, command, grantor, with_grant from postern.direct_grants;

-- Reading: all rows, past permissive and restrictive policies; other roles, commands and tables as before.
grant select, insert, update, delete on dr_doc to dr_clerk, dr_other, dr_group;
select count(*) from postern.grant_direct('{select}', 'dr_doc', '{dr_clerk}');
set role dr_clerk;
select count(*) from dr_doc;
select count(*) from dr_doc where exists (select from dr_doc d where d.id = dr_doc.id + 1);
with d as (select * from dr_doc) select count(*) from d;
explain (costs off) select * from dr_doc;
update dr_doc set body = 'x';                 -- UPDATE is not direct: policies of UPDATE
update dr_doc set body = 'x' where id = 9;    -- and a statement that needs both is filtered as a whole
delete from dr_doc where id = 9;
select id from dr_doc for update;
insert into dr_doc values (20, 2, 'x');
set role dr_other;
select count(*) from dr_doc;
explain (costs off) select * from dr_doc;
reset role;

-- Prepared: what one role may is not what the other gets, and a revocation counts at the next execution.
set role dr_owner;
prepare q as select count(*) from dr_doc;
set plan_cache_mode = force_generic_plan;
execute q;
set role dr_clerk;
execute q;
set role dr_other;
execute q;
set role dr_owner;
select count(*) from postern.revoke_direct('{select}', 'dr_doc', '{dr_clerk}', true);
set role dr_clerk;
execute q;
set role dr_owner;
begin;
select count(*) from postern.grant_direct('{select}', 'dr_doc', '{dr_clerk}');
set local role dr_clerk;
execute q;
rollback;
set role dr_clerk;
execute q;
-- By membership: inherited, as privileges are.
set role dr_owner;
select count(*) from postern.grant_direct('{select}', 'dr_doc', '{dr_group}');
grant select on dr_doc to dr_noinherit;
set role dr_member;
execute q;
set role dr_noinherit;
execute q;
reset role;
revoke dr_group from dr_member;
grant select on dr_doc to dr_member;
set role dr_member;
execute q;
reset role;
grant dr_group to dr_member;
set role dr_member;
execute q;
reset role;
-- The owner of the database, whoever that is.
set role dr_owner;
grant select on dr_doc to pg_database_owner;
select count(*) from postern.grant_direct('{select}', 'dr_doc', '{pg_database_owner}');
reset role;
select current_database() as db \gset
set role dr_other;
execute q;
reset role;
alter database :"db" owner to dr_other;
set role dr_other;
execute q;
reset role;
alter database :"db" owner to current_user;
set role dr_other;
execute q;
set role dr_owner;
set client_min_messages = warning;
select count(*) from postern.revoke('{select}', 'dr_doc', '{pg_database_owner}');
reset client_min_messages;
reset role;
deallocate q;
reset plan_cache_mode;

-- Writing.
set role dr_owner;
set client_min_messages = warning;
select count(*) from postern.revoke_direct('{all}', 'dr_doc', '{dr_group}', true);
select count(*) from postern.grant_direct('{all}', 'dr_doc', '{dr_clerk}');
reset client_min_messages;
set role dr_clerk;
begin;
insert into dr_doc values (20, 2, 'new') returning id;
insert into dr_doc values (20, 2, 'conflict') on conflict (id) do update set body = excluded.body returning body;
insert into dr_doc values (9, 2, 'hidden') on conflict do nothing;
update dr_doc set tenant = 2 where id = 9 returning id, tenant;
update dr_doc set body = 'all';
delete from dr_doc where id = 9 returning id;
merge into dr_doc t using (values (8), (30)) s (id) on t.id = s.id
    when matched then update set body = 'merged' when not matched then insert values (s.id, 2, 'merged');
select id, tenant, body from dr_doc order by id desc limit 3;
select id from dr_doc where id = 8 for update;
rollback;
set role dr_other;
begin;
savepoint s;
insert into dr_doc values (20, 2, 'new');
rollback to s;
insert into dr_doc values (9, 1, 'c') on conflict (id) do update set body = excluded.body;
rollback to s;
update dr_doc set body = 'mine';
delete from dr_doc;
rollback to s;
merge into dr_doc t using (values (8)) s (id) on t.id = s.id when matched then update set body = 'merged';
merge into dr_doc t using (values (40)) s (id) on t.id = s.id when not matched then insert values (s.id, 2, 'merged');
rollback;
-- UPDATE alone is direct where nothing is read.
set role dr_owner;
set client_min_messages = warning;
select count(*) from postern.revoke_direct('{select,insert,delete}', 'dr_doc', '{dr_clerk}', true);
reset client_min_messages;
set role dr_clerk;
begin;
update dr_doc set body = 'all';
update dr_doc set body = 'seen' where id > 0;
rollback;

-- COPY, cursors, functions, views.
set role dr_owner;
select count(*) from postern.grant_direct('{all}', 'dr_doc', '{dr_clerk}');
create function dr_count() returns bigint language sql stable as 'select count(*) from public.dr_doc';
create function dr_count_atomic() returns bigint language sql stable begin atomic select count(*) from dr_doc; end;
create function dr_count_plpgsql() returns bigint language plpgsql stable as 'begin return (select count(*) from public.dr_doc); end';
create function dr_count_definer() returns bigint language sql security definer as 'select count(*) from public.dr_doc';
reset role;
create function dr_rows() returns setof int language sql stable as 'select id from public.dr_doc';
create view dr_view as select * from dr_doc;
alter view dr_view owner to dr_clerk;                    -- the view's owner has direct access
create view dr_view_other as select * from dr_doc;
alter view dr_view_other owner to dr_other;              -- this one's has none
create view dr_view_invoker with (security_invoker) as select * from dr_doc;
create view dr_view_barrier with (security_barrier) as select * from dr_doc where id > 2;
alter view dr_view_barrier owner to dr_clerk;
grant select, insert, update, delete on dr_view, dr_view_other, dr_view_invoker, dr_view_barrier to dr_clerk, dr_other;
set role dr_clerk;
copy dr_doc (id) to stdout;
copy (select count(*) from dr_doc) to stdout;
\copy dr_doc from /dev/null
begin;
declare c cursor for select count(*) from dr_doc;
fetch c;
commit;
select dr_count(), dr_count_atomic(), dr_count_plpgsql(), dr_count_definer(), (select count(*) from dr_rows());
select (select count(*) from dr_view), (select count(*) from dr_view_other), (select count(*) from dr_view_invoker), (select count(*) from dr_view_barrier);
-- A function whose query the planner puts in place of the call, beside a table that it then does not read.
with unread as (select * from dr_doc) select count(*) from dr_rows();
select count(*) from dr_rows() where case when true then true else exists (select from dr_doc) end;
with unread as (select * from dr_doc), one as (select 1 from dr_rows()) select (select count(*) from one), (select count(*) from dr_rows() r join dr_doc d on d.id = r);
set role dr_other;
with unread as (select * from dr_doc) select count(*) from dr_rows();
copy dr_doc (id) to stdout;
begin;
declare c cursor for select count(*) from dr_doc;
fetch c;
commit;
select dr_count(), dr_count_atomic(), dr_count_plpgsql(), dr_count_definer(), (select count(*) from dr_rows());
select (select count(*) from dr_view), (select count(*) from dr_view_other), (select count(*) from dr_view_invoker), (select count(*) from dr_view_barrier);
-- A barrier view's own condition is no policy: it stays.
begin;
update dr_view_barrier set body = 'b';
update dr_view_other set body = 'b';
rollback;
reset role;

-- Columns stay what the plain privileges say.
set role dr_owner;
create table dr_cols (a int, secret text);
insert into dr_cols values (1, 's');
alter table dr_cols enable row level security;
grant select (a) on dr_cols to dr_clerk;
select * from postern.grant_direct('{update}', 'dr_cols', '{dr_clerk}');
set role dr_clerk;
select secret from dr_cols;
select a from dr_cols;

-- Inheritance and partitions: what is named counts.
set role dr_owner;
create table dr_part (id int, tenant int) partition by list (tenant);
create table dr_part1 partition of dr_part for values in (1);
create table dr_part2 partition of dr_part for values in (2);
insert into dr_part select n, 1 + n % 2 from generate_series(1, 4) n;
alter table dr_part enable row level security;
alter table dr_part1 enable row level security;
create table dr_parent (id int);
create table dr_child () inherits (dr_parent);
insert into dr_parent values (1);
insert into dr_child values (2);
alter table dr_parent enable row level security;
alter table dr_child enable row level security;
grant select on dr_part, dr_part1, dr_part2, dr_parent, dr_child to dr_clerk, dr_other;
select count(*) from postern.grant_direct('{select}', 'dr_part', '{dr_clerk}');
select count(*) from postern.grant_direct('{select}', 'dr_parent', '{dr_clerk}');
set role dr_clerk;
select (select count(*) from dr_part), (select count(*) from dr_part1), (select count(*) from dr_parent), (select count(*) from only dr_parent), (select count(*) from dr_child);
set role dr_other;
select (select count(*) from dr_part), (select count(*) from dr_part1), (select count(*) from dr_parent), (select count(*) from only dr_parent), (select count(*) from dr_child);

-- Foreign keys are checked as the owner of the table, for everybody, as ever.
set role dr_owner;
create table dr_ref (doc int references dr_doc);
grant insert on dr_ref to dr_clerk, dr_other;
set role dr_other;
insert into dr_ref values (9);
set role dr_clerk;
insert into dr_ref values (9);
insert into dr_ref values (99);

-- The grant option, and what rests on it.
set role dr_owner;
set client_min_messages = warning;
select count(*) from postern.revoke('{all}', 'dr_doc', '{dr_clerk,dr_other,dr_group,dr_member,dr_noinherit}');
reset client_min_messages;
select * from postern.grant_direct('{select}', 'dr_doc', '{dr_clerk}', with_grant => true);
set role dr_clerk;
select * from postern.grant_direct('{select}', 'dr_doc', '{dr_other}');
select * from postern.grant_direct('{update}', 'dr_doc', '{dr_other}');
set role dr_other;
select count(*) from dr_doc;
select * from postern.grant_direct('{select}', 'dr_doc', '{dr_group}');
select * from postern.revoke_direct('{select}', 'dr_doc', '{dr_clerk}');
set role dr_owner;
select role, command, grantor, with_grant from postern.direct_grants where relation = 'dr_doc'::regclass order by role;
revoke select on dr_doc from dr_clerk;
revoke select on dr_doc from dr_clerk cascade;
select role, command, grantor, with_grant from postern.direct_grants where relation = 'dr_doc'::regclass order by role;
-- Two grantors: each takes away what it gave; the plain grant option is that of direct access too, and what rested on it goes.
select role, after from postern.grant_direct('{select}', 'dr_doc', '{dr_clerk}', with_grant => true);
set role dr_clerk;
select role, after from postern.grant_direct('{select}', 'dr_doc', '{dr_other}');
set role dr_owner;
select role, before, after from postern.grant_direct('{select}', 'dr_doc', '{dr_other}');
set role dr_clerk;
select role, before, after from postern.revoke_direct('{select}', 'dr_doc', '{dr_other}');
set role dr_other;
select count(*) from dr_doc;
set role dr_owner;
select role, before, after from postern.revoke_direct('{select}', 'dr_doc', '{dr_other}');
grant select on dr_doc to dr_group;
set role dr_clerk;
select role, after from postern.grant_direct('{select}', 'dr_doc', '{dr_group}');
set role dr_owner;
select role, grantor, with_grant from postern.direct_grants where relation = 'dr_doc'::regclass order by role;
revoke grant option for select on dr_doc from dr_clerk cascade;
select role, grantor, with_grant from postern.direct_grants where relation = 'dr_doc'::regclass order by role;
select postern.direct_state('dr_doc'::regclass, 'dr_group'::regrole, 'r');
set role dr_clerk;
select count(*) from dr_doc;
select postern.grant_direct('{select}', 'dr_doc', '{dr_group}');
set role dr_owner;
revoke all on dr_doc from dr_clerk, dr_other, dr_group cascade;
-- Renames touch nothing; a new owner takes over; DROP OWNED and DROP take away.
select count(*) from postern.grant_direct('{select}', 'dr_doc', '{dr_clerk,dr_other}');
reset role;
alter table dr_doc rename to dr_document;
alter role dr_clerk rename to dr_scribe;
create role dr_owner2 nologin;
reassign owned by dr_owner to dr_owner2;
select relation, role, command, grantor from postern.direct_grants where role in ('dr_scribe', 'dr_other') and relation = 'dr_document'::regclass order by role;
set role dr_scribe;
select count(*) from dr_document;
reset role;
drop owned by dr_other;
select relation, role from postern.direct_grants where relation = 'dr_document'::regclass order by role;
revoke all on all tables in schema public from dr_scribe;
select count(*) from postern.direct_access;
select count(*) from postern.grant_direct('{select}', 'dr_document', '{dr_scribe}');

-- What is refused.
select postern.grant_direct('{truncate}', 'dr_document', '{dr_scribe}');
select postern.grant_direct('{}', 'dr_document', '{dr_scribe}');
select postern.grant_direct('{select}', 'dr_document', '{nobody_of_that_name}');
select postern.grant_direct('{select}', 'dr_document', '{public}');
select postern.grant_direct('{select}', 'dr_expected', '{dr_scribe}');
select postern.grant_direct('{select}', 'pg_class', '{dr_scribe}');
select postern.grant_direct('{select}', 'dr_view', '{dr_scribe}');
select postern.grant_direct('{select}', 'postern.direct_access', '{dr_scribe}');
select postern.grant_direct('{select}', 'dr_document', null);
set role dr_other;
select postern.grant_direct('{select}', 'dr_document', '{dr_other}');
select postern.change_direct('dr_document'::regclass, 'dr_other'::regrole, 'r', true, false);
select postern.lock_direct('dr_document'::regclass, 'r');
insert into postern.direct_access values ('dr_document', 'dr_other', 'r', 0, false);
delete from postern.direct_access;
reset role;
drop table dr_ref, dr_document, dr_cols, dr_part, dr_parent cascade;
select count(*) from postern.direct_access;
drop function dr_rows();
drop owned by dr_owner2, dr_owner;
drop table dr_expected;
drop role dr_owner, dr_owner2, dr_scribe, dr_other, dr_member, dr_noinherit, dr_group;
