#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::time::Duration;

use amiquip::AmqpProperties;
use crossbeam_channel::{Sender, unbounded};

use super::*;

const LONG: Duration = Duration::from_secs(10);

struct Broker {
    confirms: Arc<Confirms>,
    returns: Sender<Return>,
}

impl Broker {
    fn ack(&self, tag: u64, multiple: bool) {
        self.confirms.take([Answer::Confirm(Confirm { tag, multiple, refused: false })]);
    }

    fn nack(&self, tag: u64, multiple: bool) {
        self.confirms.take([Answer::Confirm(Confirm { tag, multiple, refused: true })]);
    }

    fn give_back(&self, content: &Content) {
        self.returns.send(give_back(content)).unwrap();
        self.confirms.take([Answer::Return]);
    }
}

fn give_back(content: &Content) -> Return {
    let mut properties = AmqpProperties::default();
    if let Some(id) = content.properties.message_id() {
        properties = properties.with_message_id(id.to_string());
    }
    Return {
        reply_code: 312,
        reply_text: "NO_ROUTE".into(),
        exchange: content.exchange.to_string(),
        routing_key: content.routing_key.to_string(),
        content: content.body.to_vec(),
        properties,
    }
}

fn pair() -> (Broker, Arc<Confirms>) {
    channel(true)
}

fn channel(confirming: bool) -> (Broker, Arc<Confirms>) {
    let (returns, returned) = unbounded();
    let confirms = Arc::new(Confirms::new(confirming, returned, Arc::default()));
    confirms.issued.store(1_000_000, Ordering::SeqCst);
    (Broker { confirms: Arc::clone(&confirms), returns }, confirms)
}

fn now(confirms: &Confirms, tag: u64) -> Result<Outcome, NoOutcome> {
    confirms.wait(tag, Instant::now())
}

fn returned() -> Result<Outcome, NoOutcome> {
    Ok(Outcome::Returned { code: 312, text: "NO_ROUTE".into() })
}

#[test]
fn a_nack_stays_a_nack_under_a_later_multiple_ack() {
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
fn a_multiple_nack_spares_what_was_accepted_before() {
    let (broker, confirms) = pair();
    broker.ack(2, false);
    broker.nack(3, true);
    assert_eq!(now(&confirms, 1), Ok(Outcome::Refused));
    assert_eq!(now(&confirms, 2), Ok(Outcome::Accepted));
    assert_eq!(now(&confirms, 3), Ok(Outcome::Refused));
}

#[test]
fn answers_to_what_was_never_asked_do_no_harm() {
    let (broker, confirms) = pair();
    confirms.issued.store(2, Ordering::SeqCst);
    broker.nack(u64::MAX, true);
    broker.ack(0, true);
    assert_eq!(now(&confirms, 2), Err(NoOutcome::Late));
    assert_eq!(now(&confirms, 3), Err(NoOutcome::Late));
}

#[test]
fn answers_may_come_and_be_asked_for_in_any_order() {
    let (broker, confirms) = pair();
    for tag in [4, 2, 5, 1, 3] {
        broker.ack(tag, false);
    }
    for tag in [5, 1, 4, 2, 3] {
        assert_eq!(now(&confirms, tag), Ok(Outcome::Accepted));
    }
}

#[test]
fn a_return_meets_its_message_by_id_or_by_content() {
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
    assert!(confirms.lock().answers.mandatory.is_empty());
}

#[test]
fn what_was_known_outlives_the_channel_and_nothing_else_does() {
    let (broker, confirms) = pair();
    broker.ack(1, false);
    broker.nack(2, false);
    confirms.end();
    assert_eq!(now(&confirms, 3), Err(NoOutcome::ChannelGone));
    assert_eq!(now(&confirms, 1), Ok(Outcome::Accepted));
    assert_eq!(now(&confirms, 2), Ok(Outcome::Refused));
}

#[test]
fn each_of_many_threads_gets_its_own_answer() {
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
    let state = confirms.lock();
    assert!(state.waiting.is_empty() && state.answers.notable.is_empty());
}

#[test]
fn who_waited_is_likely_to_send_as_much_as_was_answered() {
    let (_broker, confirms) = pair();
    let confirm =
        |tag, multiple| confirms.take([Answer::Confirm(Confirm { tag, multiple, refused: false })]);
    assert_eq!(confirm(10, true), 0, "nobody waits");
    thread::scope(|scope| {
        let waiter = scope.spawn(|| confirms.wait(15, Instant::now() + LONG));
        while confirms.lock().waiting.is_empty() {
            thread::yield_now();
        }
        assert_eq!(confirm(14, false), 0, "nobody waits for this one");
        assert_eq!(confirm(20, true), 9, "11 to 20, of which 14 is known");
        waiter.join().unwrap().unwrap();
    });
}

#[test]
fn waiting_threads_all_hear_of_the_end() {
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
            assert_eq!(waiter.join().unwrap(), Err(NoOutcome::ChannelGone));
        }
    });
}

#[test]
fn who_waits_too_long_is_not_remembered() {
    let (broker, confirms) = pair();
    assert_eq!(confirms.wait(1, Instant::now() + Duration::from_millis(1)), Err(NoOutcome::Late));
    assert!(confirms.lock().waiting.is_empty());
    broker.ack(1, false);
    assert_eq!(now(&confirms, 1), Ok(Outcome::Accepted));
}

#[test]
fn answers_that_nobody_asks_for_take_bounded_room_and_are_never_taken_for_acceptance() {
    let (broker, confirms) = pair();
    let last = 3 * KEPT as u64;
    for tag in 1..=last {
        broker.nack(tag, false);
    }
    assert_eq!(now(&confirms, last), Ok(Outcome::Refused));
    assert_eq!(now(&confirms, 1), Err(NoOutcome::Forgotten));
    assert!(confirms.lock().answers.notable.len() <= KEPT);
}

#[test]
fn returns_that_nobody_asks_for_take_no_room() {
    let (broker, confirms) = channel(false);
    for _ in 0..10 {
        broker.give_back(&Content::new("e", "k", "x"));
        assert!(confirms.returns.is_empty());
    }
}

#[test]
fn a_return_is_not_taken_for_one_that_was_confirmed_before_it() {
    let (broker, confirms) = pair();
    confirms.issued.store(0, Ordering::SeqCst);
    let content = Arc::new(Content::new("e", "k", "x"));
    assert_eq!([1, 2].map(|_| confirms.issue(&content, true)), [1, 2]);
    let confirm = |tag| Answer::Confirm(Confirm { tag, multiple: false, refused: false });
    // All of it is read, and handed over, before any of it is told.
    broker.returns.send(give_back(&content)).unwrap();
    confirms.take([confirm(1), Answer::Return, confirm(2)]);
    assert_eq!(now(&confirms, 1), Ok(Outcome::Accepted));
    assert_eq!(now(&confirms, 2), returned());
}

#[test]
fn what_has_no_answer_is_counted() {
    let (broker, confirms) = pair();
    confirms.issued.store(9, Ordering::SeqCst);
    broker.ack(3, true);
    broker.nack(6, false);
    broker.ack(6, true);
    assert_eq!(confirms.unconfirmed(), 3);
    broker.ack(9, true);
    assert_eq!(confirms.unconfirmed(), 0);
    // Without confirms nobody knows, so any message may be the one that was refused.
    let (_broker, silent) = channel(false);
    assert_eq!(silent.unconfirmed(), 1);
    silent.issued.store(0, Ordering::SeqCst);
    assert_eq!(silent.unconfirmed(), 0);
}
