//! Passwords, tokens and certificate files that change while a program runs.

mod token;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use carrot::{
    Connection, ConnectionOptions, Error, Message, Publisher,
    config::{Pem, TlsOptions},
    memory::{Broker, Operation},
};
use carrot_faults::Proxy;

use crate::support::{SOON, eventually, queue, rabbitmq_url, rabbitmqctl, unique};

/// Checks that messages fail for a temporary cause, and that the error names the cause.
fn fails_for(publisher: &Publisher, cause: &str) {
    eventually("the cause is told", || {
        match publisher.message().timeout(Duration::from_secs(2)).send("x") {
            Ok(()) => false,
            Err(error) => {
                assert!(matches!(error, Error::Connect { .. }) && error.is_retryable(), "{error}");
                error.to_string().contains(cause)
            }
        }
    });
}

#[test]
#[ignore = "needs RabbitMQ: run ./scripts/test"]
fn run_survives_password_changed_and_restored() {
    let user = unique("user");
    rabbitmqctl(&["add_user", &user, "first"]);
    rabbitmqctl(&["set_permissions", &user, ".*", ".*", ".*"]);
    let (proxy, options) = Proxy::in_front_of(&rabbitmq_url().parse().unwrap()).unwrap();
    let connection = carrot::connect(options.credentials(&*user, "first")).unwrap();
    let queue = queue();
    let (sender, handled) = mpsc::channel();
    let consumer = connection.consumer(&queue).build().unwrap();
    let workers = consumer
        .workers(1)
        .spawn(move |text: String, _message: &Message| sender.send(text))
        .unwrap();
    let publisher = connection.publisher().queue(&queue).build().unwrap();
    publisher.send("before").unwrap();
    assert_eq!(handled.recv_timeout(SOON), Ok("before".into()));

    rabbitmqctl(&["change_password", &user, "second"]);
    proxy.cut();
    fails_for(&publisher, "credentials");
    rabbitmqctl(&["change_password", &user, "first"]);
    publisher.send("after").unwrap();
    while handled.recv_timeout(SOON).unwrap() != "after" {}
    workers.stop(SOON).unwrap();
    rabbitmqctl(&["delete_user", &user]);
}

#[test]
#[ignore = "needs RabbitMQ: run ./scripts/test"]
fn provider_that_learns_the_changed_password_late_recovers_the_connection() {
    let user = unique("user");
    rabbitmqctl(&["add_user", &user, "first"]);
    rabbitmqctl(&["set_permissions", &user, ".*", ".*", ".*"]);
    let password = Arc::new(Mutex::new("first"));
    let (proxy, options) = Proxy::in_front_of(&rabbitmq_url().parse().unwrap()).unwrap();
    let provided = (user.clone(), Arc::clone(&password));
    let options =
        options.credentials_provider(move || Ok((provided.0.clone(), *provided.1.lock().unwrap())));
    let connection = carrot::connect(options).unwrap();
    let publisher = connection.publisher().queue(queue()).build().unwrap();
    publisher.send("before").unwrap();

    rabbitmqctl(&["change_password", &user, "second"]);
    // RabbitMQ checks a password only when a connection opens.
    connection.update_secret("no password", "a test").unwrap();
    publisher.send("still connected").unwrap();
    proxy.cut();
    fails_for(&publisher, "credentials");
    *password.lock().unwrap() = "second";
    publisher.send("after").unwrap();
    assert!(connection.is_connected());
    rabbitmqctl(&["delete_user", &user]);
}

#[test]
fn memory_broker_asks_the_provider_at_each_connect() {
    let broker = Broker::new();
    let calls = Arc::new(AtomicU32::new(0));
    let failure = Arc::new(Mutex::new(None));
    let provided = (Arc::clone(&calls), Arc::clone(&failure));
    let options = ConnectionOptions::memory().credentials_provider(move || {
        provided.0.fetch_add(1, Ordering::Relaxed);
        match *provided.1.lock().unwrap() {
            Some(failure) => Err(String::from(failure).into()),
            None => Ok(("shop", "s3cret")),
        }
    });
    let connect = || {
        let connector = broker.connector_with(&options).unwrap();
        Connection::with_options(connector, &options)
    };
    let connection = connect();
    let publisher = connection.publisher().queue(queue()).build().unwrap();
    publisher.send("before").unwrap();
    let before = calls.load(Ordering::Relaxed);
    assert!(before >= 1);
    // The user of the provider is the user of the connection.
    let send_as = |user: &str| {
        publisher.message().properties(|properties| properties.with_user_id(user)).send("x")
    };
    send_as("shop").unwrap();
    let forged = send_as("guest");
    assert!(matches!(forged, Err(Error::PreconditionFailed { .. })), "{forged:?}");

    *failure.lock().unwrap() = Some("the vault is sealed");
    broker.faults().drop_connections();
    fails_for(&publisher, "the vault is sealed");
    let refused = connect().open();
    assert!(
        matches!(&refused, Err(Error::Connect { reason, .. }) if reason.contains("sealed")),
        "{refused:?}"
    );
    *failure.lock().unwrap() = None;
    publisher.send("after").unwrap();
    assert!(calls.load(Ordering::Relaxed) > before);
}

