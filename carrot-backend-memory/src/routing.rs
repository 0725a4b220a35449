//! The way of one message from its publisher into the queues.

use std::collections::HashSet;
use std::sync::Arc;

use carrot_core::backend::Content;
use carrot_core::{Properties, Result, Value};

use crate::arguments;
use crate::broker::Core;
use crate::channel::Channel;
use crate::exchange::{Exchange, Target};
use crate::publishing::Answer;
use crate::ready::{Hidden, Parcel};
use crate::refusal;
use crate::reply_to;
use crate::routes::{LastRoutes, Routes};
use crate::topology::Topology;

/// RabbitMQ's limit on the body of a message.
const LARGEST_BODY: usize = 134_217_728;

/// Where a message comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    Client,
    Broker,
}

impl Core {
    /// Publishes a message of a client, in the order of RabbitMQ's checks.
    pub(crate) fn publish(
        self: &Arc<Core>,
        channel: &Channel,
        last_routes: &mut LastRoutes,
        user: &str,
        content: &Arc<Content>,
        mandatory: bool,
    ) -> Result<Answer> {
        let properties = &content.properties;
        if content.body.len() > LARGEST_BODY {
            return Err(refusal::precondition(format_args!(
                "message size {} is larger than configured max size {LARGEST_BODY}",
                content.body.len()
            )));
        }
        let strange_mode =
            properties.delivery_mode().map(u8::from).filter(|mode| !(1..=2).contains(mode));
        let asks_for_answer = properties.reply_to() == Some(reply_to::PSEUDO_QUEUE);
        let may_be_refused = properties.user_id().is_some()
            || properties.expiration().is_some()
            || properties.headers().is_some();
        if may_be_refused || strange_mode.is_some() || asks_for_answer {
            self.check_exchange(&content.exchange)?;
        }
        if let Some(claimed) = properties.user_id()
            && claimed != user
        {
            return Err(refusal::precondition(format_args!(
                "user_id property set to '{claimed}' but authenticated user was '{user}'"
            )));
        }
        let expiration = properties.expiration().map(arguments::expiration).transpose()?;
        if let Some(mode) = strange_mode {
            return Err(refusal::precondition(format_args!(
                "invalid message: {{delivery_mode_unknown,{mode}}}"
            )));
        }
        let parcel = match properties.reply_to() {
            Some(reply_to::PSEUDO_QUEUE) => {
                let name = channel
                    .reply_to()
                    .ok_or_else(|| refusal::precondition("fast reply consumer does not exist"))?;
                without_blind_copies(Arc::new(Content {
                    exchange: content.exchange.clone(),
                    routing_key: content.routing_key.clone(),
                    properties: properties.clone().with_reply_to(&*name),
                    body: content.body.clone(),
                }))?
            }
            _ => without_blind_copies(Arc::clone(content))?,
        };
        let routes = last_routes.or_route(self, &parcel)?;
        self.record(content);
        let Some((others, last)) = routes.split_last() else {
            return Ok(if mandatory { Answer::Unroutable } else { Answer::Accepted });
        };
        let mut accepted = true;
        for queue in others {
            accepted &= queue.enqueue(self, parcel.clone(), expiration);
        }
        accepted &= last.enqueue(self, parcel, expiration);
        self.send_dead_letters();
        Ok(if accepted { Answer::Accepted } else { Answer::Refused })
    }

    fn check_exchange(&self, name: &str) -> Result<()> {
        if name.is_empty() {
            return Ok(());
        }
        find_exchange(&self.topology.read(), name, Origin::Client).map(|_| ())
    }

