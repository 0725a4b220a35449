//! Opens a socket to a broker, and logs in, within one deadline.

use std::time::Duration;

use carrot_core::backend::look_up;
use carrot_core::{ConnectionOptions, Credentials, Error, Result, Scheme};
use carrot_link::LinkAttempt;

use crate::connection::handshake::{BrokerLogin, LoggedIn, LoginRequest};

/// Connects to the first address whose broker accepts the credentials. Tries each address once.
/// Blocks at most for the connect timeout of the options. `client` is the name for the broker.
pub(crate) fn connect(
    options: &ConnectionOptions,
    client: &str,
    timeout: Duration,
) -> Result<LoggedIn> {
    let timeout = timeout.min(options.connect_timeout);
    let attempt = LinkAttempt::new(options.endpoint(), timeout);
    let credentials = options.credentials.resolve(attempt.endpoint(), timeout)?;
    let (user, password) = match &credentials {
        Credentials::Plain { user, password } => (user.as_str(), password.reveal()),
        _ => return Err(Error::config("auth_mechanism", "ActiveMQ has user and password")),
    };
    let tls = (options.scheme == Scheme::ActiveMqSsl).then_some(&options.tls);
    attempt.first(options, look_up, |attempt, host, address| {
        let stream = attempt.open(host, address, tls)?;
        let request = LoginRequest { attempt, options, user, password, client };
        BrokerLogin::run(&request, stream)
    })
}
