//! Weaker policies: what a test of policies must notice.

use tokio_postgres::Client;

use crate::error::Error;

/// A policy that is weaker than it was.
#[derive(Debug)]
pub struct Mutant {
    /// What is weaker.
    pub name: String,
    /// The statement that makes it so.
    pub sql: String,
}

/// Every policy of the database whose table is the asking role's, weakened in every way: what it says of rows that there are, what it says of new ones, and whom it is
/// for. A restrictive policy that is always true is one that was dropped.
pub async fn all(client: &Client) -> Result<Vec<Mutant>, Error> {
    // A policy without WITH CHECK checks new rows by USING: each can be lost alone.
    const SQL: &str = "
        SELECT pg_catalog.concat('policy \"', p.polname, '\" of ', t.name, ': ', m.what),
               pg_catalog.format('ALTER POLICY %I ON %s %s', p.polname, t.name, m.clause)
          FROM pg_catalog.pg_policy p
          JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) p.polrelid
          JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace,
       LATERAL (SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) AS name) t,
       LATERAL (SELECT pg_catalog.pg_get_expr(p.polqual, p.polrelid) AS reads, pg_catalog.pg_get_expr(coalesce(p.polwithcheck, p.polqual), p.polrelid) AS writes,
                       p.polcmd OPERATOR(pg_catalog.=) ANY ('{*,a,w}'::pg_catalog.\"char\"[]) AS checks) e,
       LATERAL (VALUES
               ('USING (true)', CASE WHEN p.polwithcheck IS NULL AND e.checks THEN pg_catalog.concat('USING (true) WITH CHECK (', e.writes, ')') ELSE 'USING (true)' END,
                e.reads OPERATOR(pg_catalog.<>) 'true'),
               ('WITH CHECK (true)', 'WITH CHECK (true)', e.checks AND e.writes OPERATOR(pg_catalog.<>) 'true'),
               ('TO PUBLIC', 'TO PUBLIC', p.polpermissive AND NOT 0::pg_catalog.oid OPERATOR(pg_catalog.=) ANY (p.polroles))
               ) m (what, clause, possible)
         WHERE m.possible AND c.relrowsecurity AND pg_catalog.pg_has_role(c.relowner, 'USAGE') AND n.nspname OPERATOR(pg_catalog.<>) ALL ('{postern,df}'::pg_catalog.name[])
         ORDER BY t.name, p.polname, m.what";
    // Names in the expressions are written as this path needs them, and read with it.
    client.batch_execute("SET search_path = pg_catalog, pg_temp").await?;
    let rows = client.query(SQL, &[]).await;
    client.batch_execute("RESET search_path").await?;
    Ok(rows?.iter().map(|row| Mutant { name: row.get(0), sql: row.get(1) }).collect())
}
