//! `resolve`, `check` and `fix` as they are called, against a server without the extension, as an ordinary role.
#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod common;

use common::{postern, run};
use postern_cluster::{Cluster, Installation};

const SCHEMA: &str = "
create role u1 login; create schema authorization u1;
create schema s1; create schema s2; create schema s3; grant usage on schema s1, s2, s3 to u1;
create table s1.a (k int primary key); create table s2.a (k int primary key); create table s3.a (k int primary key);
create table s1.b (k int primary key); alter table s1.b enable row level security; create publication all_of_b for table s1.b;
create policy own on s1.b using (k = length(current_user)); grant select on s1.b to u1;
create function s1.f() returns text language plpgsql set search_path = s1, s2, s3 as $body$
begin return 'a: '||(select 'a'::regclass::oid::text)||' / '||'b: '||(select 'b'::regclass::oid::text); end;
$body$;
create function s2.f() returns text language plpgsql set search_path = s2, s3, s1 as $body$
begin return 'a: '||(select 'a'::regclass::oid::text)||' / '||'b: '||(select 'b'::regclass::oid::text); end;
$body$;
create function s3.f() returns text language plpgsql security definer as $body$
begin return (select count(*) from a); end;
$body$;
alter database postgres set search_path = s3, public;";

#[test]
fn names_are_resolved_checked_and_fixed() {
    every_command(&Cluster::builder().start().unwrap());
}

/// On the versions that the analyser is for and the extension is not, and on the newest, if the servers are here.
#[test]
fn names_are_resolved_checked_and_fixed_on_other_versions() {
    let found = Installation::find_plain().unwrap();
    for major in Installation::analysed() {
        match found.iter().find(|server| server.major == major) {
            Some(server) => every_command(&Cluster::builder().installation(server.clone()).start().unwrap()),
            None => postern_cluster::skipped(
                &format!("resolve, check and fix on PostgreSQL {major}"),
                "there is no such server here (cargo xtask fetch-servers)",
            ),
        }
    }
}

