//! Declaration and deletion of exchanges, and their arguments.

use crate::support::*;

pub(crate) fn declaring_an_equal_exchange_again_changes_nothing(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let exchange = fixture.fanout_exchange();
    let queue = fixture.bound_queue(&exchange, "");
    let declared =
        fixture.channel.declare_exchange(&Exchange::fanout(&exchange)).expect("declare again");
    assert_eq!(declared, QueueInfo::new(&*exchange, 0, 0));
    fixture.channel.send(&exchange, "", "still bound");
    fixture.channel.expect_messages(&queue, ["still bound"]);
}

pub(crate) fn declaring_an_exchange_with_another_type_is_refused(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let exchange = fixture.direct_exchange();
    assert_error!(
        fixture.open().declare_exchange(&Exchange::fanout(&exchange)),
        Error::PreconditionFailed { .. }
    );
}

pub(crate) fn declaring_an_exchange_with_other_properties_is_refused(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let exchange = fixture.direct_exchange();
    for different in [
        Exchange::direct(&exchange).transient(),
        Exchange::direct(&exchange).auto_delete(),
        Exchange::direct(&exchange).internal(),
    ] {
        assert_error!(
            fixture.open().declare_exchange(&different),
            Error::PreconditionFailed { .. }
        );
    }
}

pub(crate) fn declaring_an_exchange_with_another_alternate_is_refused(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let exchange = fixture.exchange_with(|name| Exchange::direct(name).alternate_exchange("one"));
    assert_error!(
        fixture.open().declare_exchange(&Exchange::direct(&exchange).alternate_exchange("two")),
        Error::PreconditionFailed { .. }
    );
    assert_error!(
        fixture.open().declare_exchange(&Exchange::direct(&exchange)),
        Error::PreconditionFailed { .. }
    );
}

pub(crate) fn unknown_exchange_arguments_are_not_compared(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let exchange = fixture.exchange_with(|name| Exchange::direct(name).argument("x-note", 1));
    fixture
        .channel
        .declare_exchange(&Exchange::direct(&exchange).argument("x-note", 2))
        .expect("declare again");
    fixture.channel.declare_exchange(&Exchange::direct(&exchange)).expect("declare again");
}

pub(crate) fn a_passive_declaration_finds_an_exchange(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let exchange = fixture.topic_exchange();
    assert_eq!(fixture.channel.find_exchange(&exchange).expect("find").name, exchange);
}

pub(crate) fn a_passive_declaration_of_a_missing_exchange_is_not_found(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    assert_error!(fixture.open().find_exchange(&fixture.exchange_name()), Error::NotFound { .. });
}

pub(crate) fn an_unknown_exchange_type_is_refused(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let connector = fixture.connect();
    let (channel, other) = (open(&*connector), open(&*connector));
    let unknown =
        Exchange::new(fixture.exchange_name(), ExchangeKind::Custom("x-no-such-type".into()));
    let known = Exchange::direct(&unknown.name);
    if ReleaseAnswer::UnknownExchangeTypesCloseTheConnection.is_expected(harness) {
        for exchange in [&unknown, &known] {
            assert_error!(channel.declare_exchange(exchange), Error::HardError { code: 503, .. });
        }
        assert_error!(other.declare_exchange(&known), Error::Disconnected { .. });
    } else {
        for exchange in [&unknown, &known] {
            assert_error!(channel.declare_exchange(exchange), Error::PreconditionFailed { .. });
        }
        other.declare_exchange(&known).expect("the connection is open");
    }
    open(&*connector).declare_exchange(&known).expect("declare on the next connection");
}

pub(crate) fn the_default_exchange_cannot_be_declared(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    assert_error!(
        fixture.open().declare_exchange(&Exchange::direct("")),
        Error::AccessRefused { .. }
    );
    assert_error!(fixture.open().find_exchange(""), Error::AccessRefused { .. });
}

pub(crate) fn the_default_exchange_cannot_be_deleted(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    assert_error!(
        fixture.open().delete_exchange("", DeleteIf::ALWAYS),
        Error::AccessRefused { .. }
    );
}

pub(crate) fn reserved_exchange_names_are_refused(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let name = format!("amq.{}", fixture.exchange_name());
    assert_error!(
        fixture.open().declare_exchange(&Exchange::direct(&name)),
        Error::AccessRefused { .. }
    );
    assert_error!(fixture.open().find_exchange(&name), Error::NotFound { .. });
}

