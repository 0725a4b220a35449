use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use carrot_core::backend::{
    Content, Declare, Delete, DeleteIf, DeliveryTag, Event, Extent, Rejection,
};
use carrot_core::{Error, Overflow, Properties, Queue, RabbitMqRelease, Value};

use crate::broker::Broker;
use crate::session::{ConsumeSettings, SessionSettings};
use crate::tests::peer::Peer;

const ALL: DeliveryTag = DeliveryTag(0);

#[test]
fn consumers_of_a_channel_receive_in_the_order_of_their_tags() {
    let peer = Peer::with_queues(&["a", "b"]);
    peer.publish("a", "1");
    peer.consume("a", "one");
    peer.consume("b", "two");
    peer.publish("b", "2");
    peer.publish("a", "3");
    let expected = ["one consumes", "one 1 1", "two consumes", "two 2 2", "one 3 3"];
    assert_eq!(peer.events.take(), expected);
}

#[test]
fn channel_prefetch_limits_all_consumers_together() {
    let peer = Peer::of_3_10(&["a", "b"]);
    peer.channel.set_channel_prefetch(2);
    peer.consume("a", "one");
    peer.consume("b", "two");
    for (queue, body) in [("a", "1"), ("b", "2"), ("a", "3"), ("b", "4")] {
        peer.publish(queue, body);
    }
    let expected = ["one consumes", "two consumes", "one 1 1", "two 2 2"];
    assert_eq!(peer.events.take(), expected);
    // The acknowledgement of one queue makes room for a consumer of the other.
    peer.channel.ack(DeliveryTag(1), Extent::One).unwrap();
    peer.channel.ack(DeliveryTag(2), Extent::One).unwrap();
    assert_eq!(peer.events.take(), ["one 3 3", "two 4 4"]);
    peer.publish("a", "5");
    peer.channel.set_channel_prefetch(0);
    assert_eq!(peer.events.take(), ["one 5 5"]);
}

#[test]
fn prefetch_of_consumers_ends_that_of_the_channel() {
    let peer = Peer::of_3_10(&["a", "b"]);
    for queue in ["a", "b"] {
        (0..3).for_each(|_| peer.publish(queue, "m"));
    }
    peer.channel.set_channel_prefetch(1);
    peer.consume("a", "one");
    assert_eq!(peer.events.take(), ["one consumes", "one 1 m"]);
    peer.channel.set_consumer_prefetch(2);
    assert_eq!(peer.events.take(), ["one 2 m", "one 3 m"]);
    peer.consume("b", "two");
    assert_eq!(peer.events.take(), ["two consumes", "two 4 m", "two 5 m"]);
}

#[test]
fn channel_prefetch_of_4_3_is_one_of_each_later_consumer() {
    let peer = Peer::of(&Broker::builder().imitate(RabbitMqRelease::V4_3).build());
    for queue in [Queue::new("a"), Queue::new("b").quorum()] {
        peer.declare(&queue);
        (0..3).for_each(|_| peer.publish(&queue.name, "m"));
    }
    peer.channel.set_channel_prefetch(1);
    peer.consume("a", "one");
    peer.channel.set_channel_prefetch(2);
    peer.consume("b", "two");
    let expected = ["one consumes", "one 1 m", "two consumes", "two 2 m", "two 3 m"];
    assert_eq!(peer.events.take(), expected);
}

#[test]
fn channel_prefetch_does_not_limit_quorum_queues() {
    let peer = Peer::of_3_10(&[]);
    for name in ["a", "b"] {
        peer.declare(&Queue::new(name).quorum());
    }
    peer.consume("a", "one");
    peer.channel.set_channel_prefetch(1);
    (0..2).for_each(|_| peer.publish("a", "m"));
    assert_eq!(peer.events.take(), ["one consumes", "one 1 m", "one 2 m"]);
    let refused = peer.channel.consume("b", "two", ConsumeSettings::default());
    assert!(matches!(refused, Err(Error::HardError { code: 540, .. })), "{refused:?}");
}

