//! A snapshot of a server's catalogs, taken as an ordinary role.
//!
//! One transaction, read-only and repeatable, about a dozen queries that are sent together. Works on PostgreSQL 13 to 18.
//! Nothing outside `pg_catalog` is named, called or read, and `pg_temp` is last on the path.

use tokio_postgres::{Client, Row};

use super::apply::{ON_APPLY, OnApply, Publication, publications};
use super::stored::{EXPRESSIONS, PRINTED_UNDER};
use super::{
    Cast, Collation, Expression, Oid, Operator, Relation, Role, Routine, Schema, Snapshot, Trigger, Type, Use,
};
use crate::Error;

const SCHEMAS: &str = "SELECT n.oid, n.nspname, n.nspowner,
    ARRAY(SELECT a.grantee FROM pg_catalog.aclexplode(n.nspacl) a) AS grantees,
    ARRAY(SELECT a.privilege_type FROM pg_catalog.aclexplode(n.nspacl) a) AS privileges
  FROM pg_catalog.pg_namespace n ORDER BY n.oid";

const RELATIONS: &str = "SELECT c.oid, c.relname, c.relnamespace, c.relowner, c.relkind, c.reltype, c.relrowsecurity,
    COALESCE(c.reloptions, '{}') AS options,
    ARRAY(SELECT a.attname::pg_catalog.text FROM pg_catalog.pg_attribute a
          WHERE a.attrelid OPERATOR(pg_catalog.=) c.oid AND a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped
          ORDER BY a.attnum) AS names,
    ARRAY(SELECT a.atttypid FROM pg_catalog.pg_attribute a
          WHERE a.attrelid OPERATOR(pg_catalog.=) c.oid AND a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped
          ORDER BY a.attnum) AS types
  FROM pg_catalog.pg_class c WHERE c.relkind OPERATOR(pg_catalog.<>) 't' ORDER BY c.oid";

const OPERATORS: &str = "SELECT o.oid, o.oprname, o.oprnamespace, o.oprowner, o.oprleft, o.oprright, o.oprresult, o.oprcode::pg_catalog.oid
  FROM pg_catalog.pg_operator o WHERE o.oprkind OPERATOR(pg_catalog.<>) 'r' ORDER BY o.oid";

const CASTS: &str =
    "SELECT castsource, casttarget, castcontext, castmethod FROM pg_catalog.pg_cast ORDER BY oid";

const COLLATIONS: &str =
    "SELECT c.oid, c.collname, c.collnamespace, c.collowner FROM pg_catalog.pg_collation c ORDER BY c.oid";

const ROLES: &str = "SELECT r.oid, r.rolname, r.rolsuper, r.rolcreaterole, r.rolcanlogin,
    ARRAY(SELECT m.roleid FROM pg_catalog.pg_auth_members m WHERE m.member OPERATOR(pg_catalog.=) r.oid ORDER BY 1) AS member_of
  FROM pg_catalog.pg_roles r ORDER BY r.oid";

const SETTINGS: &str = "SELECT s.setrole, s.setconfig FROM pg_catalog.pg_db_role_setting s
  WHERE s.setdatabase OPERATOR(pg_catalog.=) 0
     OR s.setdatabase OPERATOR(pg_catalog.=) (SELECT d.oid FROM pg_catalog.pg_database d
          WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database())
  ORDER BY s.setdatabase, s.setrole";

const DATABASE: &str = "SELECT d.datname, d.datdba,
    ARRAY(SELECT a.grantee FROM pg_catalog.aclexplode(COALESCE(d.datacl, pg_catalog.acldefault('d', d.datdba))) a) AS grantees,
    ARRAY(SELECT a.privilege_type FROM pg_catalog.aclexplode(COALESCE(d.datacl, pg_catalog.acldefault('d', d.datdba))) a) AS privileges,
    CURRENT_USER::pg_catalog.text AS who,
    pg_catalog.current_setting('server_version_num')::pg_catalog.int4 AS version
  FROM pg_catalog.pg_database d WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()";

const INHERITS: &str = "SELECT inhrelid, inhparent FROM pg_catalog.pg_inherits ORDER BY 1, 2";

