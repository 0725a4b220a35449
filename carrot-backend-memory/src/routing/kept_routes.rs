//! The queues that a message of a transaction goes to at the commit.

use std::sync::Arc;

use carrot_core::Result;

use crate::errors;
use crate::queue::arguments::QueueKind;
use crate::queue::message::RoutedMessage;
use crate::routing::route::{PublishOrigin, Routes, direct_keys};
use crate::routing::topology::BrokerTopology;

/// The queues and the direct replies that a message was routed to when it was published.
///
/// They hold no reference to the topology, which can change until the commit.
#[derive(Debug)]
pub(crate) struct KeptRoutes {
    queues: Vec<KeptQueue>,
    replies: Vec<String>,
}

#[derive(Debug)]
struct KeptQueue {
    name: Arc<str>,
    /// The number of the queue, or `None` for any queue that has the name at the commit.
    id: Option<u64>,
}

/// The routes that are left at the commit.
#[derive(Debug)]
pub(crate) struct LeftRoutes<'t> {
    pub(crate) routes: Routes<'t>,
    /// Whether another classic queue has the name of one that was deleted, and refuses the message.
    pub(crate) has_refused: bool,
}

impl BrokerTopology {
    /// Routes a message of a transaction.
    ///
    /// RabbitMQ 3.10 keeps the names of queues, and takes the routing key as such a name if the
    /// message goes to the default exchange. RabbitMQ 4.3 keeps the queues themselves.
    ///
    /// # Errors
    /// As [`route`](BrokerTopology::route).
    pub(crate) fn route_for_commit(
        &self,
        message: &RoutedMessage,
        keeps_names: bool,
    ) -> Result<KeptRoutes> {
        let routes = self.route(message, PublishOrigin::Client)?;
        let queues = match keeps_names {
            true if message.content.exchange.is_empty() => {
                direct_keys(message).map(|key| KeptQueue { name: key.into(), id: None }).collect()
            }
            _ => routes
                .iter()
                .map(|queue| KeptQueue {
                    name: Arc::clone(&queue.name),
                    id: (!keeps_names).then_some(queue.id),
                })
                .collect(),
        };
        Ok(KeptRoutes { queues, replies: routes.replies })
    }

    /// Returns the routes that are left of those that a transaction kept.
    ///
    /// # Errors
    /// - [`Error::HardError`](carrot_core::Error::HardError): a queue that was kept itself is
    ///   deleted.
    pub(crate) fn routes_at_commit(&self, kept: KeptRoutes) -> Result<LeftRoutes<'_>> {
        let mut left = Vec::new();
        let mut has_refused = false;
        for KeptQueue { name, id } in kept.queues {
            match (self.queue(&name), id) {
                (None, None) => {}
                (None, Some(_)) => return Err(errors::undeliverable(&name)),
                (Some(queue), Some(id)) if queue.id != id && queue.kind() == QueueKind::Classic => {
                    has_refused = true;
                }
                (Some(queue), _) => left.push(queue),
            }
        }
        let routes = Routes { queues: left.into_iter().collect(), replies: kept.replies };
        Ok(LeftRoutes { routes, has_refused })
    }
}

impl KeptRoutes {
    /// Returns the number of queues.
    pub(crate) fn queue_count(&self) -> usize {
        self.queues.len()
    }
}
