//! The command `carrot`, for operators of a broker.

mod arguments;
mod broker_arguments;
mod commands;
mod escaping;
mod exit;
mod input_lines;
mod interrupt;
mod management;
mod message_arguments;
mod message_record;
mod name_pattern;
mod printing;
mod progress;
mod queue_listing;

use std::process::ExitCode;

use clap::Parser;

use crate::arguments::CommandLine;

fn main() -> ExitCode {
    let arguments = CommandLine::parse();
    match arguments.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.print();
            failure.code()
        }
    }
}
