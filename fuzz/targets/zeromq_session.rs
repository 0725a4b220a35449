//! Serves a client of a ZeroMQ host: one that sends any octets, from the start or after its hello,
//! or one that makes valid calls. Each call is answered once. No message stays with the client
//! after its end.
#![no_main]

use std::cell::OnceCell;

use carrot_backend_memory::Broker;
use carrot_backend_zeromq::fuzzing::{CallProgram, SentMessages, SocketlessHost, call_program, greeting};
use libfuzzer_sys::fuzz_target;

/// The names that seeds and programs use.
const QUEUES: [&str; 4] = ["q0", "q1", "q2", "q3"];

thread_local! {
    static HOST: OnceCell<SocketlessHost> = const { OnceCell::new() };
}

fuzz_target!(|data: &[u8]| {
    let [choice, rest @ ..] = data else { return };
    // Cuts of one octet are slow, and find little.
    let cut = usize::from(choice >> 2) * 8 + 5;
    let (octets, calls) = match choice & 3 {
        0 => (rest.to_vec(), None),
        1 => ([&greeting()[..], rest].concat(), None),
        _ => {
            let CallProgram { octets, calls } = call_program(rest);
            (octets, Some(calls))
        }
    };
    let broker = Broker::new();
    let sent = HOST.with(|host| {
        let host = host.get_or_init(|| SocketlessHost::new().expect("a socket of the loopback interface"));
        host.serve(&broker, octets.chunks(cut)).expect("messages that can be encoded")
    });
    let sent = SentMessages::read(&sent).expect("the host sends messages");
    if let Some(calls) = calls {
        assert!(calls.starts_with(&sent.answers), "{calls:?} {sent:?}");
        assert!(sent.has_end || sent.answers == calls, "{calls:?} {sent:?}");
    }
    assert!(sent.deliveries.iter().all(|(channel, _, tag)| *channel > 0 && *tag > 0), "{sent:?}");
    assert!(sent.confirms.iter().all(|(_, first, last)| *first > 0 && first <= last), "{sent:?}");
    for queue in QUEUES.into_iter().filter_map(|name| broker.queue(name)) {
        assert!(queue.unacked.is_empty(), "{} messages of {} are lost", queue.unacked.len(), queue.definition.name);
    }
});
