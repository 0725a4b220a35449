//! The queues that a message reaches.

use std::collections::BTreeMap;

use carrot_core::backend::Content;
use carrot_core::{Error, Value};
use carrot_link::CallDeadline;
use carrot_listener::lock;
use carrot_routing::{BCC, CC, RoutedQueue, copy_keys};

use crate::channel::channel_core::ChannelCore;
use crate::connection::table_port::table_queue;
use crate::content::{BrokerDelay, MessageTerms, queue_name};
use crate::exchanges::death_mark::DeathMark;
use crate::exchanges::queue_rules::BrokerQueueRules;
use crate::exchanges::routing_definitions::RoutingDefinitions;
use crate::wire::destination::{DestinationKind, WireDestination};

/// The longest name of a destination of several queues, in bytes. That of OpenWire is 65535.
const LONGEST_DESTINATION: usize = 32_000;

/// The reason why a message is not routed.
#[derive(Debug)]
pub(crate) enum RouteFailure {
    /// The call fails, and nothing was sent.
    Call(Error),
    /// A broker would end the channel.
    Channel(Error),
}

/// The sender of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RouteOrigin {
    /// A program, which may not use internal exchanges.
    Client,
    /// A queue whose dead letter the message is.
    Broker(DeathMark),
}

impl RouteOrigin {
    /// Returns the routing keys of a message.
    fn keys(self, content: &Content) -> Vec<&str> {
        let mut keys = vec![content.routing_key.as_str()];
        let headers = content.properties.headers();
        let headers = headers.filter(|_| self != RouteOrigin::Broker(DeathMark::Readdressed));
        for name in [CC, BCC] {
            keys.extend(headers.map(|headers| copy_keys(headers, name)).unwrap_or_default());
        }
        keys
    }
}

impl ChannelCore {
    /// Returns how a message is sent to the queues that it reaches; empty if there are none.
    ///
    /// What is not found is looked up once again after a round trip, since another client may have
    /// declared it.
    pub(crate) fn routes(
        &self,
        content: &Content,
        deadline: CallDeadline,
    ) -> Result<Vec<MessageTerms>, RouteFailure> {
        check_copies(content).map_err(RouteFailure::Channel)?;
        let table = self.link.table.table("publish", deadline);
        let is_known = match table {
            Ok(table) => self.route_by(&table, content, RouteOrigin::Client),
            // The default exchange needs no table.
            Err(Error::AccessRefused { .. }) if content.exchange.is_empty() => {
                self.route_by(&RoutingDefinitions::default(), content, RouteOrigin::Client)
            }
            Err(refused @ Error::AccessRefused { .. }) => {
                return Err(RouteFailure::Channel(refused));
            }
            Err(error) => return Err(RouteFailure::Call(self.checked_error(error))),
        };
        match is_known {
            Ok(routes) if !routes.is_empty() => return Ok(routes),
            Err(refused @ Error::AccessRefused { .. }) => {
                return Err(RouteFailure::Channel(refused));
            }
            _ => {}
        }
        let fresh = match self.link.table.fresh_table("publish", deadline) {
            Ok(table) => self.route_by(&table, content, RouteOrigin::Client),
            Err(Error::AccessRefused { .. }) => {
                self.flush("publish", deadline).map_err(RouteFailure::Call)?;
                self.route_by(&RoutingDefinitions::default(), content, RouteOrigin::Client)
            }
            Err(error) => return Err(RouteFailure::Call(self.checked_error(error))),
        };
        fresh.map_err(RouteFailure::Channel)
    }

    fn checked_error(&self, error: Error) -> Error {
        match self.checked::<()>(Err(error)) {
            Err(error) => error,
            Ok(()) => Error::closed("channel"),
        }
    }

    /// Returns how a message is sent by a table, without waiting.
    ///
    /// # Errors
    /// - [`Error::NotFound`]: the exchange does not exist.
    /// - [`Error::AccessRefused`]: the exchange is internal.
    pub(crate) fn route_by(
        &self,
        table: &RoutingDefinitions,
        content: &Content,
        origin: RouteOrigin,
    ) -> Result<Vec<MessageTerms>, Error> {
        let exchange = content.exchange.as_str();
        let keys = origin.keys(content);
        if exchange.is_empty() {
            return Ok(self.terms_for(table, &keys));
        }
        let no_exchange =
            || Error::NotFound { reason: format!("NOT_FOUND - no exchange '{exchange}'") };
        let found = table.routing.exchange(exchange).ok_or_else(no_exchange)?;
        if origin == RouteOrigin::Client && found.definition().internal {
            let reason =
                format!("ACCESS_REFUSED - cannot publish to internal exchange '{exchange}'");
            return Err(Error::AccessRefused { reason });
        }
        let headers = content.properties.headers();
        let routes = table.routing.routes_from(found, keys.iter().copied(), headers);
        let names: Vec<&str> = routes.iter().map(|queue| &**queue.name()).collect();
        Ok(self.terms_for(table, &names))
    }

