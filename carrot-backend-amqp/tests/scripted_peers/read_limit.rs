//! A consumer without a prefetch whose program does not keep up.

use std::io::{ErrorKind, Write};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use carrot_amqp_wire::{BasicCancelOk, BasicConsumeOk, Method};
use carrot_backend_amqp::AmqpConnector;
use carrot_core::Error;
use carrot_core::backend::{
    Acknowledgement, Backend, ChannelOptions, Connector, ConsumeOptions, Role, Subscription,
};

use crate::client;
use crate::form::Form;
use crate::peer::{Peer, Scripted, tune};
use crate::{LONG, SHORT};

const LIMIT: u64 = 1 << 20;
const BODY: usize = 64 << 10;
/// More than the buffers of both sockets hold.
const MORE: u64 = 64 << 20;

/// A consumer that has been sent more than its limit and the buffers of the sockets.
struct Paused {
    connector: AmqpConnector,
    channel: Arc<dyn Backend>,
    subscription: Box<dyn Subscription>,
    peer: Peer,
    tag: String,
    /// The messages that the broker has sent, and the rest of the last one.
    sent: u64,
    rest: Vec<u8>,
}

fn message(tag: &str, number: u64) -> Vec<u8> {
    let mut body = vec![7; BODY];
    body[..8].copy_from_slice(&number.to_be_bytes());
    client::message(tag, number, &body)
}

impl Paused {
    /// Starts a consumer, and sends messages until the socket takes no more.
    fn new(scripted: &Scripted) -> Paused {
        let connector = scripted.connector();
        let options = ChannelOptions::consume().with_max_waiting_bytes(LIMIT);
        let (channel, mut peer) = thread::scope(|scope| {
            let opening = scope.spawn(|| connector.open(&options, LONG).unwrap());
            let mut peer = scripted.accept_with(tune(0, 1));
            peer.open_channel(false);
            (opening.join().unwrap(), peer)
        });
        let mut options = ConsumeOptions::default();
        options.acknowledgement = Acknowledgement::Automatic;
        let (subscription, tag) = thread::scope(|scope| {
            let consuming = scope.spawn(|| channel.consume("q", &options, LONG).unwrap());
            peer.receive("basic.qos", |_| ());
            peer.send(1, &Method::BasicQosOk);
            let (_, tag) = peer.receive("basic.consume", |method| match method {
                Method::BasicConsume(consume) => consume.consumer_tag.to_string(),
                other => panic!("{other:?}"),
            });
            peer.send(1, &BasicConsumeOk { consumer_tag: (&tag).into() }.into());
            (consuming.join().unwrap(), tag)
        });
        let (sent, rest) = (0, Vec::new());
        let mut paused = Paused { connector, channel, subscription, peer, tag, sent, rest };
        paused.peer.socket.set_write_timeout(Some(SHORT)).unwrap();
        while paused.send_one() {
            assert!(paused.sent * (BODY as u64) < MORE, "the reader does not stop");
        }
        paused
    }

    /// Sends a message. Returns false if the socket does not take it whole.
    fn send_one(&mut self) -> bool {
        if self.rest.is_empty() {
            self.sent += 1;
            self.rest = message(&self.tag, self.sent);
        }
        while !self.rest.is_empty() {
            match self.peer.socket.write(&self.rest) {
                Ok(count) => drop(self.rest.drain(..count)),
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    return false;
                }
                Err(error) => panic!("{error}"),
            }
        }
        true
    }
}

#[test]
fn reader_stops_at_the_limit_and_all_messages_arrive_in_order() {
    let scripted = Scripted::start(Form::Plain);
    let mut paused = Paused::new(&scripted);
    let waiting = paused.subscription.arrived().bytes;
    assert!(waiting > LIMIT / 2 && waiting < LIMIT + (BODY as u64) * 4, "{waiting}");
    let last = paused.sent + 100;
    let Paused { peer, tag, rest, sent, subscription, .. } = &mut paused;
    thread::scope(|scope| {
        let subscription = &*subscription;
        let taking = scope.spawn(move || {
            for number in 1..=last {
                let delivery = subscription.next(LONG).unwrap().unwrap();
                let body = delivery.content.body.to_vec();
                assert_eq!(body[..8], number.to_be_bytes());
                assert!(subscription.arrived().bytes < LIMIT + (BODY as u64) * 4);
            }
        });
        peer.socket.set_write_timeout(None).unwrap();
        peer.socket.write_all(rest).unwrap();
        for number in *sent + 1..=last {
            peer.send_octets(&message(tag, number));
        }
        taking.join().unwrap();
    });
}

