//! Serializes the definition of a consumer.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _, ser::Error as _};

use crate::backend::{Acknowledgement, ConsumeOptions};
use crate::codec::Codecs;
use crate::codec::compression::DEFAULT_MAX_INFLATED;
use crate::config::given::Given;
use crate::config::seconds::Seconds;
use crate::consumer::definition::ConsumerDefinition;
use crate::consumer::failure::{Afterwards, FailureSettings, Retry};
use crate::consumer::settings::{BoundExchange, ConsumerSettings};
use crate::consumer::stream_offset::StreamOffset;
use crate::error::{Error, Result};
use crate::model::{Exchange, Headers, Queue};
use crate::publish_layer::layer::LAYERS_ARE_CODE;

/// The settings to write. Tables follow all values, as in TOML.
#[derive(Serialize)]
struct WrittenConsumer<'a> {
    prefetch: u16,
    codecs: &'a Codecs,
    #[serde(skip_serializing_if = "is_false")]
    automatic_acknowledgement: bool,
    #[serde(skip_serializing_if = "is_false")]
    exclusive: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    give_up_after: Option<Seconds>,
    #[serde(skip_serializing_if = "is_false")]
    redeclare_if_deleted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_held_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_inflated_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    park: Option<&'a str>,
    #[serde(skip_serializing_if = "is_false")]
    discard_failed: bool,
    #[serde(skip_serializing_if = "is_false")]
    requeue_failed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pause_after_failures: Option<u32>,
    #[serde(rename = "stream_offset", skip_serializing_if = "Option::is_none")]
    stream_offset_word: Option<StreamOffset>,
    queue: &'a Queue,
    #[serde(skip_serializing_if = "Headers::is_empty")]
    arguments: &'a Headers,
    #[serde(rename = "stream_offset", skip_serializing_if = "Option::is_none")]
    stream_offset_table: Option<StreamOffset>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry: Option<&'a Retry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    park_with: Option<&'a Queue>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    exchanges: Vec<WrittenExchange<'a>>,
}

#[derive(Serialize)]
struct WrittenExchange<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    routing_keys: Vec<&'a str>,
    exchange: &'a Exchange,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    binding_arguments: Vec<&'a Headers>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadConsumer {
    queue: Queue,
    #[serde(default)]
    exchanges: Vec<ReadExchange>,
    prefetch: Option<u16>,
    #[serde(default)]
    automatic_acknowledgement: bool,
    #[serde(default)]
    exclusive: bool,
    priority: Option<i32>,
    #[serde(default)]
    arguments: Headers,
    give_up_after: Option<Given>,
    #[serde(default)]
    redeclare_if_deleted: bool,
    max_held_bytes: Option<u64>,
    max_inflated_bytes: Option<u64>,
    stream_offset: Option<StreamOffset>,
    retry: Option<Retry>,
    park: Option<String>,
    park_with: Option<Queue>,
    #[serde(default)]
    discard_failed: bool,
    #[serde(default)]
    requeue_failed: bool,
    pause_after_failures: Option<u32>,
    codecs: Option<Codecs>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadExchange {
    exchange: Exchange,
    #[serde(default)]
    routing_keys: Vec<String>,
    #[serde(default)]
    binding_arguments: Vec<Headers>,
}

fn is_false(value: &bool) -> bool {
    !value
}

impl Serialize for ConsumerDefinition {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let ConsumerSettings {
            options,
            codecs,
            give_up_after,
            redeclares,
            max_held_bytes,
            max_inflated_bytes,
            stream_offset,
            failures,
            layers,
            answer_layers: _,
            queue,
            sources,
        } = &self.settings;
        if !layers.is_empty() {
            return Err(S::Error::custom(LAYERS_ARE_CODE));
        }
        let FailureSettings { retry, afterwards, requeues, pause_after, on_undecodable } = failures;
        if on_undecodable.is_some() {
            return Err(S::Error::custom(
                "on_undecodable is a function of the program, and cannot be serialized",
            ));
        }
        let written = WrittenConsumer {
            prefetch: options.prefetch,
            codecs,
            automatic_acknowledgement: options.acknowledgement == Acknowledgement::Automatic,
            exclusive: options.exclusive,
            give_up_after: give_up_after.map(Seconds),
            redeclare_if_deleted: *redeclares,
            max_held_bytes: *max_held_bytes,
            max_inflated_bytes: Some(*max_inflated_bytes)
                .filter(|bytes| *bytes != DEFAULT_MAX_INFLATED),
            park: match afterwards {
                Some(Afterwards::ParkIn(name)) => Some(name),
                _ => None,
            },
            discard_failed: matches!(afterwards, Some(Afterwards::Discard)),
            requeue_failed: *requeues,
            pause_after_failures: *pause_after,
            queue,
            stream_offset_word: stream_offset.filter(|offset| offset.is_word()),
            stream_offset_table: stream_offset.filter(|offset| !offset.is_word()),
            arguments: &options.arguments,
            retry: retry.as_ref(),
            park_with: match afterwards {
                Some(Afterwards::ParkWith(queue)) => Some(queue),
                _ => None,
            },
            exchanges: sources.iter().map(WrittenExchange::new).collect(),
        };
        written.serialize(serializer)
    }
}

