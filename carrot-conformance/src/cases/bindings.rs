//! Bindings: their ends, their identity, and chains of exchanges.

use crate::support::*;

pub(crate) fn binding_twice_alike_is_one_binding(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let exchange = stage.direct();
    let queue = stage.bound(&exchange, "key");
    stage.bind(&exchange, &queue, "key");
    stage.channel.send(&exchange, "key", "once");
    stage.channel.drain(&queue, ["once"]);
    stage.channel.unbind(&Binding::queue(&exchange, &queue, "key"));
    stage.channel.send(&exchange, "key", "not at all");
    stage.channel.empty(&queue);
}

pub(crate) fn a_binding_with_other_arguments_is_another_binding(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let exchange = stage.direct();
    let queue = stage.bound(&exchange, "key");
    stage.bind_as(&Binding::queue(&exchange, &queue, "key").argument("note", "mine"));
    stage.channel.send(&exchange, "key", "one copy");
    stage.channel.drain(&queue, ["one copy"]);
    stage.channel.unbind(&Binding::queue(&exchange, &queue, "key"));
    stage.channel.send(&exchange, "key", "still bound");
    stage.channel.drain(&queue, ["still bound"]);
}

pub(crate) fn an_unbound_queue_gets_no_more(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let exchange = stage.fanout();
    let queue = stage.bound(&exchange, "");
    stage.channel.send(&exchange, "", "before");
    stage.channel.unbind(&Binding::queue(&exchange, &queue, ""));
    stage.channel.send(&exchange, "", "after");
    stage.channel.drain(&queue, ["before"]);
}

pub(crate) fn unbinding_one_key_leaves_the_others(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let exchange = stage.direct();
    let queue = stage.bound(&exchange, "stays");
    stage.bind(&exchange, &queue, "goes");
    stage.channel.unbind(&Binding::queue(&exchange, &queue, "goes"));
    stage.channel.send(&exchange, "goes", "a");
    stage.channel.send(&exchange, "stays", "b");
    stage.channel.drain(&queue, ["b"]);
}

pub(crate) fn unbinding_what_is_not_bound_is_no_error(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let (exchange, queue) = (stage.direct(), stage.queue());
    stage.channel.unbind(&Binding::queue(&exchange, &queue, "never bound"));
    stage.channel.round_trip(&queue);
}

pub(crate) fn unbinding_between_missing_ends_is_no_error(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let (exchange, queue) = (stage.direct(), stage.queue());
    stage.channel.unbind(&Binding::queue(&exchange, stage.queue_name(), "key"));
    stage.channel.unbind(&Binding::queue(stage.exchange_name(), &queue, "key"));
    stage.channel.round_trip(&queue);
}

pub(crate) fn binding_a_missing_queue_is_not_found(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let exchange = stage.direct();
    assert_error!(
        stage.open().bind(&Binding::queue(&exchange, stage.queue_name(), "key")),
        Error::NotFound { .. }
    );
}

pub(crate) fn binding_to_a_missing_exchange_is_not_found(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    assert_error!(
        stage.open().bind(&Binding::queue(stage.exchange_name(), &queue, "key")),
        Error::NotFound { .. }
    );
}

pub(crate) fn the_default_exchange_cannot_be_bound(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    assert_error!(
        stage.open().bind(&Binding::queue("", &queue, "alias")),
        Error::AccessRefused { .. }
    );
}

pub(crate) fn the_default_exchange_cannot_be_unbound(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let binding = Binding::queue("", &queue, &queue);
    assert_error!(stage.open().delete(Delete::Binding(&binding)), Error::AccessRefused { .. });
    stage.channel.put(&queue, ["x"]);
    stage.channel.drain(&queue, ["x"]);
}

pub(crate) fn the_bindings_of_a_deleted_queue_are_gone(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let exchange = stage.fanout();
    let queue = stage.bound(&exchange, "");
    stage.channel.delete_queue(&queue, DeleteIf::ALWAYS).expect("delete");
    stage.channel.declare_queue(&Queue::new(&queue)).expect("declare");
    stage.channel.send(&exchange, "", "x");
    stage.channel.empty(&queue);
}

pub(crate) fn the_bindings_of_a_deleted_exchange_are_gone(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let exchange = stage.fanout();
    let queue = stage.bound(&exchange, "");
    stage.channel.delete_exchange(&exchange, DeleteIf::ALWAYS).expect("delete");
    stage.channel.declare_exchange(&Exchange::fanout(&exchange)).expect("declare");
    stage.channel.send(&exchange, "", "x");
    stage.channel.empty(&queue);
}

