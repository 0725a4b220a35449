//! Connections that are lost.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::Breakable;
use crate::support::*;

/// A connector that can be cut, with an open channel; closed in the end.
struct Fragile {
    breakable: Breakable,
    channel: Arc<dyn Backend>,
}

impl Fragile {
    fn new(stage: &Stage<'_>) -> Fragile {
        let breakable = stage
            .harness
            .breakable()
            .expect("a harness with CutConnection gives breakable connectors");
        let channel = open(&*breakable.connector);
        Fragile { breakable, channel }
    }

    fn cut(&self) {
        (self.breakable.cut)();
    }
}

impl Drop for Fragile {
    fn drop(&mut self) {
        let _ = self.breakable.connector.close(DEADLINE);
    }
}

pub(crate) fn a_lost_connection_is_told_by_every_verb(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let fragile = Fragile::new(&stage);
    fragile.cut();
    assert!(matches!(fragile.channel.death(&queue), Error::Disconnected { .. }));
    let channel = &fragile.channel;
    let content = Arc::new(Content::new("", &*queue, "x"));
    assert_error!(channel.find_queue(&queue), Error::Disconnected { .. });
    assert_error!(channel.purge(&queue), Error::Disconnected { .. });
    assert_error!(
        channel.publish(&Publication { content: &content, mandatory: false }, DEADLINE),
        Error::Disconnected { .. }
    );
    assert_error!(channel.confirm(PublishTag(1), DEADLINE), Error::Disconnected { .. });
    assert_error!(channel.get(&queue, Acknowledgement::Manual), Error::Disconnected { .. });
    assert_error!(channel.consume(&queue, &ConsumeOptions::default()), Error::Disconnected { .. });
}

pub(crate) fn a_delivery_of_a_lost_connection_is_stale(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    stage.channel.put(&queue, ["x"]);
    let fragile = Fragile::new(&stage);
    let delivery = fragile.channel.take(&queue);
    fragile.cut();
    fragile.channel.death(&queue);
    match fragile.channel.ack(delivery.tag, Extent::One) {
        Err(Error::Stale { source: Some(cause) }) => {
            assert!(matches!(*cause, Error::Disconnected { .. }), "the cause is {cause:?}")
        }
        other => panic!("an ack after the loss gave {other:?}"),
    }
    assert_error!(
        fragile.channel.reject(delivery.tag, Rejection::Requeue, Extent::One),
        Error::Stale { .. }
    );
}

pub(crate) fn a_lost_connection_gives_back_what_it_held(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    stage.channel.put(&queue, ["a", "b", "c"]);
    let fragile = Fragile::new(&stage);
    fragile.channel.take(&queue);
    let subscription = fragile.channel.subscribe(&queue);
    subscription.expect("b");
    fragile.cut();
    stage.channel.expect_ready(&queue, 3);
    stage.channel.drain(&queue, ["a", "b", "c"]);
}

pub(crate) fn a_lost_connection_wakes_waiting_consumers(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let fragile = Fragile::new(&stage);
    let subscription = fragile.channel.subscribe(&queue);
    thread::scope(|scope| {
        let waiters: Vec<_> =
            (0..3).map(|_| scope.spawn(|| subscription.next(Duration::from_secs(60)))).collect();
        fragile.cut();
        for waiter in waiters {
            assert_error!(waiter.join().expect("the waiting thread"), Error::Disconnected { .. });
        }
    });
    assert_error!(subscription.next(Duration::ZERO), Error::Disconnected { .. });
}

pub(crate) fn every_channel_of_a_lost_connection_is_dead(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let fragile = Fragile::new(&stage);
    let other = open(&*fragile.breakable.connector);
    fragile.cut();
    assert!(matches!(other.death(&queue), Error::Disconnected { .. }));
    assert!(matches!(fragile.channel.death(&queue), Error::Disconnected { .. }));
}

pub(crate) fn a_lost_connection_leaves_the_others_alone(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let subscription = stage.channel.subscribe(&queue);
    let fragile = Fragile::new(&stage);
    fragile.cut();
    fragile.channel.death(&queue);
    stage.channel.put(&queue, ["x"]);
    subscription.expect("x");
}

