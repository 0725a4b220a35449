use std::net::IpAddr;

use serde::Deserialize;

use crate::config::given::Given;

/// One address of a broker.
///
/// Serialized as a string: `"name"`, `"name:port"`, `"::1"` or `"[::1]:port"`. A name that such a
/// string cannot hold is serialized as a table with the fields `name` and `port`. Deserialized from
/// both.
///
/// ```
/// use carrot::config::Host;
///
/// let hosts: Vec<Host> = serde_json::from_str(r#"["mq1:5673", {"name": "mq2"}]"#)?;
/// assert_eq!(hosts, [Host::new("mq1").with_port(5673), Host::new("mq2")]);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "Given")]
#[non_exhaustive]
pub struct Host {
    /// A name, an IPv4 address, or an IPv6 address without brackets.
    pub name: String,
    /// The port; `None` for the scheme's default, 5672 or 5671.
    pub port: Option<u16>,
}

impl Host {
    /// Creates an address with the scheme's default port.
    pub fn new(name: impl Into<String>) -> Host {
        Host { name: name.into(), port: None }
    }

    /// Sets the port.
    #[must_use]
    pub fn with_port(self, port: u16) -> Host {
        Host { port: Some(port), ..self }
    }
}

/// Converts a name or an address. A port in the text is not parsed.
impl From<&str> for Host {
    fn from(name: &str) -> Host {
        Host::new(name)
    }
}

/// Converts a name or an address. A port in the text is not parsed.
impl From<String> for Host {
    fn from(name: String) -> Host {
        Host::new(name)
    }
}

/// Converts a name or an address. A port in the text is not parsed.
impl From<&String> for Host {
    fn from(name: &String) -> Host {
        Host::new(name)
    }
}

impl From<IpAddr> for Host {
    fn from(address: IpAddr) -> Host {
        Host::new(address.to_string())
    }
}

impl<N: Into<String>> From<(N, u16)> for Host {
    fn from((name, port): (N, u16)) -> Host {
        Host { name: name.into(), port: Some(port) }
    }
}
