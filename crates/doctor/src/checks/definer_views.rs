//! Views over tables with row security that read with their owner's rights instead of the reader's.

use crate::codes;
use crate::examination::{Checked, Examination, roles};

pub async fn check(ex: &mut Examination<'_>) -> Checked {
    // A view's rule depends on what it reads; a view on a view is followed down to the tables. CASE keeps the cast away
    // from options that are not booleans.
    let rows = ex
        .query(
            "with recursive reads(view, relation) as (
                 select r.ev_class, d.refobjid
                 from pg_catalog.pg_rewrite r join pg_catalog.pg_depend d
                      on d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass and d.objid = r.oid
                         and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.refobjid <> r.ev_class
                 union
                 select s.view, d.refobjid
                 from reads s join pg_catalog.pg_rewrite r on r.ev_class = s.relation
                      join pg_catalog.pg_depend d
                      on d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass and d.objid = r.oid
                         and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.refobjid <> s.view),
             guarded as (
                 select s.view, pg_catalog.array_agg(distinct t.oid::pg_catalog.regclass::pg_catalog.text
                                                     order by t.oid::pg_catalog.regclass::pg_catalog.text) as tables
                 from reads s join pg_catalog.pg_class t on t.oid = s.relation and t.relrowsecurity
                 group by s.view)
             select v.oid::pg_catalog.regclass::pg_catalog.text, v.relkind = 'm',
                    pg_catalog.pg_get_userbyid(v.relowner)::pg_catalog.text, g.tables,
                    pg_catalog.array_agg(r.rolname::pg_catalog.text order by r.rolname),
                    array(select case a.grantee when 0 then 'PUBLIC'
                                 else pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) end
                          from pg_catalog.aclexplode(v.relacl) a
                          where a.privilege_type = 'SELECT' and a.grantee <> v.relowner order by 1)
             from guarded g join pg_catalog.pg_class v on v.oid = g.view and v.relkind in ('v', 'm')
                  join pg_catalog.pg_namespace n on n.oid = v.relnamespace, pg_catalog.pg_roles r
             where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
               and not exists (select from pg_catalog.pg_depend x
                               where x.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and x.objid = v.oid
                                 and x.deptype = 'e')
               and not exists (select from pg_catalog.pg_options_to_table(v.reloptions) o
                               where case when o.option_name = 'security_invoker'
                                          then o.option_value::pg_catalog.bool else false end)
               and r.oid = any($1::pg_catalog.oid[])
               and pg_catalog.has_schema_privilege(r.oid, n.oid, 'USAGE')
               and (pg_catalog.has_table_privilege(r.oid, v.oid, 'SELECT, INSERT, UPDATE, DELETE')
                    or pg_catalog.has_any_column_privilege(r.oid, v.oid, 'SELECT, INSERT, UPDATE'))
             group by v.oid, v.relkind, v.relowner, v.relacl, g.tables order by 1",
            &[&ex.served],
        )
        .await?;
    for row in rows {
        let (view, materialized, owner): (String, bool, String) =
            (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let (tables, names): (Vec<String>, Vec<String>) = (row.try_get(3)?, row.try_get(4)?);
        let grantees: Vec<String> = row.try_get(5)?;
        let tables = tables.join(", ");
        if materialized {
            ex.found(
                &codes::MATERIALIZED_VIEW,
                format!("materialized view {view}"),
                format!("{} can read materialized view {view} over {tables}", roles(&names)),
                format!(
                    "It holds the rows that role \"{owner}\" saw when it was refreshed, and can have no policies of its own."
                ),
                (!grantees.is_empty())
                    .then(|| format!("REVOKE ALL ON TABLE {view} FROM {};", grantees.join(", "))),
            );
        } else {
            ex.found(
                &codes::VIEW_WITHOUT_INVOKER,
                format!("view {view}"),
                format!("{} can read {tables} through view {view} with the rights of role \"{owner}\"", roles(&names)),
                "Policies are asked for the view's owner, and not at all if the owner is above them. With security_invoker \
                 readers need rights on the tables themselves.",
                Some(format!("ALTER VIEW {view} SET (security_invoker = true);")),
            );
        }
    }
    Ok(())
}
