//! Bindings: sources, destinations, equality, and chains of exchanges.

use crate::support::*;

pub(crate) fn binding_twice_creates_one_binding(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let exchange = fixture.direct_exchange();
    let queue = fixture.bound_queue(&exchange, "key");
    fixture.bind(&exchange, &queue, "key");
    fixture.channel.send(&exchange, "key", "once");
    fixture.channel.expect_messages(&queue, ["once"]);
    fixture.channel.unbind(&Binding::queue(&exchange, &queue, "key"));
    fixture.channel.send(&exchange, "key", "not at all");
    fixture.channel.expect_empty(&queue);
}

pub(crate) fn a_binding_with_other_arguments_is_another_binding(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let exchange = fixture.direct_exchange();
    let queue = fixture.bound_queue(&exchange, "key");
    fixture.bind_as(&Binding::queue(&exchange, &queue, "key").argument("note", "mine"));
    fixture.channel.send(&exchange, "key", "one copy");
    fixture.channel.expect_messages(&queue, ["one copy"]);
    fixture.channel.unbind(&Binding::queue(&exchange, &queue, "key"));
    fixture.channel.send(&exchange, "key", "still bound");
    fixture.channel.expect_messages(&queue, ["still bound"]);
}

pub(crate) fn an_unbound_queue_receives_no_more_messages(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let exchange = fixture.fanout_exchange();
    let queue = fixture.bound_queue(&exchange, "");
    fixture.channel.send(&exchange, "", "before");
    fixture.channel.unbind(&Binding::queue(&exchange, &queue, ""));
    fixture.channel.send(&exchange, "", "after");
    fixture.channel.expect_messages(&queue, ["before"]);
}

pub(crate) fn unbinding_one_key_keeps_the_others(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let exchange = fixture.direct_exchange();
    let queue = fixture.bound_queue(&exchange, "stays");
    fixture.bind(&exchange, &queue, "goes");
    fixture.channel.unbind(&Binding::queue(&exchange, &queue, "goes"));
    fixture.channel.send(&exchange, "goes", "a");
    fixture.channel.send(&exchange, "stays", "b");
    fixture.channel.expect_messages(&queue, ["b"]);
}

pub(crate) fn unbinding_without_a_binding_succeeds(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let (exchange, queue) = (fixture.direct_exchange(), fixture.queue());
    fixture.channel.unbind(&Binding::queue(&exchange, &queue, "never bound"));
    fixture.channel.round_trip(&queue);
}

pub(crate) fn unbinding_missing_entities_succeeds(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let (exchange, queue) = (fixture.direct_exchange(), fixture.queue());
    fixture.channel.unbind(&Binding::queue(&exchange, fixture.queue_name(), "key"));
    fixture.channel.unbind(&Binding::queue(fixture.exchange_name(), &queue, "key"));
    fixture.channel.round_trip(&queue);
}

pub(crate) fn binding_a_missing_queue_is_not_found(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let exchange = fixture.direct_exchange();
    assert_error!(
        fixture.open().bind(&Binding::queue(&exchange, fixture.queue_name(), "key")),
        Error::NotFound { .. }
    );
}

pub(crate) fn binding_to_a_missing_exchange_is_not_found(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    assert_error!(
        fixture.open().bind(&Binding::queue(fixture.exchange_name(), &queue, "key")),
        Error::NotFound { .. }
    );
}

pub(crate) fn the_default_exchange_cannot_be_bound(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    assert_error!(
        fixture.open().bind(&Binding::queue("", &queue, "alias")),
        Error::AccessRefused { .. }
    );
}

pub(crate) fn the_default_exchange_cannot_be_unbound(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let binding = Binding::queue("", &queue, &queue);
    assert_error!(
        fixture.open().delete(Delete::Binding(&binding), DEADLINE),
        Error::AccessRefused { .. }
    );
    fixture.channel.enqueue(&queue, ["x"]);
    fixture.channel.expect_messages(&queue, ["x"]);
}

pub(crate) fn the_bindings_of_a_deleted_queue_are_gone(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let exchange = fixture.fanout_exchange();
    let queue = fixture.bound_queue(&exchange, "");
    fixture.channel.delete_queue(&queue, DeleteIf::ALWAYS).expect("delete");
    fixture.channel.declare_queue(&Queue::new(&queue)).expect("declare");
    fixture.channel.send(&exchange, "", "x");
    fixture.channel.expect_empty(&queue);
}

pub(crate) fn the_bindings_of_a_deleted_exchange_are_gone(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let exchange = fixture.fanout_exchange();
    let queue = fixture.bound_queue(&exchange, "");
    fixture.channel.delete_exchange(&exchange, DeleteIf::ALWAYS).expect("delete");
    fixture.channel.declare_exchange(&Exchange::fanout(&exchange)).expect("declare");
    fixture.channel.send(&exchange, "", "x");
    fixture.channel.expect_empty(&queue);
}

