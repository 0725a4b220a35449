use std::ops::Deref;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use carrot_core::{Error, Result};
use carrot_link::CallDeadline;

use crate::channel::channel_core::ChannelCore;
use crate::channel::link_family::LinkFamily;
use crate::connection::link_handle::LinkHandle;
use crate::connection::link_reader::refusal;
use crate::wire::command::CommandBody;

/// Keeps a channel open. The channel closes when its backend and its subscriptions are dropped.
#[derive(Debug)]
pub(crate) struct ChannelGuard(Arc<ChannelCore>);

impl Deref for ChannelGuard {
    type Target = ChannelCore;

    fn deref(&self) -> &ChannelCore {
        &self.0
    }
}

impl Drop for ChannelGuard {
    fn drop(&mut self) {
        self.fail(&Error::closed("channel"));
        if self.lock().letters.is_empty() {
            return;
        }
        let core = Arc::clone(&self.0);
        let waiting = thread::Builder::new()
            .name("activemq-channel-end".into())
            .spawn(move || core.finish_letters());
        if let Err(error) = waiting {
            log::warn!("no thread that waits for dead letters: {error}");
            self.return_letters();
        }
    }
}

impl ChannelGuard {
    /// Opens a session with a producer.
    ///
    /// # Errors
    /// - [`Error::Timeout`]: the broker did not answer.
    /// - The error of the connection.
    pub(crate) fn open(
        link: Arc<LinkHandle>,
        family: Arc<LinkFamily>,
        confirms: bool,
        max_waiting: Option<u64>,
        deadline: CallDeadline,
    ) -> Result<ChannelGuard> {
        let core = ChannelCore::new(link, family, confirms, max_waiting);
        let guard = ChannelGuard(Arc::clone(&core));
        core.link.add_channel(core.session, core.linked())?;
        core.link.send(core.add_session());
        let answer = core.link.call("open", core.add_producer(), deadline)?;
        answer.map_err(|exception| refusal(&exception))?;
        Ok(guard)
    }

    /// Closes the channel: sends what was published before, and returns its messages. Waits for the
    /// answers to its dead letters.
    ///
    /// # Errors
    /// - [`Error::Timeout`]: the broker did not answer.
    pub(crate) fn close(&self, timeout: Duration) -> Result<()> {
        let deadline = CallDeadline::after(timeout);
        let Some(ended) = self.end(&Error::closed("channel")) else { return Ok(()) };
        self.return_messages(&ended);
        let last = if ended.has_letters {
            if !self.wait_for_letters(deadline) {
                return Err(deadline.late("close"));
            }
            // The last answer has removed the session.
            CommandBody::Flush
        } else {
            self.remove_session()
        };
        match self.link.call("close", last, deadline) {
            Err(error @ Error::Timeout { .. }) => Err(error),
            _ => Ok(()),
        }
    }
}
