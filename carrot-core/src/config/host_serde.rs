//! Serializes an address as `name:port`.

use std::net::Ipv6Addr;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use crate::config::given::Given;
use crate::config::host::Host;
use crate::config::url::parse_host;
use crate::error::{Error, Result};

impl Serialize for Host {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = text_of(self);
        if parse(&text).is_ok_and(|parsed| parsed == *self) {
            return serializer.serialize_str(&text);
        }
        let mut fields = serializer.serialize_struct("Host", 2)?;
        fields.serialize_field("name", &self.name)?;
        match &self.port {
            Some(port) => fields.serialize_field("port", port)?,
            None => fields.skip_field("port")?,
        }
        fields.end()
    }
}

impl TryFrom<Given> for Host {
    type Error = Error;

    fn try_from(given: Given) -> Result<Host> {
        if let Given::Text(text) = given {
            return parse(&text);
        }
        let mut fields = given.fields(
            "host",
            &["name", "port"],
            "must be a string, such as localhost:5672, or a table with name and port",
        )?;
        let name = fields.require("name", Given::text)?;
        let port = fields.read("port", |given, port| given.whole(port, u16::MAX.into()))?;
        Ok(Host { name, port })
    }
}

fn text_of(host: &Host) -> String {
    match host.port {
        Some(port) if is_ipv6(&host.name) => format!("[{}]:{port}", host.name),
        Some(port) => format!("{}:{port}", host.name),
        None => host.name.clone(),
    }
}

/// Parses `name`, `name:port`, `[address]:port` or an IPv6 address, none of them percent-encoded.
fn parse(text: &str) -> Result<Host> {
    if is_ipv6(text) {
        return Ok(Host::new(text));
    }
    if text.is_empty() || text.starts_with(':') {
        return Err(Error::config("host", "has no name"));
    }
    parse_host(&text.replace('%', "%25"), false)
}

fn is_ipv6(text: &str) -> bool {
    text.split_once('%').map_or(text, |(bare, _zone)| bare).parse::<Ipv6Addr>().is_ok()
}
