//! `postern up`, as a user has it: start, paste, stop, kill, start again.
#![allow(
    clippy::unwrap_used,
    reason = "a test ends at the first surprise; clippy allows it in test functions only"
)]

mod common;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use common::{Output, PATIENCE, Running, postern, room, run};
use postern_cluster::{Address, Installation};

/// The commands that the greeting offers to paste.
fn pasted(greeting: &str) -> Vec<String> {
    let (_, offered) = greeting.split_once("In another terminal").unwrap();
    let (_, offered) = offered.split_once("\n\n").unwrap();
    let (offered, _) = offered.split_once("\nCtrl-C").unwrap();
    offered
        .split("\n\n")
        .map(|command| command.trim().to_owned())
        .filter(|command| !command.is_empty())
        .collect()
}

fn bash(command: &str) -> Output {
    run(Command::new("bash").args(["-c", command]))
}

/// A query as somebody; gives the HTTP status and the body.
fn query(up: &Running, folder: &Path, subject: &str, tenant: &str, sql: &str) -> (u16, serde_json::Value) {
    let token = run(postern()
        .args([
            "token",
            "--role",
            "app_user",
            "--sub",
            subject,
            "--claim",
            &format!("tenant={tenant}"),
            "--dir",
        ])
        .arg(folder));
    assert_eq!(token.status, 0, "{}", token.stderr);
    let output = run(Command::new("curl").args([
        "-s",
        &format!("{}/v1/query", up.url),
        "-H",
        "Content-Type: application/json",
        "-H",
        &format!("Authorization: Bearer {}", token.stdout.trim()),
        "-w",
        "\n%{http_code}",
        "-d",
        &serde_json::json!({ "query": sql }).to_string(),
    ]));
    let (body, status) = output.stdout.rsplit_once('\n').unwrap();
    let body = serde_json::from_str(body).unwrap_or_else(|error| panic!("{body}: {error}"));
    (status.parse().unwrap(), body)
}

/// SQL as superuser, past the gate.
fn psql(folder: &Path, sql: &str) -> String {
    let url = run(postern().args(["url", "--dir"]).arg(folder));
    assert_eq!(url.status, 0, "{}", url.stderr);
    let program = Installation::find().unwrap().program("psql");
    let output = run(Command::new(program).args(["-XqAt", url.stdout.trim(), "-c", sql]));
    assert_eq!(output.status, 0, "{sql}: {}", output.stderr);
    output.stdout
}

fn server_runs(folder: &Path) -> bool {
    Address::of(&folder.join("pg")).is_ok()
}

/// Waits for what another process does.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "waited for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn what_is_offered_to_paste_works_and_each_sees_their_own() {
    let room = room();
    let up = Running::up(room.path(), &[]);
    let commands = pasted(&up.greeting);
    let [token, alice, bob, _what, order] = commands.as_slice() else { panic!("{commands:?}") };

    let token = bash(token);
    assert_eq!((token.status, token.stdout.trim().split('.').count()), (0, 3), "{token:?}");
    let (alice, bob) = (bash(alice), bash(bob));
    assert!(
        alice.stdout.contains("Northwind Cycles") && !alice.stdout.contains("Hillside School"),
        "{alice:?}"
    );
    assert!(bob.stdout.contains("Hillside School") && !bob.stdout.contains("Northwind Cycles"), "{bob:?}");

    let order = bash(order);
    assert!(order.stdout.contains("\"id\"") && order.stdout.contains("SIGNAL"), "{order:?}");

    let (status, body) = query(&up, room.path(), "alice", "acme", "reset role");
    assert_eq!(status, 403, "{body}");
    assert!(body.to_string().contains("42501"), "{body}");

    // The private database is one that the gate serves without anything having to be allowed.
    let doctor = run(postern().args(["doctor", "--dir"]).arg(room.path()));
    assert_eq!(doctor.status, 0, "{}", doctor.stdout);
    let doctor = run(postern().args(["doctor", "-c"]).arg(room.path().join("postern.toml")));
    assert_eq!(doctor.status, 0, "{}{}", doctor.stdout, doctor.stderr);
    assert!(doctor.stdout.contains("examined as role \"postern_gate\""), "{}", doctor.stdout);

    // Past the gate, as superuser.
    assert_eq!(psql(room.path(), "select count(distinct tenant) from invoices"), "2\n");

    let (status, _) = up.end("TERM");
    assert_eq!(status, Some(0));
    assert!(!server_runs(room.path()), "the server ends with the gate");
}

