//! Brokers that a test uses with the AMQP driver: Carrot's server, and RabbitMQ.

use std::sync::Arc;

use carrot::config::RabbitMqRelease;
use carrot::memory::Broker;
use carrot::{Connection, ConnectionOptions};
use carrot_server::Server;

use crate::support::{first_two_numbers, rabbitmq_url, release};

/// A broker with a port.
#[derive(Clone)]
pub struct AmqpBroker {
    pub url: String,
    /// A server, which ends when dropped, and its broker. `None` for RabbitMQ.
    server: Option<Arc<(Server, Broker)>>,
}

impl AmqpBroker {
    /// Starts a server for one test. The server imitates RabbitMQ 3.10 if that is the release of
    /// the environment, and the default release otherwise.
    pub fn on_server() -> AmqpBroker {
        let version = std::env::var("CARROT_TEST_RABBITMQ_VERSION").unwrap_or_default();
        let release = match version.starts_with("3.") {
            true => RabbitMqRelease::V3_10,
            false => RabbitMqRelease::default(),
        };
        let broker = Broker::builder().imitate(release).build();
        let server = Server::bind("127.0.0.1:0", &broker).unwrap();
        AmqpBroker { url: server.url(), server: Some(Arc::new((server, broker))) }
    }

    /// The node of the environment, which all tests share.
    pub fn on_rabbitmq() -> AmqpBroker {
        AmqpBroker { url: rabbitmq_url(), server: None }
    }

    /// The first two numbers of the release, or of the release that the server imitates.
    pub fn release(&self) -> (u32, u32) {
        match &self.server {
            Some(server) => first_two_numbers(server.1.release().as_str()),
            None => release(),
        }
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
    ($(fn $name:ident($broker:ident: &AmqpBroker) $body:block)*) => {
        $(fn $name($broker: &$crate::amqp_broker::AmqpBroker) $body)*

        mod amqp {
            mod server {
                $(#[test]
                fn $name() {
                    super::super::$name(&$crate::amqp_broker::AmqpBroker::on_server());
                })*
            }

            mod rabbitmq {
                $(#[test]
                #[ignore = "needs RabbitMQ: run ./scripts/test"]
                fn $name() {
                    super::super::$name(&$crate::amqp_broker::AmqpBroker::on_rabbitmq());
                })*
            }
        }
    };
}
