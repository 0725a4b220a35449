//! The class channel (AMQP 0-9-1 1.5).

use crate::strings::{LongStr, ShortStr};

method_fields! {
    /// Opens the channel (`channel.open`). All fields are reserved.
    ChannelOpen [ShortStr<'_>] {}

    /// Answers `channel.open` (`channel.open-ok`). All fields are reserved.
    ChannelOpenOk [LongStr<'_>] {}

    /// Asks the peer to pause or resume content (`channel.flow`).
    ChannelFlow {
        /// Whether the peer may send content.
        active: bool,
    }

    /// Confirms `channel.flow` (`channel.flow-ok`).
    ChannelFlowOk {
        /// Whether the sender of this method sends content.
        active: bool,
    }

    /// Closes the channel (`channel.close`). After this, only `channel.close-ok` may follow.
    ChannelClose<'a> {
        /// The reason, as a number. 200 is an orderly end.
        reply_code: u16,
        /// The reason, in words.
        reply_text: ShortStr<'a>,
        /// The class of the method that caused the close, or 0.
        class_id: u16,
        /// The number of the method that caused the close, or 0.
        method_id: u16,
    }
}
