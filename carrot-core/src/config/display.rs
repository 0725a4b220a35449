//! Formats options as a URL.

use std::fmt::{self, Write};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::config::credentials::Credentials;
use crate::config::options::ConnectionOptions;
use crate::config::scheme::Scheme;
use crate::config::secret::{Pem, Secret};
use crate::config::tls::TlsOptions;

const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Displays the URL, with stars for the password. Certificates given as text are omitted.
impl fmt::Display for ConnectionOptions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_url(self, |_| "***".to_string(), formatter)
    }
}

pub(super) fn write_url(
    options: &ConnectionOptions,
    password_as: impl Fn(&Secret) -> String,
    out: &mut impl Write,
) -> fmt::Result {
    let defaults = ConnectionOptions::default();
    write!(out, "{}://", options.scheme)?;
    if options.scheme != Scheme::Memory
        && let Credentials::Plain { user, password } = &options.credentials
    {
        write!(out, "{}:{}@", escape(user), password_as(password))?;
    }
    if options.scheme == Scheme::ZmqIpc {
        let path = options.hosts.first().map_or("", |host| &host.name);
        let segments: Vec<String> =
            path.split('/').map(|segment| escape(segment).to_string()).collect();
        write!(out, "{}", segments.join("/"))?;
        return write_query(options, &defaults, out);
    }
    for (index, host) in options.hosts.iter().enumerate() {
        let separator = if index == 0 { "" } else { "," };
        match host.name.split_once('%').unwrap_or((&host.name, "")) {
            (address, "") if address.contains(':') && options.scheme != Scheme::Memory => {
                write!(out, "{separator}[{address}]")?
            }
            (address, zone) if address.contains(':') && options.scheme != Scheme::Memory => {
                write!(out, "{separator}[{address}%25{}]", escape(zone))?;
            }
            _ => write!(out, "{separator}{}", escape(&host.name))?,
        }
        if let Some(port) = host.port {
            write!(out, ":{port}")?;
        }
    }
    if options.scheme.has_vhosts() {
        write!(out, "/{}", escape(&options.vhost))?;
    }
    write_query(options, &defaults, out)
}

fn write_query(
    options: &ConnectionOptions,
    defaults: &ConnectionOptions,
    out: &mut impl Write,
) -> fmt::Result {
    let mut query = Query { out, separator: '?' };
    query.write_unless("heartbeat", options.heartbeat.as_secs(), defaults.heartbeat.as_secs())?;
    query.write_unless(
        "connection_timeout",
        options.connect_timeout.as_millis(),
        defaults.connect_timeout.as_millis(),
    )?;
    query.write_unless(
        "call_timeout",
        options.call_timeout.as_millis(),
        defaults.call_timeout.as_millis(),
    )?;
    query.write_unless("channel_max", options.channel_max, defaults.channel_max)?;
    query.write_unless("frame_max", options.frame_max, defaults.frame_max)?;
    query.write_unless("max_message_size", options.max_message_size, defaults.max_message_size)?;
    query.write_unless("name", &options.name, &defaults.name)?;
    if let Some(release) = options.imitate {
        query.write("imitate", release)?;
    }
    if options.credentials == Credentials::External {
        query.write("auth_mechanism", "external")?;
    }
    write_tls(&mut query, &options.tls)
}

fn write_tls(query: &mut Query<'_, impl Write>, tls: &TlsOptions) -> fmt::Result {
    for authority in &tls.authorities {
        query.write_file("cacertfile", authority)?;
    }
    if let Some(identity) = &tls.identity {
        query.write_file("certfile", &identity.certificates)?;
        query.write_file("keyfile", &identity.key)?;
    }
    match &tls.server_name {
        Some(name) => query.write("server_name_indication", name),
        None => Ok(()),
    }
}

struct Query<'a, W> {
    out: &'a mut W,
    separator: char,
}

impl<W: Write> Query<'_, W> {
    fn write(&mut self, name: &str, value: impl ToString) -> fmt::Result {
        write!(self.out, "{}{name}={}", self.separator, escape(&value.to_string()))?;
        self.separator = '&';
        Ok(())
    }

    fn write_unless<V: ToString + PartialEq>(
        &mut self,
        name: &str,
        value: V,
        default: V,
    ) -> fmt::Result {
        if value == default { Ok(()) } else { self.write(name, value) }
    }

    fn write_file(&mut self, name: &str, pem: &Pem) -> fmt::Result {
        match pem {
            Pem::File(path) => self.write(name, path.display()),
            Pem::Text(_) => Ok(()),
        }
    }
}

pub(super) fn escape(text: &str) -> impl fmt::Display {
    utf8_percent_encode(text, ESCAPED)
}
