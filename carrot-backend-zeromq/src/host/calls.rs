//! The calls of a connection that has said hello.

use std::collections::HashMap;
use std::sync::Arc;

use carrot_backend_memory::session::{Refusal, Session, size_of_properties};
use carrot_core::backend::{Acknowledgement, Body, Declare, Delete, Deleted, QueueInfo};
use carrot_core::{Error, Result};
use carrot_listener::OutgoingQueue;

use crate::calls::event::{put_channel_closed, put_done, put_failed, put_queue_info};
use crate::calls::fields::{CallError, MessageStart};
use crate::calls::request::{PublishHead, Request};
use crate::host::channel::{self, HostChannel, PublicationFault};
use crate::host::item::HostItem;
use crate::host::output::tag_of;
use crate::host::seen_tags::SeenTags;
use crate::host::settings::HostSettings;

/// The reason why a connection ends after a call.
#[derive(Debug)]
pub(crate) enum ConnectionEnd {
    /// The peer said goodbye.
    Goodbye,
    /// The peer does not keep to the protocol.
    Malformed(CallError),
    /// The broker closes the connection over an operation.
    Refused(Error),
}

impl From<CallError> for ConnectionEnd {
    fn from(error: CallError) -> ConnectionEnd {
        ConnectionEnd::Malformed(error)
    }
}

/// Carries out the calls of a connection, one after the other.
#[derive(Debug)]
pub(crate) struct HostCalls<'c> {
    session: &'c Session,
    settings: &'c HostSettings,
    outgoing: &'c Arc<OutgoingQueue<HostItem>>,
    channels: HashMap<u32, HostChannel>,
    parked: Parked,
}

/// The publications that wait because publishers are blocked.
#[derive(Debug, Default)]
struct Parked {
    messages: usize,
    bytes: usize,
}

