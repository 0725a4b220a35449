//! No password in any output: whatever is logged, shown or told in a run full of failures is searched for it.

#![cfg(all(feature = "memory", feature = "amqp"))]
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fmt::Write;
use std::net::TcpListener;
use std::sync::{Mutex, Once};
use std::time::Duration;

use carrot::{Connection, ConnectionOptions, Message, Queue};

const PASSWORD: &str = "pa55-w0rd-of-the-test";

static OUTPUT: Mutex<String> = Mutex::new(String::new());

struct Capture;

impl log::Log for Capture {
    fn enabled(&self, _metadata: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        note(format_args!("{} {}", record.target(), record.args()));
    }

    fn flush(&self) {}
}

fn note(line: std::fmt::Arguments<'_>) {
    writeln!(OUTPUT.lock().unwrap(), "{line}").unwrap();
}

/// Captures all logs and panics from now on.
fn capture() {
    static CAPTURED: Once = Once::new();
    CAPTURED.call_once(|| {
        log::set_logger(&Capture).unwrap();
        log::set_max_level(log::LevelFilter::Trace);
        std::panic::set_hook(Box::new(|panic| note(format_args!("{panic}"))));
    });
}

#[track_caller]
fn nothing_shows_the_password() {
    let output = OUTPUT.lock().unwrap();
    assert!(!output.is_empty(), "nothing was captured");
    let shown: Vec<&str> = output.lines().filter(|line| line.contains(PASSWORD)).collect();
    assert!(shown.is_empty(), "{shown:#?}");
}

fn show<T: std::fmt::Debug>(what: &str, result: carrot::Result<T>) {
    match result {
        Ok(value) => note(format_args!("{what}: {value:?}")),
        Err(error) => {
            note(format_args!("{what}: {error} {error:?} {error:#?}"));
            let mut source = std::error::Error::source(&error);
            while let Some(error) = source {
                note(format_args!("{error} {error:?}"));
                source = error.source();
            }
        }
    }
}

/// Uses everything that a connection makes, well and badly.
fn use_up(connection: &Connection) {
    note(format_args!("{connection:?}"));
    let queue = Queue::server_named();
    show("no queue", connection.purge("no-such-queue-of-the-test"));
    let consumer = connection.consumer(&queue).build().unwrap();
    let publisher = connection.publisher().routing_key(consumer.queue().unwrap()).build().unwrap();
    note(format_args!("{consumer:?} {publisher:?} {:?}", connection.publisher()));
    publisher.send_all(0..3).unwrap();
    let workers = consumer.workers(1).spawn(|_: String, _message: &Message| -> () { panic!("a handler that panics") }).unwrap();
    show("workers", workers.stop(Duration::from_secs(5)));
    connection.close().unwrap();
    show("closed", publisher.send("x"));
}

#[test]
fn failures_without_a_broker_show_no_password() {
    capture();
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let refused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mute_port = mute.local_addr().unwrap().port();
    for url in [
        format!("amqp://user:{PASSWORD}@127.0.0.1:{refused}"),
        format!("amqps://user:{PASSWORD}@127.0.0.1:{refused}"),
        format!("amqp://user:{PASSWORD}@127.0.0.1:{mute_port}?connection_timeout=200"),
        format!("amqps://user:{PASSWORD}@127.0.0.1:{mute_port}?connection_timeout=200"),
        format!("amqp://user:{PASSWORD}@no-such-host.invalid?connection_timeout=2000"),
        format!("amqp://user:{PASSWORD}@127.0.0.1:port"),
        format!("amqp://user:{PASSWORD}@127.0.0.1/vhost?no_such_option={PASSWORD}"),
        format!("amqp://user:{PASSWORD}/vhost"),
        format!("amqp://user:p@{PASSWORD}@host"),
        format!("amqp://user:p#{PASSWORD}@host"),
        format!("http://user:{PASSWORD}@host"),
        format!("memory://user:{PASSWORD}@host"),
        PASSWORD.to_string(),
    ] {
        show("connect", carrot::connect(url));
    }
    let options = ConnectionOptions::new().credentials("user", PASSWORD);
    note(format_args!("{options} {options:?} {options:#?}"));
    show(
        "environment",
        ConnectionOptions::from_variables(|name| match name {
            "AMQP_PASSWORD" => Ok(PASSWORD.into()),
            "AMQP_PORT" => Ok("no number".into()),
            _ => Err(std::env::VarError::NotPresent),
        }),
    );
    use_up(&carrot::connect(ConnectionOptions::memory().credentials("guest", PASSWORD)).unwrap());
    nothing_shows_the_password();
}

#[test]
#[ignore = "needs RabbitMQ: run ./scripts/test"]
fn a_run_on_rabbitmq_full_of_failures_shows_no_password() {
    capture();
    let url = std::env::var("CARROT_TEST_AMQP_URL").expect("CARROT_TEST_AMQP_URL has to name a broker; ./scripts/test starts one");
    let options: ConnectionOptions = url.parse().unwrap();
    show("wrong password", carrot::connect(options.clone().credentials("guest", PASSWORD)));
    show("wrong user", carrot::connect(options.clone().credentials("nobody", PASSWORD)));
    show("wrong vhost", carrot::connect(options.clone().vhost("no-such-vhost")));
    use_up(&carrot::connect(options).unwrap());
    nothing_shows_the_password();
}
