use std::thread;
use std::time::Duration;

use carrot_core::backend::{
    Backend, ChannelOptions, ConsumeOptions, Content, Outcome, PublishTag, Role,
};
use carrot_core::{Error, Queue};

use super::observers::Heard;
use super::{Fixture, SOON, arrived, open, post, returned};

const MOMENT: Duration = Duration::from_millis(10);

fn blocked() -> Fixture {
    let fixture = Fixture::with_queue(&Queue::new("q"));
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
fn what_is_published_while_blocked_is_taken_and_confirmed_in_order_afterwards() {
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
fn a_connection_learns_of_the_alarm_by_its_next_publication() {
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
fn a_connection_that_published_nothing_hears_nothing_of_the_alarm() {
    let fixture = blocked();
    let heard = Heard::of(&*fixture.connector);
    fixture.broker.faults().unblock_publishers().unblock_publishers();
    assert!(heard.take().is_empty());
    assert_eq!(fixture.send("", "q", "m"), Outcome::Accepted);
}

#[test]
fn an_empty_message_that_meets_the_alarm_first_is_still_taken() {
    let fixture = blocked();
    let heard = Heard::of(&*fixture.connector);
    assert_eq!(fixture.send("", "q", ""), Outcome::Accepted);
    assert_eq!(heard.take(), ["blocked: low on memory"]);
    post(&*fixture.channel, message(""));
    assert_eq!(fixture.ready("q").len(), 1);
}

#[test]
fn a_connection_opened_under_the_alarm_is_blocked_too() {
    let fixture = blocked();
    let stranger = fixture.stranger();
    let tag = post(&*stranger, message("m"));
    assert!(matches!(stranger.confirm(tag, MOMENT), Err(Error::Blocked { .. })));
    fixture.broker.faults().unblock_publishers();
    assert_eq!(confirmed(&*stranger, tag), Outcome::Accepted);
}

#[test]
fn what_was_published_on_a_connection_that_is_cut_while_blocked_is_lost() {
    let fixture = blocked();
    let heard = Heard::of(&*fixture.connector);
    let tag = post(&*fixture.channel, message("lost"));
    fixture.broker.faults().drop_connections().unblock_publishers();
    assert!(matches!(fixture.channel.confirm(tag, SOON), Err(Error::Disconnected { .. })));
    assert_eq!(heard.take(), ["blocked: low on memory", "disconnected"]);
    assert!(fixture.ready("q").is_empty());
}

#[test]
fn a_refusal_is_told_when_the_publication_is_read() {
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
fn closing_waits_for_what_was_not_read() {
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
fn consumers_are_served_under_an_alarm() {
    let fixture = blocked();
    let channel = fixture.connector.open(&ChannelOptions::consume(), SOON).unwrap();
    let subscription = channel.consume("q", &ConsumeOptions::default(), SOON).unwrap();
    fixture.broker.put("q", message("m")).unwrap();
    assert_eq!(arrived(&*subscription), ["m"]);
}

#[test]
fn publications_of_several_threads_keep_their_order_across_alarms() {
    let fixture = Fixture::with_queue(&Queue::new("q"));
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
