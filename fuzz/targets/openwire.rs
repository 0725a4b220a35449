//! Reads any octets as those of a broker: frames, commands and messages. A stream in parts is
//! understood as in one piece, and commands and property maps are written as they were read.
#![no_main]

use carrot_backend_activemq::fuzzing::{openwire_transcript, reread_command, reread_properties};
use libfuzzer_sys::fuzz_target;

/// Above this length, a text in UTF-8 may exceed its limit when it is written for Java.
const SHORT: usize = 40_000;

fuzz_target!(|data: &[u8]| {
    let [choice, part, octets @ ..] = data else { return };
    if octets.len() > SHORT {
        return;
    }
    let reread = match choice & 3 {
        0 => reread_command(octets),
        1 => reread_properties(octets),
        _ => {
            let whole = openwire_transcript(octets, octets.len());
            assert_eq!(openwire_transcript(octets, usize::from(*part)), whole);
            None
        }
    };
    if let Some([first, second]) = reread {
        assert_eq!(first, second);
    }
});
