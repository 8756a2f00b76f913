//! Ways round a policy that are no policies.

use super::Rule;
use crate::check::Severity;

/// A function that reads the table as somebody who is not filtered.
pub const FUNCTION: Rule = Rule {
    id: "function-past-policies",
    severity: Severity::Warning,
    summary: "a SECURITY DEFINER function reads a table past its policies, and everybody may call it",
    // BEGIN ATOMIC leaves no source, but dependencies.
    sql: "SELECT f.oid::pg_catalog.regprocedure::pg_catalog.text, t.name,
                 pg_catalog.format('it names %s, runs as \"%s\", whom the policies there do not filter, and PUBLIC may call it', t.name, o.rolname),
                 NULL::pg_catalog.text, pg_catalog.format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC, and grant it to whom it is for', f.oid::pg_catalog.regprocedure)
            FROM pg_catalog.pg_proc f JOIN pg_catalog.pg_roles o ON o.oid OPERATOR(pg_catalog.=) f.proowner
            JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) f.pronamespace AND n.nspname OPERATOR(pg_catalog.<>) ALL ('{pg_catalog,information_schema,postern,df,_duroxide}'::pg_catalog.name[])
            JOIN tab t ON t.relrowsecurity
             AND (o.rolsuper OR o.rolbypassrls OR (NOT t.relforcerowsecurity AND pg_catalog.pg_has_role(o.oid, t.relowner, 'USAGE'))
                  OR EXISTS (SELECT FROM direct a WHERE a.relation OPERATOR(pg_catalog.=) t.oid AND pg_catalog.pg_has_role(o.oid, a.grantee, 'USAGE')))
             AND (EXISTS (SELECT FROM pg_catalog.pg_depend d
                           WHERE d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid OPERATOR(pg_catalog.=) f.oid
                             AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid OPERATOR(pg_catalog.=) t.oid)
                  OR f.prosrc OPERATOR(pg_catalog.~) pg_catalog.concat('\\m', pg_catalog.regexp_replace(t.relname::pg_catalog.text, '(\\W)', '\\\\\\1', 'g'), '\\M'))
           WHERE f.prosecdef
             AND EXISTS (SELECT FROM pg_catalog.aclexplode(coalesce(f.proacl, pg_catalog.acldefault('f', f.proowner))) a
                          WHERE a.grantee OPERATOR(pg_catalog.=) 0::pg_catalog.oid AND a.privilege_type OPERATOR(pg_catalog.=) 'EXECUTE')
             -- A policy's own function: it says yes or no, or is made by postern.create_policy().
             AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.refobjid OPERATOR(pg_catalog.=) f.oid
                                AND d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_policy'::pg_catalog.regclass)",
};

