//! Functions whose text asks for the user of the session or for the facts, in a way that goes wrong behind a gate.

use crate::codes;
use crate::examination::{Checked, Examination};
use crate::scan::{self, Strings, Word};

/// What the text of a function mentions.
#[derive(Debug, Default, PartialEq, Eq)]
struct Mentions {
    session_user: bool,
    facts: bool,
    unqualified: bool,
}

pub async fn check(ex: &mut Examination<'_>) -> Checked {
    // The coarse search is the server's, so that only few bodies travel; the fine one is `mentions`.
    let rows = ex
        .query(
            "select p.oid::pg_catalog.regprocedure::pg_catalog.text, p.prosecdef, p.provolatile = 'i',
                    coalesce(pg_catalog.pg_get_function_sqlbody(p.oid), p.prosrc)
             from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
                  join pg_catalog.pg_language l on l.oid = p.prolang
             where n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and l.lanname not in ('c', 'internal')
               and coalesce(pg_catalog.pg_get_function_sqlbody(p.oid), p.prosrc)
                   ~* '\\m(session_user|system_user|facts?|claims)\\M'
               and not exists (select from pg_catalog.pg_depend x
                               where x.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass and x.objid = p.oid
                                 and x.deptype = 'e')
             order by 1",
            &[],
        )
        .await?;
    for row in rows {
        let (function, definer, immutable): (String, bool, bool) =
            (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let found = mentions(row.try_get(3)?);
        let subject = format!("function {function}");
        if definer && found.session_user {
            ex.found(
                &codes::DEFINER_SESSION_USER,
                &subject,
                format!("SECURITY DEFINER function {function} asks for the user of the session"),
                "That is the gate's role, for everybody. Who called is in postern.identity(), or in a fact.",
                None,
            );
        }
        if immutable && found.facts {
            ex.found(
                &codes::FACT_IMMUTABLE,
                &subject,
                format!("IMMUTABLE function {function} reads facts"),
                "Its result is kept in plans, indexes and generated columns: others would get the facts of whoever came first.",
                Some(format!("ALTER FUNCTION {function} STABLE;")),
            );
        }
        if ex.installed && found.unqualified {
            ex.found(
                &codes::FACT_UNQUALIFIED,
                &subject,
                format!("function {function} calls a fact function without its schema"),
                "The path decides at run time which function that is. Write postern.fact(...).",
                None,
            );
        }
    }
    Ok(())
}

fn mentions(body: &str) -> Mentions {
    let mut found = Mentions::default();
    // A body may execute what it has in strings, so their words count.
    for Word { text, qualifier, called, .. } in scan::words(body, Strings::Search) {
        let is = |name: &str| text.eq_ignore_ascii_case(name);
        let of_postern = qualifier.is_some_and(|schema| schema.eq_ignore_ascii_case("postern"));
        let fact = called && (is("fact") || is("facts"));
        found.session_user |= qualifier.is_none() && (is("session_user") || is("system_user"));
        found.facts |= fact && (of_postern || qualifier.is_none());
        // current_setting('request.jwt.claims') and the older request.jwt.claim.sub
        found.facts |=
            (is("claims") || is("claim")) && qualifier.is_some_and(|name| name.eq_ignore_ascii_case("jwt"));
        found.unqualified |= fact && qualifier.is_none();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_read_as_code() {
        let none = Mentions::default();
        assert_eq!(mentions("begin return session_user; end"), Mentions { session_user: true, ..none });
        let none = Mentions::default();
        assert_eq!(mentions("-- session_user\nselect t.session_user, fact from t"), none);
        assert_eq!(mentions("select postern.fact('sub')"), Mentions { facts: true, ..Mentions::default() });
        assert_eq!(
            mentions("select fact ('sub')"),
            Mentions { facts: true, unqualified: true, ..Mentions::default() }
        );
        assert_eq!(mentions("select other.fact('sub')"), none);
        assert_eq!(
            mentions("select current_setting('request.jwt.claims', true)::json"),
            Mentions { facts: true, ..Mentions::default() }
        );
    }
}