impl WrittenExchange<'_> {
    fn new(source: &BoundExchange) -> WrittenExchange<'_> {
        let (with_arguments, with_keys): (Vec<_>, Vec<_>) = source
            .bindings
            .iter()
            .partition(|(routing_key, arguments)| routing_key.is_empty() && !arguments.is_empty());
        WrittenExchange {
            routing_keys: with_keys.iter().map(|(routing_key, _)| &**routing_key).collect(),
            exchange: &source.exchange,
            binding_arguments: with_arguments.iter().map(|(_, arguments)| arguments).collect(),
        }
    }
}

impl<'de> Deserialize<'de> for ConsumerDefinition {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ConsumerDefinition, D::Error> {
        let settings = ReadConsumer::deserialize(deserializer)?
            .into_settings()
            .and_then(|settings| settings.validate().map(|()| settings))
            .map_err(D::Error::custom)?;
        Ok(ConsumerDefinition { connection: (), settings })
    }
}

impl ReadConsumer {
    fn into_settings(self) -> Result<ConsumerSettings> {
        let default = ConsumerSettings::new(self.queue);
        let mut arguments = self.arguments;
        if let Some(priority) = self.priority
            && arguments.insert("x-priority", priority).is_some()
        {
            return Err(Error::config("priority", "excludes the argument x-priority"));
        }
        let afterwards = match (self.park, self.park_with, self.discard_failed) {
            (None, None, false) => None,
            (Some(name), None, false) => Some(Afterwards::ParkIn(name)),
            (None, Some(queue), false) => Some(Afterwards::ParkWith(Box::new(queue))),
            (None, None, true) => Some(Afterwards::Discard),
            _ => {
                return Err(Error::config(
                    "park",
                    "at most one of park, park_with and discard_failed can be set",
                ));
            }
        };
        Ok(ConsumerSettings {
            options: ConsumeOptions {
                prefetch: self.prefetch.unwrap_or(default.options.prefetch),
                acknowledgement: if self.automatic_acknowledgement {
                    Acknowledgement::Automatic
                } else {
                    default.options.acknowledgement
                },
                exclusive: self.exclusive,
                arguments,
            },
            codecs: self.codecs.unwrap_or(default.codecs),
            give_up_after: self
                .give_up_after
                .map(|outage| outage.seconds("give_up_after"))
                .transpose()?,
            redeclares: self.redeclare_if_deleted,
            max_held_bytes: self.max_held_bytes,
            max_inflated_bytes: self.max_inflated_bytes.unwrap_or(default.max_inflated_bytes),
            stream_offset: self.stream_offset,
            failures: FailureSettings {
                retry: self.retry,
                afterwards,
                requeues: self.requeue_failed,
                pause_after: self.pause_after_failures,
                on_undecodable: None,
            },
            layers: default.layers,
            answer_layers: default.answer_layers,
            queue: default.queue,
            sources: self.exchanges.into_iter().map(ReadExchange::into_source).collect(),
        })
    }
}