    /// The queues that a message goes to.
    ///
    /// # Errors
    /// [`Error::NotFound`](carrot_core::Error::NotFound) if its exchange does not exist; for a client's message
    /// [`Error::AccessRefused`](carrot_core::Error::AccessRefused) if it is internal.
    pub(crate) fn route(&self, parcel: &Parcel, origin: Origin) -> Result<Routes> {
        let content = &*parcel.content;
        let headers = content.properties.headers();
        let carbon_copies =
            headers.and_then(|headers| headers.get("CC")).map(array_of_strings).unwrap_or_default();
        let hidden =
            parcel.hidden.as_ref().map(|hidden| hidden.keys.as_slice()).unwrap_or_default();
        let keys = || {
            let others = carbon_copies.iter().copied().chain(hidden.iter().map(String::as_str));
            std::iter::once(&*content.routing_key).chain(others)
        };

        let mut routes = Routes::default();
        if content.exchange.is_empty() {
            for key in keys() {
                if key.starts_with(reply_to::PREFIX) {
                    self.deliver_reply(key, parcel);
                    continue;
                }
                if let Some(queue) = self.topology.read().queues.get(key) {
                    routes.add(queue);
                }
            }
            routes.tidy();
            return Ok(routes);
        }

        let topology = self.topology.read();
        let mut exchange = find_exchange(&topology, &content.exchange, origin)?;
        let mut seen: HashSet<u64> = HashSet::new();
        let mut waiting: Vec<&str> = Vec::new();
        loop {
            let mut fits = false;
            for key in keys() {
                exchange.route(key, headers, |target| {
                    fits = true;
                    match target {
                        Target::Queue(queue) => routes.add(queue),
                        Target::Exchange { name, .. } => waiting.push(name),
                    }
                });
            }
            if !fits {
                waiting.extend(exchange.alternate.as_deref());
            }
            if waiting.is_empty() {
                break;
            }
            seen.insert(exchange.id);
            let next = std::iter::from_fn(|| waiting.pop())
                .filter_map(|name| topology.exchanges.get(name))
                .find(|exchange| !seen.contains(&exchange.id));
            match next {
                Some(next) => exchange = next,
                None => break,
            }
        }
        drop(topology);
        routes.tidy();
        Ok(routes)
    }
}

fn find_exchange<'a>(topology: &'a Topology, name: &str, origin: Origin) -> Result<&'a Exchange> {
    match topology.exchanges.get(name) {
        None => Err(refusal::no_exchange(name)),
        Some(exchange) if exchange.internal && origin == Origin::Client => Err(refusal::access(
            format_args!("cannot publish to internal exchange '{name}' in vhost '/'"),
        )),
        Some(exchange) => Ok(exchange),
    }
}

/// Takes the `BCC` header out of a message, and keeps its routing keys.
///
/// # Errors
/// [`Error::PreconditionFailed`](carrot_core::Error::PreconditionFailed) if `CC` or `BCC` is no list.
fn without_blind_copies(content: Arc<Content>) -> Result<Parcel> {
    let Some(headers) = content.properties.headers() else { return Ok(Parcel::new(content)) };
    for name in ["CC", "BCC"] {
        if let Some(value) = headers.get(name)
            && value.as_array().is_none()
        {
            return Err(refusal::precondition(format_args!(
                "invalid message: {{unacceptable_type_in_header,<<\"{name}\">>,{}}}",
                arguments::type_name(value)
            )));
        }
    }
    let Some(blind) = headers.get("BCC") else { return Ok(Parcel::new(content)) };
    let keys = array_of_strings(blind).into_iter().map(String::from).collect();
    let mut headers = headers.clone();
    headers.remove("BCC");
    let content = Content {
        exchange: content.exchange.clone(),
        routing_key: content.routing_key.clone(),
        properties: Properties::clone(&content.properties).with_headers(headers),
        body: content.body.clone(),
    };
    Ok(Parcel::with_hidden(Arc::new(content), Some(Arc::new(Hidden { keys }))))
}

pub(crate) fn array_of_strings(value: &Value) -> Vec<&str> {
    value.as_array().unwrap_or_default().iter().filter_map(Value::as_str).collect()
}
