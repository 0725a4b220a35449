//! Where a message goes.

use std::sync::Arc;

use carrot_core::Result;
use carrot_core::backend::ShortString;

use crate::broker::Core;
use crate::queue::Queue;
use crate::ready::Parcel;
use crate::reply_to;
use crate::routing::Origin;

/// The queues that a message goes to, each once. The first is kept apart since most messages go to one, which then costs no allocation.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    first: Option<Arc<Queue>>,
    others: Vec<Arc<Queue>>,
}

impl Routes {
    pub(crate) fn add(&mut self, queue: &Arc<Queue>) {
        if queue.is_gone() || self.first.as_ref().is_some_and(|first| Arc::ptr_eq(first, queue)) {
            return;
        }
        match self.first {
            None => self.first = Some(Arc::clone(queue)),
            Some(_) => self.others.push(Arc::clone(queue)),
        }
    }

    pub(crate) fn tidy(&mut self) {
        if self.others.len() > 1 {
            self.others.sort_unstable_by_key(|queue| queue.id);
            self.others.dedup_by_key(|queue| queue.id);
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Queue>> {
        self.first.iter().chain(&self.others)
    }

    /// All but the last, and the last, if there are any.
    pub(crate) fn split_last(&self) -> Option<(impl Iterator<Item = &Arc<Queue>>, &Arc<Queue>)> {
        let first = self.first.as_ref()?;
        let (before, middle, last) = match self.others.split_last() {
            None => (None, Default::default(), first),
            Some((last, middle)) => (Some(first), middle, last),
        };
        Some((before.into_iter().chain(middle), last))
    }
}

/// Where the last message of a channel went: the next one goes there too, as long as it says the same and the topology stays. Whoever
/// publishes then need not lock that, which all threads share.
#[derive(Debug, Default)]
pub(crate) struct LastRoutes {
    address: Option<Address>,
    routes: Routes,
}

/// All that decides where a message without headers goes.
#[derive(Debug)]
struct Address {
    version: u64,
    exchange: ShortString,
    routing_key: ShortString,
}

impl LastRoutes {
    /// The queues that a client's message goes to; as [`Core::route`].
    pub(crate) fn or_route(&mut self, core: &Core, parcel: &Parcel) -> Result<&Routes> {
        let version = core.topology.version();
        let content = &*parcel.content;
        let is_simple = content.properties.headers().is_none();
        let is_same = |address: &Address| {
            address.version == version
                && address.routing_key == content.routing_key
                && address.exchange == content.exchange
        };
        if !(is_simple && self.address.as_ref().is_some_and(is_same)) {
            self.address = None;
            self.routes = core.route(parcel, Origin::Client)?;
            self.address =
                (is_simple && !content.routing_key.starts_with(reply_to::PREFIX)).then(|| {
                    Address {
                        version,
                        exchange: content.exchange.clone(),
                        routing_key: content.routing_key.clone(),
                    }
                });
        }
        Ok(&self.routes)
    }
}
