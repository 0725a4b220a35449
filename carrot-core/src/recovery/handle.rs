//! A connection as publishers and consumers use it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::backend::{Backend, ChannelOptions, Connector, Declare, Declared, Delete};
use crate::config::ConnectionOptions;
use crate::error::Result;
use crate::recovery::channel::{Declarations, Session};
use crate::recovery::shared::Link;

/// One connection: what its publishers and consumers share, and a channel for declarations.
#[derive(Debug)]
pub(crate) struct ConnectionHandle {
    pub(crate) link: Link,
    /// The largest body that a publisher may send, in bytes.
    pub(crate) max_message_size: u64,
    /// Whether publishers and consumers open with their first use.
    pub(crate) lazy: bool,
    administration: Session<()>,
}

impl ConnectionHandle {
    pub(crate) fn new(connector: Arc<dyn Connector>, options: &ConnectionOptions, lazy: bool) -> ConnectionHandle {
        let link = Link::new(connector, options);
        let administration = Session::new(link.clone(), ChannelOptions::consume(), "connection", |_, _, _| Ok(()));
        ConnectionHandle { link, max_message_size: options.max_message_size, lazy, administration }
    }

    /// Connects, in one attempt.
    pub(crate) fn open(&self) -> Result<()> {
        self.administration.channel().map(drop)
    }

    /// Connects, in as many attempts as fit before `deadline`.
    pub(crate) fn open_before(&self, deadline: Instant) -> Result<()> {
        self.administration.recover(deadline).map(drop)
    }

    /// Makes a channel that is opened when it is first needed.
    pub(crate) fn session<S: Clone>(
        &self,
        options: ChannelOptions,
        what: &'static str,
        set_up: impl Fn(&Arc<dyn Backend>, Instant, Declarations) -> Result<S> + Send + Sync + 'static,
    ) -> Session<S> {
        Session::new(self.link.clone(), options, what, set_up)
    }

    pub(crate) fn declare(&self, entity: Declare<'_>) -> Result<Declared> {
        self.administration.call(|opened| opened.channel.declare(entity))
    }

    pub(crate) fn delete(&self, entity: Delete<'_>) -> Result<u32> {
        self.administration.call(|opened| opened.channel.delete(entity)).map(|deleted| deleted.message_count)
    }

    /// Ends the connection, and refuses every further call.
    pub(crate) fn close(&self) -> Result<()> {
        self.link.close();
        self.administration.shut();
        self.link.connector.close(self.call_timeout())
    }

    pub(crate) fn call_timeout(&self) -> Duration {
        self.link.call_timeout
    }
}
