//! Writes messages: large bodies without a copy.

use std::borrow::Cow;
use std::io::{self, ErrorKind};

use carrot_amqp_wire::{PropertiesRef, WireError, forwarded};
use carrot_core::Properties;
use carrot_listener::PeerWriter;

use crate::zmtp::frame::{framed, message, start_message};

/// Returns the octets of properties whose headers have too many levels, with what the broker has
/// changed since. A server of AMQP 0-9-1 keeps them, and shows no headers. The peer reports the
/// message as unreadable.
fn unread_octets(properties: &Properties) -> Option<Cow<'_, [u8]>> {
    let octets = properties.wire_octets()?;
    match PropertiesRef::read(octets) {
        Err(WireError::TooDeep { .. }) => forwarded(properties),
        _ => None,
    }
}

/// Adds a message with a body. The properties follow what `write` appends.
pub(crate) fn send_content(
    writer: &mut PeerWriter<'_>,
    write: impl FnOnce(&mut Vec<u8>),
    properties: &Properties,
    body: &[u8],
) -> io::Result<()> {
    writer.try_append(|out| {
        let mut written = Ok(());
        framed(out, true, |out| {
            write(out);
            written = match unread_octets(properties) {
                Some(octets) => {
                    out.extend_from_slice(&octets);
                    Ok(())
                }
                None => PropertiesRef::from(properties).write(out),
            };
        });
        start_message(out, body.len(), false);
        written.map_err(|error| io::Error::new(ErrorKind::InvalidData, error))
    })?;
    writer.add(body)
}

/// Adds a message without a body.
pub(crate) fn send_message(
    writer: &mut PeerWriter<'_>,
    write: impl FnOnce(&mut Vec<u8>),
) -> io::Result<()> {
    writer.append(|out| message(out, write))
}
