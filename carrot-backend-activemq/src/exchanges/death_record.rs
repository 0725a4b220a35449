//! Dead letters: discarded messages that go on, with a record of their death.

use carrot_core::backend::Content;
use carrot_core::{Headers, Value};
use carrot_routing::{CC, DeathRecord, copy_keys};

use crate::exchanges::death_mark::DeathMark;
use crate::exchanges::queue_rules::DeadLetterRoute;

/// The reason of every death here: a consumer has discarded the message.
const REASON: &str = "rejected";
/// The header with the records of all deaths.
const DEATHS: &str = "x-death";

/// A message on its way to a dead-letter exchange.
#[derive(Debug)]
pub(crate) struct SentLetter {
    pub(crate) content: Content,
    pub(crate) mark: DeathMark,
}

/// The headers about deaths that a letter has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LetterRecord {
    /// All of them.
    Whole,
    /// The header `x-death` with the latest death, without its routing keys.
    Latest,
    None,
}

impl SentLetter {
    /// Shortens the headers about deaths.
    pub(crate) fn with_record(self, record: LetterRecord) -> SentLetter {
        let SentLetter { mut content, mark } = self;
        if record == LetterRecord::Whole {
            return SentLetter { content, mark };
        }
        let mut headers = content.properties.headers().cloned().unwrap_or_default();
        let deaths = headers.remove(DEATHS);
        DeathRecord::remove_all(&mut headers);
        if let Some(Value::Array(deaths)) = deaths.filter(|_| record == LetterRecord::Latest) {
            let latest = deaths.into_iter().next().map(|mut death| {
                if let Value::Table(table) = &mut death {
                    table.remove("routing-keys");
                }
                death
            });
            headers.insert(DEATHS, Vec::from_iter(latest));
        }
        content.properties = content.properties.with_headers(headers);
        SentLetter { content, mark }
    }
}

/// Returns a discarded message as it leaves its queue: with a record of its death, without its
/// expiration, and for the dead-letter exchange.
///
/// The records in a message without a mark are those of a client, and do not count. `seconds` is
/// the time since the Unix epoch.
pub(crate) fn dead_letter(
    content: &Content,
    mark: DeathMark,
    queue: &str,
    route: &DeadLetterRoute,
    seconds: u64,
) -> SentLetter {
    let mut headers = content.properties.headers().cloned().unwrap_or_default();
    if mark == DeathMark::None {
        DeathRecord::remove_all(&mut headers);
    }
    let is_readdressed = mark == DeathMark::Readdressed;
    note_death(&mut headers, content, is_readdressed, queue, seconds);
    let content = Content {
        exchange: route.exchange.as_str().into(),
        routing_key: match &route.routing_key {
            Some(key) => key.as_str().into(),
            None => content.routing_key.clone(),
        },
        properties: content.properties.clone().without_expiration().with_headers(headers),
        body: content.body.clone(),
    };
    let is_readdressed = is_readdressed || route.routing_key.is_some();
    let mark = if is_readdressed { DeathMark::Readdressed } else { DeathMark::Died };
    SentLetter { content, mark }
}

