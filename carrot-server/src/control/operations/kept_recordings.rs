//! The recordings that clients have started, which last from one request to another.

use std::collections::BTreeMap;

use carrot_backend_memory::{Broker, Recording};

use crate::control::error::ControlError;

/// The most recordings at a time.
const MOST_RECORDINGS: usize = 64;

/// The recordings that clients have started, by number.
#[derive(Debug, Default)]
pub(crate) struct KeptRecordings {
    recordings: BTreeMap<u32, Recording>,
    last: u32,
}

impl KeptRecordings {
    /// Records the publications to an exchange. Returns the number of the recording.
    pub(crate) fn start(&mut self, broker: &Broker, exchange: &str) -> Result<u32, ControlError> {
        if self.recordings.len() >= MOST_RECORDINGS {
            let reason = format!("there are {MOST_RECORDINGS} recordings, which is the limit");
            return Err(ControlError::new(409, reason));
        }
        self.last += 1;
        self.recordings.insert(self.last, broker.record(exchange));
        Ok(self.last)
    }

    pub(crate) fn find(&self, number: u32) -> Result<&Recording, ControlError> {
        self.recordings.get(&number).ok_or_else(|| no_recording(number))
    }

    /// Ends a recording.
    pub(crate) fn stop(&mut self, number: u32) -> Result<(), ControlError> {
        self.recordings.remove(&number).map(drop).ok_or_else(|| no_recording(number))
    }
}

fn no_recording(number: u32) -> ControlError {
    ControlError::new(404, format!("no recording {number}"))
}
