//! The connection of an examination, over TLS to a real server.
#![allow(
    clippy::unwrap_used,
    reason = "a test ends at the first surprise; clippy allows it in test functions only"
)]

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};

use postern_cluster::Cluster;
use postern_doctor::{Error, Settings, connect, examine};
use rustls::RootCertStore;

/// A server that speaks TLS by a certificate of its own making, and that certificate.
fn server() -> (Cluster, rustls::pki_types::CertificateDer<'static>) {
    let cluster = Cluster::builder().tcp().start().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".into()]).unwrap();
    let owner = std::fs::metadata(cluster.folder().join("data")).unwrap();
    for (name, text) in [("server.crt", made.cert.pem()), ("server.key", made.signing_key.serialize_pem())] {
        let file = cluster.folder().join(name);
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
        chown(&file, Some(owner.uid()), Some(owner.gid())).unwrap();
        let setting = if name.ends_with("key") { "ssl_key_file" } else { "ssl_cert_file" };
        cluster.psql("postgres", &format!("alter system set {setting} = '{}'", file.display())).unwrap();
    }
    cluster.psql("postgres", "alter system set ssl = on").unwrap();
    cluster.restart().unwrap();
    (cluster, made.cert.der().clone())
}

#[test]
fn a_certificate_is_verified_by_authority_and_by_name() {
    let (cluster, certificate) = server();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut trusting = RootCertStore::empty();
    trusting.add(certificate).unwrap();
    let config = |host: &str| {
        let mut config = tokio_postgres::Config::new();
        config
            .host(host)
            .hostaddr([127, 0, 0, 1].into())
            .port(cluster.port())
            .dbname("postgres")
            .user("postgres");
        config
            .password(cluster.password("postgres").unwrap())
            .ssl_mode(tokio_postgres::config::SslMode::Require);
        config
    };
    let connected = |host: &str, roots: &RootCertStore| {
        let tls = connect::verified(roots.clone()).unwrap();
        runtime.block_on(async {
            let client = connect::connect(&config(host), Some(tls)).await?;
            let row = client
                .query_one("select ssl from pg_stat_ssl where pid = pg_backend_pid()", &[])
                .await
                .unwrap();
            assert!(row.get::<_, bool>(0), "the connection is encrypted");
            examine(&client, &Settings::default()).await
        })
    };

    let report = connected("localhost", &trusting).unwrap();
    assert!(
        !report.findings.iter().any(|finding| finding.code.starts_with("tls-")),
        "loopback is this machine"
    );
    for (host, roots) in [("localhost", &RootCertStore::empty()), ("db.example.com", &trusting)] {
        let error = connected(host, roots).unwrap_err();
        assert!(matches!(error, Error::Connect(_)), "{error:?}");
        assert!(error.to_string().contains("certificate"), "{error}");
    }
    // A server without TLS is not spoken to in the clear when TLS is required.
    cluster.psql("postgres", "alter system reset ssl").unwrap();
    cluster.restart().unwrap();
    assert!(connected("localhost", &trusting).unwrap_err().to_string().contains("TLS"));
}
