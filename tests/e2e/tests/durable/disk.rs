//! A disk that is full.
//!
//! **How it works.** The test runs itself once more in a mount namespace of its own, where it puts a small file system under the
//! server. Namespace and file system go away with the process, however it ends. Where that is not allowed, the test says so.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use postern_cluster::{Cluster, Mode, skipped};

use crate::faults::chains;
use crate::stage::Stage;

const NAME: &str = "disk::each_step_takes_effect_once_though_the_disk_is_full_now_and_then";
/// Where the one that runs in the namespace may mount its file system.
const INSIDE: &str = "POSTERN_TEST_OWN_MOUNTS";

#[test]
fn each_step_takes_effect_once_though_the_disk_is_full_now_and_then() {
    if let Some(room) = std::env::var_os(INSIDE) {
        return inside(Path::new(&room));
    }
    let may =
        Command::new("unshare").args(["--mount", "--", "mount", "-t", "tmpfs", "none", "/mnt"]).output();
    match may {
        Ok(output) if output.status.success() => {}
        Ok(output) => {
            let why = String::from_utf8_lossy(&output.stderr);
            return skipped(NAME, format!("a file system of its own cannot be mounted: {}", why.trim()));
        }
        Err(error) => return skipped(NAME, format!("unshare: {error}")),
    }
    // Made and removed out here: in there it is in use to the end.
    let room = tempfile::Builder::new().prefix("pd-").tempdir_in("/var/tmp").unwrap();
    let own = std::env::current_exe().unwrap();
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "--"]).arg(own);
    let output = command.args(["--exact", NAME, "--nocapture"]).env(INSIDE, room.path()).output().unwrap();
    assert!(
        output.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

fn inside(room: &Path) {
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=240m,mode=0755", "none"])
        .arg(room)
        .status()
        .unwrap();
    assert!(mounted.success());
    let stage = Stage::with(
        Cluster::builder()
            .under(room)
            .setting("fsync", "on")
            .setting("restart_after_crash", "on")
            .setting("min_wal_size", "32MB")
            .setting("max_wal_size", "48MB")
            .setting("wal_recycle", "off")
            // What is written outside the log fills the disk too.
            .setting("full_page_writes", "on"),
    );
    let (count, steps) = (20, 60);
    chains(&stage, count, steps);
    let ballast = room.join("ballast");
    for round in 1..=3 {
        let more = count * steps * round / 6;
        let some = format!("select count(*) >= {more} from app.effects");
        stage.until("more has happened", &some, "t");
        fill(&ballast);
        // Either the log cannot be written, and the server goes down; or a table cannot grow.
        until_nothing_moves(&stage);
        if round == 2 && stage.cluster.pid().is_some() {
            stage.cluster.stop(Mode::Immediate).unwrap();
        }
        fs::remove_file(&ballast).unwrap();
        until_up(&stage);
    }
    stage.until(
        "all chains end",
        "select count(*) from postern.instance where label = 'chain' and ended_at is not null",
        &count.to_string(),
    );
    // A statement of a function that met the full disk has failed, and its function with it. What is recorded took effect once,
    // and nothing else did.
    let recorded = "select p.instance, row_number() over (partition by p.instance order by p.n) as step
                      from postern.step p where p.status = 'completed'";
    let done = "select chain, step from app.effects";
    assert_eq!(
        stage.admin(&format!(
            "select (select count(*) from (({recorded}) except all ({done})) a), (select count(*) from (({done}) except all ({recorded})) b)"
        )),
        "0|0"
    );
    assert_eq!(
        stage.admin(
            "select count(*) from postern.instance where status <> 'completed' and error->>'sqlstate' not like '53%'"
        ),
        "0"
    );
    assert_eq!(stage.admin("select count(*) from postern.strand"), "0");
}

/// Writes until nothing fits.
fn fill(file: &Path) {
    let mut file = File::create(file).unwrap();
    let block = vec![0x5a_u8; 64 * 1024];
    while file.write_all(&block).is_ok() {}
    let small = [0x5a_u8; 1024];
    while file.write_all(&small).is_ok() {}
}

/// Waits until no step runs any more, or the server is down.
fn until_nothing_moves(stage: &Stage) {
    let (mut last, mut same) = (String::new(), 0);
    for _ in 0..3_000 {
        match stage.cluster.psql("postgres", "select count(*) from app.effects") {
            Err(_) => return,
            Ok(now) if now == last => same += 1,
            Ok(now) => (last, same) = (now, 0),
        }
        if same == 10 {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("the disk is full, and steps go on");
}

/// Waits until the server can be asked, and starts it when it is down: without space it cannot recover by itself.
fn until_up(stage: &Stage) {
    for _ in 0..3_000 {
        if stage.cluster.pid().is_none() {
            // It may just be going down.
            let _ = stage.cluster.start_again();
        }
        if stage.cluster.psql("postgres", "create table app.probe as select 1; drop table app.probe").is_ok()
        {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("the server does not come back");
}