const TRIGGERS: &str = "SELECT t.tgrelid, t.tgfoid,
    pg_catalog.array_remove(ARRAY[t.tgoldtable::pg_catalog.text, t.tgnewtable::pg_catalog.text], NULL) AS tables
  FROM pg_catalog.pg_trigger t WHERE NOT t.tgisinternal ORDER BY t.oid";

// What the server has bound already and recorded as a dependency on a function that is not built in.
const USES: &str = "SELECT DISTINCT
    CASE d.classid WHEN 'pg_catalog.pg_trigger'::pg_catalog.regclass THEN 'trigger'
                   WHEN 'pg_catalog.pg_policy'::pg_catalog.regclass THEN 'policy'
                   WHEN 'pg_catalog.pg_attrdef'::pg_catalog.regclass THEN
                     CASE (SELECT a.attgenerated FROM pg_catalog.pg_attrdef t JOIN pg_catalog.pg_attribute a
                             ON a.attrelid OPERATOR(pg_catalog.=) t.adrelid AND a.attnum OPERATOR(pg_catalog.=) t.adnum
                            WHERE t.oid OPERATOR(pg_catalog.=) d.objid) WHEN '' THEN 'default' ELSE 'generated' END
                   WHEN 'pg_catalog.pg_constraint'::pg_catalog.regclass THEN 'check'
                   WHEN 'pg_catalog.pg_rewrite'::pg_catalog.regclass THEN 'view'
                   WHEN 'pg_catalog.pg_event_trigger'::pg_catalog.regclass THEN 'event trigger'
                   WHEN 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass THEN 'statistics'
                   WHEN 'pg_catalog.pg_class'::pg_catalog.regclass THEN
                     CASE (SELECT c.relkind FROM pg_catalog.pg_class c WHERE c.oid OPERATOR(pg_catalog.=) d.objid)
                       WHEN 'p' THEN 'partition key' ELSE 'index' END END AS kind,
    pg_catalog.pg_describe_object(d.classid, d.objid, d.objsubid) AS by, d.refobjid
  FROM pg_catalog.pg_depend d
  WHERE d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass
    AND d.deptype OPERATOR(pg_catalog.=) 'n'
    AND d.classid OPERATOR(pg_catalog.=) ANY (ARRAY['pg_catalog.pg_trigger', 'pg_catalog.pg_policy', 'pg_catalog.pg_attrdef',
        'pg_catalog.pg_constraint', 'pg_catalog.pg_rewrite', 'pg_catalog.pg_event_trigger', 'pg_catalog.pg_class',
        'pg_catalog.pg_statistic_ext']
        ::pg_catalog.regclass[]::pg_catalog.oid[])
  ORDER BY 1, 2, 3";

fn types(version: u32) -> String {
    let (multirange, partner) = if version >= 140_000 {
        (
            "LEFT JOIN pg_catalog.pg_range m ON m.rngmultitypid OPERATOR(pg_catalog.=) t.oid",
            "r.rngmultitypid, m.rngtypid",
        )
    } else {
        ("LEFT JOIN pg_catalog.pg_range m ON false", "NULL::pg_catalog.oid")
    };
    format!(
        "SELECT t.oid, t.typname, t.typnamespace, t.typowner, t.typtype, t.typcategory, t.typispreferred,
            CASE WHEN t.typlen OPERATOR(pg_catalog.=) -1 THEN t.typelem ELSE 0::pg_catalog.oid END AS element,
            t.typarray, t.typrelid, t.typbasetype,
            COALESCE(r.rngsubtype, m.rngsubtype, 0::pg_catalog.oid) AS subtype,
            COALESCE({partner}, 0::pg_catalog.oid) AS partner
         FROM pg_catalog.pg_type t
         LEFT JOIN pg_catalog.pg_range r ON r.rngtypid OPERATOR(pg_catalog.=) t.oid {multirange} ORDER BY t.oid"
    )
}

