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

/// A program as the account that a cluster's data folder belongs to.
fn as_owner(cluster: &Cluster, program: &Path) -> Command {
    let owner = fs::metadata(cluster.folder().join("data")).expect("its data");
    let ours = fs::metadata("/proc/self").expect("this process").uid();
    let mut command = if ours == owner.uid() {
        Command::new(program)
    } else {
        let mut command = Command::new("setpriv");
        command
            .arg(format!("--reuid={}", owner.uid()))
            .arg(format!("--regid={}", owner.gid()))
            .args(["--clear-groups", "--"])
            .arg(program);
        command
    };
    command.env("HOME", cluster.socket_dir()).current_dir(cluster.socket_dir());
    command
}

/// Upgrades one cluster into another. Both are stopped.
pub fn pg_upgrade(old: &Cluster, new: &Cluster) {
    let data = |cluster: &Cluster| cluster.folder().join("data");
    if old.installation().major < 18 && new.installation().major >= 18 {
        // From 18 on a cluster has checksums unless one says otherwise, and both must be alike.
        let mut command = as_owner(new, &new.installation().program("pg_checksums"));
        let done = command.arg("--disable").arg("-D").arg(data(new)).output().expect("pg_checksums starts");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }
    let mut command = as_owner(new, &new.installation().program("pg_upgrade"));
    // A server knows nothing of where ours have their settings.
    let options =
        |cluster: &Cluster| format!("-c config_file={}", cluster.folder().join("postgresql.conf").display());
    let bin =
        |cluster: &Cluster| cluster.installation().program("postgres").parent().expect("a folder").to_owned();
    command.arg("-b").arg(bin(old)).arg("-B").arg(bin(new)).arg("-d").arg(data(old)).arg("-D").arg(data(new));
    command.arg("-o").arg(options(old)).arg("-O").arg(options(new)).arg("-U").arg(old.superuser());
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
