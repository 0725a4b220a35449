//! Direct and fanout exchanges.

use crate::support::*;

pub(crate) fn a_direct_exchange_routes_by_the_exact_key(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let exchange = fixture.direct_exchange();
    let queue = fixture.bound_queue(&exchange, "red");
    for key in ["red", "re", "red.", "RED", "", "red.green"] {
        fixture.channel.send(&exchange, key, key);
    }
    fixture.channel.expect_messages(&queue, ["red"]);
}

pub(crate) fn a_delivery_names_the_exchange_and_key_it_was_published_with(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let exchange = fixture.direct_exchange();
    let queue = fixture.bound_queue(&exchange, "red");
    fixture.channel.send(&exchange, "red", "x");
    let delivery = fixture.channel.get_delivery(&queue);
    assert_eq!(
        (&*delivery.content.exchange, &*delivery.content.routing_key),
        (exchange.as_str(), "red")
    );
}

pub(crate) fn a_direct_exchange_reaches_every_queue_bound_with_the_key(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let exchange = fixture.direct_exchange();
    let queues = [fixture.bound_queue(&exchange, "red"), fixture.bound_queue(&exchange, "red")];
    fixture.channel.send(&exchange, "red", "x");
    for queue in &queues {
        fixture.channel.expect_messages(queue, ["x"]);
    }
}

pub(crate) fn a_queue_can_be_bound_with_several_keys(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let exchange = fixture.direct_exchange();
    let queue = fixture.bound_queue(&exchange, "red");
    fixture.bind(&exchange, &queue, "green");
    fixture.channel.send(&exchange, "green", "g");
    fixture.channel.send(&exchange, "blue", "b");
    fixture.channel.send(&exchange, "red", "r");
    fixture.channel.expect_messages(&queue, ["g", "r"]);
}

pub(crate) fn the_empty_key_is_compared_as_any_key(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let exchange = fixture.direct_exchange();
    let both = fixture.bound_queue(&exchange, "baz");
    fixture.bind(&exchange, &both, "");
    let named = fixture.bound_queue(&exchange, "baz");
    fixture.channel.send(&exchange, "", "x");
    fixture.channel.expect_messages(&both, ["x"]);
    fixture.channel.expect_empty(&named);
}

pub(crate) fn a_fanout_exchange_ignores_the_routing_key(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let exchange = fixture.fanout_exchange();
    let queues = [fixture.bound_queue(&exchange, ""), fixture.bound_queue(&exchange, "ignored")];
    fixture.channel.send(&exchange, "something else", "x");
    for queue in &queues {
        fixture.channel.expect_messages(queue, ["x"]);
    }
}

pub(crate) fn a_fanout_exchange_sends_one_copy_to_a_queue_bound_twice(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let exchange = fixture.fanout_exchange();
    let queue = fixture.bound_queue(&exchange, "one");
    fixture.bind(&exchange, &queue, "two");
    fixture.channel.send(&exchange, "", "x");
    fixture.channel.expect_messages(&queue, ["x"]);
}

pub(crate) fn an_exchange_without_bindings_drops_the_message(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    for exchange in [fixture.direct_exchange(), fixture.fanout_exchange()] {
        fixture.channel.send(&exchange, "key", "x");
        let late = fixture.bound_queue(&exchange, "key");
        fixture.channel.expect_empty(&late);
    }
}

pub(crate) fn exchanges_keep_their_bindings_apart(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let (left, right) = (fixture.direct_exchange(), fixture.direct_exchange());
    let queue = fixture.bound_queue(&left, "key");
    fixture.channel.send(&right, "key", "wrong");
    fixture.channel.send(&left, "key", "right");
    fixture.channel.expect_messages(&queue, ["right"]);
}

pub(crate) fn one_queue_can_be_bound_to_several_exchanges(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let (left, right) = (fixture.direct_exchange(), fixture.fanout_exchange());
    let queue = fixture.bound_queue(&left, "key");
    fixture.bind(&right, &queue, "");
    fixture.channel.send(&left, "key", "a");
    fixture.channel.send(&right, "", "b");
    fixture.channel.expect_messages(&queue, ["a", "b"]);
}

pub(crate) fn an_exchange_name_of_256_bytes_is_invalid_and_leaves_the_channel_open(
    harness: &dyn Harness,
) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let name = "e".repeat(256);
    let content = std::sync::Arc::new(Content::new(&*name, "", "x"));
    assert_error!(
        fixture.channel.declare_exchange(&Exchange::direct(&name)),
        Error::Invalid { .. }
    );
    assert_error!(fixture.channel.delete_exchange(&name, DeleteIf::ALWAYS), Error::Invalid { .. });
    assert_error!(fixture.channel.bind(&Binding::queue(&name, &queue, "")), Error::Invalid { .. });
    assert_error!(
        fixture.channel.publish(&Publication::new(&content), DEADLINE),
        Error::Invalid { .. }
    );
    fixture.channel.round_trip(&queue);
}