impl<'c> HostCalls<'c> {
    pub(crate) fn new(
        session: &'c Session,
        settings: &'c HostSettings,
        outgoing: &'c Arc<OutgoingQueue<HostItem>>,
    ) -> HostCalls<'c> {
        HostCalls {
            session,
            settings,
            outgoing,
            channels: HashMap::new(),
            parked: Parked::default(),
        }
    }

    /// Publishes a message. What the peer publishes while publishers are blocked is parked, and
    /// over the limits waits in its socket.
    pub(crate) fn publish(
        &mut self,
        start: MessageStart,
        head: PublishHead<'_>,
        body: Body,
    ) -> Result<(), ConnectionEnd> {
        let mandatory = head.mandatory;
        let content = channel::content(head, body);
        let number = start.channel;
        let Some(channel) = self.channels.get(&number) else {
            let error = Error::closed("channel");
            self.outgoing.add(HostItem::message(|out| put_channel_closed(out, number, &error)));
            return Ok(());
        };
        let content = match content {
            Ok(content) => content,
            Err(PublicationFault::Malformed(error)) => return Err(error.into()),
            Err(PublicationFault::Unreadable(error)) => {
                channel.output.close(&error);
                channel.close();
                return Ok(());
            }
        };
        let size = content.body.len() + size_of_properties(&content.properties);
        if let Err(error) = channel.broker.publish_as_read(content, mandatory) {
            channel.output.close(&error);
            return closing(error);
        }
        if self.session.is_blocked() {
            self.parked.messages += 1;
            self.parked.bytes += size;
            if self.parked.messages >= self.settings.max_parked_messages
                || self.parked.bytes >= self.settings.max_parked_bytes
            {
                self.wait_until_read();
            }
        } else {
            self.parked = Parked::default();
        }
        match channel.output.failure() {
            Some(error) => closing(error.clone()),
            None => Ok(()),
        }
    }

    /// Waits while publishers are blocked, and the peer has publications that wait.
    fn wait_until_read(&self) {
        self.outgoing.flush();
        self.session.wait_until_read();
    }

    /// Carries out a call other than a publication.
    pub(crate) fn call(
        &mut self,
        start: MessageStart,
        request: Request<'_>,
    ) -> Result<(), ConnectionEnd> {
        let MessageStart { channel: number, number: call, .. } = start;
        match request {
            Request::Open { confirms, max_waiting, .. } => self.open(start, confirms, max_waiting),
            Request::Close => {
                if self.parked.messages > 0 {
                    self.wait_until_read();
                }
                if let Some(channel) = self.channels.remove(&number) {
                    channel.close();
                }
                self.done(start)
            }
            Request::Goodbye => {
                if self.parked.messages > 0 {
                    self.wait_until_read();
                }
                self.channels.drain().for_each(|(_, channel)| channel.close());
                self.session.close();
                self.done(start)?;
                Err(ConnectionEnd::Goodbye)
            }
            Request::UpdateSecret => {
                let updated = self.session.update_secret();
                self.answer(start, updated.map(|()| |_: &mut Vec<u8>| ()))
            }
            Request::Settle { kind, ranges } => {
                let Some(channel) = self.channels.get(&number) else { return Ok(()) };
                match channel.settle(kind, &ranges) {
                    Ok(()) => Ok(()),
                    Err(error) => {
                        channel.output.close(&error);
                        closing(error)
                    }
                }
            }
            Request::Taken { bytes } => {
                if let Some(channel) = self.channels.get(&number) {
                    channel.output.note_taken(bytes);
                    self.session.resume();
                }
                Ok(())
            }
            Request::Hello { .. } => {
                Err(CallError { field: "kind", problem: "is a second hello" }.into())
            }
            request => match self.channels.get(&number) {
                Some(channel) => {
                    channel.output.set_call(call);
                    self.on_channel(start, channel, request)
                }
                None => self.fail(start, Error::closed("channel")),
            },
        }
    }

    fn open(
        &mut self,
        start: MessageStart,
        confirms: bool,
        max_waiting: u64,
    ) -> Result<(), ConnectionEnd> {
        let number = start.channel;
        if number == 0 || self.channels.contains_key(&number) {
            return Err(CallError { field: "channel", problem: "is 0, or open" }.into());
        }
        if self.channels.len() >= self.settings.max_channels {
            let most = self.settings.max_channels;
            let error = Error::invalid(
                "channel",
                &format!("{} channels of the connection", self.channels.len() + 1),
                "no more than the host permits",
            );
            log::debug!("a channel was refused: the connection has {most}");
            return self.fail(start, error);
        }
        let outgoing = self.outgoing;
        let opened = HostChannel::open(self.session, outgoing, number, confirms, max_waiting);
        let opened = opened.map(|channel| {
            self.channels.insert(number, channel);
            |_: &mut Vec<u8>| ()
        });
        self.answer(start, opened)
    }

    /// Carries out a call on an open channel.
    fn on_channel(
        &self,
        start: MessageStart,
        channel: &HostChannel,
        request: Request<'_>,
    ) -> Result<(), ConnectionEnd> {
        let broker = &channel.broker;
        match request {
            Request::DeclareExchange(exchange) => {
                self.declared(start, broker.declare(Declare::Exchange(&exchange)))
            }
            Request::DeclareQueue(queue) => {
                self.declared(start, broker.declare(Declare::Queue(&queue)))
            }
            Request::Bind(binding) => {
                self.declared(start, broker.declare(Declare::Binding(&binding)))
            }
            Request::DeleteExchange { name, condition } => {
                self.deleted(start, broker.delete(Delete::Exchange { name, condition }))
            }
            Request::DeleteQueue { name, condition } => {
                self.deleted(start, broker.delete(Delete::Queue { name, condition }))
            }
            Request::Unbind(binding) => {
                self.deleted(start, broker.delete(Delete::Binding(&binding)))
            }
            Request::Purge { queue } => {
                self.deleted(start, broker.delete(Delete::Messages { queue }))
            }
            Request::HasBinding(binding) => {
                let found = broker.has_binding(&binding);
                self.answer(start, found.map(|has| move |out: &mut Vec<u8>| out.push(has.into())))
            }
            Request::Get { .. } if start.number == 0 => {
                Err(CallError { field: "number", problem: "is 0, and a get needs its answer" }
                    .into())
            }
            Request::Get { queue, acknowledgement } => {
                let no_ack = acknowledgement == Acknowledgement::Automatic;
                match broker.get(queue, no_ack) {
                    // The message is the answer.
                    Ok(true) => Ok(()),
                    Ok(false) => self.done(start),
                    Err(error) => self.fail(start, error),
                }
            }
            Request::Consume { consumer, queue, options } => {
                match channel.consume(consumer, queue, options) {
                    // The first event of the consumer is the answer.
                    Ok(()) => Ok(()),
                    Err(error) => self.fail(start, error),
                }
            }
            Request::DropConsumer { consumer, seen } => {
                let seen = SeenTags::new(seen);
                // The consumer, or the channel, may have ended meanwhile.
                let _ = broker.drop_consumer(tag_of(consumer).as_bytes(), |tag| seen.contains(tag));
                Ok(())
            }
            Request::Cancel { consumer } => {
                let cancelled = broker.cancel(tag_of(consumer).as_bytes());
                self.answer(start, cancelled.map(|_| |_: &mut Vec<u8>| ()))
            }
            _ => Err(CallError { field: "kind", problem: "is of no call on a channel" }.into()),
        }
    }

    fn declared(
        &self,
        start: MessageStart,
        declared: Result<QueueInfo>,
    ) -> Result<(), ConnectionEnd> {
        self.answer(start, declared.map(|info| move |out: &mut Vec<u8>| put_queue_info(out, &info)))
    }

    fn deleted(&self, start: MessageStart, deleted: Result<Deleted>) -> Result<(), ConnectionEnd> {
        let count = deleted.map(|deleted| deleted.message_count.to_be_bytes());
        self.answer(
            start,
            count.map(|count| move |out: &mut Vec<u8>| out.extend_from_slice(&count)),
        )
    }

    /// Answers a call without fields.
    fn done(&self, start: MessageStart) -> Result<(), ConnectionEnd> {
        self.answer(start, Ok(|_: &mut Vec<u8>| ()))
    }

    fn fail(&self, start: MessageStart, error: Error) -> Result<(), ConnectionEnd> {
        self.answer(start, Err::<fn(&mut Vec<u8>), _>(error))
    }

    /// Answers a call with the fields that a function writes, or with an error. A call with the
    /// number 0 wants no answer.
    fn answer(
        &self,
        start: MessageStart,
        result: Result<impl FnOnce(&mut Vec<u8>)>,
    ) -> Result<(), ConnectionEnd> {
        let MessageStart { channel, number: call, .. } = start;
        let failure = result.as_ref().err().cloned();
        if call != 0 {
            self.outgoing.add(HostItem::message(|out| match result {
                Ok(write) => {
                    put_done(out, channel, call);
                    write(out);
                }
                Err(error) => put_failed(out, channel, call, &error),
            }));
        }
        failure.map_or(Ok(()), closing)
    }
}

/// Returns whether an error of the broker ends the connection, or only its channel, or nothing.
fn closing(error: Error) -> Result<(), ConnectionEnd> {
    let only_here = error.is_channel_error()
        || matches!(error, Error::Invalid { .. } | Error::Closed { .. } | Error::Cancelled { .. });
    match only_here || !Refusal::of(&error).closes_connection {
        true => Ok(()),
        false => Err(ConnectionEnd::Refused(error)),
    }
}
