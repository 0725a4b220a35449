//! Brokers that a test reaches over a socket: Carrot's server and RabbitMQ with the AMQP driver,
//! a ZeroMQ host, and ActiveMQ.

use std::any::Any;
use std::sync::Arc;

use carrot::config::RabbitMqRelease;
use carrot::memory::Broker;
use carrot::{Connection, ConnectionOptions};
use carrot_backend_zeromq::BrokerHost;
use carrot_server::Server;

use crate::on_activemq::activemq_url;
use crate::support::{first_two_numbers, rabbitmq_url, release};

/// A broker with a URL.
#[derive(Clone)]
pub struct RemoteBroker {
    pub url: String,
    /// The release that the broker imitates. `None` for RabbitMQ and ActiveMQ.
    imitated: Option<RabbitMqRelease>,
    /// The server or the host, which ends when dropped. `None` for RabbitMQ and ActiveMQ.
    _server: Option<Arc<dyn Any + Send + Sync>>,
}

impl RemoteBroker {
    /// Starts a server for one test.
    pub fn on_server() -> RemoteBroker {
        RemoteBroker::imitating(|broker| {
            let server = Server::bind("127.0.0.1:0", broker).unwrap();
            (server.url(), Arc::new(server))
        })
    }

    /// Starts a ZeroMQ host for one test.
    pub fn on_host() -> RemoteBroker {
        RemoteBroker::imitating(|broker| {
            let host = BrokerHost::bind("127.0.0.1:0", broker).unwrap();
            (host.url(), Arc::new(host))
        })
    }

    /// Starts a broker that imitates RabbitMQ 3.10 if that is the release of the environment, and
    /// the default release otherwise.
    fn imitating(
        start: impl FnOnce(&Broker) -> (String, Arc<dyn Any + Send + Sync>),
    ) -> RemoteBroker {
        let version = std::env::var("CARROT_TEST_RABBITMQ_VERSION").unwrap_or_default();
        let release = match version.starts_with("3.") {
            true => RabbitMqRelease::V3_10,
            false => RabbitMqRelease::default(),
        };
        let (url, server) = start(&Broker::builder().imitate(release).build());
        RemoteBroker { url, imitated: Some(release), _server: Some(server) }
    }

    /// The node of the environment, which all tests share.
    pub fn on_rabbitmq() -> RemoteBroker {
        RemoteBroker { url: rabbitmq_url(), imitated: None, _server: None }
    }

    /// The broker of the environment, which all tests share.
    pub fn on_activemq() -> RemoteBroker {
        RemoteBroker { url: activemq_url(), imitated: None, _server: None }
    }

    /// The first two numbers of the release, or of the release that the broker imitates.
    pub fn release(&self) -> (u32, u32) {
        self.imitated.map_or_else(release, |imitated| first_two_numbers(imitated.as_str()))
    }

    pub fn options(&self) -> ConnectionOptions {
        self.url.parse().unwrap()
    }

    pub fn connect(&self) -> Connection {
        carrot::connect(self.options()).unwrap()
    }
}

/// Turns each function into a test on Carrot's server, and one on RabbitMQ.
macro_rules! on_both_amqp_brokers {
    ($(fn $name:ident($broker:ident: &RemoteBroker) $body:block)*) => {
        $(fn $name($broker: &$crate::remote_broker::RemoteBroker) $body)*

        mod amqp {
            mod server {
                $(#[test]
                fn $name() {
                    super::super::$name(&$crate::remote_broker::RemoteBroker::on_server());
                })*
            }

            mod rabbitmq {
                $(#[test]
                #[ignore = "needs RabbitMQ: run ./scripts/test"]
                fn $name() {
                    super::super::$name(&$crate::remote_broker::RemoteBroker::on_rabbitmq());
                })*
            }
        }
    };
}

/// Turns each function into a test on Carrot's server, one on a ZeroMQ host, one on RabbitMQ, and
/// one on ActiveMQ. The attributes have the meaning of [`on_both_backends`].
macro_rules! on_remote_brokers {
    ($(
        $(#[without_activemq($lack:literal)])?
        $(#[differs_on_activemq($difference:ident)])?
        fn $name:ident($broker:ident: &RemoteBroker) $body:block
    )*) => {
        $(fn $name($broker: &$crate::remote_broker::RemoteBroker) $body)*

        mod remote {
            mod server {
                $(#[test]
                fn $name() {
                    super::super::$name(&$crate::remote_broker::RemoteBroker::on_server());
                })*
            }

            mod zeromq {
                $(#[test]
                fn $name() {
                    super::super::$name(&$crate::remote_broker::RemoteBroker::on_host());
                })*
            }

            mod rabbitmq {
                $(#[test]
                #[ignore = "needs RabbitMQ: run ./scripts/test"]
                fn $name() {
                    super::super::$name(&$crate::remote_broker::RemoteBroker::on_rabbitmq());
                })*
            }

            mod activemq {
                $(#[test]
                #[ignore = "needs ActiveMQ: run ./scripts/test"]
                fn $name() {
                    $crate::on_activemq::on_activemq(expected!($($lack)? $($difference)?), || {
                        super::super::$name(&$crate::remote_broker::RemoteBroker::on_activemq());
                    });
                })*
            }
        }
    };
}
