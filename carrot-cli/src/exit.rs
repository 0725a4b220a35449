//! Failures, and the exit codes that they end with.

use std::fmt;
use std::io::Write;
use std::process::ExitCode;

use carrot::Error;

use crate::escaping;
use crate::terminal::can_be_drawn_on;

pub(crate) type Result<T> = std::result::Result<T, CommandFailure>;

/// Why a command did not do everything. Displays its text escaped.
#[derive(Debug)]
pub(crate) struct CommandFailure {
    code: u8,
    text: String,
}

impl CommandFailure {
    /// An error of the arguments or of the input.
    pub(crate) fn input(text: impl Into<String>) -> CommandFailure {
        CommandFailure { code: 2, text: text.into() }
    }

    /// The broker cannot be reached.
    pub(crate) fn unreachable(text: impl Into<String>) -> CommandFailure {
        CommandFailure { code: 3, text: text.into() }
    }

    /// The broker refuses the credentials, or a permission is missing.
    pub(crate) fn refused(text: impl Into<String>) -> CommandFailure {
        CommandFailure { code: 4, text: text.into() }
    }

    /// A queue, an exchange or a binding is missing or differs.
    pub(crate) fn different(text: impl Into<String>) -> CommandFailure {
        CommandFailure { code: 5, text: text.into() }
    }

    /// Some messages were not done.
    pub(crate) fn not_all(text: impl Into<String>) -> CommandFailure {
        CommandFailure { code: 6, text: text.into() }
    }

    /// A time limit of the user passed.
    pub(crate) fn late(text: impl Into<String>) -> CommandFailure {
        CommandFailure { code: 7, text: text.into() }
    }

    /// The user ended the command.
    pub(crate) fn interrupted(text: impl Into<String>) -> CommandFailure {
        CommandFailure { code: 130, text: text.into() }
    }

    pub(crate) fn other(text: impl Into<String>) -> CommandFailure {
        CommandFailure { code: 1, text: text.into() }
    }

    /// Returns the failure with another text.
    pub(crate) fn with_text(self, text: impl Into<String>) -> CommandFailure {
        CommandFailure { text: text.into(), ..self }
    }

    /// Returns the failure with the number of the line that it is about, if the line is wrong.
    pub(crate) fn in_line(self, number: u64) -> CommandFailure {
        match self.code {
            2 => CommandFailure { text: format!("line {number} of the input: {self}"), ..self },
            _ => self,
        }
    }

    pub(crate) fn code(&self) -> ExitCode {
        ExitCode::from(self.code)
    }

    /// Prints the failure to the standard error output.
    pub(crate) fn print(&self) {
        // A failure to print it changes nothing.
        let _ = writeln!(std::io::stderr().lock(), "carrot: {self}");
    }
}

/// Prints the text of clap: the help, or the error of an argument. The text has no colours if the
/// terminal knows none, or if they would be those of an argument.
pub(crate) fn print_usage_error(error: &clap::Error) -> ExitCode {
    let text = error.render().to_string();
    let escaped = escaping::lines(&text);
    let (mut output, has_colours): (Box<dyn Write>, _) = match error.use_stderr() {
        true => (Box::new(std::io::stderr()), can_be_drawn_on(&std::io::stderr())),
        false => (Box::new(std::io::stdout()), can_be_drawn_on(&std::io::stdout())),
    };
    // A failure to print it changes nothing.
    let _ = match has_colours && escaped == text {
        true => error.print(),
        false => write!(output, "{escaped}"),
    };
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(1))
}

impl fmt::Display for CommandFailure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&escaping::text(&self.text))
    }
}

impl From<Error> for CommandFailure {
    fn from(error: Error) -> CommandFailure {
        let code = match &error {
            Error::Config { .. } | Error::Invalid { .. } => 2,
            Error::Connect { .. } | Error::Disconnected { .. } | Error::Stale { .. } => 3,
            Error::Authentication { .. } | Error::AccessRefused { .. } => 4,
            Error::NotFound { .. } | Error::PreconditionFailed { .. } => 5,
            Error::Unroutable { .. } | Error::Refused | Error::Batch { .. } => 6,
            Error::Timeout { .. } => 7,
            _ => 1,
        };
        CommandFailure { code, text: error.to_string() }
    }
}

impl From<std::io::Error> for CommandFailure {
    fn from(error: std::io::Error) -> CommandFailure {
        CommandFailure::other(error.to_string())
    }
}
