//! Serves a client that sends any octets, from the start or on an open connection. What the server
//! sends are frames. No message stays with the client after its end.
#![no_main]

use std::cell::OnceCell;

use carrot_amqp_wire::{FramePart, FrameReader, Method};
use carrot_backend_memory::Broker;
use carrot_server::fuzzing::{SocketlessServer, greeting};
use libfuzzer_sys::fuzz_target;

/// The names that seeds use.
const QUEUES: [&str; 4] = ["q0", "q1", "q2", "q3"];

thread_local! {
    static SERVER: OnceCell<SocketlessServer> = const { OnceCell::new() };
}

fuzz_target!(|data: &[u8]| {
    let [choice, octets @ ..] = data else { return };
    let greeting = match choice & 1 {
        0 => greeting(),
        _ => Vec::new(),
    };
    // Cuts of one octet are slow, and find little.
    let cut = usize::from(choice >> 1) * 8 + 5;
    let broker = Broker::new();
    let sent = SERVER.with(|server| {
        let server = server.get_or_init(|| SocketlessServer::new().expect("a socket of the loopback interface"));
        server.serve(&broker, [&greeting[..]].into_iter().chain(octets.chunks(cut))).expect("frames that can be encoded")
    });
    let mut frames = FrameReader::for_client(u32::MAX);
    let mut rest = &sent[..];
    while let Some(part) = frames.read(&mut rest).expect("the server sends frames") {
        if let FramePart::Frame(frame) = part
            && frame.kind == carrot_amqp_wire::FrameKind::Method
        {
            Method::read(frame.payload).expect("the server sends methods");
        }
    }
    for queue in QUEUES.into_iter().filter_map(|name| broker.queue(name)) {
        assert!(queue.unacked.is_empty(), "{} messages of {} are lost", queue.unacked.len(), queue.definition.name);
    }
});
