-- Facts and SQL are text of UTF-8 here; in another encoding two facts could come to be one. These scripts are ASCII, so that
-- they can be read, and refused, in any.
DO $encoding$
BEGIN
    IF pg_catalog.getdatabaseencoding() OPERATOR(pg_catalog.<>) 'UTF8' THEN
        RAISE EXCEPTION 'postern needs a database with encoding UTF8'
            USING ERRCODE = 'feature_not_supported',
                  DETAIL = pg_catalog.format('The encoding of database "%s" is %s.', pg_catalog.current_database(), pg_catalog.getdatabaseencoding()),
                  HINT = 'Make one by CREATE DATABASE ... ENCODING ''UTF8'' TEMPLATE template0, and move the data there with pg_dump.';
    END IF;
END
$encoding$;

-- Whoever has CREATE on the database may have made a schema of this name before us, and would own everything in it.
DO $schema$
BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_roles r ON r.oid OPERATOR(pg_catalog.=) n.nspowner
         WHERE n.nspname OPERATOR(pg_catalog.=) 'postern' AND r.rolname OPERATOR(pg_catalog.=) CURRENT_USER
    ) THEN
        RAISE EXCEPTION 'schema "postern" belongs to another role'
            USING ERRCODE = 'duplicate_schema', HINT = 'Drop it, and run CREATE EXTENSION postern again.';
    END IF;
END
$schema$;

-- Roles belong to the cluster, the extension to one database: a role is made only where it is missing, and DROP EXTENSION
-- leaves it. `postern doctor` tells when one of them has more than it should.
DO $roles$
DECLARE
    wanted pg_catalog.name;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['postern_admin', 'postern_application', 'postern_monitor', 'postern_read_all_stats', 'postern_read_all_conflicts'] LOOP
        IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.rolname OPERATOR(pg_catalog.=) wanted) THEN
            EXECUTE pg_catalog.format('CREATE ROLE %I NOLOGIN NOINHERIT', wanted);
        END IF;
    END LOOP;
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.rolname OPERATOR(pg_catalog.=) 'postern_gate') THEN
        -- Without a password nobody logs in by one until an administrator gives one.
        CREATE ROLE postern_gate LOGIN NOINHERIT;
    END IF;
END
$roles$;

COMMENT ON ROLE postern_admin IS 'Postern: admits roles, issues API keys, looks through the eyes of an identity';
COMMENT ON ROLE postern_application IS 'Postern: what applications use';
COMMENT ON ROLE postern_monitor IS 'Postern: reads the state of Postern';
COMMENT ON ROLE postern_read_all_stats IS 'Postern: reads the state of subscriptions';
COMMENT ON ROLE postern_read_all_conflicts IS 'Postern: reads the conflicts of all tables';
COMMENT ON ROLE postern_gate IS 'Postern: the login of the gate; it owns nothing, is a member of nothing, and may do nothing but enter';

-- Policies call postern.fact() as whoever reads the table: everyone finds the schema. Nobody but its owner creates in it.
REVOKE ALL ON SCHEMA postern FROM PUBLIC;
GRANT USAGE ON SCHEMA postern TO PUBLIC;
