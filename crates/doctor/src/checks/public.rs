//! What everybody may, and so every served role and the gate's.

use crate::codes;
use crate::examination::{Checked, Examination};

pub async fn check(ex: &mut Examination<'_>) -> Checked {
    let rows = ex
        .query(
            "select pg_catalog.quote_ident(n.nspname)
             from pg_catalog.pg_namespace n, lateral pg_catalog.aclexplode(n.nspacl) a
             where a.grantee = 0 and a.privilege_type = 'CREATE' and n.nspname !~ '^pg_'
               and n.oid is distinct from (select extnamespace from pg_catalog.pg_extension where extname = 'postern')
             order by 1",
            &[],
        )
        .await?;
    for row in rows {
        let schema: String = row.try_get(0)?;
        ex.found(
            &codes::PUBLIC_CREATE,
            format!("schema {schema}"),
            format!("everybody may create objects in schema {schema}"),
            "A function or operator put there is found by every name without a schema, and runs as whoever uses it.",
            Some(format!("REVOKE CREATE ON SCHEMA {schema} FROM PUBLIC;")),
        );
    }
    let rows = ex
        .query(
            "select pg_catalog.quote_ident(d.datname), a.privilege_type
             from pg_catalog.pg_database d,
                  lateral pg_catalog.aclexplode(coalesce(d.datacl, pg_catalog.acldefault('d', d.datdba))) a
             where d.datname = pg_catalog.current_database() and a.grantee = 0
               and a.privilege_type in ('CREATE', 'TEMPORARY')
             order by 2",
            &[],
        )
        .await?;
    for row in rows {
        let (database, privilege): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        let hint = Some(format!("REVOKE {privilege} ON DATABASE {database} FROM PUBLIC;"));
        if privilege == "CREATE" {
            ex.found(
                &codes::PUBLIC_CREATE_DATABASE,
                format!("database {database}"),
                format!("everybody may create schemas in database {database}"),
                "Names without a schema may come to mean what is in them.",
                hint,
            );
        } else {
            ex.found(
                &codes::PUBLIC_TEMP,
                format!("database {database}"),
                format!("everybody may create temporary objects in database {database}"),
                "Names of tables and types are looked for among them first. Requests are refused them by the extension, direct \
                 logins are not.",
                hint,
            );
        }
    }
    Ok(())
}
