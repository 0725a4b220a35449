use std::time::Duration;

use carrot::config::RabbitMqRelease;
use carrot::{Connection, Consumer, Message, memory};
use carrot_server::Server;

use crate::program::Program;

/// Long enough for a program to start and to answer.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// The broker between Carrot and the other client.
pub(crate) struct Broker {
    url: String,
    /// Ends when dropped. `None` for RabbitMQ.
    _server: Option<Server>,
}

impl Broker {
    /// Starts a server of Carrot, which imitates the release of the RabbitMQ node.
    pub(crate) fn on_server() -> Broker {
        let version = std::env::var("CARROT_TEST_RABBITMQ_VERSION").unwrap_or_default();
        let release = match version.starts_with("3.") {
            true => RabbitMqRelease::V3_10,
            false => RabbitMqRelease::default(),
        };
        let broker = memory::Broker::builder().imitate(release).build();
        let server = Server::bind("127.0.0.1:0", &broker).unwrap();
        Broker { url: server.url(), _server: Some(server) }
    }

    pub(crate) fn on_rabbitmq() -> Broker {
        let url = std::env::var("CARROT_TEST_AMQP_URL")
            .expect("CARROT_TEST_AMQP_URL has to name a broker; ./scripts/test starts one");
        Broker { url, _server: None }
    }

    pub(crate) fn connect(&self) -> Connection {
        carrot::connect(&*self.url).unwrap()
    }

    /// Starts a program of `tests/interop/python` with the URL of the broker, and more arguments.
    pub(crate) fn python(&self, name: &str, arguments: &[&str]) -> Program {
        Program::python(name, &self.url, arguments)
    }

    /// Starts a program of `tests/interop/node` with the URL of the broker, and more arguments.
    pub(crate) fn node(&self, name: &str, arguments: &[&str]) -> Program {
        Program::node(name, &self.url, arguments)
    }
}

/// Turns each function into a test on Carrot's server, and one on RabbitMQ.
macro_rules! on_both_brokers {
    ($($name:ident,)*) => {
        mod server {
            $(#[test]
            #[ignore = "needs other clients: run ./scripts/test"]
            fn $name() {
                super::$name(&$crate::support::Broker::on_server());
            })*
        }

        mod rabbitmq {
            $(#[test]
            #[ignore = "needs RabbitMQ: run ./scripts/test"]
            fn $name() {
                super::$name(&$crate::support::Broker::on_rabbitmq());
            })*
        }
    };
}

/// A name that no other test and no other run uses.
pub(crate) fn unique(name: &str) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    format!("carrot-interop-{name}-{}-{}", std::process::id(), now.as_nanos())
}

/// Returns the next messages of a consumer, unsettled.
#[track_caller]
pub(crate) fn receive(consumer: &Consumer, messages: usize) -> Vec<Message> {
    let received: Vec<Message> =
        consumer.messages().unwrap().timeout(SOON).take(messages).map(Result::unwrap).collect();
    assert_eq!(received.len(), messages, "messages within {SOON:?}");
    received
}
