//! The names that the broker generates.

/// The number of random characters in a generated name, as on RabbitMQ.
const RANDOM_CHARACTERS: usize = 22;

/// Returns the random end of a generated name.
pub(crate) fn random_suffix() -> String {
    std::iter::repeat_with(fastrand::alphanumeric).take(RANDOM_CHARACTERS).collect()
}

/// Whether a text has the form of the end of a generated name.
pub(crate) fn is_random_suffix(text: &str) -> bool {
    text.len() == RANDOM_CHARACTERS && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Returns a name as RabbitMQ reads it in declarations, bindings and deletions: without line
/// breaks.
pub(crate) fn without_line_breaks(name: &str) -> String {
    name.replace(['\r', '\n'], "")
}
