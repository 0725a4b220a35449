#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use carrot_core::backend::Content;

use super::*;
use crate::connection::outgoing::Piece;
use carrot_amqp_wire::{
    ChannelClose, ChannelOpen, FRAME_END, FRAME_HEAD, FRAME_OVERHEAD, FrameWriter, HEARTBEAT,
    Method,
};

const METHOD: u8 = 1;
const BODY: u8 = 3;
const HEARTBEAT_KIND: u8 = 8;

/// A frame that was read.
struct ReadFrame {
    kind: u8,
    channel: u16,
    payload: Vec<u8>,
}

/// Returns a writer, and the other end of its socket.
fn connected() -> (Arc<SocketWriter>, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    socket.set_nonblocking(true).unwrap();
    let peer = listener.accept().unwrap().0;
    peer.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    (Arc::new(SocketWriter::new(Sink::Plain(socket))), peer)
}

fn method(channel: u16, method: &Method<'_>) -> Vec<u8> {
    let mut octets = Vec::new();
    FrameWriter::new(&mut octets, channel, 4096).method(method).unwrap();
    octets
}

fn heartbeat(channel: u16) -> OutgoingFrames {
    let [kind, _, _, rest @ ..] = HEARTBEAT;
    let [high, low] = channel.to_be_bytes();
    OutgoingFrames::from([&[kind, high, low][..], &rest].concat())
}

fn opened(writer: &Arc<SocketWriter>, channel: u16) -> ChannelOpening {
    writer.open(channel, method(channel, &ChannelOpen {}.into())).unwrap()
}

/// Reads this many whole frames.
fn read_frames(peer: &mut TcpStream, count: usize) -> Vec<ReadFrame> {
    let (mut bytes, mut frames) = (Vec::new(), Vec::new());
    let mut buffer = vec![0; 1 << 16];
    while frames.len() < count {
        let length = peer.read(&mut buffer).unwrap();
        assert!(length > 0, "the writer closed the socket after {} frames", frames.len());
        bytes.extend_from_slice(&buffer[..length]);
        while let [kind, c1, c2, s1, s2, s3, s4, ..] = bytes[..] {
            let size = u32::from_be_bytes([s1, s2, s3, s4]) as usize;
            if bytes.len() < size + FRAME_OVERHEAD {
                break;
            }
            assert_eq!(bytes[FRAME_HEAD + size], FRAME_END);
            let payload = bytes[FRAME_HEAD..FRAME_HEAD + size].to_vec();
            frames.push(ReadFrame { kind, channel: u16::from_be_bytes([c1, c2]), payload });
            bytes.drain(..size + FRAME_OVERHEAD);
        }
    }
    assert!(bytes.is_empty());
    frames
}

#[test]
fn messages_of_a_closed_channel_take_no_room() {
    let (writer, _peer) = connected();
    let opening = opened(&writer, 1);
    assert!(writer.hand_over_last(1, method(1, &Method::ChannelCloseOk)));
    for _ in 0..10 {
        assert!(writer.send_buffer.enter(1 << 20, Duration::ZERO));
        let sent = writer.send_counted(opening, 1 << 20, || (OutgoingFrames::default(), ()));
        assert!(sent.is_none());
    }
}

#[test]
fn only_the_latest_opening_of_a_channel_sends() {
    let (writer, _peer) = connected();
    let first = opened(&writer, 1);
    let sends = |opening| writer.send(opening, || (OutgoingFrames::default(), ())).is_some();
    assert!(sends(first));
    let other = opened(&writer, 2);
    assert!(writer.hand_over_last(1, method(1, &Method::ChannelCloseOk)));
    assert!(!sends(first));
    let second = opened(&writer, 1);
    assert!(!sends(first) && sends(second));
    assert!(writer.send_last(second, || method(1, &ChannelClose::default().into())));
    assert!(!sends(second) && sends(other));
    writer.seal();
    assert!(!sends(other));
    assert!(writer.open(3, Vec::new()).is_none());
}

#[test]
fn answers_that_the_peer_does_not_read_are_bounded() {
    let (writer, mut peer) = connected();
    let opening = opened(&writer, 1);
    let answer = method(1, &Method::ChannelCloseOk);
    let fill = || {
        let mut octets = 0;
        while octets < 2 * MAX_ANSWERS {
            match writer.hand_over_on(opening, answer.clone()) {
                Ok(is_open) => assert!(is_open),
                Err(TooManyAnswers) => break,
            }
            octets += answer.len();
        }
        octets
    };
    let most = MAX_ANSWERS / answer.len() * answer.len();
    assert_eq!(fill(), most);
    assert!(writer.begin_flush() && !writer.begin_flush());
    let frames = most / answer.len() + 1;
    thread::scope(|scope| {
        scope.spawn(|| writer.flush());
        assert_eq!(read_frames(&mut peer, frames).len(), frames);
    });
    assert!(writer.begin_flush());
    assert_eq!(fill(), most);
}

