use std::sync::Arc;

use crate::error::{Error, Result};

/// Collects the results of the messages of a batch.
#[derive(Default)]
pub(crate) struct BatchReport {
    pub(crate) confirmed: usize,
    failures: Vec<(usize, Error)>,
}

impl BatchReport {
    pub(crate) fn add(&mut self, index: usize, result: Result<()>) {
        match result {
            Ok(()) => self.confirmed += 1,
            Err(error) => self.failed(index, error),
        }
    }

    pub(crate) fn failed(&mut self, index: usize, error: Error) {
        self.failures.push((index, error));
    }

    pub(crate) fn finish(mut self) -> Result<()> {
        self.failures.sort_by_key(|(index, _)| *index);
        let Some((_, first)) = self.failures.first() else { return Ok(()) };
        let source = Arc::new(first.clone());
        Err(Error::Batch { confirmed: self.confirmed, failures: self.failures, source })
    }
}