fn every_command(cluster: &Cluster) {
    cluster.psql("postgres", SCHEMA).unwrap();
    cluster.set_password("u1").unwrap();
    let url = cluster.url("u1", "postgres") + "&sslmode=disable";
    let output = run(postern().args(["resolve", "s1.f()", "s2.f()", "--compare", "--db", &url]));
    assert_eq!(output.status, 0, "{}", output.stderr);
    let oid = |name: &str| cluster.psql("postgres", &format!("select '{name}'::regclass::oid")).unwrap();
    let row = output.stdout.lines().find(|line| line.starts_with("relation a ")).unwrap();
    assert!(
        row.contains(&format!("s1.a {}", oid("s1.a"))) && row.contains(&format!("s2.a {}", oid("s2.a"))),
        "{row}"
    );

    let output = run(postern().args(["resolve", "s3.f()", "--json", "--db", &url]));
    let json: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
    let names = json[0]["names"].as_array().unwrap();
    let a = names.iter().find(|name| name["name"] == "a").unwrap();
    assert_eq!((&a["verdict"], &a["line"]), (&"capturable".into(), &2.into()), "{a}");
    assert_eq!(a["schema"], "pg_temp");

    let output = run(postern().args(["resolve", "s9.f()", "--db", &url]));
    assert_eq!((output.status, output.stderr.contains("no function")), (1, true));
    let sql = ["resolve", "--sql", "select count(*) from pg_class", "--temp-table", "pg_class", "--db", &url];
    let first = run(postern().args(sql).args(["--search-path", "\"$user\", public", "--all"]));
    assert!(first.stdout.contains("pg_class is a temporary table"), "{}", first.stdout);
    let last = run(postern().args(sql).args(["--search-path", "pg_catalog, pg_temp", "--all"]));
    assert!(last.stdout.contains("pg_class is pg_catalog.pg_class"), "{}", last.stdout);

    let text = run(postern().args(["check", "--db", &url]));
    assert_eq!(text.status, 1, "{}", text.stderr);
    assert!(
        text.stdout.contains("error[definer-without-path]") && text.stdout.contains('^'),
        "{}",
        text.stdout
    );
    for (format, sign) in [
        ("json", "\"findings\""),
        ("sarif", "\"2.1.0\""),
        ("github", "::error title="),
        ("junit", "<testsuite "),
    ] {
        let output = run(postern().args(["check", "--db", &url, "--format", format]));
        assert_eq!((output.status, output.stdout.contains(sign)), (1, true), "{}", output.stdout);
    }
    let folder = tempfile::tempdir().unwrap();
    let baseline = folder.path().join("baseline");
    assert_eq!(run(postern().args(["check", "--db", &url, "--write-baseline"]).arg(&baseline)).status, 0);
    assert_eq!(run(postern().args(["check", "--db", &url, "--baseline"]).arg(&baseline)).status, 0);
    assert_eq!(run(postern().args(["check", "--db", "postgresql://nobody@/x?host=/nowhere"])).status, 2);

    // Files that would run in this database.
    let migration = folder.path().join("migration.sql");
    std::fs::write(&migration, "-- two lines\nalter function s1.f() security definer;\n").unwrap();
    let checked = run(postern().args(["check", "--db", &url]).arg(&migration));
    assert!(
        checked.status == 1 && checked.stdout.contains("migration.sql:2:16 (s1.f())"),
        "{} {}",
        checked.stdout,
        checked.stderr
    );
    assert!(!checked.stdout.contains("s3.f()"), "{}", checked.stdout);

    // The file is edited where names stand, and the server takes it.
    let file = folder.path().join("schema.sql");
    std::fs::write(&file, SCHEMA).unwrap();
    let shown = run(postern().args(["fix", "--db", &url]).arg(&file));
    assert!(
        shown.stdout.contains("+begin return (select count(*) from s3.a); end;"),
        "{} {}",
        shown.stdout,
        shown.stderr
    );
    assert_eq!(std::fs::read_to_string(&file).unwrap(), SCHEMA);
    let written = run(postern().args(["fix", "--write", "--db", &url]).arg(&file));
    assert_eq!(written.status, 0, "{}", written.stderr);
    let edited = std::fs::read_to_string(&file).unwrap();
    assert!(
        edited.contains("'s2.a'::regclass") && edited.contains("set search_path = pg_catalog, pg_temp as"),
        "{edited}"
    );
    let statements = run(postern().args(["fix", "--sql", "--db", &url]));
    cluster.psql("postgres", &statements.stdout).unwrap();
    let again = run(postern().args(["fix", "--sql", "--db", &url]));
    assert_eq!((again.stdout.as_str(), again.status), ("", 0), "{}", again.stderr);
    assert_eq!(cluster.psql("postgres", "select s3.f()").unwrap(), "0");
}

const BAD: &str = "create schema app;
create table app.t (k int, v text);
create function app.old() returns text language sql security definer as $$ select 'replaced'::text $$;
";
const LAST: &str = "create or replace function app.old() returns bigint
language plpgsql security definer set search_path = app as $body$
begin return (select count(*) from t); end $body$;
revoke execute on function app.old() from public;
";

