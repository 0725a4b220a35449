use std::thread;
use std::time::Duration;

use carrot_core::backend::{
    Backend, ChannelOptions, ConsumeOptions, Content, Outcome, PublishTag, Role,
};
use carrot_core::{Error, Queue};

use crate::tests::observers::Heard;
use crate::tests::{BrokerFixture, SOON, arrived, open, post, returned};

const MOMENT: Duration = Duration::from_millis(10);

fn blocked() -> BrokerFixture {
    let fixture = BrokerFixture::with_queue(&Queue::new("q"));
    fixture.broker.faults().block_publishers("low on memory");
    fixture
}

fn message(body: &str) -> Content {
    Content::new("", "q", body)
}

fn confirmed(channel: &dyn Backend, tag: PublishTag) -> Outcome {
    channel.confirm(tag, SOON).unwrap()
}

#[test]
fn publications_while_blocked_are_confirmed_in_order_afterwards() {
    let fixture = blocked();
    let other = fixture.open();
    let tags = [
        post(&*fixture.channel, message("1")),
        post(&*fixture.channel, Content::new("amq.direct", "nowhere", "2")),
    ];
    let third = post(&*other, message("3"));
    let fourth = post(&*fixture.channel, message("4"));
    assert!(fixture.ready("q").is_empty());
    for tag in tags {
        let late = fixture.channel.confirm(tag, MOMENT);
        assert!(
            matches!(&late, Err(Error::Blocked { reason }) if reason == "low on memory"),
            "{late:?}"
        );
    }
    thread::scope(|scope| {
        let waiting = scope.spawn(|| fixture.channel.confirm(fourth, SOON));
        fixture.broker.faults().unblock_publishers();
        assert_eq!(waiting.join().unwrap().unwrap(), Outcome::Accepted);
    });
    assert_eq!(tags.map(|tag| confirmed(&*fixture.channel, tag)), [Outcome::Accepted, returned()]);
    assert_eq!(confirmed(&*other, third), Outcome::Accepted);
    assert_eq!(fixture.send("", "q", "5"), Outcome::Accepted);
    assert_eq!(fixture.ready("q"), ["1", "3", "4", "5"]);
}

#[test]
fn alarm_is_reported_at_the_next_publication() {
    let fixture = blocked();
    let heard = Heard::of(&*fixture.connector);
    assert_eq!(fixture.connector.status(Role::Publish).blocked, None);
    let tag = post(&*fixture.channel, message("m"));
    post(&*fixture.channel, message("m"));
    assert_eq!(heard.take(), ["blocked: low on memory"]);
    assert_eq!(fixture.connector.status(Role::Publish).blocked.as_deref(), Some("low on memory"));
    fixture.broker.faults().clear();
    assert_eq!(heard.take(), ["unblocked"]);
    assert_eq!(fixture.connector.status(Role::Publish).blocked, None);
    assert_eq!(confirmed(&*fixture.channel, tag), Outcome::Accepted);
}

#[test]
fn alarm_without_a_publication_is_not_reported() {
    let fixture = blocked();
    let heard = Heard::of(&*fixture.connector);
    fixture.broker.faults().unblock_publishers().unblock_publishers();
    assert!(heard.take().is_empty());
    assert_eq!(fixture.send("", "q", "m"), Outcome::Accepted);
}

#[test]
fn empty_message_first_after_alarm_is_accepted() {
    let fixture = blocked();
    let heard = Heard::of(&*fixture.connector);
    assert_eq!(fixture.send("", "q", ""), Outcome::Accepted);
    assert_eq!(heard.take(), ["blocked: low on memory"]);
    post(&*fixture.channel, message(""));
    assert_eq!(fixture.ready("q").len(), 1);
}

#[test]
fn connection_opened_during_alarm_is_blocked() {
    let fixture = blocked();
    let stranger = fixture.stranger();
    let tag = post(&*stranger, message("m"));
    assert!(matches!(stranger.confirm(tag, MOMENT), Err(Error::Blocked { .. })));
    fixture.broker.faults().unblock_publishers();
    assert_eq!(confirmed(&*stranger, tag), Outcome::Accepted);
}

#[test]
fn publications_of_connection_lost_while_blocked_are_lost() {
    let fixture = blocked();
    let heard = Heard::of(&*fixture.connector);
    let tag = post(&*fixture.channel, message("lost"));
    fixture.broker.faults().drop_connections().unblock_publishers();
    assert!(matches!(fixture.channel.confirm(tag, SOON), Err(Error::Disconnected { .. })));
    assert_eq!(heard.take(), ["blocked: low on memory", "disconnected"]);
    assert!(fixture.ready("q").is_empty());
}

#[test]
fn refused_publication_while_blocked_fails_when_read() {
    let fixture = blocked();
    let first = post(&*fixture.channel, Content::new("missing", "", "m"));
    let second = post(&*fixture.channel, message("after it"));
    assert!(matches!(fixture.channel.confirm(first, MOMENT), Err(Error::Blocked { .. })));
    fixture.broker.faults().unblock_publishers();
    for tag in [first, second] {
        assert!(matches!(fixture.channel.confirm(tag, SOON), Err(Error::NotFound { .. })));
    }
    assert!(fixture.ready("q").is_empty());
}

#[test]
fn close_while_blocked_waits_for_held_publications() {
    let fixture = blocked();
    let stranger = fixture.broker.connector();
    let other = open(&*stranger);
    post(&*fixture.channel, message("1"));
    post(&*fixture.open(), message("2"));
    post(&*other, message("lost"));
    assert!(matches!(fixture.channel.close(MOMENT), Err(Error::Timeout { .. })));
    assert!(matches!(stranger.close(MOMENT), Err(Error::Timeout { .. })));
    thread::scope(|scope| {
        let closing = scope.spawn(|| fixture.connector.close(SOON));
        fixture.broker.faults().unblock_publishers();
        closing.join().unwrap().unwrap();
    });
    assert_eq!(fixture.ready("q"), ["1", "2"]);
}

#[test]
fn consumers_during_alarm_are_served() {
    let fixture = blocked();
    let channel = fixture.connector.open(&ChannelOptions::consume(), SOON).unwrap();
    let subscription = channel.consume("q", &ConsumeOptions::default(), SOON).unwrap();
    fixture.broker.put("q", message("m")).unwrap();
    assert_eq!(arrived(&*subscription), ["m"]);
}

#[test]
fn publications_of_several_threads_keep_order_across_alarms() {
    let fixture = BrokerFixture::with_queue(&Queue::new("q"));
    thread::scope(|scope| {
        let publishing: Vec<_> = (0..3)
            .map(|thread| {
                let channel = fixture.open();
                scope.spawn(move || {
                    let tags: Vec<PublishTag> = (0..300)
                        .map(|number| post(&*channel, message(&format!("{thread} {number}"))))
                        .collect();
                    (channel, tags)
                })
            })
            .collect();
        for _ in 0..20 {
            fixture.broker.faults().block_publishers("again");
            thread::yield_now();
            fixture.broker.faults().unblock_publishers();
        }
        for (channel, tags) in publishing.into_iter().map(|thread| thread.join().unwrap()) {
            tags.into_iter()
                .for_each(|tag| assert_eq!(confirmed(&*channel, tag), Outcome::Accepted));
        }
    });
    let ready = fixture.ready("q");
    for thread in ["0 ", "1 ", "2 "] {
        let numbers: Vec<u32> =
            ready.iter().filter_map(|body| body.strip_prefix(thread)?.parse().ok()).collect();
        assert_eq!(numbers, (0..300).collect::<Vec<u32>>());
    }
}
