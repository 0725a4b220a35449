//! The two simple exchange types.

use crate::support::*;

pub(crate) fn a_direct_exchange_routes_by_the_exact_key(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let exchange = stage.direct();
    let queue = stage.bound(&exchange, "red");
    for key in ["red", "re", "red.", "RED", "", "red.green"] {
        stage.channel.send(&exchange, key, key);
    }
    stage.channel.drain(&queue, ["red"]);
}

pub(crate) fn a_delivery_names_the_exchange_and_key_it_was_published_with(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let exchange = stage.direct();
    let queue = stage.bound(&exchange, "red");
    stage.channel.send(&exchange, "red", "x");
    let delivery = stage.channel.take(&queue);
    assert_eq!(
        (&*delivery.content.exchange, &*delivery.content.routing_key),
        (exchange.as_str(), "red")
    );
}

pub(crate) fn a_direct_exchange_reaches_every_queue_bound_with_the_key(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let exchange = stage.direct();
    let queues = [stage.bound(&exchange, "red"), stage.bound(&exchange, "red")];
    stage.channel.send(&exchange, "red", "x");
    for queue in &queues {
        stage.channel.drain(queue, ["x"]);
    }
}

pub(crate) fn a_queue_can_be_bound_with_several_keys(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let exchange = stage.direct();
    let queue = stage.bound(&exchange, "red");
    stage.bind(&exchange, &queue, "green");
    stage.channel.send(&exchange, "green", "g");
    stage.channel.send(&exchange, "blue", "b");
    stage.channel.send(&exchange, "red", "r");
    stage.channel.drain(&queue, ["g", "r"]);
}

pub(crate) fn the_empty_key_is_a_key_like_any_other(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let exchange = stage.direct();
    let both = stage.bound(&exchange, "baz");
    stage.bind(&exchange, &both, "");
    let named = stage.bound(&exchange, "baz");
    stage.channel.send(&exchange, "", "x");
    stage.channel.drain(&both, ["x"]);
    stage.channel.empty(&named);
}

pub(crate) fn a_fanout_exchange_ignores_the_routing_key(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let exchange = stage.fanout();
    let queues = [stage.bound(&exchange, ""), stage.bound(&exchange, "ignored")];
    stage.channel.send(&exchange, "something else", "x");
    for queue in &queues {
        stage.channel.drain(queue, ["x"]);
    }
}

pub(crate) fn a_fanout_exchange_gives_one_copy_to_a_queue_bound_twice(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let exchange = stage.fanout();
    let queue = stage.bound(&exchange, "one");
    stage.bind(&exchange, &queue, "two");
    stage.channel.send(&exchange, "", "x");
    stage.channel.drain(&queue, ["x"]);
}

pub(crate) fn an_exchange_without_bindings_accepts_and_drops(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    for exchange in [stage.direct(), stage.fanout()] {
        stage.channel.send(&exchange, "key", "x");
        let late = stage.bound(&exchange, "key");
        stage.channel.empty(&late);
    }
}

pub(crate) fn exchanges_keep_their_bindings_apart(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let (left, right) = (stage.direct(), stage.direct());
    let queue = stage.bound(&left, "key");
    stage.channel.send(&right, "key", "wrong");
    stage.channel.send(&left, "key", "right");
    stage.channel.drain(&queue, ["right"]);
}

pub(crate) fn one_queue_can_be_bound_to_several_exchanges(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let (left, right) = (stage.direct(), stage.fanout());
    let queue = stage.bound(&left, "key");
    stage.bind(&right, &queue, "");
    stage.channel.send(&left, "key", "a");
    stage.channel.send(&right, "", "b");
    stage.channel.drain(&queue, ["a", "b"]);
}

pub(crate) fn a_publication_to_a_missing_exchange_is_not_found(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let channel = stage.open();
    let error = channel.refused_publication(Content::new(stage.exchange_name(), "key", "x"));
    assert!(matches!(error, Error::NotFound { .. }), "the confirm gave {error:?}");
    assert!(matches!(channel.death(&queue), Error::NotFound { .. }));
}

pub(crate) fn an_exchange_name_of_256_bytes_is_invalid_and_harms_nothing(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let name = "e".repeat(256);
    let content = std::sync::Arc::new(Content::new(&*name, "", "x"));
    assert_error!(stage.channel.declare_exchange(&Exchange::direct(&name)), Error::Invalid { .. });
    assert_error!(stage.channel.delete_exchange(&name, DeleteIf::ALWAYS), Error::Invalid { .. });
    assert_error!(stage.channel.bind(&Binding::queue(&name, &queue, "")), Error::Invalid { .. });
    assert_error!(
        stage.channel.publish(&Publication { content: &content, mandatory: false }, DEADLINE),
        Error::Invalid { .. }
    );
    stage.channel.round_trip(&queue);
}
