//! `carrot serve`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use carrot::config::{RabbitMqRelease, Secret};
use carrot::memory::Broker;
use carrot::server::Server;
use carrot::zeromq::BrokerHost;
use clap::Args;

use crate::commands::served_control::ServedControl;
use crate::exit::{CommandFailure, Result};
use crate::interrupt::Interrupt;
use crate::printing::print_line;
use crate::secret_file::first_line;

/// How long clients have to leave after Ctrl-C.
const LEAVE: Duration = Duration::from_secs(5);

/// Hosts a broker in memory, for AMQP 0-9-1 and ZeroMQ, until Ctrl-C. Prints a URL for each.
///
/// Its messages end with it, durable and persistent ones included: use RabbitMQ for messages that
/// have to survive.
#[derive(Debug, Args)]
pub(crate) struct ServeArguments {
    /// Address for AMQP clients, such as 127.0.0.1:5672. Port 0 chooses a free one
    #[arg(long, value_name = "ADDRESS")]
    amqp: Option<SocketAddr>,
    /// Address for carrot over ZeroMQ, such as 127.0.0.1:5555. Port 0 chooses a free one
    #[arg(long, value_name = "ADDRESS")]
    zeromq: Option<SocketAddr>,
    /// Name of the only user. Without it, AMQP clients are guest, and ZeroMQ has no users
    #[arg(long, requires = "host_password_file")]
    host_user: Option<String>,
    /// File whose first line is the password of the user
    #[arg(long, value_name = "FILE", requires = "host_user")]
    host_password_file: Option<PathBuf>,
    /// Accept addresses that other machines reach. Needs --host-user
    #[arg(long, requires = "host_user")]
    allow_other_machines: bool,
    /// Release of RabbitMQ that the broker imitates: 3.10 or 4.3
    #[arg(long, value_name = "RELEASE")]
    release: Option<RabbitMqRelease>,
    /// Bytes of messages above which publishers are blocked
    #[arg(long, value_name = "BYTES")]
    memory_limit: Option<usize>,
    /// Address of a control interface, such as 127.0.0.1:4711, on the loopback interface. list,
    /// top and topology ask it with --control. Port 0 chooses a free one
    #[arg(long, value_name = "ADDRESS", requires = "control_token_file")]
    control: Option<String>,
    /// File for the token of the control interface, which no other user can read. It is removed at
    /// the end
    #[arg(long, value_name = "FILE", requires = "control")]
    control_token_file: Option<PathBuf>,
}

/// Sets what the builders of a `Server` and of a `BrokerHost` have in common.
macro_rules! configured {
    ($arguments:expr, $user:expr, $builder:expr) => {{
        let mut builder = $builder;
        if let Some((name, password)) = $user {
            builder = builder.user(name, password.clone());
        }
        if $arguments.allow_other_machines {
            builder = builder.allow_other_machines();
        }
        if let Some(bytes) = $arguments.memory_limit {
            builder = builder.memory_limit(bytes);
        }
        builder
    }};
}

impl ServeArguments {
    pub(crate) fn run(&self) -> Result<()> {
        if self.amqp.is_none() && self.zeromq.is_none() {
            return Err(CommandFailure::input("serve needs --amqp, --zeromq, or both"));
        }
        let interrupt = Interrupt::install()?;
        let broker = match self.release {
            Some(release) => Broker::builder().imitate(release).build(),
            None => Broker::new(),
        };
        let user = self.user()?;
        let control = self.start_control(&broker)?;
        let server = match self.amqp {
            None => None,
            Some(address) => {
                let server = configured!(self, &user, Server::builder(&broker)).bind(address)?;
                print_line(&format!("amqp://{}", server.address()))?;
                Some(server)
            }
        };
        let host = match self.zeromq {
            None => None,
            Some(address) => {
                let host = configured!(self, &user, BrokerHost::builder(&broker)).bind(address)?;
                print_line(&host.url())?;
                Some(host)
            }
        };
        if let Some((control, file)) = &control {
            print_line(&control.url())?;
            note!("carrot: the token of the control interface is in {}", file.display());
        }
        while interrupt.wait(Duration::from_secs(3600)) {}
        drop(control);
        if let Some(server) = server {
            server.stop(LEAVE)?;
        }
        if let Some(host) = host {
            host.stop(LEAVE)?;
        }
        Ok(())
    }

    fn start_control(&self, broker: &Broker) -> Result<Option<(ServedControl, &Path)>> {
        let (Some(address), Some(file)) = (&self.control, &self.control_token_file) else {
            return Ok(None);
        };
        Ok(Some((ServedControl::start(address, file, broker)?, file)))
    }

    fn user(&self) -> Result<Option<(String, Secret)>> {
        let (Some(name), Some(path)) = (&self.host_user, &self.host_password_file) else {
            return Ok(None);
        };
        let password = first_line("--host-password-file", path)?;
        Ok(Some((name.clone(), password.into())))
    }
}
