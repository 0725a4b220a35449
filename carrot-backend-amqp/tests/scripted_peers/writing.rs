//! The way out, with a peer that stops to read.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use carrot_amqp_wire::{BasicAck, ConnectionBlocked, ConnectionClose, Method, QueueDeclareOk};
use carrot_core::Error;
use carrot_core::backend::{ChannelOptions, Connector, Content, Outcome, Publication};

use crate::client::{declare, fill, opened, opened_with, publish};
use crate::form::{Form, plain_and_tls};
use crate::peer::Scripted;
use crate::{LONG, SHORT};

plain_and_tls! {
    calls_end_by_their_deadline_although_the_broker_reads_nothing,
    alarm_explains_why_nothing_leaves,
    heartbeats_due_while_the_broker_reads_nothing_keep_the_connection,
    close_by_a_broker_that_reads_nothing_is_reported,
    messages_of_several_threads_leave_in_order_while_confirms_arrive,
    multiple_confirm_of_tag_zero_means_all,
}

fn calls_end_by_their_deadline_although_the_broker_reads_nothing(form: Form) {
    let scripted = Scripted::start(form);
    let options = scripted.options().call_timeout(SHORT);
    let mut client = opened_with(&scripted, &options, &ChannelOptions::publish());
    let second = client.second();
    assert!(matches!(fill(&*client.channel), Error::Timeout { .. }));
    let started = Instant::now();
    assert!(matches!(publish(&*second, b"x").unwrap_err(), Error::Timeout { .. }));
    assert!(matches!(declare(&*client.channel).unwrap_err(), Error::Timeout { .. }));
    let opened = client.connector.open(&ChannelOptions::publish(), SHORT);
    assert!(matches!(opened.unwrap_err(), Error::Timeout { .. }));
    second.check().unwrap();
    assert!(matches!(client.connector.close(SHORT).unwrap_err(), Error::Timeout { .. }));
    assert!(started.elapsed() < SHORT * 8, "{:?}", started.elapsed());
}

fn alarm_explains_why_nothing_leaves(form: Form) {
    let scripted = Scripted::start(form);
    let mut client = opened(&scripted, &ChannelOptions::publish());
    client.peer.send(0, &ConnectionBlocked { reason: "low on disk".into() }.into());
    let deadline = Instant::now() + LONG;
    while client.connector.status(carrot_core::backend::Role::Publish).blocked.is_none() {
        assert!(Instant::now() < deadline);
        thread::yield_now();
    }
    let error = fill(&*client.channel);
    assert!(
        matches!(&error, Error::Blocked { reason } if reason.contains("low on disk")),
        "{error:?}"
    );
}

fn heartbeats_due_while_the_broker_reads_nothing_keep_the_connection(form: Form) {
    const HEARTBEAT: Duration = Duration::from_secs(1);
    let scripted = Scripted::start(form);
    let options = scripted.options().heartbeat(HEARTBEAT);
    let mut client = opened_with(&scripted, &options, &ChannelOptions::publish());
    fill(&*client.channel);
    let until = Instant::now() + HEARTBEAT * 3;
    while Instant::now() < until {
        client.peer.send_octets(&carrot_amqp_wire::HEARTBEAT);
        thread::sleep(HEARTBEAT / 4);
    }
    client.channel.check().unwrap();
    // What was sent before leaves once the broker reads on.
    let tag = thread::scope(|scope| {
        let publishing = scope.spawn(|| {
            loop {
                if let Ok(tag) = publish(&*client.channel, b"last") {
                    declare(&*client.channel).unwrap();
                    return tag;
                }
            }
        });
        let mut is_last = false;
        while !is_last {
            let (_, payload) = client.peer.next_method().unwrap();
            is_last = matches!(Method::read(&payload).unwrap(), Method::QueueDeclare(_));
        }
        client.peer.send(1, &QueueDeclareOk::default().into());
        publishing.join().unwrap()
    });
    client.peer.send(1, &BasicAck { delivery_tag: tag.0, multiple: true }.into());
    assert_eq!(client.channel.confirm(tag, LONG).unwrap(), Outcome::Accepted);
}

fn close_by_a_broker_that_reads_nothing_is_reported(form: Form) {
    let scripted = Scripted::start(form);
    let mut client = opened(&scripted, &ChannelOptions::publish());
    let tag = publish(&*client.channel, b"x").unwrap();
    fill(&*client.channel);
    let close = ConnectionClose {
        reply_code: 320,
        reply_text: "CONNECTION_FORCED".into(),
        ..ConnectionClose::default()
    };
    let started = Instant::now();
    client.peer.send(0, &close.into());
    let error = client.channel.confirm(tag, LONG).unwrap_err();
    assert!(error.to_string().contains("320 CONNECTION_FORCED"), "{error}");
    assert!(publish(&*client.channel, b"x").is_err());
    assert!(started.elapsed() < SHORT * 2, "{:?}", started.elapsed());
}

/// Each record of TLS has its number, so a peer that reads all of them has read them in the order
/// in which they were sealed.
fn messages_of_several_threads_leave_in_order_while_confirms_arrive(form: Form) {
    const THREADS: u64 = 4;
    const MESSAGES: u64 = 500;
    let scripted = Scripted::start(form);
    let mut client = opened(&scripted, &ChannelOptions::publish());
    client.peer.receive_at_full_speed();
    let channel = &client.channel;
    let confirmed = AtomicU64::new(0);
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let confirmed = &confirmed;
            scope.spawn(move || {
                for number in 0..MESSAGES {
                    let body = vec![thread as u8; (number as usize * 37) % 40_000];
                    let content = Arc::new(Content::new("", "q", body));
                    let tag = channel.publish(&Publication::new(&content), LONG).unwrap();
                    if number % 10 == 0 {
                        assert_eq!(channel.confirm(tag, LONG).unwrap(), Outcome::Accepted);
                        confirmed.fetch_add(1, Ordering::SeqCst);
                    }
                }
            });
        }
        for delivery_tag in 1..=THREADS * MESSAGES {
            client.peer.receive("basic.publish", |_| ());
            client.peer.send(1, &BasicAck { delivery_tag, multiple: false }.into());
        }
    });
    assert_eq!(confirmed.into_inner(), THREADS * MESSAGES / 10);
}

/// The client has to answer with new keys before its next octets.
#[cfg(feature = "tls")]
#[test]
fn keys_that_the_broker_renews_are_used() {
    let scripted = Scripted::start(Form::Tls);
    let mut client = opened(&scripted, &ChannelOptions::publish());
    for delivery_tag in 1..=20 {
        client.peer.renew_keys();
        let tag = publish(&*client.channel, &[7; 100_000]).unwrap();
        client.peer.receive("basic.publish", |_| ());
        client.peer.send(1, &BasicAck { delivery_tag, multiple: false }.into());
        assert_eq!(client.channel.confirm(tag, LONG).unwrap(), Outcome::Accepted);
    }
}

fn multiple_confirm_of_tag_zero_means_all(form: Form) {
    let scripted = Scripted::start(form);
    let mut client = opened(&scripted, &ChannelOptions::publish());
    let tags = [(); 3].map(|()| publish(&*client.channel, b"x").unwrap());
    for _ in 0..3 {
        client.peer.receive("basic.publish", |_| ());
    }
    let all: Method<'_> = BasicAck { delivery_tag: 0, multiple: true }.into();
    client.peer.send(1, &all);
    for tag in tags {
        assert_eq!(client.channel.confirm(tag, LONG).unwrap(), Outcome::Accepted);
    }
}
