//! Runs user code that may panic, without losing the calling thread.

use std::any::Any;
use std::error::Error as StdError;
use std::fmt::Display;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::escaping::{Printable, printable};

/// The maximum length of an error's text, in bytes.
const LONGEST_TEXT: usize = 1000;

/// Runs `work`. Returns the text of the panic if `work` panics.
pub(crate) fn guard<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let text = panic_text(&*panic);
        drop_guarded(panic);
        text
    })
}

/// Drops a value of the user. Logs a panic of its `Drop` instead of propagating the panic.
pub(crate) fn drop_guarded<T>(value: T) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(value))) {
        log::warn!("dropping a value of the program panicked: {}", panic_text(&*panic));
        // Dropping the payload could panic again, without end.
        mem::forget(panic);
    }
}

/// Returns the error and its sources as one line, escaped and cut. Survives a panicking `Display`.
pub(crate) fn describe(error: &dyn StdError) -> String {
    guard(|| printable(LONGEST_TEXT, Chain(error)))
        .unwrap_or_else(|panic| format!("an error whose Display panics ({panic})"))
}

/// Displays an error, followed by its sources.
struct Chain<'a>(&'a dyn StdError);

impl Display for Chain<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Display::fmt(self.0, formatter)?;
        let mut next = self.0.source();
        while let Some(source) = next {
            write!(formatter, ": {source}")?;
            next = source.source();
        }
        Ok(())
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("panic: {}", Printable::new(LONGEST_TEXT, text.unwrap_or("of an unknown kind")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

    use super::*;

    /// An error that panics when displayed and when dropped.
    #[derive(Debug)]
    struct PanicsOnDrop;

    impl Display for PanicsOnDrop {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            panic!("shown")
        }
    }

    impl StdError for PanicsOnDrop {}

    impl Drop for PanicsOnDrop {
        fn drop(&mut self) {
            panic!("dropped")
        }
    }

    #[test]
    fn a_panic_becomes_its_text() {
        assert_eq!(guard(|| 7), Ok(7));
        assert_eq!(guard(|| -> u32 { panic!("with {}", 3) }), Err("panic: with 3".to_string()));
        assert_eq!(
            guard(|| std::panic::panic_any(7)),
            Err("panic: panic: of an unknown kind".replacen("panic: ", "", 1))
        );
    }

    #[test]
    fn a_payload_that_panics_when_dropped_does_not_panic_the_caller() {
        assert!(
            guard(|| std::panic::panic_any(PanicsOnDrop)).unwrap_err().contains("unknown kind")
        );
    }

    #[test]
    fn an_error_whose_display_panics_is_described() {
        let panics_on_drop = mem::ManuallyDrop::new(PanicsOnDrop);
        assert!(describe(&*panics_on_drop).contains("shown"));
    }

    #[test]
    fn a_long_error_is_described_in_one_short_line() {
        let long =
            Box::<dyn StdError>::from(format!("first\u{1b}[31m\n{}", "x".repeat(10_000_000)));
        let text = describe(&*long);
        assert!(
            text.len() <= LONGEST_TEXT + 40 && text.starts_with("first\\u{1b}[31m\\n"),
            "{} bytes",
            text.len()
        );
    }
}