#[test]
fn files_are_checked_and_fixed_without_a_server() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (folder.path().join("1 one.sql"), folder.path().join("2.sql"));
    std::fs::write(&one, BAD).unwrap();
    std::fs::write(&two, LAST).unwrap();
    let mut broken = LAST.as_bytes().to_vec();
    broken.splice(0..0, *b"select 'caf\xe9';\n");
    let text = run(postern().arg("check").args([&one, &two]));
    assert_eq!(text.status, 1, "{} {}", text.stdout, text.stderr);
    assert!(text.stdout.contains("2.sql:3:36 (app.old())"), "{}", text.stdout);
    assert!(
        text.stdout.contains("3 | begin return (select count(*) from t); end $body$;"),
        "{}",
        text.stdout
    );
    assert!(text.stdout.contains("proof:") && !text.stdout.contains("replaced"), "{}", text.stdout);
    let out = |format: &str| run(postern().args(["check", "--format", format]).args([&one, &two])).stdout;
    assert!(out("github").starts_with("::error file="), "{}", out("github"));
    let sarif: serde_json::Value = serde_json::from_str(&out("sarif")).unwrap();
    let place = &sarif["runs"][0]["results"][0]["locations"][0]["physicalLocation"];
    assert!(place["artifactLocation"]["uri"].as_str().unwrap().ends_with("/2.sql"), "{place}");
    assert_eq!(place["region"]["startLine"], 3, "{place}");
    let json: serde_json::Value = serde_json::from_str(&out("json")).unwrap();
    assert!(json["findings"][0]["file"].as_str().unwrap().ends_with("2.sql"), "{json}");
    assert!(out("junit").contains("line 3"), "{}", out("junit"));
    let baseline = folder.path().join("baseline");
    let missing = run(postern().args(["check", "--baseline"]).args([&baseline, &one, &two]));
    assert_eq!(missing.status, 2);
    assert!(missing.stderr.contains("--write-baseline"), "{}", missing.stderr);
    assert_eq!(run(postern().args(["check", "--write-baseline"]).args([&baseline, &one, &two])).status, 0);
    assert_eq!(run(postern().args(["check", "--baseline"]).args([&baseline, &one, &two])).status, 0);
    assert_eq!(run(postern().arg("check").arg(folder.path().join("none.sql"))).status, 2);

    let shown = run(postern().arg("fix").args([&one, &two]));
    assert!(
        shown.stdout.contains("+begin return (select count(*) from app.t); end $body$;"),
        "{} {}",
        shown.stdout,
        shown.stderr
    );
    let sql = run(postern().args(["fix", "--sql"]).args([&one, &two])).stdout;
    assert!(sql.contains("from app.t") && sql.contains("set search_path = pg_catalog, pg_temp as"), "{sql}");
    assert_eq!(std::fs::read_to_string(&two).unwrap(), LAST);
    assert_eq!(run(postern().args(["fix", "--write"]).args([&one, &two])).status, 0);
    let wanted = LAST
        .replace("from t", "from app.t")
        .replace("search_path = app", "search_path = pg_catalog, pg_temp");
    assert_eq!(std::fs::read_to_string(&two).unwrap(), wanted);
    assert_eq!(std::fs::read_to_string(&one).unwrap(), BAD);
    let fixed = run(postern().arg("check").args([&one, &two]));
    assert_eq!(fixed.status, 0, "{}", fixed.stdout);
    assert_eq!(run(postern().arg("fix").args([&one, &two])).stdout, "");

    // One file that is damaged hides nothing of the other.
    std::fs::write(&one, &broken).unwrap();
    let damaged = run(postern().arg("check").args([&one, &two]));
    assert!(damaged.status == 1 && damaged.stdout.contains("not UTF-8"), "{}", damaged.stdout);
}

/// A function that is inlined, and a procedure that commits.
const UNPINNED: &str = "create schema app; create table app.doc (k int, v varchar);
alter role all set search_path = app; set search_path = app;
create function listed(i int) returns setof int
  as 'select k from doc where k > i and v = ''x''' -- as it was
  language sql stable;
create procedure batch() language plpgsql as $$
begin for i in 1..3 loop insert into doc values (i + 0, 'x'); commit; end loop; end $$;
";

/// The definition that is proposed in what the program says.
fn proposal(said: &str) -> &str {
    let start = said.to_lowercase().find("create or replace function").unwrap_or_else(|| panic!("{said}"));
    &said[start..start + said[start..].find("END;").unwrap() + 4]
}

