#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::*;
use crate::backend::{
    Acknowledgement, Capabilities, Clock, Connector, ConsumeOptions, Delete, Deleted, Delivery,
    DeliveryTag, Event, Extent, Outcome, PublishTag, QueueInfo, Rejection, Status, Subscription,
};
use crate::config::ConnectionOptions;

/// Long enough for any expected event on a busy machine.
const SOON: Duration = Duration::from_secs(30);
/// Longer than the test runs.
const NEVER: Duration = Duration::from_secs(3600);

fn lost() -> Error {
    Error::disconnected("as the test wants")
}

/// A channel that is lost after its publications. Answers the calls of `confirm` as planned.
#[derive(Debug)]
struct LostChannel {
    confirms: Mutex<VecDeque<Result<Outcome>>>,
}

impl Backend for LostChannel {
    fn declare(&self, _: Declare<'_>, _timeout: Duration) -> Result<QueueInfo> {
        Err(lost())
    }
    fn delete(&self, _: Delete<'_>, _timeout: Duration) -> Result<Deleted> {
        Err(lost())
    }
    fn publish(&self, _: &Publication<'_>, _: Duration) -> Result<PublishTag> {
        Ok(PublishTag(1))
    }
    fn confirm(&self, _: PublishTag, _: Duration) -> Result<Outcome> {
        self.confirms.lock().unwrap().pop_front().unwrap_or_else(|| Err(lost()))
    }
    fn get(&self, _: &str, _: Acknowledgement, _timeout: Duration) -> Result<Option<Delivery>> {
        Err(lost())
    }
    fn consume(
        &self,
        _: &str,
        _: &ConsumeOptions,
        _timeout: Duration,
    ) -> Result<Box<dyn Subscription>> {
        Err(lost())
    }
    fn ack(&self, _: DeliveryTag, _: Extent) -> Result<()> {
        Err(lost())
    }
    fn reject(&self, _: DeliveryTag, _: Rejection, _: Extent) -> Result<()> {
        Err(lost())
    }
    fn check(&self) -> Result<()> {
        Err(lost())
    }
    fn close(&self, _: Duration) -> Result<()> {
        Ok(())
    }
}

/// Opens the planned channels. Each further attempt reports itself, and ends with the test.
#[derive(Debug)]
struct PlannedChannels {
    channels: Mutex<VecDeque<Arc<dyn Backend>>>,
    attempted: Mutex<Sender<()>>,
    is_over: Mutex<Receiver<()>>,
}

impl Connector for PlannedChannels {
    fn open(&self, _: &ChannelOptions, _: Duration) -> Result<Arc<dyn Backend>> {
        let planned = self.channels.lock().unwrap().pop_front();
        planned.ok_or_else(|| {
            let _ = self.attempted.lock().unwrap().send(());
            let _ = self.is_over.lock().unwrap_or_else(PoisonError::into_inner).recv();
            Error::closed("connection")
        })
    }
    fn close(&self, _: Duration) -> Result<()> {
        Ok(())
    }
    fn connect(&self, _: Role, _: Duration) -> Result<()> {
        Ok(())
    }
    fn endpoint(&self) -> String {
        "planned".into()
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

/// A publisher whose channel is lost, with the time of the test until it is opened again.
struct LostPublisher {
    pipeline: Arc<PublishPipeline>,
    attempted: Receiver<()>,
    over: Sender<()>,
}

impl LostPublisher {
    /// Opens a publisher whose channel answers as planned.
    fn open(confirms: impl IntoIterator<Item = Result<Outcome>>) -> LostPublisher {
        let (attempted, attempts) = channel();
        let (over, is_over) = channel();
        let lost = LostChannel { confirms: Mutex::new(confirms.into_iter().collect()) };
        let connector = PlannedChannels {
            channels: Mutex::new([Arc::new(lost) as Arc<dyn Backend>].into()),
            attempted: Mutex::new(attempted),
            is_over: Mutex::new(is_over),
        };
        let options = ConnectionOptions::default().connect_timeout(NEVER);
        let connection = Arc::new(ConnectionHandle::new(Arc::new(connector), &options, false));
        let pipeline = PublishPipeline::open(&connection, PublisherSettings::default()).unwrap();
        LostPublisher { pipeline, attempted: attempts, over }
    }

    fn send(&self) -> Arc<InFlight> {
        let terms = SendTerms { mandatory: false, timeout: NEVER, delay: Duration::ZERO };
        self.pipeline.send(Arc::new(Content::new("", "orders", vec![1])), terms).unwrap()
    }

    /// Blocks until a thread waits for a channel because of its message.
    fn await_recovery(&self) {
        let deadline = Instant::now() + SOON;
        while self.pipeline.unconfirmed.recoveries.count() == 0 {
            assert!(Instant::now() < deadline, "no thread waits for a channel");
            thread::yield_now();
        }
    }
}

/// The first thread that asks finds its channel lost. The answer is taken by another thread, while
/// a third thread opens a channel.
#[test]
fn wait_ends_with_the_answer_that_another_thread_has_taken_after_the_loss() {
    let publisher = LostPublisher::open([Err(lost()), Ok(Outcome::Accepted)]);
    let message = publisher.send();
    let pipeline = &publisher.pipeline;
    let (ended, outcomes) = channel();
    thread::scope(|scope| {
        scope.spawn(|| pipeline.reopen(Instant::now() + NEVER));
        publisher.attempted.recv_timeout(SOON).unwrap();
        scope.spawn(|| {
            let outcome = pipeline.wait(&message, message.deadline);
            let _ = ended.send(message.report().unwrap_or(outcome));
        });
        publisher.await_recovery();
        pipeline.take_answer(&message);
        let was_resolved = message.is_resolved();
        let outcome = outcomes.recv_timeout(SOON);
        // No thread opens a channel any more.
        let _ = publisher.over.send(());
        pipeline.channel.connection().close();
        let _ = publisher.over.send(());
        assert!(was_resolved, "the answer was not there");
        assert!(matches!(outcome, Ok(Ok(()))), "{outcome:?}");
    });
}
