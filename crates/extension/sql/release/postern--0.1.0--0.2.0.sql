\echo Use "ALTER EXTENSION postern UPDATE TO '0.2.0'" to load this file. \quit

-- What 0.2.0 has and 0.1.0 had not. CONTRIBUTING.md tells how a change of the SQL parts gets in here.
--
-- CREATE OR REPLACE keeps owner and privileges of what is replaced, comments and membership in the extension too. What is new gets its
-- REVOKE, GRANT and COMMENT beside it, as in the install script, and a table that belongs into dumps its pg_extension_config_dump.

-- Which objects there were: what was given on them by df.grant_usage() and its kin stays.
DO $before$
BEGIN
    PERFORM pg_catalog.set_config('upgrade.before', pg_catalog.concat_ws(',',
        (SELECT pg_catalog.string_agg('p' OPERATOR(pg_catalog.||) p.oid::pg_catalog.text, ',') FROM pg_catalog.pg_proc p
          WHERE p.pronamespace OPERATOR(pg_catalog.=) ANY (ARRAY['postern', 'df', '_duroxide']::pg_catalog.regnamespace[])),
        (SELECT pg_catalog.string_agg('c' OPERATOR(pg_catalog.||) c.oid::pg_catalog.text, ',') FROM pg_catalog.pg_class c
          WHERE c.relnamespace OPERATOR(pg_catalog.=) ANY (ARRAY['postern', 'df', '_duroxide']::pg_catalog.regnamespace[]))), true);
END
$before$;

-- ---- The changes, in the order of the parts ----

-- ---- The end of the changes ----

-- Default privileges of whoever runs this script, and its ownership, reach nothing of ours: see 90_privileges.sql.
DO $privileges$
DECLARE
    before CONSTANT pg_catalog.text[] := pg_catalog.string_to_array(pg_catalog.current_setting('upgrade.before'), ',');
    owner CONSTANT pg_catalog.oid := (SELECT e.extowner FROM pg_catalog.pg_extension e WHERE e.extname OPERATOR(pg_catalog.=) 'postern');
    object pg_catalog.text;
    kind pg_catalog.text;
    grantee pg_catalog.name;
BEGIN
    FOR kind, object, grantee IN
        SELECT o.kind, o.object, r.rolname
          FROM (
              SELECT 'ROUTINE', p.oid::pg_catalog.regprocedure::pg_catalog.text, p.proowner, p.proacl
                FROM pg_catalog.pg_proc p
               WHERE p.pronamespace OPERATOR(pg_catalog.=) ANY (ARRAY['postern', 'df', '_duroxide']::pg_catalog.regnamespace[])
                 AND 'p' OPERATOR(pg_catalog.||) p.oid::pg_catalog.text OPERATOR(pg_catalog.<>) ALL (before)
              UNION ALL
              SELECT 'TABLE', c.oid::pg_catalog.regclass::pg_catalog.text, c.relowner, c.relacl
                FROM pg_catalog.pg_class c
               WHERE c.relnamespace OPERATOR(pg_catalog.=) ANY (ARRAY['postern', 'df', '_duroxide']::pg_catalog.regnamespace[])
                 AND c.relkind OPERATOR(pg_catalog.=) ANY (ARRAY['r', 'v', 'S']::pg_catalog."char"[])
                 AND 'c' OPERATOR(pg_catalog.||) c.oid::pg_catalog.text OPERATOR(pg_catalog.<>) ALL (before)
          ) o (kind, object, owner, acl),
          LATERAL (SELECT DISTINCT a.grantee FROM pg_catalog.aclexplode(o.acl) a) g
          JOIN pg_catalog.pg_roles r ON r.oid OPERATOR(pg_catalog.=) g.grantee
         WHERE g.grantee OPERATOR(pg_catalog.<>) o.owner
           AND r.rolname OPERATOR(pg_catalog.<>)
               ALL (ARRAY['postern_admin', 'postern_application', 'postern_monitor', 'postern_read_all_stats', 'postern_read_all_conflicts', 'postern_gate', 'postern_outbound']::pg_catalog.name[])
    LOOP
        EXECUTE pg_catalog.format('REVOKE ALL ON %s %s FROM %I CASCADE', kind, object, grantee);
    END LOOP;
    FOR kind, object IN
        SELECT 'ROUTINE', p.oid::pg_catalog.regprocedure::pg_catalog.text
          FROM pg_catalog.pg_proc p
         WHERE p.pronamespace OPERATOR(pg_catalog.=) ANY (ARRAY['postern', 'df', '_duroxide']::pg_catalog.regnamespace[])
           AND 'p' OPERATOR(pg_catalog.||) p.oid::pg_catalog.text OPERATOR(pg_catalog.<>) ALL (before)
           AND p.proowner OPERATOR(pg_catalog.<>) owner
        UNION ALL
        SELECT 'TABLE', c.oid::pg_catalog.regclass::pg_catalog.text
          FROM pg_catalog.pg_class c
         WHERE c.relnamespace OPERATOR(pg_catalog.=) ANY (ARRAY['postern', 'df', '_duroxide']::pg_catalog.regnamespace[])
           AND c.relkind OPERATOR(pg_catalog.=) ANY (ARRAY['r', 'v']::pg_catalog."char"[])
           AND 'c' OPERATOR(pg_catalog.||) c.oid::pg_catalog.text OPERATOR(pg_catalog.<>) ALL (before)
           AND c.relowner OPERATOR(pg_catalog.<>) owner
    LOOP
        EXECUTE pg_catalog.format('ALTER %s %s OWNER TO %I', kind, object, pg_catalog.pg_get_userbyid(owner));
    END LOOP;
END
$privileges$;
