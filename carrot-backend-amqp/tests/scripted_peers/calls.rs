//! Calls, their deadlines, and the numbers of channels.

use std::thread;

use carrot_amqp_wire::{ConnectionClose, Method, QueueDeclareOk};
use carrot_backend_amqp::AmqpConnector;
use carrot_core::Error;
use carrot_core::backend::{ChannelOptions, Connector, Role};

use crate::client::{declare, opened};
use crate::form::{Form, plain_and_tls};
use crate::peer::Scripted;
use crate::{LONG, SHORT};

plain_and_tls! {
    late_answer_is_dropped_and_the_number_is_free_at_close_ok,
    channels_that_time_out_one_by_one_end_the_connection,
    frames_out_of_limits_end_the_connection_with_a_reason,
    close_of_the_connection_while_a_channel_opens_is_reported,
}

fn late_answer_is_dropped_and_the_number_is_free_at_close_ok(form: Form) {
    let scripted = Scripted::start(form);
    let options = scripted.options().call_timeout(SHORT).channel_max(3);
    let connector = AmqpConnector::new(&options).unwrap();
    let open = || connector.open(&ChannelOptions::consume(), SHORT);
    thread::scope(|scope| {
        let opening = scope.spawn(open);
        let mut peer = scripted.accept_open();
        assert_eq!(peer.open_channel(false), 1);
        let first = opening.join().unwrap().unwrap();
        assert!(matches!(declare(&*first).unwrap_err(), Error::Timeout { .. }));
        peer.receive("queue.declare", |_| ());
        peer.receive("channel.close", |_| ());
        let mut others = Vec::new();
        for number in [2, 3] {
            let opening = scope.spawn(open);
            assert_eq!(peer.open_channel(false), number);
            others.push(opening.join().unwrap().unwrap());
        }
        assert!(matches!(open().unwrap_err(), Error::Timeout { .. }));
        peer.send(1, &QueueDeclareOk::default().into());
        peer.send(1, &Method::ChannelCloseOk);
        let opening = scope.spawn(open);
        assert_eq!(peer.open_channel(false), 1);
        others.push(opening.join().unwrap().unwrap());
        assert!(others.iter().all(|channel| channel.check().is_ok()));
    });
}

fn channels_that_time_out_one_by_one_end_the_connection(form: Form) {
    let scripted = Scripted::start(form);
    let options = scripted.options().call_timeout(SHORT).channel_max(4);
    let connector = AmqpConnector::new(&options).unwrap();
    let open = || connector.open(&ChannelOptions::consume(), LONG).unwrap();
    thread::scope(|scope| {
        let opening = scope.spawn(open);
        let mut peer = scripted.accept_open();
        peer.open_channel(false);
        let first = opening.join().unwrap();
        let opening = scope.spawn(open);
        peer.open_channel(false);
        let second = opening.join().unwrap();
        for channel in [&first, &second] {
            assert!(connector.status(Role::Consume).connected);
            declare(&**channel).unwrap_err();
        }
        assert!(!connector.status(Role::Consume).connected);
    });
}

fn frames_out_of_limits_end_the_connection_with_a_reason(form: Form) {
    let too_large = [3, 0, 1, 0xff, 0xff, 0xff, 0xff];
    let wrong_end = [8, 0, 0, 0, 0, 0, 0, 0xcd];
    let body_without_header = [3, 0, 1, 0, 0, 0, 1, b'x', 0xce];
    let unknown_method = [1, 0, 1, 0, 0, 0, 4, 0, 99, 0, 99, 0xce];
    let unknown_on_channel_0 = [1, 0, 0, 0, 0, 0, 4, 0, 10, 0, 99, 0xce];
    let content_on_channel_0 = [3, 0, 0, 0, 0, 0, 1, b'x', 0xce];
    for (octets, code) in [
        (&too_large[..], 501),
        (&wrong_end, 501),
        (&body_without_header, 505),
        (&unknown_method, 540),
        (&unknown_on_channel_0, 540),
        (&content_on_channel_0, 505),
    ] {
        let scripted = Scripted::start(form);
        let mut client = opened(&scripted, &ChannelOptions::consume());
        client.peer.send_octets(octets);
        let (_, sent) = client.peer.receive("connection.close", |method| match method {
            Method::ConnectionClose(close) => close.reply_code,
            _ => 0,
        });
        assert_eq!(sent, code);
        let error = declare(&*client.channel).unwrap_err();
        assert!(matches!(&error, Error::Disconnected { .. }), "{error:?}");
    }
}

fn close_of_the_connection_while_a_channel_opens_is_reported(form: Form) {
    let scripted = Scripted::start(form);
    for _ in 0..20 {
        let connector = scripted.connector();
        thread::scope(|scope| {
            let opening = scope.spawn(|| connector.open(&ChannelOptions::publish(), LONG));
            let mut peer = scripted.accept_open();
            peer.receive("channel.open", |_| ());
            let close = ConnectionClose {
                reply_code: 504,
                reply_text: "CHANNEL_ERROR".into(),
                class_id: 20,
                method_id: 10,
            };
            peer.send(0, &close.into());
            peer.receive_close_ok();
            drop(peer);
            let error = opening.join().unwrap().unwrap_err();
            assert!(matches!(error, Error::HardError { code: 504, .. }), "{error:?}");
        });
    }
}
