//! Row security as it stands: off, not for the owner, always true, never true, half an error.

use super::Rule;
use crate::check::Severity;

/// Policies that nobody meets.
pub const OFF: Rule = Rule {
    id: "row-security-off",
    severity: Severity::Error,
    summary: "a table has policies, and row security is off",
    sql: "SELECT t.name, NULL::pg_catalog.text, pg_catalog.concat('row security is off, and its policies do nothing: ', pg_catalog.string_agg(p.polname, ', ' ORDER BY p.polname)),
                 NULL::pg_catalog.text, pg_catalog.format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', t.name)
            FROM tab t JOIN policy p ON p.polrelid OPERATOR(pg_catalog.=) t.oid WHERE NOT t.relrowsecurity GROUP BY t.name",
};

/// The owner reads past them, and the owner logs in.
pub const NOT_FORCED: Rule = Rule {
    id: "row-security-not-forced",
    severity: Severity::Warning,
    summary: "the owner of a table with policies logs in, and is not filtered",
    sql: "SELECT t.name, r.rolname::pg_catalog.text,
                 pg_catalog.format('role \"%s\" logs in and is not filtered: it %s the table, and row security is not forced', r.rolname,
                     CASE WHEN r.oid OPERATOR(pg_catalog.=) t.relowner THEN 'owns' ELSE pg_catalog.format('inherits \"%s\", which owns', pg_catalog.pg_get_userbyid(t.relowner)) END),
                 NULL::pg_catalog.text, pg_catalog.format('ALTER TABLE %s FORCE ROW LEVEL SECURITY, or let a role own it that cannot log in', t.name)
            FROM tab t JOIN pg_catalog.pg_roles r ON r.rolcanlogin AND NOT r.rolsuper AND NOT r.rolbypassrls AND pg_catalog.pg_has_role(r.oid, t.relowner, 'USAGE')
           WHERE t.relrowsecurity AND NOT t.relforcerowsecurity",
};

/// A permissive policy that lets everybody through, whatever the others say.
pub const ALWAYS_TRUE: Rule = Rule {
    id: "policy-always-true",
    severity: Severity::Warning,
    summary: "a permissive policy for everybody is always true",
    sql: "SELECT p.tab, p.polname::pg_catalog.text,
                 pg_catalog.format('%s is true for every row and for PUBLIC: the other permissive policies say nothing', p.name),
                 NULL::pg_catalog.text, pg_catalog.format('ALTER POLICY %I ON %s TO the roles that may see everything, or drop it', p.polname, p.tab)
            FROM policy p
           WHERE p.polpermissive AND 0::pg_catalog.oid OPERATOR(pg_catalog.=) ANY (p.polroles)
             AND (p.reads OPERATOR(pg_catalog.=) 'true' OR p.writes OPERATOR(pg_catalog.=) 'true')",
};

