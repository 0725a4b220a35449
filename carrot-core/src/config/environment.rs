use std::env::VarError;

use crate::config::credentials::Credentials;
use crate::config::options::ConnectionOptions;
use crate::config::url::parse_port;
use crate::error::{Error, Result};

impl ConnectionOptions {
    /// Reads the options from the environment: from `CARROT_URL`, or else from the five optional
    /// variables of carrot for Python.
    ///
    /// | variable | meaning | default |
    /// |---|---|---|
    /// | `CARROT_URL` | a [URL](ConnectionOptions#urls), which excludes the others | the others |
    /// | `AMQP_SERVER`, else `AMQP_HOST` | a name or an address, no port | `localhost` |
    /// | `AMQP_PORT` | a port | 5672 |
    /// | `AMQP_USER` | a user name | `guest` |
    /// | `AMQP_PASSWORD` | the password | `guest` |
    /// | `AMQP_VHOST` | the vhost, not percent-encoded | `/` |
    ///
    /// An empty variable counts as not set.
    ///
    /// # Errors
    /// - [`Error::Config`]: names the variable. Never contains the password.
    pub fn from_env() -> Result<ConnectionOptions> {
        ConnectionOptions::from_variables(|name| std::env::var(name))
    }

    /// Reads the same variables from another source than the environment of this process.
    ///
    /// ```
    /// use std::env::VarError;
    /// use carrot::ConnectionOptions;
    ///
    /// let options = ConnectionOptions::from_variables(|name| match name {
    ///     "AMQP_SERVER" => Ok("mq.example".into()),
    ///     _ => Err(VarError::NotPresent),
    /// })?;
    /// assert_eq!(options, ConnectionOptions::new().host("mq.example"));
    /// # Ok::<(), carrot::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`from_env`](Self::from_env).
    pub fn from_variables(
        lookup: impl Fn(&str) -> Result<String, VarError>,
    ) -> Result<ConnectionOptions> {
        let read = |variable: &'static str| match lookup(variable) {
            Ok(value) if value.is_empty() => Ok(None),
            Ok(value) => Ok(Some(value)),
            Err(VarError::NotPresent) => Ok(None),
            Err(VarError::NotUnicode(_)) => Err(Error::config(variable, "is not UTF-8")),
        };

        if let Some(url) = read("CARROT_URL")? {
            return url.parse().map_err(|error| within("CARROT_URL", error));
        }
        let mut options = ConnectionOptions::default();
        let server = match read("AMQP_SERVER")? {
            Some(server) => Some(server),
            None => read("AMQP_HOST")?,
        };
        if let Some(server) = server {
            options = options.host(server);
        }
        if let Some(port) = read("AMQP_PORT")? {
            options =
                options.port(parse_port(&port).ok_or_else(|| {
                    Error::config("AMQP_PORT", "must be a number from 1 to 65535")
                })?);
        }
        if let Credentials::Plain { user, password } = &mut options.credentials {
            *user = read("AMQP_USER")?.unwrap_or(std::mem::take(user));
            *password = read("AMQP_PASSWORD")?.map_or(password.clone(), Into::into);
        }
        if let Some(vhost) = read("AMQP_VHOST")? {
            options = options.vhost(vhost);
        }
        options.validate().map_err(|error| within("environment", error))?;
        Ok(options)
    }
}

fn within(place: &str, error: Error) -> Error {
    match error {
        Error::Config { option, reason } => Error::config(format!("{place}: {option}"), reason),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use std::collections::HashMap;

    use super::*;

    fn from(variables: &[(&str, &str)]) -> Result<ConnectionOptions> {
        let variables: HashMap<_, _> = variables.iter().copied().collect();
        ConnectionOptions::from_variables(|name| {
            variables.get(name).map(ToString::to_string).ok_or(VarError::NotPresent)
        })
    }

    fn option(result: Result<ConnectionOptions>) -> String {
        match result {
            Err(Error::Config { option, .. }) => option.into_owned(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_empty_environment_returns_the_defaults() {
        assert_eq!(from(&[]).unwrap(), ConnectionOptions::default());
        assert_eq!(
            from(&[("CARROT_URL", ""), ("AMQP_SERVER", ""), ("AMQP_PORT", "")]).unwrap(),
            ConnectionOptions::default()
        );
    }

    #[test]
    fn the_five_variables_are_read_without_decoding() {
        let read = from(&[
            ("AMQP_SERVER", "mq"),
            ("AMQP_HOST", "other"),
            ("AMQP_PORT", "5673"),
            ("AMQP_USER", "test"),
            ("AMQP_PASSWORD", "p@ss/%41#"),
            ("AMQP_VHOST", "/test"),
        ]);
        assert_eq!(
            read.unwrap(),
            ConnectionOptions::new()
                .host("mq")
                .port(5673)
                .credentials("test", "p@ss/%41#")
                .vhost("/test")
        );
        assert_eq!(from(&[("AMQP_HOST", "::1")]).unwrap(), ConnectionOptions::new().host("::1"));
        assert_eq!(
            from(&[("AMQP_USER", "shop")]).unwrap(),
            ConnectionOptions::new().credentials("shop", "guest")
        );
    }

    #[test]
    fn the_url_excludes_the_five_variables() {
        let read = from(&[("CARROT_URL", "memory://a"), ("AMQP_PORT", "nonsense")]);
        assert_eq!(read.unwrap(), ConnectionOptions::memory_named("a"));
    }

    #[test]
    fn an_error_names_the_variable() {
        assert_eq!(option(from(&[("AMQP_PORT", "amqp")])), "AMQP_PORT");
        assert_eq!(option(from(&[("AMQP_PORT", "0")])), "AMQP_PORT");
        assert_eq!(option(from(&[("CARROT_URL", "amqp://localhost:x")])), "CARROT_URL: port");
        assert_eq!(option(from(&[("AMQP_SERVER", "mq:5672/x")])), "environment: host");
        let broken =
            ConnectionOptions::from_variables(|_| Err(VarError::NotUnicode("secret".into())));
        assert_eq!(option(broken), "CARROT_URL");
    }

    #[test]
    fn no_error_contains_the_password() {
        let long = "hunter2".repeat(10_000);
        for url in [
            "amqp://u:hunter2@",
            "amqp://u:hunter2@h:x",
            "amqp://u:hunter2#@h",
            "amqp://u:%hunter2@h",
        ] {
            if let Err(error) = from(&[("CARROT_URL", url)]) {
                assert!(!format!("{error} {error:?}").contains("hunter2"), "{url}");
            }
        }
        let error = from(&[("AMQP_PASSWORD", &long)]).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }
}