#[test]
fn pause_outlives_the_heartbeat_interval() {
    let scripted = Scripted::start(Form::Plain);
    let mut paused = Paused::new(&scripted);
    // Of one second; amiquip gives up after two.
    thread::sleep(Duration::from_secs(4));
    assert!(paused.channel.check().is_ok());
    paused.peer.socket.set_write_timeout(None).unwrap();
    let rest = std::mem::take(&mut paused.rest);
    thread::scope(|scope| {
        let subscription = &paused.subscription;
        let last = paused.sent;
        let taking = scope.spawn(move || {
            (0..last).for_each(|_| drop(subscription.next(LONG).unwrap().unwrap()));
        });
        paused.peer.socket.write_all(&rest).unwrap();
        taking.join().unwrap();
    });
}

#[test]
fn cancel_is_answered_behind_what_waits() {
    let scripted = Scripted::start(Form::Plain);
    let mut paused = Paused::new(&scripted);
    let Paused { peer, tag, rest, subscription, .. } = &mut paused;
    thread::scope(|scope| {
        let cancelling = scope.spawn(|| subscription.cancel(LONG));
        peer.socket.set_write_timeout(None).unwrap();
        peer.socket.write_all(rest).unwrap();
        peer.receive("basic.cancel", |_| ());
        peer.send(1, &BasicCancelOk { consumer_tag: (&*tag).into() }.into());
        cancelling.join().unwrap().unwrap();
    });
    for _ in 0..paused.sent {
        assert!(paused.subscription.next(LONG).unwrap().is_some());
    }
    let end = paused.subscription.next(LONG);
    assert!(matches!(end, Err(Error::Cancelled { .. })), "{end:?}");
}

#[test]
fn close_and_drop_do_not_wait_for_the_program() {
    let scripted = Scripted::start(Form::Plain);
    let mut paused = Paused::new(&scripted);
    let started = Instant::now();
    thread::scope(|scope| {
        let closing = scope.spawn(|| paused.connector.close(LONG));
        let (peer, rest) = (&mut paused.peer, &mut paused.rest);
        peer.socket.set_write_timeout(None).unwrap();
        peer.socket.write_all(rest).unwrap();
        while let Some((channel, payload)) = peer.next_method() {
            match Method::read(&payload).unwrap() {
                Method::ChannelClose(_) => peer.send(channel, &Method::ChannelCloseOk),
                Method::ConnectionClose(_) => peer.send(0, &Method::ConnectionCloseOk),
                _ => {}
            }
        }
        closing.join().unwrap().unwrap();
    });
    assert!(started.elapsed() < LONG / 2, "{:?}", started.elapsed());

    let mut dropped = Paused::new(&scripted);
    drop((dropped.subscription, dropped.channel));
    dropped.peer.socket.set_write_timeout(None).unwrap();
    dropped.peer.socket.write_all(&dropped.rest).unwrap();
    while let Some((channel, payload)) = dropped.peer.next_method() {
        match Method::read(&payload).unwrap() {
            Method::ChannelClose(_) => dropped.peer.send(channel, &Method::ChannelCloseOk),
            Method::ConnectionClose(_) => {
                return dropped.peer.send(0, &Method::ConnectionCloseOk);
            }
            _ => {}
        }
    }
    panic!("the connection of the channel was not closed");
}

#[test]
fn channel_with_a_limit_has_a_connection_of_its_own() {
    let scripted = Scripted::start(Form::Plain);
    let paused = Paused::new(&scripted);
    let connector = &paused.connector;
    assert!(!connector.status(Role::Consume).connected);
    let (other, peer) = thread::scope(|scope| {
        let opening = scope.spawn(|| connector.open(&ChannelOptions::consume(), LONG).unwrap());
        let mut peer = scripted.accept_open();
        peer.open_channel(false);
        (opening.join().unwrap(), peer)
    });
    assert!(connector.status(Role::Consume).connected);
    drop(paused.peer);
    // Drains what was read before the loss.
    let error = loop {
        match paused.subscription.next(LONG) {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the loss was not noticed"),
            Err(error) => break error,
        }
    };
    assert!(error.is_disconnected(), "{error:?}");
    assert!(other.check().is_ok());
    drop(peer);
}

/// The client waits for the first octet of the broker, or for channel.open-ok.
#[test]
fn close_ends_the_opening_of_a_channel_with_a_limit() {
    for is_greeted in [false, true] {
        let scripted = Scripted::start(Form::Plain);
        let connector = scripted.connector();
        let options = ChannelOptions::consume().with_max_waiting_bytes(LIMIT);
        let started = Instant::now();
        thread::scope(|scope| {
            let opening = scope.spawn(|| connector.open(&options, LONG).map(drop));
            let mut peer = if is_greeted { scripted.accept_open() } else { scripted.accept_raw() };
            if is_greeted {
                peer.receive("channel.open", |_| ());
            }
            let closing = scope.spawn(|| connector.close(LONG));
            if is_greeted {
                peer.receive("connection.close", |_| ());
                peer.send(0, &Method::ConnectionCloseOk);
            }
            let error = opening.join().unwrap().unwrap_err();
            assert!(matches!(error, Error::Closed { .. }), "{error:?}");
            closing.join().unwrap().unwrap();
        });
        assert!(started.elapsed() < LONG / 2, "{:?}", started.elapsed());
    }
}
