//! The handshake, with a peer that refuses it, delays it, or proposes other numbers.

use std::thread;
use std::time::{Duration, Instant};

use carrot_amqp_wire::{
    Arguments, ConnectionClose, ConnectionOpenOk, ConnectionSecure, ConnectionStart,
    ConnectionTune, Method,
};
use carrot_backend_amqp::AmqpConnector;
use carrot_core::backend::{ChannelOptions, Connector, Role};
use carrot_core::{ConnectionOptions, Error, Headers, Host, Value};

use crate::client::wait_for_loss;
use crate::form::{Form, HOST, plain_and_tls};
use crate::peer::{Peer, Scripted, frame, start, tune};
use crate::{FRAME_MAX, LONG};

plain_and_tls! {
    handshake_at_an_octet_at_a_time_ends_by_the_connect_deadline,
    handshake_at_an_octet_at_a_time_leaves_time_for_the_next_address,
    server_properties_that_amiquip_cannot_read_do_no_harm,
    credentials_refused_are_reported_in_one_round_trip,
    another_version_of_amqp_is_named,
    close_right_after_start_ok_keeps_its_text,
    close_right_after_open_ok_keeps_its_text,
    secure_is_refused_as_authentication,
    heartbeat_proposed_as_zero_takes_that_of_the_client,
    heartbeat_of_hours_connects,
    limits_proposed_at_their_extremes_are_agreed_on,
    small_frame_max_is_a_mistake_where_the_release_refuses_it,
    small_frame_max_that_ends_the_handshake_is_named,
    small_frame_max_that_was_accepted_before_is_a_loss,
    limits_that_rabbitmq_refuses_in_silence_are_named_at_the_deadline,
    frame_max_below_that_of_amqp_is_refused,
}

const SOON: Duration = Duration::from_secs(1);

fn error_of(scripted: &Scripted, options: ConnectionOptions, play: impl FnOnce(Peer)) -> Error {
    let connector = AmqpConnector::new(&options).unwrap();
    thread::scope(|scope| {
        let connecting = scope.spawn(|| connector.connect(Role::Consume, LONG));
        play(scripted.accept());
        connecting.join().unwrap().unwrap_err()
    })
}

fn close(code: u16, text: &str) -> Method<'_> {
    ConnectionClose { reply_code: code, reply_text: text.into(), ..ConnectionClose::default() }
        .into()
}

/// Sends the first octets of a handshake one at a time, until the client gives up.
fn drip(peer: &mut Peer, form: Form) {
    let pause = Duration::from_millis(40);
    #[cfg(feature = "tls")]
    if form == Form::Tls {
        let answer = peer.answer_of_tls();
        for octet in answer {
            if std::io::Write::write_all(&mut peer.socket, &[octet]).is_err() {
                return;
            }
            thread::sleep(pause);
        }
        return;
    }
    assert_eq!(form, Form::Plain);
    let _ = peer.drip(&frame(0, &start(Arguments::default())), pause);
}

fn handshake_at_an_octet_at_a_time_ends_by_the_connect_deadline(form: Form) {
    let scripted = Scripted::start(form);
    let connector = AmqpConnector::new(&scripted.options().connect_timeout(SOON)).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| drip(&mut scripted.accept_raw(), form));
        let started = Instant::now();
        let error = connector.connect(Role::Consume, LONG).unwrap_err();
        assert!(matches!(error, Error::Timeout { .. }), "{error:?}");
        assert!(started.elapsed() < SOON * 3 / 2, "{:?}", started.elapsed());
    });
}

fn handshake_at_an_octet_at_a_time_leaves_time_for_the_next_address(form: Form) {
    let (slow, sound) = (Scripted::start(form), Scripted::start(form));
    let hosts = [&slow, &sound].map(|scripted| Host::new(HOST).with_port(scripted.port()));
    let options = slow.options().hosts(hosts).connect_timeout(SOON * 2);
    let connector = AmqpConnector::new(&options).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| drip(&mut slow.accept_raw(), form));
        let connecting = scope.spawn(|| connector.connect(Role::Consume, LONG));
        let _peer = sound.accept_open();
        connecting.join().unwrap().unwrap();
    });
}

