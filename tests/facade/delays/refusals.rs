//! Delayed messages that cannot be sent.

use std::time::Duration;

use carrot::memory::Operation;
use carrot::{Error, Exchange};

use crate::failures::manual_clock::{refuse_declarations, setup};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn invalid_delay_names_field_value_and_limit() {
    let setup = setup();
    let publisher = setup.connection.publisher().queue("orders").build().unwrap();
    let too_long = publisher.message().delay(seconds(8_388_609)).send("x").unwrap_err();
    let text = too_long.to_string();
    assert!(matches!(too_long, Error::Invalid { .. }));
    for part in ["delay", "8388609s", "at most 8388608 s"] {
        assert!(text.contains(part), "{text}");
    }
    let forever = publisher.message().delay(Duration::MAX).send("x");
    assert!(matches!(forever, Err(Error::Invalid { field, .. }) if field == "delay"));
    let expiring = publisher.message().expiration(seconds(3)).delay(seconds(1)).send("x");
    assert!(matches!(expiring, Err(Error::Invalid { field, .. }) if field == "expiration"));
    let nowhere = publisher.message().routing_key("").delay(seconds(1)).send("x");
    assert!(matches!(nowhere, Err(Error::Invalid { field, .. }) if field.contains("routing key")));
    assert!(matches!(publisher.declare_delays(Duration::MAX), Err(Error::Invalid { .. })));
    // Nothing was sent, and the publisher is usable.
    publisher.message().delay(seconds(1)).send("x").unwrap();
    setup.clock.advance(seconds(1));
    assert_eq!(setup.ready("orders"), 1);
}

#[test]
fn mandatory_delayed_message_to_missing_queue_is_returned_at_once() {
    let setup = setup();
    let publisher = setup.connection.publisher().routing_key("missing").build().unwrap();
    for _ in 0..2 {
        match publisher.message().message_id("id").delay(seconds(90)).send("x") {
            Err(Error::Unroutable { returned }) => {
                assert_eq!((returned.code, &*returned.routing_key), (312, "missing"));
                assert_eq!(returned.message_id.as_deref(), Some("id"));
            }
            other => panic!("{other:?}"),
        }
    }
    publisher.message().not_mandatory().delay(seconds(90)).send("dropped").unwrap();
    setup.connection.declare_queue("missing").unwrap();
    publisher.message().delay(seconds(90)).send("y").unwrap();
    setup.clock.advance(seconds(90));
    assert_eq!(setup.ready("missing"), 2);
}

#[test]
fn refused_declaration_of_waiting_queues_sends_nothing() {
    let setup = setup();
    let publisher =
        setup.connection.publisher().exchange(Exchange::fanout("shop")).build().unwrap();
    setup.connection.declare_queue("orders").unwrap();
    setup.connection.bind(&carrot::Binding::queue("shop", "orders", "")).unwrap();
    refuse_declarations(&setup.broker, 1);
    let refused = publisher.message().delay(seconds(90)).send("x");
    assert!(matches!(refused, Err(Error::AccessRefused { .. })), "{refused:?}");
    publisher.message().delay(seconds(90)).send("y").unwrap();
    setup.clock.advance(seconds(90));
    assert_eq!(setup.ready("orders"), 1);
}

#[test]
fn waiting_queues_of_the_operator_are_used() {
    let setup = setup();
    let operator = setup.connection.publisher().queue("orders").build().unwrap();
    operator.declare_delays(seconds(90)).unwrap();
    let publisher = setup.connection.publisher().routing_key("orders").build().unwrap();
    // All declarations and looks are refused, as by RabbitMQ 4.3.
    refuse_declarations(&setup.broker, 4);
    publisher.message().delay(seconds(90)).send("x").unwrap();
    setup.clock.advance(seconds(90));
    assert_eq!(setup.ready("orders"), 1);
}

#[test]
fn waiting_queues_of_the_operator_serve_both_kinds_of_messages() {
    let setup = setup();
    let operator = setup.connection.publisher().queue("orders").build().unwrap();
    operator.declare_delays(seconds(90)).unwrap();
    let publisher = setup.connection.publisher().routing_key("orders").build().unwrap();
    refuse_declarations(&setup.broker, 1);
    publisher.message().not_mandatory().delay(seconds(90)).send("x").unwrap();
    setup.clock.advance(seconds(90));
    assert_eq!(setup.ready("orders"), 1);
}

