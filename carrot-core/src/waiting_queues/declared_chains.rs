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
use crate::waiting_queues::known_parts::{DeclaredChain, KnownParts};

/// The chains that a publisher has declared.
pub(crate) struct DeclaredChains {
    /// A channel of its own, because a refusal ends the channel. In the role of the publisher,
    /// whose recovery looks for waiting queues: it must not wait for the other connection.
    channel: SerialChannel,
    chains: Mutex<HashMap<DelayChain, Arc<DeclaredChain>>>,
    /// Whether the last refusal to declare was logged.
    logged: AtomicBool,
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
        self.chains().values().for_each(|chain| chain.note_loss());
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
            Some(until) if known.is_old() || !known.has(levels, unrouted) => {
                self.find_or_declare(chain, &declared, levels, unrouted, until)?;
                wait_until_durable(&declared, Some(until))?;
                // Only now: a peer may have invented the name. Another thread may have been first.
                Ok(Arc::clone(self.chains().entry(chain.clone()).or_insert(declared)))
            }
            None if !known.has(levels, unrouted) => Err(must_wait()),
            _ => wait_until_durable(&declared, until).map(|()| declared),
        }
    }

    fn find_or_declare(
        &self,
        chain: &DelayChain,
        declared: &DeclaredChain,
        levels: DelayLevels,
        unrouted: Unrouted,
        until: Instant,
    ) -> Result<()> {
        let mut known = declared.known();
        if known.is_old() {
            if self.exists(Declare::Queue(&Queue::existing(highest(chain, &known))), until)? {
                declared.add_sight(&known);
            } else {
                declared.forget_since(&known);
            }
            known = declared.known();
        }
        if let Some(queue) = chain.queue().filter(|_| unrouted == Unrouted::Kept && !known.target) {
            self.find_target(queue, until)?;
            declared.add_target(&known);
        }
        if known.has(levels, unrouted) {
            return Ok(());
        }
        match self.declare(chain, declared, levels, unrouted, until) {
            Err(error @ Error::AccessRefused { .. }) => {
                self.find_declared(chain, levels, unrouted, error, until)?;
                declared.add(&known, levels.depth(), unrouted, None);
                Ok(())
            }
            // A lower part that was known has been deleted.
            Err(Error::NotFound { .. }) => {
                declared.forget_since(&known);
                self.declare(chain, declared, levels, unrouted, until)
            }
            declared => declared,
        }
    }

    /// Returns whether a part exists. RabbitMQ 4.3 requires a permission for this, too, so a part
    /// that this program may not look for is taken as existing.
    fn exists(&self, part: Declare<'_>, until: Instant) -> Result<bool> {
        match self.channel.declare_before(part, until) {
            Ok(_) | Err(Error::AccessRefused { .. }) => Ok(true),
            Err(Error::NotFound { .. }) => Ok(false),
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
        let known = declared.known();
        let declare_all = |parts: &[ChainPart], level, unrouted| {
            parts.iter().try_for_each(|part| declare(&self.channel, part.declare(), || until))?;
            let durable_from = Instant::now() + capabilities.queue_durable_after;
            declared.add(&known, level, unrouted, Some(durable_from));
            Ok(())
        };
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
            if !self.exists(part, until)? {
                return Err(refusal);
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

/// Returns the name of the highest known queue. All known parts exist if that queue does, because
/// they are declared from below.
fn highest(chain: &DelayChain, known: &KnownParts) -> String {
    match known.levels {
        0 if known.kept => chain.last_queue_name(Unrouted::Kept),
        0 => chain.last_queue_name(Unrouted::Dropped),
        levels => chain.level_name(levels - 1),
    }
}

/// Waits until a broker that restarts would keep the queues of a chain.
fn wait_until_durable(declared: &DeclaredChain, until: Option<Instant>) -> Result<()> {
    let Some(left) = declared.known().left_until_durable() else { return Ok(()) };
    let time = deadline::left(until.ok_or_else(must_wait)?);
    thread::sleep(left.min(time));
    if time < left { Err(must_wait()) } else { Ok(()) }
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
