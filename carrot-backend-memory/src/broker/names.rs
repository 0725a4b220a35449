//! The names that the broker generates.

/// Returns the random end of a generated name: 22 characters, as on RabbitMQ.
pub(crate) fn random_suffix() -> String {
    std::iter::repeat_with(fastrand::alphanumeric).take(22).collect()
}
