//! Code that comes by ways where nobody looks: the script of a trusted extension, which runs as a superuser for whoever
//! installs it, and a server that was started without the library.

use std::fs;

use postern_cluster::{Cluster, Installation};
use postern_e2e::copy_of_extension;

use crate::pair::{Pair, server};

/// Versions 1 and 2 of an extension that everybody may install: a function, and with 2 a trigger that runs it.
fn with_a_trusted_extension(settings: &[(&str, &str)]) -> Cluster {
    let installation = Installation::find().unwrap();
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    let scripts = copy_of_extension(installation.major, folder.path());
    let put = |name: &str, text: &str| fs::write(scripts.join(name), text).unwrap();
    put("hanger.control", "default_version = '1'\ntrusted = true\nrelocatable = true\n");
    put(
        "hanger--1.sql",
        "create function hang() returns trigger language plpgsql as 'begin return new; end';\n",
    );
    put(
        "hanger--1--2.sql",
        "create trigger hung before insert on app.doc for each row execute function hang();\n",
    );
    let mut builder =
        Cluster::builder().installation(installation).extension(true).extension_dir(folder.path());
    for (name, value) in settings {
        builder = builder.setting(name, value);
    }
    let cluster = builder.start().unwrap();
    cluster.create_database("app", true).unwrap();
    cluster
}

#[test]
fn the_script_of_a_trusted_extension_has_the_rights_of_who_runs_it() {
    let cluster = with_a_trusted_extension(&[("wal_level", "logical"), ("postern.executors", "0")]);
    let sql = |sql: &str| cluster.psql("app", sql);
    let hung = || sql("select count(*) from pg_trigger where tgname = 'hung'").unwrap();
    sql("create role owner nologin; create role author nologin; create schema app authorization owner;
         grant all on schema app to author; grant create on database app to author;
         set role owner; create table app.doc (id int primary key); grant trigger on app.doc to author;
         reset role; create publication pub for table app.doc")
    .unwrap();
    // With the first version, and by an update: the script runs as a superuser, and the caller is asked about.
    let error =
        sql("set role author; create extension hanger schema app version '2'").unwrap_err().to_string();
    assert!(error.contains("trigger \"hung\" on table app.doc may not run app.hang()"), "{error}");
    assert!(error.contains("Role \"author\" does not have the rights of the table's owner"), "{error}");
    sql("set role author; create extension hanger schema app").unwrap();
    assert_eq!(
        sql("select proowner::regrole::text <> 'author' from pg_proc where proname = 'hang'").unwrap(),
        "t"
    );
    let error = sql("set role author; alter extension hanger update to '2'").unwrap_err().to_string();
    assert!(error.contains("Role \"author\" does not have the rights of the table's owner"), "{error}");
    assert_eq!(hung(), "0");
    // In a transaction, in a function, and after an error that is caught.
    for way in [
        "do $$ begin alter extension hanger update to '2'; end $$",
        "do $$ begin begin alter extension hanger update to '2'; exception when others then null; end; end $$",
    ] {
        let _ = sql(&format!("set role author; {way}"));
        assert_eq!(hung(), "0", "{way}");
    }
    // What it leaves on other tables is flagged, and the table cannot be published then.
    sql("alter publication pub drop table app.doc; set role author; alter extension hanger update to '2'")
        .unwrap();
    assert_eq!(hung(), "1");
    let error = sql("alter publication pub add table app.doc").unwrap_err().to_string();
    assert!(error.contains("table app.doc may not be published"), "{error}");
    assert_eq!(
        sql("select reason, object from postern.replication_findings where relation = 'app.doc'::regclass")
            .unwrap(),
        "foreign|hung"
    );
    // An administrator may have known the extension before.
    sql(
        "set role author; drop extension hanger cascade; reset role; alter publication pub add table app.doc;
         alter database app set postern.trusted_extensions = 'hanger'",
    )
    .unwrap();
    sql("set role author; create extension hanger schema app version '2'").unwrap();
    assert_eq!(hung(), "1");
}

#[test]
fn what_was_done_without_the_library_is_found_when_it_is_there_again() {
    let pair = Pair::start("create table doc (id int primary key, body text);");
    pair.publish("create publication pub for table app.doc");
    pair.there("grant trigger on app.doc to author");
    pair.subscribe("enabled = true");
    pair.until("select srsubstate from pg_subscription_rel", "r");
    assert_eq!(pair.there("select count(*) from postern.recheck_replication(hold => true)"), "0");
    let attach = "set role author;
         create or replace function app.mine() returns trigger language plpgsql as $$ begin new.body := current_user; return new; end $$;
         create trigger mine before insert on app.doc for each row execute function app.mine();
         set role owner; alter table app.doc enable always trigger mine";
    let error = pair.refused(attach);
    assert!(error.contains("may not run app.mine()"), "{error}");

    // Without the library nothing is refused, and it is said that nothing is.
    pair.there("alter system set shared_preload_libraries = plpgsql");
    pair.subscriber.restart().unwrap();
    pair.there(attach);
    assert_eq!(
        pair.there("select sentence from postern.replication_notes where note = 'enforcement'"),
        "The library is not loaded (shared_preload_libraries): nothing is refused."
    );
    // With it, the server says in its log what is there, of its own accord; so does who asks. What runs goes on until someone
    // says otherwise.
    pair.there("alter system reset shared_preload_libraries");
    pair.subscriber.restart().unwrap();
    let sentence = "Trigger \"mine\" of app.doc runs app.mine(), which belongs to \"author\" and not to the table's owner \"owner\", and is not SECURITY DEFINER.";
    let begun = std::time::Instant::now();
    while !pair.log().contains(sentence) {
        assert!(begun.elapsed().as_secs() < 20, "{}", pair.log());
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert!(
        pair.log().contains("replicated tables of database \"app\" have code that may not run on apply"),
        "{}",
        pair.log()
    );
    let found = "select relation, subscription, held from postern.recheck_replication() where sentence like '%not to the table''s owner%'";
    assert_eq!(pair.there(found), "app.doc|sub|f");
    assert_eq!(pair.there("select subenabled from pg_subscription"), "t");
    // Held, it runs nothing of it, and is enabled only when that is mended.
    assert_eq!(pair.there(&found.replace("()", "(hold => true)")), "app.doc|sub|t");
    assert_eq!(pair.there("select subenabled from pg_subscription"), "f");
    let error = pair.refused("alter subscription sub enable");
    assert!(error.contains("has tables with code that may not run on apply"), "{error}");
    pair.publish("insert into app.doc values (1, 'theirs')");
    pair.there("drop trigger mine on app.doc; alter subscription sub enable");
    pair.until("select body from app.doc", "theirs");
    // Not everybody's: it stops replication.
    let error = pair.refused("set role author; select * from postern.recheck_replication()");
    assert!(error.contains("permission denied"), "{error}");
}

#[test]
fn a_server_that_publishes_only_is_looked_at_by_who_asks() {
    let cluster = server();
    cluster
        .psql(
            "app",
            "create table doc (id int primary key); create role author nologin; grant create on schema public to author;
             set role author; create function mine() returns trigger language plpgsql as 'begin return new; end'; reset role;
             create publication pub for table doc; set postern.trigger_rule = off;
             create trigger mine before insert on doc for each row execute function mine()",
        )
        .unwrap();
    assert_eq!(
        cluster.psql("app", "select relation, publication, subscription, held from postern.recheck_replication(hold => true)").unwrap(),
        "doc|pub||f"
    );
}
