//! What comes for channels around amiquip.

use std::collections::HashMap;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use amiquip::Return;
use crossbeam_channel::Receiver;

use crate::calls::Party;
use crate::confirms::Confirms;
use crate::incoming::News;
use crate::large_bodies::LargeBodies;

/// What comes for one channel.
#[derive(Debug)]
pub(crate) struct Inbox {
    pub(crate) party: Party,
    pub(crate) confirms: Confirms,
    pub(crate) bodies: Arc<LargeBodies>,
}

impl Inbox {
    pub(crate) fn new(party: Party, confirming: bool, returns: Receiver<Return>) -> Inbox {
        let bodies = Arc::<LargeBodies>::default();
        Inbox { party, confirms: Confirms::new(confirming, returns, Arc::clone(&bodies)), bodies }
    }
}

/// The inboxes of all channels, as long as they are open.
#[derive(Debug, Default)]
pub(crate) struct Inboxes(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    open: HashMap<u16, Arc<Inbox>>,
    ended: bool,
}

impl Inboxes {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a channel that was opened, before anything is done on it for which it could be closed.
    pub(crate) fn add(&self, channel: u16, inbox: &Arc<Inbox>) {
        let mut state = self.lock();
        if state.ended {
            drop(state);
            return inbox.confirms.end();
        }
        state.open.insert(channel, Arc::clone(inbox));
    }

    fn of(&self, channel: u16) -> Option<Arc<Inbox>> {
        self.lock().open.get(&channel).map(Arc::clone)
    }

    /// Puts away the bodies that have come.
    pub(crate) fn put(&self, news: &mut News) {
        for (channel, ticket, body) in news.bodies.drain(..) {
            if let Some(inbox) = self.of(channel) {
                inbox.bodies.put(ticket, body);
            }
        }
    }

    /// Tells the answers that have come, and the ends. Gives how many messages are likely to be sent at once for that.
    pub(crate) fn tell(&self, news: &mut News) -> usize {
        let mut expected = 0_usize;
        for answers in news.answers.chunk_by(|(one, _), (other, _)| one == other) {
            if let Some(inbox) = answers.first().and_then(|(channel, _)| self.of(*channel)) {
                expected = expected
                    .saturating_add(inbox.confirms.take(answers.iter().map(|(_, answer)| *answer)));
            }
        }
        news.answers.clear();
        for channel in news.ended.drain(..) {
            let inbox = self.lock().open.remove(&channel);
            if let Some(inbox) = inbox {
                inbox.confirms.end();
            }
        }
        expected
    }

    /// How many messages of each channel have no answer.
    pub(crate) fn unconfirmed(&self) -> Vec<(Party, u64)> {
        self.lock().open.values().map(|inbox| (inbox.party, inbox.confirms.unconfirmed())).collect()
    }

    /// Says that nothing comes any more.
    pub(crate) fn end(&self) {
        let mut state = self.lock();
        state.ended = true;
        let open = mem::take(&mut state.open);
        drop(state);
        open.into_values().for_each(|inbox| inbox.confirms.end());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use carrot_core::backend::{Content, Outcome};
    use crossbeam_channel::unbounded;

    use super::*;
    use crate::confirms::{Answer, Confirm, NoOutcome};
    use crate::large_bodies::Around;
    use crate::large_bodies::Tickets;

    /// The inbox of a channel on which two messages were published.
    fn inbox() -> Arc<Inbox> {
        let inbox =
            Arc::new(Inbox::new(crate::calls::Calls::default().party(), true, unbounded().1));
        let content = Arc::new(Content::new("", "", ""));
        assert_eq!([1, 2].map(|_| inbox.confirms.issue(&content, false)), [1, 2]);
        inbox
    }

    fn outcomes(inbox: &Inbox) -> [Result<Outcome, NoOutcome>; 2] {
        [1, 2].map(|tag| inbox.confirms.wait(tag, Instant::now()))
    }

    #[test]
    fn each_channel_hears_what_concerns_it() {
        let inboxes = Inboxes::default();
        let (one, other) = (inbox(), inbox());
        inboxes.add(1, &one);
        inboxes.add(2, &other);
        let answer = |tag, refused| Answer::Confirm(Confirm { tag, multiple: false, refused });
        let answers = vec![
            (1, answer(1, false)),
            (2, answer(2, true)),
            (1, answer(2, true)),
            (3, answer(1, false)),
        ];
        let mut tickets = Tickets::default();
        let bodies: Vec<_> = (1..=3)
            .map(|channel| {
                (
                    channel,
                    tickets.next(),
                    Around { body: [channel as u8].into(), is_complete: channel == 1 },
                )
            })
            .collect();
        let mut news =
            News { bodies: bodies.clone(), answers, ended: vec![2, 3], connection_close: None };
        inboxes.put(&mut news);
        inboxes.tell(&mut news);
        assert!(news.bodies.is_empty() && news.answers.is_empty() && news.ended.is_empty());
        assert_eq!(outcomes(&one), [Ok(Outcome::Accepted), Ok(Outcome::Refused)]);
        assert_eq!(outcomes(&other), [Err(NoOutcome::ChannelGone), Ok(Outcome::Refused)]);
        for (inbox, (_, ticket, around)) in [&one, &other].into_iter().zip(bodies) {
            let claimed = inbox.bodies.claim(ticket.bytes().to_vec());
            assert_eq!(
                (claimed.body, claimed.is_complete),
                (around.body, around.is_complete),
                "also after the end"
            );
        }
    }

    #[test]
    fn the_end_is_told_to_who_was_there_and_to_who_comes_late() {
        let inboxes = Inboxes::default();
        let (one, late) = (inbox(), inbox());
        inboxes.add(1, &one);
        inboxes.end();
        inboxes.add(2, &late);
        for inbox in [one, late] {
            assert_eq!(
                outcomes(&inbox),
                [Err(NoOutcome::ChannelGone), Err(NoOutcome::ChannelGone)]
            );
        }
    }
}
