//! Signals while a connection opens. This test binary contains one test only, because the signals
//! stop the whole process.
#![cfg(all(unix, feature = "tls"))]
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::io::Read;
use std::net::TcpListener;
use std::process::Command;
use std::thread;
use std::time::Duration;

use carrot_backend_amqp::AmqpConnector;
use carrot_core::backend::{Connector, Role};
use carrot_core::{ConnectionOptions, TlsOptions};

const LONG: Duration = Duration::from_secs(10);

/// A read with a timeout fails when the process continues after a stop, also without a handler for
/// the signal.
#[test]
fn handshake_of_tls_continues_after_a_signal() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let options = ConnectionOptions::new().host("127.0.0.1").port(port).tls(TlsOptions::new());
    let connector = AmqpConnector::new(&options).unwrap();
    let error = thread::scope(|scope| {
        let connecting = scope.spawn(|| connector.connect(Role::Consume, LONG));
        let (mut socket, _) = listener.accept().unwrap();
        let mut hello = [0; 5];
        while socket.read_exact(&mut hello).is_err() {}
        for _ in 0..20 {
            let script = "kill -STOP $PPID; kill -CONT $PPID";
            assert!(Command::new("sh").args(["-c", script]).status().unwrap().success());
        }
        assert!(!connecting.is_finished());
        drop(socket);
        connecting.join().unwrap().unwrap_err()
    });
    assert!(!error.to_string().contains("nterrupted"), "{error}");
}
