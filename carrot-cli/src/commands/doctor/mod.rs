//! `carrot doctor`.

mod advice;
mod controlling;
mod greeting;
mod listed_queues;
mod managed;
mod managing;
mod openwire;
mod peer;
mod reaching;
mod report;
mod using;

use carrot::ConnectionOptions;
use carrot::config::Scheme;
use clap::Args;

use crate::broker_arguments::BrokerArguments;
use crate::exit::Result;

use reaching::Reached;
use report::{Check, CheckReport};

/// Checks step by step whether a broker can be used, and says what to do about a failure.
///
/// The checks are: URL, DNS, TCP, TLS, greeting of the protocol, credentials, virtual host,
/// release, permissions, alarms. With --management, further ones follow: the management API, the
/// patterns of the user's permissions, the nodes with their alarms, the queues of the virtual host.
/// With --control, the check of the management API is that of the control interface, which knows
/// neither patterns nor nodes. A check that needs a failed one is skipped. Each takes at most
/// --timeout. The permissions are tried on an exclusive queue, which is deleted. Without
/// --management and --control, only the named queues are checked. The exit code is that of the
/// first failure.
#[derive(Debug, Args)]
pub(crate) struct DoctorArguments {
    /// Names of queues that have to exist
    queues: Vec<String>,
}

impl DoctorArguments {
    pub(crate) fn run(&self, broker: &BrokerArguments) -> Result<()> {
        let mut report = CheckReport::new(broker.json);
        match broker.options() {
            Ok(options) => {
                report.ok(Check::Url, None, &url_of(&options))?;
                check(&options, &mut report)?;
                managing::check(broker, &options, &self.queues, &mut report)?;
            }
            Err(failure) => {
                let advice = "correct --url or CARROT_URL: amqp://USER:PASSWORD@HOST:PORT/VHOST, or \
                              activemq://USER:PASSWORD@HOST:PORT";
                report.failed(Check::Url, None, failure, advice)?;
                report.skip_the_rest("the URL cannot be used")?;
                managing::skip(&mut report, "the URL cannot be used")?;
            }
        }
        report.end()
    }
}

/// Returns the URL without the password, and without what the command has set.
fn url_of(options: &ConnectionOptions) -> String {
    let defaults = ConnectionOptions::default();
    options
        .clone()
        .name(defaults.name)
        .connect_timeout(defaults.connect_timeout)
        .call_timeout(defaults.call_timeout)
        .to_string()
}

fn check(options: &ConnectionOptions, report: &mut CheckReport) -> Result<()> {
    let reached = match options.scheme {
        Scheme::Memory => {
            for check in [Check::Dns, Check::Tcp, Check::Tls, Check::Greeting] {
                report.skipped(check, "the broker is in this process")?;
            }
            Some(Reached::default())
        }
        _ => reaching::reach(options, report)?,
    };
    match reached {
        Some(reached) => using::check(options, &reached, report),
        None => report.skip_the_rest("the broker was not reached"),
    }
}
