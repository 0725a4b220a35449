//! The abilities of a terminal.

use std::io::IsTerminal;

/// Returns whether an output is a terminal that can do more than print lines. `TERM` names no such
/// terminal if it is empty, missing or `dumb`. Windows has no such variable.
pub(crate) fn can_be_drawn_on(output: &impl IsTerminal) -> bool {
    let is_capable = cfg!(windows)
        || std::env::var_os("TERM").is_some_and(|term| !term.is_empty() && term != "dumb");
    is_capable && output.is_terminal()
}
