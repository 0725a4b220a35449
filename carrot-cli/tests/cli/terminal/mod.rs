//! The command in a terminal.

mod progress;
mod tmux;
mod top;
