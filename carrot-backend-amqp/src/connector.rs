//! The way to one broker.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use carrot_core::backend::{Backend, Capabilities, ChannelOptions, Clock, Connector, Role, Status};
use carrot_core::{ConnectionOptions, Credentials, Error, Result, Scheme};

use crate::events::Observer;

/// Reaches RabbitMQ, or another broker that speaks AMQP 0-9-1.
///
/// It holds two connections at most, one for channels that publish and one for channels that consume, since a broker under an alarm stops
/// reading from connections that publish. Each is made by the first [`open`](Connector::open) or
/// [`connect`](Connector::connect) that needs it, and made again by the next one after it was lost.
///
/// Dropping it never waits. A connection ends when neither the connector nor a channel on it is left.
///
/// ```no_run
/// use std::time::Duration;
///
/// use carrot::amqp::AmqpConnector;
/// use carrot::backend::{ChannelOptions, Connector, Declare};
/// use carrot::{ConnectionOptions, Queue};
///
/// # fn main() -> carrot::Result<()> {
/// let connector = AmqpConnector::new(&ConnectionOptions::new().host("localhost"))?;
/// let channel = connector.open(&ChannelOptions::publish(), Duration::from_secs(10))?;
/// channel.declare(Declare::Queue(&Queue::new("jobs")), Duration::from_secs(10))?;
/// connector.close(Duration::from_secs(10))
/// # }
/// ```
pub struct AmqpConnector(Box<dyn Connector>);

impl AmqpConnector {
    /// Checks the options, and connects to nothing yet.
    ///
    /// # Errors
    /// [`Error::Config`] as [`ConnectionOptions::validate`] says, and for a scheme that this driver does not serve: the memory broker's,
    /// or `amqps` without the feature `tls`.
    pub fn new(options: &ConnectionOptions) -> Result<AmqpConnector> {
        options.validate()?;
        match options.scheme {
            Scheme::Amqp => {}
            Scheme::Amqps if cfg!(feature = "tls") => {}
            Scheme::Amqps => {
                return Err(Error::config(
                    "scheme",
                    "amqps needs the feature `tls` of carrot-backend-amqp",
                ));
            }
            scheme => {
                return Err(Error::config(
                    "scheme",
                    format!("{scheme} is not reached through AMQP; amqp and amqps are"),
                ));
            }
        }
        match options.credentials {
            Credentials::Plain { .. } | Credentials::External => {}
            _ => return Err(Error::config("credentials", "not supported by AMQP")),
        }
        #[cfg(carrot_next_driver)]
        let driver = crate::next::NextConnector::new(options);
        #[cfg(not(carrot_next_driver))]
        let driver = crate::today::TodaysConnector::new(options);
        Ok(AmqpConnector(Box::new(driver)))
    }
}

impl Connector for AmqpConnector {
    /// As the contract says. The whole is bounded by `timeout`, and making a connection by
    /// [`connect_timeout`](ConnectionOptions::connect_timeout) as well.
    fn open(&self, options: &ChannelOptions, timeout: Duration) -> Result<Arc<dyn Backend>> {
        self.0.open(options, timeout)
    }

    fn connect(&self, role: Role, timeout: Duration) -> Result<()> {
        self.0.connect(role, timeout)
    }

    fn endpoint(&self) -> String {
        self.0.endpoint()
    }

    fn close(&self, timeout: Duration) -> Result<()> {
        self.0.close(timeout)
    }

    fn status(&self, role: Role) -> Status {
        self.0.status(role)
    }

    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    fn clock(&self) -> Clock {
        self.0.clock()
    }

    /// As the contract says, on a thread of its own, for as long as the observers take.
    fn observe(&self, observer: Observer) {
        self.0.observe(observer);
    }
}

impl fmt::Debug for AmqpConnector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}
