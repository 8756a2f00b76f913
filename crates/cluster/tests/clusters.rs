//! Real servers: started, stopped, killed, copied. What a test says is its name.

#![allow(clippy::unwrap_used, reason = "a test ends where something is wrong")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use postern_cluster::{Address, Cluster, Error, Mode, SharedTemplates, skipped};

/// A folder for a persistent cluster, which any account may enter.
fn project() -> tempfile::TempDir {
    let folder = tempfile::Builder::new().prefix("postern-test-").tempdir_in("/var/tmp").unwrap();
    fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    folder
}

/// Waits for something that another process does.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_mins(1), "not within a minute: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn lives(pid: u32) -> bool {
    // A killed process stays in the list until its parent has looked.
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

#[test]
fn a_cluster_runs_sql_as_the_superuser_and_is_gone_afterwards() {
    let cluster = Cluster::builder().start().unwrap();
    assert_eq!(cluster.psql("postgres", "select current_user, 1 + 1; select 'x'").unwrap(), "postgres|2\nx");
    let (folder, pid) = (cluster.folder().to_owned(), cluster.pid().unwrap());
    assert!(folder.is_dir() && lives(pid));
    drop(cluster);
    assert!(!folder.exists() && !lives(pid));
}

#[test]
fn two_clusters_run_at_once_and_know_nothing_of_each_other() {
    let (one, other) = std::thread::scope(|scope| {
        let one = scope.spawn(|| Cluster::builder().start().unwrap());
        let other = scope.spawn(|| Cluster::builder().start().unwrap());
        (one.join().unwrap(), other.join().unwrap())
    });
    one.create_database("only here", false).unwrap();
    assert!(one.has_database("only here").unwrap());
    assert!(!other.has_database("only here").unwrap());
    assert_ne!(one.folder(), other.folder());
}

#[test]
fn a_failing_statement_is_an_error_with_the_servers_words() {
    let cluster = Cluster::builder().start().unwrap();
    let error = cluster.psql("postgres", "select 1;\nselect 1/0; select 2").unwrap_err();
    assert!(error.to_string().contains("division by zero"), "{error}");
}

#[test]
fn nobody_gets_in_without_the_password() {
    let cluster = Cluster::builder().start().unwrap();
    let hba = cluster.psql("postgres", "select distinct auth_method from pg_hba_file_rules").unwrap();
    assert_eq!(hba, "scram-sha-256");
    cluster.psql("postgres", "create role \"a:b\" login").unwrap();
    let error = cluster.psql_as("a:b", "postgres", "select 1").unwrap_err();
    assert!(error.to_string().contains("no password supplied"), "{error}");
    cluster.set_password("a:b").unwrap();
    assert_eq!(cluster.psql_as("a:b", "postgres", "select current_user").unwrap(), "a:b");
    let url = cluster.url("a:b", "postgres");
    let output = cluster.client("psql").args(["-XAtw", &url, "-c", "select 1"]).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "1\n", "{url}");
}

#[test]
fn a_server_listens_on_tcp_only_if_asked() {
    let quiet = Cluster::builder().start().unwrap();
    assert_eq!(quiet.psql("postgres", "show listen_addresses").unwrap(), "");
    let loud = Cluster::builder().tcp().start().unwrap();
    std::net::TcpStream::connect(("127.0.0.1", loud.port())).unwrap();
}

#[test]
fn settings_are_the_callers_and_stay_over_a_restart() {
    let cluster = Cluster::builder().setting("application_name", r"it's \x").start().unwrap();
    let show = || {
        cluster
            .psql("postgres", "select reset_val from pg_settings where name = 'application_name'; show fsync")
    };
    cluster.psql("postgres", "alter system set work_mem = '5MB'").unwrap();
    let before = cluster.pid();
    cluster.restart().unwrap();
    assert_ne!(cluster.pid(), before);
    assert_eq!(cluster.psql("postgres", "show work_mem").unwrap(), "5MB");
    let sql = "select setting from pg_file_settings where name = 'application_name'";
    assert_eq!(cluster.psql("postgres", sql).unwrap(), r"it's \x");
    assert!(show().unwrap().ends_with("off"));
}

#[test]
fn a_killed_server_recovers_what_was_committed() {
    for mode in [Mode::Kill, Mode::Immediate] {
        let cluster = Cluster::builder().setting("fsync", "on").start().unwrap();
        cluster.psql("postgres", "create table t as select generate_series(1, 1000) i").unwrap();
        cluster.stop(mode).unwrap();
        assert_eq!(cluster.pid(), None);
        assert!(cluster.psql("postgres", "select 1").is_err());
        cluster.start_again().unwrap();
        assert_eq!(cluster.psql("postgres", "select count(*) from t").unwrap(), "1000");
        assert!(matches!(cluster.start_again(), Err(Error::Running)));
    }
}

#[test]
fn a_server_that_cannot_start_says_why() {
    let error = Cluster::builder().setting("shared_buffers", "lots").start().unwrap_err();
    assert!(matches!(&error, Error::Start { log, .. } if log.contains("shared_buffers")), "{error}");
}

