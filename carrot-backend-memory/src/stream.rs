//! One subscription of a channel: its inbox, and the threads that wait at it.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar};

use carrot_core::Error;
use carrot_core::backend::Delivery;

use crate::consumers::ConsumerKey;
use crate::queue::Queue;

/// With so many deliveries at hand, a subscription has enough for now.
const ENOUGH: usize = 8;

/// A subscription, under the lock of its channel.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) id: u64,
    pub(crate) source: Option<(Arc<Queue>, ConsumerKey)>,
    pub(crate) inbox: VecDeque<Delivery>,
    /// Whether it takes direct answers, whose tags are those of other deliveries.
    pub(crate) answers: bool,
    pub(crate) arrived: Arc<Condvar>,
    /// How many threads sleep until something arrives; those that were woken count until they run.
    pub(crate) waiting: usize,
    /// How many of them were woken.
    pub(crate) woken: usize,
    /// Whether a thread that found nothing is about to look again.
    pub(crate) searching: bool,
    /// How many acknowledgements its queue has not been told of yet. Only while something is in the inbox: the queue then has time.
    pub(crate) owed: u32,
    pub(crate) ended: Option<Error>,
}

impl Stream {
    pub(crate) fn new(id: u64, answers: bool, arrived: Arc<Condvar>) -> Stream {
        let inbox = VecDeque::new();
        Stream {
            id,
            source: None,
            inbox,
            answers,
            arrived,
            waiting: 0,
            woken: 0,
            searching: false,
            owed: 0,
            ended: None,
        }
    }

    /// Gives whom to wake, once no lock is held, after something has arrived or been taken.
    ///
    /// One is enough, and nobody while another is on its way: who comes takes a message, and has the next one woken if there are more.
    #[must_use]
    pub(crate) fn waiter(&mut self) -> Option<Arc<Condvar>> {
        if self.waiting == 0 || self.woken > 0 || self.searching || self.inbox.is_empty() {
            return None;
        }
        self.woken = 1;
        Some(Arc::clone(&self.arrived))
    }

    /// Lets its queue keep the next messages, until it is asked for them, if enough is at hand.
    pub(crate) fn let_wait(&mut self) -> bool {
        match &self.source {
            Some((queue, _)) if self.inbox.len() >= ENOUGH && queue.can_wait() => {
                queue.arrivals.open();
                true
            }
            _ => false,
        }
    }

    /// Its queue, if that has to be asked now whether it has more.
    pub(crate) fn to_ask(&self) -> Option<Arc<Queue>> {
        if self.inbox.is_empty() { self.feeds() } else { None }
    }

    /// Its queue, if that has put something off for it.
    pub(crate) fn feeds(&self) -> Option<Arc<Queue>> {
        let (queue, _) = self.source.as_ref()?;
        (queue.can_wait() && (self.owed > 0 || queue.arrivals.is_open())).then(|| Arc::clone(queue))
    }

    /// The tags of what nobody has taken.
    pub(crate) fn unseen(&self) -> impl Iterator<Item = u64> {
        self.inbox.iter().filter(|_| !self.answers).map(|delivery| delivery.tag.0)
    }
}
