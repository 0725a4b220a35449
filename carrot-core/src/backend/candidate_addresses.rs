//! The addresses that a driver tries, one after another, within one deadline.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use std::{fmt, vec};

use crate::deadline::left;

/// One address of a broker, and the time for an attempt to connect to it.
#[derive(Debug)]
#[non_exhaustive]
pub struct CandidateAddress<'a> {
    /// The name of the host, which a TLS certificate has to be for.
    pub host: &'a str,
    /// The port.
    pub port: u16,
    /// The address, or the reason why the name has none.
    pub address: io::Result<SocketAddr>,
    /// The end of the time for the attempt.
    pub deadline: Instant,
}

impl CandidateAddress<'_> {
    /// Returns the name and the port, for errors and logs.
    pub fn endpoint(&self) -> String {
        address_text(self.host, self.port)
    }
}

/// Looks up each of several names, and returns its addresses one after another, for drivers.
///
/// All share the time until the deadline: one without an answer leaves time for the others. A name
/// is looked up when its turn comes.
///
/// ```
/// use std::time::{Duration, Instant};
///
/// use carrot::ConnectionOptions;
/// use carrot::backend::{CandidateAddresses, look_up};
///
/// let options: ConnectionOptions = "amqp://127.0.0.1,127.0.0.2:5673".parse()?;
/// let deadline = Instant::now() + Duration::from_secs(10);
/// let mut found = Vec::new();
/// for candidate in CandidateAddresses::new(options.addresses(), deadline, look_up) {
///     assert!(candidate.deadline <= deadline);
///     found.push(candidate.address?.to_string());
/// }
/// assert_eq!(found, ["127.0.0.1:5672", "127.0.0.2:5673"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct CandidateAddresses<'a, L> {
    hosts: vec::IntoIter<(&'a str, u16)>,
    deadline: Instant,
    look_up: L,
    found: Option<FoundAddresses<'a>>,
}

/// The addresses of one name that are not tried yet.
struct FoundAddresses<'a> {
    host: &'a str,
    port: u16,
    addresses: vec::IntoIter<SocketAddr>,
    deadline: Instant,
}

impl<'a, L> CandidateAddresses<'a, L>
where
    L: FnMut(&str, u16, Duration) -> io::Result<Vec<SocketAddr>>,
{
    /// Creates the addresses of names with ports. `look_up` returns the addresses of a name within
    /// a time, as [`look_up`](crate::backend::look_up) does.
    pub fn new(
        hosts: impl IntoIterator<Item = (&'a str, u16)>,
        deadline: Instant,
        look_up: L,
    ) -> CandidateAddresses<'a, L> {
        let hosts = hosts.into_iter().collect::<Vec<_>>().into_iter();
        CandidateAddresses { hosts, deadline, look_up, found: None }
    }
}

impl<'a, L> Iterator for CandidateAddresses<'a, L>
where
    L: FnMut(&str, u16, Duration) -> io::Result<Vec<SocketAddr>>,
{
    type Item = CandidateAddress<'a>;

    /// Blocks while a name is looked up.
    fn next(&mut self) -> Option<CandidateAddress<'a>> {
        if let Some(candidate) = self.found.as_mut().and_then(FoundAddresses::next) {
            return Some(candidate);
        }
        let deadline = share(self.deadline, self.hosts.len());
        let (host, port) = self.hosts.next()?;
        let found = match (self.look_up)(host, port, left(deadline)) {
            Ok(addresses) if addresses.is_empty() => {
                Err(io::Error::new(ErrorKind::NotFound, "it has no address"))
            }
            found => found,
        };
        match found {
            Ok(addresses) => {
                let addresses = addresses.into_iter();
                self.found.insert(FoundAddresses { host, port, addresses, deadline }).next()
            }
            Err(error) => Some(CandidateAddress { host, port, address: Err(error), deadline }),
        }
    }
}

impl<'a> FoundAddresses<'a> {
    fn next(&mut self) -> Option<CandidateAddress<'a>> {
        let deadline = share(self.deadline, self.addresses.len());
        let address = Ok(self.addresses.next()?);
        Some(CandidateAddress { host: self.host, port: self.port, address, deadline })
    }
}

/// Returns a name with its port.
pub(crate) fn address_text(name: &str, port: u16) -> String {
    if name.contains(':') { format!("[{name}]:{port}") } else { format!("{name}:{port}") }
}

/// Returns the end of the first of `count` equal parts of the time until `deadline`.
fn share(deadline: Instant, count: usize) -> Instant {
    Instant::now() + left(deadline) / u32::try_from(count.max(1)).unwrap_or(u32::MAX)
}

impl<L> fmt::Debug for CandidateAddresses<'_, L> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("CandidateAddresses");
        shown.field("hosts", &self.hosts.as_slice()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

    use std::cell::RefCell;

    use super::*;

    const SOON: Duration = Duration::from_secs(40);

    #[test]
    fn addresses_share_the_time_that_is_left() {
        let hosts = [("silent", 5672), ("two", 7), ("::1", 5672)];
        let shares = RefCell::new(Vec::new());
        let deadline = Instant::now() + SOON;
        let candidates = CandidateAddresses::new(hosts, deadline, |name, port, share| {
            shares.borrow_mut().push(share);
            let address = SocketAddr::from(([127, 0, 0, 1], port));
            match name {
                "silent" => Err(ErrorKind::TimedOut.into()),
                "two" => Ok(vec![address, address]),
                _ => Ok(vec![address]),
            }
        });
        let tried: Vec<_> = candidates
            .map(|candidate| (candidate.endpoint(), candidate.address.ok(), candidate.deadline))
            .collect();
        let endpoints: Vec<_> = tried.iter().map(|(endpoint, ..)| &**endpoint).collect();
        assert_eq!(endpoints, ["silent:5672", "two:7", "two:7", "[::1]:5672"]);
        assert_eq!(tried[0].1, None);
        let shares = shares.into_inner();
        assert!(shares[0] <= SOON / 3, "{shares:?}");
        assert!(shares[1] > SOON / 3 && shares[1] <= SOON / 2, "{shares:?}");
        // The first address of a name has half of the time of its name.
        assert!(tried[1].2 + SOON / 5 < tried[2].2, "{tried:?}");
        assert!(shares[2] > SOON / 2 && tried[3].2 <= deadline, "{shares:?} {tried:?}");
    }

    #[test]
    fn name_is_looked_up_when_its_turn_comes() {
        let hosts = [("first", 1), ("second", 1)];
        let looked_up = RefCell::new(Vec::new());
        let look_up = |name: &str, _, _| {
            looked_up.borrow_mut().push(name.to_string());
            Ok(Vec::new())
        };
        let mut candidates = CandidateAddresses::new(hosts, Instant::now() + SOON, look_up);
        let reason = candidates.next().unwrap().address.unwrap_err().to_string();
        assert_eq!(reason, "it has no address");
        assert_eq!(*looked_up.borrow(), ["first"]);
        assert!(candidates.next().is_some() && candidates.next().is_none());
        assert_eq!(*looked_up.borrow(), ["first", "second"]);
    }
}
