//! The addresses that a server may listen at.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use carrot_core::{Error, Result};

/// Refuses addresses that other machines reach, unless the program permits them and there are
/// users.
///
/// # Errors
/// - [`Error::Config`]: names `address`, if other machines reach it, or `user`, if such a server
///   has none.
pub fn check_addresses(
    addresses: &[SocketAddr],
    permits_others: bool,
    has_users: bool,
) -> Result<()> {
    let Some(address) = addresses.iter().find(|address| !address.ip().is_loopback()) else {
        return Ok(());
    };
    if !permits_others {
        let reason =
            format!("{address} is reachable from other machines; call allow_other_machines");
        return Err(Error::config("address", reason));
    }
    if !has_users {
        let reason = "a server for other machines needs a user; add one with a password";
        return Err(Error::config("user", reason));
    }
    Ok(())
}

/// Returns an address of this machine at which a server is reached that listens at `address`.
pub fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(address: &str, permits_others: bool, has_users: bool) -> Option<String> {
        let addresses: Vec<SocketAddr> = address.parse().into_iter().collect();
        match check_addresses(&addresses, permits_others, has_users) {
            Ok(()) => None,
            Err(Error::Config { option, .. }) => Some(option.into_owned()),
            Err(other) => Some(other.to_string()),
        }
    }

    #[test]
    fn other_machines_need_permission_and_a_user() {
        assert_eq!(refused("127.0.0.1:0", false, false), None);
        assert_eq!(refused("[::1]:0", false, false), None);
        assert_eq!(refused("0.0.0.0:0", false, true).as_deref(), Some("address"));
        assert_eq!(refused("192.0.2.1:0", true, false).as_deref(), Some("user"));
        assert_eq!(refused("192.0.2.1:0", true, true), None);
    }
}