#[test]
fn a_standby_follows_and_refuses_to_write() {
    let primary = Cluster::builder().start().unwrap();
    let standby = primary.standby().unwrap();
    primary.psql("postgres", "create table t as select 7 as i").unwrap();
    standby.catch_up_with(&primary).unwrap();
    assert_eq!(standby.psql("postgres", "select i, pg_is_in_recovery() from t").unwrap(), "7|t");
    let error = standby.psql("postgres", "insert into t values (8)").unwrap_err();
    assert!(error.to_string().contains("read-only transaction"), "{error}");
    standby.restart().unwrap();
    primary.psql("postgres", "update t set i = 9").unwrap();
    standby.catch_up_with(&primary).unwrap();
    assert_eq!(standby.psql("postgres", "select i from t").unwrap(), "9");
}

#[test]
fn a_persistent_cluster_keeps_its_data_and_passwords() {
    let project = project();
    let folder = project.path().join(".postern/pg");
    let open = || Cluster::builder().open_or_init(&folder).unwrap();
    let cluster = open();
    cluster.psql("postgres", "create role r login; create table t as select 1 i").unwrap();
    let password = cluster.set_password("r").unwrap();
    let url = cluster.url("r", "postgres");
    assert_eq!(Address::of(&folder).unwrap().url("r", "postgres"), url);
    assert!(matches!(Cluster::builder().open_or_init(&folder), Err(Error::InUse { .. })));
    let pid = cluster.pid().unwrap();
    drop(cluster);
    assert!(!lives(pid));
    assert!(matches!(Address::of(&folder), Err(Error::NotRunning)));
    let cluster = open();
    assert_eq!(cluster.password("r"), Some(password));
    assert_eq!(cluster.psql("postgres", "select i from t").unwrap(), "1");
    assert_eq!(cluster.psql("postgres", "show fsync").unwrap(), "on");
}

#[test]
fn a_lock_file_that_names_a_living_stranger_does_not_stop_the_next_start() {
    let project = project();
    let folder = project.path().join("pg");
    let cluster = Cluster::builder().open_or_init(&folder).unwrap();
    cluster.psql("postgres", "create table t as select 1 i").unwrap();
    let (lock, socket) = (folder.join("data/postmaster.pid"), cluster.socket_dir().join(".s.PGSQL.5432"));
    let text = fs::read_to_string(&lock).unwrap();
    cluster.stop(Mode::Kill).unwrap();
    // As after a reboot: the number is now that of another process, which the server may even signal.
    let mut stranger = std::process::Command::new("sleep").arg("600").spawn().unwrap();
    let (_, rest) = text.split_once('\n').unwrap();
    fs::write(&lock, format!("{}\n{rest}", stranger.id())).unwrap();
    fs::write(socket.with_extension("5432.lock"), format!("{}\n", stranger.id())).unwrap();
    assert!(socket.exists());
    let started = cluster.start_again();
    assert!(lives(stranger.id()), "a stranger was signalled");
    stranger.kill().unwrap();
    stranger.wait().unwrap();
    started.unwrap();
    assert_eq!(cluster.psql("postgres", "select i from t").unwrap(), "1");
}

#[test]
fn a_project_that_the_servers_user_cannot_enter_gets_its_data_elsewhere() {
    let project = project();
    let closed = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    fs::set_permissions(project.path(), closed).unwrap();
    let folder = project.path().join(".postern/pg");
    let cluster = Cluster::builder().open_or_init(&folder).unwrap();
    // Only root runs the server as someone else.
    let Some(real) = cluster.moved_to().map(Path::to_owned) else {
        return skipped(
            "a_project_that_the_servers_user_cannot_enter",
            "only root runs the server as another user",
        );
    };
    assert!(real.starts_with("/var/tmp") && !real.starts_with(project.path()));
    assert_eq!(fs::read_link(&folder).unwrap(), real);
    cluster.psql("postgres", "create table t as select 1 i").unwrap();
    assert_eq!(Address::of(&folder).unwrap().socket_dir(), cluster.socket_dir());
    drop(cluster);
    let again = Cluster::builder().open_or_init(&folder).unwrap();
    assert_eq!(again.psql("postgres", "select i from t").unwrap(), "1");
    drop(again);
    fs::remove_dir_all(real).unwrap();
}

/// Runs this test binary once more as another process, which makes a cluster, says where, and waits to be killed.
fn killed_while_holding(kind: &str, folder: &Path) -> (PathBuf, u32) {
    killed_while_holding_with(kind, folder, None)
}

fn killed_while_holding_with(kind: &str, folder: &Path, templates: Option<&Path>) -> (PathBuf, u32) {
    use std::io::BufRead as _;
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "holder", "--nocapture"]).env("HOLD", kind).env("HOLD_FOLDER", folder);
    if let Some(templates) = templates {
        command.env("POSTERN_CLUSTER_TEMPLATE", templates);
    }
    let mut other = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let output = std::io::BufReader::new(other.stdout.take().unwrap());
    let line = output.lines().map_while(Result::ok).find(|line| line.contains("HELD ")).unwrap();
    let mut words = line.split("HELD ").nth(1).unwrap().split(' ');
    let found = (PathBuf::from(words.next().unwrap()), words.next().unwrap().parse().unwrap());
    assert!(lives(found.1));
    other.kill().unwrap();
    other.wait().unwrap();
    found
}

