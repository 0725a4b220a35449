//! The URL of a control interface.

use std::net::IpAddr;

use crate::http::is_address;

/// Where a control interface is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ControlUrl {
    /// The URL without a slash at its end.
    pub(crate) base: String,
}

impl ControlUrl {
    /// Parses `http://host:port/v1`. The path defaults to `/v1`.
    ///
    /// # Errors
    /// The reason, which repeats nothing of the URL: a token may stand anywhere in it.
    pub(crate) fn parse(url: &str) -> Result<ControlUrl, &'static str> {
        let rest = url.strip_prefix("http://").ok_or("the URL needs http://")?;
        let (address, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if address.contains('@') {
            return Err("the URL has a user, and the interface has none: \
                 the token is in --control-token-file or CARROT_CONTROL_TOKEN");
        }
        if !is_address(address) {
            return Err("the URL has no host, or a port that is no number");
        }
        if !is_of_this_machine(address) {
            return Err("the host has to be of this machine, such as 127.0.0.1: \
                 a control interface listens on the loopback interface only");
        }
        match path.trim_end_matches('/') {
            "" | "/v1" => Ok(ControlUrl { base: format!("http://{address}/v1") }),
            _ => Err("the path of the URL has to be /v1"),
        }
    }
}

/// Whether an address is on the loopback interface. The token is sent to no other one.
fn is_of_this_machine(address: &str) -> bool {
    let host = match address.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, _)) => host,
        None => address.split(':').next().unwrap_or_default(),
    };
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_of_this_machine_is_accepted() {
        for url in ["http://127.0.0.1:4711/v1", "http://127.0.0.1:4711", "http://127.0.0.1:4711/"] {
            let base = "http://127.0.0.1:4711/v1".to_string();
            assert_eq!(ControlUrl::parse(url), Ok(ControlUrl { base }), "{url}");
        }
        for url in ["http://localhost:80/v1/", "http://[::1]:4711/v1", "http://127.9.9.9:1"] {
            assert!(ControlUrl::parse(url).is_ok(), "{url}");
        }
    }

    #[test]
    fn url_that_cannot_be_used_is_refused_without_its_text() {
        for url in [
            "",
            "127.0.0.1:4711",
            "https://127.0.0.1:4711/v1",
            "http://",
            "http://hush@127.0.0.1:4711/v1",
            "http://127.0.0.1:x",
            "http://127.0.0.1:4711/v2",
            "http://127.0.0.1:4711/v1?hush",
            "http://hush.example:4711/v1",
            "http://192.0.2.1:4711/v1",
            "http://127.0.0.1.hush.example:4711/v1",
            "http://[::2]:4711",
            "http://127.0.0.1:4711\r\nhush: x/v1",
        ] {
            let refused = ControlUrl::parse(url);
            assert!(refused.is_err_and(|reason| !reason.contains("hush")), "{url}");
        }
    }
}
