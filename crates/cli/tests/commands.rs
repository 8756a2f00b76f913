//! The commands that need no gate: what they print, and their exit status.

mod common;

use common::{Output, postern, run};
use postern_cluster::Cluster;

#[test]
fn help_teaches_with_examples() {
    for (command, example) in [
        ("up", "postern up --listen"),
        ("serve", "postern serve -c"),
        ("doctor", "postern doctor --db"),
        ("rows", "postern rows explain public.invoices --key id=5"),
        ("token", "postern token --role app_user --sub alice --claim tenant=acme"),
        ("url", "psql \"$(postern url)\""),
        ("completions", "postern completions bash"),
    ] {
        let Output { status, stdout, .. } = run(postern().args(["help", command]));
        assert_eq!(status, 0);
        assert!(stdout.contains(example), "{command}: {stdout}");
    }
    let Output { status, stderr, .. } = run(&mut postern());
    assert_eq!(status, 2, "without a command there is help, and nothing was done");
    assert!(stderr.contains("Start here:"), "{stderr}");
}

#[test]
fn every_shell_gets_completions_of_every_command() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let Output { status, stdout, .. } = run(postern().args(["completions", shell]));
        assert_eq!(status, 0);
        for command in ["up", "serve", "doctor", "rows", "token", "url", "version", "completions"] {
            assert!(stdout.contains(command), "{shell}: {command}");
        }
    }
}

#[test]
fn completions_are_understood_by_the_shell() {
    let Output { stdout, .. } = run(postern().args(["completions", "bash"]));
    let script = format!(
        "{stdout}\ncomplete -p postern\nCOMP_WORDS=(postern do) COMP_CWORD=1; _postern postern do postern; echo \"${{COMPREPLY[@]}}\""
    );
    let Output { status, stdout, stderr } =
        run(std::process::Command::new("bash").args(["--norc", "-c", &script]));
    assert_eq!((status, stderr.as_str()), (0, ""));
    assert!(stdout.ends_with("doctor\n"), "{stdout}");
}

#[test]
fn a_closed_output_is_no_failure() {
    let program = env!("CARGO_BIN_EXE_postern");
    let script = format!("set -o pipefail; {program} completions bash | true");
    let Output { stderr, .. } = run(std::process::Command::new("bash").args(["-c", &script]));
    assert_eq!(stderr, "");
}

#[test]
fn the_version_names_what_it_works_with() {
    let Output { status, stdout, .. } = run(postern().arg("version"));
    assert_eq!(status, 0);
    assert!(stdout.starts_with(concat!("postern ", env!("CARGO_PKG_VERSION"), "\nextension ")), "{stdout}");
    assert!(stdout.contains("PostgreSQL 1"), "{stdout}");
}

#[test]
fn without_a_running_server_url_and_doctor_say_what_to_do() {
    let room = tempfile::tempdir().unwrap();
    for (command, status) in [("url", 1), ("doctor", 2)] {
        let output = run(postern().args([command, "--dir"]).arg(room.path()));
        assert_eq!((output.status, output.stdout.as_str()), (status, ""));
        assert!(output.stderr.contains("start it with \"postern up\""), "{}", output.stderr);
    }
}

#[test]
fn a_token_needs_a_key() {
    let room = tempfile::tempdir().unwrap();
    let output = run(postern().args(["token", "--role", "r", "--sub", "s", "--dir"]).arg(room.path()));
    assert_eq!((output.status, output.stdout.as_str()), (1, ""));
    assert!(output.stderr.contains("there is no signing key"), "{}", output.stderr);
}

#[test]
fn what_cannot_be_understood_is_said_before_anything_is_done() {
    for arguments in [
        &["token", "--role", "r", "--sub", "s", "--claim", "tenant"][..],
        &["token", "--role", "r", "--sub", "s", "--expires", "soon"],
        &["doctor", "--allow", "no-such-code"],
        &["doctor", "--db", "postgresql://h/d", "-c", "postern.toml"],
        &["up", "--listen", "8484"],
        &["serve"],
    ] {
        let output = run(postern().args(arguments));
        assert_eq!((output.status, output.stdout.as_str()), (2, ""), "{arguments:?}");
        assert!(output.stderr.starts_with("error: "), "{}", output.stderr);
    }
}

