//! The side of a channel that the reader of its connection calls.

use carrot_amqp_wire::{
    BasicCancelOk, BodyPart, ChannelClose, ChannelFlowOk, Method, QueueDeclareOk,
};
use carrot_core::Error;
use carrot_core::backend::{QueueInfo, Rejection};

use super::arrived::Arrived;
use super::assembler::{Announced, Assembled};
use super::consumers::{BY_BROKER, BY_PROGRAM, Delivered};
use super::encode;
use super::rpc::Reply;
use super::state::{ChannelInner, Incoming};
use super::unacked::SettlementKind;
use crate::connection::{BodyPlace, ChannelEnd, ChannelId, Confirm, Violation};
use crate::error::{channel_closed, words};
use crate::sync::lock;

impl ChannelEnd for ChannelInner {
    fn id(&self) -> ChannelId {
        self.id
    }

    fn unconfirmed(&self) -> u64 {
        self.confirms.unconfirmed()
    }

    fn method(&self, method: &Method<'_>) -> Result<(), Violation> {
        match method {
            Method::ChannelClose(close) => {
                self.closed_by_broker(close);
                return Ok(());
            }
            Method::ChannelCloseOk => {
                self.fail(Error::closed("channel"));
                self.connection.channels.free(self.number);
                self.slot.closed();
                return Ok(());
            }
            _ if self.is_closing() => return Ok(()),
            _ => {}
        }
        let mut incoming = lock(&self.incoming);
        if !incoming.is_open {
            if matches!(method, Method::ChannelOpenOk(_)) {
                incoming.is_open = true;
                return self.answer(method, Reply::Done);
            }
            return Ok(());
        }
        if self.announce(&mut incoming, method)? {
            return Ok(());
        }
        incoming.assembler.check_idle(method.name())?;
        drop(incoming);
        self.take(method)
    }

    fn header(&self, payload: &[u8]) -> Result<(), Violation> {
        self.receive(|incoming| incoming.assembler.header(payload))
    }

    fn body(&self, part: &BodyPart<'_>) -> Result<(), Violation> {
        self.receive(|incoming| incoming.assembler.body(part))
    }

    fn lend_place(&self, missing: usize) -> Option<BodyPlace> {
        if self.is_closing() {
            return None;
        }
        lock(&self.incoming).assembler.lend_place(missing)
    }

    fn return_place(&self, place: BodyPlace, count: usize) {
        lock(&self.incoming).assembler.return_place(place, count);
    }

    fn confirm(&self, confirms: &[Confirm]) -> usize {
        let expected = self.confirms.confirm(confirms);
        if expected > 0 {
            self.connection.leadership.answered();
        }
        expected
    }

    fn end(&self, lost: Error) {
        self.fail(lost);
        self.slot.closed();
    }
}

impl ChannelInner {
    /// Takes a method that announces a message. Returns false for other methods.
    fn announce(&self, incoming: &mut Incoming, method: &Method<'_>) -> Result<bool, Violation> {
        let (announced, exchange, routing_key) = match method {
            Method::BasicDeliver(deliver) => {
                let announced = match self.consumers.find(deliver.consumer_tag) {
                    Some(consumer) => Announced::Delivery {
                        consumer,
                        tag: deliver.delivery_tag,
                        redelivered: deliver.redelivered,
                    },
                    None if self.consumers.was_cancelled(deliver.consumer_tag) => {
                        Announced::Late { tag: deliver.delivery_tag }
                    }
                    None => Announced::Unwanted,
                };
                (announced, deliver.exchange, deliver.routing_key)
            }
            Method::BasicGetOk(got) => {
                if !self.slot.expects(method.id()) {
                    return Err(Violation::command_invalid(method.name()));
                }
                let (tag, redelivered) = (got.delivery_tag, got.redelivered);
                (Announced::Got { tag, redelivered }, got.exchange, got.routing_key)
            }
            Method::BasicReturn(returned) => {
                let text = words(&returned.reply_text.to_string());
                let announced = Announced::Return { code: returned.reply_code, text };
                (announced, returned.exchange, returned.routing_key)
            }
            _ => return Ok(false),
        };
        incoming.assembler.announce(announced, exchange, routing_key)?;
        Ok(true)
    }

    /// Takes a part of a message, and passes the message on if it is whole.
    fn receive(
        &self,
        take: impl FnOnce(&mut Incoming) -> Result<Option<Assembled>, Violation>,
    ) -> Result<(), Violation> {
        if self.is_closing() {
            return Ok(());
        }
        let mut incoming = lock(&self.incoming);
        if !incoming.is_open {
            return Ok(());
        }
        let assembled = take(&mut incoming)?;
        drop(incoming);
        assembled.map_or(Ok(()), |assembled| self.pass_on(assembled))
    }

