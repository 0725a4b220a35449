//! The channel that a backend and its subscriptions share.

use std::sync::Arc;
use std::time::Duration;

use carrot_core::backend::{DeliveryTag, Extent};
use carrot_core::{Error, Result};

use crate::calls::fields::CallError;
use crate::calls::put_request::{put_bare, put_taken};
use crate::calls::request::{SettleKind, kind};
use crate::client::channel_state::{HeldTags, LinkChannel};
use crate::client::item::ClientItem;
use crate::client::link::Link;
use crate::client::link_shared::CallAnswer;

/// Keeps a channel open. The channel closes when its backend and its subscriptions are dropped.
#[derive(Debug)]
pub(crate) struct ZeroMqChannel {
    pub(crate) link: Arc<Link>,
    pub(crate) channel: Arc<LinkChannel>,
    /// The largest frame that RabbitMQ would accept, in bytes.
    pub(crate) frame_max: usize,
}

impl Drop for ZeroMqChannel {
    fn drop(&mut self) {
        self.abandon(&Error::closed("channel"));
    }
}

impl ZeroMqChannel {
    pub(crate) fn send(&self, item: ClientItem) {
        self.link.shared.outgoing.add_and_wake(item);
    }

    /// Sends a settlement of tags, which are in ascending order.
    pub(crate) fn send_settlement(
        &self,
        settlement: SettleKind,
        tags: impl IntoIterator<Item = u64>,
    ) {
        for item in ClientItem::settlement(self.channel.number, settlement, tags) {
            self.send(item);
        }
    }

    /// Ends the channel with an error, and closes it at the host without waiting.
    pub(crate) fn abandon(&self, error: &Error) {
        let number = self.channel.number;
        self.channel.fail(error);
        self.link.shared.remove_channel(number);
        self.send(ClientItem::message(|out| put_bare(out, kind::CLOSE, number, 0)));
    }

    /// Sends a call on the channel, and waits for its answer. A call without an answer closes the
    /// channel, because its effect is unknown.
    pub(crate) fn call(
        &self,
        operation: &'static str,
        timeout: Duration,
        write: impl FnOnce(&mut Vec<u8>, u32, u32),
    ) -> Result<CallAnswer> {
        self.channel.check()?;
        let number = self.channel.number;
        let answer = self.link.call(operation, timeout, |out, call| write(out, number, call));
        if let Err(error) = &answer {
            if let Error::Timeout { .. } = error {
                self.abandon(error);
            }
            // A lost connection may be about to end its channels.
            if let Some(failure) = self.link.shared.life.failure() {
                self.channel.fail(&failure);
            }
            // The first error of the channel may have come with another call.
            self.channel.check()?;
        }
        answer
    }

    /// As [`call`](ZeroMqChannel::call), for a call whose answer has fields.
    pub(crate) fn call_for<T>(
        &self,
        operation: &'static str,
        timeout: Duration,
        write: impl FnOnce(&mut Vec<u8>, u32, u32),
        read: impl FnOnce(&[u8]) -> Result<T, CallError>,
    ) -> Result<T> {
        match self.call(operation, timeout, write)? {
            CallAnswer::Done(octets) => read(&octets).map_err(|error| self.malformed(&error)),
            CallAnswer::Fetched(_) => {
                Err(self.malformed(&CallError { field: "kind", problem: "is of no answer" }))
            }
        }
    }

    /// Ends the connection of a host that does not keep to the protocol.
    fn malformed(&self, error: &CallError) -> Error {
        let error = self.link.shared.life.loss(error);
        self.link.shared.fail(&error);
        error
    }

    /// Returns [`Error::Blocked`] instead of a timeout while publishers are blocked.
    pub(crate) fn late(&self, operation: &'static str, timeout: Duration) -> Error {
        match self.link.shared.blocked() {
            Some(reason) => Error::Blocked { reason },
            None => Error::timeout(operation, timeout),
        }
    }

    pub(crate) fn settle(
        &self,
        settlement: SettleKind,
        tag: DeliveryTag,
        extent: Extent,
    ) -> Result<()> {
        let choose = |held: &mut HeldTags| match (extent, tag.0) {
            (Extent::One, tag) => held.remove(&tag).map(|_| vec![tag]),
            (Extent::UpTo, 0) => Some(std::mem::take(held).into_keys().collect()),
            (Extent::UpTo, tag) => {
                if !held.contains_key(&tag) {
                    return None;
                }
                let later = held.split_off(&(tag.saturating_add(1)));
                Some(std::mem::replace(held, later).into_keys().collect())
            }
        };
        self.settle_chosen(settlement, tag, choose)
    }

    pub(crate) fn settle_chosen(
        &self,
        settlement: SettleKind,
        tag: DeliveryTag,
        choose: impl FnOnce(&mut HeldTags) -> Option<Vec<u64>>,
    ) -> Result<()> {
        let settled = self.channel.settle(choose, |tags| {
            self.send_settlement(settlement, tags);
        });
        match settled {
            Ok(true) => Ok(()),
            Ok(false) => {
                let reason = format!("PRECONDITION_FAILED - unknown delivery tag {}", tag.0);
                self.abandon(&Error::PreconditionFailed { reason });
                Ok(())
            }
            Err(error) => Err(Error::Stale { source: Some(Arc::new(error)) }),
        }
    }

    /// Reports to the host that the program has taken bytes.
    pub(crate) fn report_taken(&self, report: Option<u64>) {
        if let Some(bytes) = report {
            let number = self.channel.number;
            self.send(ClientItem::message(|out| put_taken(out, number, bytes)));
        }
    }
}
