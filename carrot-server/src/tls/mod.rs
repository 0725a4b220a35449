//! TLS of a server, by rustls.

mod acceptor;
mod session;

pub(crate) use acceptor::TlsAcceptor;
pub(crate) use session::ServerTlsSession;
