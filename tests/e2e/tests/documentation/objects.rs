//! The functions, views and tables of the extension: what people are given is told of, and what is told of is there.

use std::collections::{BTreeMap, BTreeSet};

use crate::SERVER;
use crate::pages::{self, Page};

/// What may be written like an object of ours and is none: files, and a type that was thought of.
const OTHERS: [&str; 8] = [
    "postern.toml",
    "postern.so",
    "postern.control",
    "postern.baseline",
    "postern.sarif",
    "postern.service",
    "postern.dump",
    "df.step",
];

/// The pages that people look things up in.
fn reference() -> impl Iterator<Item = Page> {
    pages::all()
        .into_iter()
        .filter(|page| page.name.starts_with("docs/reference/") || page.name == "SECURITY.md")
}

/// Every `schema.name` in a text.
fn names(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut names = BTreeSet::new();
    for schema in ["postern.", "df."] {
        for (at, _) in text.match_indices(schema) {
            let before = text[..at].chars().next_back();
            let name: String = text[at + schema.len()..].chars().take_while(|c| is_part(*c)).collect();
            if name.is_empty() || before.is_some_and(|c| is_part(c) || ".-/@".contains(c)) {
                continue;
            }
            names.insert(format!("{schema}{name}"));
        }
    }
    names
}

fn query(sql: &str) -> Vec<String> {
    SERVER.psql("postgres", sql).unwrap().lines().map(str::to_owned).collect()
}

/// The names in our schemas that this condition holds for: functions as `p`, relations as `c`, types as `t`.
fn objects(which: &str) -> BTreeSet<String> {
    let sql = format!(
        "select n.nspname || '.' || o.name from (
            select p.pronamespace, p.proname, coalesce(p.proacl, acldefault('f', p.proowner)), 'EXECUTE', 'f' from pg_proc p
            union all
            select c.relnamespace, c.relname, coalesce(c.relacl, acldefault('r', c.relowner)), 'SELECT', 'r' from pg_class c
             where c.relkind in ('r', 'v')
         ) o (nsp, name, acl, privilege, kind) join pg_namespace n on n.oid = o.nsp
         where n.nspname in ('postern', 'df') and {which}"
    );
    query(&sql).into_iter().collect()
}

/// Those that people may use: everybody, or the members of a role that is for them.
const GIVEN: &str = "exists (select from aclexplode(o.acl) a left join pg_roles r on r.oid = a.grantee
    where a.privilege_type = o.privilege
      and (a.grantee = 0 or r.rolname in ('postern_admin', 'postern_application', 'postern_monitor', 'postern_read_all_stats', 'postern_read_all_conflicts')))";

/// What other objects of ours are made of, and so has to be given with them: it may be another thing in the next version.
const INNER: [&str; 54] = [
    // The operators' functions.
    "df.as_op",
    "df.if_else_op",
    "df.if_then_op",
    "df.loop_prefix_op",
    // Tables below views, read by who monitors.
    "postern.direct_access",
    "postern.instance",
    "postern.message",
    "postern.schedule",
    "postern.strand",
    // Called by views, and by functions of their caller's.
    "postern.apply_fix",
    "postern.caller_out",
    "postern.caller_role",
    "postern.change_direct",
    "postern.change_plain",
    "postern.change_row_security",
    "postern.direct_grantor",
    "postern.direct_state",
    "postern.durable_afar",
    "postern.durable_at",
    "postern.durable_check_page",
    "postern.durable_executors",
    "postern.durable_explain",
    "postern.durable_instances",
    "postern.durable_list_limit",
    "postern.durable_nodes",
    "postern.durable_ready",
    "postern.durable_running",
    "postern.durable_subject",
    "postern.evaluate_as",
    "postern.explain_view",
    "postern.intruder",
    "postern.is_direct",
    "postern.is_error",
    "postern.is_expression",
    "postern.is_trusted_code",
    "postern.may_read_conflict",
    "postern.path_elements",
    "postern.path_judged",
    "postern.plain_entries",
    "postern.policy_parts",
    "postern.policy_votes",
    "postern.rehearse_statement",
    "postern.row_command",
    "postern.row_commands",
    "postern.row_role",
    "postern.row_table",
    "postern.sample_value",
    "postern.subscription_counts",
    "postern.subscription_owner_runs",
    "postern.table_code",
    "postern.table_findings",
    "postern.is_invoker",
    "postern.lock_direct",
    "postern.types_within",
    "postern.view_columns",
];

#[test]
fn what_people_may_use_is_in_the_reference() {
    let text: String = reference().map(|page| page.text).collect();
    let told = names(&text);
    let given = objects(GIVEN);
    assert!(given.len() > 100, "{given:?}");
    let missing: BTreeSet<&str> = given.difference(&told).map(String::as_str).collect();
    assert_eq!(missing, INNER.into_iter().collect(), "what is left out, and what may be");
}

#[test]
fn what_is_told_of_is_there() {
    let mut there = objects("true");
    there.extend(query("select name from pg_settings where name like 'postern.%'"));
    there.extend(query("select 'postern.' || typname from pg_type where typnamespace = 'postern'::regnamespace and typelem = 0"));
    let mut missing = BTreeMap::new();
    for page in pages::all() {
        for name in names(&page.text) {
            if !there.contains(&name) && !OTHERS.contains(&name.as_str()) {
                missing.entry(name).or_insert(page.name.clone());
            }
        }
    }
    assert_eq!(missing, BTreeMap::new());
}

