//! Functions that reach beyond tables: the server's files, other servers, storage that nobody counts.

use crate::codes::{self, Code};
use crate::examination::{Checked, Examination, roles};

/// Extensions whose functions open connections or start work from the server.
const REACHING_OUT: &[&str] = &[
    "dblink",
    "http",
    "pg_net",
    "pg_curl",
    "plproxy",
    "aws_s3",
    "aws_lambda",
    "pg_background",
    "pg_cron",
    "pgagent",
];

/// A group of functions that is reported as one, with the condition on `p` (and `e`, its extension's name).
struct Group {
    code: &'static Code,
    subject: &'static str,
    condition: &'static str,
    does: &'static str,
    detail: &'static str,
}

const GROUPS: &[Group] = &[
    Group {
        code: &codes::FUNCTION_SERVER_FILES,
        subject: "functions on the server's files",
        condition: "p.pronamespace = 'pg_catalog'::pg_catalog.regnamespace and p.proname ~
            '^(pg_read_file|pg_read_binary_file|pg_stat_file|pg_ls_.*dir|lo_import|lo_export|pg_file_.*|pg_logdir_ls)$'",
        does: "read or write the server's files",
        detail: "The whole database is in them, and the server's passwords.",
    },
    Group {
        code: &codes::FUNCTION_LARGE_OBJECT,
        subject: "functions on large objects",
        condition: "p.pronamespace = 'pg_catalog'::pg_catalog.regnamespace
            and p.proname ~ '^(lo_.*|loread|lowrite)$' and p.proname !~ '^lo_(import|export)$'",
        does: "store large objects",
        detail: "They take room that no table shows, and belong to the role that everybody behind it shares.",
    },
    Group {
        code: &codes::FUNCTION_EMIT_MESSAGE,
        subject: "function pg_catalog.pg_logical_emit_message",
        condition: "p.pronamespace = 'pg_catalog'::pg_catalog.regnamespace and p.proname = 'pg_logical_emit_message'",
        does: "write logical decoding messages",
        detail: "They reach consumers of the log even when the transaction is rolled back, and can be forged.",
    },
    Group {
        code: &codes::FUNCTION_NOTIFY,
        subject: "function pg_catalog.pg_notify",
        condition: "p.pronamespace = 'pg_catalog'::pg_catalog.regnamespace and p.proname = 'pg_notify'",
        does: "send notifications by function",
        detail: "Whoever listens must not take a notification for more than a hint. The NOTIFY command cannot be revoked.",
    },
];

pub async fn check(ex: &mut Examination<'_>) -> Checked {
    for group in GROUPS {
        for (_, names, hint) in executable(ex, group.condition).await? {
            ex.found(
                group.code,
                group.subject,
                format!("{} may {}", roles(&names), group.does),
                group.detail,
                Some(hint),
            );
        }
    }
    let condition = format!("e.extname in ('{}')", REACHING_OUT.join("', '"));
    for (extension, names, hint) in executable(ex, &condition).await? {
        let extension = extension.unwrap_or_default();
        ex.found(
            &codes::FUNCTION_REACHES_OUT,
            format!("extension {extension}"),
            format!("{} may execute functions of extension {extension}", roles(&names)),
            "They connect from the server, where pg_hba.conf may trust them, or keep connections for the next request.",
            Some(hint),
        );
    }
    Ok(())
}

/// For each extension (or none): the served roles that may execute functions of the condition, and the SQL that takes the
/// right away from whoever was given it.
async fn executable(
    ex: &Examination<'_>,
    condition: &str,
) -> Result<Vec<(Option<String>, Vec<String>, String)>, tokio_postgres::Error> {
    let rows = ex
        .query(
            &format!(
                "select e.extname::pg_catalog.text,
                        case a.grantee when 0 then 'PUBLIC'
                             else pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) end,
                        pg_catalog.array_agg(distinct r.rolname::pg_catalog.text),
                        pg_catalog.string_agg(distinct pg_catalog.format('%I.%I(%s)', n.nspname, p.proname,
                                              pg_catalog.oidvectortypes(p.proargtypes)), ', ')
                 from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
                      left join pg_catalog.pg_depend d
                           on d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass and d.objid = p.oid and d.deptype = 'e'
                      left join pg_catalog.pg_extension e on e.oid = d.refobjid,
                      lateral pg_catalog.aclexplode(coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner))) a,
                      pg_catalog.pg_roles r
                 where ({condition}) and r.oid = any($1::pg_catalog.oid[]) and not r.rolsuper
                   and a.privilege_type = 'EXECUTE' and a.grantee <> p.proowner
                   and (a.grantee = 0 or pg_catalog.pg_has_role(r.oid, a.grantee, 'USAGE'))
                   and pg_catalog.has_schema_privilege(r.oid, p.pronamespace, 'USAGE')
                 group by 1, 2 order by 1, 2"
            ),
            &[&ex.served],
        )
        .await?;
    let mut found: Vec<(Option<String>, Vec<String>, String)> = Vec::new();
    for row in rows {
        let (extension, grantee): (Option<String>, String) = (row.try_get(0)?, row.try_get(1)?);
        let (names, functions): (Vec<String>, String) = (row.try_get(2)?, row.try_get(3)?);
        let hint = format!("REVOKE EXECUTE ON FUNCTION {functions} FROM {grantee};");
        match found.last_mut().filter(|(last, ..)| *last == extension) {
            // The same functions by another grant: one finding, mended by both statements.
            Some((_, all_names, all_hints)) => {
                all_names.extend(names);
                all_names.sort_unstable();
                all_names.dedup();
                *all_hints = format!("{all_hints}\n{hint}");
            }
            None => found.push((extension, names, hint)),
        }
    }
    Ok(found)
}
