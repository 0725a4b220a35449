//! A message that is printed.

use carrot::backend::Content;

use crate::escaping;
use crate::exit::{CommandFailure, Result};
use crate::message_record::MessageRecord;
use crate::printing::print_line;

/// Prints a message on lines of its own, or as one line of JSON.
pub(crate) fn print_message(content: &Content, redelivered: bool, json: bool) -> Result<()> {
    if json {
        let mut record = MessageRecord::of_content(content);
        record.redelivered = redelivered;
        return print_line(&record.line()?);
    }
    let redelivered = if redelivered { ", redelivered" } else { "" };
    let exchange = match content.exchange.as_str() {
        "" => "the default exchange".to_string(),
        name => format!("exchange {}", escaping::text(name)),
    };
    print_line(&format!(
        "{exchange}, routing key {}, {} bytes{redelivered}",
        escaping::text(&content.routing_key),
        content.body.len()
    ))?;
    let properties = serde_json::to_string(&content.properties)
        .map_err(|error| CommandFailure::other(error.to_string()))?;
    if properties != "{}" {
        print_line(&format!("  {}", escaping::json(&properties)))?;
    }
    print_line(&format!("  {}", escaping::octets(&content.body)))
}

/// Prints why a message cannot be read whole.
pub(super) fn note_unreadable(reason: &str, id: Option<&str>) {
    note!("carrot: a message cannot be read whole: {reason}, message id {}", id.unwrap_or("-"));
}
