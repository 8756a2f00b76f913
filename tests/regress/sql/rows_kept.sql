-- What is granted and set outlives renames and moves, goes with the role or the table that it was for, and never comes back by itself.
\pset format unaligned
\pset tuples_only on
\set SHOW_CONTEXT never
set client_min_messages = warning;
create role rk_owner nologin;
create role rk_heir nologin;
create role rk_clerk nologin;
create role rk_deputy nologin;
create role rk_strict nologin;
create schema rk authorization rk_owner;
create schema rk_there authorization rk_owner;
grant usage on schema rk, rk_there to rk_heir, rk_clerk, rk_deputy, rk_strict;
grant create on schema rk, rk_there to rk_heir;
set role rk_owner;
create table rk.member (who name, tenant int);
insert into rk.member values ('rk_deputy', 1), ('rk_vice', 1), ('rk_strict', 2);
create table rk.doc (id int primary key, tenant int, body text);
insert into rk.doc select n, n % 3, 'b' || n from generate_series(1, 9) n;
alter table rk.doc enable row level security;
select postern.create_policy('rk.doc', 'mine', using_qual => 'tenant in (select m.tenant from rk.member m where m.who = current_user)', run_as => 'owner', "position" => 5);
create policy cap on rk.doc as restrictive using (id < 8);
grant select on rk.doc to rk_clerk, rk_deputy, rk_strict;
select count(*) from postern.grant_direct('{select}', 'rk.doc', '{rk_clerk}', with_grant => true);
select postern.set_row_security('error', 'rk.doc', 'rk_strict');
-- What each of the three meets: all rows, the policies, the error.
reset role;
create function rk.meets(relation regclass) returns text language plpgsql as $$
declare
    role oid; said text; all_said text := '';
begin
    -- By OID: names change.
    foreach role in array (select roles from rk_roles) loop
        begin
            said := postern.evaluate_as(role, null, format('select count(*) from %s', relation));
        exception when insufficient_privilege then
            said := case when sqlerrm like 'row security would filter%' then 'error' else sqlerrm end;
        end;
        all_said := concat_ws(' ', all_said, said);
    end loop;
    return all_said;