#[test]
fn what_a_set_clause_would_forbid_is_said_and_begin_atomic_is_proposed() {
    let cluster = Cluster::builder().start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("schema.sql");
    let said = |stderr: &str| {
        let both = ["from being inlined", "ends transactions"].iter().all(|part| stderr.contains(part));
        assert!(both && !stderr.contains("is not fixed"), "{stderr}");
    };
    for kind in ["database", "files"] {
        cluster.create_database(kind, false).unwrap();
        let sql = |text: &str| cluster.psql(kind, text).unwrap();
        let stderr = if kind == "files" {
            std::fs::write(&file, UNPINNED).unwrap();
            let written = run(postern().args(["fix", "--write"]).arg(&file));
            assert_eq!(written.status, 0, "{}", written.stderr);
            let edited = std::fs::read_to_string(&file).unwrap();
            let wanted = UNPINNED.replace("from doc", "from app.doc").replace("into doc", "into app.doc");
            assert_eq!(edited, wanted);
            sql(&edited);
            let again = run(postern().args(["fix", "--sql"]).arg(&file));
            assert_eq!((again.status, again.stdout.as_str()), (0, ""));
            said(&again.stderr);
            written.stderr
        } else {
            sql(UNPINNED);
            let url = cluster.url(cluster.superuser(), kind) + "&sslmode=disable";
            let fixed = run(postern().args(["fix", "--sql", "--db", &url]));
            assert!(
                fixed.stdout.contains("app.doc") && !fixed.stdout.contains("SET search_path"),
                "{}",
                fixed.stdout
            );
            sql(&fixed.stdout);
            fixed.stderr
        };
        said(&stderr);
        let inlined =
            || !sql("explain (verbose) select * from app.listed(1) x where x = 2").contains("listed(");
        assert!(inlined(), "{kind}: after the fix");
        sql("set search_path = pg_catalog; call app.batch()");
        assert_eq!(sql("select count(*) from app.doc"), "3", "{kind}: it commits");
        let proposal = proposal(&stderr);
        sql(&format!("set search_path = app; {proposal}"));
        assert!(inlined(), "{kind}: {proposal}");
        let bound = sql("select prosqlbody is not null from pg_proc where oid = 'app.listed'::regproc");
        assert_eq!(
            (bound.as_str(), sql("select count(*) from app.listed(1)").as_str()),
            ("t", "2"),
            "{proposal}"
        );
    }
}

#[test]
fn a_folder_of_migrations_is_read_in_the_order_in_which_it_runs() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let file = folder.path().join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    };
    let empty = run(postern().arg("check").arg(folder.path()));
    assert_eq!((empty.status, empty.stderr.contains("has no .sql file")), (2, true), "{}", empty.stderr);
    write(
        "V1__schema.sql",
        "create schema app; grant usage on schema app to public; create table app.t (k int);",
    );
    write(
        "V2__function.sql",
        "create function app.f() returns bigint language sql security definer set search_path = pg_catalog, app, pg_temp
         as 'select count(*) from t'; revoke execute on function app.f() from public;",
    );
    write(
        "b/V10__later.sql",
        "-- migrate:up\nalter function app.f() reset search_path;\n-- migrate:down\ndrop schema app cascade;",
    );
    write("U10__back.sql", "drop function app.f();");
    write("c/V2.1__still.sql", "create function app.g() returns int language sql as 'select 1';");
    write("R__view.sql", "create or replace view app.v as select app.g() as k from app.t;");
    write("10_old.down.sql", "drop table app.t;");
    write(".hidden/1.sql", "this is no SQL");
    let found = run(postern().arg("check").arg(folder.path()));
    assert_eq!(found.status, 1, "{} {}", found.stdout, found.stderr);
    let rules: Vec<&str> = found.stdout.lines().filter(|line| line.contains("]: ")).collect();
    assert!(
        rules.len() == 2
            && rules.iter().any(|rule| rule.starts_with("warning[definer-without-path]"))
            && rules.iter().any(|rule| rule.starts_with("error[capturable]: relation t means nothing now")),
        "{rules:#?}"
    );
    // Mended where it was taken away, it is no more.
    write("V11__again.sql", "alter function app.f() set search_path = pg_catalog, app, pg_temp;");
    let mended = run(postern().arg("check").arg(folder.path()));
    assert_eq!((mended.status, mended.stdout.as_str()), (0, "0 errors, 0 warnings, 0 notes\n"));
    // The fix is made where the definition is.
    write("V12__bad.sql", "alter function app.f() set search_path = app;");
    let fixed = run(postern().args(["fix", "--write"]).arg(folder.path()));
    assert_eq!(fixed.status, 0, "{}", fixed.stderr);
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    assert!(read("V2__function.sql").contains("from app.t'"), "{}", read("V2__function.sql"));
    assert_eq!(read("V12__bad.sql"), "alter function app.f() set search_path = pg_catalog, pg_temp;");
    assert_eq!(run(postern().arg("check").arg(folder.path())).status, 0);
}
