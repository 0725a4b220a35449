//! The order in which a connection ends.

use std::panic;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use carrot_amqp_wire::{ConnectionClose, Method, ShortStr};
use carrot_backend_amqp::AmqpConnector;
use carrot_core::Error;
use carrot_core::backend::{ChannelOptions, Connector, ConsumeOptions, Extent, PublishTag, Role};

use crate::client::{consume, fill, message, opened, opened_with, publish};
use crate::form::{Form, plain_and_tls};
use crate::peer::Scripted;
use crate::{LONG, SHORT};

plain_and_tls! {
    acknowledgements_leave_before_the_close_and_nothing_after_it,
    nothing_but_close_ok_follows_a_close_whose_text_is_not_utf8,
    nothing_follows_close_ok_although_threads_publish,
    close_that_is_not_answered_ends_at_the_deadline,
    dropped_connection_ends_within_the_call_timeout,
    dropped_connection_ends_although_the_broker_reads_nothing,
    closes_of_both_sides_that_cross_end_without_a_panic,
}

fn acknowledgements_leave_before_the_close_and_nothing_after_it(form: Form) {
    let scripted = Scripted::start(form);
    let mut client = opened(&scripted, &ChannelOptions::consume());
    let peer = &mut client.peer;
    let (subscription, tag) = consume(&*client.channel, peer, &ConsumeOptions::default());
    for number in 1..=5 {
        peer.send_octets(&message(&tag, number, b"x"));
    }
    let taken = [(); 4].map(|()| subscription.next(LONG).unwrap().unwrap());
    for delivery in taken.iter().take(3) {
        client.channel.ack(delivery.tag, Extent::One).unwrap();
    }
    let names = thread::scope(|scope| {
        let closing = scope.spawn(|| client.connector.close(LONG));
        let mut names = Vec::new();
        loop {
            let (channel, payload) = peer.next_method().unwrap();
            let method = Method::read(&payload).unwrap();
            names.push(method.name());
            match method {
                Method::ChannelClose(_) => peer.send(channel, &Method::ChannelCloseOk),
                Method::ConnectionClose(_) => break peer.send(0, &Method::ConnectionCloseOk),
                _ => {}
            }
        }
        closing.join().unwrap().unwrap();
        names
    });
    let place = |name| names.iter().rposition(|found| *found == name).unwrap();
    assert!(place("basic.ack") < place("channel.close"), "{names:?}");
    assert_eq!(names[names.len() - 2..], ["channel.close", "connection.close"], "{names:?}");
    assert!(peer.rest().is_empty());
}

fn nothing_but_close_ok_follows_a_close_whose_text_is_not_utf8(form: Form) {
    let scripted = Scripted::start(form);
    let mut client = opened(&scripted, &ChannelOptions::publish());
    let close = ConnectionClose {
        reply_code: 320,
        reply_text: ShortStr::new(b"caf\xe9 closed"),
        ..ConnectionClose::default()
    };
    client.peer.send(0, &close.into());
    let error = client.channel.confirm(PublishTag(1), LONG).unwrap_err();
    assert!(error.to_string().contains("320 caf\u{fffd} closed"), "{error}");
    assert!(publish(&*client.channel, b"x").is_err());
    assert_eq!(client.peer.rest(), ["connection.close-ok"]);
}

fn nothing_follows_close_ok_although_threads_publish(form: Form) {
    for _ in 0..20 {
        let scripted = Scripted::start(form);
        let mut client = opened(&scripted, &ChannelOptions::publish());
        let channel = &client.channel;
        let names = thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| while publish(&**channel, b"x").is_ok() {});
            }
            client.peer.receive("basic.publish", |_| ());
            let close = ConnectionClose { reply_code: 320, ..ConnectionClose::default() };
            client.peer.send(0, &close.into());
            client.peer.rest()
        });
        assert_eq!(names.last(), Some(&"connection.close-ok"));
    }
}

fn close_that_is_not_answered_ends_at_the_deadline(form: Form) {
    for reads in [true, false] {
        let scripted = Scripted::start(form);
        let client = opened(&scripted, &ChannelOptions::publish());
        if !reads {
            fill(&*client.channel);
        }
        let started = Instant::now();
        let error = client.connector.close(SHORT).unwrap_err();
        assert!(matches!(error, Error::Timeout { .. }), "{error:?}");
        assert!(started.elapsed() < SHORT * 4, "{:?}", started.elapsed());
    }
}

fn dropped_connection_ends_within_the_call_timeout(form: Form) {
    let scripted = Scripted::start(form);
    let connector = AmqpConnector::new(&scripted.options().call_timeout(SHORT)).unwrap();
    let mut peer = thread::scope(|scope| {
        let connecting = scope.spawn(|| connector.connect(Role::Consume, LONG).unwrap());
        let peer = scripted.accept_open();
        connecting.join().unwrap();
        peer
    });
    let started = Instant::now();
    drop(connector);
    assert!(started.elapsed() < SHORT);
    peer.receive("connection.close", |_| ());
    assert_eq!(peer.next_method(), None);
    assert!(started.elapsed() < SHORT * 5, "{:?}", started.elapsed());
}

fn dropped_connection_ends_although_the_broker_reads_nothing(form: Form) {
    let scripted = Scripted::start(form);
    let options = scripted.options().call_timeout(SHORT);
    let client = opened_with(&scripted, &options, &ChannelOptions::publish());
    fill(&*client.channel);
    let mut peer = client.peer;
    let started = Instant::now();
    drop((client.channel, client.connector));
    assert!(started.elapsed() < SHORT, "{:?}", started.elapsed());
    // Writing fails as soon as the socket is closed, and reading only after what is on its way.
    while peer.try_send_octets(&carrot_amqp_wire::HEARTBEAT).is_ok() {
        assert!(started.elapsed() < SHORT * 5, "{:?}", started.elapsed());
        thread::sleep(Duration::from_millis(5));
    }
}

/// amiquip's thread panics if both sides close in the same moment.
fn closes_of_both_sides_that_cross_end_without_a_panic(form: Form) {
    static PANICS: AtomicUsize = AtomicUsize::new(0);
    let report = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if thread::current().name() == Some("amiquip-io") {
            PANICS.fetch_add(1, Ordering::SeqCst);
        }
        report(info);
    }));
    let scripted = Scripted::start(form);
    for round in 0..100 {
        let connector = scripted.connector();
        thread::scope(|scope| {
            let connecting = scope.spawn(|| connector.connect(Role::Consume, LONG).unwrap());
            let mut peer = scripted.accept_open();
            connecting.join().unwrap();
            let closing = scope.spawn(|| connector.close(LONG));
            let until = Instant::now() + Duration::from_micros(2 * round);
            while Instant::now() < until {
                std::hint::spin_loop();
            }
            let close = ConnectionClose { reply_code: 320, ..ConnectionClose::default() };
            peer.send(0, &close.into());
            // The client sends connection.close, close-ok, or both.
            peer.receive_close_ok();
            drop(peer);
            closing.join().unwrap().unwrap();
        });
    }
    assert_eq!(PANICS.load(Ordering::SeqCst), 0);
}
