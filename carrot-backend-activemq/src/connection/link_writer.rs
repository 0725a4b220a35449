//! The thread that writes to the socket of a connection.

use carrot_link::write_items;

use crate::connection::broker_link::BrokerLink;
use crate::wire::command::{CommandBody, CommandHead, OpenWireCommand};

/// Writes until the connection ends.
pub(crate) fn run(link: &BrokerLink) {
    let keep_alive = OpenWireCommand::Command(CommandHead::default(), CommandBody::KeepAlive);
    let written = write_items(
        &link.stream,
        &link.outgoing,
        link.traits.inactivity.interval(),
        |out| keep_alive.write_frame(out),
        |frame, writer| writer.add(frame.octets()),
    );
    match written {
        Ok(()) => link.life.finish(&link.stream),
        Err(error) => link.fail(&link.life.loss(error)),
    }
}
