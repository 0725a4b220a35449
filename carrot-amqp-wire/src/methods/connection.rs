//! The class connection (AMQP 0-9-1 1.4).

use crate::arguments::Arguments;
use crate::strings::{LongStr, SecretStr, ShortStr};

method_fields! {
    /// Begins the handshake (`connection.start`). The broker sends this first.
    ConnectionStart<'a> {
        /// The major version of the protocol, which is 0.
        version_major: u8,
        /// The minor version of the protocol, which is 9.
        version_minor: u8,
        /// The properties of the broker, with its `capabilities`.
        server_properties: Arguments<'a>,
        /// The names of the authentication mechanisms, separated by spaces.
        mechanisms: LongStr<'a>,
        /// The names of the locales, separated by spaces.
        locales: LongStr<'a>,
    }

    /// Selects the authentication (`connection.start-ok`).
    ConnectionStartOk<'a> {
        /// The properties of the client, with its `capabilities`.
        client_properties: Arguments<'a>,
        /// The name of the authentication mechanism.
        mechanism: ShortStr<'a>,
        /// The credentials, in the form of the mechanism.
        response: SecretStr<'a>,
        /// The locale of reply texts.
        locale: ShortStr<'a>,
    }

    /// Asks for another round of authentication (`connection.secure`).
    ConnectionSecure<'a> {
        /// The challenge, in the form of the mechanism.
        challenge: SecretStr<'a>,
    }

    /// Answers `connection.secure` (`connection.secure-ok`).
    ConnectionSecureOk<'a> {
        /// The response, in the form of the mechanism.
        response: SecretStr<'a>,
    }

    /// Proposes limits (`connection.tune`).
    ConnectionTune {
        /// The maximum number of channels; 0 for no limit.
        channel_max: u16,
        /// The maximum size of a frame, in bytes; 0 for no limit.
        frame_max: u32,
        /// The heartbeat interval, in seconds; 0 for no heartbeats.
        heartbeat: u16,
    }

    /// Decides the limits (`connection.tune-ok`).
    ConnectionTuneOk {
        /// The maximum number of channels; 0 for no limit.
        channel_max: u16,
        /// The maximum size of a frame, in bytes; 0 for no limit.
        frame_max: u32,
        /// The heartbeat interval, in seconds; 0 for no heartbeats.
        heartbeat: u16,
    }

    /// Opens a virtual host (`connection.open`).
    ConnectionOpen<'a> {
        /// The name of the virtual host.
        virtual_host: ShortStr<'a>,
    } [ShortStr<'_>, bool]

    /// Answers `connection.open` (`connection.open-ok`). All fields are reserved.
    ConnectionOpenOk [ShortStr<'_>] {}

    /// Closes the connection (`connection.close`). After this, only `connection.close-ok` may
    /// follow.
    ConnectionClose<'a> {
        /// The reason, as a number. 200 is an orderly end.
        reply_code: u16,
        /// The reason, in words.
        reply_text: ShortStr<'a>,
        /// The class of the method that caused the close, or 0.
        class_id: u16,
        /// The number of the method that caused the close, or 0.
        method_id: u16,
    }

    /// Reports that the broker reads no more publications (`connection.blocked`, an extension of
    /// RabbitMQ).
    ConnectionBlocked<'a> {
        /// The alarm that is the reason.
        reason: ShortStr<'a>,
    }

    /// Replaces the credentials of an open connection (`connection.update-secret`, an extension of
    /// RabbitMQ).
    ConnectionUpdateSecret<'a> {
        /// The new password or token.
        new_secret: SecretStr<'a>,
        /// The reason, which the broker logs.
        reason: ShortStr<'a>,
    }
}
