//! The errors of channels that the broker has closed; pure.

use carrot_core::Error;
use carrot_core::backend::printable;

/// Returns words of the broker, escaped and cut. They may hold names that a stranger has chosen.
pub(crate) fn words(text: &str) -> String {
    const LONGEST: usize = 1000;
    printable(LONGEST, text)
}

/// Returns the error of a channel that the broker has closed. RabbitMQ uses one code for several
/// conditions, which differ in the words.
pub(crate) fn channel_closed(code: u16, text: &str) -> Error {
    let reason = words(text);
    let text = &*reason;
    match code {
        404 if text.contains("is down or inaccessible") => return Error::Unavailable { reason },
        403 if text.contains("in exclusive use") => return Error::ResourceLocked { reason },
        _ => {}
    }
    Error::from_channel_close(code, text).unwrap_or_else(|| Error::Backend {
        reason: format!("the broker closed the channel: {code} {text}"),
        source: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_of_one_code_differ_in_the_words_of_the_broker() {
        let down = "NOT_FOUND - queue 'q' in vhost '/' process is stopped by supervisor, is down \
                    or inaccessible";
        let error = channel_closed(404, down);
        assert!(
            matches!(error, Error::Unavailable { .. })
                && error.is_retryable()
                && error.is_channel_error()
        );
        let used = "ACCESS_REFUSED - queue 'q' in vhost '/' in exclusive use";
        let error = channel_closed(403, used);
        assert!(matches!(error, Error::ResourceLocked { reason } if reason == used));
        let missing = "NOT_FOUND - no queue 'q' in vhost '/'";
        assert!(matches!(channel_closed(404, missing), Error::NotFound { .. }));
    }

    #[test]
    fn the_code_decides_the_variant() {
        let closed = |code| channel_closed(code, "WORDS");
        assert!(matches!(closed(403), Error::AccessRefused { .. }));
        assert!(matches!(closed(404), Error::NotFound { .. }));
        assert!(matches!(closed(405), Error::ResourceLocked { .. }));
        assert!(matches!(closed(406), Error::PreconditionFailed { .. }));
        let other = closed(311);
        assert!(
            matches!(&other, Error::Backend { reason, .. } if reason.contains("311 WORDS")),
            "{other:?}"
        );
    }

    #[test]
    fn the_words_of_the_broker_are_escaped() {
        let text = "NOT_FOUND - no queue 'a\u{1b}[31m\nb'";
        let error = channel_closed(404, text);
        let Error::NotFound { reason } = error else { panic!("{error:?}") };
        assert_eq!(reason, "NOT_FOUND - no queue 'a\\u{1b}[31m\\nb'");
    }
}
