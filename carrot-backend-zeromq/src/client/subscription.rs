//! The deliveries of one consumer, as the contract requires them.

use std::sync::{Arc, Condvar};
use std::time::Duration;

use carrot_core::Result;
use carrot_core::backend::{ArrivedDeliveries, Delivery, Rejection, Subscription};

use crate::calls::put_request::{put_cancel, put_drop_consumer};
use crate::calls::request::SettleKind;
use crate::client::channel_handle::ZeroMqChannel;
use crate::client::item::ClientItem;

/// The deliveries of one consumer of a host.
#[derive(Debug)]
pub(crate) struct ZeroMqSubscription {
    handle: Arc<ZeroMqChannel>,
    consumer: u32,
    arrived: Arc<Condvar>,
}

impl ZeroMqSubscription {
    pub(crate) fn new(
        handle: Arc<ZeroMqChannel>,
        consumer: u32,
        arrived: Arc<Condvar>,
    ) -> ZeroMqSubscription {
        ZeroMqSubscription { handle, consumer, arrived }
    }
}

impl Subscription for ZeroMqSubscription {
    fn next(&self, timeout: Duration) -> Result<Option<Delivery>> {
        let taken = self.handle.channel.next(self.consumer, &self.arrived, timeout)?;
        Ok(taken.map(|taken| {
            self.handle.report_taken(taken.report);
            taken.delivery
        }))
    }

    fn arrived(&self) -> ArrivedDeliveries {
        ArrivedDeliveries::of_sizes(self.handle.channel.waiting_sizes(self.consumer))
    }

    fn cancel(&self, timeout: Duration) -> Result<()> {
        self.handle.channel.check()?;
        if self.handle.channel.has_ended(self.consumer) {
            return Ok(());
        }
        self.handle.call("cancel", timeout, |out, channel, call| {
            put_cancel(out, channel, call, self.consumer);
        })?;
        // The deliveries before the answer have arrived.
        self.handle.channel.end_consumer(self.consumer, "the program stopped the consumer");
        Ok(())
    }
}

impl Drop for ZeroMqSubscription {
    fn drop(&mut self) {
        let (handle, consumer) = (&self.handle, self.consumer);
        let number = handle.channel.number;
        let has_ended = handle.channel.has_ended(consumer);
        let unseen = handle.channel.close_inbox(consumer);
        if handle.channel.check().is_err() {
            return;
        }
        handle.report_taken(unseen.report);
        if !has_ended {
            // The host knows what is under way.
            handle.send(ClientItem::message(|out| {
                put_drop_consumer(out, number, consumer, unseen.seen.as_slice());
            }));
            return;
        }
        // One by one, as from a driver that receives them one by one: a queue with a length limit
        // then loses no message that a consumer can take.
        for tag in unseen.tags {
            let kind = SettleKind::Reject(Rejection::Requeue);
            handle.send_settlement(kind, [tag]);
        }
    }
}
