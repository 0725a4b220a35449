//! The reason for which the broker has closed the connection.

use std::fmt;

use carrot_core::backend::HardClose;

use super::calls::MethodId;

/// The fields of connection.close.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConnectionClose {
    pub(crate) code: u16,
    pub(crate) text: String,
    /// The method that the broker refused, if it names one.
    pub(crate) method: Option<MethodId>,
}

impl ConnectionClose {
    /// Returns whether it is a hard error of AMQP: the broker has refused an operation. Other codes
    /// are plain losses, such as 320, by which an operator closes connections.
    pub(crate) fn is_hard(&self) -> bool {
        matches!(self.code, 501..=506 | 530 | 540 | 541)
    }

    /// Returns whether the broker may have refused this method.
    pub(crate) fn may_be_over(&self, method: MethodId) -> bool {
        self.method.is_none_or(|named| named == method)
    }

    pub(crate) fn hard_close(&self) -> HardClose {
        let (class, method) = self.method.unwrap_or_default();
        HardClose::new(self.code, &*self.text, class, method)
    }
}

impl fmt::Display for ConnectionClose {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "the broker closed the connection: {} {}", self.code, self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hard_errors_are_those_of_amqp() {
        let hard = (0..1000).filter(|code| {
            ConnectionClose { code: *code, text: String::new(), method: None }.is_hard()
        });
        assert_eq!(hard.collect::<Vec<_>>(), [501, 502, 503, 504, 505, 506, 530, 540, 541]);
    }
}