    /// Groups the queues that exist by their time to live.
    fn terms_for(&self, table: &RoutingDefinitions, names: &[&str]) -> Vec<MessageTerms> {
        let mut groups: BTreeMap<Option<i64>, Vec<WireDestination>> = BTreeMap::new();
        let directory = lock(&self.link.queues);
        for name in names {
            let queue = queue_name::destination(name.as_bytes());
            if !directory.contains(&queue) || queue == table_queue() {
                continue;
            }
            let arguments = table.queues.get(*name);
            let time_to_live =
                arguments.and_then(|arguments| BrokerQueueRules::stored(arguments).time_to_live);
            let group = groups.entry(time_to_live).or_default();
            if !group.contains(&queue) {
                group.push(queue);
            }
        }
        drop(directory);
        let mut terms = Vec::new();
        for (time_to_live, group) in groups {
            let destinations = composite(group).into_iter();
            terms.extend(destinations.map(|queues| MessageTerms::new(queues, time_to_live)));
        }
        terms
    }
}

/// Returns several queues as few destinations, which the broker splits at commas. A temporary queue
/// stays alone: the broker checks the permission to write by its kind.
fn composite(queues: Vec<WireDestination>) -> Vec<WireDestination> {
    let (mut named, mut destinations): (Vec<_>, Vec<_>) =
        queues.into_iter().partition(|queue| queue.kind == DestinationKind::Queue);
    named.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    let mut names: Vec<String> = Vec::new();
    for queue in named {
        match names.last_mut().filter(|names| names.len() < LONGEST_DESTINATION) {
            Some(names) => names.extend([",", &*queue.name]),
            None => names.push(queue.name),
        }
    }
    destinations.extend(names.into_iter().map(WireDestination::queue));
    destinations
}

/// Returns how a delayed message is sent: to one queue at a time. The scheduler of older brokers
/// knows a message by its id, which the parts of one destination share.
pub(crate) fn delayed(routes: Vec<MessageTerms>, delay: BrokerDelay) -> Vec<MessageTerms> {
    let delay = Some(delay);
    let mut alone = Vec::with_capacity(routes.len());
    for terms in routes {
        let names = terms.destination.name.split(',').map(String::from);
        let kind = terms.destination.kind;
        let queues = names.map(|name| WireDestination { kind, name });
        alone.extend(queues.map(|queue| MessageTerms {
            destination: queue,
            delay,
            ..terms.clone()
        }));
    }
    alone
}

/// Refuses copies that are no lists.
fn check_copies(content: &Content) -> Result<(), Error> {
    let Some(headers) = content.properties.headers() else { return Ok(()) };
    for name in [CC, BCC] {
        if headers.get(name).is_some_and(|value| !matches!(value, Value::Array(_))) {
            let reason = format!("PRECONDITION_FAILED - the header '{name}' must be an array");
            return Err(Error::PreconditionFailed { reason });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::time::Duration;

    use super::*;

    #[test]
    fn several_queues_are_one_destination() {
        let queues = vec![WireDestination::queue("b"), WireDestination::queue("a")];
        assert_eq!(composite(queues), [WireDestination::queue("a,b")]);
    }

    #[test]
    fn temporary_queues_stay_alone() {
        let temporary = ["x:1", "x:2"].map(WireDestination::temporary_queue);
        let queues = vec![temporary[0].clone(), WireDestination::queue("b"), temporary[1].clone()];
        let [one, other] = temporary;
        assert_eq!(composite(queues), [one, other, WireDestination::queue("b")]);
    }

    #[test]
    fn delayed_message_goes_to_each_queue_alone() {
        let destination = WireDestination::queue("a,b");
        let delay = BrokerDelay::new(Duration::from_secs(1)).unwrap();
        let alone = delayed(vec![MessageTerms::new(destination, Some(7))], delay);
        let shown = alone.iter().map(|terms| (&*terms.destination.name, terms.time_to_live));
        assert_eq!(shown.collect::<Vec<_>>(), [("a", Some(7)), ("b", Some(7))]);
        assert!(alone.iter().all(|terms| terms.delay == Some(delay)));
    }

    #[test]
    fn very_many_queues_are_several_destinations() {
        let queues = (0..1000).map(|number| WireDestination::queue(format!("{number:0100}")));
        let destinations = composite(queues.collect());
        assert_eq!(destinations.len(), 4);
        assert!(destinations.iter().all(|several| several.name.len() < 65_535));
        let count: usize = destinations.iter().map(|one| one.name.split(',').count()).sum();
        assert_eq!(count, 1000);
    }
}
