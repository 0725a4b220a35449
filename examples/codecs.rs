//! Codecs: JSON, bincode for small and fast bodies, and a codec of the program. The content type
//! travels with each message and selects the decoder.

use std::error::Error;

use carrot::topology::DeleteIf;
use carrot::{
    Codec,
    codec::{BodyReader, Codecs, Encodable, Format, FormatError},
};
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Reading {
    sensor: u16,
    celsius: f32,
}

/// JSON with line breaks and indentation.
#[derive(Debug)]
struct PrettyJson;

impl Format for PrettyJson {
    fn content_type(&self) -> &str {
        "application/x-pretty-json"
    }

    fn content_encoding(&self) -> Option<&str> {
        Some("utf-8")
    }

    fn encode(&self, value: Encodable<'_>) -> Result<Vec<u8>, FormatError> {
        Ok(serde_json::to_vec_pretty(&value)?)
    }

    fn decode(&self, body: &[u8], reader: BodyReader<'_>) -> Result<(), FormatError> {
        let mut deserializer = serde_json::Deserializer::from_slice(body);
        reader.read(&mut deserializer)?;
        Ok(deserializer.end()?)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("CARROT_URL").unwrap_or_else(|_| "memory://".into());
    let connection = carrot::connect(url)?;
    let consumer = connection
        .consumer("codecs")
        .codecs(Codecs::default().with(Codec::bincode()).with(PrettyJson))
        .build()?;

    let reading = Reading { sensor: 7, celsius: 21.5 };
    for codec in [Codec::json(), Codec::bincode(), Codec::new(PrettyJson)] {
        let publisher = connection.publisher().routing_key("codecs").codec(codec).build()?;
        publisher.send(&reading)?;
    }
    for message in consumer.fetch_all() {
        let message = message?;
        let content_type = message.properties().content_type().unwrap_or_default();
        println!(
            "{content_type:26} {:3} bytes  {:?}",
            message.body().len(),
            message.decode::<Reading>()?
        );
        assert_eq!(message.decode::<Reading>()?, reading);
        message.ack()?;
    }

    let strict = connection.consumer("codecs").build()?; // does not accept bincode
    connection.publisher().routing_key("codecs").codec(Codec::bincode()).build()?.send(&reading)?;
    if let Some(message) = strict.fetch()? {
        if let Err(error) = message.decode::<Reading>() {
            println!("refused: {error}");
        }
        message.reject()?;
    }
    connection.delete_queue("codecs", DeleteIf::ALWAYS)?;
    connection.close()?;
    Ok(())
}
