//! Stands for TLS in a build without it. No value of these types exists.

use std::io;
use std::net::TcpStream;
use std::time::Instant;

use carrot_core::{Error, Result};

use crate::server_tls::ServerTls;

#[derive(Debug)]
pub(crate) enum TlsAcceptor {}

#[derive(Debug)]
pub(crate) enum ServerTlsSession {}

#[derive(Debug)]
pub(crate) enum TlsIncoming {}

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

    pub(crate) fn write(&self, _: &[u8], _: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        match *self {}
    }

    pub(crate) fn close(&self, _: impl FnOnce(&[u8]) -> io::Result<()>) -> io::Result<()> {
        match *self {}
    }
}

impl TlsIncoming {
    pub(crate) fn read(&mut self, _: &TcpStream, _: &mut [u8]) -> io::Result<usize> {
        match *self {}
    }
}

impl TlsAcceptor {
    pub(crate) fn new(_options: &ServerTls) -> Result<TlsAcceptor> {
        Err(Error::config("tls", "this build has no TLS; it needs the feature tls"))
    }

    pub(crate) fn accept(&self, _: &TcpStream, _: Option<Instant>) -> io::Result<ServerTlsSession> {
        match *self {}
    }
}
