//! `pg_upgrade` between two private clusters.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use postern_cluster::Cluster;

/// The file for `hba_file` that pg_upgrade needs, which knows no password, and the folder that it is in.
pub fn admit_everybody() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir_in("/var/tmp").expect("a folder");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("its mode");
    let hba = folder.path().join("hba");
    fs::write(&hba, "local all all trust\n").expect("a file");
    let name = hba.to_string_lossy().into_owned();
    (folder, name)
}

/// Upgrades one cluster into another, as the account that the data folder belongs to. Both are stopped.
pub fn pg_upgrade(old: &Cluster, new: &Cluster) {
    let data = |cluster: &Cluster| cluster.folder().join("data");
    let (uid, gid) = fs::metadata(data(old)).map(|data| (data.uid(), data.gid())).expect("it works");
    let (ours, _) = fs::metadata("/proc/self").map(|ours| (ours.uid(), ours.gid())).expect("it works");
    let program = new.installation().program("pg_upgrade");
    let mut command = if ours == uid {
        Command::new(program)
    } else {
        let mut command = Command::new("setpriv");
        command
            .arg(format!("--reuid={uid}"))
            .arg(format!("--regid={gid}"))
            .args(["--clear-groups", "--"])
            .arg(program);
        command
    };
    // A server knows nothing of where ours have their settings.
    let options =
        |cluster: &Cluster| format!("-c config_file={}", cluster.folder().join("postgresql.conf").display());
    let bin =
        |cluster: &Cluster| cluster.installation().program("postgres").parent().expect("a folder").to_owned();
    command.arg("-b").arg(bin(old)).arg("-B").arg(bin(new)).arg("-d").arg(data(old)).arg("-D").arg(data(new));
    command.arg("-o").arg(options(old)).arg("-O").arg(options(new)).arg("-U").arg(old.superuser());
    command.env("HOME", new.socket_dir()).current_dir(new.socket_dir());
    let output = command.output().expect("it works");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{text}\n{}\n{}",
        String::from_utf8_lossy(&output.stderr),
        logs(&data(new))
    );
}

/// What it has written down of a failure.
fn logs(folder: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(folder.join("pg_upgrade_output.d")).into_iter().flatten().flatten() {
        for file in fs::read_dir(entry.path().join("log")).into_iter().flatten().flatten() {
            text += &fs::read_to_string(file.path()).unwrap_or_default();
        }
    }
    text.lines()
        .filter(|line| line.contains("ERROR") || line.contains("FATAL"))
        .collect::<Vec<_>>()
        .join("\n")
}
