//! No password in any output: the logs, `Debug` texts and errors of a run full of failures are
//! searched for the password.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../carrot-backend-amqp/tests/support/forms.rs"]
mod forms;

use std::fmt::Write;
use std::net::TcpListener;
use std::process::Command;
use std::sync::{Mutex, Once};
use std::time::Duration;

use carrot::{
    Connection, ConnectionOptions, Message, Queue,
    config::{Pem, TlsOptions},
};

const PASSWORD: &str = "pa55/w0rd@the:t\u{e9}st ?\"50%\"#";

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
fn no_output_shows_the_password() {
    let output = OUTPUT.lock().unwrap();
    assert!(!output.is_empty(), "nothing was captured");
    for form in forms::forms(PASSWORD) {
        let shown: Vec<&str> = output.lines().filter(|line| line.contains(&form)).collect();
        assert!(shown.is_empty(), "{form}: {shown:#?}");
    }
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

/// Uses everything that a connection opens, correctly and wrongly.
fn use_up(connection: &Connection) {
    note(format_args!("{connection:?}"));
    let queue = Queue::server_named();
    show("no queue", connection.purge_queue("no-such-queue-of-the-test"));
    let consumer = connection.consumer(&queue).build().unwrap();
    let publisher = connection.publisher().routing_key(consumer.queue().unwrap()).build().unwrap();
    note(format_args!("{consumer:?} {publisher:?} {:?}", connection.publisher()));
    publisher.send_all(0..3).unwrap();
    let workers = consumer
        .workers(1)
        .spawn(|_: String, _message: &Message| -> () { panic!("a handler that panics") })
        .unwrap();
    show("workers", workers.stop(Duration::from_secs(5)));
    show("update", connection.update_secret(PASSWORD, "a test"));
    show("update", connection.update_secret(PASSWORD, &"x".repeat(256)));
    connection.close().unwrap();
    show("closed", publisher.send("x"));
}

/// The password as a URL writes it.
fn encoded() -> String {
    PASSWORD.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[test]
fn failures_without_a_broker_show_no_password() {
    capture();
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let refused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mute_port = mute.local_addr().unwrap().port();
    for password in [
        PASSWORD.to_string(),
        encoded(),
        PASSWORD.replace(['/', '@', ':', '?', '%', '#', '"', ' '], "-"),
    ] {
        for url in [
            format!("amqp://user:{password}@127.0.0.1:{refused}"),
            format!("amqps://user:{password}@127.0.0.1:{refused}"),
            format!("amqp://user:{password}@127.0.0.1:{mute_port}?connection_timeout=200"),
            format!("amqps://user:{password}@127.0.0.1:{mute_port}?connection_timeout=200"),
            format!(
                "amqp://user:{password}@127.0.0.1:{refused},127.0.0.1:{mute_port}?connection_timeout=300"
            ),
            format!("amqps://user:{password}@127.0.0.1:{refused}?cacertfile=no-such-file.pem"),
            format!("amqp://user:{password}@no-such-host.invalid?connection_timeout=2000"),
            format!("amqp://user:{password}@127.0.0.1:port"),
            format!("amqp://user:{password}@127.0.0.1/vhost?no_such_option={password}"),
            format!("amqp://user:{password}/vhost"),
            format!("amqp://user:p@{password}@host"),
            format!("amqp://user:p#{password}@host"),
            format!("http://user:{password}@host"),
            format!("memory://user:{password}@host"),
            password,
        ] {
            show("connect", carrot::connect(url));
        }
    }
    let options = ConnectionOptions::new().credentials("user", PASSWORD);
    note(format_args!(
        "{options} {options:?} {options:#?} {:?}",
        options.clone().credentials("user", PASSWORD.repeat(20)).validate()
    ));
    show(
        "environment",
        ConnectionOptions::from_variables(|name| match name {
            "AMQP_PASSWORD" => Ok(PASSWORD.into()),
            "AMQP_PORT" => Ok("no number".into()),
            _ => Err(std::env::VarError::NotPresent),
        }),
    );
    use_up(&carrot::connect(ConnectionOptions::memory()).unwrap());
    for provided in [
        options
            .clone()
            .host("127.0.0.1")
            .port(refused)
            .credentials_provider(|| Ok(("u", PASSWORD))),
        options.clone().credentials_provider(|| Ok(("user", format!("{PASSWORD}\0")))),
        options.clone().credentials_provider(|| Ok(("user", PASSWORD.repeat(10_000)))),
    ] {
        note(format_args!("{provided} {provided:?} {provided:#?}"));
        show("provider", carrot::connect(provided));
    }
    no_output_shows_the_password();
}

fn variable(name: &str) -> String {
    std::env::var(name)
        .unwrap_or_else(|_| panic!("{name} is not set; ./scripts/test starts a broker and sets it"))
}

fn rabbitmqctl(arguments: &[&str]) {
    let output = Command::new("sh")
        .args(["-c", "$CARROT_TEST_RABBITMQCTL \"$@\"", "sh"])
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A user of the broker with the password. Dropping the value deletes the user.
struct User(String);

impl User {
    fn new() -> User {
        let user = User(format!("secret-{}", std::process::id()));
        rabbitmqctl(&["add_user", &user.0, PASSWORD]);
        rabbitmqctl(&["set_permissions", &user.0, ".*", ".*", ".*"]);
        user
    }
}

impl Drop for User {
    fn drop(&mut self) {
        rabbitmqctl(&["delete_user", &self.0]);
    }
}

#[test]
#[ignore = "needs RabbitMQ: run ./scripts/test"]
fn failures_on_rabbitmq_show_no_password() {
    capture();
    let plain: ConnectionOptions = variable("CARROT_TEST_AMQP_URL").parse().unwrap();
    let tls: ConnectionOptions = variable("CARROT_TEST_AMQPS_URL").parse().unwrap();
    let trusted = TlsOptions::new().authority(Pem::file(variable("CARROT_TEST_CA_FILE")));
    let dead = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let user = User::new();
    let host = |options: &ConnectionOptions| {
        options.addresses().next().map(|(name, port)| format!("{name}:{port}")).unwrap()
    };
    let as_user = |options: &ConnectionOptions| options.clone().credentials(&*user.0, PASSWORD);

    for options in [plain.clone(), tls.clone().tls(trusted.clone())] {
        show("wrong password", carrot::connect(options.clone().credentials("guest", PASSWORD)));
        show("wrong user", carrot::connect(options.clone().credentials("nobody", PASSWORD)));
        show("wrong vhost", carrot::connect(as_user(&options).vhost("no-such-vhost")));
    }
    show("unknown authority", carrot::connect(as_user(&tls).tls(TlsOptions::new())));
    show(
        "wrong name",
        carrot::connect(as_user(&tls).tls(trusted.clone().server_name("another.example"))),
    );
    show(
        "TLS to a plain port",
        carrot::connect(format!("amqps://{}:{}@{}", user.0, encoded(), host(&plain))),
    );
    show(
        "plain to a TLS port",
        carrot::connect(format!("amqp://{}:{}@{}", user.0, encoded(), host(&tls))),
    );
    show(
        "dead hosts",
        carrot::connect(format!(
            "amqp://{}:{}@127.0.0.1:{dead},localhost:{dead}",
            user.0,
            encoded()
        )),
    );

    use_up(&carrot::connect(as_user(&tls).tls(trusted)).unwrap());
    use_up(
        &carrot::connect(format!(
            "amqp://{}:{}@127.0.0.1:{dead},{}",
            user.0,
            encoded(),
            host(&plain)
        ))
        .unwrap(),
    );

    let connection = carrot::connect(as_user(&plain).call_timeout(Duration::from_secs(2))).unwrap();
    let publisher = connection
        .publisher()
        .routing_key("nobody")
        .not_mandatory()
        .send_timeout(Duration::from_secs(5))
        .build()
        .unwrap();
    publisher.send("before").unwrap();
    drop(user);
    let error = std::iter::repeat_with(|| publisher.send("after")).take(1000).find_map(Result::err);
    show::<()>(
        "a user who is gone",
        Err(error.expect("the connections of a deleted user are closed")),
    );
    note(format_args!("{connection:?} {publisher:?}"));
    no_output_shows_the_password();
}
