//! What a subscriber runs when it applies a row.

use serde::{Deserialize, Serialize};

use super::Oid;

/// Which tables are sent to subscribers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publication {
    /// Its name.
    pub name: String,
    /// Has it every table, those of later too?
    pub all: bool,
    /// The tables that it names.
    pub tables: Vec<Oid>,
    /// The schemas whose tables it has.
    pub schemas: Vec<Oid>,
    /// Of the tables that it names, those of which it has not every row. Known of files alone.
    #[serde(default)]
    pub filtered: Vec<Oid>,
}

/// Columns: name, every table, tables, schemas. Before PostgreSQL 15 a publication has no schemas.
pub(super) fn publications(version: u32) -> String {
    let schemas = if version >= 150_000 {
        "ARRAY(SELECT n.pnnspid FROM pg_catalog.pg_publication_namespace n WHERE n.pnpubid OPERATOR(pg_catalog.=) p.oid ORDER BY 1)"
    } else {
        "'{}'::pg_catalog.oid[]"
    };
    format!(
        "SELECT p.pubname, p.puballtables,
            ARRAY(SELECT r.prrelid FROM pg_catalog.pg_publication_rel r WHERE r.prpubid OPERATOR(pg_catalog.=) p.oid ORDER BY 1),
            {schemas}
         FROM pg_catalog.pg_publication p ORDER BY 1"
    )
}

/// A function that runs when a row is applied: a trigger that fires then (ENABLE ALWAYS, ENABLE REPLICA) calls it, itself or in its WHEN
/// clause; or, of a table that is published or subscribed, a check, a domain, a range, a default, a generated column, an index or a
/// partition key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Hash)]
pub struct OnApply {
    /// The table.
    pub relation: Oid,
    /// The function.
    pub function: Oid,
    /// What calls it, as the server describes it.
    pub by: String,
    /// Is it only assumed that the table is replicated?
    #[serde(default)]
    pub assumed: bool,
}

