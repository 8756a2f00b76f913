//! Privileges on the extension's own objects: they are Postern's roles', and a few everybody's.

use crate::codes;
use crate::examination::{Checked, Examination};

/// Functions that are for everybody: they tell what everybody may know, or ask who calls.
const FUNCTIONS: [&str; 49] = [
    "apply_fix",
    "attempt_as",
    "caller",
    "caller_out",
    "caller_role",
    "change_direct",
    "change_plain",
    "change_row_security",
    "create_policy",
    "direct_grantor",
    "direct_state",
    "drop_policy",
    "entered_role",
    "evaluate_as",
    "explain_row",
    "explain_view",
    "fact",
    "facts",
    "grant_direct",
    "identity",
    "intruder",
    "is_direct",
    "is_error",
    "is_expression",
    "is_invoker",
    "is_trusted_code",
    "lock_direct",
    "may_read_conflict",
    "path_elements",
    "path_judged",
    "plain_entries",
    "policy_parts",
    "policy_votes",
    "publication_statement",
    "revoke",
    "revoke_direct",
    "row_access_of",
    "row_command",
    "row_commands",
    "row_role",
    "row_table",
    "sample_value",
    "set_row_security",
    "subscription_owner_runs",
    "subscription_recipe",
    "table_code",
    "table_findings",
    "types_within",
    "view_columns",
];

/// Tables and views that everybody may read: they say what the catalogs say, or have row security.
const TABLES: [&str; 11] = [
    "apply_conflicts",
    "apply_identity",
    "apply_row_security",
    "direct_access",
    "direct_grants",
    "replication_findings",
    "replication_members",
    "replication_notes",
    "row_access",
    "row_security_modes",
    "subprograms",
];

pub async fn check(ex: &mut Examination<'_>) -> Checked {
    if !ex.installed {
        return Ok(());
    }
    let rows = ex
        .query(
            "select o.kind || ' ' || o.object,
                    case g.grantee when 0 then 'PUBLIC'
                         else pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(g.grantee)) end,
                    pg_catalog.string_agg(distinct g.privilege_type, ', ')
             from (select 'function', p.oid::pg_catalog.regprocedure::pg_catalog.text, p.proowner,
                          coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner)),
                          p.proname = any ($2), p.pronamespace
                   from pg_catalog.pg_proc p
                   where p.proname not in ('enter', 'seal', 'find_api_key')
                   union all
                   select 'table', c.oid::pg_catalog.regclass::pg_catalog.text, c.relowner,
                          coalesce(c.relacl, pg_catalog.acldefault('r', c.relowner)), c.relname = any ($3), c.relnamespace
                   from pg_catalog.pg_class c where c.relkind in ('r', 'p', 'v', 'm')) o (kind, object, owner, acl, everybody, namespace)
                  join pg_catalog.pg_extension e on e.extname = 'postern' and e.extnamespace = o.namespace,
                  lateral pg_catalog.aclexplode(o.acl) g
             where g.grantee <> o.owner and g.grantee is distinct from $1::pg_catalog.oid
               and not (g.grantee = 0 and o.everybody and g.privilege_type in ('EXECUTE', 'SELECT'))
               and not exists (select from pg_catalog.pg_roles r where r.oid = g.grantee
                               and r.rolname in ('postern_admin', 'postern_application', 'postern_monitor', 'postern_read_all_stats', 'postern_read_all_conflicts',
                                                 'postern_gate', 'postern_outbound'))
             group by 1, 2
             order by 1, 2",
            &[&ex.gate, &FUNCTIONS.as_slice(), &TABLES.as_slice()],
        )
        .await?;
    for row in rows {
        let (object, grantee, privileges): (String, String, String) =
            (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        ex.found(
            &codes::OBJECT_GRANTED,
            &object,
            format!("{grantee} has privileges on {object} of the extension: {privileges}"),
            "Whoever may write the list of admitted roles or of API keys, or call what operators call, can be anybody.",
            Some(format!("REVOKE ALL ON {object} FROM {grantee};")),
        );
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "that is how a test fails")]
mod tests {
    use std::collections::BTreeSet;

    use super::{FUNCTIONS, TABLES};

    /// What the scripts of the extension give to PUBLIC, by a line that begins so.
    fn given(scripts: &str, begins: &str) -> BTreeSet<String> {
        let lines = scripts.lines().filter(|line| line.ends_with(" TO PUBLIC;"));
        let rest = lines.filter_map(|line| line.strip_prefix(begins));
        rest.map(|rest| rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()).collect()
    }

    #[test]
    fn what_is_for_everybody_is_what_the_scripts_give_to_everybody() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../extension/sql");
        let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
        let scripts: String = files
            .filter(|file| file.extension().is_some_and(|extension| extension == "sql"))
            .map(|file| std::fs::read_to_string(file).unwrap())
            .collect();
        let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        assert_eq!(given(&scripts, "GRANT EXECUTE ON FUNCTION postern."), names(&FUNCTIONS));
        assert_eq!(given(&scripts, "GRANT SELECT ON TABLE postern."), names(&TABLES));
    }
}
