//! Lost connections.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::harness::Breakable;
use crate::support::*;

/// A breakable connector with an open channel. Dropping it closes the connector.
struct BreakableFixture {
    inner: Breakable,
    channel: Arc<dyn Backend>,
}

impl BreakableFixture {
    fn new(fixture: &CaseFixture<'_>) -> BreakableFixture {
        let inner = fixture.harness.breakable().expect(
            "the harness has the feature CutConnection and returned no breakable connector",
        );
        let channel = open(&*inner.connector);
        BreakableFixture { inner, channel }
    }

    fn cut(&self) {
        (self.inner.cut)();
    }
}

impl Drop for BreakableFixture {
    fn drop(&mut self) {
        let _ = self.inner.connector.close(DEADLINE);
    }
}

pub(crate) fn every_verb_of_a_lost_connection_fails_with_disconnected(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let breakable = BreakableFixture::new(&fixture);
    breakable.cut();
    assert!(matches!(breakable.channel.channel_error(&queue), Error::Disconnected { .. }));
    let channel = &breakable.channel;
    let content = Arc::new(Content::new("", &*queue, "x"));
    assert_error!(channel.find_queue(&queue), Error::Disconnected { .. });
    assert_error!(channel.purge(&queue), Error::Disconnected { .. });
    assert_error!(
        channel.publish(&Publication::new(&content), DEADLINE),
        Error::Disconnected { .. }
    );
    assert_error!(channel.confirm(PublishTag(1), DEADLINE), Error::Disconnected { .. });
    assert_error!(
        channel.get(&queue, Acknowledgement::Manual, DEADLINE),
        Error::Disconnected { .. }
    );
    assert_error!(
        channel.consume(&queue, &ConsumeOptions::default(), DEADLINE),
        Error::Disconnected { .. }
    );
}

pub(crate) fn a_delivery_of_a_lost_connection_is_stale(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    fixture.channel.enqueue(&queue, ["x"]);
    let breakable = BreakableFixture::new(&fixture);
    let delivery = breakable.channel.get_delivery(&queue);
    breakable.cut();
    breakable.channel.channel_error(&queue);
    match breakable.channel.ack(delivery.tag, Extent::One) {
        Err(Error::Stale { source: Some(cause) }) => {
            assert!(matches!(*cause, Error::Disconnected { .. }), "the cause is {cause:?}")
        }
        other => panic!("an ack after the loss returned {other:?}"),
    }
    assert_error!(
        breakable.channel.reject(delivery.tag, Rejection::Requeue, Extent::One),
        Error::Stale { .. }
    );
}

/// Loses a connection with an unsettled message of a get, one of a subscription, and one that waits
/// for the subscription. Returns the queue, to which all have returned.
fn lose_connection_with_messages(fixture: &CaseFixture<'_>, bodies: [&str; 3]) -> String {
    let queue = fixture.queue();
    fixture.channel.enqueue(&queue, bodies);
    let breakable = BreakableFixture::new(fixture);
    breakable.channel.get_delivery(&queue);
    let subscription = breakable.channel.subscribe(&queue);
    subscription.expect(bodies[1]);
    breakable.cut();
    fixture.channel.expect_ready(&queue, 3);
    queue
}

pub(crate) fn a_lost_connection_requeues_its_unsettled_messages(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    // Equal messages have no order.
    let queue = lose_connection_with_messages(&fixture, ["x"; 3]);
    fixture.channel.expect_messages(&queue, ["x"; 3]);
}

pub(crate) fn the_messages_of_a_lost_connection_return_to_their_old_places(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = lose_connection_with_messages(&fixture, ["a", "b", "c"]);
    fixture.channel.expect_messages(&queue, ["a", "b", "c"]);
}

pub(crate) fn a_lost_connection_wakes_waiting_consumers(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let breakable = BreakableFixture::new(&fixture);
    let subscription = breakable.channel.subscribe(&queue);
    let results: [_; 3] = woken(&*subscription, || breakable.cut());
    for result in results {
        assert_error!(result, Error::Disconnected { .. });
    }
    assert_error!(subscription.next(Duration::ZERO), Error::Disconnected { .. });
}

pub(crate) fn every_channel_of_a_lost_connection_fails(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let breakable = BreakableFixture::new(&fixture);
    let other = open(&*breakable.inner.connector);
    breakable.cut();
    assert!(matches!(other.channel_error(&queue), Error::Disconnected { .. }));
    assert!(matches!(breakable.channel.channel_error(&queue), Error::Disconnected { .. }));
}

pub(crate) fn a_lost_connection_does_not_affect_others(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let subscription = fixture.channel.subscribe(&queue);
    let breakable = BreakableFixture::new(&fixture);
    breakable.cut();
    breakable.channel.channel_error(&queue);
    fixture.channel.enqueue(&queue, ["x"]);
    subscription.expect("x");
}

pub(crate) fn a_lost_connector_can_be_opened_again(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let breakable = BreakableFixture::new(&fixture);
    breakable.cut();
    breakable.channel.channel_error(&queue);
    let again = open(&*breakable.inner.connector);
    again.enqueue(&queue, ["back again"]);
    again.expect_messages(&queue, ["back again"]);
    assert_error!(breakable.channel.find_queue(&queue), Error::Disconnected { .. });
}

