//! Messages that are read, written and read again.

use crate::calls::entity;
use crate::calls::event::{
    DeliveredHead, HostEvent, put_blocked, put_cancelled, put_channel_closed, put_confirmed,
    put_delivered, put_done, put_end, put_failed, put_unblocked, put_welcome,
};
use crate::calls::fields::{CallError, FieldReader, MessageStart, put_start};
use crate::calls::put_request;
use crate::calls::request::{self, Request, VERSION};
use crate::host::channel;

/// A message that was read, and the one that was read from what was written then.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "for fuzz targets")]
pub struct RereadMessage {
    /// The first message.
    pub first: String,
    /// The second message, or the reason why there is none.
    pub again: Result<String, String>,
}

/// Reads a call of a client, and what is written for it. Returns `None` if the octets are no call.
pub fn reread_request(octets: &[u8]) -> Option<RereadMessage> {
    let read = |octets: &[u8]| {
        let mut fields = FieldReader::new(octets);
        let start = fields.start()?;
        let request = Request::read(start, fields)?;
        let mut written = Vec::new();
        write_request(&mut written, start, &request);
        let mut shown = format!("{start:?} {request:?}");
        if let Request::Publish(head) = request {
            shown += &format!("{:?}", channel::content(head, Vec::new().into()));
        }
        Ok((shown, written))
    };
    reread(octets, read)
}

/// Reads a message of a host, and what is written for it. Returns `None` if the octets are none.
pub fn reread_event(octets: &[u8]) -> Option<RereadMessage> {
    let read = |octets: &[u8]| {
        let mut fields = FieldReader::new(octets);
        let start = fields.start()?;
        let event = HostEvent::read(start, fields)?;
        let mut written = Vec::new();
        write_event(&mut written, start, &event);
        Ok((format!("{start:?} {event:?}"), written))
    };
    reread(octets, read)
}

fn reread(
    octets: &[u8],
    read: impl Fn(&[u8]) -> Result<(String, Vec<u8>), CallError>,
) -> Option<RereadMessage> {
    let (first, written) = read(octets).ok()?;
    let again = read(&written).map(|(shown, _)| shown).map_err(|error| error.to_string());
    Some(RereadMessage { first, again })
}

fn write_request(out: &mut Vec<u8>, start: MessageStart, request: &Request<'_>) {
    let MessageStart { channel, number, .. } = start;
    match request {
        Request::Hello { version: VERSION, session, name } => {
            put_request::put_hello(out, number, session, name);
        }
        Request::Hello { version, .. } => {
            put_start(out, start);
            out.extend_from_slice(request::MAGIC);
            out.push(*version);
        }
        Request::Open { role, confirms, max_waiting } => {
            put_request::put_open(out, channel, number, *role, *confirms, *max_waiting);
        }
        Request::Close | Request::Goodbye => {
            put_request::put_bare(out, start.kind, channel, number);
        }
        Request::DeclareExchange(exchange) => {
            put_request::put_declare_exchange(out, channel, number, exchange);
        }
        Request::DeclareQueue(queue) => put_request::put_declare_queue(out, channel, number, queue),
        Request::Bind(binding) | Request::Unbind(binding) | Request::HasBinding(binding) => {
            put_start(out, start);
            entity::put_binding(out, binding);
        }
        Request::DeleteExchange { name, condition } | Request::DeleteQueue { name, condition } => {
            put_request::put_delete(out, start.kind, channel, number, name, *condition);
        }
        Request::Purge { queue } => put_request::put_purge(out, channel, number, queue),
        Request::Publish(head) => {
            let (exchange, key) = (&head.exchange, &head.routing_key);
            put_request::put_publish(out, channel, head.mandatory, exchange, key);
            out.extend_from_slice(head.properties);
        }
        Request::Get { queue, acknowledgement } => {
            put_request::put_get(out, channel, number, queue, *acknowledgement);
        }
        Request::Consume { consumer, queue, options } => {
            put_request::put_consume(out, channel, number, *consumer, queue, options);
        }
        Request::Cancel { consumer } => put_request::put_cancel(out, channel, number, *consumer),
        Request::DropConsumer { consumer, seen } => {
            put_request::put_drop_consumer(out, channel, *consumer, seen);
        }
        Request::Settle { kind, ranges } => put_request::put_settle(out, channel, *kind, ranges),
        Request::Taken { bytes } => put_request::put_taken(out, channel, *bytes),
        Request::UpdateSecret => put_request::put_update_secret(out, number, "", ""),
    }
    keep_start(out, start);
}

fn write_event(out: &mut Vec<u8>, start: MessageStart, event: &HostEvent<'_>) {
    let MessageStart { channel, number, .. } = start;
    let delivered = |out: &mut Vec<u8>, head: &DeliveredHead<'_>| {
        let (exchange, key) = (&head.exchange, &head.routing_key);
        put_delivered(out, start, head.tag, head.redelivered, exchange, key);
        out.extend_from_slice(head.properties);
    };
    match event {
        HostEvent::Welcome { session, traits } => put_welcome(out, number, session, *traits),
        HostEvent::Done(octets) => {
            put_done(out, channel, number);
            out.extend_from_slice(octets);
        }
        HostEvent::Failed(error) => put_failed(out, channel, number, &error.0),
        HostEvent::Delivered(head) | HostEvent::Fetched(head) => delivered(out, head),
        HostEvent::Confirmed { first, last, outcome } => {
            put_confirmed(out, channel, *first, *last, outcome);
        }
        HostEvent::Cancelled => put_cancelled(out, channel, number),
        HostEvent::ChannelClosed(error) => put_channel_closed(out, channel, &error.0),
        HostEvent::Blocked { reason } => put_blocked(out, reason),
        HostEvent::Unblocked => put_unblocked(out),
        HostEvent::End(error) => put_end(out, &error.0),
    }
    keep_start(out, start);
}

/// Writes the start of the message that was read: some calls have no number, and no channel.
fn keep_start(out: &mut [u8], start: MessageStart) {
    let mut kept = Vec::new();
    put_start(&mut kept, start);
    if let Some(place) = out.get_mut(..kept.len()) {
        place.copy_from_slice(&kept);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used, reason = "a test may fail by panicking")]

    use super::*;

    #[test]
    fn messages_that_are_read_are_equal_after_a_round_trip() {
        let purge = [&[10, 0, 0, 0, 1, 0, 0, 0, 2][..], b"\x04jobs"].concat();
        let RereadMessage { first, again } = reread_request(&purge).expect("a call");
        assert_eq!(again, Ok(first));
        let blocked = [&[73, 0, 0, 0, 0, 0, 0, 0, 0][..], b"\0\0\0\x03low"].concat();
        let RereadMessage { first, again } = reread_event(&blocked).expect("a message");
        assert_eq!(again, Ok(first));
        assert_eq!(reread_request(&blocked), None);
    }
}
