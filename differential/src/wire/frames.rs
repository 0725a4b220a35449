//! Frames as octets, valid and malformed.

use carrot_amqp_wire::{FrameWriter, Method};

use crate::wire::program::FRAME_MAX;

/// The octet after each frame.
const END: u8 = 0xCE;

/// Returns a frame with any type and payload.
pub fn frame(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
    let mut octets = vec![kind];
    octets.extend(channel.to_be_bytes());
    octets.extend(u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes());
    octets.extend(payload);
    octets.push(END);
    octets
}

/// Returns a frame with a method.
pub fn method<'m>(channel: u16, method: impl Into<Method<'m>>) -> Vec<u8> {
    let mut octets = Vec::new();
    let method = method.into();
    if let Err(error) = FrameWriter::new(&mut octets, channel, FRAME_MAX).method(&method) {
        panic!("{method:?} cannot be written: {error}");
    }
    octets
}

/// Returns a frame with a method of any class, number and fields.
pub fn raw_method(channel: u16, class: u16, number: u16, fields: &[u8]) -> Vec<u8> {
    frame(1, channel, &[&class.to_be_bytes()[..], &number.to_be_bytes(), fields].concat())
}

/// Returns a frame with a content header of the class basic.
pub fn header(channel: u16, body_size: u64, property_list: &[u8]) -> Vec<u8> {
    let head = [&[0, 60, 0, 0][..], &body_size.to_be_bytes(), property_list].concat();
    frame(2, channel, &head)
}

/// Returns a frame with a part of a body.
pub fn body(channel: u16, octets: &[u8]) -> Vec<u8> {
    frame(3, channel, octets)
}
