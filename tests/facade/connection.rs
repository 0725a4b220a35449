use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use carrot::topology::DeleteIf;
use carrot::{Binding, ConnectionOptions, Error, Exchange, Queue};

use crate::support::{SOON, queue, ready, unique};

on_both_backends! {
    fn refused_call_of_one_thread_fails_no_declaration_of_another(connection: &Connection) {
        let (existing, missing) = (queue(), unique("missing"));
        connection.declare_queue(&existing).unwrap();
        let declaring = AtomicUsize::new(2);
        let deadline = Instant::now() + 3 * SOON;
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let declared =
                        (0..200).try_for_each(|_| connection.declare_queue(&existing).map(drop));
                    declaring.fetch_sub(1, Ordering::Relaxed);
                    declared.unwrap();
                });
                scope.spawn(|| {
                    while declaring.load(Ordering::Relaxed) > 0 && Instant::now() < deadline {
                        let refused = connection.declare_queue(Queue::existing(&missing));
                        assert!(matches!(refused, Err(Error::NotFound { .. })), "{refused:?}");
                    }
                });
            }
        });
    }

    fn connection_manages_topology_without_publisher_or_consumer(connection: &Connection) {
        let (exchange, queue) = (Exchange::topic(unique("exchange")), queue());
        connection.declare_exchange(&exchange).unwrap();
        let declared = connection.declare_queue(&queue).unwrap();
        assert_eq!((&*declared.name, declared.message_count, declared.consumer_count), (&*queue.name, 0, 0));
        let binding = Binding::queue(&*exchange.name, &*queue.name, "a.#");
        connection.bind(&binding).unwrap();
        let publisher = connection.publisher().exchange(&exchange).routing_key("a.b").mandatory().build().unwrap();
        publisher.send("routed").unwrap();
        connection.unbind(&binding).unwrap();
        assert!(matches!(publisher.send("unrouted"), Err(Error::Unroutable { .. })));

        assert_eq!(connection.purge_queue(&queue.name).unwrap(), 1);
        connection.publisher().routing_key(&*queue.name).build().unwrap().send("x").unwrap();
        assert!(matches!(connection.delete_queue(&queue.name, DeleteIf::EMPTY), Err(Error::PreconditionFailed { .. })));
        assert_eq!(connection.delete_queue(&queue.name, DeleteIf::ALWAYS).unwrap(), 1);
        assert_eq!(connection.delete_queue(&queue.name, DeleteIf::ALWAYS).unwrap(), 0);
        connection.delete_exchange(&exchange.name, DeleteIf::UNUSED).unwrap();
        connection.delete_exchange(&exchange.name, DeleteIf::ALWAYS).unwrap();
    }

    fn refused_call_affects_no_other_channel(connection: &Connection) {
        let queue = queue();
        let consumer = connection.consumer(&queue).build().unwrap();
        let publisher = connection.publisher().routing_key(&*queue.name).build().unwrap();
        assert!(matches!(connection.purge_queue(&unique("queue")), Err(Error::NotFound { .. })));
        assert!(matches!(connection.bind(&Binding::queue("amq.direct", unique("queue"), "x")), Err(Error::NotFound { .. })));
        publisher.send("x").unwrap();
        consumer.fetch().unwrap().unwrap().ack().unwrap();
        connection.declare_queue(&queue).unwrap();
    }

    #[without_activemq("exclusive")]
    fn exclusive_queue_is_usable_by_its_whole_connection(connection: &Connection) {
        let queue = Queue::new(unique("queue")).exclusive();
        let consumer = connection.consumer(&queue).build().unwrap();
        connection.consumer(&queue).build().unwrap();
        drop(consumer);
    }

    fn connection_closed_closes_publishers_and_consumers(connection: &Connection) {
        let queue = queue();
        let consumer = connection.consumer(&queue).build().unwrap();
        let publisher = connection.publisher().routing_key(&*queue.name).build().unwrap();
        publisher.send("x").unwrap();
        let message = consumer.fetch().unwrap().unwrap();
        connection.close().unwrap();
        connection.close().unwrap();
        assert!(matches!(publisher.send("x"), Err(Error::Closed { .. })));
        assert!(matches!(consumer.fetch(), Err(Error::Closed { .. })));
        assert!(matches!(message.ack(), Err(Error::Stale { .. })));
        assert!(matches!(connection.declare_queue(&queue), Err(Error::Closed { .. })));
        assert!(matches!(connection.publisher().build(), Err(Error::Closed { .. })));
    }

    fn connection_close_wakes_waiting_threads(connection: &Connection) {
        let consumer = connection.consumer(Queue::server_named()).build().unwrap();
        let mut messages = consumer.messages().unwrap();
        let waiting = std::thread::spawn(move || messages.next());
        connection.close().unwrap();
        assert!(!matches!(waiting.join().unwrap(), Some(Ok(_))));
    }
}