end
$$;
create temp table rk_roles as select array['rk_clerk'::regrole::oid, 'rk_deputy'::regrole, 'rk_strict'::regrole] as roles;
select rk.meets('rk.doc');
-- Renames of everything there is, one after the other; a policy's own sub-select follows too.
alter table rk.doc rename to document;
select rk.meets('rk.document');
alter table rk.document set schema rk_there;
alter schema rk_there rename to rk_elsewhere;
select rk.meets('rk_elsewhere.document');
alter table rk_elsewhere.document rename column tenant to customer;
alter table rk.member rename to staff;
alter table rk.staff rename column tenant to customer;
alter role rk_deputy rename to rk_vice;
alter role rk_clerk rename to rk_scribe;
alter role rk_owner rename to rk_chief;
alter policy cap on rk_elsewhere.document rename to cap_on_it;
select rk.meets('rk_elsewhere.document');
alter table rk_elsewhere.document add column more int, alter column body type varchar;
alter table rk_elsewhere.document drop column more;
cluster rk_elsewhere.document using doc_pkey;
select rk.meets('rk_elsewhere.document');
-- Another owner of the table alone: the policy's function stays whose it was, and still may read; all that the owner has: both.
alter table rk_elsewhere.document owner to rk_heir;
select rk.meets('rk_elsewhere.document'), pg_get_userbyid(proowner) from pg_proc where proname = 'doc_mine_using_1';
select role, command, grantor, with_grant from postern.direct_grants where relation = 'rk_elsewhere.document'::regclass;
set role rk_chief;
select postern.grant_direct('{select}', 'rk_elsewhere.document', '{rk_vice}');
select postern.set_row_security('default', 'rk_elsewhere.document', 'rk_strict');
reset role;
reassign owned by rk_chief to rk_heir;
select rk.meets('rk_elsewhere.document'), pg_get_userbyid(proowner) from pg_proc where proname = 'doc_mine_using_1';
select relation, role, mode from postern.row_security_modes where relation = 'rk_elsewhere.document'::regclass and command = 'r';
-- What an owner had granted to itself, where it is filtered too, goes with the table, as its privileges do: it is not there again when a new
-- owner gives the former one the privilege. Others keep theirs, also where entries of two grantors become one.
set role rk_heir;
grant usage, create on schema rk_elsewhere to rk_chief;
alter table rk_elsewhere.document force row level security;
grant select on rk_elsewhere.document to rk_chief with grant option;
select role, after from postern.grant_direct('{select}', 'rk_elsewhere.document', '{rk_heir}');
set role rk_chief;
grant select on rk_elsewhere.document to rk_scribe;
reset role;
alter table rk_elsewhere.document owner to rk_chief;
select role, command from postern.direct_grants where relation = 'rk_elsewhere.document'::regclass order by role;
set role rk_chief;
select count(*) from postern.grant_direct('{select}', 'rk_elsewhere.document', '{rk_chief}');
reset role;
reassign owned by rk_chief to rk_heir;
select role, command from postern.direct_grants where relation = 'rk_elsewhere.document'::regclass order by role;
set role rk_heir;
grant select on rk_elsewhere.document to rk_chief;
set role rk_chief;
select count(*) from rk_elsewhere.document;
set role rk_heir;
revoke all on rk_elsewhere.document from rk_chief cascade;
alter table rk_elsewhere.document no force row level security;
reset role;
select rk.meets('rk_elsewhere.document');
-- Undone: by a transaction, by a part of one.
begin;
savepoint s;
revoke select on rk_elsewhere.document from rk_scribe cascade;
select role, command from postern.direct_grants where relation = 'rk_elsewhere.document'::regclass;
rollback to s;
select role, command from postern.direct_grants where relation = 'rk_elsewhere.document'::regclass;
drop table rk_elsewhere.document;
select count(*) from postern.direct_access;
rollback;
select rk.meets('rk_elsewhere.document');
-- DROP OWNED of who has passed it on takes that as well; a plain grant afterwards is a plain one.
set role rk_scribe;
select role, after from postern.grant_direct('{select}', 'rk_elsewhere.document', '{rk_vice}');
reset role;
select role, grantor from postern.direct_grants where relation = 'rk_elsewhere.document'::regclass order by role;
drop owned by rk_scribe cascade;
select count(*) from postern.direct_access;
grant usage on schema rk_elsewhere to rk_scribe;
grant select on rk_elsewhere.document to rk_scribe, rk_vice;
select rk.meets('rk_elsewhere.document');
-- A role that is gone takes its mode with it, and one that gets its name has none of it.
drop owned by rk_strict;
drop role rk_strict;
select count(*) from postern.row_security_modes;
create role rk_strict nologin;
grant usage on schema rk_elsewhere to rk_strict;
grant select on rk_elsewhere.document to rk_strict;
set role rk_strict;
select count(*) from rk_elsewhere.document;
reset role;
-- So does a table: one of its name starts anew.
set role rk_heir;
select count(*) from postern.grant_direct('{all}', 'rk_elsewhere.document', '{rk_vice}');
select postern.set_row_security('error', 'rk_elsewhere.document');
drop table rk_elsewhere.document;
create table rk_elsewhere.document (id int);
alter table rk_elsewhere.document enable row level security;
grant select on rk_elsewhere.document to rk_vice;
insert into rk_elsewhere.document values (1);
set role rk_vice;
select count(*) from rk_elsewhere.document;
reset role;
select (select count(*) from postern.direct_access), (select count(*) from postern.row_security_modes);
drop table rk_roles;
drop owned by rk_heir, rk_chief cascade;
drop role rk_heir, rk_chief, rk_scribe, rk_vice, rk_strict;
