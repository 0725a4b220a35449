/// The result of an action.
#[derive(Default)]
pub(super) struct ActionResult {
    pub(super) lines: Vec<String>,
    /// Whether the action may have moved messages. Consumers and queues then have to be observed.
    pub(super) may_move_messages: bool,
    /// The index of a lazy consumer, and the largest number of deliveries to receive.
    pub(super) receive: Option<(usize, u8)>,
}

impl ActionResult {
    /// Creates the result of an action without an effect.
    pub(super) fn nothing(reason: &str) -> ActionResult {
        ActionResult { lines: vec![reason.to_string()], ..ActionResult::default() }
    }

    /// Creates the result of an action that may have moved messages.
    pub(super) fn moved(lines: Vec<String>) -> ActionResult {
        ActionResult { lines, may_move_messages: true, receive: None }
    }
}
