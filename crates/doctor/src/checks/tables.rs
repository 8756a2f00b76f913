//! Tables that served roles can reach: whether row security stands between, and binds.

use crate::codes;
use crate::examination::{Checked, Examination, roles};

/// Tables `c` in schemas `n` of users, without those of extensions.
const USER_TABLES: &str = "pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
      where c.relkind in ('r', 'p') and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
        and not exists (select from pg_catalog.pg_depend x
                        where x.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and x.objid = c.oid
                          and x.deptype = 'e')";

pub async fn check(ex: &mut Examination<'_>) -> Checked {
    unguarded(ex).await?;
    unforced(ex).await?;
    granted(ex).await
}

async fn unguarded(ex: &mut Examination<'_>) -> Checked {
    let rows = ex
        .query(
            &format!(
                "select t.name, t.partition, pg_catalog.array_agg(r.rolname::pg_catalog.text order by r.rolname)
                 from (select c.oid, c.oid::pg_catalog.regclass::pg_catalog.text as name, c.relispartition as partition,
                              n.oid as schema from {USER_TABLES} and not c.relrowsecurity) t,
                      pg_catalog.pg_roles r
                 where r.oid = any($1::pg_catalog.oid[])
                   and pg_catalog.has_schema_privilege(r.oid, t.schema, 'USAGE')
                   and (pg_catalog.has_table_privilege(r.oid, t.oid, 'SELECT, INSERT, UPDATE, DELETE')
                        or pg_catalog.has_any_column_privilege(r.oid, t.oid, 'SELECT, INSERT, UPDATE'))
                 group by t.name, t.partition order by 1"
            ),
            &[&ex.served],
        )
        .await?;
    for row in rows {
        let (table, partition, names): (String, bool, Vec<String>) =
            (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let partition =
            if partition { " The policies of the table it is a partition of do not count here." } else { "" };
        ex.found(
            &codes::TABLE_WITHOUT_RLS,
            format!("table {table}"),
            format!("table {table} has no row security, and can be reached by {}", roles(&names)),
            format!(
                "Everybody behind these roles has the same rows. Enable it and write a policy, which until then lets \
                 nobody through; or allow this finding for a table that is meant for all.{partition}"
            ),
            Some(format!("ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;")),
        );
    }
    Ok(())
}

async fn unforced(ex: &mut Examination<'_>) -> Checked {
    let rows = ex
        .query(
            &format!(
                "select t.name, pg_catalog.array_agg(r.rolname::pg_catalog.text order by r.rolname)
                 from (select c.oid::pg_catalog.regclass::pg_catalog.text as name, c.relowner from {USER_TABLES}
                         and c.relrowsecurity and not c.relforcerowsecurity) t,
                      pg_catalog.pg_roles r
                 where r.oid = any($1::pg_catalog.oid[]) and not r.rolsuper
                   and pg_catalog.pg_has_role(r.oid, t.relowner, 'USAGE')
                 group by t.name order by 1"
            ),
            &[&ex.served],
        )
        .await?;
    for row in rows {
        let (table, names): (String, Vec<String>) = (row.try_get(0)?, row.try_get(1)?);
        ex.found(
            &codes::TABLE_RLS_NOT_FORCED,
            format!("table {table}"),
            format!(
                "row security of table {table} does not bind its owner, as which {} counts",
                roles(&names)
            ),
            "An owner may also switch it off: better, give the table to a role that is not served.",
            Some(format!("ALTER TABLE {table} FORCE ROW LEVEL SECURITY;")),
        );
    }
    Ok(())
}

async fn granted(ex: &mut Examination<'_>) -> Checked {
    let rows = ex
        .query(
            &format!(
                "select t.name, a.privilege_type,
                        case a.grantee when 0 then 'PUBLIC'
                             else pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) end,
                        pg_catalog.array_agg(r.rolname::pg_catalog.text order by r.rolname)
                 from (select c.oid::pg_catalog.regclass::pg_catalog.text as name, c.relowner, c.relacl, c.relrowsecurity
                       from {USER_TABLES}) t,
                      lateral pg_catalog.aclexplode(t.relacl) a,
                      pg_catalog.pg_roles r
                 where r.oid = any($1::pg_catalog.oid[]) and not r.rolsuper and a.grantee <> t.relowner
                   and (a.privilege_type = 'TRIGGER' or (a.privilege_type = 'TRUNCATE' and t.relrowsecurity))
                   and (a.grantee = 0 or pg_catalog.pg_has_role(r.oid, a.grantee, 'USAGE'))
                 group by 1, 2, 3 order by 1, 2, 3"
            ),
            &[&ex.served],
        )
        .await?;
    for row in rows {
        let (table, privilege, grantee): (String, String, String) =
            (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let names: Vec<String> = row.try_get(3)?;
        let hint = Some(format!("REVOKE {privilege} ON TABLE {table} FROM {grantee};"));
        let subject = format!("table {table}");
        if privilege == "TRUNCATE" {
            ex.found(
                &codes::TABLE_TRUNCATE,
                subject,
                format!("{} may truncate table {table}", roles(&names)),
                "TRUNCATE asks no policy: it removes the rows of everybody.",
                hint,
            );
        } else {
            ex.found(
                &codes::TABLE_TRIGGER,
                subject,
                format!("{} may create triggers on table {table}", roles(&names)),
                "A trigger runs as whoever writes to the table, with that role's rights.",
                hint,
            );
        }
    }
    Ok(())
}
