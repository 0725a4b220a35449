//! The arguments of the command line.

use clap::{Parser, Subcommand};

use crate::broker_arguments::BrokerArguments;
use crate::commands::{
    bench, bind, completions, consume, count, declare, delete, doctor, list, move_arguments, peek,
    publish, purge, rpc, serve, top, topology,
};
use crate::exit::Result;

/// Publishes, consumes, looks at and moves the messages of a broker.
///
/// The URL of the broker comes from --url or from CARROT_URL. amqp:// and amqps:// reach RabbitMQ,
/// zmq:// and zmq+ipc:// a hosted broker of carrot. Listings come from RabbitMQ's management API,
/// whose URL --management or CARROT_MANAGEMENT names, or from the control interface of a hosted
/// broker, whose URL --control or CARROT_CONTROL names.
#[derive(Debug, Parser)]
#[command(name = "carrot", version, max_term_width = 100, after_help = AFTER_HELP)]
pub(crate) struct CommandLine {
    #[command(flatten)]
    broker: BrokerArguments,
    #[command(subcommand)]
    command: CarrotCommand,
}

const AFTER_HELP: &str = "\
First steps:
  carrot doctor                          can the broker be used?
  carrot declare queue jobs
  carrot publish -q jobs 'resize 7.png'
  carrot consume jobs
Without a broker: carrot serve --amqp 127.0.0.1:5672

Signals: Ctrl-C and SIGTERM end serve and top with exit code 0. publish, consume, peek, move, purge
and bench requeue messages that were taken and not finished. Other commands handle no signals.

Exit codes:
    0  everything was done
    1  another error
    2  the arguments or the input cannot be used
    3  the broker cannot be reached, or the connection was lost
    4  the broker refuses the credentials, or a permission is missing
    5  a queue or an exchange does not exist, or differs
    6  not every message was done: unroutable, refused, or its command failed
    7  the time limit passed
  130  interrupted by Ctrl-C or SIGTERM: publish, consume, peek, move, purge or bench";

#[derive(Debug, Subcommand)]
enum CarrotCommand {
    Publish(publish::PublishArguments),
    Consume(consume::ConsumeArguments),
    Peek(peek::PeekArguments),
    Move(move_arguments::MoveArguments),
    Purge(purge::PurgeArguments),
    Count(count::CountArguments),
    List(list::ListArguments),
    Top(top::TopArguments),
    Declare(declare::DeclareArguments),
    Delete(delete::DeleteArguments),
    Bind(bind::BindArguments),
    Unbind(bind::UnbindArguments),
    Topology(topology::TopologyArguments),
    Rpc(rpc::RpcArguments),
    Doctor(doctor::DoctorArguments),
    Bench(bench::BenchArguments),
    Serve(serve::ServeArguments),
    Completions(completions::CompletionsArguments),
    /// Prints the manual page, for man(1).
    Man,
}

impl CommandLine {
    pub(crate) fn run(&self) -> Result<()> {
        let broker = &self.broker;
        match &self.command {
            CarrotCommand::Publish(arguments) => arguments.run(broker),
            CarrotCommand::Consume(arguments) => arguments.run(broker),
            CarrotCommand::Peek(arguments) => arguments.run(broker),
            CarrotCommand::Move(arguments) => arguments.run(broker),
            CarrotCommand::Purge(arguments) => arguments.run(broker),
            CarrotCommand::Count(arguments) => arguments.run(broker),
            CarrotCommand::List(arguments) => arguments.run(broker),
            CarrotCommand::Top(arguments) => arguments.run(broker),
            CarrotCommand::Declare(arguments) => arguments.run(broker),
            CarrotCommand::Delete(arguments) => arguments.run(broker),
            CarrotCommand::Bind(arguments) => arguments.run(broker),
            CarrotCommand::Unbind(arguments) => arguments.run(broker),
            CarrotCommand::Topology(arguments) => arguments.run(broker),
            CarrotCommand::Rpc(arguments) => arguments.run(broker),
            CarrotCommand::Doctor(arguments) => arguments.run(broker),
            CarrotCommand::Bench(arguments) => arguments.run(broker),
            CarrotCommand::Serve(arguments) => arguments.run(),
            CarrotCommand::Completions(arguments) => arguments.run::<CommandLine>(),
            CarrotCommand::Man => completions::print_manual::<CommandLine>(),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::CommandLine;

    #[test]
    fn arguments_are_consistent() {
        CommandLine::command().debug_assert();
    }
}
