//! Code of superusers that runs on commands and logins of others.

use crate::codes;
use crate::examination::{Checked, Examination};

pub async fn check(ex: &mut Examination<'_>) -> Checked {
    let rows = ex
        .query(
            "select pg_catalog.quote_ident(t.evtname), t.evtevent::pg_catalog.text,
                    t.evtfoid::pg_catalog.regprocedure::pg_catalog.text
             from pg_catalog.pg_event_trigger t
             where t.evtenabled <> 'D'
               and not exists (select from pg_catalog.pg_depend d join pg_catalog.pg_extension e on e.oid = d.refobjid
                               where d.classid = 'pg_catalog.pg_event_trigger'::pg_catalog.regclass and d.objid = t.oid
                                 and d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
                                 and d.deptype = 'e' and e.extname = 'postern')
             order by 1",
            &[],
        )
        .await?;
    for row in rows {
        let (name, event, function): (String, String, String) =
            (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let login = event == "login";
        ex.found(
            if login { &codes::LOGIN_TRIGGER } else { &codes::EVENT_TRIGGER },
            format!("event trigger {name}"),
            format!("event trigger {name} calls {function} on {event}"),
            if login {
                "It runs as the gate's role whenever the gate connects, outside the wall. See that you trust it."
            } else {
                "It runs within requests, as their role and with their facts. See that you trust it."
            },
            Some(format!("ALTER EVENT TRIGGER {name} DISABLE;")),
        );
    }
    Ok(())
}
