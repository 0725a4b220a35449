//! Which broker, as whom, and for how long.

use std::path::{Path, PathBuf};
use std::time::Duration;

use carrot::config::Credentials;
use carrot::{Connection, ConnectionOptions};
use clap::Args;

use crate::exit::{CommandFailure, Result};
use crate::management::{ManagementClient, ManagementUrl};

/// The arguments that every command on a broker has.
#[derive(Debug, Args)]
#[command(next_help_heading = "Broker and output")]
pub(crate) struct BrokerArguments {
    /// URL of the broker, such as amqps://ann@mq.example/shop for the user ann and the virtual host
    /// shop. Defaults to CARROT_URL, and else to amqp://guest:guest@localhost.
    /// A password in this argument is seen by other users of the machine: use --password-file or
    /// CARROT_URL
    #[arg(long, global = true, value_name = "URL", hide_env_values = true)]
    url: Option<String>,
    /// Name of the user. Defaults to that of the URL
    #[arg(long, global = true, value_name = "NAME", requires = "password_file")]
    user: Option<String>,
    /// URL of RabbitMQ's management API, such as http://guest@localhost:15672, for listings.
    /// Defaults to CARROT_MANAGEMENT. The virtual host is that of --url. The user and the password
    /// default to guest; --user and --password-file replace them
    #[arg(long, global = true, value_name = "URL")]
    management: Option<String>,
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

    /// Returns the client of the management API, if an argument or the environment names one.
    pub(crate) fn management(&self) -> Result<Option<ManagementClient>> {
        let variable = "CARROT_MANAGEMENT";
        let (name, url) = match (&self.management, std::env::var(variable)) {
            (Some(url), _) => ("--management", url.clone()),
            (None, Ok(url)) if !url.is_empty() => (variable, url),
            _ => return Ok(None),
        };
        let mut url = ManagementUrl::parse(&url)
            .map_err(|reason| CommandFailure::input(format!("{name}: {reason}")))?;
        if url.has_password && self.management.is_some() {
            warn_of_password("--management", variable);
        }
        if let Some(user) = &self.user {
            url.user.clone_from(user);
        }
        if let Some(password) = self.password()? {
            url.password = password.into();
        }
        let vhost = self.given_options()?.vhost;
        Ok(Some(ManagementClient::new(url, &vhost, self.timeout)?))
    }
}

fn warn_of_password(argument: &str, variable: &str) {
    eprintln!(
        "carrot: other users of this machine can read the password of {argument}; \
         --password-file and {variable} hide it"
    );
}

/// Reads a password from the first line of a file that an argument names.
pub(crate) fn first_line(argument: &str, path: &Path) -> Result<String> {
    let failed =
        |reason: &str| CommandFailure::input(format!("{argument} {}: {reason}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| failed(&error.to_string()))?;
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(line.into()),
        _ => Err(failed("the first line is empty")),
    }
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
    fn seconds_are_bounded() {
        assert_eq!(seconds("0.25"), Ok(Duration::from_millis(250)));
        for wrong in ["-1", "nan", "1e99", "soon", ""] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
