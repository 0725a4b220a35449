use std::time::Duration;

use carrot_core::backend::{
    Acknowledgement, ConsumeOptions, Declare, Delete, DeleteIf, Deleted, QueueInfo,
};
use carrot_core::{Binding, Error, Exchange, ExchangeKind, Queue, RabbitMqRelease, Result, Value};

use crate::tests::{BrokerFixture, SOON, returned, send};

fn kind<T: std::fmt::Debug>(result: Result<T>) -> &'static str {
    match result {
        Ok(_) => "ok",
        Err(Error::NotFound { .. }) => "not found",
        Err(Error::AccessRefused { .. }) => "access refused",
        Err(Error::PreconditionFailed { .. }) => "precondition",
        Err(Error::ResourceLocked { .. }) => "locked",
        Err(Error::Disconnected { .. }) => "disconnected",
        Err(Error::HardError { .. }) => "hard error",
        Err(Error::Invalid { .. }) => "invalid",
        Err(other) => panic!("{other:?}"),
    }
}

impl BrokerFixture {
    fn declare(&self, entity: Declare<'_>) -> &'static str {
        kind(self.open().declare(entity, SOON))
    }

    fn delete(&self, entity: Delete<'_>) -> &'static str {
        kind(self.open().delete(entity, SOON))
    }
}

#[test]
fn declaration_repeated_equally_succeeds_and_differently_fails() {
    let fixture = BrokerFixture::with_queue(&Queue::new("q").argument("x-message-ttl", 5));
    fixture.broker.put("q", carrot_core::backend::Content::new("", "q", "m")).unwrap();
    assert_eq!(
        fixture.queue(&Queue::new("q").argument("x-message-ttl", 5_i64).argument("x-other", 1)),
        QueueInfo::new("q", 1, 0)
    );
    for other in [
        Queue::new("q"),
        Queue::new("q").argument("x-message-ttl", 6),
        Queue::new("q").argument("x-message-ttl", "5"),
        Queue::new("q").argument("x-message-ttl", 5).max_length(1),
        Queue::new("q").argument("x-message-ttl", 5).transient(),
        Queue::new("q").argument("x-message-ttl", 5).auto_delete(),
    ] {
        assert_eq!(fixture.declare(Declare::Queue(&other)), "precondition", "{other:?}");
    }
    assert_eq!(
        fixture.declare(Declare::Queue(
            &Queue::new("q").argument("x-message-ttl", 5).argument("x-queue-type", "classic")
        )),
        "ok"
    );

    fixture.exchange(&Exchange::direct("x").alternate_exchange("a"));
    fixture.exchange(&Exchange::direct("x").alternate_exchange("a").argument("other", 1));
    for other in [
        Exchange::direct("x"),
        Exchange::fanout("x").alternate_exchange("a"),
        Exchange::direct("x").alternate_exchange("b"),
        Exchange::direct("x").alternate_exchange("a").transient(),
        Exchange::direct("x").alternate_exchange("a").internal(),
        Exchange::direct("x").alternate_exchange("a").auto_delete(),
    ] {
        assert_eq!(fixture.declare(Declare::Exchange(&other)), "precondition", "{other:?}");
    }
}

#[test]
fn passive_declaration_checks_only_the_name() {
    let fixture = BrokerFixture::with_queue(&Queue::new("q").transient());
    assert_eq!(fixture.declare(Declare::Queue(&Queue::existing("q"))), "ok");
    assert_eq!(fixture.declare(Declare::Queue(&Queue::existing("missing"))), "not found");
    assert_eq!(fixture.declare(Declare::Exchange(&Exchange::existing("amq.topic"))), "ok");
    assert_eq!(fixture.declare(Declare::Exchange(&Exchange::existing("missing"))), "not found");
    assert_eq!(fixture.declare(Declare::Exchange(&Exchange::existing(""))), "access refused");
}

#[test]
fn queue_without_a_name_gets_a_reserved_one() {
    let fixture = BrokerFixture::new();
    let name = fixture.queue(&Queue::server_named()).name;
    assert!(name.starts_with("amq.gen-") && name.len() == 30, "{name}");
    assert_ne!(fixture.queue(&Queue::server_named()).name, name);
    assert_eq!(
        fixture.declare(Declare::Queue(&Queue::new(name.clone()).transient().exclusive())),
        "access refused"
    );
    assert_eq!(fixture.declare(Declare::Queue(&Queue::existing(name))), "ok");
}

#[test]
fn empty_queue_name_stands_for_the_last_declared() {
    let fixture = BrokerFixture::new();
    assert_eq!(
        fixture.declare(Declare::Binding(&Binding::queue("amq.direct", "", "k"))),
        "not found"
    );
    assert_eq!(kind(fixture.open().get("", Acknowledgement::Manual, SOON)), "not found");
    let name = fixture.queue(&Queue::server_named()).name;
    fixture.bind(&Binding::queue("amq.direct", "", ""));
    fixture.send("amq.direct", &name, "m");
    assert_eq!(fixture.drain(""), ["m"]);
    let passive = fixture.open();
    passive.declare(Declare::Queue(&Queue::existing(&*name)), SOON).unwrap();
    assert_eq!(
        passive.delete(Delete::Queue { name: "", condition: DeleteIf::ALWAYS }, SOON).unwrap(),
        Deleted::new(0)
    );
    assert_eq!(fixture.broker.queue(&name), None);
    assert_eq!(
        kind(passive.delete(Delete::Queue { name: "", condition: DeleteIf::ALWAYS }, SOON)),
        "ok"
    );
    assert_eq!(kind(passive.declare(Declare::Queue(&Queue::existing("")), SOON)), "not found");
}

#[test]
fn reserved_names_and_the_default_exchange_are_refused() {
    let fixture = BrokerFixture::with_queue(&Queue::new("q"));
    assert_eq!(fixture.declare(Declare::Queue(&Queue::new("amq.mine"))), "access refused");
    assert_eq!(fixture.declare(Declare::Queue(&Queue::existing("amq.mine"))), "not found");
    assert_eq!(fixture.declare(Declare::Exchange(&Exchange::direct("amq.mine"))), "access refused");
    assert_eq!(fixture.declare(Declare::Exchange(&Exchange::direct("amq.direct"))), "ok");
    assert_eq!(
        fixture.declare(Declare::Exchange(&Exchange::direct("amq.direct").transient())),
        "precondition"
    );
    assert_eq!(fixture.declare(Declare::Exchange(&Exchange::default_exchange())), "access refused");
    assert_eq!(fixture.declare(Declare::Binding(&Binding::queue("", "q", "k"))), "access refused");
    assert_eq!(
        fixture.declare(Declare::Binding(&Binding::exchange("amq.direct", "", "k"))),
        "access refused"
    );
    assert_eq!(fixture.delete(Delete::Binding(&Binding::queue("", "q", "q"))), "access refused");
    for name in ["", "amq.direct", "amq.missing"] {
        assert_eq!(
            fixture.delete(Delete::Exchange { name, condition: DeleteIf::ALWAYS }),
            "access refused",
            "{name:?}"
        );
    }
    for name in
        ["amq.direct", "amq.fanout", "amq.topic", "amq.headers", "amq.match", "amq.rabbitmq.trace"]
    {
        assert!(fixture.broker.exchange(name).is_some(), "{name}");
    }
}

#[test]
fn missing_entity_can_be_deleted_but_not_bound_or_purged() {
    let fixture = BrokerFixture::with_queue(&Queue::new("q"));
    for binding in [
        Binding::queue("missing", "missing", "k"),
        Binding::queue("amq.direct", "missing", "k"),
        Binding::queue("amq.direct", "q", "k"),
        Binding::exchange("amq.direct", "missing", "k"),
    ] {
        assert_eq!(fixture.delete(Delete::Binding(&binding)), "ok");
    }
    assert_eq!(
        fixture.delete(Delete::Queue { name: "missing", condition: DeleteIf::UNUSED_AND_EMPTY }),
        "ok"
    );
    assert_eq!(
        fixture.delete(Delete::Exchange { name: "missing", condition: DeleteIf::UNUSED }),
        "ok"
    );
    assert_eq!(fixture.delete(Delete::Messages { queue: "missing" }), "not found");
    assert_eq!(
        fixture.declare(Declare::Binding(&Binding::queue("amq.direct", "missing", "k"))),
        "not found"
    );
    assert_eq!(
        fixture.declare(Declare::Binding(&Binding::queue("missing", "q", "k"))),
        "not found"
    );
    assert_eq!(
        fixture.declare(Declare::Binding(&Binding::exchange("amq.direct", "missing", "k"))),
        "not found"
    );
    assert_eq!(
        kind(fixture.open().consume("missing", &ConsumeOptions::default(), SOON)),
        "not found"
    );
}

#[test]
fn deletion_with_unmet_condition_is_refused() {
    let fixture = BrokerFixture::with_queue(&Queue::new("q"));
    fixture.send("", "q", "m");
    assert_eq!(
        fixture.delete(Delete::Queue { name: "q", condition: DeleteIf::EMPTY }),
        "precondition"
    );
    let held = fixture.get("q");
    let subscription = fixture.consume("q", &ConsumeOptions::default());
    assert_eq!(
        fixture.delete(Delete::Queue { name: "q", condition: DeleteIf::UNUSED }),
        "precondition"
    );
    subscription.cancel(SOON).unwrap();
    let deleted = fixture
        .channel
        .delete(Delete::Queue { name: "q", condition: DeleteIf::UNUSED_AND_EMPTY }, SOON)
        .unwrap();
    assert_eq!(deleted, Deleted::new(0));
    fixture.channel.ack(held.tag, carrot_core::backend::Extent::One).unwrap();

    fixture.exchange(&Exchange::fanout("source"));
    fixture.exchange(&Exchange::fanout("destination"));
    fixture.bind(&Binding::exchange("source", "destination", ""));
    assert_eq!(
        fixture.delete(Delete::Exchange { name: "source", condition: DeleteIf::UNUSED }),
        "precondition"
    );
    assert_eq!(
        fixture.delete(Delete::Exchange { name: "destination", condition: DeleteIf::UNUSED }),
        "ok"
    );
    assert_eq!(fixture.broker.bindings("source"), []);
}

#[test]
fn queue_deletion_counts_ready_messages_and_removes_bindings() {
    let fixture = BrokerFixture::with_queue(&Queue::new("q"));
    fixture.bind(&Binding::queue("amq.topic", "q", "#"));
    for body in ["a", "b", "c"] {
        fixture.send("", "q", body);
    }
    fixture.get("q");
    let deleted = fixture
        .channel
        .delete(Delete::Queue { name: "q", condition: DeleteIf::ALWAYS }, SOON)
        .unwrap();
    assert_eq!(deleted.message_count, 2);
    fixture.queue(&Queue::new("q"));
    assert_eq!(fixture.send("amq.topic", "k", "lost"), returned());
}

#[test]
fn exclusive_queue_is_locked_and_deleted_with_its_connection() {
    let fixture = BrokerFixture::with_queue(&Queue::new("mine").exclusive());
    let locked = |result| assert_eq!(kind::<()>(result), "locked");
    let stranger = || fixture.stranger();
    locked(stranger().declare(Declare::Queue(&Queue::new("mine").exclusive()), SOON).map(drop));
    locked(stranger().declare(Declare::Queue(&Queue::existing("mine")), SOON).map(drop));
    locked(stranger().get("mine", Acknowledgement::Manual, SOON).map(drop));
    locked(stranger().consume("mine", &ConsumeOptions::default(), SOON).map(drop));
    locked(stranger().delete(Delete::Messages { queue: "mine" }, SOON).map(drop));
    locked(
        stranger()
            .delete(Delete::Queue { name: "mine", condition: DeleteIf::ALWAYS }, SOON)
            .map(drop),
    );
    locked(
        stranger()
            .declare(Declare::Binding(&Binding::queue("amq.direct", "mine", "k")), SOON)
            .map(drop),
    );
    send(&*stranger(), carrot_core::backend::Content::new("", "mine", "m")).unwrap();
    assert_eq!(
        fixture.open().get("mine", Acknowledgement::Automatic, SOON).unwrap().unwrap().content.body,
        b"m"
    );
    assert_eq!(fixture.declare(Declare::Queue(&Queue::new("mine").auto_delete())), "locked");
    assert_eq!(fixture.declare(Declare::Queue(&Queue::new("mine").exclusive().transient())), "ok");
    fixture.connector.close(SOON).unwrap();
    assert_eq!(fixture.broker.queue("mine"), None);
}

#[test]
fn auto_delete_queue_without_consumers_is_deleted() {
    let fixture = BrokerFixture::with_queue(&Queue::new("q").auto_delete());
    fixture.drain("q");
    let one = fixture.consume("q", &ConsumeOptions::default());
    let two = fixture.open().consume("q", &ConsumeOptions::default(), SOON).unwrap();
    one.cancel(SOON).unwrap();
    assert!(fixture.broker.queue("q").is_some());
    drop(two);
    assert!(fixture.broker.queue("q").is_none());
}

#[test]
fn auto_delete_exchanges_are_deleted_in_a_cascade() {
    let fixture = BrokerFixture::with_queue(&Queue::new("q"));
    fixture.exchange(&Exchange::fanout("one").auto_delete());
    fixture.exchange(&Exchange::fanout("two").auto_delete());
    fixture.bind(&Binding::exchange("one", "two", ""));
    fixture.bind(&Binding::queue("two", "q", ""));
    fixture.channel.delete(Delete::Queue { name: "q", condition: DeleteIf::ALWAYS }, SOON).unwrap();
    assert_eq!((fixture.broker.exchange("one"), fixture.broker.exchange("two")), (None, None));
}

#[test]
fn auto_delete_exchange_without_bindings_is_deleted() {
    let fixture = BrokerFixture::with_queue(&Queue::new("q"));
    fixture.exchange(&Exchange::topic("x").auto_delete());
    fixture.bind(&Binding::queue("x", "q", "a"));
    fixture.bind(&Binding::queue("x", "q", "b"));
    fixture.delete(Delete::Binding(&Binding::queue("x", "q", "a")));
    assert!(fixture.broker.exchange("x").is_some());
    fixture.delete(Delete::Binding(&Binding::queue("x", "q", "b")));
    assert!(fixture.broker.exchange("x").is_none());
}

#[test]
fn queue_unused_expires() {
    let fixture = BrokerFixture::with_queue(&Queue::new("q").expires(Duration::from_secs(10)));
    let second = Duration::from_secs(1);
    fixture.clock.advance(9 * second);
    fixture.queue(&Queue::existing("q"));
    fixture.clock.advance(9 * second);
    fixture.drain("q");
    fixture.clock.advance(9 * second);
    let subscription = fixture.consume("q", &ConsumeOptions::default());
    fixture.clock.advance(90 * second);
    subscription.cancel(SOON).unwrap();
    fixture.clock.advance(9 * second);
    assert!(fixture.broker.queue("q").is_some());
    fixture.send("", "q", "a message is no use");
    fixture.clock.advance(second);
    assert!(fixture.broker.queue("q").is_none());
}

#[test]
fn unknown_exchange_type_unregistered_closes_the_connection() {
    let fixture = BrokerFixture::imitating(RabbitMqRelease::V3_10);
    fixture.queue(&Queue::new("q"));
    let vendor = Exchange::new("x", ExchangeKind::from("x-vendor"));
    let other = fixture.open();
    assert_eq!(kind(fixture.channel.declare(Declare::Exchange(&vendor), SOON)), "hard error");
    assert_eq!(kind(other.get("q", Acknowledgement::Manual, SOON)), "disconnected");
    fixture.broker.register_exchange_type("x-vendor", ExchangeKind::Fanout).unwrap();
    assert_eq!(fixture.declare(Declare::Exchange(&vendor)), "ok");
    assert_eq!(fixture.declare(Declare::Binding(&Binding::queue("x", "q", ""))), "ok");
    send(&*fixture.open(), carrot_core::backend::Content::new("x", "any", "m")).unwrap();
    assert_eq!(fixture.ready("q"), ["m"]);
    assert_eq!(
        kind(fixture.broker.register_exchange_type("topic", ExchangeKind::Fanout)),
        "invalid"
    );
}

#[test]
fn invalid_arguments_are_refused() {
    let fixture = BrokerFixture::new();
    let valid: &[(&str, Value)] = &[
        ("x-expires", 315_360_000_000_i64.into()),
        ("x-message-ttl", 0.into()),
        ("x-message-ttl", 7_u8.into()),
        ("x-max-length", 0.into()),
        ("x-max-length", (1_i64 << 62).into()),
        ("x-max-priority", 0.into()),
        ("x-max-priority", 255.into()),
        ("x-overflow", "reject-publish-dlx".into()),
        ("x-queue-mode", "ignored".into()),
        ("x-queue-type", "classic".into()),
        ("x-queue-version", 2.into()),
        ("x-single-active-consumer", true.into()),
        ("x-anything", "at all".into()),
    ];
    let invalid: &[(&str, Value)] = &[
        ("x-expires", 0.into()),
        ("x-expires", (-1).into()),
        ("x-expires", "5".into()),
        ("x-expires", true.into()),
        ("x-expires", 5.0.into()),
        ("x-expires", 315_360_000_001_i64.into()),
        ("x-message-ttl", (-1).into()),
        ("x-message-ttl", 315_360_000_001_i64.into()),
        ("x-max-length", (-1).into()),
        ("x-max-length-bytes", (-1).into()),
        ("x-max-priority", 256.into()),
        ("x-max-priority", (-1).into()),
        ("x-dead-letter-exchange", 5.into()),
        ("x-dead-letter-routing-key", "k".into()),
        ("x-dead-letter-routing-key", 5.into()),
        ("x-overflow", "no".into()),
        ("x-overflow", 5.into()),
        ("x-queue-type", "no".into()),
        ("x-queue-type", "stream".into()),
        ("x-queue-version", 1.into()),
        ("x-queue-version", 3.into()),
        ("x-single-active-consumer", 1.into()),
        ("x-delivery-limit", 3.into()),
        ("x-max-age", "1D".into()),
    ];
    for (expected, table) in [("ok", valid), ("precondition", invalid)] {
        for (name, value) in table {
            assert_eq!(
                fixture.declare(Declare::Queue(&Queue::new("q").argument(*name, value.clone()))),
                expected,
                "{name} {value:?}"
            );
            fixture.delete(Delete::Queue { name: "q", condition: DeleteIf::ALWAYS });
        }
    }
    assert_eq!(
        fixture
            .declare(Declare::Exchange(&Exchange::direct("x").argument("alternate-exchange", 5))),
        "precondition"
    );
    fixture.queue(&Queue::new("q"));
    for value in [Value::from("some"), Value::from(5)] {
        let binding = Binding::queue("amq.headers", "q", "").argument("x-match", value);
        assert_eq!(fixture.declare(Declare::Binding(&binding)), "precondition");
    }
    assert_eq!(
        kind(fixture.open().consume(
            "q",
            &ConsumeOptions::default().argument("x-priority", "high"),
            SOON
        )),
        "precondition"
    );
}

#[test]
fn name_over_255_bytes_is_refused_without_effect() {
    let fixture = BrokerFixture::with_queue(&Queue::new("q"));
    assert_eq!(
        kind(fixture.channel.declare(Declare::Queue(&Queue::new("q".repeat(300))), SOON)),
        "invalid"
    );
    assert_eq!(
        kind(fixture.channel.get(&"q".repeat(300), Acknowledgement::Manual, SOON)),
        "invalid"
    );
    fixture.drain("q");
}