#[test]
fn memory_broker_is_shared_only_under_a_name() {
    let name = unique("broker");
    let one = carrot::connect(format!("memory://{name}")).unwrap();
    let other = carrot::connect(ConnectionOptions::memory_named(&*name)).unwrap();
    one.declare_queue("shared").unwrap();
    other.publisher().routing_key("shared").build().unwrap().send("x").unwrap();
    assert_eq!(ready(&one, "shared"), 1);
    let private = carrot::connect("memory://").unwrap();
    assert!(matches!(
        private.declare_queue(Queue::existing("shared")),
        Err(Error::NotFound { .. })
    ));

    drop((one, other));
    let fresh = carrot::connect(format!("memory://{name}")).unwrap();
    assert!(matches!(fresh.declare_queue(Queue::existing("shared")), Err(Error::NotFound { .. })));
}

#[test]
fn invalid_url_is_refused_without_showing_password() {
    for (url, option) in [
        ("http://user:secret-word@localhost", "scheme"),
        ("amqp://user:secret-word@localhost:99999", "port"),
        ("amqp://user:secret-word@localhost/v?no_such_option=1", "no_such_option"),
        ("amqp://user:secret-word@localhost/v?heartbeat=fast", "heartbeat"),
    ] {
        match carrot::connect(url) {
            Err(error @ Error::Config { .. }) => {
                assert!(error.to_string().contains(option), "{error}");
                assert!(!format!("{error} {error:?}").contains("secret-word"), "{error}");
            }
            other => panic!("{url}: {other:?}"),
        }
    }
}

#[test]
fn connect_to_unreachable_address_fails_in_time() {
    let refused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for url in [
        format!("amqp://user:secret-word@127.0.0.1:{refused}"),
        "amqp://user:secret-word@no-such-host.invalid".into(),
    ] {
        let started = Instant::now();
        let error = carrot::connect(&*url).unwrap_err();
        assert!(matches!(error, Error::Connect { .. } | Error::Timeout { .. }), "{error}");
        assert!(!format!("{error} {error:?}").contains("secret-word"), "{error:?}");
        assert!(started.elapsed() < Duration::from_secs(11));
    }
}

on_both_amqp_brokers! {
    fn wrong_credentials_or_vhost_fail_authentication(broker: &RemoteBroker) {
        let options = broker.options();
        let wrong_password = options.clone().credentials("guest", "secret-word");
        let wrong_vhost = options.vhost("no-such-vhost");
        for options in [wrong_password, wrong_vhost] {
            let error = carrot::connect(options).unwrap_err();
            assert!(matches!(error, Error::Authentication { .. }), "{error}");
            assert!(!format!("{error} {error:?}").contains("secret-word"), "{error:?}");
        }
    }

}

on_remote_brokers! {
    #[without_activemq("exclusive")]
    fn exclusive_queue_is_locked_for_other_connection(broker: &RemoteBroker) {
        let (one, other) = (broker.connect(), broker.connect());
        let queue = Queue::new(unique("queue")).exclusive();
        let _consumer = one.consumer(&queue).build().unwrap();
        let error = other.consumer(&queue).build().unwrap_err();
        assert!(matches!(error, Error::ResourceLocked { .. }), "{error}");
    }
}

#[test]
#[ignore = "needs RabbitMQ: run ./scripts/test"]
fn tls_requires_the_authority_of_the_broker() {
    let url = std::env::var("CARROT_TEST_AMQPS_URL")
        .expect("CARROT_TEST_AMQPS_URL has to name a TLS listener; ./scripts/test starts one");
    let authority = std::env::var("CARROT_TEST_CA_FILE").expect("CARROT_TEST_CA_FILE");
    let options: ConnectionOptions = url.parse().unwrap();
    let trusting = options
        .clone()
        .tls(carrot::config::TlsOptions::new().authority(carrot::config::Pem::file(authority)));
    let connection = carrot::connect(trusting).unwrap();
    let consumer = connection.consumer(queue()).build().unwrap();
    connection
        .publisher()
        .routing_key(consumer.queue().unwrap())
        .build()
        .unwrap()
        .send("secret")
        .unwrap();
    consumer.messages().unwrap().timeout(SOON).next().unwrap().unwrap().ack().unwrap();

    let error = carrot::connect(options.tls(carrot::config::TlsOptions::new())).unwrap_err();
    assert!(matches!(error, Error::Connect { .. }), "{error}");
}

#[test]
fn invalid_options_of_memory_broker_are_config_errors() {
    let refused = |options: ConnectionOptions, option: &str| match carrot::connect(options) {
        Err(Error::Config { option: found, .. }) => assert_eq!(found, option),
        other => panic!("{option}: {other:?}"),
    };
    refused(ConnectionOptions::memory().vhost("x"), "vhost");
    refused(ConnectionOptions::memory().call_timeout(Duration::ZERO), "call_timeout");
    refused(ConnectionOptions::memory_named("one").add_host("two"), "host");
}
