//! Declares the chains of delayed messages that a publisher uses.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::backend::{Capabilities, ChannelOptions, Declare};
use crate::deadline;
use crate::error::{Error, Result};
use crate::model::{Exchange, Queue};
use crate::panic_guard::describe;
use crate::recovery::handle::ConnectionHandle;
use crate::recovery::serial_channel::SerialChannel;
use crate::waiting_queues::declaring::declare;
use crate::waiting_queues::delay_chain::{ChainPart, DelayChain};
use crate::waiting_queues::delay_levels::{DelayLevels, Unrouted};

/// The chains that a publisher has declared.
pub(crate) struct DeclaredChains {
    /// A channel of its own, because a refusal ends the channel. In the role of the publisher,
    /// whose recovery looks for waiting queues: it must not wait for the other connection.
    channel: SerialChannel,
    chains: Mutex<HashMap<DelayChain, Arc<DeclaredChain>>>,
    /// Whether the last refusal to declare was logged.
    logged: AtomicBool,
}

/// The parts of a chain that are known to exist.
#[derive(Debug, Default)]
pub(crate) struct DeclaredChain(Mutex<KnownParts>);

#[derive(Debug, Clone, Copy, Default)]
struct KnownParts {
    /// The number of levels, from the lowest.
    levels: u32,
    kept: bool,
    dropped: bool,
    /// Whether the queue that messages go to after their delay was seen.
    target: bool,
    /// Whether the publisher has lost its channel since the parts were seen.
    is_old: bool,
    /// The time from which a broker that restarts would keep the queues.
    durable_from: Option<Instant>,
}

impl KnownParts {
    fn has(&self, levels: DelayLevels, unrouted: Unrouted) -> bool {
        levels.depth() <= self.levels && self.has_last(unrouted)
    }

    fn add(&mut self, levels: u32, unrouted: Unrouted) {
        self.levels = self.levels.max(levels);
        match unrouted {
            Unrouted::Kept => self.kept = true,
            Unrouted::Dropped => self.dropped = true,
        }
    }

    fn left_until_durable(&self) -> Option<Duration> {
        self.durable_from
            .map(|from| from.saturating_duration_since(Instant::now()))
            .filter(|left| !left.is_zero())
    }

    fn has_last(&self, unrouted: Unrouted) -> bool {
        match unrouted {
            Unrouted::Kept => self.kept,
            Unrouted::Dropped => self.dropped,
        }
    }
}

impl DeclaredChain {
    /// Forgets the parts, because one of them no longer exists.
    pub(crate) fn forget(&self) {
        self.change(|known| *known = KnownParts::default());
    }

