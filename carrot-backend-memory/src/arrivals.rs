//! Messages that queue up behind others, on their way into a queue.

use std::mem;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::ready::Parcel;
use crate::sync::lock;

/// So many are left here before their publisher has to take them into the queue.
const MOST: usize = 256;

/// What was published to a queue that has messages ready, so that it is nobody's turn yet: publishers leave it here, and whoever serves the
/// consumers fetches it many at a time. So the two meet seldom, and not at all over what a message does to consumers and limits.
///
/// Apart from what other threads write, since to share that is as slow as a lock.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Arrivals {
    /// Changes only under both locks, this one's and the queue's. While it is set and the queue is not locked, messages are ready in it, or its
    /// only consumer has some at hand and asks for more.
    open: AtomicBool,
    parcels: Mutex<Vec<Parcel>>,
}

impl Arrivals {
    /// Leaves a message here; gives it back if the queue itself has to take it.
    pub(crate) fn leave(&self, parcel: Parcel) -> Option<Parcel> {
        if !self.open.load(Ordering::Acquire) {
            return Some(parcel);
        }
        let mut parcels = lock(&self.parcels);
        if !self.open.load(Ordering::Relaxed) || parcels.len() >= MOST {
            return Some(parcel);
        }
        parcels.push(parcel);
        None
    }

    /// Whether anything can be here. To be asked with the queue locked.
    pub(crate) fn is_open(&self) -> bool {
        self.open.load(Ordering::Relaxed)
    }

    /// Lets publishers leave messages from now on. To be called with the queue locked.
    pub(crate) fn open(&self) {
        if !self.is_open() {
            let _parcels = lock(&self.parcels);
            self.open.store(true, Ordering::Release);
        }
    }

    /// Puts what is here into `fetched`, which is empty; if there is nothing, and `last` says so, no more can be left. To be called with the
    /// queue locked.
    pub(crate) fn fetch(&self, fetched: &mut Vec<Parcel>, last: bool) {
        let mut parcels = lock(&self.parcels);
        mem::swap(&mut *parcels, fetched);
        if fetched.is_empty() && last {
            self.open.store(false, Ordering::Release);
        }
    }
}
