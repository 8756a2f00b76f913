//! The certificate of the gate, and how it is renewed.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::common::Site;

/// Writes a new certificate and its key.
fn make(folder: &Path) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(["localhost".into()]).unwrap();
    std::fs::write(folder.join("cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    made.cert.der().clone()
}

/// The certificate that a new connection is shown, if it is one of these.
async fn shown(site: &Site, trusted: &[&CertificateDer<'static>]) -> CertificateDer<'static> {
    let mut roots = RootCertStore::empty();
    for certificate in trusted {
        roots.add((*certificate).clone()).unwrap();
    }
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let stream = TcpStream::connect(site.gate.local_addr()).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
    stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
}

#[tokio::test]
async fn the_certificate_is_renewed_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let first = make(folder.path());
    let file = |name: &str| folder.path().join(name).display().to_string();
    let listen =
        format!("tls = {{ cert_file = {:?}, key_file = {:?} }}\n", file("cert.pem"), file("key.pem"));
    let site = Site::listening(&listen).await;
    assert_eq!(shown(&site, &[&first]).await, first);

    let second = make(folder.path());
    assert_eq!(shown(&site, &[&first, &second]).await, first, "not before it is said");
    site.gate.renew_certificate();
    assert_eq!(shown(&site, &[&first, &second]).await, second);

    // A key that does not fit, and a file that is not there: what there was stays.
    let other = rcgen::generate_simple_self_signed(["localhost".into()]).unwrap();
    std::fs::write(folder.path().join("key.pem"), other.signing_key.serialize_pem()).unwrap();
    site.gate.renew_certificate();
    assert_eq!(shown(&site, &[&first, &second]).await, second);
    std::fs::remove_file(folder.path().join("cert.pem")).unwrap();
    site.gate.renew_certificate();
    assert_eq!(shown(&site, &[&first, &second]).await, second);
}
