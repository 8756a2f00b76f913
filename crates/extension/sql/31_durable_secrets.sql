-- Durable functions: secrets of HTTP steps. Sealed before they are written; the key is in a file, and nothing in the server opens them
-- again. Nobody can read the sealed form either; the outbound worker gets what a request of its owner names.

CREATE TABLE postern.secret (
    owner pg_catalog.regrole NOT NULL,
    name pg_catalog.text NOT NULL,
    sealed pg_catalog.bytea NOT NULL,
    set_at pg_catalog.timestamptz NOT NULL,
    CONSTRAINT secret_pkey PRIMARY KEY (owner, name)
);
ALTER TABLE postern.secret ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON postern.secret FOR SELECT
    USING (owner OPERATOR(pg_catalog.=) (SELECT pg_catalog.quote_ident(CURRENT_USER)::pg_catalog.regrole)
           OR pg_catalog.pg_has_role('postern_monitor', 'USAGE'));
REVOKE ALL ON TABLE postern.secret FROM PUBLIC;
GRANT SELECT (owner, name, set_at) ON TABLE postern.secret TO postern_application, postern_admin, postern_monitor;
COMMENT ON TABLE postern.secret IS 'Secrets that HTTP steps name, each role its own; changed by df.set_secret() and df.drop_secret()';
COMMENT ON COLUMN postern.secret.sealed IS 'The value, sealed with a key that the database does not hold; nobody is given this column';
SELECT pg_catalog.pg_extension_config_dump('postern.secret', '');

CREATE FUNCTION df.set_secret(name pg_catalog.text, value pg_catalog.text) RETURNS pg_catalog.text
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'durable_set_secret_wrapper';
COMMENT ON FUNCTION df.set_secret(pg_catalog.text, pg_catalog.text) IS
    'Sets a secret of the current user, which HTTP steps write {secret:name}; nobody can read it back';

CREATE FUNCTION df.drop_secret(name pg_catalog.text) RETURNS pg_catalog.text
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'durable_drop_secret_wrapper';
COMMENT ON FUNCTION df.drop_secret(pg_catalog.text) IS 'Takes a secret of the current user away';

CREATE VIEW df.secrets WITH (security_invoker = true) AS
SELECT s.name, s.owner, s.set_at FROM postern.secret s;
REVOKE ALL ON TABLE df.secrets FROM PUBLIC;
GRANT SELECT ON TABLE df.secrets TO postern_application, postern_admin, postern_monitor;
COMMENT ON VIEW df.secrets IS 'Which secrets there are; not what they are';
