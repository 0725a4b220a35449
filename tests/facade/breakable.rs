//! Brokers whose connections a test cuts, and which a test makes unreachable.

use std::any::Any;

use carrot::memory::Broker;
use carrot::{Connection, ConnectionOptions};
use carrot_faults::Proxy;

use crate::remote_broker::RemoteBroker;
use crate::support::unique;

/// A broker that can be lost.
pub struct Breakable {
    /// The options for the path that can be broken.
    pub options: ConnectionOptions,
    /// A connection on that path.
    pub connection: Connection,
    /// A connection on another path, which is never broken.
    pub onlooker: Connection,
    way: Way,
    /// The broker behind the proxy. Ends when dropped.
    _broker: Option<Box<dyn Any + Send + Sync>>,
}

enum Way {
    Memory { broker: Broker, name: String },
    Proxy(Proxy),
}

impl Breakable {
    pub fn on_memory() -> Breakable {
        let name = unique("broker");
        let broker = Broker::named(&name);
        let options = ConnectionOptions::memory_named(&*name).name(&*name);
        let onlooker = Connection::new(broker.connector());
        Breakable {
            connection: carrot::connect(&options).unwrap(),
            options,
            onlooker,
            way: Way::Memory { broker, name },
            _broker: None,
        }
    }

    pub fn on_server() -> Breakable {
        let broker = RemoteBroker::on_server();
        Breakable::behind_proxy(broker.options(), broker)
    }

    pub fn on_rabbitmq() -> Breakable {
        let broker = RemoteBroker::on_rabbitmq();
        Breakable::behind_proxy(broker.options(), broker)
    }

    pub fn on_activemq() -> Breakable {
        let broker = RemoteBroker::on_activemq();
        Breakable::behind_proxy(broker.options(), broker)
    }

    pub fn on_host() -> Breakable {
        let broker = RemoteBroker::on_host();
        Breakable::behind_proxy(broker.options(), broker)
    }

    fn behind_proxy(direct: ConnectionOptions, broker: impl Any + Send + Sync) -> Breakable {
        let (proxy, options) = Proxy::in_front_of(&direct).unwrap();
        let onlooker = carrot::connect(&direct).unwrap();
        Breakable {
            connection: carrot::connect(&options).unwrap(),
            options,
            onlooker,
            way: Way::Proxy(proxy),
            _broker: Some(Box::new(broker)),
        }
    }

    /// Cuts every connection. The next one can be opened at once.
    pub fn cut(&self) {
        match &self.way {
            // There may be no open connection.
            Way::Memory { broker, name } => drop(broker.faults().drop_connections_named(name)),
            Way::Proxy(proxy) => proxy.cut(),
        }
    }

    /// Drops the confirms of the next `count` messages.
    pub fn lose_confirms(&self, count: u32) {
        match &self.way {
            Way::Memory { broker, .. } => drop(broker.faults().lose_confirms(count)),
            Way::Proxy(proxy) => proxy.black_hole(),
        }
    }

    /// Cuts every connection, and refuses new ones.
    pub fn take_away(&self) {
        match &self.way {
            Way::Memory { broker, .. } => drop(broker.faults().refuse_connects(u32::MAX)),
            Way::Proxy(proxy) => proxy.refuse(true).unwrap(),
        }
        self.cut();
    }

    /// Accepts new connections again.
    pub fn bring_back(&self) {
        match &self.way {
            Way::Memory { broker, .. } => drop(broker.faults().clear()),
            Way::Proxy(proxy) => proxy.heal().unwrap(),
        }
    }

    /// The address of the broker in errors.
    pub fn endpoint(&self) -> String {
        match &self.way {
            Way::Memory { name, .. } => format!("memory://{name}"),
            Way::Proxy(proxy) => proxy.address().to_string(),
        }
    }
}

/// Turns each function into a test on the memory broker, and one on a host of ZeroMQ, on Carrot's
/// server, on RabbitMQ and on ActiveMQ behind a proxy. The attributes have the meaning of
/// [`on_both_backends`].
macro_rules! on_both_breakable {
    ($(
        $(#[without_activemq($lack:literal)])?
        $(#[differs_on_activemq($difference:ident)])?
        fn $name:ident($broker:ident: Breakable) $body:block
    )*) => {
        $(fn $name($broker: $crate::breakable::Breakable) $body)*

        mod memory {
            $(#[test]
            fn $name() {
                super::$name($crate::breakable::Breakable::on_memory());
            })*
        }

        mod server {
            $(#[test]
            fn $name() {
                super::$name($crate::breakable::Breakable::on_server());
            })*
        }

        mod zeromq {
            $(#[test]
            fn $name() {
                super::$name($crate::breakable::Breakable::on_host());
            })*
        }

        mod rabbitmq {
            $(#[test]
            #[ignore = "needs RabbitMQ: run ./scripts/test"]
            fn $name() {
                super::$name($crate::breakable::Breakable::on_rabbitmq());
            })*
        }

        mod activemq {
            $(#[test]
            #[ignore = "needs ActiveMQ: run ./scripts/test"]
            fn $name() {
                $crate::on_activemq::on_activemq(expected!($($lack)? $($difference)?), || {
                    super::$name($crate::breakable::Breakable::on_activemq());
                });
            })*
        }
    };
}
