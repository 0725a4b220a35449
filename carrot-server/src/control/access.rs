//! Which requests are from the program that was given the token.

use std::fmt;
use std::fmt::Write;
use std::net::SocketAddr;

use carrot_core::Secret;
use carrot_core::backend::Printable;

use crate::control::error::{ControlError, LONGEST_VALUE};

/// The size of a token, in octets.
const TOKEN_OCTETS: usize = 32;

/// The token, and the names of the address.
pub(crate) struct ControlAccess {
    token: Secret,
    hosts: Vec<String>,
}

impl ControlAccess {
    /// Creates a token from the random source of the operating system.
    ///
    /// # Errors
    /// The random source cannot be read.
    pub(crate) fn new(address: SocketAddr) -> Result<ControlAccess, getrandom::Error> {
        let mut octets = [0; TOKEN_OCTETS];
        getrandom::fill(&mut octets)?;
        let token = octets.iter().fold(String::new(), |mut text, octet| {
            // Writing to a string does not fail.
            let _ = write!(text, "{octet:02x}");
            text
        });
        let hosts = vec![address.to_string(), format!("localhost:{}", address.port())];
        Ok(ControlAccess { token: token.into(), hosts })
    }

    pub(crate) fn token(&self) -> &str {
        self.token.reveal()
    }

    /// Checks that a request names this machine, so that no page in a browser can send one through
    /// a name that an attacker resolves to this machine.
    pub(crate) fn check_host(&self, host: Option<&[u8]>) -> Result<(), ControlError> {
        let is_own =
            |host: &[u8]| self.hosts.iter().any(|own| own.as_bytes().eq_ignore_ascii_case(host));
        match host {
            Some(host) if is_own(host) => Ok(()),
            Some(host) => Err(ControlError::new(
                421,
                format!(
                    "header \"Host\": \"{}\": has to be {}",
                    Printable::new(LONGEST_VALUE, String::from_utf8_lossy(host)),
                    self.hosts.join(" or ")
                ),
            )),
            None => Err(ControlError::new(400, "header \"Host\" is missing, or is given twice")),
        }
    }

    /// Checks the token of a request. The time depends on the length of the given token only.
    pub(crate) fn check_token(&self, authorization: Option<&[u8]>) -> Result<(), ControlError> {
        const SCHEME: &[u8] = b"Bearer ";
        let refused = |reason| Err(ControlError::new(401, reason));
        let Some(authorization) = authorization else {
            return refused(
                "header \"Authorization\" is missing, or is given twice; \
                            it has to be Bearer and the token",
            );
        };
        let given = match authorization.split_at_checked(SCHEME.len()) {
            Some((scheme, given)) if scheme.eq_ignore_ascii_case(SCHEME) => given,
            _ => return refused("header \"Authorization\" has to be Bearer and the token"),
        };
        let token = self.token().as_bytes();
        let mut difference = u8::from(token.len() != given.len());
        for (index, octet) in given.iter().enumerate() {
            difference |= octet ^ token.get(index).copied().unwrap_or_default();
        }
        match std::hint::black_box(difference) {
            0 => Ok(()),
            _ => refused("header \"Authorization\" has another token"),
        }
    }
}

/// Displays no token.
impl fmt::Debug for ControlAccess {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ControlAccess").field("hosts", &self.hosts).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

    use super::*;

    fn access() -> ControlAccess {
        ControlAccess::new("127.0.0.1:4711".parse().unwrap()).unwrap()
    }

    #[test]
    fn tokens_are_long_and_differ() {
        let (one, other) = (access(), access());
        assert_eq!(one.token().len(), 2 * TOKEN_OCTETS);
        assert_ne!(one.token(), other.token());
        assert!(!format!("{one:?}").contains(one.token()));
    }

    #[test]
    fn only_the_whole_token_is_accepted() {
        let access = access();
        let token = access.token();
        let check = |given: &str| access.check_token(Some(given.as_bytes())).is_ok();
        assert!(check(&format!("Bearer {token}")) && check(&format!("bearer {token}")));
        for given in [
            String::new(),
            "Bearer ".into(),
            token.into(),
            format!("Basic {token}"),
            format!("Bearer {token}0"),
            format!("Bearer {}", &token[1..]),
            format!("Bearer {}", "0".repeat(token.len())),
        ] {
            assert!(!check(&given), "{given}");
        }
        assert_eq!(access.check_token(None).unwrap_err().status, 401);
    }

    #[test]
    fn only_names_of_this_machine_are_hosts() {
        let access = access();
        for host in ["127.0.0.1:4711", "localhost:4711", "LocalHost:4711"] {
            assert!(access.check_host(Some(host.as_bytes())).is_ok(), "{host}");
        }
        for host in ["127.0.0.1", "127.0.0.1:4712", "evil.example:4711", ""] {
            assert_eq!(access.check_host(Some(host.as_bytes())).unwrap_err().status, 421, "{host}");
        }
        assert_eq!(access.check_host(None).unwrap_err().status, 400);
    }
}
