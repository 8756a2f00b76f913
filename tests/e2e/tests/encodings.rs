//! The extension is for databases of encoding UTF8: in another one two facts could come to be the same text, and with them two
//! tenants.

#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

use postern_cluster::Cluster;

#[test]
fn a_database_of_another_encoding_is_refused_with_a_way_out() {
    let cluster = Cluster::builder().extension(true).start().unwrap();
    // One in which any byte is a character, one in which these scripts' bytes could be none, one without characters.
    for encoding in ["LATIN1", "EUC_JP", "SQL_ASCII"] {
        let make = format!("create database {encoding} template template0 encoding '{encoding}' locale 'C'");
        cluster.psql("postgres", &make).unwrap();
        let database = encoding.to_lowercase();
        let error = cluster.psql(&database, "create extension postern").unwrap_err().to_string();
        for part in [
            "ERROR:  postern needs a database with encoding UTF8",
            &format!("DETAIL:  The encoding of database \"{database}\" is {encoding}."),
            "HINT:  Make one by CREATE DATABASE",
        ] {
            assert!(error.contains(part), "{encoding}: {error}");
        }
        let left = "select count(*) from pg_extension where extname = 'postern'";
        assert_eq!(cluster.psql(&database, left).unwrap(), "0");
    }
}
