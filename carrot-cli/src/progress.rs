//! Progress on the standard error output, if that is a terminal.

use std::fmt::Write;

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

use crate::terminal::can_be_drawn_on;

/// Returns a line for messages about what is done now.
pub(crate) fn line() -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {elapsed} {wide_msg}");
    styled(ProgressBar::new_spinner(), style.ok())
}

/// Returns a bar for this number of messages.
pub(crate) fn bar(messages: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} {rate}, {eta} left");
    let rate = |state: &ProgressState, text: &mut dyn Write| {
        let _ = write!(text, "{:.0}/s", state.per_sec());
    };
    styled(ProgressBar::new(messages), style.ok().map(|style| style.with_key("rate", rate)))
}

fn styled(progress: ProgressBar, style: Option<ProgressStyle>) -> ProgressBar {
    match style {
        Some(style) if can_be_drawn_on(&std::io::stderr()) => progress.with_style(style),
        _ => ProgressBar::hidden(),
    }
}
