//! Secrets of HTTP steps: that they arrive, and are nowhere else.

use std::os::unix::fs::{MetadataExt, PermissionsExt};

use crate::http::Scene;

const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const VALUE: &str = "hunter2-and-more";

/// A key file that the server's user can read, and nobody else.
fn key_file(scene: &Scene, name: &str, key: &str) -> std::path::PathBuf {
    let path = scene.stage.cluster.folder().join(name);
    std::fs::write(&path, key).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let server = std::fs::metadata(scene.stage.cluster.socket_dir()).unwrap();
    std::os::unix::fs::chown(&path, Some(server.uid()), Some(server.gid())).unwrap();
    path
}

fn give_key(scene: &Scene, path: &std::path::Path) {
    scene.stage.admin(&format!("alter system set postern.secrets_key_file = '{}'", path.display()));
    scene.stage.admin("select pg_reload_conf()");
    let set = "select setting from pg_settings where name = 'postern.secrets_key_file'";
    scene.stage.until("the server has a key", set, &path.display().to_string());
}

/// A server and a worker with one key, and alice's secret.
fn scene() -> Scene {
    let mut scene = Scene::without_worker();
    let path = key_file(&scene, "key", KEY);
    give_key(&scene, &path);
    scene.key = Some(path);
    scene.hire();
    assert_eq!(scene.stage.run("alice", &format!("select df.set_secret('token', '{VALUE}')")), "OK");
    scene
}

fn with_token(scene: &Scene, path: &str) -> String {
    format!(
        "df.http('{}', 'POST', '{{\"key\": \"{{secret:token}}\"}}', headers => '{{\"Authorization\": \"Bearer {{secret:token}}\"}}')",
        scene.other.url(path)
    )
}

