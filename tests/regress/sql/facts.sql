-- What facts give, and that SQL cannot write them.
\pset format unaligned
\pset tuples_only on
create role fct_alice nologin;
select postern.admit('fct_alice');
create function fct_same(paths text[]) returns table (path text, found text, expected text) language sql as $$
  select p, postern.fact(p), postern.facts() #>> string_to_array(p, '.') from unnest(paths) p
   where postern.fact(p) is distinct from postern.facts() #>> string_to_array(p, '.') $$;
select postern.fact('sub'), postern.facts(), current_setting('request.jwt.claims');
set session authorization postern_gate;
select postern.enter('fct_alice', '{"claims": {"sub": "alice", "n": 9007199254740993, "x": 1.50, "t": true, "z": null,
    "roles": ["a", "b"], "https://example.org/org": {"id": 7}}, "auth": {"method": "jwt"}}') is null,
  postern.fact('claims.sub'), postern.fact('/claims/sub'), postern.fact('claims.n'), postern.fact('claims.x'),
  postern.fact('claims.t'), postern.fact('claims.z') is null, postern.fact('claims.roles.1'), postern.fact('claims.roles'),
  postern.fact('/claims/https:~1~1example.org~1org/id'), postern.fact('nothing.there') is null, postern.fact('auth.method'),
  current_setting('request.jwt.claims')::jsonb = postern.facts() -> 'claims';
select postern.facts() is null, postern.fact('claims.sub') is null, current_setting('request.jwt.claims') = '';
-- What is found in the text is what the server's jsonb has, and whichever is asked first.
\set paths '''{a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,a.x,e.0,e.1,e.-1,e.x,f.y,f.y.z,f.y.z.0,f.u,claims,A,é}'''
\set odd '''{"a": 1, "a": "last", "\\u0062": "b", "c": "\\u0041\\n\\"", "d": -0, "e": [1, "two", {"x": null}], "f": {"y": {"z": ["q"]}, "y": {"z": [7]}}, "g": 1e2, "h": 1.50, "i": 12345678901234567890123, "j": true, "k": null, "l": "", "m": {}, "n": [], "é": "ü", "claims": 5}'''
select postern.enter('fct_alice', :odd) is null, (select array_agg(s) from public.fct_same(:paths) s) is null as same,
  postern.fact('a'), postern.fact('b'), postern.fact('c'), postern.fact('f.y.z'), postern.fact('é'), current_setting('request.jwt.claims');
select postern.enter('fct_alice', '{"claims": {"sub": "x\u0000"}}') is null, postern.fact('claims.sub');
-- Without facts.
select postern.enter('fct_alice', null) is null, postern.facts() is null, postern.fact('sub') is null,
  current_setting('request.jwt.claims') = '';
-- Paths that are none.
select postern.fact('');
select postern.fact('a..b');
select postern.fact('/a~2');
select postern.fact(null) is null;
-- Outside, the setting is PostgREST's; inside it shows the facts, whatever was set (C1).
set request.jwt.claims = '{"sub": "postgrest"}';
set request.jwt.claim.sub = 'postgrest';
select current_setting('request.jwt.claims'), current_setting('request.jwt.claim.sub');
select postern.enter('fct_alice', '{"claims": {"sub": "alice"}}') is null,
  current_setting('request.jwt.claims'), current_setting('request.jwt.claim.sub') = '';
select current_setting('request.jwt.claims'), current_setting('request.jwt.claim.sub');
select postern.enter('fct_alice', '{"claims": {"sub": "alice"}}') is null, set_config('request.jwt.claims', '{"sub": "bob"}', true);
select postern.enter('fct_alice', '{"claims": {"sub": "alice"}}') is null, set_config('request.jwt.claim.sub', 'bob', false);
select postern.enter('fct_alice', '{"claims": {"sub": "alice"}}') is null, set_config('request.jwt.claims', null, true);
select postern.enter('fct_alice', '{"claims": {"sub": "alice"}}') is null, set_config('postern.facts', '{}', true);
select postern.enter('fct_alice', '{"claims": {"sub": "alice"}}') is null, set_config('postern.facts', null, true);
\c
-- Facts are not constants (C10).
create table fct_t (a text);
create index on fct_t ((postern.fact('claims.sub')));
-- They reach parallel workers (C7).
create table fct_big as select g as id, 'u' || (g % 2) as owner from generate_series(1, 20000) g;
grant select on fct_big to fct_alice;
grant usage on schema public to fct_alice, postern_gate;
alter table fct_big enable row level security;
create policy p on fct_big using (owner = postern.fact('claims.sub'));
create function fct_count() returns text language plpgsql as $$
declare line text; workers text; n bigint; begin
  set local parallel_leader_participation = off; set local parallel_setup_cost = 0; set local parallel_tuple_cost = 0; set local min_parallel_table_scan_size = 0;
  for line in explain (analyze, costs off, timing off, summary off) select count(*) from public.fct_big loop
    if line ~ 'Workers Launched' then workers := trim(line); end if;
  end loop;
  select count(*) into n from public.fct_big; return n || ' ' || workers;
end $$;
-- Also when a level of settings, in which workers got them, has been undone meanwhile; and to those that build an index.
create function fct_within() returns text language sql set work_mem = '1MB' as $$ select public.fct_count() $$;
create function fct_owner(text) returns text language sql immutable parallel safe as $$ select postern.fact('claims.sub') $$;
grant create on schema public to fct_alice;
create function fct_index() returns bigint language plpgsql as $$
declare n bigint; begin
  set local min_parallel_table_scan_size = 0; set local max_parallel_maintenance_workers = 2;
  create table public.fct_own as select id from public.fct_big;
  alter table public.fct_own set (parallel_workers = 2);
  create index fct_own_i on public.fct_own (public.fct_owner(id::text));
  set local enable_seqscan = off;
  select count(*) into n from public.fct_own where public.fct_owner(id::text) = 'u1'; return n;
end $$;
set session authorization postern_gate;
select postern.enter('fct_alice', '{"claims": {"sub": "u1"}}') is null, public.fct_count();
select postern.enter('fct_alice', '{"claims": {"sub": "u1"}}') is null, public.fct_within(), public.fct_within(), public.fct_count();
select postern.enter('fct_alice', '{"claims": {"sub": "u1"}}') is null, public.fct_index();
select postern.enter('fct_alice', null) is null, public.fct_count();
\c
drop table fct_own;
drop function fct_within, fct_index, fct_owner(text), fct_same(text[]);
revoke create on schema public from fct_alice;
drop table fct_t, fct_big;
drop function fct_count;
revoke usage on schema public from fct_alice, postern_gate;
select postern.dismiss('fct_alice');
drop role fct_alice;
