//! An open connection: its channels, and the methods of the connection itself.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::mem;

use carrot_amqp_wire::{BodyPart, ChannelClose, ChannelOpenOk, Frame, FrameKind, Method};

use crate::channel::content::{ContentState, PUBLISH, PublishedMessage};
use crate::channel::{ChannelContext, PeerChannel};
use crate::close::{Close, CloseScope};

/// A channel that has sent a frame.
#[derive(Debug)]
struct PeerChannelSlot<'c> {
    state: ChannelSlotState<'c>,
    /// The message under way. RabbitMQ assembles messages of channels in every state.
    content: ContentState<'c>,
}

#[derive(Debug)]
enum ChannelSlotState<'c> {
    /// The channel waits for `channel.open`.
    Unopened,
    Open(Box<PeerChannel<'c>>),
    /// The channel waits for `channel.close-ok`.
    Closing,
}

/// An open connection.
#[derive(Debug)]
pub(crate) struct RunningConnection<'c> {
    context: ChannelContext<'c>,
    channel_max: u16,
    channels: HashMap<u16, PeerChannelSlot<'c>>,
}

impl<'c> RunningConnection<'c> {
    pub(crate) fn new(context: ChannelContext<'c>, channel_max: u16) -> RunningConnection<'c> {
        RunningConnection { context, channel_max, channels: HashMap::new() }
    }

    /// Handles a method of channel 0, except those that close the connection.
    pub(crate) fn connection_method(&self, method: &Method<'_>) -> Result<(), Close> {
        match method {
            Method::ConnectionUpdateSecret(_) => {
                let updated = self.context.session.update_secret();
                updated.map_err(|error| {
                    Close::refused(&error, self.context.vhost).caused_by(method.id())
                })?;
                self.context.outgoing.method(0, &Method::ConnectionUpdateSecretOk);
                Ok(())
            }
            method => Err(Close::channel_error("unexpected method in connection state running")
                .caused_by(method.id())),
        }
    }

    /// Handles a frame of a channel. An error closes the connection.
    pub(crate) fn frame(&mut self, frame: &Frame<'_>) -> Result<(), Close> {
        let ChannelContext { max_body, budget, refuses_large_headers, .. } = self.context;
        let number = frame.channel;
        let content = self.content(number)?;
        match frame.kind {
            FrameKind::Header => {
                let message = content.header(frame.payload, max_body, budget)?;
                if refuses_large_headers {
                    content.check_size(max_body)?;
                }
                match message {
                    Some(message) => self.publish(number, message),
                    None => {
                        self.wait_to_publish(number);
                        Ok(())
                    }
                }
            }
            _ => {
                let method = content.method(frame.payload)?;
                method.map_or(Ok(()), |method| self.method(number, &method))
            }
        }
    }

    /// Handles a part of a body. An error closes the connection.
    pub(crate) fn body(&mut self, part: &BodyPart<'_>) -> Result<(), Close> {
        let budget = self.context.budget;
        self.wait_to_publish(part.channel);
        match self.content(part.channel)?.body(part, budget)? {
            Some(message) => self.publish(part.channel, message),
            None => Ok(()),
        }
    }

    /// Returns the message under way of a channel. The first frame of any kind takes a place.
    fn content(&mut self, number: u16) -> Result<&mut ContentState<'c>, Close> {
        let (count, most) = (self.channels.len(), self.channel_max);
        match self.channels.entry(number) {
            Entry::Occupied(known) => Ok(&mut known.into_mut().content),
            Entry::Vacant(_) if most > 0 && count >= usize::from(most) => {
                Err(Close::not_allowed(&format!(
                    "number of channels opened ({count}) has reached the negotiated channel_max \
                     ({most})"
                )))
            }
            Entry::Vacant(place) => {
                let (state, content) = (ChannelSlotState::Unopened, ContentState::default());
                Ok(&mut place.insert(PeerChannelSlot { state, content }).content)
            }
        }
    }

    /// Notes that an open channel publishes, and waits while the broker blocks publishers.
    fn wait_to_publish(&self, number: u16) {
        if let Some(PeerChannelSlot { state: ChannelSlotState::Open(channel), .. }) =
            self.channels.get(&number)
        {
            channel.wait_to_publish();
        }
    }

    /// Handles a method without content.
    fn method(&mut self, number: u16, method: &Method<'_>) -> Result<(), Close> {
        let state = self.channels.get_mut(&number).map(|slot| &mut slot.state);
        match (state, method) {
            (None | Some(ChannelSlotState::Unopened), Method::ChannelOpen(_)) => self.open(number),
            (None | Some(ChannelSlotState::Unopened), method) => {
                Err(expected_open().caused_by(method.id()))
            }
            (Some(_), Method::ChannelOpen(_)) => {
                Err(Close::channel_error("second 'channel.open' seen").caused_by(method.id()))
            }
            (Some(ChannelSlotState::Open(channel)), Method::ChannelClose(_)) => {
                channel.broker.close();
                self.channels.remove(&number);
                self.context.outgoing.method(number, &Method::ChannelCloseOk);
                Ok(())
            }
            (Some(ChannelSlotState::Open(channel)), method) => {
                let handled = channel.method(method);
                handled.or_else(|close| self.fail(number, close))
            }
            (Some(ChannelSlotState::Closing), Method::ChannelCloseOk) => {
                self.channels.remove(&number);
                Ok(())
            }
            // Both sides close the channel. The answer of the peer follows.
            (Some(ChannelSlotState::Closing), Method::ChannelClose(_)) => {
                self.context.outgoing.method(number, &Method::ChannelCloseOk);
                Ok(())
            }
            (Some(ChannelSlotState::Closing), _) => Ok(()),
        }
    }

    /// Handles a message that has arrived completely.
    fn publish(&mut self, number: u16, message: PublishedMessage) -> Result<(), Close> {
        match self.channels.get_mut(&number).map(|slot| &mut slot.state) {
            None | Some(ChannelSlotState::Unopened) => {
                Err(expected_open().caused_by(message.envelope.method))
            }
            Some(ChannelSlotState::Open(_)) if message.envelope.method != PUBLISH => {
                Err(Close::unimplemented_method().caused_by(message.envelope.method))
            }
            Some(ChannelSlotState::Open(channel)) => {
                let published = channel.publish(message);
                published.or_else(|close| self.fail(number, close))
            }
            Some(ChannelSlotState::Closing) => Ok(()),
        }
    }

    fn open(&mut self, number: u16) -> Result<(), Close> {
        let channel = PeerChannel::open(number, self.context)?;
        channel.reply(ChannelOpenOk::default());
        if let Some(slot) = self.channels.get_mut(&number) {
            slot.state = ChannelSlotState::Open(Box::new(channel));
        }
        Ok(())
    }

    /// Closes a channel, or returns the close of the connection.
    fn fail(&mut self, number: u16, close: Close) -> Result<(), Close> {
        if close.scope == CloseScope::Connection {
            return Err(close);
        }
        if let Some(slot) = self.channels.get_mut(&number)
            && let ChannelSlotState::Open(channel) =
                mem::replace(&mut slot.state, ChannelSlotState::Closing)
        {
            channel.broker.close();
        }
        let (class_id, method_id) = close.method;
        let method = ChannelClose {
            reply_code: close.code,
            reply_text: close.text.as_str().into(),
            class_id,
            method_id,
        };
        self.context.outgoing.method(number, &method.into());
        Ok(())
    }
}

fn expected_open() -> Close {
    Close::channel_error("expected 'channel.open'")
}
