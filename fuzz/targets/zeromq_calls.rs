//! Reads any octets as a call of a client of a ZeroMQ host, or as a message of the host. Messages
//! that are read are equal after a round trip.
#![no_main]

use carrot_backend_zeromq::fuzzing::{RereadMessage, reread_event, reread_request};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    for reread in [reread_request(data), reread_event(data)] {
        let Some(RereadMessage { first, again }) = reread else { continue };
        assert_eq!(again, Ok(first));
    }
});
