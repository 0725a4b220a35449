//! Sends dead letters on to the next queues.

use std::sync::Arc;

use carrot_core::backend::ShortString;

use crate::broker::BrokerShared;
use crate::queue::dead_letter::DeadLetter;
use crate::queue::memory::size_of_properties;
use crate::routing::route::PublishOrigin;

/// How many dead letters may follow from one another before one of them is dropped. RabbitMQ misses
/// some cycles, and then never stops.
const MOST_GENERATIONS: u32 = 5000;

/// The largest properties of a dead letter, in bytes. Each queue adds a record to `x-death`, with
/// all routing keys. Clients lose their connection over larger properties.
const LARGEST_PROPERTIES: usize = 8 << 20;

impl BrokerShared {
    /// Sends all dead letters on, with those that follow from them. On return, all have arrived.
    ///
    /// The caller has locked no queue and no channel.
    pub(crate) fn send_dead_letters(&self) {
        let outbox = &self.context.dead_letters;
        if outbox.is_empty() {
            return;
        }
        // A logger may be slow, or call the broker, so the losses are logged after the locks.
        let mut losses = Vec::new();
        outbox.send_all(|letter, generation| {
            if generation < MOST_GENERATIONS {
                self.send_dead_letter(letter, &mut losses);
            } else {
                losses.push(DeadLetterLoss::EndlessCycle { queue: Arc::clone(&letter.queue) });
            }
        });
        self.context.idle.notify();
        losses.iter().for_each(DeadLetterLoss::log);
    }

    fn send_dead_letter(&self, letter: &DeadLetter, losses: &mut Vec<DeadLetterLoss>) {
        let Some(exchange) = &letter.rules.dead_letter_exchange else { return };
        let mut message = letter.readdress(exchange, self.clock().timestamp(), self.rules());
        let bytes = size_of_properties(&message.content.properties);
        if bytes > LARGEST_PROPERTIES {
            losses.push(DeadLetterLoss::TooLarge { queue: Arc::clone(&letter.queue), bytes });
            return;
        }
        let topology = self.topology();
        let Ok(routes) = topology.route(&message, PublishOrigin::Broker) else {
            losses.push(DeadLetterLoss::NoExchange {
                queue: Arc::clone(&letter.queue),
                exchange: exchange.clone(),
            });
            return;
        };
        self.replies.deliver(&routes, &message, &self.rules().replies);
        message.count_in(&self.context.memory, routes.iter().count());
        for queue in routes.iter() {
            if letter.may_enter(&queue.name, &message) {
                queue.enqueue(message.clone(), None);
            } else {
                losses.push(DeadLetterLoss::Cycle { queue: Arc::clone(&queue.name) });
            }
        }
    }
}

/// Why a dead letter is lost.
enum DeadLetterLoss {
    NoExchange { queue: Arc<str>, exchange: ShortString },
    Cycle { queue: Arc<str> },
    EndlessCycle { queue: Arc<str> },
    TooLarge { queue: Arc<str>, bytes: usize },
}

impl DeadLetterLoss {
    fn log(&self) {
        match self {
            DeadLetterLoss::NoExchange { queue, exchange } => log::debug!(
                "dead-lettering failed: queue={queue:?} exchange={exchange:?} does not exist, the \
                 message is lost"
            ),
            DeadLetterLoss::Cycle { queue } => log::debug!(
                "dead-lettering failed: queue={queue:?} is part of a cycle without a rejection, \
                 the message is dropped"
            ),
            DeadLetterLoss::EndlessCycle { queue } => log::warn!(
                "dead-lettering failed: queue={queue:?} is part of an endless cycle, the message \
                 is dropped"
            ),
            DeadLetterLoss::TooLarge { queue, bytes } => log::warn!(
                "dead-lettering failed: queue={queue:?} properties have {bytes} bytes, and the \
                 limit is {LARGEST_PROPERTIES}, the message is dropped"
            ),
        }
    }
}
