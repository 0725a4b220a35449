//! Stands for TLS in a build without it. No session exists.

use std::io;
use std::net::TcpStream;
use std::time::Instant;

use carrot_core::{Error, Result, TlsOptions};
use carrot_listener::PeerTls;

#[derive(Debug)]
pub(crate) enum ClientTls {}

impl ClientTls {
    pub(crate) fn new(_: &TlsOptions, _: &str) -> Result<ClientTls> {
        Err(Error::config("scheme", "this build has no TLS; it needs the feature tls"))
    }

    pub(crate) fn secure(&self, _: &TcpStream, _: Instant) -> io::Result<PeerTls> {
        match *self {}
    }
}
