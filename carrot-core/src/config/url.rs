//! Parses URLs to options.
//!
//! The `url` crate refuses several hosts, and repeats its input in errors. No error of this module
//! repeats text that may be a password. The text may have been split in the wrong place:
//! `amqp://user:pass/word@host` has the "port" `pass`.

use std::borrow::Cow;
use std::net::Ipv6Addr;
use std::str::FromStr;
use std::time::Duration;

use percent_encoding::percent_decode_str;

use crate::config::credentials::Credentials;
use crate::config::host::Host;
use crate::config::options::ConnectionOptions;
use crate::config::scheme::Scheme;
use crate::config::secret::Pem;
use crate::config::tls::TlsIdentity;
use crate::config::validate::PATH_WITHOUT_TLS;
use crate::error::{Error, Result};

const OPTIONS: &str = "auth_mechanism, cacertfile, call_timeout, certfile, channel_max, \
                       connection_timeout, frame_max, heartbeat, imitate, keyfile, \
                       max_message_size, name, server_name_indication, verify";
const TLS_OPTIONS: [&str; 5] =
    ["cacertfile", "certfile", "keyfile", "server_name_indication", "verify"];

impl FromStr for ConnectionOptions {
    type Err = Error;

    /// Parses a URL, as described [above](ConnectionOptions#urls).
    ///
    /// # Errors
    /// - [`Error::Config`]: names the wrong part or option. Never contains the password.
    fn from_str(url: &str) -> Result<ConnectionOptions> {
        let (scheme, rest) = split_scheme(url)?;
        if rest.contains('#') {
            return Err(Error::config(
                "URL",
                "holds a '#'; in a user name, password or vhost it is written %23",
            ));
        }
        let (authority, rest) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if rest.contains('@') {
            return Err(Error::config(
                "URL",
                "holds a '@' after the first '/' or '?'; in a user name or password '/' is written \
                 %2F and '?' %3F, elsewhere '@' is %40",
            ));
        }
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));

        let mut options = match scheme {
            Scheme::Memory => memory(authority, path)?,
            Scheme::ZmqIpc => file_system(authority, path)?,
            _ => network(scheme, authority, path)?,
        };
        apply_query(&mut options, query)?;
        options.validate()?;
        Ok(options)
    }
}

impl TryFrom<&str> for ConnectionOptions {
    type Error = Error;

    fn try_from(url: &str) -> Result<ConnectionOptions> {
        url.parse()
    }
}

impl TryFrom<String> for ConnectionOptions {
    type Error = Error;

    fn try_from(url: String) -> Result<ConnectionOptions> {
        url.parse()
    }
}

impl TryFrom<&String> for ConnectionOptions {
    type Error = Error;

    fn try_from(url: &String) -> Result<ConnectionOptions> {
        url.parse()
    }
}

impl From<&ConnectionOptions> for ConnectionOptions {
    fn from(options: &ConnectionOptions) -> ConnectionOptions {
        options.clone()
    }
}

/// The schemes of ActiveMQ's own clients, and the URLs in place of theirs.
const OF_ACTIVEMQ_CLIENTS: [(&str, &str); 7] = [
    ("tcp", "activemq://host:port"),
    ("nio", "activemq://host:port"),
    ("auto", "activemq://host:port"),
    ("ssl", "activemq+ssl://host:port"),
    ("nio+ssl", "activemq+ssl://host:port"),
    ("auto+ssl", "activemq+ssl://host:port"),
    ("failover", "activemq://host:port,host:port"),
];

/// Returns the error about a URL of ActiveMQ's own clients, such as `failover:(tcp://host:port)`.
fn of_activemq_clients(url: &str) -> Option<Error> {
    let (given, _) = url.split_once(':')?;
    let mut known = OF_ACTIVEMQ_CLIENTS.into_iter();
    let (scheme, instead) = known.find(|(of, _)| of.eq_ignore_ascii_case(given))?;
    let reason = format!("{scheme:?} is of ActiveMQ's own clients: use {instead}");
    Some(Error::config("URL scheme", reason))
}

fn split_scheme(url: &str) -> Result<(Scheme, &str)> {
    const EXPECTED: &str = "must be amqp, amqps, memory, zmq, zmqs, zmq+ipc, activemq or \
         activemq+ssl, as in amqp://localhost";
    if let Some(error) = of_activemq_clients(url) {
        return Err(error);
    }
    let Some((scheme, rest)) = url.split_once("://") else {
        return Err(Error::config(
            "URL",
            "has no scheme: it must start with amqp://, amqps://, memory://, zmq://, zmqs://, \
             zmq+ipc://, activemq:// or activemq+ssl://",
        ));
    };
    let known = Scheme::ALL.into_iter().find(|known| known.as_str().eq_ignore_ascii_case(scheme));
    match known {
        Some(known) => Ok((known, rest)),
        None if is_scheme(scheme) => {
            Err(Error::config("URL scheme", format!("{scheme:?} is unknown: it {EXPECTED}")))
        }
        None => Err(Error::config("URL scheme", EXPECTED)),
    }
}

