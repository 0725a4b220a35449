//! Any bytes as the header frame of a message: what amiquip makes of them survives the way to Carrot's types and back to the wire.
#![no_main]

#[allow(dead_code)]
#[path = "../../carrot-backend-amqp/src/convert.rs"]
mod convert;
#[path = "../support/frame.rs"]
mod frame;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|payload: &[u8]| {
    let Some(amqp) = frame::read_properties(payload) else { return };
    let properties = convert::from_properties(&amqp);
    let shown = format!("{properties:?}");
    let again = convert::to_properties(&properties);
    assert_eq!(format!("{:?}", convert::from_properties(&again)), shown);
    frame::survives(&properties);
});