fn routines(version: u32) -> String {
    let atomic = if version >= 140_000 { "p.prosqlbody IS NOT NULL" } else { "false" };
    format!(
        "SELECT p.oid, p.proname, p.pronamespace, p.proowner, p.prokind, p.proargtypes::pg_catalog.oid[] AS args,
            p.pronargdefaults, p.provariadic, COALESCE(p.proallargtypes, '{{}}') AS all_args,
            COALESCE(p.proargmodes, '{{}}') AS modes, COALESCE(p.proargnames, '{{}}') AS names, p.prorettype, p.proretset,
            l.lanname, p.prosecdef, p.provolatile, p.proisstrict, COALESCE(p.proconfig, '{{}}') AS config,
            CASE WHEN p.pronamespace OPERATOR(pg_catalog.=) 11 THEN '' ELSE COALESCE(p.prosrc, '') END AS source,
            {atomic} AS atomic,
            CASE WHEN p.pronamespace OPERATOR(pg_catalog.=) 11 THEN '{{}}'::pg_catalog.oid[] ELSE
              ARRAY(SELECT a.grantee FROM pg_catalog.aclexplode(COALESCE(p.proacl, pg_catalog.acldefault('f', p.proowner))) a
                  WHERE a.privilege_type OPERATOR(pg_catalog.=) 'EXECUTE') END AS executors,
            COALESCE((SELECT d.refobjid FROM pg_catalog.pg_depend d
                WHERE d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass
                  AND d.objid OPERATOR(pg_catalog.=) p.oid AND d.deptype OPERATOR(pg_catalog.=) 'e' LIMIT 1), 0::pg_catalog.oid) AS extension
         FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_language l ON l.oid OPERATOR(pg_catalog.=) p.prolang ORDER BY p.oid"
    )
}

/// Takes a snapshot. The connection must be outside a transaction; its `search_path` is as before afterwards.
pub async fn load(client: &Client) -> Result<Snapshot, Error> {
    client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    let taken = read(client).await;
    client.batch_execute("ROLLBACK").await?;
    taken
}