#[test]
fn channel_prefetch_lets_another_queue_use_the_room() {
    let peer = Peer::of_3_10(&["a", "b"]);
    peer.channel.set_channel_prefetch(1);
    peer.consume("a", "one");
    peer.consume("b", "two");
    peer.publish("a", "1");
    peer.publish("b", "2");
    peer.events.take();
    peer.channel.ack(DeliveryTag(1), Extent::One).unwrap();
    assert_eq!(peer.events.take(), ["two 2 2"]);
}

#[test]
fn channel_prefetch_gives_every_queue_its_turn() {
    let names = ["a", "b", "c"];
    let peer = Peer::of_3_10(&names);
    peer.channel.set_channel_prefetch(1);
    for name in names {
        peer.consume(name, name);
    }
    for name in names.repeat(3) {
        peer.publish(name, "x");
    }
    for _ in 0..8 {
        peer.channel.ack(ALL, Extent::UpTo).unwrap();
    }
    let events = peer.events.take();
    let first: Vec<&str> = events
        .iter()
        .filter(|event| event.ends_with(" x"))
        .take(6)
        .map(|event| &event[..1])
        .collect();
    for name in names {
        let turns = first.iter().filter(|delivered| **delivered == name).count();
        assert!((1..=3).contains(&turns), "{name}: {turns} of {first:?}");
    }
}

#[test]
fn channel_prefetch_that_is_full_stops_automatic_consumers() {
    let peer = Peer::of_3_10(&["a", "b"]);
    peer.channel.set_channel_prefetch(1);
    peer.publish("a", "1");
    peer.consume("a", "one");
    peer.channel.consume("b", "two", ConsumeSettings::default().with_no_ack(true)).unwrap();
    peer.publish("b", "2");
    assert_eq!(peer.events.take(), ["one consumes", "one 1 1", "two consumes"]);
    peer.channel.ack(DeliveryTag(1), Extent::One).unwrap();
    assert_eq!(peer.events.take(), ["two 2 2"]);
}

#[test]
fn channel_prefetch_counts_neither_fetched_messages_nor_automatic_consumers() {
    let peer = Peer::of_3_10(&["a", "b"]);
    peer.channel.set_channel_prefetch(1);
    peer.publish("a", "1");
    assert!(peer.channel.get("a", false).unwrap());
    peer.channel.consume("b", "two", ConsumeSettings::default().with_no_ack(true)).unwrap();
    peer.publish("b", "2");
    peer.consume("a", "one");
    peer.publish("a", "3");
    let expected = ["got 1 1, 0 left", "two consumes", "two 2 2", "one consumes", "one 3 3"];
    assert_eq!(peer.events.take(), expected);
}

#[test]
fn consumer_prefetch_applies_to_later_consumers() {
    let peer = Peer::with_queues(&["a"]);
    peer.channel.set_consumer_prefetch(1);
    peer.consume("a", "one");
    peer.publish("a", "1");
    peer.publish("a", "2");
    assert_eq!(peer.events.take(), ["one consumes", "one 1 1"]);
    assert_eq!(peer.ready("a"), 1);
}

#[test]
fn peer_without_room_receives_the_rest_after_resume() {
    let peer = Peer::with_queues(&["a"]);
    peer.channel.consume("a", "one", ConsumeSettings::default().with_no_ack(true)).unwrap();
    peer.events.is_full.store(true, Ordering::SeqCst);
    peer.publish("a", "1");
    peer.publish("a", "2");
    assert_eq!(peer.events.take(), ["one consumes"]);
    let other = Peer::of(&peer.broker);
    other.consume("a", "other");
    assert_eq!(other.events.take(), ["other consumes", "other 1 1", "other 2 2"]);
    other.channel.cancel(b"other").unwrap();
    peer.publish("a", "3");
    peer.session.resume();
    assert_eq!(peer.events.take(), [""; 0]);
    peer.events.is_full.store(false, Ordering::SeqCst);
    peer.session.resume();
    assert_eq!(peer.events.take(), ["one 1 3"]);
}

#[test]
fn returned_message_has_no_blind_copies() {
    let peer = Peer::new();
    let keys = Value::Array(vec!["nowhere".into()]);
    let properties = Properties::new().with_header("BCC", keys);
    let content = Content::new("", "q", "back").with_properties(properties);
    peer.channel.publish(content, true).unwrap();
    assert_eq!(peer.events.take(), ["returned back"]);
}

