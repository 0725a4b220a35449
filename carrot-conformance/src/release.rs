use std::fmt;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::str::FromStr;
use std::time::Duration;

use carrot_core::RabbitMqRelease;

/// A release of RabbitMQ, by its first two numbers. The expected answers of some cases depend on
/// it.
///
/// ```
/// use carrot_conformance::Release;
///
/// assert_eq!("4.0.5".parse(), Ok(Release::new(4, 0)));
/// assert!(Release::new(3, 10) < Release::new(4, 0));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Release {
    major: u16,
    minor: u16,
}

/// The longest wait for the version that a broker announces.
const ANNOUNCED_WITHIN: Duration = Duration::from_secs(10);
/// The most octets of connection.start to read.
const LONGEST_START: usize = 131_072;

impl Release {
    /// The newest release whose answers are known. A newer one is expected to answer like it.
    pub const NEWEST_KNOWN: Release = Release::new(4, 3);

    /// Creates a release.
    pub const fn new(major: u16, minor: u16) -> Release {
        Release { major, minor }
    }

    /// Returns the release that a broker announces in the field `version` of connection.start.
    /// Blocks for at most ten seconds without an answer.
    ///
    /// # Errors
    /// The broker cannot be reached, or announces no version of two numbers.
    pub fn announced_by(address: (&str, u16)) -> io::Result<Release> {
        let mut socket = TcpStream::connect(address)?;
        socket.set_read_timeout(Some(ANNOUNCED_WITHIN))?;
        socket.write_all(b"AMQP\x00\x00\x09\x01")?;
        let mut start = Vec::new();
        let mut buffer = [0; 4096];
        while start.len() < LONGEST_START {
            let count = socket.read(&mut buffer)?;
            start.extend_from_slice(&buffer[..count]);
            if let Some(version) = announced_version(&start) {
                return version.parse().map_err(io::Error::other);
            }
            if count == 0 {
                break;
            }
        }
        Err(io::Error::other("the broker announced no version"))
    }
}

/// Returns the long string of the name `version` in the table of connection.start.
fn announced_version(start: &[u8]) -> Option<&str> {
    const NAME: &[u8] = b"\x07versionS";
    let at = start.windows(NAME.len()).position(|octets| octets == NAME)? + NAME.len();
    let length = u32::from_be_bytes(start.get(at..at + 4)?.try_into().ok()?);
    let text = start.get(at + 4..)?.get(..usize::try_from(length).ok()?)?;
    str::from_utf8(text).ok()
}

impl Default for Release {
    fn default() -> Release {
        Release::NEWEST_KNOWN
    }
}

impl From<RabbitMqRelease> for Release {
    fn from(release: RabbitMqRelease) -> Release {
        release.as_str().parse().unwrap_or_default()
    }
}

impl fmt::Display for Release {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.major, self.minor)
    }
}

impl FromStr for Release {
    type Err = String;

    /// Parses a version, such as `4.0.5`. Ignores what follows the second number.
    ///
    /// # Errors
    /// The text does not start with two numbers that a dot separates.
    fn from_str(version: &str) -> Result<Release, String> {
        let mut numbers = version.splitn(3, ['.', '-', '+']).map(str::parse);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(major)), Some(Ok(minor))) => Ok(Release { major, minor }),
            _ => Err(format!(
                "the version {:?} does not start with two numbers",
                version.chars().take(40).collect::<String>()
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_parsed_up_to_their_second_number() {
        for version in ["4.0", "4.0.5", "4.0-rc.1", "4.0.0+5"] {
            assert_eq!(version.parse(), Ok(Release::new(4, 0)), "{version}");
        }
        for version in ["", "4", "4.", "v4.0", "x.y"] {
            assert!(version.parse::<Release>().is_err(), "{version}");
        }
    }

    #[test]
    fn the_announced_version_is_found_once_it_is_complete() {
        let start = b"\x08platformS\x00\x00\x00\x01x\x07versionS\x00\x00\x00\x064.3.10rest";
        assert_eq!(announced_version(start), Some("4.3.10"));
        assert_eq!(announced_version(&start[..start.len() - 5]), None);
        assert_eq!(announced_version(b"\x07productS\x00\x00\x00\x01x"), None);
    }
}
