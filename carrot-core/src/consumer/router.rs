use std::collections::HashMap;
use std::fmt;

use serde::de::DeserializeOwned;

use crate::consumer::dispatch;
use crate::consumer::failure::{Failure, FailurePolicy};
use crate::consumer::handled::Handled;
use crate::consumer::handler::IntoSettlement;
use crate::consumer::message::Message;
use crate::escaping::Printable;

/// The longest type or routing key in the reason of a failure, in bytes.
const LONGEST_KEY: usize = 255;

/// A handler of a route: decodes and handles one message.
type Route = Box<dyn Fn(&Message, &FailurePolicy) -> Handled + Send + Sync>;

/// Passes each message of a queue to the handler of its type. Each handler decodes the body to a
/// type of its own.
///
/// A message without a handler goes to [`otherwise`](Router::otherwise). Without that, the message
/// fails permanently, and is parked with the reason. [`Handler`](crate::Handler) describes how a
/// message is settled.
///
/// ```
/// use carrot::consume::Router;
/// use carrot::{Message, Settlement};
///
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct Order {
///     number: u32,
/// }
///
/// # fn main() -> carrot::Result<()> {
/// let connection = carrot::connect("memory://")?;
/// let router = Router::new()
///     .on("order.placed", |order: Order, _: &Message| println!("placed: {}", order.number))
///     .on("order.cancelled", |number: u32, _: &Message| println!("cancelled: {number}"))
///     .otherwise(|message: &Message| Settlement::Park(format!("unknown: {:?}", message.kind())));
/// let workers = connection.consumer("orders").build()?.workers(2).spawn_router(router)?;
///
/// let orders = connection.publisher().queue("orders").build()?;
/// orders.message().kind("order.placed").send(&Order { number: 7 })?;
/// # workers.stop(std::time::Duration::from_secs(10))?;
/// # Ok(())
/// # }
/// ```
#[derive(Default)]
#[must_use = "a router handles nothing before it is spawned or registered"]
pub struct Router {
    by_routing_key: bool,
    routes: HashMap<String, Route>,
    otherwise: Option<Route>,
}

impl Router {
    /// Creates a router by the property `type`, which the publisher sets by
    /// [`kind`](crate::MessageBuilder::kind). A message without a type has the empty type.
    pub fn new() -> Router {
        Router::default()
    }

    /// Routes by the routing key, which has to be equal. A message that was retried has the key
    /// with which it was published.
    ///
    /// Defaults to the property `type`.
    pub fn by_routing_key(mut self) -> Router {
        self.by_routing_key = true;
        self
    }

    /// Adds the handler of a type, or of a routing key. Replaces the former handler of that type.
    pub fn on<T, R>(
        mut self,
        key: impl Into<String>,
        handler: impl Fn(T, &Message) -> R + Send + Sync + 'static,
    ) -> Router
    where
        T: DeserializeOwned,
        R: IntoSettlement,
    {
        let route: Route = Box::new(move |message, policy| {
            dispatch::handle(message, policy, |payload, message| {
                handler(payload, message).into_settlement()
            })
        });
        self.routes.insert(key.into(), route);
        self
    }

    /// Sets the handler of all other messages, whose bodies are not decoded.
    ///
    /// Defaults to parking the message.
    pub fn otherwise<R: IntoSettlement>(
        mut self,
        handler: impl Fn(&Message) -> R + Send + Sync + 'static,
    ) -> Router {
        self.otherwise = Some(Box::new(move |message, policy| {
            dispatch::handle_whole(message, policy, |message| handler(message).into_settlement())
        }));
        self
    }

    /// Passes a message to its handler.
    pub(crate) fn handle(&self, message: &Message, policy: &FailurePolicy) -> Handled {
        let key = if self.by_routing_key {
            message.routing_key()
        } else {
            message.kind().unwrap_or_default()
        };
        match self.routes.get(key).or(self.otherwise.as_ref()) {
            Some(route) => route(message, policy),
            None => match message.check_readable() {
                Ok(()) => Handled::failed_with(self.no_route(key)),
                Err(error) => dispatch::undecodable(message, policy, error),
            },
        }
    }

    fn no_route(&self, key: &str) -> Failure {
        let name = if self.by_routing_key { "routing key" } else { "type" };
        let key = Printable::new(LONGEST_KEY, key);
        let failure = Failure::new(format!("the router has no handler for {name} \"{key}\""));
        Failure { permanent: true, ..failure }
    }
}

impl fmt::Debug for Router {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut keys: Vec<_> = self.routes.keys().collect();
        keys.sort();
        formatter
            .debug_struct("Router")
            .field("by_routing_key", &self.by_routing_key)
            .field("routes", &keys)
            .field("otherwise", &self.otherwise.is_some())
            .finish()
    }
}
