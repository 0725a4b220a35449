//! The targets of bindings.

use std::fmt::Debug;
use std::sync::Arc;

use carrot_core::Destination;

/// A queue in a [`RoutingTable`](crate::RoutingTable).
pub trait RoutedQueue: Debug {
    /// Returns the number of the queue, from [`RoutingTable::next_id`](crate::RoutingTable::next_id)
    /// of its table. No other queue and no exchange of the table has it.
    fn id(&self) -> u64;

    /// Returns the name of the queue, which never changes.
    fn name(&self) -> &Arc<str>;

    /// Returns whether the queue was deleted, and is still in the table. Such a queue receives no
    /// message.
    ///
    /// Defaults to `false`.
    fn is_deleted(&self) -> bool {
        false
    }
}

/// The target of a binding.
#[derive(Debug)]
#[allow(clippy::exhaustive_enums, reason = "AMQP 0-9-1 binds nothing else")]
pub enum BindingTarget<Q> {
    /// A queue.
    Queue(Arc<Q>),
    /// Another exchange.
    Exchange {
        /// The number of the exchange in the table.
        id: u64,
        /// The name of the exchange.
        name: Arc<str>,
    },
}

impl<Q> Clone for BindingTarget<Q> {
    fn clone(&self) -> BindingTarget<Q> {
        match self {
            BindingTarget::Queue(queue) => BindingTarget::Queue(Arc::clone(queue)),
            BindingTarget::Exchange { id, name } => {
                BindingTarget::Exchange { id: *id, name: Arc::clone(name) }
            }
        }
    }
}

impl<Q: RoutedQueue> BindingTarget<Q> {
    /// Returns the number of the target in its table.
    pub fn id(&self) -> u64 {
        match self {
            BindingTarget::Queue(queue) => queue.id(),
            BindingTarget::Exchange { id, .. } => *id,
        }
    }

    /// Returns the target by its name.
    pub(crate) fn destination(&self) -> Destination {
        match self {
            BindingTarget::Queue(queue) => Destination::Queue(queue.name().to_string()),
            BindingTarget::Exchange { name, .. } => Destination::Exchange(name.to_string()),
        }
    }
}