/// With TLS 1.3, the client hears of it after its own part of the handshake.
#[cfg(feature = "tls")]
#[test]
fn certificate_that_the_broker_requires_is_named() {
    for _ in 0..20 {
        let scripted = Scripted::start(Form::Tls);
        let connector = scripted.connector();
        thread::scope(|scope| {
            let connecting = scope.spawn(|| connector.connect(Role::Consume, LONG));
            let mut socket = scripted.accept_raw().socket;
            let mut session = crate::form::demanding_session();
            session.complete_io(&mut socket).unwrap_err();
            drop(socket);
            let error = connecting.join().unwrap().unwrap_err();
            let source = std::error::Error::source(&error).map(ToString::to_string);
            let text = format!("{error} {source:?}");
            assert!(text.contains("CertificateRequired"), "{text}");
        });
    }
}

fn server_properties_that_amiquip_cannot_read_do_no_harm(form: Form) {
    let scripted = Scripted::start(form);
    let connector = scripted.connector();
    let mut nested = Headers::new();
    for _ in 0..100 {
        let mut outer = Headers::new();
        outer.insert("t", Value::Table(nested));
        nested = outer;
    }
    nested.insert("product", "RabbitMQ");
    nested.insert("version", "4.3.0");
    nested.insert("latin", Value::Bytes(b"caf\xe9".to_vec()));
    thread::scope(|scope| {
        let connecting = scope.spawn(|| connector.connect(Role::Consume, LONG));
        let mut peer = scripted.accept();
        peer.send(0, &start(Arguments::from(&nested)));
        peer.receive("connection.start-ok", |_| ());
        peer.tune(tune(0, 0));
        connecting.join().unwrap().unwrap();
        assert!(connector.capabilities().default_delivery_limit);
    });
}

fn credentials_refused_are_reported_in_one_round_trip(form: Form) {
    let scripted = Scripted::start(form);
    let mut closed = Instant::now();
    let error = error_of(&scripted, scripted.options().connect_timeout(SOON), |mut peer| {
        peer.greet();
        peer.receive("connection.start-ok", |method| {
            let Method::ConnectionStartOk(start_ok) = method else { panic!("{method:?}") };
            let Arguments::Wire(properties) = start_ok.client_properties else { panic!() };
            let capabilities = properties.to_headers().get("capabilities").cloned().unwrap();
            let announced = capabilities.as_table().unwrap().get("authentication_failure_close");
            assert_eq!(announced, Some(&Value::Bool(true)));
        });
        closed = Instant::now();
        peer.send(0, &close(403, "ACCESS_REFUSED"));
        peer.receive("connection.close-ok", |_| ());
    });
    assert!(
        matches!(&error, Error::Authentication { reason, .. } if reason.contains("ACCESS_REFUSED")),
        "{error:?}"
    );
    assert!(closed.elapsed() < SOON / 2, "{:?}", closed.elapsed());
}

fn another_version_of_amqp_is_named(form: Form) {
    let scripted = Scripted::start(form);
    let error = error_of(&scripted, scripted.options(), |mut peer| {
        let start = ConnectionStart {
            version_major: 8,
            version_minor: 0,
            server_properties: Arguments::default(),
            mechanisms: "PLAIN".into(),
            locales: "en_US".into(),
        };
        peer.send(0, &start.into());
        assert!(peer.rest().is_empty());
    });
    assert!(error.to_string().contains("AMQP 8-0"), "{error}");
}

fn close_right_after_open_ok_keeps_its_text(form: Form) {
    let scripted = Scripted::start(form);
    for _ in 0..20 {
        let connector = scripted.connector();
        let error = thread::scope(|scope| {
            let opening = scope.spawn(|| connector.open(&ChannelOptions::consume(), LONG));
            let mut peer = scripted.accept();
            peer.greet();
            peer.receive("connection.start-ok", |_| ());
            peer.send(0, &tune(0, 0).into());
            peer.receive("connection.tune-ok", |_| ());
            peer.receive("connection.open", |_| ());
            let open_ok = frame(0, &ConnectionOpenOk {}.into());
            let close = frame(0, &close(320, "CONNECTION_FORCED - node is stopping"));
            peer.send_octets(&[open_ok, close].concat());
            peer.receive_close_ok();
            drop(peer);
            opening.join().unwrap().map(drop).unwrap_err()
        });
        assert!(error.to_string().contains("320 CONNECTION_FORCED - node is stopping"), "{error}");
    }
}

