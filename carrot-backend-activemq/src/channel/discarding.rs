//! Discarded messages, which go to the dead-letter exchange of their queue.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use carrot_core::backend::Content;

use crate::channel::channel_core::{ChannelCore, SessionState, UnsettledMessage};
use crate::channel::fetching::DeliveryOrigin;
use crate::channel::routing::RouteOrigin;
use crate::channel::unsent_letter::UnsentLetter;
use crate::content::{MessageTerms, queue_name, to_message};
use crate::exchanges::death_mark::DeathMark;
use crate::exchanges::death_record::{SentLetter, dead_letter};
use crate::exchanges::queue_rules::BrokerQueueRules;
use crate::wire::setup_commands::TransactionInfo;

impl ChannelCore {
    /// Returns a delivery as a dead letter; `None` if its queue has no dead-letter exchange.
    pub(crate) fn letter_of(
        &self,
        origin: &DeliveryOrigin,
        content: &Arc<Content>,
        mark: DeathMark,
    ) -> Option<UnsentLetter> {
        let queue = queue_name::name_of(&origin.destination)?.to_string();
        let table = self.link.table.known_table();
        let route = BrokerQueueRules::stored(table.queues.get(&queue)?).dead_letters?;
        Some(UnsentLetter { content: Arc::clone(content), mark, queue, route: Arc::new(route) })
    }

    /// Consumes messages, and sends those of queues with a dead-letter exchange on.
    pub(crate) fn discard(&self, state: &mut SessionState, held: Vec<UnsettledMessage>) {
        for held in held {
            let letter = held.letter.clone().filter(|_| !held.is_gone);
            match letter.map(|letter| self.letter_routes(&letter)) {
                Some((letter, routes)) if !routes.is_empty() => {
                    self.send_letter(&letter, routes, &held);
                    self.close_if_unused(state, &held);
                }
                _ => self.consumed(state, vec![held]),
            }
        }
    }

    /// Returns a dead letter, and its queues as they are known.
    fn letter_routes(&self, letter: &UnsentLetter) -> (Content, Vec<MessageTerms>) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let UnsentLetter { content, mark, queue, route } = letter;
        let SentLetter { content: sent, mark } = dead_letter(content, *mark, queue, route, now);
        let routes =
            self.route_by(&self.link.table.known_table(), &sent, RouteOrigin::Broker(mark));
        let routes = routes.unwrap_or_else(|error| {
            log::debug!("dead-lettering failed: queue={queue:?} {error}, the message is lost");
            Vec::new()
        });
        let marked = routes.into_iter().map(|terms| MessageTerms { mark, ..terms }).collect();
        (sent, marked)
    }

    /// Sends a dead letter and consumes the message, in one transaction. The broker answers its
    /// end; an error ends the channel.
    fn send_letter(&self, letter: &Content, routes: Vec<MessageTerms>, held: &UnsettledMessage) {
        let transaction = self.new_transaction();
        self.link.send(self.step(&transaction, TransactionInfo::BEGIN));
        for terms in routes {
            match to_message(letter, terms) {
                Ok(message) => {
                    let message = self.numbered(message, Some(&transaction), false);
                    // A connection that is lost returns the message.
                    let _ = self.link.send_message(self.link.message_frame(message), None);
                }
                Err(error) => {
                    log::warn!("dead-lettering failed: {error}, the message is lost");
                }
            }
        }
        let ack = self.acknowledge_in(&transaction, held.slot, &held.destination, &held.message);
        self.link.send(ack);
        let commit = self.step(&transaction, TransactionInfo::COMMIT);
        let _ = self.link.send_for_settlement(commit, self.linked(), transaction);
    }
}
