//! What policies believe.

use super::Rule;
use crate::check::Severity;

/// A setting that whoever is filtered can set.
pub const FORGEABLE: Rule = Rule {
    id: "forgeable-fact",
    severity: Severity::Error,
    summary: "a policy believes a setting that everybody can set",
    // Settings with a dot are nobody's. What Postern shows of the token cannot be set where it is installed.
    sql: "SELECT p.tab, pg_catalog.concat(p.polname, ' ', s.setting),
                 pg_catalog.format('%s believes the setting %s%s, which everybody can set', p.name, s.setting, s.place),
                 pg_catalog.format('SET %s = ''…''; SELECT * FROM %s', s.setting, p.tab),
                 'Write (SELECT postern.fact(''claims.…'')), which SQL cannot set'
            FROM policy p,
         LATERAL (SELECT m.found[1] AS setting, '' AS place FROM pg_catalog.regexp_matches(pg_catalog.concat(p.reads, ' ', p.writes), 'current_setting\\(''([^'']+\\.[^'']+)''', 'g') m (found)
                   UNION
                  SELECT m.found[1], pg_catalog.concat(' in ', f.oid::pg_catalog.regprocedure)
                    FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_proc f ON f.oid OPERATOR(pg_catalog.=) d.refobjid,
                 LATERAL pg_catalog.regexp_matches(f.prosrc, 'current_setting\\s*\\(\\s*''([^'']+\\.[^'']+)''', 'g') m (found)
                   WHERE d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_policy'::pg_catalog.regclass AND d.objid OPERATOR(pg_catalog.=) p.oid
                     AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass) s
           WHERE NOT (s.setting OPERATOR(pg_catalog.~~) 'request.jwt.%' AND EXISTS (SELECT FROM pg_catalog.pg_extension e WHERE e.extname OPERATOR(pg_catalog.=) 'postern'))",
};
