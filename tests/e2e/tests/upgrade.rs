//! An older version of the extension, updated, is the same as a fresh one: definitions, privileges, comments, all of it.
//!
//! **How it works.** Every version that the extension's folder has a script of is installed and updated. As long as none was
//! released, a made-up one is: today's script without one function, whose definition is the upgrade.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::path::Path;

use postern_cluster::{Cluster, ExtensionLookup, Installation, skipped};
use postern_e2e::{CATALOG, copy_of_extension};

/// The version that is made up.
const OLD: &str = "0.0.0";

/// Today's script in two: without a function, and what makes the function, with its privileges and comment.
fn split(script: &str) -> (String, String) {
    let begin = script.find("CREATE FUNCTION postern.dismiss(").expect("the function");
    let comment = begin + script[begin..].find("COMMENT ON FUNCTION postern.dismiss(").expect("its comment");
    let end = comment + script[comment..].find(";\n").expect("the end of the comment") + 2;
    (format!("{}{}", &script[..begin], &script[end..]), script[begin..end].to_owned())
}

/// The versions older than today's that can be installed.
fn versions(scripts: &Path) -> Vec<String> {
    let names = fs::read_dir(scripts).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let versions = names.filter_map(|name| {
        let version = name.strip_prefix("postern--")?.strip_suffix(".sql")?;
        (!version.contains("--") && version != env!("CARGO_PKG_VERSION")).then(|| version.to_owned())
    });
    versions.collect()
}

/// A cluster whose extension has the made-up version too, with an upgrade from it; what a fresh installation has in its
/// catalog; and the older versions.
fn cluster(server: &Installation, upgrade: impl FnOnce(String) -> String) -> (Cluster, String, Vec<String>) {
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    let scripts = copy_of_extension(server.major, folder.path());
    let version = env!("CARGO_PKG_VERSION");
    let script = fs::read_to_string(scripts.join(format!("postern--{version}.sql"))).unwrap();
    let (old, rest) = split(&script);
    fs::write(scripts.join(format!("postern--{OLD}.sql")), old).unwrap();
    fs::write(scripts.join(format!("postern--{OLD}--{version}.sql")), upgrade(rest)).unwrap();
    let builder = Cluster::builder().installation(server.clone()).extension(true);
    let cluster = builder.extension_dir(folder.path()).start().unwrap();
    cluster.create_database("fresh", true).unwrap();
    let fresh = cluster.psql("fresh", CATALOG).unwrap();
    (cluster, fresh, versions(&scripts))
}

/// The catalog of a database where `version` was installed and updated.
fn updated(cluster: &Cluster, version: &str) -> String {
    let database = format!("from_{version}");
    cluster.create_database(&database, false).unwrap();
    let sql = format!("create extension postern version '{version}'");
    cluster.psql(&database, &sql).unwrap();
    cluster.psql(&database, "alter extension postern update").unwrap();
    cluster.psql(&database, CATALOG).unwrap()
}

/// The server, unless its extensions lie where others would find ours.
fn server() -> Option<Installation> {
    let server = Installation::find().unwrap();
    if server.extension_lookup().unwrap() == ExtensionLookup::Share {
        skipped("upgrade", "this server finds extensions in its own folder only");
        return None;
    }
    Some(server)
}

#[test]
fn an_updated_extension_is_a_fresh_one() {
    let Some(server) = server() else { return };
    let (cluster, fresh, versions) = cluster(&server, |upgrade| upgrade);
    assert!(fresh.contains("dismiss") && fresh.contains("postern_admin=X"), "{fresh}");
    assert!(versions.iter().any(|version| version == OLD), "{versions:?}");
    for version in &versions {
        assert_eq!(updated(&cluster, version), fresh, "from {version}");
    }
}

#[test]
fn an_upgrade_that_forgets_something_is_noticed() {
    let Some(server) = server() else { return };
    for forgotten in ["REVOKE ALL ON FUNCTION postern.dismiss", "COMMENT ON FUNCTION postern.dismiss"] {
        let (cluster, fresh, _) = cluster(&server, |upgrade| {
            let begin = upgrade.find(forgotten).unwrap();
            let end = begin + upgrade[begin..].find(";\n").unwrap();
            format!("{}{}", &upgrade[..begin], &upgrade[end..])
        });
        assert_ne!(updated(&cluster, OLD), fresh, "{forgotten}");
    }
}
