//! Policies that ask the wrong thing for who is asking.

use crate::codes;
use crate::examination::{Checked, Examination};
use crate::scan::{self, Strings};

pub async fn check(ex: &mut Examination<'_>) -> Checked {
    session_user(ex).await?;
    lookalikes(ex).await
}

async fn session_user(ex: &mut Examination<'_>) -> Checked {
    let rows = ex
        .query(
            "select pg_catalog.quote_ident(p.polname), p.polrelid::pg_catalog.regclass::pg_catalog.text,
                    pg_catalog.pg_get_expr(p.polqual, p.polrelid), pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid)
             from pg_catalog.pg_policy p order by 2, 1",
            &[],
        )
        .await?;
    for row in rows {
        let (policy, table): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        let (using, check): (Option<String>, Option<String>) = (row.try_get(2)?, row.try_get(3)?);
        let asks = |expression: &Option<String>| {
            expression.as_deref().is_some_and(|sql| {
                scan::words(sql, Strings::Skip).iter().any(|word| {
                    word.qualifier.is_none()
                        && ["SESSION_USER", "SYSTEM_USER"]
                            .iter()
                            .any(|name| word.text.eq_ignore_ascii_case(name))
                })
            })
        };
        if !asks(&using) && !asks(&check) {
            continue;
        }
        let mended = |clause: &str, expression: &Option<String>| {
            expression.as_deref().map_or(String::new(), |sql| {
                let sql = scan::replace_word(sql, "SESSION_USER", "CURRENT_USER");
                format!(" {clause} ({})", scan::replace_word(&sql, "SYSTEM_USER", "CURRENT_USER"))
            })
        };
        ex.found(
            &codes::POLICY_SESSION_USER,
            format!("policy {policy} on {table}"),
            format!("policy {policy} on table {table} asks for the user of the session"),
            "That is the gate's role, for everybody. Ask for current_user, or for a fact.",
            Some(format!(
                "ALTER POLICY {policy} ON {table}{}{};",
                mended("USING", &using),
                mended("WITH CHECK", &check)
            )),
        );
    }
    Ok(())
}

async fn lookalikes(ex: &mut Examination<'_>) -> Checked {
    if !ex.installed {
        return Ok(());
    }
    // A policy holds the function it was made with, whatever the path says now: an unqualified name that meant another
    // function when the policy was made shows in what it depends on.
    let rows = ex
        .query(
            "select distinct pg_catalog.quote_ident(p.polname), p.polrelid::pg_catalog.regclass::pg_catalog.text,
                    f.oid::pg_catalog.regprocedure::pg_catalog.text
             from pg_catalog.pg_policy p join pg_catalog.pg_depend d
                  on d.classid = 'pg_catalog.pg_policy'::pg_catalog.regclass and d.objid = p.oid
                     and d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass
                  join pg_catalog.pg_proc f on f.oid = d.refobjid
             where f.proname in ('fact', 'facts', 'identity')
               and f.pronamespace <> (select extnamespace from pg_catalog.pg_extension where extname = 'postern')
             order by 2, 1, 3",
            &[],
        )
        .await?;
    for row in rows {
        let (policy, table, function): (String, String, String) =
            (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        ex.found(
            &codes::POLICY_LOOKALIKE,
            format!("policy {policy} on {table}"),
            format!("policy {policy} on table {table} calls {function}"),
            "Its name is that of a fact function, but it is another one, perhaps put where an unqualified name would find \
             it first. Make the policy again with the name qualified: postern.fact(...).",
            None,
        );
    }
    Ok(())
}