pub(crate) fn predeclared_exchanges_exist(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    for name in ["amq.direct", "amq.fanout", "amq.topic", "amq.headers", "amq.match"] {
        fixture
            .channel
            .find_exchange(name)
            .unwrap_or_else(|error| panic!("find {name}: {error:?}"));
    }
    fixture.channel.declare_exchange(&Exchange::topic("amq.topic")).expect("declare again");
}

pub(crate) fn predeclared_exchanges_route(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    fixture.bind("amq.direct", &queue, &queue);
    fixture.bind("amq.topic", &queue, &format!("{queue}.#"));
    fixture.channel.send("amq.direct", &queue, "direct");
    fixture.channel.send("amq.topic", &format!("{queue}.more"), "topic");
    fixture.channel.expect_messages(&queue, ["direct", "topic"]);
}

pub(crate) fn predeclared_exchanges_cannot_be_deleted(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    assert_error!(
        fixture.open().delete_exchange("amq.direct", DeleteIf::ALWAYS),
        Error::AccessRefused { .. }
    );
}

pub(crate) fn deleting_a_missing_exchange_succeeds(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    fixture.channel.delete_exchange(&fixture.exchange_name(), DeleteIf::ALWAYS).expect("delete");
}

pub(crate) fn a_deleted_exchange_is_not_found(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let exchange = fixture.direct_exchange();
    fixture.channel.delete_exchange(&exchange, DeleteIf::ALWAYS).expect("delete");
    assert_error!(fixture.open().find_exchange(&exchange), Error::NotFound { .. });
}

pub(crate) fn an_exchange_in_use_is_not_deleted_if_unused_is_required(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let exchange = fixture.direct_exchange();
    let queue = fixture.bound_queue(&exchange, "key");
    assert_error!(
        fixture.open().delete_exchange(&exchange, DeleteIf::UNUSED),
        Error::PreconditionFailed { .. }
    );
    fixture.channel.send(&exchange, "key", "still there");
    fixture.channel.expect_messages(&queue, ["still there"]);
}

pub(crate) fn an_unused_exchange_is_deleted_if_unused_is_required(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let (exchange, other) = (fixture.direct_exchange(), fixture.direct_exchange());
    fixture.bind_as(&Binding::exchange(&other, &exchange, "a destination is unused"));
    fixture.channel.delete_exchange(&exchange, DeleteIf::UNUSED).expect("delete");
    assert_error!(fixture.open().find_exchange(&exchange), Error::NotFound { .. });
}

pub(crate) fn an_auto_delete_exchange_is_deleted_with_its_last_binding(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let exchange = fixture.exchange_with(|name| Exchange::direct(name).auto_delete());
    let queue = fixture.bound_queue(&exchange, "one");
    fixture.bind(&exchange, &queue, "two");
    fixture.channel.unbind(&Binding::queue(&exchange, &queue, "one"));
    fixture.channel.find_exchange(&exchange).expect("one binding is left");
    fixture.channel.unbind(&Binding::queue(&exchange, &queue, "two"));
    assert_error!(fixture.open().find_exchange(&exchange), Error::NotFound { .. });
}

pub(crate) fn an_auto_delete_exchange_that_was_never_bound_is_kept(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let exchange = fixture.exchange_with(|name| Exchange::direct(name).auto_delete());
    fixture.channel.send(&exchange, "key", "x");
    fixture.channel.find_exchange(&exchange).expect("the exchange was never bound");
}

pub(crate) fn an_auto_delete_exchange_is_deleted_with_its_last_queue(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let exchange = fixture.exchange_with(|name| Exchange::direct(name).auto_delete());
    let queue = fixture.bound_queue(&exchange, "key");
    fixture.channel.delete_queue(&queue, DeleteIf::ALWAYS).expect("delete");
    assert_error!(fixture.open().find_exchange(&exchange), Error::NotFound { .. });
}

pub(crate) fn auto_delete_exchanges_are_deleted_in_a_chain(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let source = fixture.exchange_with(|name| Exchange::fanout(name).auto_delete());
    let destination = fixture.exchange_with(|name| Exchange::fanout(name).auto_delete());
    fixture.bind_as(&Binding::exchange(&source, &destination, ""));
    let queue = fixture.bound_queue(&destination, "");
    fixture.channel.unbind(&Binding::queue(&destination, &queue, ""));
    assert_error!(fixture.open().find_exchange(&destination), Error::NotFound { .. });
    assert_error!(fixture.open().find_exchange(&source), Error::NotFound { .. });
}