/// A foreign key changes rows of a table for who does not see them, and tells that they are there.
pub const FOREIGN_KEY: Rule = Rule {
    id: "foreign-key-past-policies",
    severity: Severity::Note,
    summary: "a foreign key tells of rows, or changes them, that policies hide",
    sql: "SELECT t.name, c.conname::pg_catalog.text,
                 CASE WHEN t.relrowsecurity AND c.confdeltype OPERATOR(pg_catalog.=) ANY ('{c,n,d}'::pg_catalog.\"char\"[])
                      THEN pg_catalog.format('deleting from %s changes rows of %s that the role does not see', o.name, t.name)
                      ELSE pg_catalog.format('inserting into %s tells whether a row of %s is there that the role does not see', t.name, o.name) END,
                 NULL::pg_catalog.text,
                 CASE WHEN t.relrowsecurity AND c.confdeltype OPERATOR(pg_catalog.=) ANY ('{c,n,d}'::pg_catalog.\"char\"[])
                      THEN 'Make the key ON DELETE NO ACTION, or the policies of both tables agree'
                      ELSE 'Put what the policies go by (the tenant) into the key of both tables' END
            FROM pg_catalog.pg_constraint c JOIN tab t ON t.oid OPERATOR(pg_catalog.=) c.conrelid JOIN tab o ON o.oid OPERATOR(pg_catalog.=) c.confrelid
           WHERE c.contype OPERATOR(pg_catalog.=) 'f' AND c.conparentid OPERATOR(pg_catalog.=) 0::pg_catalog.oid AND c.conrelid OPERATOR(pg_catalog.<>) c.confrelid
             AND (o.relrowsecurity OR (t.relrowsecurity AND c.confdeltype OPERATOR(pg_catalog.=) ANY ('{c,n,d}'::pg_catalog.\"char\"[])))
             -- A key of which a column is in a policy on the other side is one that the policy goes by.
             AND NOT EXISTS (SELECT FROM policy p JOIN pg_catalog.pg_depend d ON d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_policy'::pg_catalog.regclass AND d.objid OPERATOR(pg_catalog.=) p.oid
                              WHERE p.polrelid OPERATOR(pg_catalog.=) c.confrelid AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass
                                AND d.refobjid OPERATOR(pg_catalog.=) c.confrelid AND d.refobjsubid OPERATOR(pg_catalog.=) ANY (c.confkey))",
};

/// It holds what its owner saw.
pub const MATERIALIZED_VIEW: Rule = Rule {
    id: "materialized-view-past-policies",
    severity: Severity::Warning,
    summary: "a materialized view holds rows of a table with policies, and others may read it",
    sql: "SELECT pg_catalog.format('%I.%I', n.nspname, v.relname), t.name,
                 pg_catalog.format('it holds rows of %s as \"%s\" saw them, and %s may read it', t.name, pg_catalog.pg_get_userbyid(v.relowner),
                     (SELECT pg_catalog.string_agg(DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.pg_get_userbyid(a.grantee)::pg_catalog.text END, ', ')
                        FROM pg_catalog.aclexplode(v.relacl) a WHERE a.grantee OPERATOR(pg_catalog.<>) v.relowner AND a.privilege_type OPERATOR(pg_catalog.=) 'SELECT')),
                 NULL::pg_catalog.text, pg_catalog.format('REVOKE SELECT ON %I.%I, or put a security_barrier view with the same condition before it', n.nspname, v.relname)
            FROM pg_catalog.pg_class v JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) v.relnamespace
            JOIN pg_catalog.pg_rewrite w ON w.ev_class OPERATOR(pg_catalog.=) v.oid
            JOIN tab t ON t.relrowsecurity AND EXISTS (SELECT FROM pg_catalog.pg_depend d
                  WHERE d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid OPERATOR(pg_catalog.=) w.oid
                    AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid OPERATOR(pg_catalog.=) t.oid)
           WHERE v.relkind OPERATOR(pg_catalog.=) 'm'
             AND EXISTS (SELECT FROM pg_catalog.aclexplode(v.relacl) a WHERE a.grantee OPERATOR(pg_catalog.<>) v.relowner AND a.privilege_type OPERATOR(pg_catalog.=) 'SELECT')",
};

/// Subscribers get every row.
pub const PUBLICATION: Rule = Rule {
    id: "publication-past-policies",
    severity: Severity::Warning,
    summary: "a publication sends every row of a table with policies",
    // Before PostgreSQL 15 there are no row filters, and no column for them.
    sql: "SELECT pg_catalog.concat('publication ', b.pubname), t.name,
                 pg_catalog.format('it sends every row of %s, whatever the policies say', t.name),
                 NULL::pg_catalog.text, pg_catalog.format('Leave the table out, or publish it with a WHERE that says what the policies say: ALTER PUBLICATION %I', b.pubname)
            FROM pg_catalog.pg_publication_tables b
            JOIN tab t ON t.relrowsecurity AND t.name OPERATOR(pg_catalog.=) pg_catalog.format('%I.%I', b.schemaname, b.tablename)
            LEFT JOIN pg_catalog.pg_publication u ON u.pubname OPERATOR(pg_catalog.=) b.pubname
           WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_publication_rel r WHERE r.prpubid OPERATOR(pg_catalog.=) u.oid AND r.prrelid OPERATOR(pg_catalog.=) t.oid AND (pg_catalog.to_jsonb(r) OPERATOR(pg_catalog.->>) 'prqual') IS NOT NULL)",
};

/// The policies of a parent are met only by who names the parent.
pub const PARTITION: Rule = Rule {
    id: "partition-past-policies",
    severity: Severity::Error,
    summary: "a partition or child can be read by itself, without the policies of its parent",
    sql: "SELECT t.name, p.name,
                 pg_catalog.format('%s has policies, this part of it has none, and %s may use it by its own name', p.name,
                     (SELECT pg_catalog.string_agg(DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.pg_get_userbyid(a.grantee)::pg_catalog.text END, ', ')
                        FROM pg_catalog.aclexplode(t.relacl) a WHERE a.grantee OPERATOR(pg_catalog.<>) t.relowner)),
                 pg_catalog.format('SELECT * FROM %s', t.name),
                 pg_catalog.format('REVOKE ALL ON %s FROM whoever should use the parent, or ALTER TABLE %s ENABLE ROW LEVEL SECURITY', t.name, t.name)
            FROM tab t JOIN pg_catalog.pg_inherits i ON i.inhrelid OPERATOR(pg_catalog.=) t.oid JOIN tab p ON p.oid OPERATOR(pg_catalog.=) i.inhparent AND p.relrowsecurity
           WHERE NOT t.relrowsecurity
             AND EXISTS (SELECT FROM pg_catalog.aclexplode(t.relacl) a WHERE a.grantee OPERATOR(pg_catalog.<>) t.relowner
                            AND a.privilege_type OPERATOR(pg_catalog.=) ANY ('{SELECT,INSERT,UPDATE,DELETE}'::pg_catalog.text[]))",
};