pub(crate) fn a_lost_connector_can_be_opened_again(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let fragile = Fragile::new(&stage);
    fragile.cut();
    fragile.channel.death(&queue);
    let again = open(&*fragile.breakable.connector);
    again.put(&queue, ["back again"]);
    again.drain(&queue, ["back again"]);
    assert_error!(fragile.channel.find_queue(&queue), Error::Disconnected { .. });
}

pub(crate) fn a_loss_is_told_with_its_role_and_the_next_connection_after_it(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let fragile = Fragile::new(&stage);
    let connector = &fragile.breakable.connector;
    for role in [Role::Publish, Role::Consume] {
        connector.connect(role, DEADLINE).expect("a connection");
        connector.connect(role, DEADLINE).expect("connecting again does nothing");
        assert!(connector.status(role).connected, "{role}");
    }
    let told: Arc<Mutex<Vec<(Role, bool)>>> = Arc::default();
    let notes = Arc::clone(&told);
    connector.observe(Arc::new(move |event: &Event| {
        let note = match event {
            Event::Connected { role } => (*role, true),
            Event::Disconnected { role, .. } => (*role, false),
            _ => return,
        };
        notes.lock().expect("no code panics with this lock held").push(note);
    }));
    fragile.cut();
    for role in [Role::Publish, Role::Consume] {
        eventually("the loss shows", || !connector.status(role).connected);
        connector.connect(role, DEADLINE).expect("a connection after the loss");
    }
    eventually("all is told", || {
        told.lock().expect("no code panics with this lock held").len() == 4
    });
    let told = told.lock().expect("no code panics with this lock held").clone();
    for role in [Role::Publish, Role::Consume] {
        let of_role: Vec<bool> = told
            .iter()
            .filter(|(told, _)| *told == role)
            .map(|(_, connected)| *connected)
            .collect();
        assert_eq!(of_role, [false, true], "{role}: {told:?}");
    }
}

pub(crate) fn a_connector_tells_where_it_connects_to(harness: &dyn Harness) {
    let connector = harness.connect();
    assert!(!connector.endpoint().is_empty());
    connector.close(DEADLINE).expect("the closing");
    assert_error!(connector.connect(Role::Publish, DEADLINE), Error::Closed { .. });
    assert!(!connector.status(Role::Publish).connected);
}

pub(crate) fn an_old_delivery_cannot_be_settled_on_a_new_channel(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    stage.channel.put(&queue, ["a", "b"]);
    let fragile = Fragile::new(&stage);
    let old = fragile.channel.take(&queue);
    fragile.cut();
    fragile.channel.death(&queue);
    let again = open(&*fragile.breakable.connector);
    stage.channel.expect_ready(&queue, 2);
    again.take(&queue);
    assert_error!(fragile.channel.ack(old.tag, Extent::UpTo), Error::Stale { .. });
    again.shut();
    stage.channel.drain(&queue, ["a", "b"]);
}

pub(crate) fn a_channel_of_a_lost_connection_can_be_closed(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let fragile = Fragile::new(&stage);
    fragile.cut();
    fragile.channel.death(&queue);
    fragile.channel.shut();
}

pub(crate) fn a_lost_connector_can_be_closed(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let fragile = Fragile::new(&stage);
    fragile.cut();
    fragile.breakable.connector.close(DEADLINE).expect("close");
    assert_error!(
        fragile.breakable.connector.open(&ChannelOptions::publish(), DEADLINE),
        Error::Closed { .. }
    );
}

pub(crate) fn an_exclusive_queue_goes_with_a_lost_connection(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue_name();
    let fragile = Fragile::new(&stage);
    fragile.channel.declare_queue(&Queue::new(&queue).transient().exclusive()).expect("declare");
    fragile.cut();
    eventually("the queue to go", || {
        matches!(stage.open().find_queue(&queue), Err(Error::NotFound { .. }))
    });
}

pub(crate) fn a_confirm_that_was_known_before_the_loss_is_told(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let fragile = Fragile::new(&stage);
    let early = fragile.channel.post(Content::new("", &*queue, "x"));
    let late = fragile.channel.post(Content::new("", &*queue, "y"));
    assert_eq!(fragile.channel.outcome(late), Outcome::Accepted);
    fragile.channel.round_trip(&queue);
    fragile.cut();
    fragile.channel.death(&queue);
    assert_eq!(fragile.channel.outcome(early), Outcome::Accepted);
}
