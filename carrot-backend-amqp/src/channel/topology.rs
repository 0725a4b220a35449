//! The methods that declare and delete; pure.

use carrot_amqp_wire::{
    Arguments, ExchangeBind, ExchangeDeclare, ExchangeDelete, ExchangeUnbind, Method, QueueBind,
    QueueDeclare, QueueDelete, QueuePurge, QueueUnbind,
};
use carrot_core::backend::{Declare, Delete};
use carrot_core::{Binding, Destination};

use crate::connection::calls::{self, Call};

/// Returns the call that declares an entity, and its method.
pub(crate) fn declare<'a>(entity: &'a Declare<'_>) -> (Call, Method<'a>) {
    match entity {
        Declare::Exchange(exchange) => {
            let call =
                if exchange.passive { calls::CHECK_EXCHANGE } else { calls::DECLARE_EXCHANGE };
            let declare = ExchangeDeclare {
                exchange: (&exchange.name).into(),
                kind: exchange.kind.as_str().into(),
                passive: exchange.passive,
                durable: exchange.durable,
                auto_delete: exchange.auto_delete,
                internal: exchange.internal,
                no_wait: false,
                arguments: Arguments::from(&exchange.arguments),
            };
            (call, declare.into())
        }
        Declare::Queue(queue) => {
            let declare = QueueDeclare {
                queue: (&queue.name).into(),
                passive: queue.passive,
                durable: queue.durable,
                exclusive: queue.exclusive,
                auto_delete: queue.auto_delete,
                no_wait: false,
                arguments: Arguments::from(&queue.arguments),
            };
            (calls::DECLARE_QUEUE, declare.into())
        }
        Declare::Binding(binding) => bind(binding),
    }
}

/// Returns the call that deletes an entity, and its method.
pub(crate) fn delete<'a>(entity: &'a Delete<'_>) -> (Call, Method<'a>) {
    match entity {
        Delete::Exchange { name, condition } => {
            let if_unused = condition.if_unused;
            let delete = ExchangeDelete { exchange: (*name).into(), if_unused, no_wait: false };
            (calls::DELETE_EXCHANGE, delete.into())
        }
        Delete::Queue { name, condition } => {
            let delete = QueueDelete {
                queue: (*name).into(),
                if_unused: condition.if_unused,
                if_empty: condition.if_empty,
                no_wait: false,
            };
            (calls::DELETE_QUEUE, delete.into())
        }
        Delete::Messages { queue } => {
            let purge = QueuePurge { queue: (*queue).into(), no_wait: false };
            (calls::PURGE_QUEUE, purge.into())
        }
        Delete::Binding(binding) => unbind(binding),
    }
}

fn bind(binding: &Binding) -> (Call, Method<'_>) {
    let (routing_key, arguments) =
        ((&binding.routing_key).into(), Arguments::from(&binding.arguments));
    match &binding.destination {
        Destination::Queue(queue) => {
            let bind = QueueBind {
                queue: queue.into(),
                exchange: (&binding.source).into(),
                routing_key,
                no_wait: false,
                arguments,
            };
            (calls::BIND_QUEUE, bind.into())
        }
        Destination::Exchange(destination) => {
            let bind = ExchangeBind {
                destination: destination.into(),
                source: (&binding.source).into(),
                routing_key,
                no_wait: false,
                arguments,
            };
            (calls::BIND_EXCHANGE, bind.into())
        }
    }
}

fn unbind(binding: &Binding) -> (Call, Method<'_>) {
    let (routing_key, arguments) =
        ((&binding.routing_key).into(), Arguments::from(&binding.arguments));
    match &binding.destination {
        Destination::Queue(queue) => {
            let unbind = QueueUnbind {
                queue: queue.into(),
                exchange: (&binding.source).into(),
                routing_key,
                arguments,
            };
            (calls::UNBIND_QUEUE, unbind.into())
        }
        Destination::Exchange(destination) => {
            let unbind = ExchangeUnbind {
                destination: destination.into(),
                source: (&binding.source).into(),
                routing_key,
                no_wait: false,
                arguments,
            };
            (calls::UNBIND_EXCHANGE, unbind.into())
        }
    }
}