#[allow(clippy::too_many_lines, reason = "one query after the other, each with its columns")]
async fn read(client: &Client) -> Result<Snapshot, Error> {
    // Settings first: afterwards the path is ours.
    let shown = client.query_one("SHOW search_path", &[]).await?;
    let search_path: String = shown.get(0);
    client.batch_execute("SET LOCAL search_path = pg_catalog, pg_temp").await?;
    // Compiling one of the queries takes longer than all of them. Servers before 11 do not compile.
    let jit = "SELECT pg_catalog.set_config(name, 'off', true) FROM pg_catalog.pg_settings WHERE name OPERATOR(pg_catalog.=) 'jit'";
    client.batch_execute(jit).await?;
    let row = client.query_one(DATABASE, &[]).await?;
    let version = u32::try_from(row.get::<_, i32>("version")).unwrap_or_default();
    let mut snapshot = Snapshot {
        version,
        database: row.get("datname"),
        database_owner: row.get("datdba"),
        database_grants: grants(&row),
        user: row.get("who"),
        search_path,
        ..Snapshot::default()
    };
    let each = |sql: String| async move { client.query(sql.as_str(), &[]).await.map_err(Error::from) };
    for row in each(SCHEMAS.into()).await? {
        snapshot.schemas.push(Schema {
            oid: row.get(0),
            name: row.get(1),
            owner: row.get(2),
            grants: grants(&row),
        });
    }
    for row in each(types(version)).await? {
        snapshot.types.push(Type {
            oid: row.get(0),
            name: row.get(1),
            schema: row.get(2),
            owner: row.get(3),
            kind: letter(&row, 4),
            category: letter(&row, 5),
            preferred: row.get(6),
            element: row.get(7),
            array: row.get(8),
            relation: row.get(9),
            base: row.get(10),
            subtype: row.get(11),
            partner: row.get(12),
        });
    }
    for row in each(RELATIONS.into()).await? {
        let names: Vec<String> = row.get("names");
        let types: Vec<Oid> = row.get("types");
        snapshot.relations.push(Relation {
            oid: row.get(0),
            name: row.get(1),
            schema: row.get(2),
            owner: row.get(3),
            kind: letter(&row, 4),
            row_type: row.get(5),
            row_security: row.get(6),
            options: row.get("options"),
            columns: names.into_iter().zip(types).collect(),
        });
    }
    for row in each(routines(version)).await? {
        let modes: Vec<i8> = row.get("modes");
        snapshot.routines.push(Routine {
            oid: row.get(0),
            name: row.get(1),
            schema: row.get(2),
            owner: row.get(3),
            kind: letter(&row, 4),
            args: row.get("args"),
            defaults: usize::try_from(row.get::<_, i16>("pronargdefaults")).unwrap_or_default(),
            variadic: row.get("provariadic"),
            all_args: row.get("all_args"),
            modes: modes.into_iter().map(char_of).collect(),
            names: row.get("names"),
            returns: row.get("prorettype"),
            set: row.get("proretset"),
            language: row.get("lanname"),
            definer: row.get("prosecdef"),
            volatility: char_of(row.get("provolatile")),
            strict: row.get("proisstrict"),
            config: row.get("config"),
            source: row.get("source"),
            atomic: row.get("atomic"),
            executors: row.get("executors"),
            extension: row.get("extension"),
        });
    }
    for row in each(OPERATORS.into()).await? {
        snapshot.operators.push(Operator {
            oid: row.get(0),
            name: row.get(1),
            schema: row.get(2),
            owner: row.get(3),
            left: row.get(4),
            right: row.get(5),
            result: row.get(6),
            function: row.get(7),
        });
    }
    for row in each(CASTS.into()).await? {
        snapshot.casts.push(Cast {
            source: row.get(0),
            target: row.get(1),
            context: letter(&row, 2),
            binary: letter(&row, 3) == 'b',
        });
    }
    for row in each(COLLATIONS.into()).await? {
        snapshot.collations.push(Collation {
            oid: row.get(0),
            name: row.get(1),
            schema: row.get(2),
            owner: row.get(3),
        });
    }
    for row in each(ROLES.into()).await? {
        snapshot.roles.push(Role {
            oid: row.get(0),
            name: row.get(1),
            superuser: row.get(2),
            createrole: row.get(3),
            login: row.get(4),
            member_of: row.get(5),
        });
    }
    for row in each(SETTINGS.into()).await? {
        let role: Oid = row.get(0);
        let config: Vec<String> = row.get(1);
        snapshot.settings.extend(config.into_iter().map(|setting| (role, setting)));
    }
    for row in each(INHERITS.into()).await? {
        snapshot.inherits.push((row.get(0), row.get(1)));
    }
    for row in each(TRIGGERS.into()).await? {
        snapshot.triggers.push(Trigger { relation: row.get(0), function: row.get(1), tables: row.get(2) });
    }
    for row in each(publications(version)).await? {
        snapshot.publications.push(Publication {
            name: row.get(0),
            all: row.get(1),
            tables: row.get(2),
            schemas: row.get(3),
            filtered: Vec::new(),
        });
    }
    for row in each(ON_APPLY.into()).await? {
        snapshot.on_apply.push(OnApply {
            relation: row.get(0),
            function: row.get(1),
            by: row.get(2),
            assumed: false,
        });
    }
    for row in each(USES.into()).await? {
        snapshot.uses.push(Use { kind: row.get(0), by: row.get(1), function: row.get(2) });
    }
    for row in each(EXPRESSIONS.into()).await? {
        snapshot.expressions.push(Expression {
            oid: row.get(0),
            kind: row.get(1),
            by: row.get(2),
            owner: row.get(3),
            relation: row.get(4),
            source: row.get(5),
            search_path: PRINTED_UNDER.into(),
            found: None,
        });
    }
    Ok(snapshot)
}

fn grants(row: &Row) -> Vec<(Oid, String)> {
    let grantees: Vec<Oid> = row.get("grantees");
    let privileges: Vec<String> = row.get("privileges");
    grantees.into_iter().zip(privileges).collect()
}

fn letter(row: &Row, column: usize) -> char {
    char_of(row.get(column))
}

fn char_of(byte: i8) -> char {
    char::from(byte.cast_unsigned())
}
