//! The channels that wait for answers to what they publish.

use std::collections::HashMap;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::confirms::Confirms;
use crate::incoming::News;

/// The confirms of each channel that has any, as long as it is open.
#[derive(Debug, Default)]
pub(crate) struct Publishers(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    open: HashMap<u16, Arc<Confirms>>,
    ended: bool,
}

impl Publishers {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a channel that was opened, before anything is done on it for which it could be closed.
    pub(crate) fn add(&self, channel: u16, confirms: &Arc<Confirms>) {
        let mut state = self.lock();
        if state.ended {
            drop(state);
            return confirms.end();
        }
        state.open.insert(channel, Arc::clone(confirms));
    }

    /// Passes on what has come.
    pub(crate) fn tell(&self, news: News) {
        for answers in news.confirms.chunk_by(|(one, _), (other, _)| one == other) {
            let confirms = answers.first().and_then(|(channel, _)| self.lock().open.get(channel).map(Arc::clone));
            if let Some(confirms) = confirms {
                confirms.take(answers.iter().map(|(_, answer)| *answer));
            }
        }
        for channel in news.ended {
            let confirms = self.lock().open.remove(&channel);
            if let Some(confirms) = confirms {
                confirms.end();
            }
        }
    }

    /// Says that nothing comes any more.
    pub(crate) fn end(&self) {
        let mut state = self.lock();
        state.ended = true;
        let open = mem::take(&mut state.open);
        drop(state);
        open.into_values().for_each(|confirms| confirms.end());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

    use std::time::Instant;

    use carrot_core::backend::{Content, Outcome};
    use crossbeam_channel::unbounded;

    use super::*;
    use crate::confirms::{Confirm, NoOutcome};

    /// The confirms of a channel on which two messages were published.
    fn confirms() -> Arc<Confirms> {
        let confirms = Arc::new(Confirms::new(unbounded().1));
        let content = Arc::new(Content::new("", "", ""));
        assert_eq!([1, 2].map(|_| confirms.issue(&content, false)), [1, 2]);
        confirms
    }

    fn outcomes(confirms: &Confirms) -> [Result<Outcome, NoOutcome>; 2] {
        [1, 2].map(|tag| confirms.wait(tag, Instant::now()))
    }

    #[test]
    fn each_channel_hears_what_concerns_it() {
        let publishers = Publishers::default();
        let (one, other) = (confirms(), confirms());
        publishers.add(1, &one);
        publishers.add(2, &other);
        let answer = |tag, refused| Confirm { tag, multiple: false, refused };
        let answers = vec![(1, answer(1, false)), (2, answer(2, true)), (1, answer(2, true)), (3, answer(1, false))];
        publishers.tell(News { confirms: answers, ended: vec![2, 3] });
        assert_eq!(outcomes(&one), [Ok(Outcome::Accepted), Ok(Outcome::Refused)]);
        assert_eq!(outcomes(&other), [Err(NoOutcome::ChannelGone), Ok(Outcome::Refused)]);
    }

    #[test]
    fn the_end_is_told_to_who_was_there_and_to_who_comes_late() {
        let publishers = Publishers::default();
        let (one, late) = (confirms(), confirms());
        publishers.add(1, &one);
        publishers.end();
        publishers.add(2, &late);
        for confirms in [one, late] {
            assert_eq!(outcomes(&confirms), [Err(NoOutcome::ChannelGone), Err(NoOutcome::ChannelGone)]);
        }
    }
}