/// Row filters are not among them: the server lets only its own functions into them.
pub(super) const ON_APPLY: &str = "
WITH RECURSIVE replicated (oid) AS (
    SELECT c.oid FROM pg_catalog.pg_publication_tables p
      JOIN pg_catalog.pg_namespace n ON n.nspname OPERATOR(pg_catalog.=) p.schemaname
      JOIN pg_catalog.pg_class c ON c.relnamespace OPERATOR(pg_catalog.=) n.oid AND c.relname OPERATOR(pg_catalog.=) p.tablename
    UNION
    SELECT s.srrelid FROM pg_catalog.pg_subscription_rel s
    UNION
    SELECT i.inhrelid FROM replicated r JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) r.oid
        AND c.relkind OPERATOR(pg_catalog.=) 'p'
      JOIN pg_catalog.pg_inherits i ON i.inhparent OPERATOR(pg_catalog.=) r.oid
), site (relation, class, object) AS (
    SELECT t.tgrelid, 'pg_catalog.pg_trigger'::pg_catalog.regclass::pg_catalog.oid, t.oid FROM pg_catalog.pg_trigger t
     WHERE NOT t.tgisinternal AND t.tgenabled OPERATOR(pg_catalog.=) ANY (ARRAY['A', 'R']::pg_catalog.\"char\"[])
    UNION ALL
    SELECT r.oid, 'pg_catalog.pg_constraint'::pg_catalog.regclass, k.oid
      FROM replicated r JOIN pg_catalog.pg_constraint k ON k.conrelid OPERATOR(pg_catalog.=) r.oid
     WHERE k.contype OPERATOR(pg_catalog.=) 'c'
    UNION ALL
    SELECT r.oid, 'pg_catalog.pg_attrdef'::pg_catalog.regclass, d.oid
      FROM replicated r JOIN pg_catalog.pg_attrdef d ON d.adrelid OPERATOR(pg_catalog.=) r.oid
    UNION ALL
    SELECT r.oid, 'pg_catalog.pg_class'::pg_catalog.regclass, i.indexrelid
      FROM replicated r JOIN pg_catalog.pg_index i ON i.indrelid OPERATOR(pg_catalog.=) r.oid
    UNION ALL
    -- By the keys of the tables above a partition it is asked whether a row belongs into it.
    SELECT r.oid, 'pg_catalog.pg_class'::pg_catalog.regclass, COALESCE(a.relid::pg_catalog.oid, r.oid)
      FROM replicated r LEFT JOIN LATERAL pg_catalog.pg_partition_ancestors(r.oid) a (relid) ON true
), used (relation, type) AS (
    SELECT a.attrelid, a.atttypid FROM replicated r JOIN pg_catalog.pg_attribute a ON a.attrelid OPERATOR(pg_catalog.=) r.oid
     WHERE a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped
    UNION
    -- An expression may cast to a domain.
    SELECT s.relation, d.refobjid
      FROM site s JOIN pg_catalog.pg_depend d ON d.classid OPERATOR(pg_catalog.=) s.class AND d.objid OPERATOR(pg_catalog.=) s.object
       AND d.objsubid OPERATOR(pg_catalog.=) 0
     WHERE d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_type'::pg_catalog.regclass
    UNION
    SELECT u.relation, x.type
      FROM used u JOIN pg_catalog.pg_type t ON t.oid OPERATOR(pg_catalog.=) u.type,
           LATERAL (SELECT t.typbasetype UNION ALL SELECT t.typelem
                    UNION ALL SELECT a.atttypid FROM pg_catalog.pg_attribute a
                     WHERE a.attrelid OPERATOR(pg_catalog.=) t.typrelid AND a.attnum OPERATOR(pg_catalog.>) 0
                    UNION ALL SELECT g.rngsubtype FROM pg_catalog.pg_range g WHERE g.rngtypid OPERATOR(pg_catalog.=) t.oid
                    UNION ALL SELECT g.rngtypid FROM pg_catalog.pg_range g
                     -- 13 has no multiranges, and no such column.
                     WHERE (pg_catalog.to_jsonb(g) OPERATOR(pg_catalog.->>) 'rngmultitypid') OPERATOR(pg_catalog.=) t.oid::pg_catalog.text
                    UNION ALL SELECT d.refobjid
                      FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_depend d
                        ON d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_constraint'::pg_catalog.regclass AND d.objid OPERATOR(pg_catalog.=) k.oid
                     WHERE k.contypid OPERATOR(pg_catalog.=) t.oid
                       AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_type'::pg_catalog.regclass) x (type)
     WHERE x.type OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid
), part (relation, class, object) AS (
    SELECT s.relation, s.class, s.object FROM site s
    UNION ALL
    SELECT u.relation, 'pg_catalog.pg_constraint'::pg_catalog.regclass, k.oid
      FROM used u JOIN pg_catalog.pg_constraint k ON k.contypid OPERATOR(pg_catalog.=) u.type
    UNION ALL
    -- The default of a domain; what makes a range canonical, or subtracts its ends.
    SELECT u.relation, 'pg_catalog.pg_type'::pg_catalog.regclass, t.oid
      FROM used u JOIN pg_catalog.pg_type t ON t.oid OPERATOR(pg_catalog.=) u.type
     WHERE t.typtype OPERATOR(pg_catalog.=) ANY (ARRAY['d', 'r']::pg_catalog.\"char\"[])
)
SELECT DISTINCT p.relation, f.oid,
       -- The server names a constraint of a domain without the domain.
       pg_catalog.concat(pg_catalog.pg_describe_object(p.class, p.object, 0), ' on domain ' OPERATOR(pg_catalog.||) pg_catalog.format_type(k.contypid, NULL))
  FROM part p
  LEFT JOIN pg_catalog.pg_constraint k ON p.class OPERATOR(pg_catalog.=) 'pg_catalog.pg_constraint'::pg_catalog.regclass
   AND k.oid OPERATOR(pg_catalog.=) p.object AND k.contypid OPERATOR(pg_catalog.<>) 0::pg_catalog.oid
  JOIN pg_catalog.pg_depend d ON d.classid OPERATOR(pg_catalog.=) p.class AND d.objid OPERATOR(pg_catalog.=) p.object
  LEFT JOIN pg_catalog.pg_operator o ON d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_operator'::pg_catalog.regclass
   AND o.oid OPERATOR(pg_catalog.=) d.refobjid
  -- NOT (a = b) is evaluated as the negator of the operator.
  LEFT JOIN pg_catalog.pg_operator n ON n.oid OPERATOR(pg_catalog.=) o.oprnegate
  CROSS JOIN LATERAL (SELECT d.refobjid WHERE d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass
                      UNION ALL SELECT o.oprcode::pg_catalog.oid UNION ALL SELECT n.oprcode::pg_catalog.oid) f (oid)
 WHERE f.oid OPERATOR(pg_catalog.<>) 0::pg_catalog.oid
 ORDER BY 1, 2, 3";
