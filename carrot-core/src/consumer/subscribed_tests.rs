#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use super::*;
use crate::backend::{
    ArrivedDeliveries, Capabilities, ChannelOptions, Clock, Connector, ConsumeOptions, Content,
    Declare, Delete, Deleted, Delivery, DeliveryTag, Event, Extent, Outcome, Publication,
    PublishTag, QueueInfo, Rejection, Role, Status,
};
use crate::codec::body_decoder::BodyDecoder;
use crate::config::ConnectionOptions;
use crate::consumer::failure::{FailurePolicy, FailureSettings};
use crate::error::Error;
use crate::model::Queue;
use crate::recovery::handle::ConnectionHandle;

/// A channel that records what is rejected, and does nothing else.
#[derive(Debug, Default)]
struct Fake(Mutex<Vec<(u64, Rejection)>>);

fn closed() -> Error {
    Error::closed("fake")
}

impl Backend for Fake {
    fn declare(&self, _: Declare<'_>, _timeout: Duration) -> Result<QueueInfo> {
        Err(closed())
    }
    fn delete(&self, _: Delete<'_>, _timeout: Duration) -> Result<Deleted> {
        Err(closed())
    }
    fn publish(&self, _: &Publication<'_>, _: Duration) -> Result<PublishTag> {
        Err(closed())
    }
    fn confirm(&self, _: PublishTag, _: Duration) -> Result<Outcome> {
        Err(closed())
    }
    fn get(&self, _: &str, _: Acknowledgement, _timeout: Duration) -> Result<Option<Delivery>> {
        Err(closed())
    }
    fn consume(
        &self,
        _: &str,
        _: &ConsumeOptions,
        _timeout: Duration,
    ) -> Result<Box<dyn Subscription>> {
        Err(closed())
    }
    fn ack(&self, _: DeliveryTag, _: Extent) -> Result<()> {
        Err(closed())
    }
    fn reject(&self, tag: DeliveryTag, rejection: Rejection, _: Extent) -> Result<()> {
        self.0.lock().unwrap().push((tag.0, rejection));
        Ok(())
    }
    fn check(&self) -> Result<()> {
        Ok(())
    }
    fn close(&self, _: Duration) -> Result<()> {
        Ok(())
    }
}

#[derive(Debug)]
struct Nowhere;

impl Connector for Nowhere {
    fn open(&self, _: &ChannelOptions, _: Duration) -> Result<Arc<dyn Backend>> {
        Err(closed())
    }
    fn close(&self, _: Duration) -> Result<()> {
        Ok(())
    }
    fn connect(&self, _: Role, _: Duration) -> Result<()> {
        Err(closed())
    }
    fn endpoint(&self) -> String {
        "nowhere".into()
    }
    fn status(&self, _: Role) -> Status {
        Status::default()
    }
    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }
    fn clock(&self) -> Clock {
        Clock::real()
    }
    fn observe(&self, _: Arc<dyn Fn(&Event) + Send + Sync>) {}
}

/// A subscription with arrived deliveries, whose cancel is answered when the test allows it.
#[derive(Debug)]
struct Arrived {
    inbox: Mutex<VecDeque<Delivery>>,
    answer: Mutex<Receiver<()>>,
}

impl Subscription for Arrived {
    fn next(&self, _: Duration) -> Result<Option<Delivery>> {
        Ok(self.inbox.lock().unwrap().pop_front())
    }
    fn arrived(&self) -> ArrivedDeliveries {
        ArrivedDeliveries::default()
    }
    fn cancel(&self, _timeout: Duration) -> Result<()> {
        let _ = self.answer.lock().unwrap().recv();
        Ok(())
    }
}

fn delivery(tag: u64) -> Delivery {
    Delivery {
        tag: DeliveryTag(tag),
        redelivered: false,
        unreadable: None,
        content: Arc::new(Content::default()),
    }
}

#[test]
fn messages_taken_after_a_stop_are_requeued_after_the_cancel() {
    let (backend, policy) = (Arc::new(Fake::default()), FailureSettings::default());
    let options = ConsumeOptions::default();
    let policy = FailurePolicy::new(
        &Arc::new(ConnectionHandle::new(Arc::new(Nowhere), &ConnectionOptions::default(), false)),
        &Queue::new("orders"),
        false,
        &options,
        &policy,
    );
    let source = Arc::new(DeliverySource {
        channel: Arc::clone(&backend) as Arc<dyn Backend>,
        decoder: Arc::new(BodyDecoder::default()),
        queue: "orders".into(),
        acknowledgement: Acknowledgement::Manual,
        failed: Arc::new(policy),
        stream: None,
    });
    let (answer, answered) = channel();
    let subscription = Arc::new(Arrived {
        inbox: Mutex::new((3..=4).map(delivery).collect()),
        answer: Mutex::new(answered),
    });
    let unhandled = Arc::new(UnhandledCounts::default());
    let subscribed =
        Arc::new(RunSubscription::new(Arc::clone(&source), subscription, Arc::clone(&unhandled)));

    let stopping = Arc::clone(&subscribed);
    let stop = thread::spawn(move || stopping.cancel(Duration::from_secs(5)));
    for tag in 1..=2 {
        subscribed.take_back(Message::new(delivery(tag), Arc::clone(&source)));
    }
    assert!(
        backend.0.lock().unwrap().is_empty(),
        "the broker would redeliver them to this consumer"
    );
    answer.send(()).unwrap();
    stop.join().unwrap().unwrap();
    assert_eq!(*backend.0.lock().unwrap(), [1, 2, 3, 4].map(|tag| (tag, Rejection::Requeue)));
    subscribed.take_back(Message::new(delivery(5), source));
    assert_eq!((backend.0.lock().unwrap().len(), unhandled.requeued_unhandled()), (5, 5));
}
