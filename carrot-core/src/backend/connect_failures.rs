//! The failed attempts to connect to the addresses of a broker.

use std::time::Duration;

use crate::error::Error;

/// The failed attempts to connect to the addresses of a broker, for the error of them all.
///
/// ```
/// use std::time::Duration;
///
/// use carrot::Error;
/// use carrot::backend::ConnectFailures;
///
/// let refused = |endpoint| Error::connect(endpoint, "TCP refused", Duration::ZERO, None);
/// let mut failures = ConnectFailures::default();
/// failures.add("mq1:5672".into(), refused("mq1:5672"));
/// failures.add("mq2:5672".into(), refused("mq2:5672"));
/// let error = failures.into_error("mq1:5672,mq2:5672", Duration::from_secs(1));
/// assert!(error.to_string().contains("mq1:5672: TCP refused; mq2:5672: TCP refused"));
/// ```
#[derive(Debug, Default)]
pub struct ConnectFailures(Vec<(String, Error)>);

impl ConnectFailures {
    /// Adds the failure of an address.
    pub fn add(&mut self, endpoint: String, error: Error) {
        self.0.push((endpoint, error));
    }

    /// Returns the error of an attempt at all addresses, which took `tried`. The only failure is
    /// returned as it is, and so is a timeout of the last address, which had all the time that was
    /// left.
    pub fn into_error(mut self, endpoint: &str, tried: Duration) -> Error {
        match self.0.pop() {
            None => Error::connect(endpoint, "no address", tried, None),
            Some((_, last)) if self.0.is_empty() => last,
            Some((_, last @ Error::Timeout { .. })) => last,
            Some(last) => {
                let reasons: Vec<_> = self.0.into_iter().chain([last]).map(reason).collect();
                Error::connect(endpoint, reasons.join("; "), tried, None)
            }
        }
    }
}

/// Returns why an address was left.
fn reason((endpoint, error): (String, Error)) -> String {
    match error {
        Error::Connect { reason, .. } => format!("{endpoint}: {reason}"),
        Error::Timeout { .. } => format!("{endpoint}: no answer in time"),
        // The text has the address.
        Error::Disconnected { reason, .. } => reason,
        other => format!("{endpoint}: {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timeout() -> Error {
        Error::timeout("connect", Duration::from_secs(1))
    }

    #[test]
    fn only_failure_and_last_timeout_are_the_error() {
        let refused = || Error::connect("a:1", "refused", Duration::ZERO, None);
        let error = |added: [Error; 2], taken| {
            let mut failures = ConnectFailures::default();
            let endpoints = ["a:1", "b:2"].map(String::from).into_iter();
            endpoints.zip(added).take(taken).for_each(|(at, error)| failures.add(at, error));
            failures.into_error("a:1,b:2", Duration::ZERO)
        };
        assert!(matches!(error([timeout(), refused()], 1), Error::Timeout { .. }));
        assert!(matches!(error([refused(), timeout()], 2), Error::Timeout { .. }));
        let lost = Error::disconnected("b:2: it closed");
        let text = error([timeout(), lost], 2).to_string();
        assert!(text.contains("a:1: no answer in time; b:2: it closed"), "{text}");
        assert!(error([refused(), timeout()], 0).to_string().contains("no address"));
    }
}