fn close_right_after_start_ok_keeps_its_text(form: Form) {
    let scripted = Scripted::start(form);
    let error = error_of(&scripted, scripted.options(), |mut peer| {
        peer.greet();
        peer.receive("connection.start-ok", |_| ());
        peer.send(0, &close(320, "CONNECTION_FORCED - node is stopping"));
        peer.receive("connection.close-ok", |_| ());
    });
    assert!(matches!(error, Error::Connect { .. }), "{error:?}");
    assert!(error.to_string().contains("320 CONNECTION_FORCED - node is stopping"), "{error}");
}

fn secure_is_refused_as_authentication(form: Form) {
    let scripted = Scripted::start(form);
    let error = error_of(&scripted, scripted.options(), |mut peer| {
        peer.greet();
        peer.receive("connection.start-ok", |_| ());
        peer.send(0, &ConnectionSecure { challenge: "who?".into() }.into());
        assert!(peer.rest().is_empty());
    });
    assert!(
        matches!(&error, Error::Authentication { reason, .. } if reason.contains("another round")),
        "{error:?}"
    );
}

/// Returns the numbers that the client answers.
fn tuned(options: &ConnectionOptions, scripted: &Scripted, proposed: ConnectionTune) -> Tuned {
    let connector = AmqpConnector::new(options).unwrap();
    thread::scope(|scope| {
        let opening = scope.spawn(|| connector.open(&ChannelOptions::publish(), LONG));
        let mut peer = scripted.accept();
        peer.greet();
        peer.receive("connection.start-ok", |_| ());
        peer.send(0, &proposed.into());
        let (_, tuned) = peer.receive("connection.tune-ok", |method| match method {
            Method::ConnectionTuneOk(tuned) => {
                (tuned.channel_max, tuned.frame_max, tuned.heartbeat)
            }
            other => panic!("{other:?}"),
        });
        peer.receive("connection.open", |_| ());
        peer.send(0, &ConnectionOpenOk {}.into());
        peer.open_channel(true);
        opening.join().unwrap().unwrap();
        tuned
    })
}

/// channel_max, frame_max, and the heartbeat in seconds.
type Tuned = (u16, u32, u16);

fn heartbeat_proposed_as_zero_takes_that_of_the_client(form: Form) {
    let scripted = Scripted::start(form);
    let options = scripted.options().heartbeat(Duration::from_secs(7));
    assert_eq!(tuned(&options, &scripted, tune(0, 0)).2, 7);
}

fn heartbeat_of_hours_connects(form: Form) {
    let scripted = Scripted::start(form);
    for (wanted, proposed, agreed) in [(20_000, 0, 20_000), (20_000, 60, 60), (0, 60, 60)] {
        let options = scripted.options().heartbeat(Duration::from_secs(wanted));
        assert_eq!(tuned(&options, &scripted, tune(0, proposed)).2, agreed);
    }
}

fn limits_proposed_at_their_extremes_are_agreed_on(form: Form) {
    let scripted = Scripted::start(form);
    for (frame_max, agreed) in [(0, FRAME_MAX), (4096, 4096), (u32::MAX, FRAME_MAX)] {
        let proposed = ConnectionTune { channel_max: 0, frame_max, heartbeat: 60 };
        assert_eq!(tuned(&scripted.options(), &scripted, proposed), (u16::MAX, agreed, 10));
    }
    let proposed = ConnectionTune { channel_max: 1, frame_max: 0, heartbeat: 60 };
    assert_eq!(tuned(&scripted.options(), &scripted, proposed), (1, FRAME_MAX, 10));
}

fn rabbitmq(version: &str) -> Headers {
    let mut properties = Headers::new();
    properties.insert("product", "RabbitMQ");
    properties.insert("version", version);
    properties
}

