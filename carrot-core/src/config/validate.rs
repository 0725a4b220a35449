use std::time::Duration;

use crate::config::credentials::Credentials;
use crate::config::options::ConnectionOptions;
use crate::config::scheme::Scheme;
use crate::config::strings::{string, validate_plain};
use crate::config::tls::TlsOptions;
use crate::error::{Error, Result};

const LONGEST_HEARTBEAT: u64 = 65_535;
const SMALLEST_FRAME: u32 = 4096;
/// Far below the limit of adding to an instant.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The reason why TLS options are refused beside a path.
pub(super) const PATH_WITHOUT_TLS: &str = "a socket of the file system has no TLS";

impl ConnectionOptions {
    /// Checks every limit. Connecting does the same; an early call finds a mistake early.
    ///
    /// # Errors
    /// - [`Error::Config`]: names the option and its limit. Never contains the password.
    pub fn validate(&self) -> Result<()> {
        self.validate_hosts()?;
        self.validate_credentials()?;
        string("vhost", &self.vhost)?;
        string("name", &self.name)?;
        if self.heartbeat.subsec_nanos() != 0 || self.heartbeat.as_secs() > LONGEST_HEARTBEAT {
            return Err(Error::config(
                "heartbeat",
                format!("{:?} must be whole seconds, at most {LONGEST_HEARTBEAT}", self.heartbeat),
            ));
        }
        timeout("connection_timeout", self.connect_timeout)?;
        timeout("call_timeout", self.call_timeout)?;
        if self.frame_max < SMALLEST_FRAME {
            return Err(Error::config(
                "frame_max",
                format!("{} must be at least {SMALLEST_FRAME} bytes", self.frame_max),
            ));
        }
        if self.scheme == Scheme::Memory && self.vhost != "/" {
            return Err(Error::config("vhost", "the memory broker has no vhosts"));
        }
        if matches!(self.scheme, Scheme::Zmq | Scheme::Zmqs | Scheme::ZmqIpc) && self.vhost != "/" {
            return Err(Error::config("vhost", "a host of ZeroMQ has no vhosts"));
        }
        if matches!(self.scheme, Scheme::ActiveMq | Scheme::ActiveMqSsl) && self.vhost != "/" {
            return Err(Error::config("vhost", "ActiveMQ has no vhosts"));
        }
        if self.scheme != Scheme::Memory && self.imitate.is_some() {
            return Err(Error::config("imitate", "only the memory broker imitates a release"));
        }
        if !self.scheme.has_tls() && self.tls != TlsOptions::default() {
            return Err(without_tls(self.scheme));
        }
        Ok(())
    }

    fn validate_hosts(&self) -> Result<()> {
        match self.scheme {
            Scheme::Memory if self.hosts.len() > 1 => {
                return Err(Error::config("host", "the memory broker has one name"));
            }
            Scheme::Memory => {
                let host = self.hosts.first();
                if host.is_some_and(|host| host.port.is_some()) {
                    return Err(Error::config("port", "the memory broker has no port"));
                }
                if host.is_some_and(|host| host.name.is_empty()) {
                    return Err(Error::config("host", "the name of the memory broker is empty"));
                }
                return host.map_or(Ok(()), |host| string("host", &host.name));
            }
            Scheme::ZmqIpc => return self.validate_path(),
            _ if self.hosts.is_empty() => {
                return Err(Error::config("host", "there is no address"));
            }
            _ => {}
        }
        for host in &self.hosts {
            string("host", &host.name)?;
            // `tls` after a path.
            if self.scheme == Scheme::Zmqs && host.name.starts_with('/') {
                return Err(without_tls(Scheme::ZmqIpc));
            }
            let bare = host.name.split_once('%').map_or(&*host.name, |(bare, _zone)| bare);
            if host.name.split_once('%').is_some_and(|(_, zone)| zone.is_empty()) {
                return Err(Error::config(
                    "host",
                    "the zone after the % of an IPv6 address is empty",
                ));
            }
            let address = bare.parse::<std::net::Ipv6Addr>().is_ok();
            if host.name.is_empty()
                || !address && host.name.contains(|character: char| !is_of_a_name(character))
            {
                return Err(Error::config(
                    "host",
                    "must be a name, an IPv4 address or an IPv6 address, without port",
                ));
            }
            if host.port == Some(0) {
                return Err(Error::config("port", "must be a number from 1 to 65535"));
            }
        }
        Ok(())
    }

    /// Checks the path of a socket of the file system, which stands for its host.
    fn validate_path(&self) -> Result<()> {
        match &self.hosts[..] {
            [host] if host.port.is_some() => {
                Err(Error::config("port", "a socket of the file system has no port"))
            }
            [host] if host.name.starts_with('/') => string("path", &host.name),
            _ => Err(Error::config(
                "path",
                "must be one path that begins with '/', as in zmq+ipc:///run/carrot.sock",
            )),
        }
    }

    fn validate_credentials(&self) -> Result<()> {
        match &self.credentials {
            Credentials::Provider(_) => Ok(()),
            credentials
                if self.scheme == Scheme::Memory && *credentials != Credentials::default() =>
            {
                Err(Error::config("user", "the memory broker has no users"))
            }
            Credentials::Plain { user, password } => validate_plain(user, password),
            Credentials::External
                if self.scheme != Scheme::Amqps || self.tls.identity.is_none() =>
            {
                Err(Error::config(
                    "auth_mechanism",
                    "external needs amqps:// and a client certificate (certfile and keyfile)",
                ))
            }
            Credentials::External => Ok(()),
        }
    }
}

/// Returns the error of TLS options for a scheme without TLS.
pub(super) fn without_tls(scheme: Scheme) -> Error {
    match scheme {
        Scheme::ZmqIpc => Error::config("tls", PATH_WITHOUT_TLS),
        _ => {
            let reason = format!("the scheme {scheme} has no TLS; {} has", scheme.with_tls());
            Error::config("tls", reason)
        }
    }
}

fn is_of_a_name(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '-' | '.' | '_')
}

fn timeout(option: &'static str, timeout: Duration) -> Result<()> {
    if timeout.is_zero() || timeout > LONGEST_TIMEOUT {
        return Err(Error::config(
            option,
            format!("{timeout:?} must be more than zero and at most a year"),
        ));
    }
    Ok(())
}
