#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::time::Duration;

use carrot_amqp_wire::{BasicReturn, FramePart, FrameReader, FrameWriter, PropertiesRef};
use carrot_core::backend::BufferPool;

use super::*;
use crate::channel::assembler::{Announced, Assembler};

const LONG: Duration = Duration::from_secs(10);

struct Broker {
    confirms: Arc<Confirms>,
}

impl Broker {
    fn ack(&self, tag: u64, multiple: bool) {
        self.confirms.confirm(&[Confirm { tag, multiple, refused: false }]);
    }

    fn nack(&self, tag: u64, multiple: bool) {
        self.confirms.confirm(&[Confirm { tag, multiple, refused: true }]);
    }

    fn give_back(&self, content: &Content) {
        let properties = PropertiesRef::from(&content.properties);
        let head = head_of(content, &properties);
        self.confirms.returned(312, "NO_ROUTE".into(), &head, &content.body);
    }
}

/// Returns the head of a message as the assembler reads it.
fn head_of(content: &Content, properties: &PropertiesRef<'_>) -> MessageHead {
    let mut octets = Vec::new();
    let mut writer = FrameWriter::new(&mut octets, 1, 131_072);
    writer.content_heads(&BasicReturn::default().into(), properties, 0).unwrap();
    let mut reader = FrameReader::for_client(131_072);
    let mut rest = &octets[..];
    reader.read(&mut rest).unwrap();
    let Some(FramePart::Frame(frame)) = reader.read(&mut rest).unwrap() else { panic!() };
    let mut assembler = Assembler::new(Arc::new(BufferPool::new()));
    let (exchange, key) = ((&content.exchange).into(), (&content.routing_key).into());
    assembler.announce(Announced::Unwanted, exchange, key).unwrap();
    assembler.header(frame.payload).unwrap().unwrap().head
}

fn pair() -> (Broker, Arc<Confirms>) {
    channel(true)
}

fn channel(is_confirming: bool) -> (Broker, Arc<Confirms>) {
    let confirms = Arc::new(Confirms::new(is_confirming));
    confirms.issued.store(1_000_000, Ordering::SeqCst);
    (Broker { confirms: Arc::clone(&confirms) }, confirms)
}

fn now(confirms: &Confirms, tag: u64) -> Result<Outcome, NoOutcome> {
    confirms.wait(tag, Instant::now())
}

fn returned() -> Result<Outcome, NoOutcome> {
    Ok(Outcome::Returned { code: 312, text: "NO_ROUTE".into() })
}

#[test]
fn a_nack_before_a_multiple_ack_stays_a_nack() {
    let (broker, confirms) = pair();
    broker.nack(3, false);
    broker.ack(5, true);
    let outcomes: Vec<_> = (1..=6).map(|tag| now(&confirms, tag)).collect();
    let accepted = || Ok(Outcome::Accepted);
    let expected = [
        accepted(),
        accepted(),
        Ok(Outcome::Refused),
        accepted(),
        accepted(),
        Err(NoOutcome::Late),
    ];
    assert_eq!(outcomes, expected);
}

#[test]
fn a_multiple_nack_excludes_accepted_messages() {
    let (broker, confirms) = pair();
    broker.ack(2, false);
    broker.nack(3, true);
    assert_eq!(now(&confirms, 1), Ok(Outcome::Refused));
    assert_eq!(now(&confirms, 2), Ok(Outcome::Accepted));
    assert_eq!(now(&confirms, 3), Ok(Outcome::Refused));
}

#[test]
fn confirms_of_unknown_tags_are_ignored() {
    let (broker, confirms) = pair();
    confirms.issued.store(2, Ordering::SeqCst);
    broker.nack(u64::MAX, true);
    broker.ack(0, false);
    assert_eq!(now(&confirms, 2), Err(NoOutcome::Late));
    assert_eq!(now(&confirms, 3), Err(NoOutcome::Late));
}

#[test]
fn confirms_arrive_and_are_taken_in_any_order() {
    let (broker, confirms) = pair();
    for tag in [4, 2, 5, 1, 3] {
        broker.ack(tag, false);
    }
    for tag in [5, 1, 4, 2, 3] {
        assert_eq!(now(&confirms, tag), Ok(Outcome::Accepted));
    }
}

#[test]
fn a_return_is_matched_by_id_or_by_content() {
    let (broker, confirms) = pair();
    let with_id = |id: &str| {
        Arc::new(
            Content::new("e", "k", "x")
                .with_properties(carrot_core::Properties::new().with_message_id(id)),
        )
    };
    let plain = |body: &str| Arc::new(Content::new("e", "k", body));
    let contents = [with_id("a"), with_id("b"), plain("x"), plain("y"), plain("y")];
    confirms.issued.store(0, Ordering::SeqCst);
    for (tag, content) in (1..).zip(&contents) {
        assert_eq!(confirms.issue(content, true), tag);
    }
    broker.give_back(&contents[1]);
    broker.give_back(&contents[3]);
    broker.ack(3, true);
    broker.give_back(&contents[4]);
    broker.ack(5, true);
    assert_eq!(now(&confirms, 1), Ok(Outcome::Accepted));
    assert_eq!(now(&confirms, 2), returned());
    assert_eq!(now(&confirms, 3), Ok(Outcome::Accepted));
    assert_eq!(now(&confirms, 4), returned());
    assert_eq!(now(&confirms, 5), returned());
    assert!(lock(&confirms.state).answers.mandatory.is_empty());
}

