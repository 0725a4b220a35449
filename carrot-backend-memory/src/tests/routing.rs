use carrot_core::backend::{Content, Delete, DeleteIf, Outcome};
use carrot_core::{Binding, Exchange, ExchangeKind, Headers, Properties, Queue, Value};

use crate::tests::{BrokerFixture, SOON, returned, send};

fn bound(kind: ExchangeKind, bindings: &[(&str, &str)]) -> BrokerFixture {
    let fixture = BrokerFixture::new();
    fixture.exchange(&Exchange::new("x", kind));
    for (queue, key) in bindings {
        fixture.queue(&Queue::new(*queue));
        fixture.bind(&Binding::queue("x", *queue, *key));
    }
    fixture
}

#[test]
fn direct_exchange_compares_the_whole_key() {
    let fixture = bound(ExchangeKind::Direct, &[("q1", "baz"), ("q1", ""), ("q2", "baz")]);
    fixture.send("x", "", "empty");
    fixture.send("x", "baz", "baz");
    assert_eq!(fixture.send("x", "ba", "lost"), returned());
    assert_eq!(fixture.drain("q1"), ["empty", "baz"]);
    assert_eq!(fixture.drain("q2"), ["baz"]);
}

#[test]
fn fanout_exchange_reaches_every_queue_once() {
    let fixture = bound(ExchangeKind::Fanout, &[("q1", "a"), ("q1", "b"), ("q2", "")]);
    fixture.send("x", "whatever", "m");
    assert_eq!((fixture.drain("q1"), fixture.drain("q2")), (vec!["m".into()], vec!["m".into()]));
}

#[test]
fn topic_exchange_matches_words() {
    let fixture = bound(ExchangeKind::Topic, &[("q", "*.stock.#")]);
    for key in ["usd.stock", "eur.stock.db", "stock.nasdaq", "stock", "a.b.stock"] {
        fixture.send("x", key, key);
    }
    assert_eq!(fixture.drain("q"), ["usd.stock", "eur.stock.db"]);
}

#[test]
fn two_matching_patterns_of_one_queue_deliver_once() {
    let fixture = bound(ExchangeKind::Topic, &[("q", "x.#"), ("q", "#.x")]);
    fixture.send("x", "x.x", "m");
    assert_eq!(fixture.drain("q"), ["m"]);
}

