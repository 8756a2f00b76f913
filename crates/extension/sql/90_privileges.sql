-- Default privileges of whoever runs this script (ALTER DEFAULT PRIVILEGES) were given on every object above, to roles that no
-- line of it names. They are taken away: what remains is what is written beside each object.
DO $privileges$
DECLARE
    object pg_catalog.text;
    kind pg_catalog.text;
    grantee pg_catalog.name;
BEGIN
    FOR kind, object, grantee IN
        SELECT o.kind, o.object, r.rolname
          FROM (SELECT ARRAY['postern', 'df', '_duroxide']::pg_catalog.regnamespace[]) ours (schemas),
          LATERAL (
              SELECT 'ROUTINE', p.oid::pg_catalog.regprocedure::pg_catalog.text, p.proowner, p.proacl
                FROM pg_catalog.pg_proc p WHERE p.pronamespace OPERATOR(pg_catalog.=) ANY (ours.schemas)
              UNION ALL
              SELECT 'TABLE', c.oid::pg_catalog.regclass::pg_catalog.text, c.relowner, c.relacl
                FROM pg_catalog.pg_class c
               WHERE c.relnamespace OPERATOR(pg_catalog.=) ANY (ours.schemas)
                 AND c.relkind OPERATOR(pg_catalog.=) ANY (ARRAY['r', 'v', 'S']::pg_catalog."char"[])
              UNION ALL
              SELECT 'SCHEMA', n.nspname::pg_catalog.text, n.nspowner, n.nspacl
                FROM pg_catalog.pg_namespace n WHERE n.oid OPERATOR(pg_catalog.=) ANY (ours.schemas)
          ) o (kind, object, owner, acl),
          LATERAL (SELECT DISTINCT a.grantee FROM pg_catalog.aclexplode(o.acl) a) g
          JOIN pg_catalog.pg_roles r ON r.oid OPERATOR(pg_catalog.=) g.grantee
         WHERE g.grantee OPERATOR(pg_catalog.<>) o.owner
           AND r.rolname OPERATOR(pg_catalog.<>)
               ALL (ARRAY['postern_admin', 'postern_application', 'postern_monitor', 'postern_read_all_stats', 'postern_read_all_conflicts', 'postern_gate', 'postern_outbound']::pg_catalog.name[])
    LOOP
        EXECUTE pg_catalog.format('REVOKE ALL ON %s %s FROM %I CASCADE', kind, object, grantee);
    END LOOP;
END
$privileges$;
