//! One JSON or TOML object of named values, taken apart.
//!
//! Text comes in, names and wrapped values go out, in the order of the text. What is wrong is only told as a place: a
//! parser's own words repeat the text.

use std::fmt;

use serde::Deserializer;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserialize, MapAccess, SeqAccess, Visitor};

use crate::provider::parse::Place;
use crate::secret::Secret;

/// One object, in the order of the text.
#[derive(Debug, Default)]
pub struct Object(pub Vec<(String, Entry)>);

/// A value in the object.
#[derive(Debug)]
pub enum Entry {
    /// A string, or a whole number as it is written.
    Text(Secret),
    /// An object or a list, as JSON.
    Document(Secret),
    /// Anything else.
    Other,
}

impl Entry {
    /// The text; a nested object only where the field is a JSON document.
    pub fn text(self, may_nest: bool) -> Option<Secret> {
        match self {
            Self::Text(text) => Some(text),
            Self::Document(text) if may_nest => Some(text),
            Self::Document(_) | Self::Other => None,
        }
    }
}

impl Object {
    /// Reads one JSON or TOML object.
    ///
    /// # Errors
    ///
    /// The place where it stops making sense.
    pub fn of(text: &str) -> Result<Self, Place> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        // A JSON list or string is no object either, but TOML would read a list as the head of a table.
        let is_json = text.trim_start().starts_with('{') || serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
        if is_json { Self::json(text) } else { Self::toml(text) }
    }

    /// Reads one JSON object.
    ///
    /// # Errors
    ///
    /// As [`Object::of`].
    pub fn json(text: &str) -> Result<Self, Place> {
        serde_json::from_str(text).map_err(|error| json_place(&error))
    }

    /// Reads one TOML table.
    ///
    /// # Errors
    ///
    /// As [`Object::of`].
    pub fn toml(text: &str) -> Result<Self, Place> {
        toml::from_str(text).map_err(|error| error.span().map_or(Place(None), |span| Place::of(text, span.start)))
    }
}

/// Where JSON stops making sense.
pub fn json_place(error: &serde_json::Error) -> Place {
    Place(Some((error.line(), error.column().max(1))))
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Whole;
        impl<'de> Visitor<'de> for Whole {
            type Value = Object;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("one object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Object, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = object.next_entry::<String, Entry>()? {
                    pairs.push(pair);
                }
                Ok(Object(pairs))
            }
        }
        from.deserialize_map(Whole)
    }
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Any;
        fn document(value: &serde_json::Value) -> Entry {
            Entry::Document(Secret::new(value.to_string()))
        }
        impl<'de> Visitor<'de> for Any {
            type Value = Entry;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }
            fn visit_str<E>(self, text: &str) -> Result<Entry, E> {
                Ok(Entry::Text(Secret::from(text)))
            }
            fn visit_string<E>(self, text: String) -> Result<Entry, E> {
                Ok(Entry::Text(Secret::new(text)))
            }
            fn visit_i64<E>(self, number: i64) -> Result<Entry, E> {
                Ok(Entry::Text(Secret::new(number.to_string())))
            }
            fn visit_u64<E>(self, number: u64) -> Result<Entry, E> {
                Ok(Entry::Text(Secret::new(number.to_string())))
            }
            fn visit_f64<E>(self, _: f64) -> Result<Entry, E> {
                Ok(Entry::Other)
            }
            fn visit_bool<E>(self, _: bool) -> Result<Entry, E> {
                Ok(Entry::Other)
            }
            fn visit_unit<E>(self) -> Result<Entry, E> {
                Ok(Entry::Other)
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Entry, A::Error> {
                serde_json::Value::deserialize(MapAccessDeserializer::new(map)).map(|value| document(&value))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Entry, A::Error> {
                serde_json::Value::deserialize(SeqAccessDeserializer::new(seq)).map(|value| document(&value))
            }
        }
        from.deserialize_any(Any)
    }
}