#[test]
fn a_second_one_in_the_same_folder_is_refused_and_disturbs_nothing() {
    let room = room();
    let up = Running::up(room.path(), &["--no-example"]);
    assert!(!up.greeting.contains("invoices"), "{}", up.greeting);
    let second = run(postern().args(["up", "--listen", "127.0.0.1:0", "--dir"]).arg(room.path()));
    assert_eq!((second.status, second.stdout.as_str()), (1, ""));
    let holder = format!(
        "another \"postern up\" is running in \"{}\", as process {}",
        room.path().display(),
        up.pid()
    );
    assert!(second.stderr.contains(&holder), "{}", second.stderr);
    assert!(server_runs(room.path()));
    assert_eq!(up.end("INT").0, Some(0), "Ctrl-C is the usual way to stop");
}

#[test]
fn what_keeps_it_from_starting_is_said_with_a_way_out() {
    let room = room();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let refused = run(postern().args(["up", "--no-example", "--listen", &address, "--dir"]).arg(room.path()));
    assert_eq!((refused.status, refused.stdout.as_str()), (1, ""));
    let wanted =
        format!("postern: could not listen on {address}, as listen.address says: Address already in use");
    assert!(
        refused.stderr.contains(&wanted) && refused.stderr.contains("--listen 127.0.0.1:0"),
        "{}",
        refused.stderr
    );
    assert!(!server_runs(room.path()));

    let file = room.path().join("file");
    std::fs::write(&file, "").unwrap();
    let refused = run(postern().args(["up", "--dir"]).arg(file.join("folder")));
    assert_eq!(refused.status, 1);
    assert!(refused.stderr.ends_with("(name another one with --dir)\n"), "{}", refused.stderr);
}

#[test]
fn after_a_kill_the_next_start_works_and_has_what_was_committed() {
    let room = room();
    let up = Running::up(room.path(), &[]);
    let insert = "insert into invoices (number, customer) values ('2026-100', 'Kept')";
    let (status, body) = query(&up, room.path(), "alice", "acme", insert);
    assert_eq!(status, 200, "{body}");
    up.end("KILL");

    // At once: the server of the killed one may still be there.
    let up = Running::up(room.path(), &[]);
    let (status, body) =
        query(&up, room.path(), "alice", "acme", "select customer from invoices where number = '2026-100'");
    assert_eq!(status, 200, "{body}");
    assert!(body.to_string().contains("Kept"), "{body}");

    // What was changed in the example stays so, until it is asked for again.
    psql(
        room.path(),
        "alter table invoices no force row level security; delete from invoices where tenant = 'globex'",
    );
    assert_eq!(up.end("TERM").0, Some(0));
    let globex =
        |up: &Running| query(up, room.path(), "bob", "globex", "select number from invoices").1.to_string();
    let up = Running::up(room.path(), &[]);
    assert!(!globex(&up).contains("2026-001"), "{}", globex(&up));
    assert_eq!(up.end("TERM").0, Some(0));
    let up = Running::up(room.path(), &["--example"]);
    assert!(globex(&up).contains("2026-001"), "{}", globex(&up));
}

#[test]
fn a_server_that_was_killed_is_started_again() {
    let room = room();
    let up = Running::up(room.path(), &[]);
    let pid = || {
        let text = std::fs::read_to_string(room.path().join("pg/data/postmaster.pid")).unwrap_or_default();
        text.lines().next().map(str::to_owned)
    };
    let before = pid().unwrap();
    assert!(Command::new("kill").args(["-9", &before]).status().unwrap().success());
    until("another server", || pid().is_some_and(|now| now != before) && server_runs(room.path()));
    until("an answer", || query(&up, room.path(), "alice", "acme", "select 1").0 == 200);
    let (status, said) = up.end("TERM");
    assert_eq!(status, Some(0));
    assert!(said.contains("starting it again"), "{said}");
}

