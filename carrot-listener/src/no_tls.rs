//! Stands for TLS in a build without it. No session exists.

#![allow(missing_docs, reason = "the items have their documentation where TLS is")]

use std::io;
use std::net::TcpStream;
use std::time::Instant;

use carrot_core::{Error, Result};

use crate::server_tls::ServerTls;

#[derive(Debug)]
#[allow(clippy::exhaustive_enums, reason = "no value exists")]
pub enum ServerTlsAcceptor {}

#[derive(Debug)]
#[allow(clippy::exhaustive_enums, reason = "no value exists")]
pub enum PeerTls {}

#[derive(Debug, Default)]
pub struct TlsIncoming(());

#[derive(Debug, Default)]
pub struct TlsOutgoing(());

impl TlsOutgoing {
    pub fn octets_sent(&self) -> u64 {
        0
    }
}

impl ServerTlsAcceptor {
    pub fn new(_options: &ServerTls) -> Result<ServerTlsAcceptor> {
        Err(Error::config("tls", "this build has no TLS; it needs the feature tls"))
    }

    pub fn accept(&self, _: &TcpStream, _: Option<Instant>) -> io::Result<PeerTls> {
        match *self {}
    }
}

impl PeerTls {
    pub fn peer_certificate(&self) -> Option<&[u8]> {
        match *self {}
    }

    pub fn read(&self, _: &mut TlsIncoming, _: &TcpStream, _: &mut [u8]) -> io::Result<usize> {
        match *self {}
    }

    pub fn write(&self, _: &mut TlsOutgoing, _: &TcpStream, _: &[u8]) -> io::Result<usize> {
        match *self {}
    }

    pub fn end(&self, _: &mut TlsOutgoing, _: &TcpStream) -> io::Result<()> {
        match *self {}
    }
}
