//! The command in a terminal.

mod dumb;
mod progress;
mod tmux;
mod top;
