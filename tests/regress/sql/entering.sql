-- When an identity may be entered, and when not.
\pset format unaligned
\pset tuples_only on
create role ent_alice nologin;
create role ent_other login;
select postern.admit('ent_alice');
select postern.enter('ent_alice', '{}');
set session authorization ent_other;
select postern.enter('ent_alice', '{}');
\c
set session authorization postern_gate;
-- The rest of the statement, and nothing after the transaction, runs as the role.
select postern.enter('ent_alice', '{}'), current_user, session_user, postern.entered_role()::regrole, postern.identity();
select current_user, postern.identity(), postern.facts() is null;
select postern.enter(null, '{}');
select postern.enter('nosuch', '{}');
select postern.enter('ent_alice', '[]');
select postern.enter('ent_alice', '"text"');
select postern.enter('ent_alice', json_build_object('a', repeat('x', 70000))::text);
select postern.enter('ent_alice', '{"a": 1');
select postern.enter('ent_alice', '{"a": 1} {}');
select postern.enter('ent_alice', '');
-- What does not fit into a name is refused, not cut.
select postern.enter('ent_alice' || repeat(' ', 60), '{}');
select postern.enter(repeat('é', 32), '{}');
-- Twice in one statement (A38).
select postern.enter(r, '{}') from unnest(array['ent_alice', 'ent_alice']) r;
-- In a block (A42), in a subtransaction (A40), from a function with a SET clause or SECURITY DEFINER (A39).
begin;
select postern.enter('ent_alice', '{}');
rollback;
do $$begin begin perform postern.enter('ent_alice', '{}'); exception when others then raise notice '% %', sqlstate, sqlerrm; end; end$$;
select current_user;
\c
create function ent_with_set() returns void language plpgsql set search_path = pg_catalog as
  $$begin perform postern.enter('ent_alice', '{}'); end$$;
create function ent_definer() returns void language plpgsql security definer as
  $$begin perform postern.enter('ent_alice', '{}'); end$$;
grant usage on schema public to postern_gate;
set session authorization postern_gate;
select ent_with_set();
select ent_definer();
select current_user, postern.entered_role() is null;
\c
alter function postern.enter security definer;
set session authorization postern_gate;
select postern.enter('ent_alice', '{}');
\c
alter function postern.enter security invoker set search_path = pg_catalog;
set session authorization postern_gate;
select postern.enter('ent_alice', '{}');
\c
alter function postern.enter reset all;
set session authorization postern_gate;
select postern.enter('ent_alice', '{}') is not null, current_user;
-- A sealed connection.
select postern.seal('');
select postern.seal('key');
select postern.seal('other');
select postern.enter('ent_alice', '{}');
select postern.enter('ent_alice', '{}', 'kez');
select postern.enter('ent_alice', '{}', 'key') is not null, current_user;
\c
-- Random numbers do not go on where the last user left them (B9).
select setseed(0.5);
set session authorization postern_gate;
select postern.enter('ent_alice', '{}') is null as entered, random() = 0.985449746768391 as predictable;
\c
-- Session advisory locks and lastval() end with the identity (B7, B8).
create sequence ent_seq;
grant usage on sequence ent_seq to ent_alice;
grant create, usage on schema public to ent_alice;
set session authorization postern_gate;
select postern.enter('ent_alice', '{}') is null, pg_advisory_lock(7) is null, nextval('public.ent_seq');
select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid();
select lastval();
select postern.enter('ent_alice', '{}') is null, pg_advisory_lock(7) is null, 1 / (nextval('public.ent_seq') * 0);
select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid();
\c
drop function ent_with_set, ent_definer;
drop sequence ent_seq;
revoke all on schema public from postern_gate, ent_alice;
select postern.dismiss('ent_alice');
drop role ent_alice, ent_other;
