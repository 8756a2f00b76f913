//! Schemas in which one served role can place what another one will use by name.

use crate::codes;
use crate::examination::{Checked, Examination, roles};

pub async fn check(ex: &mut Examination<'_>) -> Checked {
    // What everybody may is reported as such. The owner of a schema has the privilege by its own entry.
    let rows = ex
        .query(
            "with users as (
                 select n.oid as schema, pg_catalog.array_agg(r.oid) as oids
                 from pg_catalog.pg_namespace n, pg_catalog.pg_roles r
                 where r.oid = any($1::pg_catalog.oid[]) and pg_catalog.has_schema_privilege(r.oid, n.oid, 'USAGE')
                 group by n.oid)
             select pg_catalog.quote_ident(n.nspname), a.grantee = n.nspowner,
                    pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)), r.rolname::pg_catalog.text,
                    array(select o.rolname::pg_catalog.text from pg_catalog.pg_roles o
                          where o.oid = any(u.oids) and o.oid <> r.oid order by 1)
             from pg_catalog.pg_namespace n join users u on u.schema = n.oid,
                  lateral pg_catalog.aclexplode(coalesce(n.nspacl, pg_catalog.acldefault('n', n.nspowner))) a,
                  pg_catalog.pg_roles r
             where n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and n.nspname <> 'postern'
               and r.oid = any($1::pg_catalog.oid[]) and not r.rolsuper
               and a.privilege_type = 'CREATE' and a.grantee <> 0
               and pg_catalog.pg_has_role(r.oid, a.grantee, 'USAGE')
               and exists (select from pg_catalog.unnest(u.oids) o where o <> r.oid)
             order by 1, 3, 4",
            &[&ex.served],
        )
        .await?;
    for row in rows {
        let (schema, owner, grantee): (String, bool, String) =
            (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let (role, others): (String, Vec<String>) = (row.try_get(3)?, row.try_get(4)?);
        ex.found(
            &codes::SCHEMA_CREATE,
            format!("schema {schema}"),
            format!("role \"{role}\" may create objects in schema {schema}, which {} may use", roles(&others)),
            "A function, operator or type that others come to use by its name runs with their rights and reads their facts.",
            Some(if owner {
                format!("ALTER SCHEMA {schema} OWNER TO CURRENT_USER;")
            } else {
                format!("REVOKE CREATE ON SCHEMA {schema} FROM {grantee};")
            }),
        );
    }
    Ok(())
}