#[test]
fn memory_broker_accepts_a_secret_unless_a_fault_refuses_it() {
    let broker = Broker::new();
    let connection = Connection::new(broker.connector());
    connection.update_secret("s3cret", "before the first connection").unwrap();
    assert!(!connection.is_connected());
    let publisher = connection.publisher().queue(queue()).build().unwrap();
    publisher.send("before").unwrap();
    connection.update_secret("s3cret", "a test").unwrap();
    let long = connection.update_secret("s3cret", &"x".repeat(256));
    assert!(matches!(&long, Err(Error::Invalid { field, .. }) if field == "reason"), "{long:?}");

    broker.faults().close_connection_at(Operation::UpdateSecret, 1, 530, "NOT_ALLOWED");
    let refused = connection.update_secret("s3cret", "a test");
    assert!(matches!(refused, Err(Error::HardError { code: 530, .. })), "{refused:?}");
    publisher.send("after").unwrap();
    connection.close().unwrap();
    let closed = connection.update_secret("s3cret", "a test");
    assert!(matches!(closed, Err(Error::Closed { .. })), "{closed:?}");
}

#[test]
#[ignore = "needs RabbitMQ: run ./scripts/test"]
fn run_survives_half_written_certificate_file() {
    let variable = |name: &str| {
        std::env::var(name)
            .unwrap_or_else(|_| panic!("{name} has to be set; ./scripts/test does so"))
    };
    let whole = std::fs::read_to_string(variable("CARROT_TEST_CA_FILE")).unwrap();
    let file = std::env::temp_dir().join(unique("ca.pem"));
    std::fs::write(&file, &whole).unwrap();
    let (proxy, options) =
        Proxy::in_front_of(&variable("CARROT_TEST_AMQPS_URL").parse().unwrap()).unwrap();
    let tls = TlsOptions::new().authority(Pem::file(&file)).server_name("localhost");
    let connection = carrot::connect(options.tls(tls)).unwrap();
    let publisher = connection.publisher().queue(queue()).build().unwrap();
    publisher.send("before").unwrap();

    std::fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    proxy.cut();
    fails_for(&publisher, "configuration");
    std::fs::write(&file, &whole).unwrap();
    publisher.send("after").unwrap();
    std::fs::remove_file(&file).unwrap();
}

/// Connects with a token that expires soon. Returns the number of lost connections, too.
fn connect_with(token: &Arc<Mutex<String>>) -> (Connection, Arc<AtomicU32>) {
    let provided = Arc::clone(token);
    let options: ConnectionOptions = rabbitmq_url().parse().unwrap();
    let options = options.credentials_provider(move || Ok(("", provided.lock().unwrap().clone())));
    let connection = carrot::connect(options).unwrap();
    let losses = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&losses);
    connection.on_disconnect(move |_, _| {
        counted.fetch_add(1, Ordering::Relaxed);
    });
    (connection, losses)
}

#[test]
#[ignore = "needs RabbitMQ: run ./scripts/test"]
fn connection_outlives_its_token_only_with_a_new_secret() {
    const VALID: Duration = Duration::from_secs(3);
    let token = Arc::new(Mutex::new(token::valid_for(VALID)));
    let (expiring, _) = connect_with(&token);
    let (renewed, losses) = connect_with(&token);
    let publisher = renewed.publisher().queue(queue()).build().unwrap();
    publisher.send("before").unwrap();
    renewed.update_secret(token::valid_for(VALID * 20), "the token expires").unwrap();

    // RabbitMQ 3.10 refuses operations with an expired token, and 4.x closes the connection.
    eventually("the token expires", || expiring.declare_queue(queue()).is_err());
    publisher.send("after").unwrap();
    renewed.declare_queue(queue()).unwrap();
    assert_eq!(losses.load(Ordering::Relaxed), 0);
    // A connection that lost its token recovers once the provider returns another.
    *token.lock().unwrap() = token::valid_for(VALID * 20);
    let _ = expiring.update_secret(token.lock().unwrap().clone(), "the token has expired");
    eventually("the new token is used", || expiring.declare_queue(queue()).is_ok());
}

#[test]
#[ignore = "needs RabbitMQ: run ./scripts/test"]
fn refused_secret_costs_the_connection_and_the_provider_recovers_it() {
    let token = Arc::new(Mutex::new(token::valid_for(Duration::from_secs(60))));
    let (connection, losses) = connect_with(&token);
    let publisher = connection.publisher().queue(queue()).build().unwrap();
    publisher.send("before").unwrap();
    let refused = connection.update_secret("no token", "a test");
    match &refused {
        Err(error @ Error::HardError { code: 530, reason }) => {
            assert!(reason.contains("NOT_ALLOWED"), "{reason}");
            assert!(!format!("{error:?}").contains("no token"));
        }
        other => panic!("{other:?}"),
    }
    publisher.send("after").unwrap();
    assert!(losses.load(Ordering::Relaxed) >= 1);
}