/// Adds a record to the front of `x-death`. A record of the same queue and reason is counted up and
/// moved there instead.
fn note_death(
    headers: &mut Headers,
    content: &Content,
    is_readdressed: bool,
    queue: &str,
    seconds: u64,
) {
    let death = DeathRecord { queue, reason: REASON, exchange: &content.exchange };
    let deaths = match headers.remove(DEATHS) {
        Some(Value::Array(deaths)) => deaths,
        _ => {
            death.name(headers, "x-first-death");
            Vec::new()
        }
    };
    death.name(headers, "x-last-death");
    let deaths = death.count(deaths, || {
        let original = content.properties.headers().filter(|_| !is_readdressed);
        let copies = original.map(|headers| copy_keys(headers, CC)).unwrap_or_default();
        let keys = std::iter::once(content.routing_key.as_str()).chain(copies);
        death.first(seconds, keys, content.properties.expiration())
    });
    headers.insert(DEATHS, deaths);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

    use carrot_core::Properties;

    use super::*;

    fn route(routing_key: Option<&str>) -> DeadLetterRoute {
        DeadLetterRoute { exchange: "dead".into(), routing_key: routing_key.map(Into::into) }
    }

    fn deaths(content: &Content) -> Vec<Headers> {
        let deaths = content.properties.header("x-death").and_then(Value::as_array).unwrap();
        deaths.iter().filter_map(Value::as_table).cloned().collect()
    }

    fn count(death: &Headers) -> i64 {
        death.get("count").and_then(Value::as_i64).unwrap()
    }

    #[test]
    fn letter_is_for_the_dead_letter_exchange_and_does_not_expire() {
        let properties = Properties::new().with_expiration("50").with_header("mine", 1);
        let content = Content::new("events", "a.b", "x").with_properties(properties);
        let letter = dead_letter(&content, DeathMark::None, "q", &route(None), 7).content;
        assert_eq!((letter.exchange.as_str(), letter.routing_key.as_str()), ("dead", "a.b"));
        assert_eq!(letter.properties.expiration(), None);
        assert_eq!(letter.properties.header("mine"), Some(&Value::I32(1)));
        let death = &deaths(&letter)[0];
        assert_eq!(death.get("original-expiration"), Some(&Value::from("50")));
        assert_eq!(death.get("time"), Some(&Value::Timestamp(7)));
        let key =
            dead_letter(&content, DeathMark::None, "q", &route(Some("k")), 7).content.routing_key;
        assert_eq!(key.as_str(), "k");
    }

    #[test]
    fn equal_deaths_are_counted_and_others_added_in_front() {
        let content = Content::new("", "q", "x");
        let once = dead_letter(&content, DeathMark::None, "q", &route(None), 1).content;
        let twice = dead_letter(&once, DeathMark::Died, "q", &route(None), 2).content;
        assert_eq!(deaths(&twice).iter().map(count).collect::<Vec<_>>(), [2]);
        let elsewhere = dead_letter(&twice, DeathMark::Died, "other", &route(None), 3).content;
        assert_eq!(deaths(&elsewhere).iter().map(count).collect::<Vec<_>>(), [1, 2]);
        let name = |name| elsewhere.properties.header(name).and_then(Value::as_str);
        assert_eq!(name("x-first-death-queue"), Some("q"));
        assert_eq!(name("x-last-death-queue"), Some("other"));
    }

    #[test]
    fn record_is_shortened_in_steps() {
        let content = Content::new("events", "k", "x")
            .with_properties(Properties::new().with_header("mine", 1));
        let once = dead_letter(&content, DeathMark::None, "q", &route(None), 1).content;
        let letter =
            |record| dead_letter(&once, DeathMark::Died, "r", &route(None), 2).with_record(record);
        let whole = letter(LetterRecord::Whole).content;
        assert_eq!(deaths(&whole).len(), 2);
        let latest = letter(LetterRecord::Latest);
        assert_eq!(latest.mark, DeathMark::Died);
        let [death] = &deaths(&latest.content)[..] else { panic!("one death") };
        assert_eq!(death.get("queue"), Some(&Value::from("r")));
        assert_eq!(death.get("routing-keys"), None);
        assert_eq!(latest.content.properties.header("x-first-death-queue"), None);
        let none = letter(LetterRecord::None).content;
        let headers = none.properties.headers().unwrap();
        assert_eq!(headers.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["mine"]);
        assert_eq!((none.exchange.as_str(), none.body), ("dead", content.body));
    }

    #[test]
    fn records_of_clients_do_not_count() {
        let once =
            dead_letter(&Content::new("", "q", "x"), DeathMark::None, "q", &route(None), 1).content;
        let again = dead_letter(&once, DeathMark::None, "q", &route(None), 2).content;
        assert_eq!(deaths(&again).iter().map(count).collect::<Vec<_>>(), [1]);
    }
}
