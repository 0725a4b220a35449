//! The interface that lists what AMQP cannot, from the arguments or the environment.

use std::path::PathBuf;
use std::time::Duration;

use carrot::config::Secret;
use clap::Args;

use crate::control::{ControlUrl, HostedControl};
use crate::exit::{CommandFailure, Result};
use crate::inspection::Inspection;
use crate::management::{ManagementClient, ManagementUrl};
use crate::secret_file::first_line;

/// The advice of a command that needs an interface and has none.
pub(crate) const NEEDS_INSPECTION: &str = "give the URL of RabbitMQ's management API with \
     --management, or of the control interface of a hosted broker with --control";

const MANAGEMENT: &str = "CARROT_MANAGEMENT";
const CONTROL: &str = "CARROT_CONTROL";
const CONTROL_TOKEN: &str = "CARROT_CONTROL_TOKEN";

/// The arguments that name a management API or a control interface.
#[derive(Debug, Args)]
pub(crate) struct InspectionArguments {
    /// URL of RabbitMQ's management API, such as http://guest@localhost:15672, for listings.
    /// Defaults to CARROT_MANAGEMENT. The virtual host is that of --url. The user and the password
    /// default to guest; --user and --password-file replace them. https://HOST?cacertfile=FILE
    /// trusts the authorities in the file, in place of those of the system
    #[arg(long, global = true, value_name = "URL", help_heading = "Broker and output")]
    management: Option<String>,
    /// URL of the control interface of a hosted broker, such as http://127.0.0.1:4711/v1, for
    /// listings, in place of --management. Defaults to CARROT_CONTROL
    #[arg(long, global = true, value_name = "URL", help_heading = "Broker and output")]
    control: Option<String>,
    /// File whose first line is the token of the control interface. Defaults to the token in
    /// CARROT_CONTROL_TOKEN
    #[arg(long, global = true, value_name = "FILE", help_heading = "Broker and output")]
    control_token_file: Option<PathBuf>,
}

/// The user of other arguments, who replaces that of a URL.
#[derive(Debug, Default)]
pub(crate) struct GivenUser {
    pub(crate) name: Option<String>,
    pub(crate) password: Option<String>,
}

/// An interface, and the argument or the variable that named it.
enum NamedInterface {
    Management(&'static str, String),
    Control(&'static str, String),
}

impl InspectionArguments {
    /// Returns the interface that an argument or the environment names.
    pub(crate) fn inspection(
        &self,
        user: GivenUser,
        timeout: Duration,
    ) -> Result<Option<Box<dyn Inspection>>> {
        Ok(match self.interface()? {
            None => None,
            Some(NamedInterface::Management(name, url)) => {
                Some(Box::new(management(name, &url, user, timeout)?))
            }
            Some(NamedInterface::Control(name, url)) => {
                let url = ControlUrl::parse(&url).map_err(|reason| of_argument(name, reason))?;
                Some(Box::new(HostedControl::new(&url, &self.token()?, timeout)?))
            }
        })
    }

    /// Returns the management API that an argument or the environment names.
    pub(crate) fn management(
        &self,
        user: GivenUser,
        timeout: Duration,
    ) -> Result<Option<ManagementClient>> {
        match self.interface()? {
            Some(NamedInterface::Management(name, url)) => {
                management(name, &url, user, timeout).map(Some)
            }
            Some(NamedInterface::Control(..)) | None => Ok(None),
        }
    }

    /// An argument takes the place of both variables.
    fn interface(&self) -> Result<Option<NamedInterface>> {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let (management, control) = match (&self.management, &self.control) {
            (None, None) => {
                let management = variable(MANAGEMENT).map(|url| (MANAGEMENT, url));
                (management, variable(CONTROL).map(|url| (CONTROL, url)))
            }
            (management, control) => {
                let management = management.clone().map(|url| ("--management", url));
                (management, control.clone().map(|url| ("--control", url)))
            }
        };
        match (management, control) {
            (Some((management, _)), Some((control, _))) => Err(CommandFailure::input(format!(
                "{management} and {control} name an interface each: give one of them"
            ))),
            (Some((name, url)), None) => Ok(Some(NamedInterface::Management(name, url))),
            (None, Some((name, url))) => Ok(Some(NamedInterface::Control(name, url))),
            (None, None) => Ok(None),
        }
    }

    fn token(&self) -> Result<Secret> {
        let (name, token) = match (&self.control_token_file, std::env::var(CONTROL_TOKEN)) {
            (Some(path), _) => {
                let name = "--control-token-file";
                (name, first_line(name, path)?)
            }
            (None, Ok(token)) if !token.is_empty() => (CONTROL_TOKEN, token),
            _ => {
                return Err(CommandFailure::input(
                    "a control interface wants a token: --control-token-file FILE or \
                     CARROT_CONTROL_TOKEN",
                ));
            }
        };
        match token.bytes().all(|octet| octet.is_ascii_hexdigit()) {
            true => Ok(token.into()),
            false => Err(of_argument(name, "a token has hexadecimal digits only")),
        }
    }
}

fn management(
    name: &str,
    url: &str,
    user: GivenUser,
    timeout: Duration,
) -> Result<ManagementClient> {
    let mut url = ManagementUrl::parse(url).map_err(|reason| of_argument(name, reason))?;
    if url.has_password && name.starts_with("--") {
        warn_of_password(name, MANAGEMENT);
    }
    if let Some(name) = user.name {
        url.user = name;
    }
    if let Some(password) = user.password {
        url.password = password.into();
    }
    ManagementClient::new(url, timeout)
}

fn of_argument(name: &str, reason: &str) -> CommandFailure {
    CommandFailure::input(format!("{name}: {reason}"))
}

/// Warns of a password in an argument, which a variable can hold in its place.
pub(crate) fn warn_of_password(argument: &str, variable: &str) {
    note!(
        "carrot: other users of this machine can read the password of {argument}; \
         --password-file and {variable} hide it"
    );
}
