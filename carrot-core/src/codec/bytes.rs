//! Serde for values that are bytes, and nothing else.

use std::fmt::Display;

use serde::de::{self, DeserializeOwned, Deserializer, Visitor, value::SeqDeserializer};
use serde::ser::{self, Impossible, Serialize, SerializeSeq, SerializeTuple, Serializer};

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct BytesError(String);

impl ser::Error for BytesError {
    fn custom<T: Display>(message: T) -> BytesError {
        BytesError(message.to_string())
    }
}

impl de::Error for BytesError {
    fn custom<T: Display>(message: T) -> BytesError {
        BytesError(message.to_string())
    }
}

pub(super) fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, BytesError> {
    value.serialize(Whole)
}

pub(super) fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, BytesError> {
    T::deserialize(BodyDeserializer(body))
}

fn not_bytes<T>() -> Result<T, BytesError> {
    Err(BytesError("the value is neither bytes nor text".into()))
}

macro_rules! refuse {
    ($($method:ident($($type:ty),*);)*) => {$(
        fn $method(self, $(_: $type),*) -> Result<Self::Ok, BytesError> {
            not_bytes()
        }
    )*};
}

macro_rules! refuse_all_but_bytes {
    () => {
        type SerializeTupleStruct = Impossible<Self::Ok, BytesError>;
        type SerializeTupleVariant = Impossible<Self::Ok, BytesError>;
        type SerializeMap = Impossible<Self::Ok, BytesError>;
        type SerializeStruct = Impossible<Self::Ok, BytesError>;
        type SerializeStructVariant = Impossible<Self::Ok, BytesError>;

        refuse! {
            serialize_bool(bool);
            serialize_i8(i8);
            serialize_i16(i16);
            serialize_i32(i32);
            serialize_i64(i64);
            serialize_u16(u16);
            serialize_u32(u32);
            serialize_u64(u64);
            serialize_f32(f32);
            serialize_f64(f64);
            serialize_char(char);
            serialize_none();
            serialize_unit();
            serialize_unit_struct(&'static str);
            serialize_unit_variant(&'static str, u32, &'static str);
        }

        fn serialize_some<T: Serialize + ?Sized>(self, _: &T) -> Result<Self::Ok, BytesError> {
            not_bytes()
        }

        fn serialize_newtype_struct<T: Serialize + ?Sized>(
            self,
            _: &'static str,
            value: &T,
        ) -> Result<Self::Ok, BytesError> {
            value.serialize(self)
        }

        fn serialize_newtype_variant<T: Serialize + ?Sized>(
            self,
            _: &'static str,
            _: u32,
            _: &'static str,
            _: &T,
        ) -> Result<Self::Ok, BytesError> {
            not_bytes()
        }

        fn serialize_tuple_struct(
            self,
            _: &'static str,
            _: usize,
        ) -> Result<Self::SerializeTupleStruct, BytesError> {
            not_bytes()
        }

        fn serialize_tuple_variant(
            self,
            _: &'static str,
            _: u32,
            _: &'static str,
            _: usize,
        ) -> Result<Self::SerializeTupleVariant, BytesError> {
            not_bytes()
        }

        fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, BytesError> {
            not_bytes()
        }

        fn serialize_struct(
            self,
            _: &'static str,
            _: usize,
        ) -> Result<Self::SerializeStruct, BytesError> {
            not_bytes()
        }

        fn serialize_struct_variant(
            self,
            _: &'static str,
            _: u32,
            _: &'static str,
            _: usize,
        ) -> Result<Self::SerializeStructVariant, BytesError> {
            not_bytes()
        }
    };
}

/// Serialises a whole value: bytes, text, or a list of bytes.
struct Whole;

impl Serializer for Whole {
    type Ok = Vec<u8>;
    type Error = BytesError;
    type SerializeSeq = List;
    type SerializeTuple = List;

    refuse_all_but_bytes!();
    refuse!(serialize_u8(u8););

    fn serialize_str(self, text: &str) -> Result<Vec<u8>, BytesError> {
        Ok(text.as_bytes().to_vec())
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Result<Vec<u8>, BytesError> {
        Ok(bytes.to_vec())
    }

    fn serialize_seq(self, length: Option<usize>) -> Result<List, BytesError> {
        Ok(List(Vec::with_capacity(length.unwrap_or_default())))
    }

    fn serialize_tuple(self, length: usize) -> Result<List, BytesError> {
        self.serialize_seq(Some(length))
    }
}

struct List(Vec<u8>);

impl SerializeSeq for List {
    type Ok = Vec<u8>;
    type Error = BytesError;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), BytesError> {
        self.0.push(value.serialize(Element)?);
        Ok(())
    }

    fn end(self) -> Result<Vec<u8>, BytesError> {
        Ok(self.0)
    }
}

impl SerializeTuple for List {
    type Ok = Vec<u8>;
    type Error = BytesError;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), BytesError> {
        SerializeSeq::serialize_element(self, value)
    }

    fn end(self) -> Result<Vec<u8>, BytesError> {
        Ok(self.0)
    }
}

/// Serialises one element of a list: a byte.
struct Element;

impl Serializer for Element {
    type Ok = u8;
    type Error = BytesError;
    type SerializeSeq = Impossible<u8, BytesError>;
    type SerializeTuple = Impossible<u8, BytesError>;

    refuse_all_but_bytes!();
    refuse! {
        serialize_str(&str);
        serialize_bytes(&[u8]);
    }

    fn serialize_u8(self, byte: u8) -> Result<u8, BytesError> {
        Ok(byte)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self::SerializeSeq, BytesError> {
        not_bytes()
    }

    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, BytesError> {
        not_bytes()
    }
}

/// Deserialises a body as bytes, text or a list of bytes.
struct BodyDeserializer<'de>(&'de [u8]);

impl<'de> Deserializer<'de> for BodyDeserializer<'de> {
    type Error = BytesError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BytesError> {
        visitor.visit_bytes(self.0)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BytesError> {
        let mut bytes = SeqDeserializer::new(self.0.iter().copied());
        let value = visitor.visit_seq(&mut bytes)?;
        bytes.end()?;
        Ok(value)
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, BytesError> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, BytesError> {
        visitor.visit_newtype_struct(self)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        option unit unit_struct tuple_struct map struct enum identifier ignored_any
    }
}