#[test]
fn secrets_are_their_owner_s_only() {
    let room = room();
    let up = Running::up(room.path(), &[]);
    for file in ["postern.toml", "signing-key.pem", "secrets-key", "gate-password", "pg/pgpass"] {
        let mode = std::fs::metadata(room.path().join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{file}");
    }
    let password = std::fs::read_to_string(room.path().join("gate-password")).unwrap();
    assert!(!up.greeting.contains(password.trim()));
}

#[test]
fn a_gate_of_its_own_serves_by_the_same_configuration() {
    let room = room();
    let up = Running::up(room.path(), &[]);
    let text = std::fs::read_to_string(room.path().join("postern.toml")).unwrap();
    let file = room.path().join("second.toml");
    std::fs::write(&file, text.replace("127.0.0.1:8484", "127.0.0.1:0")).unwrap();
    let serve = Running::serve(&file);
    let (status, body) = query(&serve, room.path(), "bob", "globex", "select customer from invoices");
    assert_eq!(status, 200, "{body}");
    assert!(body.to_string().contains("Hillside School"), "{body}");
    assert_eq!(serve.end("TERM").0, Some(0));

    // A danger: it refuses to serve, and says what and why, until that is allowed by name.
    psql(room.path(), "alter role app_user createrole");
    let refused = run(postern().args(["serve", "-c"]).arg(&file));
    assert_eq!(refused.status, 1);
    assert!(refused.stderr.contains("role-createrole"), "{}", refused.stderr);
    let allowed = std::fs::read_to_string(&file).unwrap() + "\n[doctor]\nallow = [\"role-createrole\"]\n";
    std::fs::write(&file, allowed).unwrap();
    let serve = Running::serve(&file);
    serve.says_to("HUP", "no certificate to renew");
    assert_eq!(serve.end("TERM").0, Some(0));
    drop(up);
}

#[test]
fn a_token_says_what_it_was_told() {
    let room = room();
    let up = Running::up(room.path(), &["--no-example"]);
    let before = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let output = run(postern()
        .args([
            "token",
            "--role",
            "r",
            "--sub",
            "ann",
            "--claim",
            "groups=[1]",
            "--claim",
            "note=x y",
            "--expires",
            "5m",
        ])
        .arg("--dir")
        .arg(room.path()));
    assert_eq!((output.status, output.stderr.as_str()), (0, ""));
    let payload = output.stdout.split('.').nth(1).unwrap();
    let payload = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, payload).unwrap();
    let claims: serde_json::Value = serde_json::from_slice(&payload).unwrap();
    assert_eq!((&claims["role"], &claims["sub"]), (&"r".into(), &"ann".into()));
    assert_eq!((&claims["groups"], &claims["note"]), (&serde_json::json!([1]), &"x y".into()));
    let expires = claims["exp"].as_u64().unwrap();
    assert!((before + 300..before + 300 + PATIENCE.as_secs()).contains(&expires), "{claims}");
    drop(up);
}

/// A server that answers every request, and tells of its `Authorization`.
fn other_side() -> (u16, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let lines =
                BufReader::new(&stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty());
            let said = lines.filter_map(|line| {
                let (name, value) = line.split_once(": ")?;
                name.eq_ignore_ascii_case("authorization").then(|| value.to_owned())
            });
            let said = said.last().unwrap_or_default();
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            if sender.send(said).is_err() {
                return;
            }
        }
    });
    (port, receiver)
}

#[test]
fn secrets_of_http_steps_work_at_once_and_after_a_restart() {
    let (port, heard) = other_side();
    let room = room();
    let key = || {
        let file = room.path().join("secrets-key");
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        // The server's copy is its account's only.
        let copy = std::fs::metadata(room.path().join("pg/secrets-key")).unwrap();
        let server = std::fs::metadata(room.path().join("pg/data")).unwrap();
        assert_eq!((copy.permissions().mode() & 0o777, copy.uid()), (0o600, server.uid()));
        std::fs::read_to_string(file).unwrap()
    };
    let send = |up: &Running| {
        let start = format!(
            "select df.start(df.http('http://localhost:{port}/', 'GET', headers => '{{\"Authorization\": \"Bearer {{secret:token}}\"}}'))"
        );
        let (status, body) = query(up, room.path(), "alice", "acme", &start);
        assert_eq!(status, 200, "{body}");
        assert_eq!(heard.recv_timeout(PATIENCE).unwrap(), "Bearer hunter2-and-more");
    };

    let up = Running::up(room.path(), &[]);
    for sql in [
        &format!("alter system set postern.http_private_hosts = 'localhost:{port}'"),
        "select pg_reload_conf()",
        &format!(
            "select postern.allow_http('localhost', 'app_user', ports => array[{port}], scheme => 'http')"
        ),
        "select df.grant_usage('app_user', include_http => true)",
    ] {
        psql(room.path(), sql);
    }
    let set = "select df.set_secret('token', 'hunter2-and-more')";
    let (status, body) = query(&up, room.path(), "alice", "acme", set);
    assert_eq!(status, 200, "{body}");
    send(&up);
    let first = key();
    assert_eq!(up.end("TERM").0, Some(0));

    let up = Running::up(room.path(), &[]);
    send(&up);
    assert_eq!(key(), first);
    assert!(!up.greeting.contains(first.trim()));
    // The key is in no setting that anybody could read.
    assert!(!psql(room.path(), "select string_agg(setting, ' ') from pg_settings").contains(first.trim()));
    assert_eq!(up.end("TERM").0, Some(0));
}