pub(crate) fn an_exchange_can_be_bound_to_another(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let (source, destination) = (stage.direct(), stage.fanout());
    let queue = stage.bound(&destination, "");
    stage.bind_as(&Binding::exchange(&source, &destination, "key"));
    stage.channel.send(&source, "key", "through");
    stage.channel.send(&source, "other", "not through");
    stage.channel.drain(&queue, ["through"]);
}

pub(crate) fn a_message_through_exchanges_keeps_where_it_was_published_to(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let (source, destination) = (stage.fanout(), stage.topic());
    let queue = stage.bound(&destination, "a.*");
    stage.bind_as(&Binding::exchange(&source, &destination, ""));
    stage.channel.send(&source, "a.b", "x");
    let delivery = stage.channel.take(&queue);
    assert_eq!(
        (&*delivery.content.exchange, &*delivery.content.routing_key),
        (source.as_str(), "a.b")
    );
}

pub(crate) fn chained_exchanges_each_filter(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let (first, second, third) = (stage.topic(), stage.topic(), stage.topic());
    stage.bind_as(&Binding::exchange(&first, &second, "a.#"));
    stage.bind_as(&Binding::exchange(&second, &third, "*.b.#"));
    let queue = stage.bound(&third, "#.c");
    for key in ["a.b.c", "a.b", "a.x.c", "x.b.c"] {
        stage.channel.send(&first, key, key);
    }
    stage.channel.drain(&queue, ["a.b.c"]);
}

pub(crate) fn a_queue_reached_by_two_ways_gets_one_copy(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let (source, left, right) = (stage.fanout(), stage.fanout(), stage.fanout());
    stage.bind_as(&Binding::exchange(&source, &left, ""));
    stage.bind_as(&Binding::exchange(&source, &right, ""));
    let queue = stage.bound(&left, "");
    stage.bind(&right, &queue, "");
    stage.channel.send(&source, "", "once");
    stage.channel.drain(&queue, ["once"]);
}

pub(crate) fn a_cycle_of_exchanges_delivers_once(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let (left, right) = (stage.fanout(), stage.fanout());
    stage.bind_as(&Binding::exchange(&left, &right, ""));
    stage.bind_as(&Binding::exchange(&right, &left, ""));
    let queue = stage.bound(&left, "");
    stage.channel.send(&left, "", "a");
    stage.channel.send(&right, "", "b");
    stage.channel.drain(&queue, ["a", "b"]);
}

pub(crate) fn an_exchange_can_be_bound_to_itself(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let exchange = stage.fanout();
    stage.bind_as(&Binding::exchange(&exchange, &exchange, ""));
    let queue = stage.bound(&exchange, "");
    stage.channel.send(&exchange, "", "once");
    stage.channel.drain(&queue, ["once"]);
}

pub(crate) fn an_exchange_can_be_unbound_from_another(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let (source, destination) = (stage.fanout(), stage.fanout());
    let queue = stage.bound(&destination, "");
    let binding = Binding::exchange(&source, &destination, "");
    stage.bind_as(&binding);
    stage.channel.unbind(&binding);
    stage.channel.send(&source, "", "x");
    stage.channel.empty(&queue);
}

pub(crate) fn binding_missing_exchanges_is_not_found(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let exchange = stage.fanout();
    assert_error!(
        stage.open().bind(&Binding::exchange(&exchange, stage.exchange_name(), "")),
        Error::NotFound { .. }
    );
    assert_error!(
        stage.open().bind(&Binding::exchange(stage.exchange_name(), &exchange, "")),
        Error::NotFound { .. }
    );
}

pub(crate) fn the_default_exchange_cannot_be_bound_to_an_exchange(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let exchange = stage.fanout();
    assert_error!(
        stage.open().bind(&Binding::exchange("", &exchange, "")),
        Error::AccessRefused { .. }
    );
    assert_error!(
        stage.open().bind(&Binding::exchange(&exchange, "", "")),
        Error::AccessRefused { .. }
    );
}

pub(crate) fn a_mandatory_message_through_exchanges_is_accepted(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let (source, destination) = (stage.fanout(), stage.fanout());
    stage.bind_as(&Binding::exchange(&source, &destination, ""));
    let tag = stage.channel.post_mandatory(Content::new(&*source, "", "x"));
    assert!(
        matches!(stage.channel.outcome(tag), Outcome::Returned { .. }),
        "no queue is reached yet"
    );
    stage.bound(&destination, "");
    let tag = stage.channel.post_mandatory(Content::new(&*source, "", "x"));
    assert_eq!(stage.channel.outcome(tag), Outcome::Accepted);
}
