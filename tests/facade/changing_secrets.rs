//! Passwords and certificate files that are being changed while a connection is lost.

use std::sync::mpsc;
use std::time::Duration;

use carrot::{
    ConnectionOptions, Error, Message, Publisher,
    config::{Pem, TlsOptions},
};
use carrot_faults::Proxy;

use crate::support::{SOON, eventually, queue, rabbitmq_url, rabbitmqctl, unique};

/// The path to a broker, through a proxy.
fn through_proxy(options: &ConnectionOptions) -> (ConnectionOptions, Proxy) {
    let (host, port) = options.addresses().next().unwrap();
    let proxy = Proxy::new(host, port).unwrap();
    (options.clone().host(proxy.address().ip().to_string()).port(proxy.address().port()), proxy)
}

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
    let (options, proxy) = through_proxy(&rabbitmq_url().parse().unwrap());
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
fn run_survives_half_written_certificate_file() {
    let variable = |name: &str| {
        std::env::var(name)
            .unwrap_or_else(|_| panic!("{name} has to be set; ./scripts/test does so"))
    };
    let whole = std::fs::read_to_string(variable("CARROT_TEST_CA_FILE")).unwrap();
    let file = std::env::temp_dir().join(unique("ca.pem"));
    std::fs::write(&file, &whole).unwrap();
    let (options, proxy) = through_proxy(&variable("CARROT_TEST_AMQPS_URL").parse().unwrap());
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
