//! What cannot be read is reported, and the rest is analysed.

use std::fmt::Write as _;
use std::time::Instant;

use super::{check, found};
use postern_analyze::files::{self, RUNNER, Source};
use postern_analyze::parse::with_stack;

const BAD: &str = "CREATE FUNCTION f() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1';";

#[test]
fn one_broken_statement_spoils_no_other() {
    let text = format!("CREATE TABEL x (k int);\nSELECT );\n{BAD}\nSELECT 'never ends;");
    let found = found(&[&text]);
    let of = |rule: &str| found.iter().filter(|found| found.starts_with(rule)).count();
    assert_eq!((of("unread "), of("definer-without-path public.f() 1.sql:3:")), (3, 1), "{found:?}");
}

#[test]
fn a_body_that_cannot_be_read_is_one_finding() {
    let text = "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$ BEGIN SELECT FROM FROM; RETURN 1; END $$;
      REVOKE EXECUTE ON FUNCTION f() FROM PUBLIC";
    let found = found(&[text]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("unread public.f() 1.sql:1:"), "{found:?}");
}

#[test]
fn a_file_that_is_not_utf8_is_read_as_far_as_it_can_be() {
    let mut bytes = b"-- caf\xe9\nCOMMENT ON TABLE t IS '\xff\xfe';\n".to_vec();
    bytes.extend(BAD.as_bytes());
    let sources = vec![
        Source::new("latin1.sql", bytes),
        Source::new("good.sql", BAD.replace("f()", "g()").into_bytes()),
    ];
    let project = with_stack(move || files::replay(files::empty(15, RUNNER), sources)).unwrap();
    let findings = check(&project);
    let at = |rule: &str, file: &str| {
        findings
            .iter()
            .find(|f| f.rule == rule && f.file.as_deref() == Some(file))
            .unwrap()
            .position
            .unwrap()
            .line
    };
    assert_eq!(
        (
            at("unread", "latin1.sql"),
            at("definer-without-path", "latin1.sql"),
            at("definer-without-path", "good.sql")
        ),
        (1, 3, 1)
    );
    let mended = with_stack(|| files::mend(&project, &[])).unwrap();
    assert_eq!((mended.files[0].len(), mended.files[1].len()), (0, 1));
    assert!(mended.refused[0].1[0].contains("UTF-8"), "{:?}", mended.refused);
}

#[test]
fn a_large_file_is_read_in_time() {
    let rows = "(1, 'some text that is not short, and has a '' in it', now(), NULL),\n".repeat(5_000);
    let mut text = String::from("CREATE TABLE big (k int, v text, at timestamptz, n int);\n");
    write!(text, "INSERT INTO big VALUES {rows} (1, 'x', now(), NULL);\nCOPY big FROM stdin;\n").unwrap();
    while text.len() < 10 << 20 {
        text += "1\tsome text; and 'more of it\t2026-01-01\t\\N\n";
    }
    write!(text, "\\.\n{BAD}").unwrap();
    let lines = text.lines().count();
    let start = Instant::now();
    let found = found(&[&text]);
    assert!(
        found.contains(&format!("definer-without-path public.f() 1.sql:{lines}:17")),
        "{:?}",
        found.last()
    );
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(start.elapsed().as_secs() < 120, "{:?}", start.elapsed());
}

#[test]
fn an_unknown_language_is_said_and_the_rest_is_judged() {
    let text = format!("CREATE FUNCTION p() RETURNS int LANGUAGE plpython3u SECURITY DEFINER AS 'return plpy.execute(\"select 1\")[0]';
      DO LANGUAGE plperl $$ 1; $$;\n{BAD}");
    let found = found(&[&text]);
    for rule in [
        "unread public.p() 1.sql:1:17",
        "unread DO block",
        "definer-without-path public.p()",
        "definer-without-path public.f()",
    ] {
        assert!(found.iter().any(|found| found.starts_with(rule)), "{rule}: {found:?}");
    }
}

#[test]
fn what_psql_and_extensions_fill_in_is_no_error() {
    let text = "\\set name value\nCREATE SCHEMA :name; SELECT :'name', :\"name\";\nCREATE FUNCTION @extschema@.f() RETURNS int LANGUAGE sql AS 'SELECT 1'; ALTER FUNCTION @extschema@.f() OWNER TO @extowner@;
COPY t FROM stdin;\n1\t'\n\\.\n\\echo done\n\\if true\nSELECT 1 \\gset\n";
    assert_eq!(found(&[text]), Vec::<String>::new());
    assert_eq!(found(&["\\ir other.sql\n"]).len(), 1);
}
