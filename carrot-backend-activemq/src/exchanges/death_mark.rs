/// Whether a message is a dead letter of this backend. A property of the message has the mark, and
/// no header of a program becomes that property.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum DeathMark {
    /// A client has sent the message.
    #[default]
    None,
    /// The message is a dead letter.
    Died,
    /// The message is a dead letter with another routing key. Its copies are not routed again.
    Readdressed,
}

impl DeathMark {
    /// Returns the mark as a number; `None` for a message without one.
    pub(crate) fn number(self) -> Option<i8> {
        match self {
            DeathMark::None => None,
            DeathMark::Died => Some(1),
            DeathMark::Readdressed => Some(2),
        }
    }

    pub(crate) fn of_number(number: Option<i64>) -> DeathMark {
        match number {
            Some(1) => DeathMark::Died,
            Some(2) => DeathMark::Readdressed,
            _ => DeathMark::None,
        }
    }
}
