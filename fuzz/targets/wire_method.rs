//! Reads any octets as a method. A method that is read is equal after a round trip, and no longer.
#![no_main]

use carrot_amqp_wire::{FRAME_OVERHEAD, Frame, FramePart, FrameReader, FrameWriter, Method};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|payload: &[u8]| {
    let Ok(method) = Method::read(payload) else { return };
    let mut octets = Vec::new();
    FrameWriter::new(&mut octets, 1, 131_072).method(&method).expect("a method that was read can be written");
    // Reserved fields are written empty.
    assert!(octets.len() <= payload.len() + FRAME_OVERHEAD, "{method:?}");
    let mut reader = FrameReader::for_client(131_072);
    let Ok(Some(FramePart::Frame(Frame { payload, .. }))) = reader.read(&mut &octets[..]) else {
        panic!("no frame of {method:?}");
    };
    assert_eq!(Method::read(payload), Ok(method));
    // Displays tables at any depth.
    let _ = format!("{method:?}");
});
