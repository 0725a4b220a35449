//! How a server reports an error to its peer.

use carrot_core::Error;

/// An error as AMQP reports it: a reply code, a text, and what is closed.
///
/// ```
/// use carrot::memory::session::Refusal;
///
/// let reason = "NOT_FOUND - no queue 'jobs' in vhost '/'".to_string();
/// let refusal = Refusal::of(&carrot::Error::NotFound { reason });
/// assert_eq!((refusal.code, refusal.closes_connection), (404, false));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusal {
    /// The reply code (AMQP 0-9-1 1.2).
    pub code: u16,
    /// The reply text, in RabbitMQ's words. Can be longer than a reply text of AMQP.
    pub text: String,
    /// Whether the error closes the connection. Otherwise, the error closes the channel.
    pub closes_connection: bool,
}

impl Refusal {
    /// Returns how AMQP reports an error of the broker.
    ///
    /// An error that RabbitMQ does not have, such as an injected one, becomes `INTERNAL_ERROR`
    /// (541), which closes the connection.
    pub fn of(error: &Error) -> Refusal {
        let on_channel = |code: u16, text: &str| Refusal {
            code,
            text: text.to_string(),
            closes_connection: false,
        };
        match error {
            Error::NotFound { reason } => on_channel(404, reason),
            Error::AccessRefused { reason } => on_channel(403, reason),
            Error::PreconditionFailed { reason } => on_channel(406, reason),
            // RabbitMQ refuses a second exclusive consumer with the code of missing access.
            Error::ResourceLocked { reason } if reason.starts_with("ACCESS_REFUSED") => {
                on_channel(403, reason)
            }
            Error::ResourceLocked { reason } => on_channel(405, reason),
            Error::HardError { code, reason } => {
                Refusal { code: *code, text: reason.clone(), closes_connection: true }
            }
            error => match error.hard_close() {
                Some(close) => {
                    Refusal { code: close.code, text: close.text.clone(), closes_connection: true }
                }
                None => Refusal {
                    code: 541,
                    text: format!("INTERNAL_ERROR - {error}"),
                    closes_connection: true,
                },
            },
        }
    }

    /// Names another virtual host than `/` in the text.
    #[must_use]
    pub fn in_vhost(mut self, name: &str) -> Refusal {
        if name != "/" {
            for (root, named) in [
                ("in vhost '/'", format!("in vhost '{name}'")),
                ("{resource,<<\"/\">>", format!("{{resource,<<\"{name}\">>")),
            ] {
                self.text = self.text.replacen(root, &named, 1);
            }
        }
        self
    }
}
