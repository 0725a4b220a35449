//! Invalid arguments of queues.

use crate::support::*;

fn refused<const COUNT: usize>(harness: &dyn Harness, name: &str, values: [Value; COUNT]) {
    let fixture = CaseFixture::new(harness);
    for value in values {
        let queue = Queue::new(fixture.queue_name()).argument(name, value.clone());
        match fixture.open().declare_queue(&queue) {
            Err(Error::PreconditionFailed { .. }) => {}
            other => panic!("{name} = {value:?} was not refused: {other:?}"),
        }
    }
}

pub(crate) fn a_message_ttl_that_is_not_a_natural_number_is_refused(harness: &dyn Harness) {
    refused(
        harness,
        "x-message-ttl",
        [Value::from(-1), "100".into(), true.into(), 1.5.into(), Value::Void],
    );
}

pub(crate) fn a_queue_expiry_that_is_not_positive_is_refused(harness: &dyn Harness) {
    refused(harness, "x-expires", [Value::from(0), (-1).into(), "100".into()]);
}

pub(crate) fn a_length_limit_that_is_not_a_natural_number_is_refused(harness: &dyn Harness) {
    refused(harness, "x-max-length", [Value::from(-1), "10".into()]);
    refused(harness, "x-max-length-bytes", [Value::from(-1), "10".into()]);
}

pub(crate) fn an_unknown_overflow_is_refused(harness: &dyn Harness) {
    refused(harness, "x-overflow", [Value::from("drop-tail"), 1.into()]);
}

pub(crate) fn a_dead_letter_exchange_that_is_not_a_name_is_refused(harness: &dyn Harness) {
    refused(harness, "x-dead-letter-exchange", [Value::from(1), true.into()]);
}

pub(crate) fn a_dead_letter_routing_key_without_an_exchange_is_refused(harness: &dyn Harness) {
    refused(harness, "x-dead-letter-routing-key", [Value::from("key")]);
}

pub(crate) fn a_highest_priority_out_of_range_is_refused(harness: &dyn Harness) {
    refused(harness, "x-max-priority", [Value::from(-1), 256.into(), "5".into()]);
}

pub(crate) fn a_single_active_consumer_that_is_not_a_boolean_is_refused(harness: &dyn Harness) {
    refused(harness, "x-single-active-consumer", [Value::from("yes"), 1.into()]);
}

pub(crate) fn an_unknown_queue_type_is_refused(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = Queue::new(fixture.queue_name()).argument("x-queue-type", "no-such-type");
    // The broker refuses the type, or a backend without types.
    assert_error!(
        fixture.open().declare_queue(&queue),
        Error::PreconditionFailed { .. } | Error::Invalid { .. }
    );
}

pub(crate) fn an_argument_that_is_not_finite_is_invalid(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let channel = &fixture.channel;
    let (name, queue) = (fixture.queue_name(), fixture.queue());
    for value in [
        Value::F64(f64::NAN),
        Value::F32(f32::INFINITY),
        vec![Value::F64(f64::NEG_INFINITY)].into(),
    ] {
        assert_error!(
            channel.declare_queue(&Queue::new(&name).argument("ratio", value.clone())),
            Error::Invalid { .. }
        );
        let exchange = Exchange::direct(fixture.exchange_name()).argument("ratio", value.clone());
        assert_error!(channel.declare_exchange(&exchange), Error::Invalid { .. });
        let binding = Binding::queue("amq.direct", &queue, "").argument("ratio", value.clone());
        assert_error!(channel.bind(&binding), Error::Invalid { .. });
        assert_error!(channel.delete(Delete::Binding(&binding), DEADLINE), Error::Invalid { .. });
        assert_error!(
            channel.consume(&queue, &ConsumeOptions::default().argument("ratio", value), DEADLINE),
            Error::Invalid { .. }
        );
    }
    channel.find_queue(&queue).expect("the channel is open");
}
