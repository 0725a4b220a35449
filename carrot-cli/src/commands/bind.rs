//! `carrot bind` and `carrot unbind`.

use carrot::Binding;
use clap::Args;

use crate::broker_arguments::BrokerArguments;
use crate::exit::Result;
use crate::message_arguments::{NamedValue, named_value};

/// Binds a queue, or an exchange, to an exchange.
#[derive(Debug, Args)]
pub(crate) struct BindArguments {
    #[command(flatten)]
    binding: BindingArguments,
}

/// Deletes a binding.
#[derive(Debug, Args)]
pub(crate) struct UnbindArguments {
    #[command(flatten)]
    binding: BindingArguments,
}

#[derive(Debug, Args)]
struct BindingArguments {
    /// Exchange that messages are published to
    source: String,
    /// Queue that receives the matching messages
    destination: String,
    /// The destination is an exchange
    #[arg(long)]
    to_exchange: bool,
    /// Routing key, or pattern of a topic exchange
    #[arg(long, short = 'k', default_value = "", hide_default_value = true)]
    routing_key: String,
    /// Argument of the binding: NAME=TEXT, or NAME:=JSON
    #[arg(long = "argument", value_name = "NAME=VALUE", value_parser = named_value)]
    arguments: Vec<NamedValue>,
}

impl BindingArguments {
    fn binding(&self) -> Binding {
        let BindingArguments { source, destination, routing_key, .. } = self;
        let binding = if self.to_exchange {
            Binding::exchange(source, destination, routing_key)
        } else {
            Binding::queue(source, destination, routing_key)
        };
        let add = |binding: Binding, argument: &NamedValue| {
            binding.argument(argument.name.as_str(), argument.value.clone())
        };
        self.arguments.iter().fold(binding, add)
    }
}

impl BindArguments {
    pub(crate) fn run(&self, broker: &BrokerArguments) -> Result<()> {
        Ok(broker.connect()?.bind(&self.binding.binding())?)
    }
}

impl UnbindArguments {
    pub(crate) fn run(&self, broker: &BrokerArguments) -> Result<()> {
        Ok(broker.connect()?.unbind(&self.binding.binding())?)
    }
}