#[test]
fn a_configuration_that_cannot_be_used_is_named_with_the_reason() {
    let room = tempfile::tempdir().unwrap();
    let file = room.path().join("postern.toml");
    let database = "[database]\nurl = \"postgresql://postern_gate@localhost/app\"\n";
    for (text, reason) in [
        ("[listen]\naddres = \"127.0.0.1:1\"\n", "addres"),
        ("[doctor]\nallow = [\"gate-members\"]\n", "\"gate-members\" is not a code of a finding"),
    ] {
        std::fs::write(&file, format!("{database}{text}")).unwrap();
        for (command, status) in [("serve", 1), ("doctor", 2)] {
            let output = run(postern().args([command, "-c"]).arg(&file));
            assert_eq!((output.status, output.stdout.as_str()), (status, ""));
            assert!(
                output.stderr.contains("postern.toml") && output.stderr.contains(reason),
                "{}",
                output.stderr
            );
        }
    }
    let output = run(postern().args(["serve", "-c", "/nonexistent/postern.toml"]));
    assert_eq!(output.status, 1);
    assert!(output.stderr.contains("/nonexistent/postern.toml"), "{}", output.stderr);
}

#[test]
fn the_doctor_s_exit_status_says_what_it_found() {
    let cluster = Cluster::builder().extension(true).start().unwrap();
    cluster
        .psql(
            "postgres",
            "CREATE ROLE alice; SELECT postern.admit('alice'); REVOKE TEMPORARY ON DATABASE postgres FROM PUBLIC;
             CREATE TABLE country(); GRANT SELECT ON country TO alice",
        )
        .unwrap();
    let url = cluster.url("postgres", "postgres");
    let doctor = |arguments: &[&str]| run(postern().args(["doctor", "--db", &url]).args(arguments));

    let found = doctor(&[]);
    assert_eq!(found.status, 1);
    assert!(found.stdout.contains("warning: table public.country has no row security"), "{}", found.stdout);
    assert!(!found.stdout.contains('\u{1b}'), "no colours into a pipe");

    let allowed = doctor(&["--allow", "table-without-rls:public.country"]);
    assert_eq!((allowed.status, allowed.complaints().as_str()), (0, ""), "{}", allowed.stdout);
    assert!(allowed.stdout.contains("warning, allowed: table public.country"), "{}", allowed.stdout);

    cluster.psql("postgres", "CREATE ROLE root_like SUPERUSER").unwrap();
    let danger = doctor(&["--role", "root_like", "--json", "--allow", "table-without-rls"]);
    assert_eq!(danger.status, 1);
    let report: serde_json::Value = serde_json::from_str(&danger.stdout).unwrap();
    assert_eq!(report["server"]["database"], "postgres");
    let finding = &report["findings"][0];
    assert_eq!((&finding["code"], &finding["severity"]), (&"role-superuser".into(), &"danger".into()));
    assert_eq!(finding["hint"], "ALTER ROLE root_like NOSUPERUSER;");
    assert_eq!(finding["allowed"], false);
    let findings = report["findings"].as_array().unwrap();
    assert!(
        findings.iter().any(|finding| finding["code"] == "table-without-rls" && finding["allowed"] == true)
    );

    let wrong = run(postern().args(["doctor", "--db", &url.replace("postgres:", "nobody:")]));
    assert_eq!((wrong.status, wrong.stdout.as_str()), (2, ""));
    assert!(wrong.stderr.contains("could not connect"), "{}", wrong.stderr);
    let password = cluster.password("postgres").unwrap();
    assert!(!wrong.stderr.contains(&password), "no secret in a message");
}
