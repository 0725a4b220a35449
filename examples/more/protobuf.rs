//! Protocol Buffers over a `Format`, with the crate `prost`. The structs are written by hand and
//! need no `protoc`; other languages read the bodies with the schema below.
//!
//! ```text
//! cargo run -p carrot-more-examples --example protobuf
//! ```
//!
//! ```protobuf
//! message Order {
//!   uint64 id = 1;
//!   string customer = 2;
//!   repeated Line lines = 3;
//! }
//!
//! message Line {
//!   string article = 1;
//!   uint32 quantity = 2;
//! }
//! ```

use std::error::Error;
use std::fmt;
use std::marker::PhantomData;

use carrot::Codec;
use carrot::codec::{BodyReader, Codecs, Encodable, Format, FormatError};
use carrot::topology::DeleteIf;
use prost::Message;
use serde::de::value::BytesDeserializer;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

const QUEUE: &str = "example-protobuf";

#[derive(Clone, PartialEq, Message)]
struct Order {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(string, tag = "2")]
    customer: String,
    #[prost(message, repeated, tag = "3")]
    lines: Vec<Line>,
}

#[derive(Clone, PartialEq, Message)]
struct Line {
    #[prost(string, tag = "1")]
    article: String,
    #[prost(uint32, tag = "2")]
    quantity: u32,
}

/// A message of Protocol Buffers, as a value of serde: its bytes.
///
/// prost limits the nesting of a message to 100 levels, and takes no memory for lengths beyond the
/// end of the body.
#[derive(Debug, PartialEq)]
struct Protobuf<M>(M);

impl<M: Message> Serialize for Protobuf<M> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0.encode_to_vec())
    }
}

impl<'de, M: Message + Default> Deserialize<'de> for Protobuf<M> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Protobuf<M>, D::Error> {
        struct Visitor<M>(PhantomData<M>);

        impl<M: Message + Default> serde::de::Visitor<'_> for Visitor<M> {
            type Value = Protobuf<M>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a message of Protocol Buffers")
            }

            fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Protobuf<M>, E> {
                M::decode(bytes).map(Protobuf).map_err(E::custom)
            }
        }

        deserializer.deserialize_bytes(Visitor(PhantomData))
    }
}

/// Bodies of Protocol Buffers. The raw codec encodes the bytes of a [`Protobuf`].
#[derive(Debug)]
struct ProtobufFormat;

impl Format for ProtobufFormat {
    fn content_type(&self) -> &str {
        "application/x-protobuf"
    }

    fn content_encoding(&self) -> Option<&str> {
        Some("binary")
    }

    fn encode(&self, value: Encodable<'_>) -> Result<Vec<u8>, FormatError> {
        Ok(Codec::raw().encode(&value)?)
    }

    fn decode(&self, body: &[u8], reader: BodyReader<'_>) -> Result<(), FormatError> {
        reader.read(BytesDeserializer::<serde::de::value::Error>::new(body))?;
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("CARROT_URL").unwrap_or_else(|_| "memory://".into());
    let connection = carrot::connect(url)?;
    let consumer =
        connection.consumer(QUEUE).codecs(Codecs::default().with(ProtobufFormat)).build()?;
    let publisher = connection.publisher().queue(QUEUE).codec(ProtobufFormat).build()?;

    let lines = vec![
        Line { article: "a carrot".into(), quantity: 12 },
        Line { article: "a rabbit".into(), quantity: 1 },
    ];
    let order = Protobuf(Order { id: 17, customer: "Zo\u{eb}".into(), lines });
    publisher.send(&order)?;
    // A field whose length exceeds the body.
    publisher
        .message()
        .properties(|properties| properties.with_content_type("application/x-protobuf"))
        .send_bytes(b"\x12\xff\xff\xff\xff\x0fZ")?;

    for message in consumer.fetch_all() {
        let message = message?;
        match message.decode::<Protobuf<Order>>() {
            Ok(received) => {
                assert_eq!(received, order);
                println!("{} bytes: {:?}", message.body().len(), received.0);
                message.ack()?;
            }
            Err(error) => {
                let cause = error.source().map(ToString::to_string).unwrap_or_default();
                println!("refused: {error}: {cause}");
                message.reject()?;
            }
        }
    }
    connection.delete_queue(QUEUE, DeleteIf::ALWAYS)?;
    connection.close()?;
    Ok(())
}
