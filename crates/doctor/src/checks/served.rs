//! Who is served: the roles that are admitted in the database, and those that the configuration names.

use crate::codes;
use crate::examination::{Checked, Examination};

pub async fn check(ex: &mut Examination<'_>) -> Checked {
    let mut admitted = Vec::new();
    if ex.installed {
        let readable: bool = ex
            .query_one("select pg_catalog.has_table_privilege('postern.admitted', 'SELECT')", &[])
            .await?
            .try_get(0)?;
        if readable {
            // As in the extension: a role that was renamed since, or replaced by another, is not admitted any more.
            let rows = ex
                .query(
                    "select r.oid, r.rolname::pg_catalog.text
                     from postern.admitted a join pg_catalog.pg_roles r on r.oid = a.role and r.rolname = a.role_name
                     order by 2",
                    &[],
                )
                .await?;
            for row in rows {
                let oid = row.try_get(0)?;
                admitted.push(oid);
                ex.serve(oid, row.try_get(1)?);
            }
            if admitted.is_empty() {
                ex.found(
                    &codes::NO_ROLES,
                    format!("database {}", ex.server.database),
                    "no role is admitted",
                    "Every request will be refused until postern.admit() is called for the roles that requests run as.",
                    None,
                );
            }
        } else {
            ex.skip("which roles are admitted", "this role may not read postern.admitted");
        }
    }
    let configured = ex.settings.roles.clone();
    let rows = ex
        .query(
            "select r.oid, r.rolname::pg_catalog.text from pg_catalog.pg_roles r
             where r.rolname = any($1::pg_catalog.text[]) order by 2",
            &[&configured],
        )
        .await?;
    let mut existing = Vec::new();
    for row in rows {
        let (oid, name): (u32, String) = (row.try_get(0)?, row.try_get(1)?);
        if ex.installed && !admitted.contains(&oid) {
            ex.found(
                &codes::ROLE_NOT_ADMITTED,
                format!("role {name}"),
                format!("role \"{name}\" is configured, but not admitted"),
                "Requests in it will be refused.",
                Some(format!("SELECT postern.admit('{}');", name.replace('\'', "''"))),
            );
        }
        ex.serve(oid, name.clone());
        existing.push(name);
    }
    for name in configured.into_iter().filter(|name| !existing.contains(name)) {
        ex.found(
            &codes::ROLE_MISSING,
            format!("role {name}"),
            format!("role \"{name}\" is configured, but does not exist"),
            "Requests in it will be refused.",
            None,
        );
    }
    Ok(())
}
