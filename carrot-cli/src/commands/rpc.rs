//! `carrot rpc`.

use std::time::Duration;

use carrot::Error;
use clap::Args;

use crate::broker_arguments::{BrokerArguments, seconds};
use crate::escaping;
use crate::exit::{CommandFailure, Result};
use crate::message_arguments::{BodyArguments, PropertyArguments};
use crate::message_record::MessageRecord;
use crate::printing::print_line;

/// Sends a request, and prints the answer.
#[derive(Debug, Args)]
pub(crate) struct RpcArguments {
    /// Queue of the servers
    queue: String,
    #[command(flatten)]
    body: BodyArguments,
    #[command(flatten)]
    properties: PropertyArguments,
    /// Seconds to wait for the answer
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    wait: Duration,
}

impl RpcArguments {
    pub(crate) fn run(&self, broker: &BrokerArguments) -> Result<()> {
        let options = broker.options()?;
        let body = self.body.read(options.max_message_size)?;
        let caller = carrot::connect(options)?.caller(&self.queue).build()?;
        let properties = |properties| self.properties.apply(properties);
        let answer = caller.request().properties(properties).call_bytes(body, self.wait);
        match answer {
            Ok(answer) if broker.json => {
                print_line(&MessageRecord::of_content(answer.content()).line()?)
            }
            Ok(answer) => print_line(&match answer.text() {
                Some(text) => octets_of_lines(text),
                None => escaping::octets(answer.body()),
            }),
            Err(Error::Timeout { .. }) => {
                Err(CommandFailure::late(format!("no answer came within {:?}", self.wait)))
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Escapes a body of several lines.
fn octets_of_lines(text: &str) -> String {
    let lines = text.split('\n').map(|line| escaping::octets(line.as_bytes()));
    lines.collect::<Vec<_>>().join("\n")
}