#[test]
fn chain_of_the_operator_without_its_last_queue_is_refused() {
    let setup = setup();
    let operator = setup.connection.publisher().queue("orders").build().unwrap();
    operator.declare_delays(seconds(90)).unwrap();
    let last = "orders.delay.v1.last.dropped";
    setup.connection.delete_queue(last, carrot::topology::DeleteIf::ALWAYS).unwrap();
    let publisher = setup.connection.publisher().routing_key("orders").build().unwrap();
    refuse_declarations(&setup.broker, 1);
    let refused = publisher.message().not_mandatory().delay(seconds(90)).send("x");
    assert!(matches!(refused, Err(Error::AccessRefused { .. })), "{refused:?}");
}

#[test]
fn declare_delays_declares_a_lower_queue_that_was_deleted() {
    let setup = setup();
    let publisher = setup.connection.publisher().queue("orders").build().unwrap();
    publisher.declare_delays(seconds(90)).unwrap();
    for name in ["orders.delay.v1.2s", "orders.delay.v1.last.kept"] {
        setup.connection.delete_queue(name, carrot::topology::DeleteIf::ALWAYS).unwrap();
    }
    publisher.declare_delays(seconds(90)).unwrap();
    publisher.message().delay(seconds(7)).send("x").unwrap();
    setup.clock.advance(seconds(7));
    assert_eq!(setup.ready("orders"), 1);
}

#[test]
fn longer_delay_declares_lower_exchanges_that_were_deleted() {
    let setup = setup();
    let publisher = setup.connection.publisher().queue("orders").build().unwrap();
    publisher.message().delay(seconds(4)).send("x").unwrap();
    setup.clock.advance(seconds(4));
    for name in ["orders.delay.v1.2s", "orders.delay.v1.1s"] {
        setup.connection.delete_queue(name, carrot::topology::DeleteIf::ALWAYS).unwrap();
        setup.connection.delete_exchange(name, carrot::topology::DeleteIf::ALWAYS).unwrap();
    }
    publisher.message().delay(seconds(90)).send("y").unwrap();
    setup.clock.advance(seconds(90));
    assert_eq!(setup.ready("orders"), 2);
}

#[test]
fn layers_see_the_exchange_and_the_key_of_the_program() {
    use carrot::layers::{OutgoingMessage, PublishLayer, SentMessage};
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Seen(Arc<Mutex<Vec<String>>>);
    impl PublishLayer for Seen {
        fn before_send(&self, message: &mut OutgoingMessage<'_>) -> carrot::Result<()> {
            message.set_header("layered", "yes");
            message.set_routing_key("new");
            self.0.lock().unwrap().push(format!("{} before", message.exchange()));
            Ok(())
        }

        fn after_send(&self, message: &SentMessage<'_>) {
            let hidden = message.properties().header("BCC").is_none();
            let (exchange, key) = (message.exchange(), message.routing_key());
            let confirmed = message.is_confirmed();
            self.0.lock().unwrap().push(format!("{exchange} {key} {confirmed} {hidden}"));
        }
    }

    let setup = setup();
    let seen = Seen::default();
    let publisher = setup.connection.publisher().exchange(Exchange::topic("shop"));
    let publisher = publisher.layer(seen.clone()).build().unwrap();
    let consumer = setup.connection.consumer("orders").build().unwrap();
    setup.connection.declare_queue("orders").unwrap();
    setup.connection.bind(&carrot::Binding::queue("shop", "orders", "new")).unwrap();
    publisher.message().delay(seconds(5)).send("x").unwrap();
    assert_eq!(*seen.0.lock().unwrap(), ["shop before", "shop new true true"]);
    let too_long = publisher.message().delay(Duration::MAX).send("x");
    assert!(matches!(too_long, Err(Error::Invalid { .. })));
    assert_eq!(seen.0.lock().unwrap()[2..], ["shop before", "shop new false true"]);
    setup.clock.advance(seconds(5));
    let message = consumer.fetch().unwrap().unwrap();
    assert_eq!(message.header("layered").and_then(|value| value.as_str()), Some("yes"));
}

#[test]
fn sending_to_a_full_waiting_queue_is_bounded_by_the_timeout() {
    let setup = setup();
    setup.connection.declare_queue("orders").unwrap();
    let publisher = setup.connection.publisher().routing_key("orders").build().unwrap();
    setup.broker.faults().delay(Operation::Declare, seconds(3600), 100);
    let timeout = Duration::from_millis(50);
    let started = std::time::Instant::now();
    let late = publisher.message().timeout(timeout).delay(seconds(90)).send("x");
    assert!(matches!(late, Err(Error::Timeout { .. })), "{late:?}");
    assert!(started.elapsed() < crate::support::SOON);
}
