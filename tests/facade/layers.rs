//! Layers around sending and around handling.

mod cuts;
mod deduplicate;
mod handling;
mod rate_limit;
mod sending;
mod treatments;

use std::collections::BTreeMap;
use std::mem;
use std::sync::{Arc, Mutex};

use carrot::layers::{
    HandleLayer, Handled, Next, OutgoingMessage, PublishLayer, SentMessage, SettledMessage,
};
use carrot::{Error, Message};

/// The calls of all layers of a test, in order.
#[derive(Clone, Default)]
struct Calls(Arc<Mutex<Vec<String>>>);

impl Calls {
    fn push(&self, call: String) {
        self.0.lock().unwrap().push(call);
    }

    fn take(&self) -> Vec<String> {
        mem::take(&mut *self.0.lock().unwrap())
    }
}

/// A layer that records its calls.
#[derive(Clone)]
struct Recorder(&'static str, Calls);

impl PublishLayer for Recorder {
    fn before_send(&self, _: &mut OutgoingMessage<'_>) -> carrot::Result<()> {
        self.1.push(format!("{} before", self.0));
        Ok(())
    }

    fn after_send(&self, message: &SentMessage<'_>) {
        self.1.push(format!("{} after: {}", self.0, outcome(message)));
    }
}

impl HandleLayer for Recorder {
    fn handle(&self, message: &Message, next: Next<'_>) -> Handled {
        self.1.push(format!("{} in", self.0));
        let handled = next.run(message);
        self.1.push(format!("{} out", self.0));
        handled
    }

    fn after_settle(&self, message: &SettledMessage<'_>) {
        self.1.push(format!("{} {:?}", self.0, message.treatment()));
    }
}

/// The kind of an outcome.
fn outcome(message: &SentMessage<'_>) -> &'static str {
    match message.error() {
        None if message.is_confirmed() => "confirmed",
        None => "sent",
        Some(Error::Unroutable { .. }) => "unroutable",
        Some(Error::Refused) => "refused",
        Some(Error::Timeout { .. }) => "timeout",
        Some(Error::Invalid { .. }) => "invalid",
        Some(Error::Layer { .. }) => "layer",
        Some(Error::Closed { .. }) => "closed",
        Some(error) => panic!("{error}"),
    }
}

/// Counts the calls for each message, by body.
#[derive(Clone, Default)]
struct Outcomes(Arc<Mutex<BTreeMap<String, SeenCalls>>>);

/// The number of calls of `before_send`, and the outcome of each call of `after_send`.
type SeenCalls = (u32, Vec<&'static str>);

impl Outcomes {
    /// Returns the outcome of each message, by body. Each message must have one.
    #[track_caller]
    fn take(&self) -> Vec<(String, &'static str)> {
        let messages = mem::take(&mut *self.0.lock().unwrap());
        let only = |(body, (before, outcomes)): (String, SeenCalls)| {
            assert_eq!((before, outcomes.len()), (1, 1), "{body}: {outcomes:?}");
            (body, outcomes[0])
        };
        messages.into_iter().map(only).collect()
    }

    fn known(&self) -> usize {
        self.0.lock().unwrap().values().map(|(_, outcomes)| outcomes.len()).sum()
    }
}

/// The value that the layer keeps of a message until its outcome is known.
struct Kept(String);

impl PublishLayer for Outcomes {
    fn before_send(&self, message: &mut OutgoingMessage<'_>) -> carrot::Result<()> {
        let body = String::from_utf8(message.body().into()).unwrap();
        self.0.lock().unwrap().entry(body.clone()).or_default().0 += 1;
        message.attach(0_u32);
        message.attach(Kept(body));
        Ok(())
    }

    fn after_send(&self, message: &SentMessage<'_>) {
        let body = String::from_utf8(message.body().into()).unwrap();
        assert_eq!(message.attached::<Kept>().map(|kept| &kept.0), Some(&body));
        assert!(message.attached::<u32>().is_none(), "the second value replaced it");
        self.0.lock().unwrap().get_mut(&body).unwrap().1.push(outcome(message));
    }
}
