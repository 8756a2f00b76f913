//! What the served roles are: nobody with power over others, over the server, or over row security.

use crate::codes;
use crate::examination::{Checked, Examination};

/// Whether the role `r` of a query is one whose members are not held by row security or by other roles' rights.
///
/// Of the predefined roles all but two count, also those of versions to come: the owner of the database has a finding of
/// its own, and reserved connections are no right over anything.
pub const POWERFUL: &str = "(r.rolsuper or r.rolbypassrls or r.rolcreaterole or r.rolreplication
    or (r.rolname ~ '^pg_' and r.rolname not in ('pg_database_owner', 'pg_use_reserved_connections')))";

const ABOUT_POWER: &str =
    "A request in this role is not held by row security or by the rights of other roles.";

pub async fn check(ex: &mut Examination<'_>) -> Checked {
    let served = ex.served.clone();
    let codes = powers::Codes {
        superuser: &codes::ROLE_SUPERUSER,
        bypassrls: &codes::ROLE_BYPASSRLS,
        createrole: &codes::ROLE_CREATEROLE,
        replication: &codes::ROLE_REPLICATION,
        createdb: &codes::ROLE_CREATEDB,
    };
    for role in powers::of(ex, &served).await? {
        powers::report(ex, &role, &codes, ABOUT_POWER);
    }
    memberships(ex, &served).await?;
    logins(ex, &served).await?;
    database_owners(ex, &served).await
}

async fn memberships(ex: &mut Examination<'_>, served: &[u32]) -> Checked {
    let gate = ex.settings.gate_role.clone();
    // `direct` is where the chain of memberships starts, and where it can be cut.
    let rows = ex
        .query(
            &format!(
                "with recursive up(served, direct, role) as (
                     select o, o, o from pg_catalog.unnest($1::pg_catalog.oid[]) o
                     union
                     select u.served, case when u.role = u.served then m.roleid else u.direct end, m.roleid
                     from up u join pg_catalog.pg_auth_members m on m.member = u.role)
                 select s.rolname::pg_catalog.text, pg_catalog.quote_ident(s.rolname), r.rolname::pg_catalog.text,
                        pg_catalog.quote_ident(d.rolname), r.rolname in ('postern_admin', $2::pg_catalog.text),
                        u.served = u.role
                 from up u join pg_catalog.pg_roles s on s.oid = u.served join pg_catalog.pg_roles d on d.oid = u.direct
                      join pg_catalog.pg_roles r on r.oid = u.role
                 where r.rolname in ('postern_admin', $2::pg_catalog.text) or (u.served <> u.role and {POWERFUL})
                 order by 1, 3, 4"
            ),
            &[&served, &gate],
        )
        .await?;
    for row in rows {
        let (role, quoted, powerful): (String, String, String) =
            (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let (direct, administers, itself): (String, bool, bool) =
            (row.try_get(3)?, row.try_get(4)?, row.try_get(5)?);
        let subject = format!("role {role}");
        if itself {
            ex.found(
                &codes::ROLE_ADMINISTERS,
                subject,
                format!("role \"{role}\" is served"),
                "It decides who may be entered, or enters: no request may run as it.",
                Some(format!("SELECT postern.dismiss('{}');", role.replace('\'', "''"))),
            );
            continue;
        }
        ex.found(
            if administers { &codes::ROLE_ADMINISTERS } else { &codes::ROLE_POWERFUL_MEMBER },
            subject,
            format!("role \"{role}\" is a member of role \"{powerful}\""),
            if administers { "A request could decide who may be entered." } else { ABOUT_POWER },
            Some(format!("REVOKE {direct} FROM {quoted};")),
        );
    }
    Ok(())
}

