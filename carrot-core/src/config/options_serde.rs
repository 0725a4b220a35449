//! Deserializes the options of a connection from a URL or from a table.

use crate::config::credentials::Credentials;
use crate::config::given::Given;
use crate::config::host::Host;
use crate::config::options::ConnectionOptions;
use crate::config::rabbitmq_release::RabbitMqRelease;
use crate::config::scheme::Scheme;
use crate::config::tls::TlsOptions;
use crate::config::validate::without_tls;
use crate::error::{Error, Result};

const FIELDS: &[&str] = &[
    "scheme",
    "host",
    "port",
    "hosts",
    "credentials",
    "vhost",
    "tls",
    "heartbeat",
    "connect_timeout",
    "call_timeout",
    "channel_max",
    "frame_max",
    "max_message_size",
    "name",
    "imitate",
];

impl TryFrom<Given> for ConnectionOptions {
    type Error = Error;

    fn try_from(given: Given) -> Result<ConnectionOptions> {
        if let Given::Text(url) = given {
            return url.parse();
        }
        let mut fields = given.fields(
            "the connection options",
            FIELDS,
            "must be a URL, such as amqp://localhost, or a table",
        )?;
        let tls = fields.read("tls", |given, _| TlsOptions::try_from(given))?;
        let scheme = fields.read("scheme", |given, _| Scheme::try_from(given))?;
        let mut options = match scheme {
            Some(Scheme::Memory) => ConnectionOptions::memory(),
            _ => ConnectionOptions::new(),
        };
        match (tls, scheme) {
            (Some(_), Some(scheme)) if !scheme.has_tls() => return Err(without_tls(scheme)),
            (Some(tls), _) => options = options.tls(tls),
            (None, _) => {}
        }
        if let Some(scheme) = scheme {
            options.scheme = scheme;
        }

        let host = fields.read("host", |given, _| Host::try_from(given))?;
        let port = fields.read("port", |given, port| given.whole(port, u16::MAX.into()))?;
        let hosts = fields.read("hosts", |given, hosts| {
            given.list(hosts)?.into_iter().map(Host::try_from).collect::<Result<Vec<_>>>()
        })?;
        if hosts.is_some() && (host.is_some() || port.is_some()) {
            return Err(Error::config("hosts", "excludes host and port"));
        }
        if port.is_some() && host.as_ref().is_some_and(|host| host.port.is_some()) {
            return Err(Error::config("port", "is given twice, because the host has one"));
        }
        if let Some(hosts) = hosts.or(host.map(|host| vec![host])) {
            options.hosts = hosts;
        }
        if let Some(port) = port {
            options = options.port(port);
        }

        macro_rules! set {
            ($($field:ident: $convert:expr;)*) => {$(
                if let Some(value) = fields.read(stringify!($field), $convert)? {
                    options.$field = value;
                }
            )*};
        }
        set! {
            credentials: |given, _| Credentials::try_from(given);
            vhost: Given::text;
            heartbeat: Given::seconds;
            connect_timeout: Given::seconds;
            call_timeout: Given::seconds;
            channel_max: |given, field| given.whole(field, u16::MAX.into());
            frame_max: |given, field| given.whole(field, u32::MAX.into());
            max_message_size: |given, field| given.whole(field, u64::MAX);
            name: Given::text;
        }
        options.imitate = fields.read("imitate", |given, _| RabbitMqRelease::try_from(given))?;
        options.validate().map_err(named_as_field)?;
        Ok(options)
    }
}

/// Names a field of the table in place of the option of a URL.
fn named_as_field(error: Error) -> Error {
    match error {
        Error::Config { option, reason } => {
            let field = match &*option {
                "connection_timeout" => "connect_timeout".into(),
                "auth_mechanism" => "credentials".into(),
                _ => option,
            };
            Error::Config { option: field, reason }
        }
        other => other,
    }
}

#[cfg(test)]
#[path = "serde_tests.rs"]
mod tests;
