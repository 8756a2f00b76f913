//! Definitions with expressions in them, read from a server as the DDL that makes them.
//!
//! The server prints them under `pg_catalog, pg_temp`, so that every name is written with its schema unless it is built in: what
//! was bound can be read back from the text.

/// The path under which the server prints them.
pub const PRINTED_UNDER: &str = "pg_catalog, pg_temp";

/// Columns: OID, kind, description, owner, relation, DDL.
pub const EXPRESSIONS: &str = "
SELECT c.oid, CASE c.relkind WHEN 'v' THEN 'view' ELSE 'materialized view' END AS kind,
    pg_catalog.pg_describe_object('pg_catalog.pg_class'::pg_catalog.regclass, c.oid, 0) AS by, c.relowner, c.oid AS relation,
    pg_catalog.format('CREATE VIEW %s AS %s', c.oid::pg_catalog.regclass, pg_catalog.pg_get_viewdef(c.oid)) AS source
  FROM pg_catalog.pg_class c WHERE c.relkind IN ('v', 'm') AND c.oid >= 16384
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
        AND d.objid = c.oid AND d.deptype = 'e')
UNION ALL
SELECT r.oid, 'rule', pg_catalog.pg_describe_object('pg_catalog.pg_rewrite'::pg_catalog.regclass, r.oid, 0), c.relowner, c.oid,
    pg_catalog.pg_get_ruledef(r.oid)
  FROM pg_catalog.pg_rewrite r JOIN pg_catalog.pg_class c ON c.oid = r.ev_class
  WHERE r.rulename <> '_RETURN' AND r.oid >= 16384
UNION ALL
SELECT p.oid, 'policy', pg_catalog.pg_describe_object('pg_catalog.pg_policy'::pg_catalog.regclass, p.oid, 0), c.relowner, c.oid,
    pg_catalog.format('CREATE POLICY %I ON %s', p.polname, c.oid::pg_catalog.regclass)
      || COALESCE(' USING (' || pg_catalog.pg_get_expr(p.polqual, p.polrelid) || ')', '')
      || COALESCE(' WITH CHECK (' || pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid) || ')', '')
  FROM pg_catalog.pg_policy p JOIN pg_catalog.pg_class c ON c.oid = p.polrelid
UNION ALL
SELECT d.oid, CASE a.attgenerated WHEN '' THEN 'default' ELSE 'generated' END,
    pg_catalog.pg_describe_object('pg_catalog.pg_attrdef'::pg_catalog.regclass, d.oid, 0), c.relowner, c.oid,
    pg_catalog.format('ALTER TABLE %s ALTER COLUMN %I SET DEFAULT %s', c.oid::pg_catalog.regclass, a.attname,
        pg_catalog.pg_get_expr(d.adbin, d.adrelid))
  FROM pg_catalog.pg_attrdef d JOIN pg_catalog.pg_class c ON c.oid = d.adrelid
  JOIN pg_catalog.pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum WHERE d.oid >= 16384
UNION ALL
SELECT k.oid, 'check', pg_catalog.pg_describe_object('pg_catalog.pg_constraint'::pg_catalog.regclass, k.oid, 0), c.relowner, c.oid,
    pg_catalog.format('ALTER TABLE %s ADD %s', c.oid::pg_catalog.regclass, pg_catalog.pg_get_constraintdef(k.oid))
  FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class c ON c.oid = k.conrelid WHERE k.contype = 'c' AND k.oid >= 16384
UNION ALL
SELECT k.oid, 'domain', pg_catalog.format('constraint %s on domain %s', k.conname, pg_catalog.format_type(t.oid, NULL)), t.typowner, t.oid,
    pg_catalog.format('ALTER DOMAIN %s ADD %s', t.oid::pg_catalog.regtype, pg_catalog.pg_get_constraintdef(k.oid))
  FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_type t ON t.oid = k.contypid WHERE k.contype = 'c' AND k.oid >= 16384
UNION ALL
SELECT i.indexrelid, 'index', pg_catalog.pg_describe_object('pg_catalog.pg_class'::pg_catalog.regclass, i.indexrelid, 0),
    c.relowner, c.oid, pg_catalog.pg_get_indexdef(i.indexrelid)
  FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indrelid
  WHERE (i.indexprs IS NOT NULL OR i.indpred IS NOT NULL) AND i.indexrelid >= 16384
UNION ALL
SELECT t.oid, 'trigger', pg_catalog.pg_describe_object('pg_catalog.pg_trigger'::pg_catalog.regclass, t.oid, 0), c.relowner, c.oid,
    pg_catalog.pg_get_triggerdef(t.oid)
  FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid WHERE NOT t.tgisinternal
UNION ALL
SELECT s.oid, 'statistics', pg_catalog.pg_describe_object('pg_catalog.pg_statistic_ext'::pg_catalog.regclass, s.oid, 0), s.stxowner, s.stxrelid,
    pg_catalog.pg_get_statisticsobjdef(s.oid)
  FROM pg_catalog.pg_statistic_ext s
  WHERE EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass
      AND d.objid = s.oid AND d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass)
UNION ALL
SELECT e.oid, 'event trigger', pg_catalog.pg_describe_object('pg_catalog.pg_event_trigger'::pg_catalog.regclass, e.oid, 0),
    e.evtowner, 0::pg_catalog.oid,
    pg_catalog.format('CREATE EVENT TRIGGER %I ON %s EXECUTE FUNCTION %s()', e.evtname, e.evtevent, e.evtfoid::pg_catalog.regproc)
  FROM pg_catalog.pg_event_trigger e
ORDER BY 2, 3";