/// Not a test by itself: the process that the next two kill.
#[test]
fn holder() {
    let Ok(kind) = std::env::var("HOLD") else { return };
    let folder = PathBuf::from(std::env::var_os("HOLD_FOLDER").unwrap());
    let cluster = match kind.as_str() {
        "temporary" => Cluster::builder().start().unwrap(),
        "in a room" => Cluster::builder().under(&folder).start().unwrap(),
        _ => Cluster::builder().open_or_init(&folder).unwrap(),
    };
    cluster.psql("postgres", "create table if not exists t as select 1 i").unwrap();
    println!("\nHELD {} {} .", cluster.folder().display(), cluster.pid().unwrap());
    std::thread::sleep(Duration::from_mins(2));
}

#[test]
fn a_temporary_cluster_goes_away_when_its_process_is_killed() {
    let (folder, pid) = killed_while_holding("temporary", Path::new("-"));
    until("the server has ended", || !lives(pid));
    until("the folder is gone", || !folder.exists());
}

#[test]
fn a_temporary_cluster_that_is_being_made_goes_away_when_its_process_is_killed() {
    let room = project();
    let mut other = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "holder", "--nocapture"])
        .env("HOLD", "in a room")
        .env("HOLD_FOLDER", room.path())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let made = || fs::read_dir(room.path()).unwrap().map(|entry| entry.unwrap().path());
    until("its data is being copied", || made().any(|folder| folder.join("data").exists()));
    other.kill().unwrap();
    other.wait().unwrap();
    until("the folder is gone", || made().next().is_none());
}

#[test]
fn a_persistent_cluster_opens_at_once_after_its_process_was_killed() {
    let project = project();
    let folder = project.path().join("pg");
    let (_, pid) = killed_while_holding("persistent", &folder);
    let cluster = Cluster::builder().open_or_init(&folder).unwrap();
    assert!(!lives(pid));
    assert_eq!(cluster.psql("postgres", "select i from t").unwrap(), "1");
}

#[test]
fn data_of_another_version_is_refused() {
    let project = project();
    let folder = project.path().join("pg");
    drop(Cluster::builder().open_or_init(&folder).unwrap());
    fs::write(folder.join("data/PG_VERSION"), "9\n").unwrap();
    let error = Cluster::builder().open_or_init(&folder).unwrap_err();
    assert!(matches!(&error, Error::WrongVersion { found, .. } if found == "9"), "{error}");
}

#[test]
fn the_extension_is_loaded_from_a_copy_and_follows_to_the_standby() {
    let cluster = Cluster::builder().extension(true).setting("shared_preload_libraries", "plpgsql").start();
    let cluster = match cluster {
        Err(error @ Error::NoExtension { .. }) => {
            return skipped("the_extension_is_loaded_from_a_copy", error);
        }
        other => other.unwrap(),
    };
    assert_eq!(cluster.psql("postgres", "show shared_preload_libraries").unwrap(), "postern,plpgsql");
    let version = "select extversion from pg_extension where extname = 'postern'";
    assert!(!cluster.psql("postgres", version).unwrap().is_empty());
    assert_eq!(cluster.psql("template1", version).unwrap(), "");
    cluster.create_database("other", true).unwrap();
    assert!(!cluster.psql("other", version).unwrap().is_empty());
    let maps = fs::read_to_string(format!("/proc/{}/maps", cluster.pid().unwrap())).unwrap();
    let copy = cluster.folder().join("extension/lib/postern.so");
    assert!(maps.contains(copy.to_str().unwrap()), "{maps}");
    let standby = cluster.standby().unwrap();
    standby.catch_up_with(&cluster).unwrap();
    assert_eq!(standby.psql("postgres", "show shared_preload_libraries").unwrap(), "postern,plpgsql");
    assert!(!standby.psql("postgres", version).unwrap().is_empty());
}

#[test]
fn processes_can_share_a_template_which_then_goes_away() {
    let shared = SharedTemplates::new().unwrap();
    let folder = shared.folder().to_owned();
    let (one, _) = killed_while_holding_with("temporary", Path::new("-"), Some(&folder));
    let (other, _) = killed_while_holding_with("temporary", Path::new("-"), Some(&folder));
    assert_ne!(one, other);
    let templates = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    assert_eq!(templates.filter(|path| path.join("data/PG_VERSION").is_file()).count(), 1);
    drop(shared);
    assert!(!folder.exists());
}

#[test]
fn an_extension_that_is_not_built_is_an_error_that_says_what_to_do() {
    let empty = tempfile::tempdir().unwrap();
    let error = Cluster::builder().extension(true).extension_dir(empty.path()).start().unwrap_err();
    assert!(error.to_string().contains("cargo xtask build-extension"), "{error}");
}