pub(crate) fn a_publication_to_an_internal_exchange_is_refused(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let exchange = fixture.exchange_with(|name| Exchange::fanout(name).internal());
    let error = fixture.open().publish_error(Content::new(&*exchange, "", "x"));
    assert!(matches!(error, Error::AccessRefused { .. }), "the confirm returned {error:?}");
}

pub(crate) fn an_internal_exchange_is_reached_from_another(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let source = fixture.fanout_exchange();
    let internal = fixture.exchange_with(|name| Exchange::fanout(name).internal());
    fixture.bind_as(&Binding::exchange(&source, &internal, ""));
    let queue = fixture.bound_queue(&internal, "");
    fixture.channel.send(&source, "", "x");
    fixture.channel.expect_messages(&queue, ["x"]);
}

pub(crate) fn an_alternate_exchange_routes_messages_without_a_binding(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let alternate = fixture.fanout_exchange();
    let unrouted = fixture.bound_queue(&alternate, "");
    let exchange =
        fixture.exchange_with(|name| Exchange::direct(name).alternate_exchange(&*alternate));
    let routed = fixture.bound_queue(&exchange, "known");
    fixture.channel.send(&exchange, "known", "a");
    fixture.channel.send(&exchange, "unknown", "b");
    fixture.channel.expect_messages(&routed, ["a"]);
    fixture.channel.expect_messages(&unrouted, ["b"]);
}

pub(crate) fn a_message_routed_by_an_alternate_exchange_is_not_returned(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let alternate = fixture.fanout_exchange();
    let exchange =
        fixture.exchange_with(|name| Exchange::direct(name).alternate_exchange(&*alternate));
    let tag = fixture.channel.publish_mandatory(Content::new(&*exchange, "", "x"));
    assert!(
        matches!(fixture.channel.outcome(tag), Outcome::Returned { .. }),
        "the alternate has no queue yet"
    );
    let queue = fixture.bound_queue(&alternate, "");
    let tag = fixture.channel.publish_mandatory(Content::new(&*exchange, "", "x"));
    assert_eq!(fixture.channel.outcome(tag), Outcome::Accepted);
    fixture.channel.expect_messages(&queue, ["x"]);
}

pub(crate) fn alternate_exchanges_form_chains(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let last = fixture.fanout_exchange();
    let queue = fixture.bound_queue(&last, "");
    let middle = fixture.exchange_with(|name| Exchange::direct(name).alternate_exchange(&*last));
    let first = fixture.exchange_with(|name| Exchange::direct(name).alternate_exchange(&*middle));
    fixture.channel.send(&first, "key", "x");
    let delivery = fixture.channel.get_delivery(&queue);
    assert_eq!(
        (&*delivery.content.exchange, &*delivery.content.routing_key),
        (first.as_str(), "key")
    );
}

pub(crate) fn a_cycle_of_alternate_exchanges_ends(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let (left, right) = (fixture.exchange_name(), fixture.exchange_name());
    for (name, alternate) in [(&left, &right), (&right, &left)] {
        fixture
            .channel
            .declare_exchange(&Exchange::direct(name).alternate_exchange(&**alternate))
            .expect("declare");
    }
    let tag = fixture.channel.publish_mandatory(Content::new(&*left, "key", "x"));
    assert!(matches!(fixture.channel.outcome(tag), Outcome::Returned { .. }));
}

pub(crate) fn a_missing_alternate_exchange_drops_the_message(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let missing = fixture.exchange_name();
    let exchange = fixture.exchange_with(|name| Exchange::direct(name).alternate_exchange(missing));
    fixture.channel.send(&exchange, "key", "dropped");
    fixture.channel.find_exchange(&exchange).expect("the channel is open");
}

pub(crate) fn an_alternate_exchange_that_is_not_a_name_is_refused(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let exchange = Exchange::direct(fixture.exchange_name()).argument("alternate-exchange", 7);
    assert_error!(fixture.open().declare_exchange(&exchange), Error::PreconditionFailed { .. });
}