/// The name of an argument, and its default.
type Argument = (String, Option<String>);

/// `f(a text, b int = 1) → …` as its name and its arguments.
fn signature(text: &str) -> Option<(String, Vec<Argument>)> {
    let (name, rest) = text.split_once('(')?;
    let rest = &rest[..rest.rfind(')')?];
    let rest = rest.split(") →").next()?;
    // Commas within brackets and quotes part nothing.
    let (mut depth, mut is_text, mut parts) = (0, false, vec![String::new()]);
    for c in rest.chars() {
        match c {
            '\'' => is_text = !is_text,
            '(' | '[' if !is_text => depth += 1,
            ')' | ']' if !is_text => depth -= 1,
            ',' if !is_text && depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        parts.last_mut()?.push(c);
    }
    let arguments = parts.iter().map(|part| part.trim()).filter(|part| !part.is_empty()).map(|part| {
        let part = part.replace(" default ", " = ");
        let (left, default) = part
            .split_once(" = ")
            .map_or((part.as_str(), None), |(left, right)| (left, Some(right.trim().to_owned())));
        (left.split(' ').next().unwrap_or_default().trim_matches(['"', '[', ']']).to_owned(), default)
    });
    Some((name.to_owned(), arguments.collect()))
}

/// Every function that is shown with its arguments: in bold, or in the first cell of a row.
fn shown(page: &Page) -> Vec<String> {
    let mut found = Vec::new();
    let text: Vec<&str> = page.prose().collect();
    let joined = text.join("\n").replace('\n', " ");
    for part in joined.split("**`").skip(1) {
        found.push(part.split("`**").next().unwrap_or_default().to_owned());
    }
    for line in text {
        let Some(cell) = line.strip_prefix("| ").and_then(|line| line.split(" | ").next()) else { continue };
        found.extend(cell.split('`').skip(1).step_by(2).map(str::to_owned));
    }
    found.retain(|text| (text.starts_with("postern.") || text.starts_with("df.")) && text.contains('('));
    found
}

#[test]
fn arguments_and_defaults_are_those_of_the_function() {
    // Name, and for each argument its name and default.
    let mut there: BTreeMap<String, Vec<Vec<(String, String)>>> = BTreeMap::new();
    for line in query(
        "select s.nspname || '.' || p.proname || '|' || p.oid || '|' || coalesce(string_agg(coalesce(a.name, '') || '=' || coalesce(pg_get_function_arg_default(p.oid, a.n::int), ''), '|' order by a.n), '')
           from pg_proc p join pg_namespace s on s.oid = p.pronamespace
           left join lateral (select n, p.proargnames[n], p.proargmodes[n] from generate_series(1, cardinality(coalesce(p.proallargtypes, p.proargtypes::oid[]))) n) a (n, name, mode)
                on coalesce(a.mode, 'i') in ('i', 'b', 'v')
          where s.nspname in ('postern', 'df') group by p.oid, s.nspname, p.proname",
    ) {
        let mut parts = line.split('|');
        let name = parts.next().unwrap().to_owned();
        let arguments = parts.skip(1).filter(|part| !part.is_empty()).map(|part| {
            let (name, default) = part.split_once('=').unwrap();
            (name.to_owned(), default.to_owned())
        });
        there.entry(name).or_default().push(arguments.collect());
    }
    // What is written in another way may be the same; and a word says what becomes of NULL.
    let is_same = |said: &str, truth: &str| {
        let plain = truth.split("::").next().unwrap_or_default();
        plain.eq_ignore_ascii_case(said)
            || (plain == "NULL" && said.chars().all(|c| c.is_ascii_lowercase() || c == ' '))
            || truth.split_once("::").is_some_and(|(_, kind)| {
                SERVER
                    .psql("postgres", &format!("select ({said})::{kind} = {truth}"))
                    .is_ok_and(|same| same == "t")
            })
    };
    let (mut wrong, mut compared) = (Vec::new(), 0);
    for page in reference() {
        for text in shown(&page) {
            let Some((name, arguments)) = signature(&text) else { continue };
            let Some(overloads) = there.get(&name) else {
                wrong.push(format!("{}: {text}: no such function", page.name));
                continue;
            };
            let fits = overloads.iter().any(|overload| {
                let mut rest = overload.iter();
                arguments.iter().filter(|(name, _)| name != "…").all(|(name, default)| {
                    let found = rest.find(|(other, _)| other == name);
                    found.is_some_and(|(_, truth)| {
                        default.as_ref().is_none_or(|default| is_same(default, truth))
                    })
                })
            });
            if !fits {
                wrong.push(format!("{}: {text}: the server has {overloads:?}", page.name));
            }
            compared += 1;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(compared > 60, "{compared}");
}

#[test]
fn names_and_signatures_are_found() {
    let found =
        names("`postern.fact('claims.sub')`, x.postern.not, my_df.not, (df.start(…)), -df.no postern.");
    assert_eq!(found.into_iter().collect::<Vec<_>>(), ["df.start", "postern.fact"]);
    let (name, arguments) =
        signature("df.f(a text, b text[] = '{x,y}', c default null) → setof int").unwrap();
    assert_eq!(name, "df.f");
    assert_eq!(
        arguments,
        [("a".into(), None), ("b".into(), Some("'{x,y}'".into())), ("c".into(), Some("null".into()))]
    );
}
