-- What every contestant reads: a row of one tenant, by its key, under row security.
--
-- The policy is the one that PostgREST's users write. Claims reach it in each contestant's own way: by the settings of the
-- login role, by set_config, or by the facts of the identity that was entered. They are the same claims, so that reading them
-- costs the same.

CREATE ROLE bench_owner NOLOGIN;
-- Whose rights the reader has.
CREATE ROLE bench_user NOLOGIN;
-- Logs in as itself.
CREATE ROLE bench_direct LOGIN;
-- Logs in for others.
CREATE ROLE bench_pool LOGIN NOINHERIT;
GRANT bench_user TO bench_pool;
ALTER ROLE bench_direct SET request.jwt.claims = '{"iss":"bench","aud":"postern","sub":"alice","tenant":"acme","role":"bench_user","iat":1767225600,"exp":1767229200}';
ALTER ROLE bench_pool SET request.jwt.claims = '{"iss":"bench","aud":"postern","sub":"alice","tenant":"acme","role":"bench_user","iat":1767225600,"exp":1767229200}';

REVOKE CREATE ON SCHEMA public FROM PUBLIC;
REVOKE TEMPORARY ON DATABASE postgres FROM PUBLIC;
CREATE SCHEMA bench AUTHORIZATION bench_owner;
-- The gate's role parses nothing of anybody's. pgbench does: it prepares before it enters.
GRANT USAGE ON SCHEMA bench TO bench_user, bench_direct, bench_pool, postern_gate;

CREATE TABLE bench.account (
    id integer PRIMARY KEY,
    tenant text NOT NULL,
    name text NOT NULL,
    balance numeric(12, 2) NOT NULL,
    opened_at timestamptz NOT NULL
);
CREATE TABLE bench.event (
    id integer NOT NULL,
    tenant text NOT NULL,
    kind text NOT NULL,
    amount numeric(12, 2) NOT NULL,
    happened_at timestamptz NOT NULL
);
ALTER TABLE bench.account OWNER TO bench_owner;
ALTER TABLE bench.event OWNER TO bench_owner;
ALTER TABLE bench.account ENABLE ROW LEVEL SECURITY;
ALTER TABLE bench.event ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON bench.account
    USING (tenant = (SELECT current_setting('request.jwt.claims', true)::jsonb ->> 'tenant'));
CREATE POLICY own_tenant ON bench.event
    USING (tenant = (SELECT current_setting('request.jwt.claims', true)::jsonb ->> 'tenant'));
GRANT SELECT ON bench.account, bench.event TO bench_user, bench_direct;

-- Every second row is the reader's.
INSERT INTO bench.account
SELECT n, CASE n % 2 WHEN 0 THEN 'acme' ELSE 'globex' END, 'account ' || n, (n * 37 % 1000000) / 100.0,
       '2026-01-01 00:00:00+00'::timestamptz + n * interval '1 minute'
  FROM generate_series(1, 100000) AS n;
SELECT postern.admit('bench_user');