/// A frame in pieces, as large bodies are.
fn in_pieces(channel: u16, payload: Vec<u8>) -> OutgoingFrames {
    let length = payload.len();
    let mut unused = Vec::new();
    let head = FrameWriter::new(&mut unused, channel, u32::MAX).body_head(length as u32);
    let mut frames = OutgoingFrames::from(head.octets().to_vec());
    frames.push(Piece::Body(Arc::new(Content::new("", "", payload)), 0..length));
    frames.push(Piece::Bytes(vec![FRAME_END]));
    frames
}

#[test]
fn what_many_threads_send_to_a_full_socket_leaves_whole_and_in_order() {
    const THREADS: u16 = 4;
    const EACH: u32 = 500;
    let (writer, mut peer) = connected();
    let frames = thread::scope(|scope| {
        for channel in 1..=THREADS {
            let (writer, opening) = (&writer, opened(&writer, channel));
            scope.spawn(move || {
                for number in 0..EACH {
                    let mut payload = vec![channel as u8; 10_000];
                    payload[..4].copy_from_slice(&number.to_be_bytes());
                    writer.send(opening, || (in_pieces(channel, payload), ())).unwrap();
                }
            });
        }
        // amiquip's own frames.
        let heartbeats = &writer;
        scope.spawn(move || (0..EACH).for_each(|_| heartbeats.write(&HEARTBEAT).unwrap()));
        read_frames(&mut peer, usize::from(THREADS) + (usize::from(THREADS) + 1) * EACH as usize)
    });
    let mut next = [0; THREADS as usize + 1];
    for ReadFrame { channel, payload, .. } in frames.iter().filter(|frame| frame.kind == BODY) {
        let number = &mut next[usize::from(*channel)];
        assert_eq!(payload[..4], u32::to_be_bytes(*number), "of channel {channel}");
        assert!(payload[4..].iter().all(|byte| u16::from(*byte) == *channel));
        *number += 1;
    }
    assert_eq!(next[1..], [EACH; THREADS as usize]);
    assert_eq!(frames.iter().filter(|frame| frame.kind == METHOD).count(), usize::from(THREADS));
    writer.end();
}

#[test]
fn what_is_sent_meanwhile_leaves_after_the_work() {
    let (writer, mut peer) = connected();
    let opening = opened(&writer, 1);
    read_frames(&mut peer, 1);
    peer.set_nonblocking(true).unwrap();
    writer.coalesce(|| {
        for channel in [1, 0] {
            writer.send(opening, || (heartbeat(channel), ())).unwrap();
        }
        assert_eq!(peer.read(&mut [0]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        2
    });
    peer.set_nonblocking(false).unwrap();
    let channels: Vec<_> = read_frames(&mut peer, 2).iter().map(|frame| frame.channel).collect();
    assert_eq!(channels, [1, 0]);
}

#[test]
fn amiquips_frames_are_taken_at_once_though_the_socket_is_full() {
    const HEARTBEATS: usize = 3;
    let (writer, mut peer) = connected();
    let opening = opened(&writer, 1);
    writer.send(opening, || (in_pieces(1, vec![1; 32 << 20]), ())).unwrap();
    assert!(
        !lock(&writer.state).pending.is_empty() || lock(&writer.state).congested,
        "the socket took it all"
    );
    let (taken, all_taken) = std::sync::mpsc::channel();
    let sender = Arc::clone(&writer);
    thread::spawn(move || {
        (0..HEARTBEATS).for_each(|_| sender.write(&HEARTBEAT).unwrap());
        taken.send(()).unwrap();
    });
    all_taken.recv_timeout(Duration::from_secs(10)).unwrap();
    let kinds: Vec<u8> =
        read_frames(&mut peer, 2 + HEARTBEATS).iter().map(|frame| frame.kind).collect();
    assert_eq!(kinds, [METHOD, BODY, HEARTBEAT_KIND, HEARTBEAT_KIND, HEARTBEAT_KIND]);
}

#[test]
fn a_dead_socket_ends_it() {
    let (writer, peer) = connected();
    let opening = opened(&writer, 1);
    drop(peer);
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while writer.send(opening, || (heartbeat(0), ())).is_some() {
        assert!(std::time::Instant::now() < deadline);
    }
    assert!(writer.open(2, Vec::new()).is_none());
}
