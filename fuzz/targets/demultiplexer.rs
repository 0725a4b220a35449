//! Passes any octets of a broker through the reading side of a connection. What its users see is
//! equal in any cut of the octets.
#![no_main]

use carrot_backend_amqp::fuzzing::demultiplex;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let [count, rest @ ..] = data else { return };
    let (cuts, octets) = rest.split_at(rest.len().min(usize::from(*count)));
    let whole = demultiplex(octets, &[]);
    if !cuts.is_empty() {
        assert_eq!(demultiplex(octets, cuts), whole);
    }
});
