//! The gate's login role: it should own nothing, be a member of nothing, and be able to do nothing but enter.

use super::roles::{POWERFUL, powers};
use crate::codes;
use crate::examination::{Checked, Examination, list};

pub async fn check(ex: &mut Examination<'_>) -> Checked {
    let name = ex.settings.gate_role.clone();
    let subject = format!("role {name}");
    let Some(oid) = ex.gate else {
        ex.found(
            &codes::GATE_MISSING,
            subject,
            format!("role \"{name}\" does not exist"),
            "The extension creates it. It needs a password of its own to log in from another machine.",
            Some(format!("CREATE ROLE {} LOGIN NOINHERIT;", quoted(&name))),
        );
        return Ok(());
    };
    let quoted = quoted(&name);
    let codes = powers::Codes {
        superuser: &codes::GATE_SUPERUSER,
        bypassrls: &codes::GATE_BYPASSRLS,
        createrole: &codes::GATE_CREATEROLE,
        replication: &codes::GATE_REPLICATION,
        createdb: &codes::GATE_CREATEDB,
    };
    let attributes = powers::of(ex, &[oid]).await?;
    for role in &attributes {
        powers::report(ex, role, &codes, "Whatever got out of the wall could do it too.");
    }
    let is_superuser = attributes.iter().any(|role| role.superuser);

    memberships(ex, oid, &name, &quoted, attributes.iter().any(|role| role.inherits)).await?;
    owned(ex, oid, &name, &quoted).await?;
    if !is_superuser {
        creates(ex, oid, &name, &quoted).await?;
    }
    settings(ex, oid, &name, &quoted).await
}

async fn memberships(
    ex: &mut Examination<'_>,
    oid: u32,
    name: &str,
    quoted: &str,
    inherits: bool,
) -> Checked {
    let rows = ex
        .query(
            &format!(
                "with recursive up(direct, role) as (
                     select m.roleid, m.roleid from pg_catalog.pg_auth_members m where m.member = $1
                     union
                     select u.direct, m.roleid from up u join pg_catalog.pg_auth_members m on m.member = u.role)
                 select d.rolname::pg_catalog.text, pg_catalog.quote_ident(d.rolname), pg_catalog.bool_or({POWERFUL})
                 from up u join pg_catalog.pg_roles d on d.oid = u.direct join pg_catalog.pg_roles r on r.oid = u.role
                 group by d.rolname order by d.rolname"
            ),
            &[&oid],
        )
        .await?;
    if inherits && !rows.is_empty() {
        ex.found(
            &codes::GATE_INHERITS,
            format!("role {name}"),
            format!("role \"{name}\" inherits privileges"),
            "It has all that the roles have of which it is a member, without having to enter them.",
            Some(format!("ALTER ROLE {quoted} NOINHERIT;")),
        );
    }
    for row in rows {
        let (of, of_quoted, powerful): (String, String, bool) =
            (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        ex.found(
            if powerful { &codes::GATE_POWERFUL_MEMBER } else { &codes::GATE_MEMBER },
            format!("role {name}"),
            format!("role \"{name}\" is a member of role \"{of}\""),
            "It needs to be a member of nothing: the roles it may enter are a list, not memberships. A way out of the wall \
             would lead into this role.",
            Some(format!("REVOKE {of_quoted} FROM {quoted};")),
        );
    }
    Ok(())
}

async fn owned(ex: &mut Examination<'_>, oid: u32, name: &str, quoted: &str) -> Checked {
    let row = ex
        .query_one(
            "select pg_catalog.count(*), pg_catalog.count(*) filter (where d.dbid = c.oid),
                    (select pg_catalog.pg_describe_object(o.classid, o.objid, 0)
                     from pg_catalog.pg_shdepend o
                     where o.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass and o.refobjid = $1
                       and o.deptype = 'o' and o.dbid = (select oid from pg_catalog.pg_database
                                                         where datname = pg_catalog.current_database())
                     limit 1)
             from pg_catalog.pg_shdepend d, pg_catalog.pg_database c
             where c.datname = pg_catalog.current_database() and d.deptype = 'o'
               and d.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass and d.refobjid = $1",
            &[&oid],
        )
        .await?;
    let (count, here, example): (i64, i64, Option<String>) =
        (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    if count > 0 {
        let example = example.map(|object| format!(", for example {object}")).unwrap_or_default();
        ex.found(
            &codes::GATE_OWNS,
            format!("role {name}"),
            format!("role \"{name}\" owns {count} objects{example}"),
            format!(
                "{here} of them are in this database. Definer functions among them run as the gate, and the gate could be \
                 made to use them."
            ),
            (here > 0).then(|| format!("REASSIGN OWNED BY {quoted} TO CURRENT_USER;")),
        );
    }
    Ok(())
}

async fn creates(ex: &mut Examination<'_>, oid: u32, name: &str, quoted: &str) -> Checked {
    // What everybody may is reported as such.
    let rows = ex
        .query(
            "select 'DATABASE', pg_catalog.quote_ident(d.datname), a.privilege_type
             from pg_catalog.pg_database d, lateral pg_catalog.aclexplode(d.datacl) a
             where d.datname = pg_catalog.current_database() and a.grantee = $1
               and a.privilege_type in ('CREATE', 'TEMPORARY')
             union all
             select 'SCHEMA', pg_catalog.quote_ident(n.nspname), a.privilege_type
             from pg_catalog.pg_namespace n, lateral pg_catalog.aclexplode(n.nspacl) a
             where a.grantee = $1 and a.privilege_type = 'CREATE' and n.nspowner <> $1
             order by 1, 2, 3",
            &[&oid],
        )
        .await?;
    for row in rows {
        let (kind, object, privilege): (String, String, String) =
            (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        ex.found(
            &codes::GATE_CREATE,
            format!("{} {object}", kind.to_lowercase()),
            format!("role \"{name}\" has {privilege} on {} {object}", kind.to_lowercase()),
            "It never creates anything.",
            Some(format!("REVOKE {privilege} ON {kind} {object} FROM {quoted};")),
        );
    }
    Ok(())
}

async fn settings(ex: &mut Examination<'_>, oid: u32, name: &str, quoted: &str) -> Checked {
    let rows = ex
        .query(
            "select d.datname::pg_catalog.text, pg_catalog.quote_ident(d.datname),
                    array(select pg_catalog.split_part(c, '=', 1) from pg_catalog.unnest(s.setconfig) c)
             from pg_catalog.pg_db_role_setting s left join pg_catalog.pg_database d on d.oid = s.setdatabase
             where s.setrole = $1 and (d.oid is null or d.datname = pg_catalog.current_database())
             order by d.datname nulls first",
            &[&oid],
        )
        .await?;
    for row in rows {
        let database: Option<String> = row.try_get(0)?;
        let database_quoted: Option<String> = row.try_get(1)?;
        let names: Vec<String> = row.try_get(2)?;
        let switches = names.iter().any(|setting| setting == "role" || setting == "session_authorization");
        let place = database.map(|database| format!(" in database \"{database}\"")).unwrap_or_default();
        ex.found(
            if switches { &codes::GATE_OTHER_ROLE } else { &codes::GATE_SETTINGS },
            format!("role {name}"),
            format!("role \"{name}\" has settings of its own{place}: {}", list(&names)),
            "Every request starts with them. The gate sets what it needs itself.",
            Some(match database_quoted {
                Some(database) => format!("ALTER ROLE {quoted} IN DATABASE {database} RESET ALL;"),
                None => format!("ALTER ROLE {quoted} RESET ALL;"),
            }),
        );
    }
    Ok(())
}

/// Always quoted: right for every name.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
