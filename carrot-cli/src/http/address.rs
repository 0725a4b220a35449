//! The host and the port in a URL.

/// Whether text is a host, or an IPv6 address in brackets, with or without a port.
pub(crate) fn is_address(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        Some((host, port)) if host.parse::<std::net::Ipv6Addr>().is_ok() => (host, port),
        Some(_) => return false,
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let is_plain = |octet: u8| octet.is_ascii_alphanumeric() || b"-._:".contains(&octet);
    let is_port = |port: &str| port.bytes().all(|octet| octet.is_ascii_digit());
    !host.is_empty()
        && host.bytes().all(is_plain)
        && (port.is_empty()
            || port
                .strip_prefix(':')
                .is_some_and(|port| is_port(port) && port.parse::<u16>().is_ok()))
}