pub(crate) fn an_exchange_can_be_bound_to_another(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let (source, destination) = (fixture.direct_exchange(), fixture.fanout_exchange());
    let queue = fixture.bound_queue(&destination, "");
    fixture.bind_as(&Binding::exchange(&source, &destination, "key"));
    fixture.channel.send(&source, "key", "through");
    fixture.channel.send(&source, "other", "not through");
    fixture.channel.expect_messages(&queue, ["through"]);
}

pub(crate) fn a_message_through_exchanges_keeps_its_exchange_and_routing_key(
    harness: &dyn Harness,
) {
    let fixture = CaseFixture::new(harness);
    let (source, destination) = (fixture.fanout_exchange(), fixture.topic_exchange());
    let queue = fixture.bound_queue(&destination, "a.*");
    fixture.bind_as(&Binding::exchange(&source, &destination, ""));
    fixture.channel.send(&source, "a.b", "x");
    let delivery = fixture.channel.get_delivery(&queue);
    assert_eq!(
        (&*delivery.content.exchange, &*delivery.content.routing_key),
        (source.as_str(), "a.b")
    );
}

pub(crate) fn chained_exchanges_each_filter(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let (first, second, third) =
        (fixture.topic_exchange(), fixture.topic_exchange(), fixture.topic_exchange());
    fixture.bind_as(&Binding::exchange(&first, &second, "a.#"));
    fixture.bind_as(&Binding::exchange(&second, &third, "*.b.#"));
    let queue = fixture.bound_queue(&third, "#.c");
    for key in ["a.b.c", "a.b", "a.x.c", "x.b.c"] {
        fixture.channel.send(&first, key, key);
    }
    fixture.channel.expect_messages(&queue, ["a.b.c"]);
}

pub(crate) fn a_queue_reached_by_two_paths_receives_one_copy(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let (source, left, right) =
        (fixture.fanout_exchange(), fixture.fanout_exchange(), fixture.fanout_exchange());
    fixture.bind_as(&Binding::exchange(&source, &left, ""));
    fixture.bind_as(&Binding::exchange(&source, &right, ""));
    let queue = fixture.bound_queue(&left, "");
    fixture.bind(&right, &queue, "");
    fixture.channel.send(&source, "", "once");
    fixture.channel.expect_messages(&queue, ["once"]);
}

pub(crate) fn a_cycle_of_exchanges_delivers_once(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let (left, right) = (fixture.fanout_exchange(), fixture.fanout_exchange());
    fixture.bind_as(&Binding::exchange(&left, &right, ""));
    fixture.bind_as(&Binding::exchange(&right, &left, ""));
    let queue = fixture.bound_queue(&left, "");
    fixture.channel.send(&left, "", "a");
    fixture.channel.send(&right, "", "b");
    fixture.channel.expect_messages(&queue, ["a", "b"]);
}

pub(crate) fn an_exchange_can_be_bound_to_itself(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let exchange = fixture.fanout_exchange();
    fixture.bind_as(&Binding::exchange(&exchange, &exchange, ""));
    let queue = fixture.bound_queue(&exchange, "");
    fixture.channel.send(&exchange, "", "once");
    fixture.channel.expect_messages(&queue, ["once"]);
}

pub(crate) fn an_exchange_can_be_unbound_from_another(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let (source, destination) = (fixture.fanout_exchange(), fixture.fanout_exchange());
    let queue = fixture.bound_queue(&destination, "");
    let binding = Binding::exchange(&source, &destination, "");
    fixture.bind_as(&binding);
    fixture.channel.unbind(&binding);
    fixture.channel.send(&source, "", "x");
    fixture.channel.expect_empty(&queue);
}

pub(crate) fn binding_missing_exchanges_is_not_found(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let exchange = fixture.fanout_exchange();
    assert_error!(
        fixture.open().bind(&Binding::exchange(&exchange, fixture.exchange_name(), "")),
        Error::NotFound { .. }
    );
    assert_error!(
        fixture.open().bind(&Binding::exchange(fixture.exchange_name(), &exchange, "")),
        Error::NotFound { .. }
    );
}

pub(crate) fn the_default_exchange_cannot_be_bound_to_an_exchange(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let exchange = fixture.fanout_exchange();
    assert_error!(
        fixture.open().bind(&Binding::exchange("", &exchange, "")),
        Error::AccessRefused { .. }
    );
    assert_error!(
        fixture.open().bind(&Binding::exchange(&exchange, "", "")),
        Error::AccessRefused { .. }
    );
}

pub(crate) fn a_mandatory_message_through_exchanges_is_accepted(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let (source, destination) = (fixture.fanout_exchange(), fixture.fanout_exchange());
    fixture.bind_as(&Binding::exchange(&source, &destination, ""));
    let tag = fixture.channel.publish_mandatory(Content::new(&*source, "", "x"));
    assert!(
        matches!(fixture.channel.outcome(tag), Outcome::Returned { .. }),
        "no queue is bound yet"
    );
    fixture.bound_queue(&destination, "");
    let tag = fixture.channel.publish_mandatory(Content::new(&*source, "", "x"));
    assert_eq!(fixture.channel.outcome(tag), Outcome::Accepted);
}