pub(crate) fn observers_receive_each_loss_and_the_next_connection_with_their_role(
    harness: &dyn Harness,
) {
    let fixture = CaseFixture::new(harness);
    let breakable = BreakableFixture::new(&fixture);
    let connector = &breakable.inner.connector;
    for role in [Role::Publish, Role::Consume] {
        connector.connect(role, DEADLINE).expect("a connection");
        connector.connect(role, DEADLINE).expect("a second connect");
        assert!(connector.status(role).connected, "{role}");
    }
    let events: Arc<Mutex<Vec<(Role, bool)>>> = Arc::default();
    let recorded = Arc::clone(&events);
    connector.observe(Arc::new(move |event: &Event| {
        let event = match event {
            Event::Connected { role } => (*role, true),
            Event::Disconnected { role, .. } => (*role, false),
            _ => return,
        };
        recorded.lock().expect("no code panics with this lock held").push(event);
    }));
    breakable.cut();
    for role in [Role::Publish, Role::Consume] {
        eventually("the status shows the loss", || !connector.status(role).connected);
        connector.connect(role, DEADLINE).expect("a connection after the loss");
    }
    eventually("the observer receives four events", || {
        events.lock().expect("no code panics with this lock held").len() == 4
    });
    let events = events.lock().expect("no code panics with this lock held").clone();
    for role in [Role::Publish, Role::Consume] {
        let of_role: Vec<bool> = events
            .iter()
            .filter(|(event, _)| *event == role)
            .map(|(_, connected)| *connected)
            .collect();
        assert_eq!(of_role, [false, true], "{role}: {events:?}");
    }
}

pub(crate) fn a_connector_returns_its_endpoint_until_closed(harness: &dyn Harness) {
    let connector = harness.connect();
    assert!(!connector.endpoint().is_empty());
    connector.close(DEADLINE).expect("close");
    assert_error!(connector.connect(Role::Publish, DEADLINE), Error::Closed { .. });
    assert!(!connector.status(Role::Publish).connected);
}

pub(crate) fn an_old_delivery_cannot_be_settled_on_a_new_channel(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    fixture.channel.enqueue(&queue, ["a", "b"]);
    let breakable = BreakableFixture::new(&fixture);
    let old = breakable.channel.get_delivery(&queue);
    breakable.cut();
    breakable.channel.channel_error(&queue);
    let again = open(&*breakable.inner.connector);
    fixture.channel.expect_ready(&queue, 2);
    again.get_delivery(&queue);
    assert_error!(breakable.channel.ack(old.tag, Extent::UpTo), Error::Stale { .. });
    again.close_channel();
    fixture.channel.expect_messages(&queue, ["a", "b"]);
}

pub(crate) fn a_channel_of_a_lost_connection_can_be_closed(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let breakable = BreakableFixture::new(&fixture);
    breakable.cut();
    breakable.channel.channel_error(&queue);
    breakable.channel.close_channel();
}

pub(crate) fn a_lost_connector_can_be_closed(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let breakable = BreakableFixture::new(&fixture);
    breakable.cut();
    breakable.inner.connector.close(DEADLINE).expect("close");
    assert_error!(
        breakable.inner.connector.open(&ChannelOptions::publish(), DEADLINE),
        Error::Closed { .. }
    );
}

pub(crate) fn an_exclusive_queue_is_deleted_with_a_lost_connection(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue_name();
    let breakable = BreakableFixture::new(&fixture);
    breakable.channel.declare_queue(&Queue::new(&queue).transient().exclusive()).expect("declare");
    breakable.cut();
    eventually("the queue is deleted", || {
        matches!(fixture.open().find_queue(&queue), Err(Error::NotFound { .. }))
    });
}

pub(crate) fn a_confirm_received_before_the_loss_is_returned(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let breakable = BreakableFixture::new(&fixture);
    let early = breakable.channel.publish_content(Content::new("", &*queue, "x"));
    let late = breakable.channel.publish_content(Content::new("", &*queue, "y"));
    assert_eq!(breakable.channel.outcome(late), Outcome::Accepted);
    breakable.channel.round_trip(&queue);
    breakable.cut();
    breakable.channel.channel_error(&queue);
    assert_eq!(breakable.channel.outcome(early), Outcome::Accepted);
}

const SECRET: &str = "a new secret";
const REASON: &str = "a test";

pub(crate) fn a_secret_update_without_the_capability_is_invalid_and_keeps_the_connection(
    harness: &dyn Harness,
) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let updated = fixture.connector.update_secret(SECRET, REASON, DEADLINE);
    if fixture.connector.capabilities().secret_updates {
        updated.expect("update_secret");
    } else {
        assert_error!(updated, Error::Invalid { .. });
    }
    fixture.channel.enqueue(&queue, ["x"]);
    fixture.channel.expect_messages(&queue, ["x"]);
}

pub(crate) fn a_secret_update_keeps_channels_and_unsettled_deliveries(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    assert!(fixture.connector.capabilities().secret_updates, "the capability secret_updates");
    let queue = fixture.queue();
    fixture.channel.enqueue(&queue, ["first", "second"]);
    let delivery = fixture.channel.get_delivery(&queue);
    for _ in 0..3 {
        fixture.connector.update_secret(SECRET, REASON, DEADLINE).expect("update_secret");
    }
    fixture.channel.ack(delivery.tag, Extent::One).expect("ack");
    fixture.channel.expect_messages(&queue, ["second"]);
}

pub(crate) fn a_secret_update_without_a_connection_does_nothing(harness: &dyn Harness) {
    let connector = harness.connect();
    connector.update_secret(SECRET, REASON, DEADLINE).expect("update_secret");
    assert!(!connector.status(Role::Publish).connected, "an update opens no connection");
    assert!(!connector.status(Role::Consume).connected, "an update opens no connection");
}

pub(crate) fn a_secret_update_of_a_closed_connector_fails(harness: &dyn Harness) {
    let connector = harness.connect();
    open(&*connector);
    connector.close(DEADLINE).expect("close");
    assert_error!(connector.update_secret(SECRET, REASON, DEADLINE), Error::Closed { .. });
}
