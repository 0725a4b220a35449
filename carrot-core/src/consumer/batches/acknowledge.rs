use std::ptr;
use std::sync::Arc;

use crate::backend::{Backend, DeliveryTag};
use crate::consumer::message::Message;
use crate::error::Result;

/// The messages of one channel.
struct OnChannel {
    channel: Arc<dyn Backend>,
    tags: Vec<DeliveryTag>,
    messages: Vec<Message>,
}

/// Acknowledges these messages, and no others: those that follow each other as one. Returns the
/// number of messages that could not be acknowledged, because their channel was lost.
pub(super) fn acknowledge_all(messages: Vec<Message>) -> (u64, Result<()>) {
    let mut channels: Vec<OnChannel> = Vec::new();
    for mut message in messages {
        let Some((channel, tag)) = message.begin_ack() else { continue };
        let same = channels
            .iter_mut()
            .find(|same| ptr::addr_eq(Arc::as_ptr(&same.channel), Arc::as_ptr(&channel)));
        match same {
            Some(same) => {
                same.tags.push(tag);
                same.messages.push(message);
            }
            None => {
                channels.push(OnChannel { channel, tags: vec![tag], messages: vec![message] });
            }
        }
    }
    let (mut lost, mut result) = (0, Ok(()));
    for OnChannel { channel, tags, messages } in channels {
        match channel.ack_all(&tags) {
            Ok(()) => messages.iter().for_each(Message::note_settled),
            Err(error) => {
                lost += messages.len() as u64;
                result = result.and(Err(error));
            }
        }
    }
    (lost, result)
}
