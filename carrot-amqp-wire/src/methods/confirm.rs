//! The class confirm, an extension of RabbitMQ.

method_fields! {
    /// Requests confirms for publications of the channel (`confirm.select`, an extension of
    /// RabbitMQ).
    ConfirmSelect {
        /// Whether the broker sends no `confirm.select-ok`.
        no_wait: bool,
    }
}
