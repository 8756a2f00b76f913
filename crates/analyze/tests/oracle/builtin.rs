//! The names of `pg_catalog` that are carried along are those of a server.

use std::collections::BTreeSet;

use postern_analyze::catalog::{Snapshot, builtin};
use postern_cluster::Installation;

use crate::server::Server;

/// Objects by name: what the OIDs of two installations of one version may differ in is left out.
fn names(snapshot: &Snapshot) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let schema = |oid| {
        snapshot.schemas.iter().find(|schema| schema.oid == oid).map_or("", |schema| schema.name.as_str())
    };
    let system = |oid| matches!(schema(oid), "pg_catalog" | "information_schema");
    let type_name =
        |oid| snapshot.types.iter().find(|found| found.oid == oid).map_or("-", |found| found.name.as_str());
    for r in snapshot.routines.iter().filter(|r| system(r.schema)) {
        let args: Vec<&str> = r.args.iter().map(|&oid| type_name(oid)).collect();
        names.insert(format!(
            "{}({}) {} {} {:?}",
            r.name,
            args.join(","),
            type_name(r.returns),
            r.defaults,
            r.names
        ));
    }
    for o in snapshot.operators.iter().filter(|o| system(o.schema)) {
        names.insert(format!(
            "{}({},{}) {}",
            o.name,
            type_name(o.left),
            type_name(o.right),
            type_name(o.result)
        ));
    }
    for r in snapshot.relations.iter().filter(|r| system(r.schema) && r.kind != 'i') {
        let columns: Vec<_> =
            r.columns.iter().map(|(name, oid)| format!("{name} {}", type_name(*oid))).collect();
        names.insert(format!("{} {} {columns:?}", r.name, r.kind));
    }
    for t in snapshot.types.iter().filter(|t| system(t.schema)) {
        names.insert(format!("type {} {} {} {}", t.name, t.kind, t.category, t.preferred));
    }
    for c in &snapshot.casts {
        names.insert(format!(
            "{} to {} {} {}",
            type_name(c.source),
            type_name(c.target),
            c.context,
            c.binary
        ));
    }
    names
}

#[test]
fn the_names_carried_along_are_the_servers() {
    for installation in Installation::find_plain().unwrap() {
        let server = Server::of(installation);
        let session = server.session("postgres");
        let snapshot = session.snapshot();
        let major = snapshot.version / 10_000;
        if std::env::var_os("BLESS").is_some() {
            let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/catalog/builtin.txt");
            let before = std::fs::read_to_string(&file).unwrap();
            std::fs::write(&file, builtin::renewed(&before, major, &builtin::lines(&snapshot))).unwrap();
            continue;
        }
        // Other versions are for those who make the file.
        if !builtin::versions().contains(&major) {
            continue;
        }
        let (carried, asked) = (names(&builtin::snapshot(major)), names(&snapshot));
        assert!(asked.len() > 4_000, "{}", asked.len());
        let differ: Vec<&String> = carried.symmetric_difference(&asked).collect();
        assert!(differ.is_empty(), "{major}: {differ:#?}");
    }
    assert!(builtin::versions().contains(&15), "the version that Postern is made for");
}
