//! TLS for Carrot's backends and its server, by rustls, on blocking sockets.
//!
//! The crate is a part of the crates that use it. It is published beside them, and its version
//! makes no promise of its own. No type of rustls appears in a signature.
//!
#![cfg_attr(feature = "client", doc = "* A [`TlsConnector`] connects to a server.")]
#![cfg_attr(not(feature = "client"), doc = "* `TlsConnector` connects to a server.")]
//! * A [`TlsAcceptor`] accepts clients.
//! * Both return a [`TlsSession`], which the reader and the writer of a connection share.
//! * [`IncomingRecords`] reads plaintext from a stream of records, and [`OutgoingRecords`] writes
//!   it to one.
//!
//! ```
//! # #[cfg(feature = "client")] {
//! use std::io::ErrorKind;
//! use std::net::{TcpListener, TcpStream};
//! use std::thread;
//! use carrot_core::{Pem, TlsOptions};
//! use carrot_tls::{ClientCertificates, IncomingRecords, OutgoingRecords};
//! use carrot_tls::{TlsAcceptor, TlsConnector};
//!
//! let issued = rcgen::generate_simple_self_signed(["localhost".to_string()])?;
//! let certificate = Pem::text(issued.cert.pem());
//! let key = Pem::text(issued.signing_key.serialize_pem());
//!
//! let listener = TcpListener::bind("127.0.0.1:0")?;
//! let address = listener.local_addr()?;
//! let acceptor = TlsAcceptor::new(&certificate, &key, ClientCertificates::NotAsked)?;
//! let server = thread::spawn(move || -> std::io::Result<()> {
//!     let (socket, _) = listener.accept()?;
//!     let session = acceptor.accept(&socket, None)?;
//!     OutgoingRecords::new().write(&session, &socket, b"hello")?;
//!     Ok(())
//! });
//!
//! let connector = TlsConnector::new(&TlsOptions::new().authority(certificate), "localhost")?;
//! let socket = TcpStream::connect(address)?;
//! let session = connector.connect(&socket, None)?;
//! let mut records = IncomingRecords::new(IncomingRecords::LONGEST);
//! let mut buffer = [0; 100];
//! let read = loop {
//!     match records.read(&session, &socket, &mut buffer) {
//!         // A record arrived that holds no plaintext.
//!         Err(error) if error.kind() == ErrorKind::Interrupted => {}
//!         result => break result?,
//!     }
//! };
//! assert_eq!(buffer[..read], *b"hello");
//! server.join().expect("the server did not panic")?;
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Secrets
//!
//! No error and no `Debug` output contains a line of a certificate or of a key.
//!
//! # Locks
//!
//! A session is locked while octets pass through it, and never while a socket blocks.

#![warn(clippy::exhaustive_enums, clippy::exhaustive_structs)]

mod acceptor;
#[cfg(feature = "client")]
mod connector;
mod handshake;
mod incoming_records;
mod outgoing_records;
mod pem;
mod session;

pub use acceptor::{ClientCertificates, TlsAcceptor};
#[cfg(feature = "client")]
pub use connector::TlsConnector;
pub use incoming_records::IncomingRecords;
pub use outgoing_records::OutgoingRecords;
pub use session::TlsSession;