#[test]
fn unroutable_message_is_returned_without_confirms() {
    let peer = Peer::new();
    peer.channel.publish(Content::new("", "nowhere", "lost"), false).unwrap();
    peer.channel.publish(Content::new("", "nowhere", "back"), true).unwrap();
    assert_eq!(peer.events.take(), ["returned back"]);
    peer.channel.select_confirms().unwrap();
    peer.channel.publish(Content::new("", "nowhere", "again"), true).unwrap();
    assert_eq!(peer.events.take(), ["returned again", "ack 1"]);
}

#[test]
fn full_queue_refuses_the_confirm() {
    let peer = Peer::new();
    peer.declare(&Queue::new("full").max_length(0).overflow(Overflow::RejectPublish));
    peer.channel.select_confirms().unwrap();
    peer.publish("full", "1");
    assert_eq!(peer.events.take(), ["nack 1"]);
}

#[test]
fn confirms_after_a_lost_one_stand_alone() {
    let peer = Peer::with_queues(&["a"]);
    peer.channel.select_confirms().unwrap();
    peer.publish("a", "1");
    peer.broker.faults().lose_confirms(1);
    peer.publish("a", "2");
    peer.publish("a", "3");
    assert_eq!(peer.events.take(), ["ack 1", "ack 3 alone"]);
}

#[test]
fn recover_redelivers_all_unacknowledged_messages() {
    let peer = Peer::with_queues(&["a", "b"]);
    peer.consume("a", "one");
    peer.publish("a", "1");
    peer.publish("b", "2");
    assert!(peer.channel.get("b", false).unwrap());
    peer.events.take();
    peer.channel.recover().unwrap();
    assert_eq!(peer.events.take(), ["one 3 1 again"]);
    assert_eq!(peer.ready("b"), 1);
}

#[test]
fn consumer_tag_is_used_once_until_the_consumer_ends() {
    let peer = Peer::with_queues(&["a"]);
    peer.consume("a", "one");
    let again = peer.channel.consume("a", "one", ConsumeSettings::default());
    assert!(matches!(again, Err(Error::HardError { code: 530, .. })));
    assert!(peer.channel.cancel(b"one").unwrap());
    assert!(!peer.channel.cancel(b"one").unwrap());
    peer.consume("a", "one");
    peer.channel.consume("a", "", ConsumeSettings::default()).unwrap();
    let generated = peer.events.take().pop().unwrap();
    assert!(generated.starts_with("amq.ctag-"), "{generated}");
}

#[test]
fn deleted_queue_cancels_its_consumers_and_frees_their_tags() {
    let peer = Peer::with_queues(&["a"]);
    peer.consume("a", "one");
    let name = "a";
    peer.channel.delete(Delete::Queue { name, condition: DeleteIf::ALWAYS }).unwrap();
    assert_eq!(peer.events.take(), ["one consumes", "one cancelled"]);
    peer.declare(&Queue::new("a"));
    peer.consume("a", "one");
}

#[test]
fn direct_replies_reach_the_channel() {
    let peer = Peer::with_queues(&["requests"]);
    let replies = "amq.rabbitmq.reply-to";
    peer.channel.consume(replies, "r", ConsumeSettings::default().with_no_ack(true)).unwrap();
    let request = Content::new("", "requests", "?")
        .with_properties(carrot_core::Properties::new().with_reply_to(replies));
    peer.channel.publish(request, false).unwrap();
    let asked = peer.broker.queue("requests").unwrap().ready;
    let address = asked[0].properties.reply_to().unwrap().to_string();
    peer.publish(&address, "!");
    assert_eq!(peer.events.take(), ["r consumes", "r 1 !"]);
    assert!(peer.channel.cancel(b"r").unwrap());
    peer.publish(&address, "late");
    assert_eq!(peer.events.take(), [""; 0]);
}

#[test]
fn unknown_tag_closes_the_channel_and_requeues() {
    let peer = Peer::with_queues(&["a"]);
    peer.publish("a", "1");
    assert!(peer.channel.get("a", false).unwrap());
    let refused = peer.channel.reject(DeliveryTag(9), Rejection::Discard, Extent::One);
    assert!(matches!(refused, Err(Error::PreconditionFailed { .. })));
    assert_eq!(peer.ready("a"), 1);
    assert!(peer.channel.ack(ALL, Extent::UpTo).is_err());
}

