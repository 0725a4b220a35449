//! Decodes any body with any content type. A body is decoded or refused, and a decoded value is
//! equal after another round trip.
#![no_main]

use std::collections::BTreeMap;
use std::fmt::Debug;

use carrot_core::{Codec, Codecs, Compression, Error};
use libfuzzer_sys::fuzz_target;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
struct FuzzOrder {
    id: u64,
    customer: String,
    lines: Vec<FuzzOrderLine>,
    note: Option<String>,
    price: f64,
}

#[derive(Debug, Serialize, Deserialize)]
enum FuzzOrderLine {
    Item { sku: String, quantity: i32 },
    Gift(bool),
    Blank,
}

fuzz_target!(|data: &[u8]| {
    let mut parts = data.splitn(3, |byte| *byte == b'\n');
    let mut text = || parts.next().and_then(|part| std::str::from_utf8(part).ok());
    let (content_type, content_encoding) = (text(), text());
    let body = parts.next().unwrap_or(data);
    let codecs = Codecs::default().with(Codec::bincode());
    match codecs.find(content_type, content_encoding) {
        Ok(codec) => decode_all(codec, body),
        Err(error) => assert!(matches!(error, Error::ContentType { .. }), "{error:?}"),
    }
    for codec in [
        Codec::json(),
        Codec::text(),
        Codec::raw(),
        Codec::bincode(),
        Codec::bincode_with_limit(u64::MAX),
        Codec::message_pack(),
        Codec::raw().compressed(Compression::gzip()),
        Codec::raw().compressed(Compression::zlib()),
        Codec::raw().compressed(Compression::zstd()),
        Codec::raw().compressed(Compression::bzip2()),
        Codec::raw().compressed(Compression::brotli()),
    ] {
        decode_all(&codec, body);
    }
    assert_eq!(Codec::raw().decode::<Vec<u8>>(body).expect("the raw codec decodes any bytes"), body);
});

fn decode_all(codec: &Codec, body: &[u8]) {
    decode::<FuzzOrder>(codec, body);
    decode::<Vec<String>>(codec, body);
    decode::<BTreeMap<String, Vec<u8>>>(codec, body);
    decode::<Vec<[u64; 32]>>(codec, body);
    decode::<(i8, u16, char, Option<bool>, ())>(codec, body);
    decode::<String>(codec, body);
    if codec.content_type() == "application/json" {
        decode::<serde_json::Value>(codec, body);
    }
}

fn decode<T: DeserializeOwned + Serialize + Debug>(codec: &Codec, body: &[u8]) {
    match codec.decode::<T>(body) {
        // The text and raw codecs encode only text and bytes.
        Ok(value) if ["application/json", "application/x-bincode", "application/x-msgpack"].contains(&codec.content_type()) => {
            let again = codec.encode(&value).unwrap_or_else(|error| panic!("{value:?}: {error}"));
            let again = codec.decode::<T>(&again).unwrap_or_else(|error| panic!("{value:?}: {error}"));
            assert_eq!(format!("{again:?}"), format!("{value:?}"));
        }
        Ok(_) => {}
        Err(error @ Error::Inflate { .. }) => assert!(!error.to_string().contains("panic"), "{error}"),
        Err(error) => assert!(matches!(error, Error::Decode { .. } | Error::TooLarge { .. }), "{error:?}"),
    }
}
