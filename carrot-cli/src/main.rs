//! The command `carrot`, for operators of a broker.

#[macro_use]
mod printing;

mod arguments;
mod attended;
mod broker_arguments;
mod commands;
mod control;
mod escaping;
mod exit;
mod http;
mod input_lines;
mod inspection;
mod inspection_arguments;
mod interrupt;
mod management;
mod message_arguments;
mod message_record;
mod name_pattern;
mod pending_confirms;
mod plain_json;
mod progress;
mod queue_listing;
mod secret_file;
mod terminal;

use std::process::ExitCode;

use clap::Parser;

use crate::arguments::CommandLine;

fn main() -> ExitCode {
    let arguments = match CommandLine::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return exit::print_usage_error(&error),
    };
    match arguments.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.print();
            failure.code()
        }
    }
}
