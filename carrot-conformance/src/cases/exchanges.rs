//! The life of exchanges, and their arguments.

use crate::support::*;

pub(crate) fn declaring_an_exchange_again_alike_changes_nothing(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let exchange = stage.fanout();
    let queue = stage.bound(&exchange, "");
    let declared =
        stage.channel.declare_exchange(&Exchange::fanout(&exchange)).expect("declare again");
    assert_eq!(declared, QueueInfo::new(&*exchange, 0, 0));
    stage.channel.send(&exchange, "", "still bound");
    stage.channel.drain(&queue, ["still bound"]);
}

pub(crate) fn declaring_an_exchange_with_another_type_is_refused(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let exchange = stage.direct();
    assert_error!(
        stage.open().declare_exchange(&Exchange::fanout(&exchange)),
        Error::PreconditionFailed { .. }
    );
}

pub(crate) fn declaring_an_exchange_with_other_properties_is_refused(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let exchange = stage.direct();
    for different in [
        Exchange::direct(&exchange).transient(),
        Exchange::direct(&exchange).auto_delete(),
        Exchange::direct(&exchange).internal(),
    ] {
        assert_error!(stage.open().declare_exchange(&different), Error::PreconditionFailed { .. });
    }
}

pub(crate) fn declaring_an_exchange_with_another_alternate_is_refused(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let exchange = stage.exchange_with(|name| Exchange::direct(name).alternate_exchange("one"));
    assert_error!(
        stage.open().declare_exchange(&Exchange::direct(&exchange).alternate_exchange("two")),
        Error::PreconditionFailed { .. }
    );
    assert_error!(
        stage.open().declare_exchange(&Exchange::direct(&exchange)),
        Error::PreconditionFailed { .. }
    );
}

pub(crate) fn unknown_exchange_arguments_do_not_count(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let exchange = stage.exchange_with(|name| Exchange::direct(name).argument("x-note", 1));
    stage
        .channel
        .declare_exchange(&Exchange::direct(&exchange).argument("x-note", 2))
        .expect("declare again");
    stage.channel.declare_exchange(&Exchange::direct(&exchange)).expect("declare again");
}

pub(crate) fn a_passive_declaration_finds_an_exchange(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let exchange = stage.topic();
    assert_eq!(stage.channel.find_exchange(&exchange).expect("find").name, exchange);
}

pub(crate) fn a_passive_declaration_of_a_missing_exchange_is_not_found(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    assert_error!(stage.open().find_exchange(&stage.exchange_name()), Error::NotFound { .. });
}

/// RabbitMQ before 4.0 closes the connection over it (503), and later releases the channel (406).
pub(crate) fn an_unknown_exchange_type_is_refused(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let connector = stage.connect();
    let (channel, other) = (open(&*connector), open(&*connector));
    let exchange =
        Exchange::new(stage.exchange_name(), ExchangeKind::Custom("x-no-such-type".into()));
    match channel.declare_exchange(&exchange) {
        Err(Error::HardError { code: 503, .. }) => {
            assert_error!(
                channel.declare_exchange(&Exchange::direct(&exchange.name)),
                Error::HardError { code: 503, .. }
            );
            assert_error!(
                other.declare_exchange(&Exchange::direct(&exchange.name)),
                Error::Disconnected { .. }
            );
        }
        Err(Error::PreconditionFailed { .. }) => {
            assert_error!(
                channel.declare_exchange(&Exchange::direct(&exchange.name)),
                Error::PreconditionFailed { .. }
            );
            other
                .declare_exchange(&Exchange::direct(&exchange.name))
                .expect("the connection goes on");
        }
        result => panic!("the declaration gave {result:?}"),
    }
    open(&*connector)
        .declare_exchange(&Exchange::direct(&exchange.name))
        .expect("declare on the next connection");
}

pub(crate) fn the_default_exchange_cannot_be_declared(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    assert_error!(
        stage.open().declare_exchange(&Exchange::direct("")),
        Error::AccessRefused { .. }
    );
    assert_error!(stage.open().find_exchange(""), Error::AccessRefused { .. });
}

pub(crate) fn the_default_exchange_cannot_be_deleted(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    assert_error!(stage.open().delete_exchange("", DeleteIf::ALWAYS), Error::AccessRefused { .. });
}

