//! Sessions between a connector and an acceptor.
#![cfg(feature = "client")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail by panicking")]

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use carrot_core::{Pem, TlsOptions};
use carrot_tls::{
    ClientCertificates, IncomingRecords, OutgoingRecords, TlsAcceptor, TlsConnector, TlsSession,
};
use rcgen::{CertifiedKey, KeyPair};

/// Long enough for a slow machine.
const SOON: Duration = Duration::from_secs(60);

/// A certificate that is its own authority.
struct Issued {
    der: Vec<u8>,
    certificate: Pem,
    key: Pem,
}

impl Issued {
    fn new(name: &str) -> Issued {
        let CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed([name.to_string()]).unwrap();
        let key: KeyPair = signing_key;
        Issued {
            der: cert.der().to_vec(),
            certificate: Pem::text(cert.pem()),
            key: Pem::text(key.serialize_pem()),
        }
    }

    fn options(&self) -> TlsOptions {
        TlsOptions::new().authority(self.certificate.clone())
    }
}

fn sockets() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (client, listener.accept().unwrap().0)
}

/// Performs a handshake. Returns what each side has.
fn shake(
    connector: &TlsConnector,
    acceptor: &TlsAcceptor,
) -> (io::Result<TlsSession>, io::Result<TlsSession>) {
    let (client, server) = sockets();
    let deadline = Instant::now() + SOON;
    thread::scope(|scope| {
        let accepted = scope.spawn(|| acceptor.accept(&server, Some(deadline)));
        let connected = connector.connect(&client, Some(deadline));
        (connected, accepted.join().unwrap())
    })
}

fn server_and_client() -> (TlsSession, TlsSession) {
    let issued = Issued::new("host");
    let acceptor =
        TlsAcceptor::new(&issued.certificate, &issued.key, ClientCertificates::NotAsked).unwrap();
    let connector = TlsConnector::new(&issued.options(), "host").unwrap();
    let (connected, accepted) = shake(&connector, &acceptor);
    (accepted.unwrap(), connected.unwrap())
}

