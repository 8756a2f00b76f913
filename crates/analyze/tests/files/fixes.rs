//! Fixes are edits of the files, and nothing else in them changes.

use super::project;
use postern_analyze::files::{Project, mend};
use postern_analyze::fix::apply;
use postern_analyze::parse::with_stack;

const SCHEMA: &str = "CREATE SCHEMA app; CREATE TABLE app.t (k int, v text); CREATE SEQUENCE app.sq;\n";

fn mended(project: &Project) -> (Vec<String>, Vec<String>, Vec<String>) {
    let mended = with_stack(|| mend(project, &[])).unwrap();
    let texts = project.sources.iter().zip(&mended.files).map(|(source, edits)| apply(&source.text, edits));
    let refused = mended.refused.iter().map(|(name, reasons)| format!("{name}: {}", reasons.join("; ")));
    (texts.collect(), mended.statements, refused.collect())
}

#[test]
fn the_last_definition_is_edited_and_a_second_run_does_nothing() {
    let old = "CREATE FUNCTION app.f() RETURNS bigint LANGUAGE sql SECURITY DEFINER SET search_path = app AS 'SELECT 1::bigint';\n";
    let new = "-- a comment with t in it\nCREATE OR REPLACE FUNCTION app.f() /* t */ RETURNS bigint\n  LANGUAGE plpgsql SECURITY DEFINER\n  SET search_path = app\nAS $$\nBEGIN -- t\n  PERFORM nextval('sq'); RETURN (SELECT count(*) FROM t WHERE t.v = 't');\nEND $$;\n";
    let project = project(&[SCHEMA, old, new]);
    let (texts, statements, refused) = mended(&project);
    assert_eq!(refused, Vec::<String>::new());
    assert_eq!((texts[0].as_str(), texts[1].as_str()), (SCHEMA, old));
    let wanted = new
        .replace("search_path = app\n", "search_path = pg_catalog, pg_temp\n")
        .replace("nextval('sq')", "nextval('app.sq')")
        .replace("FROM t WHERE t.v", "FROM app.t WHERE t.v");
    assert_eq!(texts[2], wanted);
    assert_eq!(statements.len(), 1);
    assert!(
        statements[0].contains("CREATE OR REPLACE FUNCTION app.f() /* t */")
            && statements[0].contains("FROM app.t WHERE"),
        "{}",
        statements[0]
    );
    let again = super::project(&[&texts[0], &texts[1], &texts[2]]);
    let (texts, statements, refused) = mended(&again);
    assert_eq!((texts[2].as_str(), statements.len(), refused.len()), (wanted.as_str(), 0, 0));
}

#[test]
fn a_path_that_alter_sets_is_edited_there_and_one_that_it_takes_away_is_not() {
    let create = "CREATE FUNCTION app.f() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT count(*) FROM t WHERE v = ''x''';\n";
    let alter = "ALTER FUNCTION app.f() SET search_path TO 'app', 'pg_temp';\n";
    let (texts, statements, refused) = mended(&project(&[SCHEMA, create, alter]));
    assert_eq!(refused, Vec::<String>::new());
    assert_eq!(texts[1], create.replace("FROM t", "FROM app.t"));
    assert_eq!(texts[2], "ALTER FUNCTION app.f() SET search_path TO pg_catalog, pg_temp;\n");
    assert!(
        statements[0].starts_with("SET search_path = ")
            && statements[0].contains("CREATE OR REPLACE FUNCTION"),
        "{}",
        statements[0]
    );
    assert!(
        statements[0].contains("ALTER FUNCTION app.f() SET search_path = pg_catalog, pg_temp;"),
        "{}",
        statements[0]
    );
    let reset = "ALTER FUNCTION app.f() SET search_path = app; ALTER FUNCTION app.f() RESET search_path;";
    let create = create.replace("FROM t", "FROM app.t");
    let (texts, _, refused) = mended(&project(&[SCHEMA, &create, reset]));
    assert_eq!((texts[1].as_str(), texts[2].as_str()), (create.as_str(), reset));
    assert!(refused[0].contains("takes its search_path away"), "{refused:?}");
}

#[test]
fn what_cannot_be_fixed_is_said() {
    let dynamic = "CREATE FUNCTION app.d(q text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN EXECUTE q; END $$;";
    let nothing = "CREATE FUNCTION app.n() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT count(*) FROM nowhere';";
    let both = format!("{dynamic}\n{nothing}\n");
    let (texts, _, refused) = mended(&project(&[SCHEMA, &both]));
    assert_eq!(texts[1], both);
    assert!(refused.iter().any(|r| r.starts_with("app.d(") && r.contains("run time")), "{refused:?}");
    assert!(
        refused.iter().any(|r| r.starts_with("app.n()") && r.contains("nothing has that name")),
        "{refused:?}"
    );
}
