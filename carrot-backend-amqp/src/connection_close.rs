//! The broker's reason for closing the connection.

use carrot_core::backend::HardClose;

use crate::error::words;
use crate::frame::Method;

/// What connection.close says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConnectionClose {
    pub(crate) code: u16,
    pub(crate) text: String,
    /// The method that the broker refused, if it names one.
    pub(crate) method: Option<Method>,
}

impl ConnectionClose {
    /// Reads the payload of the frame, which begins with class and number of the method.
    pub(crate) fn parse(payload: &[u8]) -> Option<ConnectionClose> {
        let number = |bytes: &[u8], at: usize| {
            bytes.get(at..at + 2).and_then(|two| two.try_into().ok()).map(u16::from_be_bytes)
        };
        let code = number(payload, 4)?;
        let length = usize::from(*payload.get(6)?);
        let text = payload.get(7..7 + length)?;
        let rest = &payload[7 + length..];
        let method = (number(rest, 0)?, number(rest, 2)?);
        Some(ConnectionClose {
            code,
            text: words(&String::from_utf8_lossy(text)),
            method: Some(method).filter(|(class, _)| *class != 0),
        })
    }

    /// Whether AMQP calls it a hard error: the broker refused an operation. All else is a loss like any other, such as 320, by which an
    /// operator closes connections.
    pub(crate) fn is_hard(&self) -> bool {
        matches!(self.code, 501..=506 | 530 | 540 | 541)
    }

    /// Whether it may be this method that the broker refused.
    pub(crate) fn may_be_over(&self, method: Method) -> bool {
        self.method.is_none_or(|named| named == method)
    }

    pub(crate) fn hard_close(&self) -> HardClose {
        let (class, method) = self.method.unwrap_or_default();
        HardClose::new(self.code, &*self.text, class, method)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(class: u16, method: u16) -> Vec<u8> {
        [b"\0\x0a\0\x32\x02\x1d\x05WORDS", &class.to_be_bytes()[..], &method.to_be_bytes()].concat()
    }

    #[test]
    fn it_is_read_whole_or_not_at_all() {
        let whole = payload(60, 40);
        let expected = ConnectionClose { code: 541, text: "WORDS".into(), method: Some((60, 40)) };
        assert_eq!(ConnectionClose::parse(&whole), Some(expected));
        assert!((0..whole.len()).all(|length| ConnectionClose::parse(&whole[..length]).is_none()));
        assert_eq!(
            ConnectionClose::parse(&payload(0, 0)).map(|connection_close| connection_close.method),
            Some(None)
        );
        assert_eq!(
            ConnectionClose::parse(b"\0\x0a\0\x32\x02\x1d\x02\xff\xfe\0\0\0\0")
                .map(|connection_close| connection_close.text),
            Some("\u{fffd}\u{fffd}".into())
        );
    }

    #[test]
    fn hard_errors_are_those_of_amqp() {
        let hard = (0..1000).filter(|code| {
            ConnectionClose { code: *code, text: String::new(), method: None }.is_hard()
        });
        assert_eq!(hard.collect::<Vec<_>>(), [501, 502, 503, 504, 505, 506, 530, 540, 541]);
    }
}
