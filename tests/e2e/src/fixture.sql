-- What an application has: tables of another owner, row security, a schema in which developers create.
select postern.admit('alice'), postern.admit('bob'), postern.admit('carol');

create schema app authorization app;
grant usage on schema app to alice, bob, carol;

create table app.bob_only (x text);
insert into app.bob_only values ('BOB-SECRET');
alter table app.bob_only owner to app;
grant all on app.bob_only to bob;

create table app.t (id int primary key, owner text default current_user, v text);
alter table app.t owner to app;
grant all on app.t to alice, bob, carol;
insert into app.t values (1, 'alice', 'a1'), (2, 'bob', 'b1');
alter table app.t enable row level security;
create policy p on app.t using (owner = current_user);

-- Rows by fact, as an application of Postern has them.
create table app.f (sub text, v text);
alter table app.f owner to app;
grant all on app.f to alice, bob, carol;
insert into app.f values ('alice', 'fact-a'), ('bob', 'fact-b');
alter table app.f enable row level security;
create policy p on app.f using (sub = (select postern.fact('claims.sub')));

create table app.plain (i int primary key deferrable initially deferred);
grant all on app.plain to alice, bob;

create table app.big as select g id, 'u' || (g % 1000) u from generate_series(1, 20000) g;
grant select on app.big to alice, bob;

create schema work;
grant all on schema work to alice, bob;
grant usage on schema work to public;
create table work.loot (tag text, cu text, su text, note text);
grant all on work.loot to public;

create table app.s (i int);
grant all on app.s to alice;
create sequence app.sq;
grant usage on sequence app.sq to alice, bob;

create table app.rp (id int, who text);
insert into app.rp values (1, 'alice'), (2, 'bob');
alter table app.rp enable row level security;
grant select on app.rp to public;

create table app.rp3 (id int, ssn text);
insert into app.rp3 values (1, 'SECRET-999');
alter table app.rp3 enable row level security;
create policy p on app.rp3 using (id < 0);
create policy pi on app.rp3 for insert with check (true);
grant select, insert on app.rp3 to alice;
create unique index on app.rp3 (ssn);

create table app.su (x text);
alter table app.su enable row level security;
grant select on app.su to alice;

create table app.nn (a int not null, secret text default 'DEFAULT-SECRET');
grant insert (a) on app.nn to alice;

-- The probe, made by alice. It tries to leave the role, from wherever it is made to run, and writes down what happened.
set role alice;
create function work.evil(tag text) returns boolean language plpgsql set search_path = pg_catalog, pg_temp as $$
declare n text := ''; s text;
begin
    begin
        execute 'set local role bob';
        select string_agg(x, ',') into s from app.bob_only;
        n := n || ' SETROLE-OK ' || coalesce(s, '');
    exception when others then n := n || ' setrole ' || sqlstate; end;
    begin
        execute 'reset role';
        n := n || ' RESET-OK ' || current_user;
    exception when others then n := n || ' reset ' || sqlstate; end;
    insert into work.loot values (tag, current_user, session_user, n);
    return true;
end $$;
create function work.evil_trg() returns trigger language plpgsql as $$
begin perform work.evil(tg_argv[0]); return null; end $$;

create table work.dt (n int);
create constraint trigger d1 after insert on work.dt deferrable initially deferred
    for each row execute function work.evil_trg('deferred');

create table work.dq (n int);
create function work.requeue_trg() returns trigger language plpgsql as $$
begin
    if new.n > 0 then
        set constraints all deferred;
        insert into work.dq values (new.n - 1);
    else
        perform work.evil('requeued');
        execute 'declare hq cursor with hold for select work.evil(''hold from trigger'')';
    end if;
    return null;
end $$;
create constraint trigger d1 after insert on work.dq deferrable initially deferred
    for each row execute function work.requeue_trg();

create domain work.evildom as int check (work.evil('domain check'));
create type work.evilcomp as (d work.evildom);
reset role;
