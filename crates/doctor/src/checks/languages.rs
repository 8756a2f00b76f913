//! Procedural languages that served roles may use.

use crate::codes;
use crate::examination::{Checked, Examination, roles};

pub async fn check(ex: &mut Examination<'_>) -> Checked {
    // An untrusted language is a superuser's, whatever is granted on it.
    let rows = ex
        .query(
            "select pg_catalog.quote_ident(l.lanname),
                    case a.grantee when 0 then 'PUBLIC'
                         else pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) end,
                    pg_catalog.array_agg(r.rolname::pg_catalog.text order by r.rolname)
             from pg_catalog.pg_language l,
                  lateral pg_catalog.aclexplode(coalesce(l.lanacl, pg_catalog.acldefault('l', l.lanowner))) a,
                  pg_catalog.pg_roles r
             where l.lanpltrusted and l.lanname not in ('sql', 'plpgsql') and r.oid = any($1::pg_catalog.oid[])
               and not r.rolsuper and (a.grantee = 0 or pg_catalog.pg_has_role(r.oid, a.grantee, 'USAGE'))
             group by 1, 2 order by 1, 2",
            &[&ex.served],
        )
        .await?;
    for row in rows {
        let (language, grantee, names): (String, String, Vec<String>) =
            (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        ex.found(
            &codes::LANGUAGE_USABLE,
            format!("language {language}"),
            format!("{} may use language {language}", roles(&names)),
            "What a language keeps in its interpreter is not undone at the end of a request: the next one, of somebody else, \
             finds it.",
            Some(format!("REVOKE USAGE ON LANGUAGE {language} FROM {grantee};")),
        );
    }
    Ok(())
}