/// Returns all plaintext in these octets.
fn open(
    session: &TlsSession,
    records: &mut IncomingRecords,
    mut source: impl Read,
) -> io::Result<Vec<u8>> {
    let mut plaintext = Vec::new();
    let mut buffer = [0; 1000];
    loop {
        match records.read(session, &mut source, &mut buffer) {
            Ok(0) => return Ok(plaintext),
            Ok(count) => plaintext.extend(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// A sink that accepts a few octets, then blocks once, and so on.
#[derive(Default)]
struct SlowSink {
    octets: Vec<u8>,
    blocks: bool,
}

impl Write for SlowSink {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.blocks = !self.blocks;
        if self.blocks {
            return Err(ErrorKind::WouldBlock.into());
        }
        let count = octets.len().min(7);
        self.octets.extend(&octets[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn plaintext_through_a_sink_that_blocks_is_sealed_once() {
    let (server, client) = server_and_client();
    let plaintext: Vec<u8> = (0..40_000_u32).map(|number| number as u8).collect();
    let mut sink = SlowSink::default();
    let mut outgoing = OutgoingRecords::new();
    let mut rest = &plaintext[..];
    while !rest.is_empty() {
        match outgoing.write(&client, &mut sink, rest) {
            Ok(count) => rest = &rest[count..],
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
        assert_eq!(outgoing.octets_sent(), sink.octets.len() as u64);
        assert!(sink.octets.len() < 2 * plaintext.len(), "records are sealed again");
    }
    while outgoing.end(&client, &mut sink).is_err() {}
    assert_eq!(sink.octets.len() - plaintext.len(), overhead(plaintext.len()));
    let received = open(&server, &mut IncomingRecords::new(100), &sink.octets[..]).unwrap();
    assert_eq!(received, plaintext);
}

/// The octets around plaintext of this length: 22 for each record, and 24 for the end.
fn overhead(length: usize) -> usize {
    length.div_ceil(16_384) * 22 + 24
}

#[test]
fn record_in_parts_is_interrupted_until_it_is_complete() {
    let (server, client) = server_and_client();
    let mut octets = Vec::new();
    OutgoingRecords::new().write(&client, &mut octets, b"hello").unwrap();
    let mut records = IncomingRecords::new(IncomingRecords::LONGEST);
    let mut buffer = [0; 100];
    let (last, parts) = octets.split_last().unwrap();
    for part in parts {
        let error = records.read(&server, &[*part][..], &mut buffer).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Interrupted);
        assert!(records.has_begun_record());
        assert!(!records.has_begun_record());
    }
    assert_eq!(records.read(&server, &[*last][..], &mut buffer).unwrap(), 5);
    assert_eq!(buffer[..5], *b"hello");
    assert!(!records.has_begun_record());
}

#[test]
fn changed_record_is_invalid_data() {
    let (server, client) = server_and_client();
    let mut octets = Vec::new();
    OutgoingRecords::new().write(&client, &mut octets, b"hello").unwrap();
    *octets.last_mut().unwrap() ^= 1;
    let error = open(&server, &mut IncomingRecords::new(100), &octets[..]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData);
}

#[test]
fn records_after_the_end_are_not_read() {
    let (server, client) = server_and_client();
    let mut octets = Vec::new();
    let mut outgoing = OutgoingRecords::new();
    outgoing.write(&client, &mut octets, b"last").unwrap();
    outgoing.end(&client, &mut octets).unwrap();
    let length = octets.len();
    outgoing.end(&client, &mut octets).unwrap();
    assert_eq!(octets.len(), length, "the end is sealed once");
    octets.extend(b"no record");
    let mut records = IncomingRecords::new(IncomingRecords::LONGEST);
    assert_eq!(open(&server, &mut records, &octets[..]).unwrap(), b"last");
}

#[test]
fn sink_that_accepts_nothing_is_write_zero() {
    let (server, _client) = server_and_client();
    let error = OutgoingRecords::new().write(&server, &mut [][..], b"hello").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WriteZero);
}

#[test]
fn server_that_is_not_trusted_is_refused() {
    let issued = Issued::new("host");
    let acceptor =
        TlsAcceptor::new(&issued.certificate, &issued.key, ClientCertificates::NotAsked).unwrap();
    let stranger = TlsConnector::new(&Issued::new("host").options(), "host").unwrap();
    let (connected, accepted) = shake(&stranger, &acceptor);
    assert_eq!(connected.unwrap_err().kind(), ErrorKind::InvalidData);
    assert!(accepted.is_err());
    let other_host = TlsConnector::new(&issued.options(), "other").unwrap();
    let (connected, accepted) = shake(&other_host, &acceptor);
    assert_eq!(connected.unwrap_err().kind(), ErrorKind::InvalidData);
    assert!(accepted.is_err());
    let named = TlsConnector::new(&issued.options().server_name("host"), "other").unwrap();
    let (connected, accepted) = shake(&named, &acceptor);
    assert!(connected.is_ok() && accepted.is_ok());
}

#[test]
fn client_certificate_is_verified() {
    let (issued, own, other) = (Issued::new("host"), Issued::new("ann"), Issued::new("ann"));
    let authorities = [own.certificate.clone()];
    let acceptor = |clients| TlsAcceptor::new(&issued.certificate, &issued.key, clients).unwrap();
    let connector = |identity: Option<&Issued>| {
        let mut options = issued.options();
        if let Some(Issued { certificate, key, .. }) = identity {
            options = options.identity(certificate.clone(), key.clone());
        }
        TlsConnector::new(&options, "host").unwrap()
    };
    let accept = |clients, identity| shake(&connector(identity), &acceptor(clients)).1;
    let certificate = |clients, identity| {
        accept(clients, identity).unwrap().peer_certificate().map(<[u8]>::to_vec)
    };
    let (optional, required) =
        (ClientCertificates::Optional(&authorities), ClientCertificates::Required(&authorities));
    assert_eq!(certificate(optional, Some(&own)), Some(own.der.clone()));
    assert_eq!(certificate(required, Some(&own)), Some(own.der.clone()));
    assert_eq!(certificate(optional, None), None);
    assert_eq!(certificate(ClientCertificates::NotAsked, Some(&own)), None);
    assert_eq!(accept(required, None).unwrap_err().kind(), ErrorKind::InvalidData);
    assert_eq!(accept(required, Some(&other)).unwrap_err().kind(), ErrorKind::InvalidData);
    assert_eq!(accept(optional, Some(&other)).unwrap_err().kind(), ErrorKind::InvalidData);
}

#[test]
fn authorities_that_are_missing_are_named() {
    let issued = Issued::new("host");
    for clients in [ClientCertificates::Optional(&[]), ClientCertificates::Required(&[])] {
        let error = TlsAcceptor::new(&issued.certificate, &issued.key, clients).unwrap_err();
        let carrot_core::Error::Config { option, .. } = error else { panic!("{error}") };
        assert_eq!(option, "tls client_authority");
    }
}

#[test]
fn silent_peer_is_left_at_the_deadline() {
    let issued = Issued::new("host");
    let (socket, _silent) = sockets();
    let soon = || Some(Instant::now() + Duration::from_millis(50));
    let acceptor =
        TlsAcceptor::new(&issued.certificate, &issued.key, ClientCertificates::NotAsked).unwrap();
    let started = Instant::now();
    let is_late =
        |error: io::Error| matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock);
    assert!(is_late(acceptor.accept(&socket, soon()).unwrap_err()));
    let (socket, _silent) = sockets();
    let connector = TlsConnector::new(&issued.options(), "host").unwrap();
    assert!(is_late(connector.connect(&socket, soon()).unwrap_err()));
    assert!(started.elapsed() < SOON, "{:?}", started.elapsed());
}