fn is_scheme(text: &str) -> bool {
    (1..=16).contains(&text.len())
        && text
            .chars()
            .all(|character| character.is_ascii_alphanumeric() || "+-.".contains(character))
}

fn memory(authority: &str, path: &str) -> Result<ConnectionOptions> {
    if authority.contains('@') {
        return Err(Error::config(
            "user",
            "the memory broker has no users; its URL is memory://name",
        ));
    }
    if authority.contains(':') {
        return Err(Error::config(
            "port",
            "the memory broker has no port; in its name ':' is written %3A",
        ));
    }
    if !matches!(path, "" | "/") {
        return Err(Error::config(
            "vhost",
            "the memory broker has no vhosts; its URL is memory://name",
        ));
    }
    match decode("name of the memory broker", authority)? {
        name if name.is_empty() => Ok(ConnectionOptions::memory()),
        name => Ok(ConnectionOptions::memory_named(name)),
    }
}

fn network(scheme: Scheme, authority: &str, path: &str) -> Result<ConnectionOptions> {
    let mut options = ConnectionOptions { scheme, ..ConnectionOptions::default() };
    let (user_info, hosts) = match authority.split_once('@') {
        Some((_, hosts)) if hosts.contains('@') => {
            return Err(Error::config(
                "URL",
                "holds more than one '@'; in a user name or password it is written %40",
            ));
        }
        Some((user_info, hosts)) => (Some(user_info), hosts),
        None => (None, authority),
    };
    if let Some(user_info) = user_info {
        options.credentials = credentials(user_info)?;
    }
    options.hosts = match hosts {
        "" => vec![Host::new("localhost")],
        _ => hosts
            .split(',')
            .map(|host| parse_host(host, hosts.contains(',')))
            .collect::<Result<_>>()?,
    };
    options.vhost = match path.strip_prefix('/') {
        None | Some("") => "/".into(),
        Some("/") => {
            return Err(Error::config(
                "vhost",
                "the path is //; the vhost / is written /%2F, or left out",
            ));
        }
        Some(vhost) if vhost.contains('/') => {
            return Err(Error::config(
                "vhost",
                "the path has more than one segment; in a vhost '/' is written %2F",
            ));
        }
        Some(vhost) => decode("vhost", vhost)?.into_owned(),
    };
    Ok(options)
}

/// Parses the parts of a URL whose path is that of a socket of the file system.
fn file_system(authority: &str, path: &str) -> Result<ConnectionOptions> {
    let mut options = ConnectionOptions { scheme: Scheme::ZmqIpc, ..ConnectionOptions::default() };
    let host = match authority.split_once('@') {
        Some((user_info, host)) => {
            options.credentials = credentials(user_info)?;
            host
        }
        None => authority,
    };
    if !host.is_empty() {
        return Err(Error::config(
            "host",
            "a socket of the file system has no host; its URL is zmq+ipc:///path",
        ));
    }
    options.hosts = vec![Host::new(decode("path", path)?)];
    Ok(options)
}

fn credentials(user_info: &str) -> Result<Credentials> {
    let Some((user, password)) = user_info.split_once(':') else {
        return Err(Error::config(
            "password",
            "is missing after the user name, as in user:password@host",
        ));
    };
    Ok(Credentials::plain(decode("user", user)?, &*decode("password", password)?))
}

pub(super) fn parse_host(text: &str, several: bool) -> Result<Host> {
    let (name, port) = match text.strip_prefix('[') {
        Some(bracketed) => {
            let Some((address, port)) = bracketed.split_once(']') else {
                return Err(Error::config("host", "a '[' without its ']'"));
            };
            let address = decode("host", address)?;
            let bare = address.split_once('%').map_or(&*address, |(bare, _zone)| bare);
            if bare.parse::<Ipv6Addr>().is_err() {
                return Err(Error::config("host", "the text in brackets is not an IPv6 address"));
            }
            let port = match port.strip_prefix(':') {
                None if !port.is_empty() => {
                    return Err(Error::config(
                        "host",
                        "only :port may follow an IPv6 address in brackets",
                    ));
                }
                port => port,
            };
            (address.into_owned(), port)
        }
        None => {
            let (name, port) =
                text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port)));
            if port.is_some_and(|port| port.contains(':')) {
                return Err(Error::config(
                    "host",
                    "has too many colons; an IPv6 address stands in brackets, as in [::1]",
                ));
            }
            let name = decode("host", name)?;
            if name.contains(':') {
                return Err(Error::config(
                    "host",
                    "holds a colon; an IPv6 address stands in brackets, as in [::1]",
                ));
            }
            match name {
                name if name.is_empty() && several => {
                    return Err(Error::config("host", "an address of the list is empty"));
                }
                name if name.is_empty() => ("localhost".to_string(), port),
                name => (name.into_owned(), port),
            }
        }
    };
    let port = match port {
        None => None,
        Some(digits) => Some(
            parse_port(digits)
                .ok_or_else(|| Error::config("port", "must be a number from 1 to 65535"))?,
        ),
    };
    Ok(Host { name, port })
}

