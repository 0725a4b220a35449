//! The `Debug` output of errors, whose size is bounded.

use std::fmt;

use crate::error::Error;

/// The most failures of a batch that are displayed.
const MOST_FAILURES: usize = 3;

/// Displays a match over the variants of an error, each with its fields.
macro_rules! show {
    ($error:ident, $formatter:ident; $($variant:ident { $($field:ident),* },)*) => {
        match $error {
            $(Error::$variant { $($field),* } => {
                let mut shown = $formatter.debug_struct(stringify!($variant));
                $(shown.field(stringify!($field), $field);)*
                shown.finish()
            })*
            Error::Refused => $formatter.write_str("Refused"),
            Error::Batch { confirmed, failures, source } => $formatter
                .debug_struct("Batch")
                .field("confirmed", confirmed)
                .field("failures", &FirstFailures(failures))
                .field("source", source)
                .finish(),
        }
    };
}

impl fmt::Debug for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        show! {
            self, formatter;
            Config { option, reason },
            Connect { endpoint, reason, tried, source },
            Authentication { endpoint, user, reason },
            Disconnected { reason, source },
            Timeout { operation, after },
            Blocked { reason },
            HardError { code, reason },
            Unavailable { reason },
            NotFound { reason },
            AccessRefused { reason },
            ResourceLocked { reason },
            PreconditionFailed { reason },
            Unroutable { returned },
            Stale { source },
            Cancelled { queue, reason },
            Encode { content_type, source },
            Decode { content_type, source },
            ContentType { content_type, content_encoding, accepted },
            Inflate { compression, reason },
            TooLarge { compression, limit },
            Invalid { field, value, limit },
            Declaration { entity, source },
            Remote { kind, message },
            Closed { what },
            Layer { reason, source },
            Backend { reason, source },
        }
    }
}

/// The first failures of a batch, and the number of all others.
struct FirstFailures<'a>(&'a [(usize, Error)]);

impl fmt::Debug for FirstFailures<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FirstFailures(failures) = self;
        let mut list = formatter.debug_list();
        list.entries(failures.iter().take(MOST_FAILURES));
        match failures.len().checked_sub(MOST_FAILURES) {
            None | Some(0) => list.finish(),
            Some(more) => list.entry(&format_args!("... ({more} more)")).finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;

    fn batch(failed: usize) -> Error {
        let failures = (0..failed).map(|index| (index, Error::Refused)).collect();
        Error::Batch { confirmed: 7, failures, source: Arc::new(Error::Refused) }
    }

    #[test]
    fn debug_output_of_a_large_batch_names_the_first_failures_and_the_number() {
        assert_eq!(
            format!("{:?}", batch(20_000)),
            "Batch { confirmed: 7, failures: [(0, Refused), (1, Refused), (2, Refused), \
             ... (19997 more)], source: Refused }"
        );
        let all = "[(0, Refused), (1, Refused), (2, Refused)]";
        assert!(format!("{:?}", batch(3)).contains(all));
    }

    #[test]
    fn debug_output_of_an_error_names_its_fields() {
        let error = Error::timeout("waiting", Duration::from_secs(2));
        assert_eq!(format!("{error:?}"), r#"Timeout { operation: "waiting", after: 2s }"#);
        let closed = format!("{:#?}", Error::closed("publisher"));
        assert_eq!(closed, "Closed {\n    what: \"publisher\",\n}");
    }
}