#[test]
fn known_outcomes_are_returned_after_the_channel_has_ended() {
    let (broker, confirms) = pair();
    broker.ack(1, false);
    broker.nack(2, false);
    confirms.end();
    assert_eq!(now(&confirms, 3), Err(NoOutcome::ChannelEnded));
    assert_eq!(now(&confirms, 1), Ok(Outcome::Accepted));
    assert_eq!(now(&confirms, 2), Ok(Outcome::Refused));
}

#[test]
fn each_of_many_threads_receives_its_own_outcome() {
    const THREADS: u64 = 16;
    const EACH: u64 = 500;
    let (broker, confirms) = pair();
    let late = Instant::now() + LONG;
    thread::scope(|scope| {
        for first in 1..=THREADS {
            let confirms = &confirms;
            scope.spawn(move || {
                for tag in (first..=THREADS * EACH).step_by(THREADS as usize) {
                    let expected = if tag % 5 == 0 { Outcome::Refused } else { Outcome::Accepted };
                    assert_eq!(confirms.wait(tag, late), Ok(expected));
                }
            });
        }
        for tag in 1..=THREADS * EACH {
            if tag % 5 == 0 { broker.nack(tag, false) } else { broker.ack(tag, tag % 3 == 0) }
        }
    });
    assert!(Instant::now() < late);
    let state = lock(&confirms.state);
    assert!(state.waiting.is_empty() && state.answers.notable.is_empty());
}

#[test]
fn a_confirm_for_a_waiting_thread_counts_the_answered_messages() {
    let (_broker, confirms) = pair();
    let confirm = |tag, multiple| confirms.confirm(&[Confirm { tag, multiple, refused: false }]);
    assert_eq!(confirm(10, true), 0, "nobody waits");
    thread::scope(|scope| {
        let waiter = scope.spawn(|| confirms.wait(15, Instant::now() + LONG));
        while lock(&confirms.state).waiting.is_empty() {
            thread::yield_now();
        }
        assert_eq!(confirm(14, false), 0, "nobody waits for this one");
        assert_eq!(confirm(20, true), 9, "11 to 20, of which 14 is known");
        waiter.join().unwrap().unwrap();
    });
}

#[test]
fn the_end_wakes_every_waiting_thread() {
    let (_broker, confirms) = pair();
    let late = Instant::now() + LONG;
    thread::scope(|scope| {
        let waiting: Vec<_> = (1..=8)
            .map(|tag| {
                scope.spawn({
                    let confirms = &confirms;
                    move || confirms.wait(tag, late)
                })
            })
            .collect();
        confirms.end();
        for waiter in waiting {
            assert_eq!(waiter.join().unwrap(), Err(NoOutcome::ChannelEnded));
        }
    });
}

#[test]
fn a_wait_that_timed_out_leaves_nothing_behind() {
    let (broker, confirms) = pair();
    assert_eq!(confirms.wait(1, Instant::now() + Duration::from_millis(1)), Err(NoOutcome::Late));
    assert!(lock(&confirms.state).waiting.is_empty());
    broker.ack(1, false);
    assert_eq!(now(&confirms, 1), Ok(Outcome::Accepted));
}

#[test]
fn outcomes_without_a_caller_are_bounded_and_never_taken_as_accepted() {
    let (broker, confirms) = pair();
    let last = 3 * KEPT as u64;
    for tag in 1..=last {
        broker.nack(tag, false);
    }
    assert_eq!(now(&confirms, last), Ok(Outcome::Refused));
    assert_eq!(now(&confirms, 1), Err(NoOutcome::Forgotten));
    assert!(lock(&confirms.state).answers.notable.len() <= KEPT);
}

#[test]
fn a_return_without_confirms_is_dropped() {
    let (broker, confirms) = channel(false);
    broker.give_back(&Content::new("e", "k", "x"));
    assert!(lock(&confirms.state).answers.notable.is_empty());
}

#[test]
fn a_return_is_not_taken_for_a_message_that_was_confirmed_before_it() {
    let (broker, confirms) = pair();
    confirms.issued.store(0, Ordering::SeqCst);
    let content = Arc::new(Content::new("e", "k", "x"));
    assert_eq!([1, 2].map(|_| confirms.issue(&content, true)), [1, 2]);
    broker.ack(1, false);
    broker.give_back(&content);
    broker.ack(2, false);
    assert_eq!(now(&confirms, 1), Ok(Outcome::Accepted));
    assert_eq!(now(&confirms, 2), returned());
}

#[test]
fn a_multiple_confirm_of_tag_zero_means_all() {
    let (broker, confirms) = pair();
    confirms.issued.store(3, Ordering::SeqCst);
    broker.nack(2, false);
    broker.ack(0, true);
    let outcomes = [1, 2, 3, 4].map(|tag| now(&confirms, tag));
    let accepted = || Ok(Outcome::Accepted);
    assert_eq!(outcomes, [accepted(), Ok(Outcome::Refused), accepted(), Err(NoOutcome::Late)]);
    assert_eq!(confirms.unconfirmed(), 0);
}

#[test]
fn messages_without_an_answer_are_counted() {
    let (broker, confirms) = pair();
    confirms.issued.store(9, Ordering::SeqCst);
    broker.ack(3, true);
    broker.nack(6, false);
    broker.ack(6, true);
    assert_eq!(confirms.unconfirmed(), 3);
    broker.ack(9, true);
    assert_eq!(confirms.unconfirmed(), 0);
    // Without confirms, any message may be the one that the broker refused.
    let (_broker, silent) = channel(false);
    assert_eq!(silent.unconfirmed(), 1);
    silent.issued.store(0, Ordering::SeqCst);
    assert_eq!(silent.unconfirmed(), 0);
}