#[test]
fn message_to_an_unknown_exchange_fails_the_channel_as_an_event() {
    let peer = Peer::new();
    peer.channel.publish(Content::new("nowhere", "", "1"), false).unwrap();
    let events = peer.events.take();
    assert!(events[0].contains("NOT_FOUND - no exchange 'nowhere'"), "{events:?}");
    assert!(peer.channel.publish(Content::new("", "", "2"), false).is_err());
}

#[test]
fn closed_session_requeues_and_deletes_exclusive_queues() {
    let peer = Peer::with_queues(&["a"]);
    peer.declare(&Queue::new("mine").exclusive());
    peer.publish("a", "1");
    peer.consume("a", "one");
    peer.session.close();
    assert_eq!(peer.ready("a"), 1);
    assert!(peer.broker.queue("mine").is_none());
    assert!(!peer.session.is_open());
}

#[test]
fn deliveries_of_a_peer_that_ends_count_towards_the_delivery_limit() {
    type End = fn(Peer);
    let ways: [(&str, End); 3] = [
        ("dropped", |peer| drop(peer.channel)),
        ("closed", |peer| peer.channel.close()),
        ("session closed", |peer| peer.session.close()),
    ];
    for (name, end) in ways {
        let peer = Peer::new();
        peer.declare(&Queue::new("q").quorum().delivery_limit(0));
        peer.publish("q", "poison");
        peer.consume("q", "t");
        let broker = peer.broker.clone();
        assert_eq!(peer.events.take().len(), 2);
        end(peer);
        assert_eq!(broker.queue("q").unwrap().ready.len(), 0, "{name}");
    }
}

#[test]
fn cut_session_reports_the_loss() {
    let broker = Broker::new();
    let lost = Arc::new(AtomicBool::new(false));
    let noted = Arc::clone(&lost);
    let session =
        broker.open_session(&SessionSettings::new("guest").with_name("cut"), move |event| {
            noted.fetch_or(matches!(event, Event::Disconnected { .. }), Ordering::SeqCst);
        });
    broker.faults().drop_connections_named("cut").unwrap();
    assert!(lost.load(Ordering::SeqCst));
    assert!(!session.is_open());
}

#[test]
fn blocked_session_waits_until_its_messages_are_read() {
    let peer = Peer::with_queues(&["a"]);
    peer.channel.select_confirms().unwrap();
    peer.broker.faults().block_publishers("low on memory");
    peer.publish("a", "1");
    assert_eq!((peer.events.take(), peer.ready("a")), (Vec::new(), 0));
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| peer.session.wait_until_read());
        peer.broker.faults().unblock_publishers();
        waiting.join().unwrap();
    });
    assert_eq!((peer.events.take(), peer.ready("a")), (vec!["ack 1".to_string()], 1));
}

#[test]
fn deliveries_are_settled_in_one_step_with_their_tags() {
    let peer = Peer::with_queues(&["a"]);
    (1..=4).for_each(|number| peer.publish("a", &number.to_string()));
    peer.consume("a", "one");
    peer.events.take();
    peer.channel.ack_all([DeliveryTag(1), DeliveryTag(3)]).unwrap();
    // Both are back before the first of them is delivered again.
    peer.channel.reject_all([DeliveryTag(2), DeliveryTag(4)], Rejection::Requeue).unwrap();
    assert_eq!(peer.events.take(), ["one 5 2 again", "one 6 4 again"]);
    let unknown = peer.channel.ack_all([DeliveryTag(5), DeliveryTag(9)]);
    assert!(matches!(unknown, Err(Error::PreconditionFailed { .. })), "{unknown:?}");
    // The deliveries before the unknown one are acknowledged.
    assert_eq!(peer.ready("a"), 1);
}

