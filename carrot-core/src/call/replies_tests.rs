#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use super::*;
use crate::backend::{ArrivedDeliveries, Content, DeliveryTag};
use crate::model::Properties;

const SOON: Duration = Duration::from_secs(10);

/// A subscription whose deliveries and errors come from the test.
#[derive(Debug)]
struct Scripted(Mutex<Receiver<Result<Option<Delivery>>>>);

impl Subscription for Scripted {
    fn next(&self, _: Duration) -> Result<Option<Delivery>> {
        self.0.lock().unwrap().recv().unwrap_or_else(|_| Err(Error::closed("script")))
    }
    fn arrived(&self) -> ArrivedDeliveries {
        ArrivedDeliveries::default()
    }
    fn cancel(&self, _: Duration) -> Result<()> {
        Ok(())
    }
}

fn replies() -> (Replies, Sender<Result<Option<Delivery>>>) {
    let (sender, receiver) = channel();
    (Replies::new(Box::new(Scripted(Mutex::new(receiver))), "address".into()), sender)
}

fn reply(id: &str, body: &str) -> Delivery {
    let properties = Properties::new().with_correlation_id(id);
    Delivery::new(
        DeliveryTag(1),
        Arc::new(Content::new("", "address", body).with_properties(properties)),
    )
}

#[test]
fn replies_reach_their_calls_in_any_order() {
    let (replies, sender) = replies();
    let one = replies.register(&"1".into()).unwrap();
    let two = replies.register(&"2".into()).unwrap();
    for (id, body) in [("2", "second"), ("unknown", "x"), ("1", "first"), ("1", "again")] {
        sender.send(Ok(Some(reply(id, body)))).unwrap();
    }
    let unidentified = Delivery::new(DeliveryTag(1), Arc::new(Content::new("", "address", "x")));
    sender.send(Ok(Some(unidentified))).unwrap();
    drop(sender);
    assert_eq!(replies.receive(SOON), Received::Lost);
    let body =
        |call: &WaitingCall<'_>| call.wait(Instant::now()).unwrap().unwrap().content.body.clone();
    assert_eq!((body(&one), body(&two)), ("first".into(), "second".into()));
    assert_eq!(replies.lock().dropped, 3);
}

#[test]
fn replies_after_the_call_are_dropped() {
    let (replies, sender) = replies();
    drop(replies.register(&"1".into()).unwrap());
    sender.send(Ok(Some(reply("1", "late")))).unwrap();
    drop(sender);
    replies.receive(SOON);
    let state = replies.lock();
    assert_eq!((state.dropped, state.calls.len()), (1, 0));
}

#[test]
fn receiving_ends_only_without_calls() {
    let (replies, sender) = replies();
    let call = replies.register(&"1".into()).unwrap();
    assert!(replies.needs_receiver() && !replies.needs_receiver());
    thread::scope(|scope| {
        let receiving = scope.spawn(|| replies.receive(SOON));
        sender.send(Ok(None)).unwrap();
        sender.send(Ok(Some(reply("1", "answer")))).unwrap();
        call.wait(Instant::now() + SOON).unwrap().unwrap();
        drop(call);
        sender.send(Ok(None)).unwrap();
        assert_eq!(receiving.join().unwrap(), Received::Idle);
    });
    assert!(matches!(replies.register(&"2".into()), Err(Error::Closed { .. })));
}

#[test]
fn a_lost_channel_ends_every_call() {
    let (replies, sender) = replies();
    let calls = ["1", "2"].map(|id| replies.register(&id.into()).unwrap());
    sender.send(Err(Error::disconnected("cut"))).unwrap();
    assert_eq!(replies.receive(SOON), Received::Lost);
    for call in &calls {
        assert!(matches!(call.wait(Instant::now()), Some(Err(Error::Disconnected { .. }))));
    }
    assert!(matches!(replies.register(&"3".into()), Err(Error::Disconnected { .. })));
}

#[test]
fn only_a_single_unconfirmed_call_is_a_suspect() {
    let (replies, _sender) = replies();
    let mut one = replies.register(&"1".into()).unwrap();
    let two = replies.register(&"2".into()).unwrap();
    one.confirmed();
    assert!(two.is_only_suspect());

    let (replies, _sender) = self::replies();
    let [one, two] = ["1", "2"].map(|id| replies.register(&id.into()).unwrap());
    assert!(!one.is_only_suspect());
    drop(one);
    assert!(!two.is_only_suspect());
}
