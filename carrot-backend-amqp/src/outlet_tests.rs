#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::io::Read;
use std::net::TcpListener;
use std::time::Duration;

use carrot_core::backend::Content;

use super::*;
use crate::frame::{self, CONTENT_BODY, METHOD};
use crate::frames::Piece;

/// An outlet, and the other end of its socket.
fn connected() -> (Arc<Outlet>, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    socket.set_nonblocking(true).unwrap();
    let peer = listener.accept().unwrap().0;
    peer.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    (Arc::new(Outlet::new(socket, Sink::Plain)), peer)
}

fn opened(outlet: &Arc<Outlet>, channel: u16) -> Opening {
    outlet.write(&frame::method(channel, CHANNEL_OPEN, b"\0")).unwrap();
    outlet.opening(channel).unwrap()
}

/// Reads whole frames until there are so many, and gives the heads and the payloads.
fn read_frames(peer: &mut TcpStream, count: usize) -> Vec<(Head, Vec<u8>)> {
    let (mut bytes, mut frames) = (Vec::new(), Vec::new());
    let mut buffer = vec![0; 1 << 16];
    while frames.len() < count {
        let length = peer.read(&mut buffer).unwrap();
        assert!(length > 0, "the other side has hung up after {} frames", frames.len());
        bytes.extend_from_slice(&buffer[..length]);
        while let Some(head) = Head::parse(&bytes).filter(|head| head.whole() <= bytes.len()) {
            assert_eq!(bytes[head.whole() - 1], frame::END);
            frames.push((head, head.payload_of(&bytes).to_vec()));
            bytes.drain(..head.whole());
        }
    }
    assert!(bytes.is_empty());
    frames
}

#[test]
fn what_a_closed_channel_does_not_send_takes_no_room() {
    let (outlet, _peer) = connected();
    let opening = opened(&outlet, 1);
    outlet.write(&frame::method(1, CHANNEL_CLOSE_OK, b"")).unwrap();
    for _ in 0..10 {
        assert!(outlet.flow.enter(1 << 20, Duration::ZERO));
        assert!(outlet.send_let_in(opening, 1 << 20, || (Frames::default(), ())).is_none());
    }
}

#[test]
fn only_an_open_channel_sends_and_only_as_it_was_opened() {
    let (outlet, _peer) = connected();
    assert_eq!(outlet.opening(1), None);
    let first = opened(&outlet, 1);
    let is_let_through = |opening| outlet.send(opening, || (Frames::default(), ())).is_some();
    assert!(is_let_through(first));
    outlet
        .write(
            &[frame::method(2, CHANNEL_OPEN, b""), frame::method(1, CHANNEL_CLOSE_OK, b"")]
                .concat(),
        )
        .unwrap();
    assert!(!is_let_through(first));
    let second = opened(&outlet, 1);
    assert!(!is_let_through(first) && is_let_through(second));
    outlet.write(&frame::method(1, CHANNEL_CLOSE, b"")).unwrap();
    assert!(!is_let_through(second));
    let other = outlet.opening(2).unwrap();
    outlet.write(&frame::method(0, CONNECTION_CLOSE, b"")).unwrap();
    assert!(!is_let_through(other));
}

/// A frame in pieces, as large bodies are.
fn in_pieces(channel: u16, payload: Vec<u8>) -> Frames {
    let (mut prefix, length) = (Vec::new(), payload.len());
    frame::prefix(&mut prefix, CONTENT_BODY, channel, length);
    let mut frames = Frames::from(prefix);
    frames.push(Piece::Body(Arc::new(Content::new("", "", payload)), 0..length));
    frames.push(Piece::Bytes(vec![frame::END]));
    frames
}

#[test]
fn what_many_threads_send_to_a_full_socket_leaves_whole_and_in_order() {
    const THREADS: u16 = 4;
    const EACH: u32 = 500;
    let (outlet, mut peer) = connected();
    let frames = thread::scope(|scope| {
        for channel in 1..=THREADS {
            let (outlet, opening) = (&outlet, opened(&outlet, channel));
            scope.spawn(move || {
                for number in 0..EACH {
                    let mut payload = vec![channel as u8; 10_000];
                    payload[..4].copy_from_slice(&number.to_be_bytes());
                    outlet.send(opening, || (in_pieces(channel, payload), ())).unwrap();
                }
            });
        }
        // amiquip's own frames.
        let heartbeats = &outlet;
        scope.spawn(move || {
            (0..EACH).for_each(|_| heartbeats.write(&frame::whole(8, 0, b"")).unwrap())
        });
        read_frames(&mut peer, usize::from(THREADS) + (usize::from(THREADS) + 1) * EACH as usize)
    });
    let mut next = [0; THREADS as usize + 1];
    for (head, payload) in frames.iter().filter(|(head, _)| head.kind == CONTENT_BODY) {
        let number = &mut next[usize::from(head.channel)];
        assert_eq!(payload[..4], u32::to_be_bytes(*number), "of channel {}", head.channel);
        assert!(payload[4..].iter().all(|byte| u16::from(*byte) == head.channel));
        *number += 1;
    }
    assert_eq!(next[1..], [EACH; THREADS as usize]);
    assert_eq!(frames.iter().filter(|(head, _)| head.kind == METHOD).count(), usize::from(THREADS));
    outlet.end();
}

#[test]
fn what_is_sent_meanwhile_leaves_after_the_work() {
    let (outlet, mut peer) = connected();
    let opening = opened(&outlet, 1);
    read_frames(&mut peer, 1);
    peer.set_nonblocking(true).unwrap();
    outlet.gather(|| {
        for channel in [1, 0] {
            outlet.send(opening, || (Frames::from(frame::whole(8, channel, b"")), ())).unwrap();
        }
        assert_eq!(peer.read(&mut [0]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        2
    });
    peer.set_nonblocking(false).unwrap();
    let channels: Vec<_> = read_frames(&mut peer, 2).iter().map(|(head, _)| head.channel).collect();
    assert_eq!(channels, [1, 0]);
}

#[test]
fn amiquips_frames_are_taken_at_once_though_the_socket_is_full() {
    const HEARTBEATS: usize = 3;
    let (outlet, mut peer) = connected();
    let opening = opened(&outlet, 1);
    outlet.send(opening, || (in_pieces(1, vec![1; 32 << 20]), ())).unwrap();
    assert!(!outlet.lock().pending.is_empty() || outlet.lock().congested, "the socket took it all");
    let (taken, all_taken) = std::sync::mpsc::channel();
    let sender = Arc::clone(&outlet);
    thread::spawn(move || {
        (0..HEARTBEATS).for_each(|_| sender.write(&frame::HEARTBEAT).unwrap());
        taken.send(()).unwrap();
    });
    all_taken.recv_timeout(Duration::from_secs(10)).unwrap();
    let kinds: Vec<u8> =
        read_frames(&mut peer, 2 + HEARTBEATS).iter().map(|(head, _)| head.kind).collect();
    assert_eq!(kinds, [METHOD, CONTENT_BODY, 8, 8, 8]);
}

#[test]
fn a_dead_socket_ends_it() {
    let (outlet, peer) = connected();
    let opening = opened(&outlet, 1);
    drop(peer);
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while outlet.send(opening, || (Frames::from(frame::whole(8, 0, b"")), ())).is_some() {
        assert!(std::time::Instant::now() < deadline);
    }
    assert_eq!(outlet.opening(1), Some(opening), "nobody has closed it");
    outlet.end();
    assert_eq!(outlet.opening(1), None);
}
