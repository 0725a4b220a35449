//! A thread that reads the socket while it waits: what ends its wait, and what others get.

use std::net::Shutdown;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use carrot_amqp_wire::{BasicCancelOk, Method, QueueDeclareOk};
use carrot_core::Error;
use carrot_core::backend::{ChannelOptions, ConsumeOptions, Extent, Subscription};

use crate::client::{Opened, consume, declare, message, opened};
use crate::form::{Form, plain_and_tls};
use crate::peer::Scripted;
use crate::{LONG, SHORT};

/// More messages than the driver needs to see that one thread waits alone.
const MESSAGES: u64 = 100;

plain_and_tls! {
    close_of_its_channel_ends_the_wait,
    cancel_of_its_consumer_ends_the_wait,
    end_of_the_connection_ends_the_wait,
    calls_of_other_threads_are_answered,
}

/// A thread that waits for a delivery, and reads meanwhile.
struct Leader<'a> {
    client: Opened,
    subscription: &'a dyn Subscription,
    tag: String,
    /// The error with which the wait has ended.
    ended: Receiver<Error>,
}

impl Leader<'_> {
    fn ended(&self) -> Error {
        self.ended.recv_timeout(LONG / 2).expect("the wait has ended in time")
    }
}

fn with_leader(form: Form, test: impl FnOnce(&mut Leader<'_>)) {
    let scripted = Scripted::start(form);
    let mut client = opened(&scripted, &ChannelOptions::consume());
    let (subscription, tag) =
        consume(&*client.channel, &mut client.peer, &ConsumeOptions::default());
    let subscription = &*subscription;
    thread::scope(|scope| {
        let (end, ended) = channel();
        let acknowledging = client.channel.clone();
        scope.spawn(move || {
            for _ in 0..MESSAGES {
                let delivery = subscription.next(LONG).unwrap().unwrap();
                acknowledging.ack(delivery.tag, Extent::One).unwrap();
            }
            drop(acknowledging);
            end.send(subscription.next(LONG).unwrap_err()).unwrap();
        });
        for number in 1..=MESSAGES {
            client.peer.send_octets(&message(&tag, number, b"x"));
            client.peer.receive("basic.ack", |_| ());
        }
        // Enough for the thread to begin its last wait. The results are the same if it has not.
        thread::sleep(SHORT / 10);
        test(&mut Leader { client, subscription, tag, ended });
    });
}

fn close_of_its_channel_ends_the_wait(form: Form) {
    with_leader(form, |leader| {
        thread::scope(|scope| {
            let channel = leader.client.channel.clone();
            let closing = scope.spawn(move || channel.close(LONG));
            let error = leader.ended();
            assert!(matches!(error, Error::Closed { .. }), "{error:?}");
            for name in ["basic.cancel", "basic.nack", "channel.close"] {
                leader.client.peer.receive(name, |_| ());
            }
            leader.client.peer.send(1, &Method::ChannelCloseOk);
            closing.join().unwrap().unwrap();
        });
    });
}

fn cancel_of_its_consumer_ends_the_wait(form: Form) {
    with_leader(form, |leader| {
        thread::scope(|scope| {
            let cancelling = scope.spawn(|| leader.subscription.cancel(LONG));
            leader.client.peer.receive("basic.cancel", |_| ());
            let cancelled = BasicCancelOk { consumer_tag: (&leader.tag).into() };
            leader.client.peer.send(1, &cancelled.into());
            cancelling.join().unwrap().unwrap();
        });
        let error = leader.ended();
        assert!(matches!(error, Error::Cancelled { .. }), "{error:?}");
    });
}

fn end_of_the_connection_ends_the_wait(form: Form) {
    with_leader(form, |leader| {
        leader.client.peer.socket.shutdown(Shutdown::Both).unwrap();
        let error = leader.ended();
        assert!(matches!(error, Error::Disconnected { .. }), "{error:?}");
    });
}

fn calls_of_other_threads_are_answered(form: Form) {
    with_leader(form, |leader| {
        let Opened { channel, peer, .. } = &mut leader.client;
        for _ in 0..10 {
            thread::scope(|scope| {
                let calls = [(); 3].map(|()| scope.spawn(|| declare(&**channel)));
                for _ in &calls {
                    peer.receive("queue.declare", |_| ());
                    peer.send(1, &QueueDeclareOk::default().into());
                }
                for call in calls {
                    call.join().unwrap().unwrap();
                }
            });
        }
        peer.socket.shutdown(Shutdown::Both).unwrap();
        leader.ended();
    });
}