#[test]
fn a_secret_arrives_and_is_nowhere_else() {
    let scene = scene();
    scene.stage.result(&with_token(&scene, "/ok?{secret:token}"));
    let seen = scene.other.requests("/ok").remove(0);
    assert_eq!(seen.header("authorization"), format!("Bearer {VALUE}"));
    assert_eq!(seen.body, format!(r#"{{"key": "{VALUE}"}}"#));
    // What the other side tells of it, in an answer or in an error, is told without it.
    let told = scene.stage.result(&with_token(&scene, "/tell"));
    assert!(told.contains(r#""body": "Bearer {secret:token}""#), "{told}");
    let echoed = scene.stage.result(&with_token(&scene, "/echo"));
    assert!(!echoed.contains(VALUE), "{echoed}");
    let failure = scene.stage.failure(&with_token(&scene, "/fail"));
    assert!(failure.ends_with("returned 500: Bearer {secret:token}"), "{failure}");
    // In no row of the database.
    let dump = scene.stage.cluster.client("pg_dumpall").arg("--exclude-database=template*").output().unwrap();
    assert!(dump.status.success());
    let dump = String::from_utf8_lossy(&dump.stdout);
    assert!(dump.contains("postern.secret"), "the sealed one is in the dump");
    assert!(!dump.contains(VALUE));
    assert_eq!(
        scene.stage.admin(&format!(
            "select count(*) from df.nodes n where n::text like '%{VALUE}%';
             select count(*) from df.history h where h::text like '%{VALUE}%';
             select count(*) from postern.outbound o where o::text like '%{VALUE}%';
             select count(*) from pg_stat_activity where query like '%' || 'hunter2' || '-and-more%' and pid <> pg_backend_pid()"
        )),
        "0\n0\n0\n0"
    );
}

#[test]
fn nobody_reads_a_secret_by_sql() {
    let scene = scene();
    let stage = &scene.stage;
    assert_eq!(stage.run("alice", "select name, owner from df.secrets"), "token|alice");
    assert_eq!(stage.run("bob", "select count(*) from df.secrets"), "0");
    stage.admin("create role watcher login; grant postern_application, postern_admin, postern_monitor, pg_read_all_stats to watcher");
    stage.cluster.set_password("watcher").unwrap();
    for role in ["alice", "bob", "watcher", "postern_outbound"] {
        for sql in [
            "select sealed from postern.secret",
            "select * from postern.secret",
            "select s::text from postern.secret s",
            "copy postern.secret to stdout",
            "update postern.secret set owner = 'bob'",
            "insert into postern.secret select 'bob', name, sealed, set_at from postern.secret",
            "create table app.stolen as select * from postern.secret",
        ] {
            let error = stage.try_run(role, sql).unwrap_err();
            assert!(error.contains("permission denied"), "{role}: {sql}: {error}");
        }
    }
    for (role, sql) in [
        ("alice", "select * from postern.outbound_claim(gen_random_uuid(), 30, 10, '{}')"),
        ("watcher", "select * from postern.outbound_claim(gen_random_uuid(), 30, 10, '{}')"),
        ("alice", "show postern.secrets_key_file"),
        ("alice", "set postern.secrets_key_file = '/etc/passwd'"),
    ] {
        let error = stage.try_run(role, sql).unwrap_err();
        assert!(
            error.contains("permission denied")
                || error.contains("must be")
                || error.contains("cannot be changed"),
            "{role}: {sql}: {error}"
        );
    }
    // Not even whoever may see everything sees the sealed value as a text with the secret in it.
    assert_eq!(
        stage.admin(&format!(
            "select count(*) from postern.secret where encode(sealed, 'escape') like '%{VALUE}%'"
        )),
        "0"
    );
    // Another's secret of the same name is another secret.
    stage.admin("select df.grant_usage('bob', include_http => true); select postern.allow_http(host, 'bob', ports => ports, scheme => scheme) from postern.http_allow");
    let id = stage.run("bob", &format!("select df.start({})", with_token(&scene, "/stolen")));
    assert_eq!(stage.run("bob", &format!("select df.await_instance('{id}')")), "failed");
    assert_eq!(
        stage.run("bob", &format!("select error->>'message' from df.instances where id = '{id}'")),
        "secret 'token' does not exist"
    );
    // A variable or a result that looks like a reference is text.
    stage.run("alice", "select df.setvar('v', '{secret:token}')");
    stage.result(&format!("df.http('{}', 'POST', '{{v}}')", scene.other.url("/text")));
    assert_eq!(scene.other.requests("/text").remove(0).body, "{secret:token}");
}

#[test]
fn a_secret_is_set_outside_steps_and_with_a_key_that_is_kept() {
    let scene = scene();
    let stage = &scene.stage;
    let refused = |sql: &str, words: &str| {
        let error = stage.try_run("alice", sql).unwrap_err();
        assert!(error.contains(words), "{error}");
        assert!(!error.contains("s3cr3t-value"), "{error}");
    };
    let failure = stage.failure("'select df.set_secret(''token'', ''other'')'");
    assert!(failure.contains("cannot be called inside a workflow"), "{failure}");
    refused("select df.set_secret('no such-name', 's3cr3t-value')", "invalid name");
    refused("select df.set_secret('empty', '')", "between 1 byte and 64 kB");
    refused("select df.set_secret('long', repeat('s3cr3t-value', 10000))", "between 1 byte and 64 kB");
    let log = std::fs::read_to_string(stage.cluster.folder().join("log")).unwrap();
    assert!(log.contains("STATEMENT:  SELECT df.set_secret(...)") && !log.contains("s3cr3t-value"), "{log}");
    // Who looks at the session that sets one sees other words.
    stage.run(
        "alice",
        "do $$ begin
             perform df.set_secret('seen', 's3cr3t-value'), pg_stat_clear_snapshot();
             if exists (select from pg_stat_activity where pid = pg_backend_pid() and query like '%s3cr3t-%') then
                 raise exception 'it can be seen';
             end if;
         end $$",
    );
    refused("select df.drop_secret('nothing')", "does not exist");
    // One that was set again counts from the next request on; one that is rolled back does not.
    stage.run("alice", "begin; select df.set_secret('token', 'rolled-back'); rollback; select df.set_secret('token', 'second-one')");
    stage.result(&with_token(&scene, "/second"));
    assert_eq!(scene.other.requests("/second").remove(0).header("authorization"), "Bearer second-one");
    // A worker without the key, or with another one, sends nothing.
    give_key(&scene, &key_file(&scene, "other-key", &KEY.replace("00", "ff")));
    stage.run("alice", "select df.set_secret('token', 'sealed-otherwise')");
    let failure = stage.failure(&with_token(&scene, "/other"));
    assert_eq!(failure, "secret 'token' cannot be opened with the key of the outbound worker");
    assert!(scene.other.requests("/other").is_empty());
    // A key that everybody can read is none, nor is what is no key.
    let open = key_file(&scene, "open-key", KEY);
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o644)).unwrap();
    give_key(&scene, &open);
    refused("select df.set_secret('token', 's3cr3t-value')", "there is no key for secrets");
    give_key(&scene, &key_file(&scene, "no-key", "password"));
    refused("select df.set_secret('token', 's3cr3t-value')", "there is no key for secrets");
    assert_eq!(stage.run("alice", "select df.drop_secret('token')"), "OK");
    assert_eq!(stage.failure(&with_token(&scene, "/gone")), "secret 'token' does not exist");
}

#[test]
fn a_secret_does_not_lead_elsewhere() {
    let scene = scene();
    let stage = &scene.stage;
    stage.run("alice", "select df.set_secret('host', '@127.0.0.1:1/')");
    let failure = stage.failure(&format!(
        "df.http('http://localhost:{}{{secret:host}}', 'GET')",
        scene.other.address.port()
    ));
    assert!(failure.starts_with("Blocked: "), "{failure}");
}

#[test]
fn redirects_are_followed_as_far_as_is_allowed_and_each_is_checked() {
    let mut scene = scene();
    scene.dismiss();
    scene.redirects = 2;
    scene.hire();
    let stage = &scene.stage;
    let to = |url: &str| scene.other.url(&format!("/to?{url}"));
    let get = |url: &str| format!("df.http('{url}', 'GET')");
    let ok = scene.other.url("/ok");
    let answer = stage.result(&get(&to(&ok)));
    assert!(answer.contains(r#""body": "fine""#), "{answer}");
    assert!(stage.result(&get(&to("/ok"))).contains(r#""status": 200"#), "a relative one");
    // Not on the list; an address; a private name; another scheme; too many.
    for (url, words) in [
        ("http://elsewhere.example/", "is not in the allowed endpoint list"),
        ("http://169.254.169.254/latest/meta-data", "bare IP addresses are not permitted"),
        ("http://2130706433/", "bare IP addresses are not permitted"),
        ("file:///etc/passwd", "unsupported URL scheme"),
        ("http://localhost:2/", "is not in the allowed endpoint list"),
        ("http://localhost:1/", "is in a restricted range"),
    ] {
        let failure = stage.failure(&get(&to(url)));
        assert!(failure.contains(words), "{url}: {failure}");
    }
    let failure = stage.failure(&get(&scene.other.url("/to?/to?/to?/ok")));
    assert!(failure.contains("was redirected more than 2 times"), "{failure}");
    // Within one place a secret goes along. A POST becomes a GET, unless it is to stay one.
    stage.result(&with_token(&scene, "/to?/there"));
    let there = scene.other.requests("/there").remove(0);
    assert_eq!((there.line.as_str(), there.body.as_str()), ("GET /there", ""));
    assert_eq!(there.header("authorization"), format!("Bearer {VALUE}"));
    stage.result(&with_token(&scene, "/keep?/here"));
    let here = scene.other.requests("/here").remove(0);
    assert_eq!((here.line.as_str(), here.body.contains(VALUE)), ("POST /here", true));
    assert_eq!(scene.other.requests("/never-asked").len(), 0);
}

#[test]
fn a_redirect_takes_no_secret_to_another_place() {
    let mut scene = scene();
    scene.dismiss();
    scene.redirects = 2;
    // The same machine under another name is another place.
    let port = scene.other.address.port();
    scene.stage.admin(&format!(
        "alter system set postern.http_private_hosts = 'localhost:{port}, 127.0.0.1:{port}'"
    ));
    scene.stage.admin("select pg_reload_conf()");
    let set = "select setting like '%127.0.0.1%' from pg_settings where name = 'postern.http_private_hosts'";
    scene.stage.until("it is another place that may be asked", set, "t");
    scene.stage.admin(&format!(
        "select postern.allow_http('p127', 'alice'); update postern.http_allow set host = '127.0.0.1', ports = array[{port}], scheme = 'http' where host = 'p127'"
    ));
    scene.hire();
    let elsewhere = format!("http://127.0.0.1:{port}/elsewhere");
    scene.stage.result(&with_token(&scene, &format!("/to?{elsewhere}")));
    let seen = scene.other.requests("/elsewhere").remove(0);
    assert_eq!((seen.header("authorization"), seen.body.as_str()), (String::new(), ""));
    let failure = scene.stage.failure(&with_token(&scene, &format!("/keep?{elsewhere}")));
    assert_eq!(failure, "Blocked: a redirect would take a secret elsewhere.");
}
