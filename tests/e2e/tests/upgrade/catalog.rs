//! An older version of the extension, updated, is the same as a fresh one: definitions, privileges, comments, all of it.
//!
//! **How it works.** Every version that the extension's folder has a script of is installed and updated, under default privileges that
//! reach too far, and under all of our rules. A made-up one is as well: today's script without one function, whose definition is the upgrade.

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
    // A made-up version has only what it was made for.
    if version != OLD {
        cluster.psql(&database, UNDER_WAY).unwrap();
    }
    cluster
        .psql(
            &database,
            "set postern.definer_rule = error; set postern.definer_rule_in_extensions = on; set postern.trigger_rule = error;
             set postern.direct_grants = error; set search_path = ''; alter extension postern update",
        )
        .unwrap();
    if version != OLD {
        cluster.psql(&database, "drop event trigger watch; drop publication everything").unwrap();
    }
    cluster.psql(&database, CATALOG).unwrap()
}

/// What an administrator may have done: default privileges, a publication of everything, an event trigger.
const UNDER_WAY: &str = "
    do $$ begin create role generous nologin; exception when duplicate_object then null; end $$;
    alter default privileges grant all on tables to generous;
    alter default privileges grant all on functions to generous;
    alter default privileges grant all on sequences to generous;
    alter default privileges grant all on schemas to generous;
    set postern.trigger_rule = off; create publication everything for all tables; reset postern.trigger_rule;
    create function public.watch() returns event_trigger language plpgsql set search_path = pg_catalog, pg_temp as 'begin perform * from pg_event_trigger_ddl_commands(); end';
    create event trigger watch on ddl_command_end execute function public.watch()";

/// What one has and the other has not: what an upgrade script lacks, or does too much.
fn difference(updated: &str, fresh: &str) -> String {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<std::collections::BTreeSet<_>>();
    let (updated, fresh) = (lines(updated), lines(fresh));
    let missing = fresh.difference(&updated).map(|line| format!("+ {line}"));
    let extra = updated.difference(&fresh).map(|line| format!("- {line}"));
    extra.chain(missing).collect::<Vec<_>>().join("\n")
}

/// The server, unless its extensions lie where others would find ours.
pub fn server() -> Option<Installation> {
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
        let difference = difference(&updated(&cluster, version), &fresh);
        assert!(difference.is_empty(), "updated from {version} (-), fresh (+):\n{difference}");
    }
    assert!(versions.iter().any(|version| version == "0.1.0"), "{versions:?}");
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