pub(super) fn parse_port(digits: &str) -> Option<u16> {
    digits
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| digits.parse().ok().filter(|port| *port != 0))
        .flatten()
}

fn apply_query(options: &mut ConnectionOptions, query: &str) -> Result<()> {
    let mut seen = Vec::<String>::new();
    let (mut certificates, mut key) = (None, None);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = decode("query", name)?;
        let Some(option) = OPTIONS.split(", ").find(|option| *option == name) else {
            return Err(Error::config(
                shorten(&name),
                format!("is not an option of a URL; there are {OPTIONS}"),
            ));
        };
        if seen.iter().any(|seen| seen == option) && option != "cacertfile" {
            return Err(Error::config(option, "is given twice"));
        }
        seen.push(option.to_string());
        let value = decode(option, value)?.into_owned();
        if value.is_empty() {
            return Err(Error::config(option, "has no value"));
        }
        if TLS_OPTIONS.contains(&option) && !options.scheme.has_tls() {
            let reason = match options.scheme {
                Scheme::ZmqIpc => format!("needs TLS, and {PATH_WITHOUT_TLS}"),
                scheme => {
                    format!("needs TLS: use {}:// in place of {scheme}://", scheme.with_tls())
                }
            };
            return Err(Error::config(option, reason));
        }
        match option {
            "heartbeat" => {
                options.heartbeat = Duration::from_secs(number::<u16>(option, &value)?.into())
            }
            "connection_timeout" => {
                options.connect_timeout = Duration::from_millis(number(option, &value)?)
            }
            "call_timeout" => options.call_timeout = Duration::from_millis(number(option, &value)?),
            "channel_max" => options.channel_max = number(option, &value)?,
            "frame_max" => options.frame_max = number(option, &value)?,
            "max_message_size" => options.max_message_size = number(option, &value)?,
            "name" => options.name = value,
            "imitate" => options.imitate = Some(value.parse()?),
            "cacertfile" => options.tls.authorities.push(Pem::file(value)),
            "certfile" => certificates = Some(Pem::file(value)),
            "keyfile" => key = Some(Pem::file(value)),
            "server_name_indication" => options.tls.server_name = Some(value),
            "auth_mechanism" => match value.to_ascii_lowercase().as_str() {
                "plain" => {}
                "external" if options.credentials == Credentials::default() => {
                    options.credentials = Credentials::External
                }
                "external" => {
                    return Err(Error::config(
                        option,
                        "external takes no user name and password, because the certificate names the \
                         user",
                    ));
                }
                _ => {
                    return Err(Error::config(
                        option,
                        format!("{:?} is unknown: it must be plain or external", shorten(&value)),
                    ));
                }
            },
            "verify" if value == "verify_peer" => {}
            "verify" => {
                return Err(Error::config(
                    option,
                    "must be verify_peer: the broker's certificate is always verified; to trust \
                     one of your own, name its authority by cacertfile",
                ));
            }
            _ => unreachable!("every name in OPTIONS has an arm"),
        }
    }
    options.tls.identity = match (certificates, key) {
        (None, None) => None,
        (Some(certificates), Some(key)) => Some(TlsIdentity { certificates, key }),
        (Some(_), None) => {
            return Err(Error::config("keyfile", "is missing: certfile needs its private key"));
        }
        (None, Some(_)) => {
            return Err(Error::config("certfile", "is missing: keyfile needs its certificate"));
        }
    };
    Ok(())
}

fn number<N: FromStr + Bounded>(option: &'static str, text: &str) -> Result<N> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(number) if digits => Ok(number),
        _ => Err(Error::config(
            option,
            format!("{:?} must be a whole number, at most {}", shorten(text), N::MOST),
        )),
    }
}

trait Bounded {
    const MOST: u64;
}

impl Bounded for u16 {
    const MOST: u64 = u16::MAX as u64;
}

impl Bounded for u32 {
    const MOST: u64 = u32::MAX as u64;
}

impl Bounded for u64 {
    const MOST: u64 = u64::MAX;
}

/// Percent-decodes one part of a URL. The error does not quote the text.
fn decode<'a>(part: &'static str, text: &'a str) -> Result<Cow<'a, str>> {
    let well_formed = text.split('%').skip(1).all(|after| {
        after.len() >= 2 && after.bytes().take(2).all(|digit| digit.is_ascii_hexdigit())
    });
    if !well_formed {
        return Err(Error::config(
            part,
            "is not properly percent-encoded: two hexadecimal digits follow each '%', and '%' \
             itself is %25",
        ));
    }
    percent_decode_str(text)
        .decode_utf8()
        .map_err(|_| Error::config(part, "is not UTF-8 once it is percent-decoded"))
}

fn shorten(text: &str) -> String {
    const SHOWN: usize = 40;
    match text.char_indices().nth(SHOWN) {
        Some((cut, _)) => format!("{}...", &text[..cut]),
        None => text.to_string(),
    }
}

#[cfg(test)]
#[path = "url_tests.rs"]
mod tests;