#[test]
fn headers_exchange_compares_numbers_by_value() {
    type RoutingRow<'a> = (&'a [(&'a str, Value)], &'a [usize]);
    let table: &[RoutingRow<'_>] = &[
        (&[], &[0, 1, 2, 3, 4, 5, 6]),
        (&[("x-match", "any".into())], &[]),
        (&[("x-match", "any".into()), ("a", Value::Void)], &[2, 3, 4, 6]),
        (&[("x-match", "all".into()), ("a", 1.into())], &[2, 3]),
        (&[("x-match", "all".into()), ("x-a", 1.into())], &[0, 1, 2, 3, 4, 5, 6]),
        (&[("x-match", "any".into()), ("x-a", 1.into())], &[]),
        (&[("x-match", "all-with-x".into()), ("x-a", 1.into())], &[5]),
        (&[("x-match", "any-with-x".into())], &[]),
        (&[("x-match", "any-with-x".into()), ("x-a", Value::Void)], &[5]),
    ];
    let headers: [Option<Headers>; 7] = [
        None,
        Some(Headers::new()),
        Some([("a", 1)].into()),
        Some([("a", 1_i64)].into()),
        Some([("a", "1")].into()),
        Some([("x-a", 1)].into()),
        Some([("a", Value::Void)].into()),
    ];
    let fixture = BrokerFixture::new();
    for (arguments, expected) in table {
        fixture.queue(&Queue::new("q"));
        let mut binding = Binding::queue("amq.headers", "q", "");
        for (name, value) in *arguments {
            binding = binding.argument(*name, value.clone());
        }
        fixture.bind(&binding);
        for (number, headers) in headers.iter().enumerate() {
            let properties = headers
                .clone()
                .map_or(Properties::new(), |headers| Properties::new().with_headers(headers));
            fixture.send_with("amq.headers", "", &number.to_string(), properties);
        }
        let expected: Vec<String> = expected.iter().map(usize::to_string).collect();
        assert_eq!(fixture.drain("q"), expected, "{arguments:?}");
        fixture.channel.delete(carrot_core::backend::Delete::Binding(&binding), SOON).unwrap();
    }
}

#[test]
fn exchanges_bound_in_a_cycle_route_once() {
    let fixture = BrokerFixture::with_queue(&Queue::new("q"));
    for name in ["a", "b", "c"] {
        fixture.exchange(&Exchange::fanout(name));
    }
    for (source, destination) in [("a", "b"), ("b", "c"), ("c", "a"), ("a", "a")] {
        fixture.bind(&Binding::exchange(source, destination, ""));
    }
    assert_eq!(fixture.send("a", "", "lost"), returned());
    fixture.bind(&Binding::queue("c", "q", ""));
    fixture.bind(&Binding::queue("a", "q", ""));
    assert_eq!(fixture.send("b", "", "m"), Outcome::Accepted);
    assert_eq!(fixture.drain("q"), ["m"]);
}

#[test]
fn alternate_exchange_receives_unroutable_messages() {
    let fixture = BrokerFixture::new();
    fixture.exchange(&Exchange::direct("main").alternate_exchange("second"));
    fixture.exchange(&Exchange::direct("second").alternate_exchange("third"));
    fixture.exchange(&Exchange::fanout("third").alternate_exchange("main"));
    fixture.queue(&Queue::new("q"));
    assert_eq!(fixture.send("main", "k", "lost"), returned());
    fixture.bind(&Binding::queue("third", "q", ""));
    fixture.send("main", "k", "m");
    assert_eq!(fixture.drain("q"), ["m"]);
}

#[test]
fn alternate_exchange_of_matching_binding_is_not_used() {
    let fixture = BrokerFixture::with_queue(&Queue::new("q"));
    fixture.exchange(&Exchange::fanout("nothing"));
    fixture.exchange(&Exchange::direct("main").alternate_exchange("amq.fanout"));
    fixture.bind(&Binding::queue("amq.fanout", "q", ""));
    fixture.bind(&Binding::exchange("main", "nothing", "k"));
    assert_eq!(fixture.send("main", "k", "lost"), returned());
    assert_eq!(fixture.send("main", "other", "m"), Outcome::Accepted);
    assert_eq!(fixture.drain("q"), ["m"]);
}

#[test]
fn default_exchange_as_alternate_is_ignored() {
    let fixture = BrokerFixture::with_queue(&Queue::new("q"));
    fixture.exchange(&Exchange::direct("x").alternate_exchange(""));
    assert_eq!(fixture.send("x", "q", "lost"), returned());
}

#[test]
fn cc_and_bcc_are_routing_keys_and_bcc_is_hidden() {
    let fixture = BrokerFixture::new();
    for queue in ["to", "cc", "bcc"] {
        fixture.queue(&Queue::new(queue));
    }
    let list = |key: &str| Value::from(vec![Value::from(key), Value::from(5)]);
    let properties =
        Properties::new().with_header("CC", list("cc")).with_header("BCC", list("bcc"));
    fixture.send_with("", "to", "m", properties);
    for queue in ["to", "cc", "bcc"] {
        let content = &fixture.get(queue).content;
        assert_eq!(&*content.routing_key, "to");
        assert!(
            content.properties.header("CC").is_some() && content.properties.header("BCC").is_none()
        );
    }
}

#[test]
fn message_in_several_queues_shares_its_content() {
    let fixture = bound(ExchangeKind::Fanout, &[("q1", ""), ("q2", "")]);
    fixture.send("x", "", "m");
    assert!(std::sync::Arc::ptr_eq(&fixture.get("q1").content, &fixture.get("q2").content));
}

#[test]
fn message_after_topology_change_takes_the_new_route() {
    let fixture = BrokerFixture::with_queue(&Queue::new("q"));
    let publish = |exchange: &str, key: &str| {
        send(&*fixture.channel, Content::new(exchange, key, "m")).unwrap()
    };
    assert_eq!(publish("", "q"), Outcome::Accepted);
    assert_eq!(publish("", "other"), returned());
    assert_eq!(publish("amq.direct", "q"), returned());
    fixture.bind(&Binding::queue("amq.direct", "q", "q"));
    assert_eq!(publish("amq.direct", "q"), Outcome::Accepted);
    fixture
        .stranger()
        .delete(Delete::Queue { name: "q", condition: DeleteIf::ALWAYS }, SOON)
        .unwrap();
    assert_eq!(publish("amq.direct", "q"), returned());
    fixture.queue(&Queue::new("q"));
    assert_eq!(publish("amq.direct", "q"), returned());
    assert_eq!(publish("", "q"), Outcome::Accepted);
    assert_eq!(fixture.ready("q").len(), 1);
}
