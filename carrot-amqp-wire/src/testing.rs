//! Random names, values, headers and properties for the tests of this crate.

use carrot_core::backend::ShortString;
use carrot_core::{Headers, Properties, Value};
use proptest::collection::vec;
use proptest::prelude::*;

/// The material for the fields of methods.
#[derive(Debug, Clone, Default)]
pub(crate) struct Material {
    numbers: Vec<u64>,
    strings: Vec<Vec<u8>>,
    headers: Headers,
}

/// Material, of which each field takes the next.
#[derive(Debug)]
pub(crate) struct Samples<'a> {
    material: &'a Material,
    taken: usize,
}

impl Material {
    pub(crate) fn samples(&self) -> Samples<'_> {
        Samples { material: self, taken: 0 }
    }
}

impl<'a> Samples<'a> {
    pub(crate) fn number(&mut self) -> u64 {
        self.taken += 1;
        let at = self.taken % self.material.numbers.len().max(1);
        self.material.numbers.get(at).copied().unwrap_or_default()
    }

    pub(crate) fn octets(&mut self) -> &'a [u8] {
        self.taken += 1;
        let at = self.taken % self.material.strings.len().max(1);
        self.material.strings.get(at).map(Vec::as_slice).unwrap_or_default()
    }

    pub(crate) fn headers(&mut self) -> &'a Headers {
        &self.material.headers
    }
}

/// Any material, with octets that need not be UTF-8.
pub(crate) fn material() -> impl Strategy<Value = Material> {
    (vec(any::<u64>(), 31..32), vec(octets(), 17..18), headers())
        .prop_map(|(numbers, strings, headers)| Material { numbers, strings, headers })
}

/// Material without tables, of short texts of letters.
pub(crate) fn plain_material() -> impl Strategy<Value = Material> {
    (vec(any::<u64>(), 31..32), vec("[a-z]{1,9}", 17..18)).prop_map(|(numbers, strings)| Material {
        numbers,
        strings: strings.into_iter().map(String::into_bytes).collect(),
        headers: Headers::new(),
    })
}

fn octets() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => "\\PC{0,20}".prop_map(String::into_bytes),
        1 => vec(any::<u8>(), 0..20),
        1 => vec(any::<u8>(), 255..256),
    ]
}

/// Any short string, octets that are not UTF-8 included.
pub(crate) fn short_string() -> impl Strategy<Value = ShortString> {
    octets().prop_map(|octets| ShortString::from_octets(&octets))
}

/// Any short string that is UTF-8.
pub(crate) fn text() -> impl Strategy<Value = String> {
    prop_oneof![8 => "\\PC{0,20}", 1 => "[a-z]{255}"]
}

/// Any value, with names of `name`. Numbers are finite, because NaN differs from itself.
fn value(name: BoxedStrategy<ShortString>) -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Void),
        any::<bool>().prop_map(Value::Bool),
        any::<i8>().prop_map(Value::I8),
        any::<u8>().prop_map(Value::U8),
        any::<i16>().prop_map(Value::I16),
        any::<u16>().prop_map(Value::U16),
        any::<i32>().prop_map(Value::I32),
        any::<u32>().prop_map(Value::U32),
        any::<i64>().prop_map(Value::I64),
        (-1e30_f32..1e30).prop_map(Value::F32),
        (-1e300_f64..1e300).prop_map(Value::F64),
        (any::<u8>(), any::<i32>()).prop_map(|(scale, value)| Value::Decimal { scale, value }),
        "\\PC{0,40}".prop_map(Value::String),
        vec(any::<u8>(), 0..40).prop_map(Value::Bytes),
        any::<u64>().prop_map(Value::Timestamp),
    ];
    leaf.prop_recursive(5, 40, 6, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::Array),
            vec((name.clone(), inner), 0..6)
                .prop_map(|pairs| Value::Table(pairs.into_iter().collect())),
        ]
    })
}

/// Any headers, with names that need not be UTF-8.
pub(crate) fn headers() -> impl Strategy<Value = Headers> {
    let name = || short_string().boxed();
    vec((name(), value(name())), 0..8).prop_map(|pairs| pairs.into_iter().collect())
}

type Setter = fn(Properties, ShortString) -> Properties;

/// Any properties whose strings are made by `string`, and whose headers are made by `headers`.
pub(crate) fn properties<S: Into<ShortString> + std::fmt::Debug>(
    string: impl Strategy<Value = S>,
    headers: impl Strategy<Value = Headers>,
) -> impl Strategy<Value = Properties> {
    const SETTERS: [Setter; 10] = [
        Properties::with_content_type,
        Properties::with_content_encoding,
        Properties::with_correlation_id,
        Properties::with_reply_to,
        Properties::with_expiration,
        Properties::with_message_id,
        Properties::with_kind,
        Properties::with_user_id,
        Properties::with_app_id,
        Properties::with_cluster_id,
    ];
    let strings = vec(proptest::option::of(string), SETTERS.len());
    let option = proptest::option::of::<proptest::arbitrary::StrategyFor<u64>>;
    let numbers = (option(any::<u64>()), option(any::<u64>()), option(any::<u64>()));
    (strings, proptest::option::of(headers), numbers).prop_map(|(strings, headers, numbers)| {
        let mut properties = Properties::new();
        for (set, string) in SETTERS.iter().zip(strings) {
            if let Some(string) = string {
                properties = set(properties, string.into());
            }
        }
        if let Some(headers) = headers {
            properties = properties.with_headers(headers);
        }
        let (mode, priority, timestamp) = numbers;
        if let Some(mode) = mode {
            properties = properties.with_delivery_mode((mode as u8).into());
        }
        if let Some(priority) = priority {
            properties = properties.with_priority(priority as u8);
        }
        if let Some(timestamp) = timestamp {
            properties = properties.with_timestamp(timestamp);
        }
        properties
    })
}
