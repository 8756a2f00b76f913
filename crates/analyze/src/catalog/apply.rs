//! What a subscriber runs when it applies a row.

use serde::{Deserialize, Serialize};

use super::Oid;

/// A function that a trigger which fires on apply (ENABLE ALWAYS, ENABLE REPLICA) calls, itself or in its WHEN clause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnApply {
    /// The table.
    pub relation: Oid,
    /// The function.
    pub function: Oid,
    /// The trigger, as the server describes it.
    pub by: String,
}

pub(super) const ON_APPLY: &str = "SELECT DISTINCT t.tgrelid, d.refobjid,
    pg_catalog.pg_describe_object('pg_catalog.pg_trigger'::pg_catalog.regclass, t.oid, 0)
  FROM pg_catalog.pg_trigger t
  JOIN pg_catalog.pg_depend d ON d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_trigger'::pg_catalog.regclass
    AND d.objid OPERATOR(pg_catalog.=) t.oid AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass
  WHERE NOT t.tgisinternal AND t.tgenabled OPERATOR(pg_catalog.=) ANY (ARRAY['A', 'R']::pg_catalog.\"char\"[]) ORDER BY 1, 2, 3";
