//! The methods of a channel, except those of exchanges and queues.

use carrot_amqp_wire::{
    AccessRequestOk, BasicCancelOk, BasicConsume, BasicGet, BasicGetEmpty, BasicQos, ChannelFlowOk,
    ConfirmSelect, Method,
};
use carrot_backend_memory::session::ConsumeSettings;
use carrot_core::backend::{DeliveryTag, Extent, Rejection};

use crate::channel::{PeerChannel, text};
use crate::close::Close;

impl PeerChannel<'_> {
    /// Handles a method.
    pub(crate) fn handle(&self, method: &Method<'_>) -> Result<(), Close> {
        match method {
            Method::BasicAck(ack) => {
                self.check(self.broker.ack(DeliveryTag(ack.delivery_tag), extent(ack.multiple)))
            }
            Method::BasicNack(nack) => {
                let rejection = if nack.requeue { Rejection::Requeue } else { Rejection::Discard };
                let tag = DeliveryTag(nack.delivery_tag);
                self.check(self.broker.reject(tag, rejection, extent(nack.multiple)))
            }
            Method::BasicReject(reject) => {
                let rejection =
                    if reject.requeue { Rejection::RequeueFailed } else { Rejection::Discard };
                let tag = DeliveryTag(reject.delivery_tag);
                self.check(self.broker.reject(tag, rejection, Extent::One))
            }
            Method::BasicGet(get) => self.get(get),
            Method::BasicConsume(consume) => self.consume(consume),
            Method::BasicCancel(cancel) => {
                let tag = text(cancel.consumer_tag)?;
                self.check(self.broker.cancel(tag.as_bytes()))?;
                let consumer_tag = cancel.consumer_tag;
                self.reply_unless(cancel.no_wait, BasicCancelOk { consumer_tag });
                Ok(())
            }
            Method::BasicQos(qos) => self.set_prefetch(qos),
            Method::BasicRecover(recover) => {
                self.recover(recover.requeue)?;
                self.reply(Method::BasicRecoverOk);
                Ok(())
            }
            Method::BasicRecoverAsync(recover) => self.recover(recover.requeue),
            Method::ConfirmSelect(ConfirmSelect { no_wait }) => {
                self.check(self.broker.select_confirms())?;
                self.reply_unless(*no_wait, Method::ConfirmSelectOk);
                Ok(())
            }
            Method::TxSelect => {
                self.check(self.broker.select_transactions())?;
                self.reply(Method::TxSelectOk);
                Ok(())
            }
            Method::TxCommit => {
                let committed = self.broker.commit();
                self.check(match self.output.failure() {
                    Some(error) => Err(error.clone()),
                    None => committed,
                })?;
                self.reply(Method::TxCommitOk);
                Ok(())
            }
            Method::TxRollback => {
                self.check(self.broker.roll_back())?;
                self.reply(Method::TxRollbackOk);
                Ok(())
            }
            Method::ChannelFlow(flow) => {
                if !flow.active {
                    return Err(Close::not_implemented("active=false"));
                }
                self.reply(ChannelFlowOk { active: true });
                Ok(())
            }
            // RabbitMQ answers every request of AMQP 0-8 with this ticket.
            Method::AccessRequest(_) => {
                self.reply(AccessRequestOk { ticket: 1 });
                Ok(())
            }
            method => self.handle_topology(method),
        }
    }

    fn get(&self, get: &BasicGet<'_>) -> Result<(), Close> {
        if !self.check(self.broker.get(text(get.queue)?, get.no_ack))? {
            self.reply(BasicGetEmpty::default());
        }
        Ok(())
    }

    fn consume(&self, consume: &BasicConsume<'_>) -> Result<(), Close> {
        let settings = ConsumeSettings::default()
            .with_no_ack(consume.no_ack)
            .with_exclusive(consume.exclusive)
            .with_arguments(consume.arguments.to_headers());
        let (queue, tag) = (text(consume.queue)?, text(consume.consumer_tag)?);
        self.output.set_quiet(consume.no_wait);
        self.check(self.broker.consume(queue, tag, settings))
    }

    fn set_prefetch(&self, qos: &BasicQos) -> Result<(), Close> {
        if qos.prefetch_size != 0 {
            let reason = format!("prefetch_size!=0 ({})", qos.prefetch_size);
            return Err(Close::not_implemented(&reason));
        }
        match qos.global {
            true => self.broker.set_channel_prefetch(qos.prefetch_count),
            false => self.broker.set_consumer_prefetch(qos.prefetch_count),
        }
        self.reply(Method::BasicQosOk);
        Ok(())
    }

    fn recover(&self, requeue: bool) -> Result<(), Close> {
        if !requeue {
            return Err(Close::not_implemented("requeue=false"));
        }
        self.check(self.broker.recover())
    }
}

fn extent(multiple: bool) -> Extent {
    if multiple { Extent::UpTo } else { Extent::One }
}