pub(crate) fn reserved_exchange_names_are_refused(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let name = format!("amq.{}", stage.exchange_name());
    assert_error!(
        stage.open().declare_exchange(&Exchange::direct(&name)),
        Error::AccessRefused { .. }
    );
    assert_error!(stage.open().find_exchange(&name), Error::NotFound { .. });
}

pub(crate) fn predeclared_exchanges_are_there(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    for name in ["amq.direct", "amq.fanout", "amq.topic", "amq.headers", "amq.match"] {
        stage.channel.find_exchange(name).unwrap_or_else(|error| panic!("find {name}: {error:?}"));
    }
    stage.channel.declare_exchange(&Exchange::topic("amq.topic")).expect("declare alike");
}

pub(crate) fn predeclared_exchanges_route(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    stage.bind("amq.direct", &queue, &queue);
    stage.bind("amq.topic", &queue, &format!("{queue}.#"));
    stage.channel.send("amq.direct", &queue, "direct");
    stage.channel.send("amq.topic", &format!("{queue}.more"), "topic");
    stage.channel.drain(&queue, ["direct", "topic"]);
}

pub(crate) fn predeclared_exchanges_cannot_be_deleted(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    assert_error!(
        stage.open().delete_exchange("amq.direct", DeleteIf::ALWAYS),
        Error::AccessRefused { .. }
    );
}

pub(crate) fn deleting_a_missing_exchange_is_no_error(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    stage.channel.delete_exchange(&stage.exchange_name(), DeleteIf::ALWAYS).expect("delete");
}

pub(crate) fn a_deleted_exchange_is_not_found(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let exchange = stage.direct();
    stage.channel.delete_exchange(&exchange, DeleteIf::ALWAYS).expect("delete");
    assert_error!(stage.open().find_exchange(&exchange), Error::NotFound { .. });
}

pub(crate) fn an_exchange_in_use_is_not_deleted_if_that_was_asked(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let exchange = stage.direct();
    let queue = stage.bound(&exchange, "key");
    assert_error!(
        stage.open().delete_exchange(&exchange, DeleteIf::IF_UNUSED),
        Error::PreconditionFailed { .. }
    );
    stage.channel.send(&exchange, "key", "still there");
    stage.channel.drain(&queue, ["still there"]);
}

pub(crate) fn an_unused_exchange_is_deleted_if_that_was_asked(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let (exchange, other) = (stage.direct(), stage.direct());
    stage.bind_as(&Binding::exchange(&other, &exchange, "being a destination is no use"));
    stage.channel.delete_exchange(&exchange, DeleteIf::IF_UNUSED).expect("delete");
    assert_error!(stage.open().find_exchange(&exchange), Error::NotFound { .. });
}

pub(crate) fn an_auto_delete_exchange_goes_with_its_last_binding(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let exchange = stage.exchange_with(|name| Exchange::direct(name).auto_delete());
    let queue = stage.bound(&exchange, "one");
    stage.bind(&exchange, &queue, "two");
    stage.channel.unbind(&Binding::queue(&exchange, &queue, "one"));
    stage.channel.find_exchange(&exchange).expect("one binding is left");
    stage.channel.unbind(&Binding::queue(&exchange, &queue, "two"));
    assert_error!(stage.open().find_exchange(&exchange), Error::NotFound { .. });
}

pub(crate) fn an_auto_delete_exchange_stays_until_it_was_bound(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let exchange = stage.exchange_with(|name| Exchange::direct(name).auto_delete());
    stage.channel.send(&exchange, "key", "x");
    stage.channel.find_exchange(&exchange).expect("it was never bound");
}

pub(crate) fn an_auto_delete_exchange_goes_with_its_last_queue(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let exchange = stage.exchange_with(|name| Exchange::direct(name).auto_delete());
    let queue = stage.bound(&exchange, "key");
    stage.channel.delete_queue(&queue, DeleteIf::ALWAYS).expect("delete");
    assert_error!(stage.open().find_exchange(&exchange), Error::NotFound { .. });
}