    fn known(&self) -> KnownParts {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut KnownParts)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl DeclaredChains {
    pub(crate) fn new(connection: &ConnectionHandle) -> DeclaredChains {
        let options = ChannelOptions::publish().without_confirms();
        DeclaredChains {
            channel: SerialChannel::new(connection.shared.clone(), options, "publisher"),
            chains: Mutex::default(),
            logged: AtomicBool::new(false),
        }
    }

    /// Returns the features of the broker. Connects if they are not known.
    pub(crate) fn capabilities(&self, until: Option<Instant>) -> Result<Capabilities> {
        let connector = self.channel.connector();
        let known = connector.capabilities();
        match until {
            Some(until) if known == Capabilities::default() => {
                self.channel.open_before(until)?;
                Ok(connector.capabilities())
            }
            _ => Ok(known),
        }
    }

    /// Notes that the publisher has lost its channel. The broker may have lost its data.
    pub(crate) fn note_loss(&self) {
        self.chains().values().for_each(|chain| chain.change(|known| known.is_old = true));
    }

    /// Forgets all chains. The next message declares its chain.
    pub(crate) fn forget_all(&self) {
        self.chains().values().for_each(|chain| chain.forget());
    }

    /// Refuses further declarations.
    pub(crate) fn close(&self) {
        self.channel.close();
    }

    fn chains(&self) -> MutexGuard<'_, HashMap<DelayChain, Arc<DeclaredChain>>> {
        self.chains.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Declares the parts of a chain that messages with these levels pass, unless they were
    /// declared before. `until` is `None` if the caller must not wait.
    ///
    /// Blocks for a round trip for each part, and until a broker that restarts would keep the
    /// queues.
    ///
    /// # Errors
    /// - [`Error::Timeout`]: the caller must not wait, or `until` passed.
    /// - [`Error::NotFound`]: the queue behind the default exchange does not exist, and messages
    ///   that no queue takes are kept.
    /// - [`Error::AccessRefused`]: the user may not declare the parts, and they do not exist.
    /// - The other errors of a declaration.
    pub(crate) fn ensure(
        &self,
        chain: &DelayChain,
        levels: DelayLevels,
        unrouted: Unrouted,
        until: Option<Instant>,
    ) -> Result<Arc<DeclaredChain>> {
        let declared = self.chains().get(chain).map(Arc::clone).unwrap_or_default();
        let known = declared.known();
        match until {
            Some(until) if known.is_old || !known.has(levels, unrouted) => {
                self.find_or_declare(chain, &declared, levels, unrouted, until)?;
                // Only now: a peer may have invented the name.
                self.chains().entry(chain.clone()).or_insert_with(|| Arc::clone(&declared));
            }
            None if !known.has(levels, unrouted) => return Err(must_wait()),
            _ => {}
        }
        if let Some(left) = declared.known().left_until_durable() {
            let until = until.ok_or_else(must_wait)?;
            let time = deadline::left(until);
            thread::sleep(left.min(time));
            if time < left {
                return Err(must_wait());
            }
        }
        Ok(declared)
    }

    fn find_or_declare(
        &self,
        chain: &DelayChain,
        declared: &DeclaredChain,
        levels: DelayLevels,
        unrouted: Unrouted,
        until: Instant,
    ) -> Result<()> {
        if declared.known().is_old {
            let found = self.look(chain, declared.known(), until)?;
            declared.change(|known| *known = found);
        }
        let known = declared.known();
        if let Some(queue) = chain.queue().filter(|_| unrouted == Unrouted::Kept && !known.target) {
            self.find_target(queue, until)?;
            declared.change(|known| known.target = true);
        }
        if known.has(levels, unrouted) {
            return Ok(());
        }
        match self.declare(chain, declared, levels, unrouted, until) {
            Err(error @ Error::AccessRefused { .. }) => {
                self.find_declared(chain, levels, unrouted, error, until)?;
                declared.change(|known| known.add(levels.depth(), unrouted));
                Ok(())
            }
            // A lower part that was known has been deleted.
            Err(Error::NotFound { .. }) => {
                declared.forget();
                self.declare(chain, declared, levels, unrouted, until)
            }
            declared => declared,
        }
    }

    /// Returns which of the known parts still exist: all if the highest one does, and none
    /// otherwise.
    fn look(&self, chain: &DelayChain, known: KnownParts, until: Instant) -> Result<KnownParts> {
        let highest = match known.levels {
            0 if known.kept => chain.last_queue_name(Unrouted::Kept),
            0 => chain.last_queue_name(Unrouted::Dropped),
            levels => chain.level_name(levels - 1),
        };
        let queue = Queue::existing(highest);
        match self.channel.declare_before(Declare::Queue(&queue), until) {
            // RabbitMQ 4.3 requires a permission here, too.
            Ok(_) | Err(Error::AccessRefused { .. }) => Ok(KnownParts { is_old: false, ..known }),
            Err(Error::NotFound { .. }) => Ok(KnownParts::default()),
            Err(error) => Err(error),
        }
    }

    /// Looks for the queue that messages go to after their delay.
    fn find_target(&self, queue: &str, until: Instant) -> Result<()> {
        match self.channel.declare_before(Declare::Queue(&Queue::existing(queue)), until) {
            Err(error @ (Error::NotFound { .. } | Error::Timeout { .. })) => Err(error),
            Err(error) if error.is_disconnected() => Err(error),
            // A queue that this program may not use may exist.
            _ => Ok(()),
        }
    }

    fn declare(
        &self,
        chain: &DelayChain,
        declared: &DeclaredChain,
        levels: DelayLevels,
        unrouted: Unrouted,
        until: Instant,
    ) -> Result<()> {
        let capabilities = self.capabilities(Some(until))?;
        let declare_all = |parts: &[ChainPart], level, unrouted| {
            parts.iter().try_for_each(|part| declare(&self.channel, part.declare(), || until))?;
            let durable_from = Instant::now() + capabilities.queue_durable_after;
            declared.change(|known| {
                known.add(level, unrouted);
                known.durable_from = Some(durable_from);
            });
            Ok(())
        };
        let known = declared.known();
        // Both: a program that may not declare them can send messages of the other kind.
        for unrouted in [Unrouted::Kept, Unrouted::Dropped] {
            if !known.has_last(unrouted) {
                declare_all(&chain.last(unrouted, capabilities), 0, unrouted)?;
            }
        }
        (known.levels..levels.depth()).try_for_each(|level| {
            declare_all(&chain.level(level, capabilities), level + 1, unrouted)
        })
    }

    /// Looks for parts that this program may not declare. Another client may have declared them.
    fn find_declared(
        &self,
        chain: &DelayChain,
        levels: DelayLevels,
        unrouted: Unrouted,
        refusal: Error,
        until: Instant,
    ) -> Result<()> {
        let queue = Queue::existing(chain.first_queue(levels, unrouted));
        let last = Queue::existing(chain.last_queue_name(unrouted));
        let exchange = Exchange::existing(chain.entry(levels));
        for part in [Declare::Exchange(&exchange), Declare::Queue(&queue), Declare::Queue(&last)] {
            match self.channel.declare_before(part, until) {
                Ok(_) | Err(Error::AccessRefused { .. }) => {}
                Err(Error::NotFound { .. }) => return Err(refusal),
                Err(error) => return Err(error),
            }
        }
        if !self.logged.swap(true, Ordering::Relaxed) {
            log::warn!(
                "declaring waiting queues for delayed messages failed, those of the operator are \
                 used: {} queue={:?}",
                describe(&refusal),
                queue.name,
            );
        }
        Ok(())
    }
}

/// Returns the error of a message that cannot wait for its waiting queues.
fn must_wait() -> Error {
    Error::timeout("declaring the waiting queues of a delayed message", Duration::ZERO)
}

impl fmt::Debug for DeclaredChains {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} delay chains", self.chains().len())
    }
}
