//! Policies that cost more than they must.

use tokio_postgres::{Client, Row};

use super::Rule;
use crate::Error;
use crate::check::Severity;

/// A call that does not use the row, for each row.
pub const PER_ROW: Rule = Rule {
    id: "policy-per-row",
    severity: Severity::Warning,
    summary: "a policy calls for each row what it could call once",
    // A call of which all arguments are literals, and that stands in no sub-select, nor in an argument in one. Columns 6 to 9 are for the plans.
    sql: "SELECT p.tab, pg_catalog.concat(p.polname, ' ', x.call),
                 pg_catalog.format('%s calls %s for each row, and it gives the same for all', p.name, x.call),
                 NULL::pg_catalog.text,
                 pg_catalog.concat(pg_catalog.format('ALTER POLICY %I ON %s', p.polname, p.tab), ' USING (' OPERATOR(pg_catalog.||) pg_catalog.replace(p.reads, x.call, y.once) OPERATOR(pg_catalog.||) ')',
                                   ' WITH CHECK (' OPERATOR(pg_catalog.||) pg_catalog.replace(p.writes, x.call, y.once) OPERATOR(pg_catalog.||) ')'),
                 p.tab, coalesce(p.reads, p.writes), pg_catalog.replace(coalesce(p.reads, p.writes), x.call, y.once),
                 NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                              WHERE d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_policy'::pg_catalog.regclass AND d.objid OPERATOR(pg_catalog.=) p.oid
                                AND d.refobjid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid AND NOT (d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid OPERATOR(pg_catalog.=) p.polrelid)
                                AND NOT EXISTS (SELECT FROM pg_catalog.pg_proc f JOIN pg_catalog.pg_depend e ON e.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass AND e.objid OPERATOR(pg_catalog.=) f.oid AND e.deptype OPERATOR(pg_catalog.=) 'e'
                                                  JOIN pg_catalog.pg_extension n ON n.oid OPERATOR(pg_catalog.=) e.refobjid AND n.extname OPERATOR(pg_catalog.=) 'postern'
                                                 WHERE d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass AND f.oid OPERATOR(pg_catalog.=) d.refobjid))
                   -- Planning looks at the indexes and the types of the table, too.
                   AND NOT EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid OPERATOR(pg_catalog.=) p.polrelid AND (i.indexprs IS NOT NULL OR i.indpred IS NOT NULL))
                   AND NOT EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid OPERATOR(pg_catalog.=) p.polrelid AND a.atttypid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid)
                   AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint c WHERE c.conrelid OPERATOR(pg_catalog.=) p.polrelid AND c.contype OPERATOR(pg_catalog.=) 'c')
                   AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits h WHERE p.polrelid OPERATOR(pg_catalog.=) ANY (ARRAY[h.inhrelid, h.inhparent])) AS plain
            FROM policy p,
         LATERAL (SELECT DISTINCT m.found[1] AS call
                    FROM pg_catalog.regexp_matches(pg_catalog.regexp_replace(pg_catalog.concat(p.reads, ' ', p.writes), 'SELECT [a-z_0-9.\"]+\\((?:[^()'']|''(?:[^'']|'''')*''|\\((?:[^()'']|''(?:[^'']|'''')*'')*\\))*\\)', '', 'g'),
                         '((?:[a-z_0-9]+\\.)?[a-z_0-9]+\\((?:''(?:[^'']|'''')*''(?:::[a-z]+)?|, |[0-9]+|true|false)*\\))', 'g') m (found)) x,
         LATERAL (SELECT pg_catalog.concat('(SELECT ', x.call, ')') AS once) y
           WHERE p.relrowsecurity
             AND (x.call OPERATOR(pg_catalog.~) '^(postern\\.facts?|current_setting)\\('
                  OR EXISTS (SELECT FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_proc f ON f.oid OPERATOR(pg_catalog.=) d.refobjid
                              WHERE d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_policy'::pg_catalog.regclass AND d.objid OPERATOR(pg_catalog.=) p.oid
                                AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass AND f.provolatile OPERATOR(pg_catalog.=) 's' AND NOT f.proretset
                                AND pg_catalog.split_part(x.call, '(', 1) OPERATOR(pg_catalog.~) pg_catalog.concat('(^|\\.)', pg_catalog.regexp_replace(f.proname::pg_catalog.text, '(\\W)', '\\\\\\1', 'g'), '$')))",
};

/// The plans before and after, of a policy in which nothing of anybody's would be called while planning.
pub async fn plans(client: &Client, row: &Row) -> Result<Option<String>, Error> {
    let (table, before, after, plain): (String, Option<String>, Option<String>, bool) =
        (row.get(5), row.get(6), row.get(7), row.get(8));
    let (true, Some(before), Some(after)) = (plain, before, after) else { return Ok(None) };
    let mut text = String::new();
    for (when, condition) in [("before", before), ("after", after)] {
        let Some(plan) = plan(client, &table, &condition).await? else { return Ok(None) };
        text += &format!("{when}:\n  {}\n", plan.join("\n  "));
    }
    Ok(Some(text.trim_end().to_owned()))
}

/// The plan of a read of the table under a condition; `None` where the role may not have it.
async fn plan(client: &Client, table: &str, condition: &str) -> Result<Option<Vec<String>>, Error> {
    client.batch_execute("SAVEPOINT plan").await?;
    let rows = client.query(&format!("EXPLAIN SELECT FROM ONLY {table} WHERE {condition}"), &[]).await;
    match rows {
        Ok(rows) => Ok(Some(rows.iter().map(|row| row.get(0)).collect())),
        Err(error) if error.as_db_error().is_some() => {
            client.batch_execute("ROLLBACK TO SAVEPOINT plan").await?;
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// A user's condition is asked of rows that the policy has let through, unless its operator is leakproof.
pub const INDEX: Rule = Rule {
    id: "index-unused-under-policies",
    severity: Severity::Note,
    summary: "an index on a table with policies is not used for conditions of who is filtered",
    sql: "SELECT t.name, i.indexrelid::pg_catalog.regclass::pg_catalog.text,
                 pg_catalog.format('index %s: the operators of %s are not leakproof, so a filtered role''s conditions on %s do not use it', i.indexrelid::pg_catalog.regclass, o.opcname, coalesce(a.attname::pg_catalog.text, 'its expression')),
                 NULL::pg_catalog.text,
                 'Put the column that the policy goes by first in the index, or give who needs it direct access; never mark a function LEAKPROOF for an index'
            FROM tab t JOIN pg_catalog.pg_index i ON i.indrelid OPERATOR(pg_catalog.=) t.oid AND NOT i.indisexclusion
            JOIN pg_catalog.pg_opclass o ON o.oid OPERATOR(pg_catalog.=) i.indclass[0]
            LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid OPERATOR(pg_catalog.=) t.oid AND a.attnum OPERATOR(pg_catalog.=) i.indkey[0] AND a.attnum OPERATOR(pg_catalog.>) 0
           WHERE t.relrowsecurity
             AND NOT EXISTS (SELECT FROM pg_catalog.pg_amop m JOIN pg_catalog.pg_operator q ON q.oid OPERATOR(pg_catalog.=) m.amopopr JOIN pg_catalog.pg_proc f ON f.oid OPERATOR(pg_catalog.=) q.oprcode::pg_catalog.oid
                              WHERE m.amopfamily OPERATOR(pg_catalog.=) o.opcfamily AND f.proleakproof
                                AND m.amoplefttype OPERATOR(pg_catalog.=) o.opcintype)
             -- The policy's own condition may use any index.
             AND NOT EXISTS (SELECT FROM policy p JOIN pg_catalog.pg_depend d ON d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_policy'::pg_catalog.regclass AND d.objid OPERATOR(pg_catalog.=) p.oid
                              WHERE p.polrelid OPERATOR(pg_catalog.=) t.oid AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid OPERATOR(pg_catalog.=) t.oid
                                AND d.refobjsubid OPERATOR(pg_catalog.=) i.indkey[0])",
};
