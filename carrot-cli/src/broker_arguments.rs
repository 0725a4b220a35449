//! Which broker, as whom, and for how long.

use std::path::PathBuf;
use std::time::Duration;

use carrot::config::{Credentials, Scheme};
use carrot::{Connection, ConnectionOptions};
use clap::Args;

use crate::exit::{CommandFailure, Result};
use crate::inspection::{Inspection, VhostScope};
use crate::inspection_arguments::{GivenUser, InspectionArguments, warn_of_password};
use crate::management::ManagementClient;
use crate::secret_file::first_line;

/// The arguments that every command on a broker has.
#[derive(Debug, Args)]
#[command(next_help_heading = "Broker and output")]
pub(crate) struct BrokerArguments {
    /// URL of the broker, such as amqps://mq.example/shop for the virtual host shop, or
    /// activemq://mq.example. Defaults to CARROT_URL, and else to amqp://guest:guest@localhost.
    /// A password in this argument is seen by other users of the machine: use --password-file or
    /// CARROT_URL
    #[arg(long, global = true, value_name = "URL", hide_env_values = true)]
    url: Option<String>,
    /// Name of the user. Defaults to that of the URL
    #[arg(long, global = true, value_name = "NAME", requires = "password_file")]
    user: Option<String>,
    #[command(flatten)]
    inspection: InspectionArguments,
    /// File whose first line is the password of the user
    #[arg(long, global = true, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Seconds for connecting, and for each answer of the broker
    #[arg(long, global = true, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    pub(crate) timeout: Duration,
    /// Print one line of JSON for each entry
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

/// Parses seconds, with a fraction.
pub(crate) fn seconds(text: &str) -> std::result::Result<Duration, String> {
    let number: f64 = text.parse().map_err(|_| "is not a number of seconds".to_string())?;
    match Duration::try_from_secs_f64(number) {
        Ok(duration) if duration <= Duration::from_secs(365 * 24 * 60 * 60) => Ok(duration),
        _ => Err("is not between 0 and 31536000 seconds".into()),
    }
}

/// Parses a number of messages in a second.
pub(crate) fn messages_per_second(text: &str) -> std::result::Result<f64, String> {
    match text.parse() {
        Ok(rate) if f64::is_finite(rate) && rate > 0.0 => Ok(rate),
        _ => Err("is not a number above 0".into()),
    }
}

impl BrokerArguments {
    /// Connects to the broker.
    pub(crate) fn connect(&self) -> Result<Connection> {
        Ok(carrot::connect(self.options()?)?)
    }

    pub(crate) fn options(&self) -> Result<ConnectionOptions> {
        let mut options = self.given_options()?;
        if self.url.as_deref().is_some_and(has_password) {
            warn_of_password("--url", "CARROT_URL");
        }
        if let Some(password) = self.password()? {
            let user = match (&self.user, &options.credentials) {
                (Some(user), _) | (None, Credentials::Plain { user, .. }) => user.clone(),
                _ => return Err(CommandFailure::input("--password-file needs --user")),
            };
            options = options.credentials(user, password);
        }
        Ok(options.connect_timeout(self.timeout).call_timeout(self.timeout).name("carrot command"))
    }

    /// The options without those of other arguments than --url.
    fn given_options(&self) -> Result<ConnectionOptions> {
        Ok(match &self.url {
            Some(url) => url.parse()?,
            None => ConnectionOptions::from_env()?,
        })
    }

    fn password(&self) -> Result<Option<String>> {
        let path = self.password_file.as_ref();
        path.map(|path| first_line("--password-file", path)).transpose()
    }

    /// Returns the interface for listings, if an argument or the environment names one.
    pub(crate) fn inspection(&self) -> Result<Option<Box<dyn Inspection>>> {
        self.inspection.inspection(self.given_user()?, self.timeout)
    }

    /// Returns the client of the management API, if an argument or the environment names one.
    pub(crate) fn management(&self) -> Result<Option<ManagementClient>> {
        self.inspection.management(self.given_user()?, self.timeout)
    }

    fn given_user(&self) -> Result<GivenUser> {
        Ok(GivenUser { name: self.user.clone(), password: self.password()? })
    }

    /// Returns the virtual host of the URL, or all.
    pub(crate) fn vhosts(&self, all: bool) -> Result<VhostScope> {
        match all {
            true => Ok(VhostScope::All),
            false => Ok(VhostScope::One(self.given_options()?.vhost)),
        }
    }
}

/// Whether the broker is ActiveMQ.
pub(crate) fn is_activemq(options: &ConnectionOptions) -> bool {
    matches!(options.scheme, Scheme::ActiveMq | Scheme::ActiveMqSsl)
}

/// Whether the user information of a URL has a password.
fn has_password(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn password_in_a_url_is_noticed() {
        assert!(has_password("amqp://ann:hush@host:5672/shop"));
        assert!(has_password("zmq://ann:@host:5555"));
        assert!(!has_password("amqp://ann@host:5672/shop"));
        assert!(!has_password("amqp://host:5672/a:b@c"));
    }

    #[test]
    fn rate_is_above_0() {
        assert_eq!(messages_per_second("0.5"), Ok(0.5));
        for wrong in ["0", "-1", "nan", "inf", "1e999", "soon", ""] {
            assert!(messages_per_second(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn seconds_are_bounded() {
        assert_eq!(seconds("0.25"), Ok(Duration::from_millis(250)));
        for wrong in ["-1", "nan", "1e99", "soon", ""] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
