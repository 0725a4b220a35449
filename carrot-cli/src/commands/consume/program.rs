//! The program that gets each message.

use std::io::Write;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use carrot::Message;

use crate::exit::{CommandFailure, Result};
use crate::interrupt::Interrupt;

/// How long the signal that has ended a program may take to arrive here.
const SIGNAL: Duration = Duration::from_millis(200);

/// A program that gets each body as its standard input.
pub(super) struct MessageProgram<'a> {
    pub(super) program: &'a str,
    pub(super) arguments: &'a [String],
}

impl MessageProgram<'_> {
    /// Starts the program, and waits for its end. Returns whether it has handled the message.
    pub(super) fn handle(&self, message: &Message, interrupt: &Interrupt) -> Result<bool> {
        let MessageProgram { program, arguments } = *self;
        let properties = message.properties();
        let mut child = Command::new(program)
            .args(arguments)
            .env("CARROT_ROUTING_KEY", message.routing_key().replace('\0', ""))
            .env("CARROT_EXCHANGE", message.exchange().replace('\0', ""))
            .env("CARROT_MESSAGE_ID", message.id().unwrap_or_default().replace('\0', ""))
            .env(
                "CARROT_CONTENT_TYPE",
                properties.content_type().unwrap_or_default().replace('\0', ""),
            )
            .env("CARROT_REDELIVERED", if message.is_redelivered() { "1" } else { "0" })
            .stdin(Stdio::piped())
            .spawn()
            .map_err(|error| CommandFailure::input(format!("{program}: {error}")))?;
        let written = match child.stdin.take() {
            Some(mut input) => input.write_all(message.body()),
            None => Ok(()),
        };
        let status = child.wait()?;
        // A command may end without reading everything.
        let written = written.or_else(|error| match error.kind() {
            std::io::ErrorKind::BrokenPipe => Ok(()),
            _ => Err(error),
        });
        if status.success() && written.is_ok() {
            return Ok(true);
        }
        if was_interrupted(status) {
            interrupt.wait(SIGNAL);
        }
        if interrupt.is_wanted() {
            return Ok(false);
        }
        note!("carrot: {program} ended with {status}, message id {}", message.id().unwrap_or("-"));
        Ok(false)
    }
}

/// Whether SIGINT or SIGTERM has ended a program, or a shell reports so.
#[cfg(unix)]
fn was_interrupted(status: ExitStatus) -> bool {
    use std::os::unix::process::ExitStatusExt;
    matches!(status.signal(), Some(2 | 15)) || matches!(status.code(), Some(130 | 143))
}

#[cfg(not(unix))]
fn was_interrupted(_: ExitStatus) -> bool {
    true
}
