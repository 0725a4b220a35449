//! Stands for TLS in a build without it. No session exists.

use std::io;
use std::net::TcpStream;
use std::time::Instant;

use carrot_core::{Error, Result};

use crate::server_tls::ServerTls;

#[derive(Debug)]
pub(crate) enum ServerTlsAcceptor {}

#[derive(Debug)]
pub(crate) enum ServerTlsSession {}

#[derive(Debug)]
pub(crate) enum TlsIncoming {}

#[derive(Debug, Default)]
pub(crate) struct TlsOutgoing(());

impl ServerTlsAcceptor {
    pub(crate) fn new(_options: &ServerTls) -> Result<ServerTlsAcceptor> {
        Err(Error::config("tls", "this build has no TLS; it needs the feature tls"))
    }

    pub(crate) fn accept(&self, _: &TcpStream, _: Option<Instant>) -> io::Result<ServerTlsSession> {
        match *self {}
    }
}

impl ServerTlsSession {
    pub(crate) fn has_client_certificate(&self) -> bool {
        match *self {}
    }

    pub(crate) fn common_name(&self) -> Option<&str> {
        match *self {}
    }

    pub(crate) fn incoming(&self) -> TlsIncoming {
        match *self {}
    }

    pub(crate) fn write(&self, _: &mut TlsOutgoing, _: &TcpStream, _: &[u8]) -> io::Result<usize> {
        match *self {}
    }

    pub(crate) fn end(&self, _: &mut TlsOutgoing, _: &TcpStream) -> io::Result<()> {
        match *self {}
    }
}

impl TlsIncoming {
    pub(crate) fn read(&mut self, _: &TcpStream, _: &mut [u8]) -> io::Result<usize> {
        match *self {}
    }
}