impl ReadExchange {
    fn into_source(self) -> BoundExchange {
        let keys = self.routing_keys.into_iter().map(|key| (key, Headers::new()));
        let arguments =
            self.binding_arguments.into_iter().map(|arguments| (String::new(), arguments));
        BoundExchange { exchange: self.exchange, bindings: keys.chain(arguments).collect() }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use std::time::Duration;

    use super::*;
    use crate::codec::Codec;
    use crate::consumer::settlement::Settlement;
    use crate::model::{DelayedRetry, LeaderLocator, Timestamp};

    /// Returns the text of all settings, which have no equality.
    fn shown(definition: &ConsumerDefinition) -> String {
        format!("{:?}", definition.settings)
    }

    #[track_caller]
    fn assert_survives(definition: &ConsumerDefinition) {
        let json = serde_json::to_string(definition).unwrap();
        let read: ConsumerDefinition = serde_json::from_str(&json).unwrap();
        assert_eq!(shown(&read), shown(definition), "{json}");
        let toml = toml::to_string(definition).unwrap();
        let read: ConsumerDefinition = toml::from_str(&toml).unwrap();
        assert_eq!(shown(&read), shown(definition), "{toml}");
    }

    #[test]
    fn consumer_definition_survives_json_and_toml() {
        let new = || ConsumerDefinition::new("jobs");
        assert_survives(&new());
        assert_survives(&ConsumerDefinition::new(Queue::server_named()).exclusive());
        assert_survives(&new().automatic_acknowledgement().prefetch(1));
        assert_survives(&new().park("broken").retry(Retry::never()));
        assert_survives(&new().park_with(Queue::new("broken").max_length(10)));
        assert_survives(&new().discard_failed().pause_after_failures(3));
        assert_survives(&new().requeue_failed().redeclare_if_deleted());
        let stream = || ConsumerDefinition::new(Queue::new("events").stream());
        assert_survives(&stream().stream_offset(StreamOffset::First).prefetch(100));
        assert_survives(&stream().stream_offset(StreamOffset::Number(7)).discard_failed());
        assert_survives(&stream().stream_offset(StreamOffset::Timestamp(Timestamp(9))));
        let pauses = (Duration::from_secs(1), Duration::from_secs(9));
        assert_survives(&ConsumerDefinition::new(
            Queue::new("jobs")
                .quorum()
                .dead_letter_exchange("failed")
                .dead_letter_at_least_once()
                .leader_locator(LeaderLocator::Balanced)
                .delayed_retry(DelayedRetry::Failed, pauses.0, pauses.1)
                .initial_group_size(3)
                .without_delivery_limit(),
        ));
        assert_survives(
            &new()
                .exchange(Exchange::topic("prices"))
                .routing_key("usd.#")
                .routing_key("")
                .exchange(Exchange::headers("events"))
                .binding_arguments([("kind", "order")])
                .binding_arguments([("kind", "price")])
                .exchange("feed")
                .priority(5)
                .argument("x-other", 1)
                .give_up_after(Duration::from_millis(1500))
                .max_inflated_bytes(1 << 20)
                .codecs(Codecs::only(Codec::raw()).with(Codec::json())),
        );
    }

    #[test]
    fn consumer_definition_of_a_queue_is_the_default() {
        let read: ConsumerDefinition =
            serde_json::from_str(r#"{"queue": {"name": "jobs"}}"#).unwrap();
        assert_eq!(shown(&read), shown(&ConsumerDefinition::new("jobs")));
    }

    #[test]
    fn consumer_definition_has_a_field_for_every_setter() {
        let toml = r#"
            prefetch = 7
            codecs = ["text"]
            priority = 5
            exclusive = true
            give_up_after = 0.5
            max_inflated_bytes = 1000
            redeclare_if_deleted = true
            pause_after_failures = 3
            park = "broken"
            queue = { name = "jobs" }
            retry = { first = 2, longest = 4, attempts = 3, jitter = true }
            arguments = { x-other = 1 }

            [[exchanges]]
            exchange = { name = "prices", type = "topic" }
            routing_keys = ["usd.#", "*.usd"]

            [[exchanges]]
            exchange = { name = "events", type = "headers" }
            binding_arguments = [{ kind = "order" }]
        "#;
        let read: ConsumerDefinition = toml::from_str(toml).unwrap();
        let built = ConsumerDefinition::new("jobs")
            .exchange(Exchange::topic("prices"))
            .routing_key("usd.#")
            .routing_key("*.usd")
            .exchange(Exchange::headers("events"))
            .binding_arguments([("kind", "order")])
            .prefetch(7)
            .codecs(Codecs::only(Codec::text()))
            .argument("x-other", 1)
            .priority(5)
            .exclusive()
            .give_up_after(Duration::from_millis(500))
            .redeclare_if_deleted()
            .max_inflated_bytes(1000)
            .pause_after_failures(3)
            .park("broken")
            .retry(Retry::exponential(Duration::from_secs(2), Duration::from_secs(4)).attempts(3));
        assert_eq!(shown(&read), shown(&built));
    }

    #[test]
    fn invalid_consumer_definition_is_refused() {
        for (fields, named) in [
            (r#""prefecth": 1"#, "unknown field `prefecth`"),
            (r#""on_undecodable": null"#, "unknown field `on_undecodable`"),
            (r#""exchanges": [{"exchange": {"name": "e"}, "keys": []}]"#, "unknown field `keys`"),
            (r#""prefetch": 0"#, "prefetch"),
            (r#""give_up_after": "1m""#, "give_up_after: must be a number of seconds"),
            (r#""give_up_after": -1"#, "give_up_after: must be a number of seconds"),
            (r#""give_up_after": 1e300"#, "give_up_after: must be a number of seconds"),
            (r#""retry": {"attempts": 0}"#, "retry attempts"),
            (r#""retry": {}, "automatic_acknowledgement": true"#, "retry: needs manual"),
            (r#""requeue_failed": true, "discard_failed": true"#, "requeue_failed: excludes"),
            (r#""park": "a", "park_with": {"name": "a"}"#, "park: at most one"),
            (r#""park": "a", "discard_failed": true"#, "park: at most one"),
            (r#""park": "jobs""#, "parking queue"),
            (r#""pause_after_failures": 0"#, "pause_after_failures"),
            (r#""codecs": []"#, "needs a codec"),
            (r#""stream_offset": "middle""#, "stream_offset: must be"),
            (
                r#""stream_offset": "next", "arguments": {"x-stream-offset": 1}"#,
                "stream_offset: ex",
            ),
            (r#""stream_offset": {"interval": 0}"#, "stream_offset"),
            (r#""stream_offset": {"number": 9223372036854775808}"#, "stream_offset"),
            (
                r#""stream_offset": "next", "automatic_acknowledgement": true"#,
                "automatic_acknowledgement: not supported by streams",
            ),
            (r#""stream_offset": "next", "requeue_failed": true"#, "requeue_failed: not"),
            (r#""stream_offset": "next", "priority": 1"#, "priority: not"),
            (r#""stream_offset": "next", "max_held_bytes": 1"#, "max_held_bytes"),
            (r#""priority": 1, "arguments": {"x-priority": 2}"#, "priority: excludes"),
            (r#""exchanges": [{"exchange": {"name": ""}, "routing_keys": ["a"]}]"#, "routing key"),
        ] {
            let json = format!(r#"{{"queue": {{"name": "jobs"}}, {fields}}}"#);
            let error = serde_json::from_str::<ConsumerDefinition>(&json).unwrap_err();
            assert!(error.to_string().contains(named), "{json}: {error}");
        }
        let error = serde_json::from_str::<ConsumerDefinition>("{}").unwrap_err();
        assert!(error.to_string().contains("missing field `queue`"), "{error}");
    }

    #[test]
    fn delayed_retry_that_would_not_delay_or_would_drop_is_refused() {
        let of = |shortest, longest| {
            let (shortest, longest) =
                (Duration::from_millis(shortest), Duration::from_secs(longest));
            Queue::new("jobs").quorum().delayed_retry(DelayedRetry::All, shortest, longest)
        };
        let refusal = |queue: Queue, attempts| {
            let retry = Retry::default().attempts(attempts);
            match ConsumerDefinition::new(queue).retry(retry).settings.validate() {
                Err(Error::Invalid { field, .. }) => field.to_string(),
                other => format!("{other:?}"),
            }
        };
        assert_eq!(refusal(of(0, 9), 5), "delayed retry");
        assert_eq!(refusal(of(2000, 1), 5), "longest delayed retry");
        assert_eq!(refusal(of(1, 1), 21), "Ok(())");
        assert_eq!(refusal(of(1, 1), 22), "retry attempts");
        assert_eq!(refusal(of(1, 1).delivery_limit(3), 5), "retry attempts");
        assert_eq!(refusal(of(1, 1).delivery_limit(3), 4), "Ok(())");
        assert_eq!(refusal(of(1, 1).delivery_limit(3).dead_letter_exchange(""), 5), "Ok(())");
        assert_eq!(refusal(of(1, 1).without_delivery_limit(), 1000), "Ok(())");
    }

    #[test]
    fn refused_consumer_definition_has_the_error_of_build() {
        let built = ConsumerDefinition::new("jobs").requeue_failed().park("a").settings.validate();
        let json = r#"{"queue": {"name": "jobs"}, "requeue_failed": true, "park": "a"}"#;
        let read = serde_json::from_str::<ConsumerDefinition>(json);
        assert_eq!(read.unwrap_err().to_string(), built.unwrap_err().to_string());
    }

    #[test]
    fn function_of_the_program_is_not_serialized_and_is_named() {
        let definition =
            ConsumerDefinition::new("jobs").on_undecodable(|_, _| Ok(Settlement::Reject));
        let error = serde_json::to_string(&definition).unwrap_err().to_string();
        assert!(error.contains("on_undecodable"), "{error}");
    }
}
