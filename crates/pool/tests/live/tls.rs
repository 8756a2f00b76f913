//! Encrypted connections, and servers that are not who they should be.

use std::os::unix::fs::{MetadataExt, OpenOptionsExt, chown};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use postern_cluster::Cluster;
use postern_pool::{Config, Error, Pool, Request, Tls};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use crate::common::{Database, code, run};

/// Writes a file that belongs to the owner of its folder, who alone may read it.
fn write(path: &Path, text: &str) {
    use std::io::Write;

    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let folder = std::fs::metadata(path.parent().unwrap()).unwrap();
    chown(path, Some(folder.uid()), Some(folder.gid())).unwrap();
}

/// A server that speaks TLS as `localhost`, and the certificate of its authority.
fn server() -> (Cluster, String) {
    let mut authority = CertificateParams::new([]).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(["localhost".to_owned()]).unwrap().signed_by(&key, &authority).unwrap();

    let cluster = Cluster::builder().extension(true).tcp().start().unwrap();
    cluster.set_password("postern_gate").unwrap();
    let folder = Path::new(&cluster.psql("postgres", "show data_directory").unwrap()).to_owned();
    write(&folder.join("server.key"), &key.serialize_pem());
    write(&folder.join("server.crt"), &certificate.pem());
    cluster.psql("postgres", "alter system set ssl = on").unwrap();
    cluster.restart().unwrap();
    (cluster, authority.pem())
}

#[tokio::test]
async fn a_server_is_believed_by_its_certificate() {
    let (cluster, authority) = server();
    let database = Database::on(Arc::new(cluster));
    let folder = tempfile::tempdir().unwrap();
    let ca_file = folder.path().join("ca.pem");
    std::fs::write(&ca_file, authority).unwrap();
    let with = |host: &str, tls: Tls, trusted: bool| {
        let config = Config {
            host: Some(host.into()),
            tls: Some(tls),
            ca_file: trusted.then(|| ca_file.clone()),
            ..database.config()
        };
        Pool::new(config).unwrap()
    };
    let encrypted = "select s.version from pg_catalog.pg_stat_ssl s
                      where s.ssl and s.pid operator(pg_catalog.=) pg_catalog.pg_backend_pid()";
    for pool in [with("localhost", Tls::VerifyFull, true), with("127.0.0.1", Tls::Require, false)] {
        let rows = pool.own(encrypted, &[], &[]).await.unwrap();
        assert_eq!(rows[0].get(0), Some("TLSv1.3"));
        let text = "x".repeat(3 << 20);
        let statements = vec![crate::common::statement("select $1::text", &[Some(&text)])];
        let answer = run(&pool, Request { statements, ..database.request(&[]) }).await.unwrap();
        assert_eq!(answer.row().len(), text.len());
        assert_eq!(code(database.alice(&pool, &["reset role"]).await), "42501");
        let pid = database.backend(&pool).await;
        let deadline = Instant::now() + Duration::from_millis(500);
        let slow = Request { deadline, ..database.request(&["select pg_sleep(30)"]) };
        assert_eq!(run(&pool, slow).await, Err(Error::Deadline), "the cancel goes through TLS, too");
        assert_ne!(database.backend(&pool).await, pid);
        database.sql(&format!("select pg_terminate_backend({}, 5000)", database.backend(&pool).await));
        assert_eq!(database.alice(&pool, &["select 1"]).await.unwrap().row(), "1");
    }
    for pool in [with("127.0.0.1", Tls::VerifyFull, true), with("localhost", Tls::VerifyFull, false)] {
        let refused = database.alice(&pool, &["select 1"]).await;
        let Err(Error::Unavailable { reason, server: None }) = refused else { panic!("{refused:?}") };
        assert!(reason.contains("certificate"), "{reason}");
    }
}