/// Plays a handshake up to the tuning, and closes the socket without a word. RabbitMQ 4.1 and later
/// do so over a frame_max below 8192.
fn hang_up_over_tuning(mut peer: Peer, properties: &Headers) {
    peer.send(0, &start(Arguments::from(properties)));
    peer.receive("connection.start-ok", |_| ());
    peer.send(0, &tune(2047, 60).into());
    peer.receive("connection.tune-ok", |_| ());
}

fn small_frame_max_is_a_mistake_where_the_release_refuses_it(form: Form) {
    let scripted = Scripted::start(form);
    let started = Instant::now();
    let hang_up = |peer| hang_up_over_tuning(peer, &rabbitmq("4.1.0"));
    let error = error_of(&scripted, scripted.options().frame_max(8191), hang_up);
    let Error::Config { option, reason } = &error else { panic!("{error:?}") };
    assert_eq!(option, "frame_max");
    assert!(reason.contains("8191") && reason.contains("8192"), "{error}");
    assert!(started.elapsed() < SOON, "{:?}", started.elapsed());
    let error = error_of(&scripted, scripted.options().frame_max(8192), hang_up);
    assert!(matches!(error, Error::Connect { .. }), "{error:?}");
}

fn small_frame_max_that_ends_the_handshake_is_named(form: Form) {
    let scripted = Scripted::start(form);
    for properties in [Headers::new(), rabbitmq("4.0.9")] {
        let hang_up = |peer| hang_up_over_tuning(peer, &properties);
        let error = error_of(&scripted, scripted.options().frame_max(4096), hang_up);
        assert!(matches!(error, Error::Connect { .. }), "{error:?}");
        assert!(error.to_string().contains("frame_max=4096"), "{error}");
    }
}

/// A broker that is upgraded node by node may have others that accept it.
fn small_frame_max_that_was_accepted_before_is_a_loss(form: Form) {
    let scripted = Scripted::start(form);
    let connector = AmqpConnector::new(&scripted.options().frame_max(4096)).unwrap();
    let properties = rabbitmq("4.1.0");
    thread::scope(|scope| {
        let connecting = scope.spawn(|| connector.connect(Role::Consume, LONG));
        let peer = scripted.accept_with(tune(0, 0));
        connecting.join().unwrap().unwrap();
        drop(peer);
        wait_for_loss(&connector);
        let reconnecting = scope.spawn(|| connector.connect(Role::Consume, LONG));
        hang_up_over_tuning(scripted.accept(), &properties);
        let error = reconnecting.join().unwrap().unwrap_err();
        assert!(matches!(error, Error::Connect { .. }), "{error:?}");
        assert!(error.to_string().contains("frame_max=4096"), "{error}");
    });
}

/// RabbitMQ says nothing for 3 s or more before it closes the socket.
fn limits_that_rabbitmq_refuses_in_silence_are_named_at_the_deadline(form: Form) {
    let scripted = Scripted::start(form);
    let options = scripted.options().frame_max(4096).credentials("guest", "x".repeat(5000));
    let connector = AmqpConnector::new(&options).unwrap();
    let error = thread::scope(|scope| {
        let connecting = scope.spawn(|| connector.connect(Role::Consume, SOON));
        let mut peer = scripted.accept();
        peer.greet();
        peer.receive("connection.start-ok", |_| ());
        connecting.join().unwrap().unwrap_err()
    });
    let words = error.to_string();
    assert!(matches!(error, Error::Timeout { .. }), "{words}");
    assert!(words.contains("frame_max=4096") && words.contains("4096 bytes before"), "{words}");
}

fn frame_max_below_that_of_amqp_is_refused(form: Form) {
    let scripted = Scripted::start(form);
    let error = error_of(&scripted, scripted.options(), |mut peer| {
        peer.greet();
        peer.receive("connection.start-ok", |_| ());
        peer.send(0, &ConnectionTune { channel_max: 0, frame_max: 8, heartbeat: 0 }.into());
        assert!(peer.rest().is_empty());
    });
    assert!(error.to_string().contains("frames of 8 bytes"), "{error}");
}
