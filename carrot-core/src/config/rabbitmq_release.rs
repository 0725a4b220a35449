use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::config::given::Given;
use crate::error::{Error, Result};

/// A release of RabbitMQ that the memory broker can imitate.
///
/// The name of a release stands for a range, because releases between two neighbours behave as one
/// of them wherever a client can see it, except as the documentation of the memory broker says.
///
/// Parsed from, displayed and serialized as the number of the release.
///
/// ```
/// use carrot::config::RabbitMqRelease;
///
/// assert_eq!("3.10".parse::<RabbitMqRelease>()?, RabbitMqRelease::V3_10);
/// assert_eq!(RabbitMqRelease::default().to_string(), "4.3");
/// # Ok::<(), carrot::Error>(())
/// ```
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(into = "&'static str", try_from = "Given")]
#[non_exhaustive]
pub enum RabbitMqRelease {
    /// RabbitMQ 3.10, which Debian 12 has.
    V3_10,
    /// RabbitMQ 4.3, the current release.
    #[default]
    V4_3,
}

impl RabbitMqRelease {
    /// All releases, the oldest first.
    pub const ALL: &'static [RabbitMqRelease] = &[RabbitMqRelease::V3_10, RabbitMqRelease::V4_3];

    /// Returns the number of the release, such as `4.3`.
    pub fn as_str(self) -> &'static str {
        match self {
            RabbitMqRelease::V3_10 => "3.10",
            RabbitMqRelease::V4_3 => "4.3",
        }
    }
}

impl From<RabbitMqRelease> for &'static str {
    fn from(release: RabbitMqRelease) -> &'static str {
        release.as_str()
    }
}

impl fmt::Display for RabbitMqRelease {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for RabbitMqRelease {
    type Err = Error;

    /// Parses the number of a release.
    ///
    /// # Errors
    /// [`Error::Config`]: no release of this number can be imitated.
    fn from_str(number: &str) -> Result<RabbitMqRelease> {
        let known = RabbitMqRelease::ALL.iter().find(|release| release.as_str() == number);
        known.copied().ok_or_else(|| Error::config("imitate", "must be 3.10 or 4.3"))
    }
}

impl TryFrom<Given> for RabbitMqRelease {
    type Error = Error;

    fn try_from(given: Given) -> Result<RabbitMqRelease> {
        given.text("imitate")?.parse()
    }
}
