//! The methods of exchanges and queues.

use carrot_amqp_wire::{
    ExchangeDeclare, Method, QueueDeclare, QueueDeclareOk, QueueDeleteOk, QueuePurgeOk,
};
use carrot_core::backend::{Declare, Delete, DeleteIf};
use carrot_core::{Binding, Exchange, ExchangeKind, Queue};

use crate::channel::{PeerChannel, text};
use crate::close::Close;

impl PeerChannel<'_> {
    /// Handles a method of an exchange or a queue. Other methods are for clients only.
    pub(crate) fn handle_topology(&self, method: &Method<'_>) -> Result<(), Close> {
        match method {
            Method::ExchangeDeclare(declare) => self.declare_exchange(declare),
            Method::ExchangeDelete(delete) => {
                let mut condition = DeleteIf::ALWAYS;
                condition.if_unused = delete.if_unused;
                let name = text(delete.exchange)?;
                self.check(self.broker.delete(Delete::Exchange { name, condition }))?;
                self.reply_unless(delete.no_wait, Method::ExchangeDeleteOk);
                Ok(())
            }
            Method::ExchangeBind(bind) => {
                let (source, destination) = (text(bind.source)?, text(bind.destination)?);
                let mut binding = Binding::exchange(source, destination, text(bind.routing_key)?);
                binding.arguments = bind.arguments.to_headers();
                self.check(self.broker.declare(Declare::Binding(&binding)))?;
                self.reply_unless(bind.no_wait, Method::ExchangeBindOk);
                Ok(())
            }
            Method::ExchangeUnbind(unbind) => {
                let (source, destination) = (text(unbind.source)?, text(unbind.destination)?);
                let mut binding = Binding::exchange(source, destination, text(unbind.routing_key)?);
                binding.arguments = unbind.arguments.to_headers();
                self.check(self.broker.delete(Delete::Binding(&binding)))?;
                self.reply_unless(unbind.no_wait, Method::ExchangeUnbindOk);
                Ok(())
            }
            Method::QueueDeclare(declare) => self.declare_queue(declare),
            Method::QueueBind(bind) => {
                let (exchange, queue) = (text(bind.exchange)?, text(bind.queue)?);
                let mut binding = Binding::queue(exchange, queue, text(bind.routing_key)?);
                binding.arguments = bind.arguments.to_headers();
                self.check(self.broker.declare(Declare::Binding(&binding)))?;
                self.reply_unless(bind.no_wait, Method::QueueBindOk);
                Ok(())
            }
            Method::QueueUnbind(unbind) => {
                let (exchange, queue) = (text(unbind.exchange)?, text(unbind.queue)?);
                let mut binding = Binding::queue(exchange, queue, text(unbind.routing_key)?);
                binding.arguments = unbind.arguments.to_headers();
                self.check(self.broker.delete(Delete::Binding(&binding)))?;
                self.reply(Method::QueueUnbindOk);
                Ok(())
            }
            Method::QueuePurge(purge) => {
                let queue = text(purge.queue)?;
                let deleted = self.check(self.broker.delete(Delete::Messages { queue }))?;
                let message_count = deleted.message_count;
                self.reply_unless(purge.no_wait, QueuePurgeOk { message_count });
                Ok(())
            }
            Method::QueueDelete(delete) => {
                let mut condition = DeleteIf::ALWAYS;
                condition.if_unused = delete.if_unused;
                condition.if_empty = delete.if_empty;
                let name = text(delete.queue)?;
                self.output.hold_cancels();
                let deleted = self.check(self.broker.delete(Delete::Queue { name, condition }));
                if let Ok(deleted) = &deleted {
                    let message_count = deleted.message_count;
                    self.reply_unless(delete.no_wait, QueueDeleteOk { message_count });
                }
                self.output.release_cancels();
                deleted.map(drop)
            }
            _ => Err(Close::unimplemented_method()),
        }
    }

    fn declare_exchange(&self, declare: &ExchangeDeclare<'_>) -> Result<(), Close> {
        let kind = ExchangeKind::from(text(declare.kind)?);
        let mut exchange = Exchange::new(text(declare.exchange)?, kind);
        exchange.passive = declare.passive;
        exchange.durable = declare.durable;
        exchange.auto_delete = declare.auto_delete;
        exchange.internal = declare.internal;
        exchange.arguments = declare.arguments.to_headers();
        self.check(self.broker.declare(Declare::Exchange(&exchange)))?;
        self.reply_unless(declare.no_wait, Method::ExchangeDeclareOk);
        Ok(())
    }

    fn declare_queue(&self, declare: &QueueDeclare<'_>) -> Result<(), Close> {
        let mut queue = Queue::new(text(declare.queue)?);
        queue.passive = declare.passive;
        queue.durable = declare.durable;
        queue.exclusive = declare.exclusive;
        queue.auto_delete = declare.auto_delete;
        queue.arguments = declare.arguments.to_headers();
        let info = self.check(self.broker.declare(Declare::Queue(&queue)))?;
        let declared = QueueDeclareOk {
            queue: (&info.name).into(),
            message_count: info.message_count,
            consumer_count: info.consumer_count,
        };
        self.reply_unless(declare.no_wait, declared);
        Ok(())
    }
}