/// Restrictive policies only take away: without a permissive one there is nothing to take away from.
pub const RESTRICTIVE_ALONE: Rule = Rule {
    id: "restrictive-alone",
    severity: Severity::Warning,
    summary: "a restrictive policy restricts a command that no permissive policy allows",
    sql: "SELECT p.tab, pg_catalog.concat(p.polname, ' ', k.command),
                 pg_catalog.format('%s restricts %s, which no permissive policy allows: nobody who is filtered %s a row', p.name, k.command,
                     CASE k.letter WHEN 'r' THEN 'sees' ELSE 'changes' END),
                 NULL::pg_catalog.text, pg_catalog.format('CREATE POLICY … ON %s FOR %s TO … USING (…)', p.tab, k.command)
            FROM policy p JOIN (VALUES ('SELECT', 'r'::pg_catalog.\"char\"), ('INSERT', 'a'), ('UPDATE', 'w'), ('DELETE', 'd')) k (command, letter)
              ON p.polcmd OPERATOR(pg_catalog.=) k.letter OR (p.polcmd OPERATOR(pg_catalog.=) '*' AND k.letter OPERATOR(pg_catalog.=) 'r')
           WHERE NOT p.polpermissive AND p.relrowsecurity
             AND NOT EXISTS (SELECT FROM policy o
                              WHERE o.polrelid OPERATOR(pg_catalog.=) p.polrelid AND o.polpermissive AND o.polcmd OPERATOR(pg_catalog.=) ANY (ARRAY['*', k.letter])
                                AND CASE k.letter WHEN 'a' THEN coalesce(o.writes, o.reads) ELSE o.reads END IS NOT NULL)",
};

/// A function that raises, as a policy: permissive alone it is skipped, restrictive alone it shows nothing, and not IMMUTABLE it is
/// silent on an empty table.
pub const ERROR_PAIR: Rule = Rule {
    id: "error-pair-half-lost",
    severity: Severity::Error,
    summary: "a policy that is to raise an error does not always",
    sql: "SELECT x.tab, x.function, x.message, NULL::pg_catalog.text, x.remedy FROM (
            SELECT p.tab, f.oid::pg_catalog.regprocedure::pg_catalog.text AS function,
                   CASE WHEN f.provolatile OPERATOR(pg_catalog.<>) 'i' THEN pg_catalog.format('%s raises by %s, which is not IMMUTABLE: nothing is raised on an empty table', p.name, f.oid::pg_catalog.regprocedure)
                        WHEN p.polpermissive THEN pg_catalog.format('%s raises by %s, and no restrictive policy does: another permissive one that is true goes first', p.name, f.oid::pg_catalog.regprocedure)
                        ELSE pg_catalog.format('%s raises by %s, and no permissive policy does: without one there are no rows, and no error', p.name, f.oid::pg_catalog.regprocedure) END AS message,
                   CASE WHEN f.provolatile OPERATOR(pg_catalog.<>) 'i' THEN pg_catalog.format('ALTER FUNCTION %s IMMUTABLE', f.oid::pg_catalog.regprocedure)
                        ELSE pg_catalog.format('CREATE POLICY … ON %s AS %s … USING (%s); or postern.set_row_security(''error'', …), which needs no pair', p.tab,
                                               CASE WHEN p.polpermissive THEN 'RESTRICTIVE' ELSE 'PERMISSIVE' END, p.reads) END AS remedy,
                   f.provolatile OPERATOR(pg_catalog.=) 'i' AND EXISTS (
                       SELECT FROM policy o JOIN pg_catalog.pg_depend e ON e.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_policy'::pg_catalog.regclass AND e.objid OPERATOR(pg_catalog.=) o.oid
                          AND e.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass AND e.refobjid OPERATOR(pg_catalog.=) f.oid
                        WHERE o.polrelid OPERATOR(pg_catalog.=) p.polrelid AND o.polpermissive OPERATOR(pg_catalog.<>) p.polpermissive
                          AND o.polcmd OPERATOR(pg_catalog.=) ANY (ARRAY['*', p.polcmd]) AND (o.polroles OPERATOR(pg_catalog.@>) p.polroles OR 0::pg_catalog.oid OPERATOR(pg_catalog.=) ANY (o.polroles))) AS whole
              FROM policy p
              JOIN pg_catalog.pg_depend d ON d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_policy'::pg_catalog.regclass AND d.objid OPERATOR(pg_catalog.=) p.oid
               AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass
              JOIN pg_catalog.pg_proc f ON f.oid OPERATOR(pg_catalog.=) d.refobjid AND f.prorettype OPERATOR(pg_catalog.=) 'pg_catalog.bool'::pg_catalog.regtype
              JOIN pg_catalog.pg_language l ON l.oid OPERATOR(pg_catalog.=) f.prolang AND l.lanname OPERATOR(pg_catalog.=) 'plpgsql'
             -- It does nothing but raise, and the policy does nothing but call it, without a column.
             WHERE f.prosrc OPERATOR(pg_catalog.~*) '^\\s*begin\\s+raise\\s+(exception\\M|[^;]*errcode)[^;]*;\\s*end\\s*;?\\s*$'
               AND p.reads OPERATOR(pg_catalog.~) '^[^ ]+\\(.*\\)$'
               AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend c WHERE c.classid OPERATOR(pg_catalog.=) d.classid AND c.objid OPERATOR(pg_catalog.=) p.oid
                                  AND c.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass AND c.refobjid OPERATOR(pg_catalog.=) p.polrelid
                                  AND c.refobjsubid OPERATOR(pg_catalog.>) 0)) x
           WHERE NOT x.whole",
};