pub(crate) fn auto_delete_exchanges_go_one_after_the_other(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let source = stage.exchange_with(|name| Exchange::fanout(name).auto_delete());
    let destination = stage.exchange_with(|name| Exchange::fanout(name).auto_delete());
    stage.bind_as(&Binding::exchange(&source, &destination, ""));
    let queue = stage.bound(&destination, "");
    stage.channel.unbind(&Binding::queue(&destination, &queue, ""));
    assert_error!(stage.open().find_exchange(&destination), Error::NotFound { .. });
    assert_error!(stage.open().find_exchange(&source), Error::NotFound { .. });
}

pub(crate) fn a_publication_to_an_internal_exchange_is_refused(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let exchange = stage.exchange_with(|name| Exchange::fanout(name).internal());
    let error = stage.open().refused_publication(Content::new(&*exchange, "", "x"));
    assert!(matches!(error, Error::AccessRefused { .. }), "the confirm gave {error:?}");
}

pub(crate) fn an_internal_exchange_is_reached_from_another(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let source = stage.fanout();
    let internal = stage.exchange_with(|name| Exchange::fanout(name).internal());
    stage.bind_as(&Binding::exchange(&source, &internal, ""));
    let queue = stage.bound(&internal, "");
    stage.channel.send(&source, "", "x");
    stage.channel.drain(&queue, ["x"]);
}

pub(crate) fn an_alternate_exchange_takes_what_fits_no_binding(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let alternate = stage.fanout();
    let unrouted = stage.bound(&alternate, "");
    let exchange =
        stage.exchange_with(|name| Exchange::direct(name).alternate_exchange(&*alternate));
    let routed = stage.bound(&exchange, "known");
    stage.channel.send(&exchange, "known", "a");
    stage.channel.send(&exchange, "unknown", "b");
    stage.channel.drain(&routed, ["a"]);
    stage.channel.drain(&unrouted, ["b"]);
}

pub(crate) fn a_message_that_an_alternate_exchange_takes_is_not_returned(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let alternate = stage.fanout();
    let exchange =
        stage.exchange_with(|name| Exchange::direct(name).alternate_exchange(&*alternate));
    let tag = stage.channel.post_mandatory(Content::new(&*exchange, "", "x"));
    assert!(
        matches!(stage.channel.outcome(tag), Outcome::Returned { .. }),
        "the alternate has no queue yet"
    );
    let queue = stage.bound(&alternate, "");
    let tag = stage.channel.post_mandatory(Content::new(&*exchange, "", "x"));
    assert_eq!(stage.channel.outcome(tag), Outcome::Accepted);
    stage.channel.drain(&queue, ["x"]);
}

pub(crate) fn alternate_exchanges_form_chains(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let last = stage.fanout();
    let queue = stage.bound(&last, "");
    let middle = stage.exchange_with(|name| Exchange::direct(name).alternate_exchange(&*last));
    let first = stage.exchange_with(|name| Exchange::direct(name).alternate_exchange(&*middle));
    stage.channel.send(&first, "key", "x");
    let delivery = stage.channel.take(&queue);
    assert_eq!(
        (&*delivery.content.exchange, &*delivery.content.routing_key),
        (first.as_str(), "key")
    );
}

pub(crate) fn a_cycle_of_alternate_exchanges_ends(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let (left, right) = (stage.exchange_name(), stage.exchange_name());
    for (name, alternate) in [(&left, &right), (&right, &left)] {
        stage
            .channel
            .declare_exchange(&Exchange::direct(name).alternate_exchange(&**alternate))
            .expect("declare");
    }
    let tag = stage.channel.post_mandatory(Content::new(&*left, "key", "x"));
    assert!(matches!(stage.channel.outcome(tag), Outcome::Returned { .. }));
}

pub(crate) fn a_missing_alternate_exchange_drops(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let missing = stage.exchange_name();
    let exchange = stage.exchange_with(|name| Exchange::direct(name).alternate_exchange(missing));
    stage.channel.send(&exchange, "key", "dropped");
    stage.channel.find_exchange(&exchange).expect("the channel is alive");
}

pub(crate) fn an_alternate_exchange_that_is_no_name_is_refused(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let exchange = Exchange::direct(stage.exchange_name()).argument("alternate-exchange", 7);
    assert_error!(stage.open().declare_exchange(&exchange), Error::PreconditionFailed { .. });
}
