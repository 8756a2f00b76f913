//! Row security that does not hold, is gone round, or costs more than it must.
//!
//! Each rule is a question to the catalogs of a running server, not to a snapshot: nothing in it depends on what names mean. One
//! rule asks for plans as well, of policies in which nothing is called that somebody has made.
//!
//! **Invariants**: nothing is written, and no function of anybody's is called: the transaction is read-only, and policies are
//! planned only where all that they call is the server's or Postern's.

mod around;
mod facts;
mod speed;
mod state;

use tokio_postgres::{Client, Row};

use super::{Finding, Severity};
use crate::Error;

/// One thing that is looked for.
#[derive(Debug)]
pub struct Rule {
    /// Its id; the page of the documentation has the same name.
    pub id: &'static str,
    /// How much a finding weighs.
    pub severity: Severity,
    /// What it says, in a line.
    pub summary: &'static str,
    /// The question: object, name, message, proof and remedy of each finding; name and proof may be NULL.
    sql: &'static str,
}

/// Every rule about rows.
pub const RULES: &[Rule] = &[
    state::OFF,
    state::NOT_FORCED,
    state::ALWAYS_TRUE,
    state::RESTRICTIVE_ALONE,
    state::ERROR_PAIR,
    facts::FORGEABLE,
    around::FUNCTION,
    around::FOREIGN_KEY,
    around::MATERIALIZED_VIEW,
    around::PUBLICATION,
    around::PARTITION,
    speed::PER_ROW,
    speed::INDEX,
];

/// What the questions have in common: the tables that people made, and their policies.
const WITH: &str = "
    WITH tab AS MATERIALIZED (
        SELECT c.oid, c.relname, c.relowner, c.relkind, c.relacl, c.relrowsecurity, c.relforcerowsecurity, c.relispartition,
               pg_catalog.format('%I.%I', n.nspname, c.relname) AS name
          FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
         WHERE c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p}'::pg_catalog.\"char\"[]) AND c.relpersistence OPERATOR(pg_catalog.<>) 't'
           AND n.nspname OPERATOR(pg_catalog.!~) '^(pg_|information_schema$)' AND n.nspname OPERATOR(pg_catalog.<>) ALL ('{postern,df,_duroxide}'::pg_catalog.name[])
           AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend e WHERE e.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass
                              AND e.objid OPERATOR(pg_catalog.=) c.oid AND e.deptype OPERATOR(pg_catalog.=) 'e')
    ),
    policy AS MATERIALIZED (
        SELECT p.oid, p.polname, p.polrelid, p.polcmd, p.polpermissive, p.polroles, t.name AS tab, t.relrowsecurity,
               pg_catalog.pg_get_expr(p.polqual, p.polrelid) AS reads, pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid) AS writes,
               pg_catalog.format('policy %I on %s', p.polname, t.name) AS name
          FROM pg_catalog.pg_policy p JOIN tab t ON t.oid OPERATOR(pg_catalog.=) p.polrelid
    ),
    direct (relation, grantee) AS MATERIALIZED (";

/// Whether there is a table of ours that says who has direct access: nobody else's of that name, which could be a view.
const HAS_DIRECT: &str = "
    SELECT EXISTS (SELECT FROM pg_catalog.pg_class c
      JOIN pg_catalog.pg_depend d ON d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid OPERATOR(pg_catalog.=) c.oid AND d.deptype OPERATOR(pg_catalog.=) 'e'
       AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_extension'::pg_catalog.regclass
      JOIN pg_catalog.pg_extension e ON e.oid OPERATOR(pg_catalog.=) d.refobjid AND e.extname OPERATOR(pg_catalog.=) 'postern'
      JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace AND n.nspname OPERATOR(pg_catalog.=) 'postern'
     WHERE c.relname OPERATOR(pg_catalog.=) 'direct_access' AND c.relkind OPERATOR(pg_catalog.=) 'r'
       AND pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_table_privilege(c.oid, 'SELECT'))";
const DIRECT: &str =
    "SELECT DISTINCT a.relation::pg_catalog.oid, a.grantee::pg_catalog.oid FROM postern.direct_access a)";
const NO_DIRECT: &str = "SELECT 0::pg_catalog.oid, 0::pg_catalog.oid WHERE false)";

/// What is wrong with the rows of a database. The connection must be outside a transaction.
pub async fn find(client: &Client) -> Result<Vec<Finding>, Error> {
    client
        .batch_execute(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL search_path = pg_catalog, pg_temp; SET LOCAL row_security = off; SET LOCAL jit = off",
        )
        .await?;
    let found = all(client).await;
    client.batch_execute("ROLLBACK").await?;
    found
}

async fn all(client: &Client) -> Result<Vec<Finding>, Error> {
    let mut findings = Vec::new();
    let has_direct: bool = client.query_one(HAS_DIRECT, &[]).await?.get(0);
    let direct = if has_direct { DIRECT } else { NO_DIRECT };
    for rule in RULES {
        let rows = client.query(&format!("{WITH}{direct} {} ORDER BY 1, 2, 3", rule.sql), &[]).await?;
        for row in rows {
            let mut finding = finding(rule, &row);
            if rule.id == speed::PER_ROW.id {
                finding.proof = speed::plans(client, &row).await?;
            }
            findings.push(finding);
        }
    }
    super::number(&mut findings);
    Ok(findings)
}

/// That a publication sends every row of a table with policies: of files, in which there is no catalog to ask.
pub(crate) fn past_policies(publication: &str, table: &str) -> Finding {
    let rule = &around::PUBLICATION;
    Finding {
        rule: rule.id,
        severity: rule.severity,
        object: format!("publication {publication}"),
        file: None,
        name: Some(table.to_owned()),
        position: None,
        span: None,
        excerpt: None,
        message: format!("it sends every row of {table}, whatever the policies say"),
        proof: None,
        remedy: format!(
            "Leave the table out, or publish it with a WHERE that says what the policies say: ALTER PUBLICATION {}",
            crate::text::quote(publication)
        ),
        key: String::new(),
    }
}

fn finding(rule: &Rule, row: &Row) -> Finding {
    Finding {
        rule: rule.id,
        severity: rule.severity,
        object: row.get(0),
        file: None,
        name: row.get(1),
        position: None,
        span: None,
        excerpt: None,
        message: row.get(2),
        proof: row.get(3),
        remedy: row.get(4),
        key: String::new(),
    }
}