#[test]
fn dropped_consumer_requeues_what_its_program_has_not_seen() {
    let peer = Peer::with_queues(&["a", "b"]);
    (1..=4).for_each(|number| peer.publish("a", &number.to_string()));
    peer.publish("b", "other");
    peer.consume("a", "one");
    peer.consume("b", "two");
    peer.channel.ack(DeliveryTag(1), Extent::One).unwrap();
    peer.events.take();
    assert!(peer.channel.drop_consumer(b"one", |tag| tag == DeliveryTag(3)).unwrap());
    assert!(!peer.channel.drop_consumer(b"one", |_| false).unwrap());
    assert_eq!((peer.ready("a"), peer.ready("b")), (2, 0));
    assert_eq!(peer.events.take(), [""; 0]);
    peer.channel.ack(DeliveryTag(3), Extent::One).unwrap();
    peer.channel.ack(DeliveryTag(5), Extent::One).unwrap();
}

#[test]
fn channel_that_is_given_back_counts_no_failed_delivery() {
    for (gives_back, expected) in [(true, 1), (false, 0)] {
        let broker = Broker::new();
        let peer = Peer::of(&broker);
        peer.declare(
            &Queue::new("q").argument("x-queue-type", "quorum").argument("x-delivery-limit", 0),
        );
        peer.publish("q", "1");
        peer.consume("q", "one");
        if gives_back {
            peer.channel.give_back();
        } else {
            peer.session.close();
        }
        assert_eq!(peer.ready("q"), expected, "gives back: {gives_back}");
    }
}

#[test]
fn binding_is_found_without_a_change() {
    let peer = Peer::with_queues(&["a"]);
    let binding = carrot_core::Binding::queue("amq.topic", "a", "k.#");
    assert!(!peer.channel.has_binding(&binding).unwrap());
    peer.channel.declare(Declare::Binding(&binding)).unwrap();
    assert!(peer.channel.has_binding(&binding).unwrap());
}

#[test]
fn message_that_no_protocol_carries_is_refused_and_leaves_the_channel_open() {
    let peer = Peer::with_queues(&["q"]);
    let content = |properties| Content::new("", "q", "m").with_properties(properties);
    let nested = (0..40).fold(Value::from(1), |inner, _| Value::Array(vec![inner]));
    for (field, content) in [
        ("message-id", content(Properties::new().with_message_id("i".repeat(256)))),
        ("headers", content(Properties::new().with_header("large", "x".repeat(200_000)))),
        ("headers.deep", content(Properties::new().with_header("deep", nested))),
        ("routing key", Content::new("amq.fanout", "k".repeat(256), "m")),
    ] {
        let refused = peer.channel.publish(content, false);
        let Err(Error::Invalid { field: named, .. }) = &refused else { panic!("{refused:?}") };
        assert!(named.starts_with(field.split('.').next().unwrap_or(field)), "{field}: {named}");
    }
    peer.publish("q", "fine");
    assert!(peer.channel.get("q", true).unwrap());
}

#[test]
fn routing_key_of_dead_letters_that_no_protocol_carries_is_refused() {
    let peer = Peer::with_queues(&[]);
    let queue = Queue::new("q")
        .argument("x-dead-letter-exchange", "amq.fanout")
        .dead_letter_routing_key("k".repeat(256));
    let refused = peer.channel.declare(Declare::Queue(&queue));
    let Err(Error::PreconditionFailed { reason }) = &refused else { panic!("{refused:?}") };
    assert!(reason.contains("x-dead-letter-routing-key"), "{reason}");
    assert!(reason.contains("256 bytes"), "{reason}");
}

#[test]
fn dead_letter_whose_properties_no_client_reads_is_dropped() {
    let peer = Peer::with_queues(&["dead"]);
    let dying = Queue::new("q").dead_letter_exchange("").dead_letter_routing_key("dead");
    peer.channel.declare(Declare::Queue(&dying)).unwrap();
    for bytes in [9 << 20, 7 << 20] {
        let properties = Properties::new().with_header("large", "x".repeat(bytes));
        let content = Content::new("", "q", "m").with_properties(properties);
        peer.channel.publish_as_read(content, false).unwrap();
        assert!(peer.channel.get("q", false).unwrap());
        peer.channel.reject(ALL, Rejection::Discard, Extent::UpTo).unwrap();
    }
    assert!(peer.channel.get("dead", true).unwrap());
    assert!(!peer.channel.get("dead", true).unwrap());
}
