//! A management API whose certificate is of a private authority.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;

use rcgen::CertifiedKey;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::support::{Ran, command, run};

/// Serves an empty list over TLS with this certificate, and returns the URL.
fn serve(issued: &CertifiedKey<rcgen::KeyPair>) -> String {
    let key = PrivateKeyDer::try_from(issued.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![issued.cert.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let session = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = BufReader::new(StreamOwned::new(session, stream.unwrap()));
            let mut line = String::new();
            // A client that does not trust the certificate goes.
            while stream.read_line(&mut line).is_ok_and(|read| read > 2) {
                line.clear();
            }
            let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n[]";
            let _ = stream.get_mut().write_all(answer.as_bytes());
        }
    });
    url
}

fn list(url: &str) -> Ran {
    let mut list = command(&["list", "queues", "--json"]);
    list.env("CARROT_MANAGEMENT", url);
    run(list, "")
}

fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().replace('/', "%2F")
}

#[test]
fn authority_of_the_url_is_trusted_and_no_other() {
    let [issued, other] =
        [(); 2].map(|()| rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap());
    let url = serve(&issued);
    let folder = tempfile::tempdir().unwrap();
    let own = write(folder.path(), "own ca.pem", &issued.cert.pem());
    let foreign = write(folder.path(), "foreign.pem", &other.cert.pem());
    let ran = list(&format!("{url}?cacertfile={own}"));
    assert_eq!((ran.code, &*ran.errors), (0, ""), "{ran:?}");
    let ran = list(&format!("{url}/?cacertfile={foreign}&cacertfile={own}"));
    assert_eq!((ran.code, &*ran.errors), (0, ""), "{ran:?}");
    for untrusted in [url.clone(), format!("{url}?cacertfile={foreign}")] {
        let ran = list(&untrusted);
        assert_eq!(ran.code, 3, "{ran:?}");
        assert!(ran.errors.contains("cacertfile"), "{ran:?}");
    }
}

#[test]
fn file_that_has_no_authority_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let empty = write(folder.path(), "empty.pem", "nothing");
    let broken = write(folder.path(), "broken.pem", "-----BEGIN CERTIFICATE-----\n?\n");
    for file in [&*empty, &broken, "%2Fno%1B-such.pem"] {
        let ran = list(&format!("https://ann:hush@localhost:1?cacertfile={file}"));
        assert_eq!(ran.code, 2, "{ran:?}");
        assert!(ran.errors.contains("cacertfile") && ran.errors.contains(".pem"), "{ran:?}");
        assert!(!ran.errors.contains("hush") && !ran.errors.contains('\u{1b}'), "{ran:?}");
    }
}