async fn logins(ex: &mut Examination<'_>, served: &[u32]) -> Checked {
    let readable: bool = ex
        .query_one("select pg_catalog.has_table_privilege('pg_catalog.pg_authid', 'SELECT')", &[])
        .await?
        .try_get(0)?;
    let password = if readable {
        "(select a.rolpassword is not null from pg_catalog.pg_authid a where a.oid = r.oid)"
    } else {
        "null"
    };
    let rows = ex
        .query(
            &format!(
                "select r.rolname::pg_catalog.text, pg_catalog.quote_ident(r.rolname), {password}::pg_catalog.bool
                 from pg_catalog.pg_roles r where r.oid = any($1::pg_catalog.oid[]) and r.rolcanlogin"
            ),
            &[&served],
        )
        .await?;
    if !rows.is_empty() && !readable {
        ex.skip("whether served roles have passwords", "this role may not read pg_authid");
    }
    for row in rows {
        let (role, quoted, password): (String, String, Option<bool>) =
            (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let password = if password == Some(true) { ", and has a password" } else { "" };
        ex.found(
            &codes::ROLE_LOGIN,
            format!("role {role}"),
            format!("role \"{role}\" may log in directly{password}"),
            "Whoever does has no facts and no wall, sees the SQL of the role's other sessions and may end them.",
            Some(format!("ALTER ROLE {quoted} NOLOGIN PASSWORD NULL;")),
        );
    }
    Ok(())
}

async fn database_owners(ex: &mut Examination<'_>, served: &[u32]) -> Checked {
    let rows = ex
        .query(
            "select r.rolname::pg_catalog.text, pg_catalog.quote_ident(d.datname)
             from pg_catalog.pg_database d, pg_catalog.pg_roles r
             where d.datname = pg_catalog.current_database() and r.oid = any($1::pg_catalog.oid[]) and not r.rolsuper
               and pg_catalog.pg_has_role(r.oid, d.datdba, 'USAGE')
             order by 1",
            &[&served],
        )
        .await?;
    for row in rows {
        let (role, database): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        ex.found(
            &codes::ROLE_OWNS_DATABASE,
            format!("role {role}"),
            format!("role \"{role}\" owns database {database}, or is a member of its owner"),
            "It may change the database's settings for everybody, create schemas and publications, and drop it.",
            Some(format!("ALTER DATABASE {database} OWNER TO CURRENT_USER;")),
        );
    }
    Ok(())
}

/// Role attributes that are powers, alike for the gate's role and for those that are served.
pub mod powers {
    use crate::codes::Code;
    use crate::examination::Examination;

    /// What a role may by its attributes.
    #[allow(clippy::struct_excessive_bools, reason = "they are the columns of pg_roles")]
    pub struct Powers {
        name: String,
        quoted: String,
        pub superuser: bool,
        bypassrls: bool,
        createrole: bool,
        replication: bool,
        createdb: bool,
        pub inherits: bool,
    }

    /// How each power is reported.
    pub struct Codes {
        pub superuser: &'static Code,
        pub bypassrls: &'static Code,
        pub createrole: &'static Code,
        pub replication: &'static Code,
        pub createdb: &'static Code,
    }

    pub async fn of(ex: &Examination<'_>, roles: &[u32]) -> Result<Vec<Powers>, tokio_postgres::Error> {
        let rows = ex
            .query(
                "select r.rolname::pg_catalog.text, pg_catalog.quote_ident(r.rolname), r.rolsuper, r.rolbypassrls,
                        r.rolcreaterole, r.rolreplication, r.rolcreatedb, r.rolinherit
                 from pg_catalog.pg_roles r where r.oid = any($1::pg_catalog.oid[]) order by 1",
                &[&roles],
            )
            .await?;
        rows.iter()
            .map(|row| {
                Ok(Powers {
                    name: row.try_get(0)?,
                    quoted: row.try_get(1)?,
                    superuser: row.try_get(2)?,
                    bypassrls: row.try_get(3)?,
                    createrole: row.try_get(4)?,
                    replication: row.try_get(5)?,
                    createdb: row.try_get(6)?,
                    inherits: row.try_get(7)?,
                })
            })
            .collect()
    }

    pub fn report(ex: &mut Examination<'_>, role: &Powers, codes: &Codes, detail: &str) {
        let powers = [
            (role.superuser, codes.superuser, "is a superuser", "NOSUPERUSER"),
            (role.bypassrls, codes.bypassrls, "is not subject to row security", "NOBYPASSRLS"),
            (role.createrole, codes.createrole, "may create and change roles", "NOCREATEROLE"),
            (role.replication, codes.replication, "may copy the whole cluster", "NOREPLICATION"),
            (role.createdb, codes.createdb, "may create databases", "NOCREATEDB"),
        ];
        for (_, code, what, mend) in powers.into_iter().filter(|(has, ..)| *has) {
            let Powers { name, quoted, .. } = role;
            let hint = Some(format!("ALTER ROLE {quoted} {mend};"));
            ex.found(code, format!("role {name}"), format!("role \"{name}\" {what}"), detail, hint);
        }
    }
}
