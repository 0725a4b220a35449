//! An open connection: its channels, and the methods of the connection itself.

use std::collections::HashMap;

use carrot_amqp_wire::{BodyPart, ChannelClose, ChannelOpenOk, Frame, FrameKind, Method};

use crate::channel::{ChannelContext, PeerChannel};
use crate::close::{Close, CloseScope};

/// A channel that exists, or waits for `channel.close-ok`.
#[derive(Debug)]
enum PeerChannelSlot<'c> {
    Open(Box<PeerChannel<'c>>),
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
        let number = frame.channel;
        match self.channels.get_mut(&number) {
            None => self.first_method(frame),
            Some(PeerChannelSlot::Closing) => self.closing_method(frame),
            Some(PeerChannelSlot::Open(channel)) => {
                let handled = match frame.kind {
                    FrameKind::Header => channel.header(frame.payload),
                    _ => match control(frame.payload) {
                        Some(method) => return self.control_method(number, &method),
                        None => channel.method(frame.payload),
                    },
                };
                handled.or_else(|close| self.fail(number, close))
            }
        }
    }

    /// Handles a part of a body. An error closes the connection.
    pub(crate) fn body(&mut self, part: &BodyPart<'_>) -> Result<(), Close> {
        match self.channels.get_mut(&part.channel) {
            None => Err(expected_open()),
            Some(PeerChannelSlot::Closing) => Ok(()),
            Some(PeerChannelSlot::Open(channel)) => {
                channel.body(part).or_else(|close| self.fail(part.channel, close))
            }
        }
    }

    /// Handles the first frame of a channel.
    fn first_method(&mut self, frame: &Frame<'_>) -> Result<(), Close> {
        if frame.kind != FrameKind::Method {
            return Err(expected_open());
        }
        let method = Method::read(frame.payload)
            .map_err(|error| Close::malformed_method(&error, frame.payload))?;
        let Method::ChannelOpen(_) = method else {
            return Err(expected_open().caused_by(method.id()));
        };
        let (count, most) = (self.channels.len(), self.channel_max);
        if most > 0 && count >= usize::from(most) {
            return Err(Close::not_allowed(&format!(
                "number of channels opened ({count}) has reached the negotiated channel_max \
                 ({most})"
            )));
        }
        let channel = PeerChannel::open(frame.channel, self.context)?;
        channel.reply(ChannelOpenOk::default());
        self.channels.insert(frame.channel, PeerChannelSlot::Open(Box::new(channel)));
        Ok(())
    }

    /// Handles a frame of a channel that waits for `channel.close-ok`.
    fn closing_method(&mut self, frame: &Frame<'_>) -> Result<(), Close> {
        if frame.kind != FrameKind::Method {
            return Ok(());
        }
        match Method::read(frame.payload) {
            Ok(Method::ChannelCloseOk) => {
                self.channels.remove(&frame.channel);
                Ok(())
            }
            // Both sides close the channel. The answer of the peer follows.
            Ok(Method::ChannelClose(_)) => {
                self.context.outgoing.method(frame.channel, &Method::ChannelCloseOk);
                Ok(())
            }
            Ok(method @ Method::ChannelOpen(_)) => Err(second_open(&method)),
            _ => Ok(()),
        }
    }

    /// Handles a method that opens or closes a channel that exists.
    fn control_method(&mut self, number: u16, method: &Method<'_>) -> Result<(), Close> {
        if let Method::ChannelOpen(_) = method {
            return Err(second_open(method));
        }
        if let Some(PeerChannelSlot::Open(channel)) = self.channels.remove(&number) {
            channel.broker.close();
        }
        if let Method::ChannelClose(_) = method {
            self.context.outgoing.method(number, &Method::ChannelCloseOk);
        }
        Ok(())
    }

    /// Closes a channel, or returns the close of the connection.
    fn fail(&mut self, number: u16, close: Close) -> Result<(), Close> {
        if close.scope == CloseScope::Connection {
            return Err(close);
        }
        if let Some(PeerChannelSlot::Open(channel)) =
            self.channels.insert(number, PeerChannelSlot::Closing)
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

/// Returns the method, if it opens or closes a channel.
fn control(payload: &[u8]) -> Option<Method<'_>> {
    const CHANNEL: [u8; 2] = [0, 20];
    if !payload.starts_with(&CHANNEL) {
        return None;
    }
    Method::read(payload).ok().filter(|method| {
        matches!(method, Method::ChannelOpen(_) | Method::ChannelClose(_) | Method::ChannelCloseOk)
    })
}

fn expected_open() -> Close {
    Close::channel_error("expected 'channel.open'")
}

fn second_open(method: &Method<'_>) -> Close {
    Close::channel_error("second 'channel.open' seen").caused_by(method.id())
}
