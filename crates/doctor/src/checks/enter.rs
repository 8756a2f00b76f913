//! The functions that only the gate calls: that they are the extension's, as declared, and nobody else's to call.

use crate::codes;
use crate::examination::{Checked, Examination};

pub async fn check(ex: &mut Examination<'_>) -> Checked {
    if !ex.installed {
        return Ok(());
    }
    let rows = ex
        .query(
            "select p.oid::pg_catalog.regprocedure::pg_catalog.text, p.proname::pg_catalog.text, p.prosecdef, p.proconfig,
                    exists (select from pg_catalog.pg_depend d
                            where d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass and d.objid = p.oid
                              and d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass and d.refobjid = e.oid
                              and d.deptype = 'e'),
                    array(select case a.grantee when 0 then 'PUBLIC'
                                 else pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) end
                          from pg_catalog.aclexplode(coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner))) a
                          where a.privilege_type = 'EXECUTE' and a.grantee <> p.proowner
                            and a.grantee is distinct from $1::pg_catalog.oid
                          order by 1)
             from pg_catalog.pg_extension e join pg_catalog.pg_proc p on p.pronamespace = e.extnamespace
             where e.extname = 'postern' and p.proname in ('enter', 'seal', 'find_api_key')
             order by 1",
            &[&ex.gate],
        )
        .await?;
    let mut entered = false;
    for row in rows {
        let (function, name): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        let (definer, config): (bool, Option<Vec<String>>) = (row.try_get(2)?, row.try_get(3)?);
        let (own, grantees): (bool, Vec<String>) = (row.try_get(4)?, row.try_get(5)?);
        let subject = format!("function {function}");
        if !own {
            ex.found(
                &codes::ENTER_FOREIGN,
                subject,
                format!("function {function} does not belong to the extension"),
                "A call of the gate could end in it instead of in the extension's function.",
                Some(format!("DROP FUNCTION {function};")),
            );
            continue;
        }
        entered |= name == "enter";
        if name == "enter" && definer {
            ex.found(
                &codes::ENTER_DEFINER,
                &subject,
                format!("function {function} is SECURITY DEFINER"),
                "The role would be left when the call returns, and requests would run as the gate.",
                Some(format!("ALTER FUNCTION {function} SECURITY INVOKER;")),
            );
        }
        if name == "enter" && config.is_some_and(|settings| !settings.is_empty()) {
            ex.found(
                &codes::ENTER_SETTINGS,
                &subject,
                format!("function {function} has a SET clause"),
                "The level on which a request's settings are undone would end with the call, and they would stay.",
                Some(format!("ALTER FUNCTION {function} RESET ALL;")),
            );
        }
        for grantee in grantees {
            ex.found(
                &codes::ENTER_EXECUTABLE,
                &subject,
                format!("{grantee} may execute function {function}"),
                "Only the gate's role may: whoever else can call it is one mistake away from being anybody.",
                Some(format!("REVOKE EXECUTE ON FUNCTION {function} FROM {grantee};")),
            );
        }
    }
    if !entered {
        ex.found(
            &codes::ENTER_MISSING,
            "extension postern",
            "the extension's function postern.enter does not exist",
            "It was dropped, or taken out of the extension. Drop the extension and create it again.",
            None,
        );
    }
    Ok(())
}