    fn pass_on(&self, assembled: Assembled) -> Result<(), Violation> {
        let Assembled { announced, head, body } = assembled;
        match announced {
            Announced::Delivery { consumer, tag, redelivered } => {
                let arrived = Arrived { tag, redelivered, head, body };
                let memory = arrived.memory();
                // Counted first: another thread may take the message at once.
                self.connection.read_limit.arrived(memory);
                let delivered = self.consumers.deliver(consumer, arrived);
                if !matches!(delivered, Delivered::Queued { .. }) {
                    self.connection.read_limit.taken(memory);
                }
                match delivered {
                    Delivered::Queued { is_awaited: false } => {}
                    Delivered::Queued { is_awaited: true } => {
                        self.connection.leadership.answered();
                    }
                    Delivered::Dropped => self.tracker.pass(tag),
                    Delivered::Released(kind) => self.give_up(tag, kind)?,
                    Delivered::Overrun => {
                        return Err(Violation::resource_error(
                            "more deliveries than the prefetch of the consumer allows",
                        ));
                    }
                }
            }
            Announced::Got { tag, redelivered } => {
                let arrived = Arrived { tag, redelivered, head, body };
                self.reply(Reply::Got(Some(Box::new(arrived))));
            }
            Announced::Return { code, text } => self.confirms.returned(code, text, &head, &body),
            Announced::Late { tag } => {
                self.give_up(tag, SettlementKind::Reject(Rejection::Requeue))?
            }
            Announced::Unwanted => {}
        }
        Ok(())
    }

    /// Settles a delivery that no subscription takes.
    fn give_up(&self, tag: u64, kind: SettlementKind) -> Result<(), Violation> {
        let mut out = Vec::new();
        self.settle_unread(tag, kind, &mut out);
        self.tracker.pass(tag);
        self.hand_over(out)
    }

    /// Takes a method without content.
    fn take(&self, method: &Method<'_>) -> Result<(), Violation> {
        let reply = match method {
            Method::QueueDeclareOk(QueueDeclareOk { queue, message_count, consumer_count }) => {
                let info = QueueInfo::new(queue.to_string(), *message_count, *consumer_count);
                Reply::Queue(info)
            }
            Method::QueuePurgeOk(purged) => Reply::Count(purged.message_count),
            Method::QueueDeleteOk(deleted) => Reply::Count(deleted.message_count),
            Method::BasicGetEmpty(_) => Reply::Got(None),
            Method::BasicCancelOk(cancelled) => {
                let was_released = self.consumers.end_one(cancelled.consumer_tag, BY_PROGRAM);
                if !was_released && self.slot.expects(method.id()) {
                    self.reply(Reply::Done);
                }
                return Ok(());
            }
            Method::BasicCancel(cancel) => {
                self.consumers.end_one(cancel.consumer_tag, BY_BROKER);
                if !cancel.no_wait {
                    let answer = BasicCancelOk { consumer_tag: cancel.consumer_tag };
                    self.hand_over(encode::frame(self.number, &answer.into()))?;
                }
                return Ok(());
            }
            Method::ChannelFlow(flow) => {
                let answer = ChannelFlowOk { active: flow.active };
                return self.hand_over(encode::frame(self.number, &answer.into()));
            }
            _ => Reply::Done,
        };
        self.answer(method, reply)
    }

    /// Answers the call in flight.
    fn reply(&self, reply: Reply) {
        if self.slot.answer(reply) {
            self.connection.leadership.answered();
        }
    }

    /// Answers the call in flight, if it waits for this method.
    fn answer(&self, method: &Method<'_>, reply: Reply) -> Result<(), Violation> {
        if self.slot.expects(method.id()) {
            self.reply(reply);
            return Ok(());
        }
        // A call that has just timed out waits for nothing, and its channel is about to close.
        if self.slot.expects_first(method.id()) || self.failure().is_some() {
            return Ok(());
        }
        Err(Violation::command_invalid(method.name()))
    }

    /// Takes channel.close of the broker, and answers it.
    fn closed_by_broker(&self, close: &ChannelClose<'_>) {
        self.fail(channel_closed(close.reply_code, &close.reply_text.to_string()));
        let close_ok = encode::frame(self.number, &Method::ChannelCloseOk);
        let was_open = self.connection.writer.hand_over_last(self.number, close_ok);
        self.connection.flush_soon();
        // If both sides close, the broker answers as well, and the number is free after that.
        if was_open {
            self.connection.channels.free(self.number);
            self.slot.closed();
        }
    }
}
