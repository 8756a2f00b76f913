//! The same on every version of the server that is supported, as far as servers can be had (`cargo xtask fetch-servers`).
//!
//! Version 15 is the one that everything else here is tested with; the corpus of public extensions is for it alone.

use postern_analyze::catalog::Snapshot;
use postern_cluster::Installation;

use crate::server::{Server, Session};
use crate::{bodies, captures, check, fix, requirement, statements, views};

fn on(major: u32) {
    let found = Installation::find_plain().unwrap().into_iter().find(|server| server.major == major);
    let Some(installation) = found else {
        let test = format!("names on PostgreSQL {major}");
        postern_cluster::skipped(&test, "there is no such server here (cargo xtask fetch-servers)");
        return;
    };
    let server = Server::of(installation.clone());
    let database = |name: &str| {
        server.session("postgres").run(&format!("CREATE DATABASE {name}"));
        server.session(name)
    };
    requirement::three_functions(&database("three"));
    requirement::temporary_pg_class(&database("temporary"));
    views::every_view(&database("views"));
    // The packages of 16 and 18 come without contrib.
    bodies::every_extension(&database("bodies"));
    fix::every_fix(&database("fixes"));
    let never = statements::every_statement(&database("statements"));
    let unexpected = statements::unexpected(&never, major);
    assert!(unexpected.is_empty(), "never accepted by {major}: {unexpected:#?}");
    // These make roles, of which a cluster has one set.
    captures::every_capture(&Server::of(installation.clone()).session("postgres"));
    check::every_expression(&Server::of(installation.clone()).session("postgres"));
    let cases = Server::of(installation);
    let session = cases.session("postgres");
    check::every_case(&session);
    as_an_ordinary_role(&session);
}

/// Who may nothing in particular reads the same catalogs.
fn as_an_ordinary_role(session: &Session<'_>) {
    let ours = session.snapshot();
    session.run("CREATE ROLE reader; SET ROLE reader");
    let theirs = session.snapshot();
    session.run("RESET ROLE");
    assert_eq!(theirs.user, "reader");
    let said = |snapshot: Snapshot| {
        let roles = snapshot.roles.into_iter().filter(|role| role.name != "reader").collect();
        format!("{:?}", Snapshot { user: String::new(), roles, ..snapshot })
    };
    let (ours, theirs) = (said(ours), said(theirs));
    assert!(ours.len() > 1_000_000 && ours == theirs, "{} and {} bytes", ours.len(), theirs.len());
}

#[test]
fn names_on_13() {
    on(13);
}

#[test]
fn names_on_14() {
    on(14);
}

#[test]
fn names_on_16() {
    on(16);
}

#[test]
fn names_on_17() {
    on(17);
}

#[test]
fn names_on_18() {
    on(18);
}
