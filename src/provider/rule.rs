//! What an answer means: conditions on status, JSON, headers and body, and the verdict they give.

use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::{Deserialize, Deserializer, de};

use crate::verdict::Verdict;

/// What one kind of answer means. The first rule that fits decides.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// How evidence names it.
    pub id: String,
    /// When it fits: all conditions hold.
    pub when: Match,
    /// What it means.
    pub verdict: Verdict,
    /// A stable word for the reason; the rule's id when nothing is said.
    pub why: Option<String>,
    /// Fields that are to blame.
    #[serde(default)]
    pub blame: Vec<String>,
    /// Claims or rights that are missing.
    #[serde(default)]
    pub missing: Vec<String>,
    /// The id of the sentence that says what to do.
    pub hint: Option<String>,
    /// Claims that this answer proves although the verdict is not accepted.
    #[serde(default)]
    pub proves: Vec<String>,
}

/// Conditions on an answer; all that are set must hold.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Match {
    /// The status: a number, a list, or a class such as `"4xx"`.
    pub status: Option<StatusTest>,
    /// JSON pointer (RFC 6901; a `*` stands for any element) → test.
    #[serde(default)]
    pub json: BTreeMap<String, Test>,
    /// Header name → test.
    #[serde(default)]
    pub header: BTreeMap<String, Test>,
    /// Query parameter of the Location header → test.
    #[serde(default)]
    pub location_query: BTreeMap<String, Test>,
    /// The body as text.
    pub body: Option<Test>,
}

/// A status: a number, a list, or a class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusTest {
    codes: Vec<u16>,
    class: Option<u16>,
}

impl StatusTest {
    /// Whether `status` is meant.
    pub fn fits(&self, status: u16) -> bool {
        self.codes.contains(&status) || self.class == Some(status / 100)
    }

    /// The single numbers that are listed.
    pub fn codes(&self) -> &[u16] {
        &self.codes
    }
}

impl<'de> Deserialize<'de> for StatusTest {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor;
        fn code<E: de::Error>(number: i64) -> Result<u16, E> {
            u16::try_from(number)
                .ok()
                .filter(|code| (100..=599).contains(code))
                .ok_or_else(|| E::custom(format!("`{number}` is not an HTTP status: 100 to 599")))
        }
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = StatusTest;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a status such as 401, a list such as [401, 403], or a class such as \"4xx\"")
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<StatusTest, E> {
                Ok(StatusTest { codes: vec![code(number)?], class: None })
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<StatusTest, E> {
                let class = text
                    .strip_suffix("xx")
                    .and_then(|digit| digit.parse().ok())
                    .filter(|class| (1..=5).contains(class));
                class
                    .map(|class| StatusTest { codes: Vec::new(), class: Some(class) })
                    .ok_or_else(|| E::custom(format!("`{text}` is not a class: \"1xx\" to \"5xx\"")))
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<StatusTest, A::Error> {
                let mut codes = Vec::new();
                while let Some(number) = list.next_element::<i64>()? {
                    codes.push(code(number)?);
                }
                Ok(StatusTest { codes, class: None })
            }
        }
        from.deserialize_any(Visitor)
    }
}

impl JsonSchema for StatusTest {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "StatusTest".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A status such as 401, a list such as [401, 403], or a class such as \"4xx\".",
            "anyOf": [
                { "type": "integer", "minimum": 100, "maximum": 599 },
                { "type": "array", "items": { "type": "integer", "minimum": 100, "maximum": 599 } },
                { "type": "string", "pattern": "^[1-5]xx$" }
            ]
        })
    }
}

/// A test of one value. A string, number or boolean alone means: equal to it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Test {
    /// What has to hold; all that is set.
    pub conditions: Conditions,
}

/// The conditions of a [`Test`]; all that are set must hold.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Conditions {
    /// Equal to this.
    pub eq: Option<Scalar>,
    /// There, and not equal to this.
    pub not_eq: Option<Scalar>,
    /// There (or not there).
    pub exists: Option<bool>,
    /// Equal to one of these.
    #[serde(rename = "in")]
    pub one_of: Option<Vec<Scalar>>,
    /// Contains this text.
    pub contains: Option<String>,
    /// Matches this expression.
    pub matches: Option<String>,
    /// Equal to what was entered in this field.
    pub same_as: Option<String>,
    /// An X.509 certificate (PEM) of the private key in this field. The key is not used and not sent.
    pub certifies: Option<String>,
    /// Upper and lower case are the same, in `eq`, `in`, `contains` and `same_as`.
    #[serde(default)]
    pub ignore_case: bool,
    /// The value is decoded first.
    pub decode: Option<Decode>,
}

/// How a value is decoded before it is tested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Decode {
    /// Base64 with the URL alphabet (RFC 4648 section 5), padding optional.
    Base64url,
}

/// A string, number or boolean.
#[derive(Debug, Clone, PartialEq)]
pub enum Scalar {
    /// Text.
    Text(String),
    /// A whole number.
    Number(i64),
    /// A truth.
    Bool(bool),
}

impl Scalar {
    /// Whether a JSON value equals it. A number in a string is not a number.
    pub fn equals(&self, value: &serde_json::Value, ignore_case: bool) -> bool {
        match (self, value) {
            (Self::Text(text), serde_json::Value::String(value)) if ignore_case => text.eq_ignore_ascii_case(value),
            (Self::Text(text), serde_json::Value::String(value)) => text == value,
            (Self::Number(number), serde_json::Value::Number(value)) => value.as_i64() == Some(*number),
            (Self::Bool(truth), serde_json::Value::Bool(value)) => truth == value,
            _ => false,
        }
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Scalar;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string, a whole number or a boolean")
            }
            fn visit_str<E>(self, text: &str) -> Result<Scalar, E> {
                Ok(Scalar::Text(text.to_owned()))
            }
            fn visit_i64<E>(self, number: i64) -> Result<Scalar, E> {
                Ok(Scalar::Number(number))
            }
            fn visit_bool<E>(self, truth: bool) -> Result<Scalar, E> {
                Ok(Scalar::Bool(truth))
            }
        }
        from.deserialize_any(Visitor)
    }
}

impl JsonSchema for Scalar {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Scalar".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "integer", "boolean"] })
    }
}

impl<'de> Deserialize<'de> for Test {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor;
        fn equal(scalar: Scalar) -> Test {
            Test { conditions: Conditions { eq: Some(scalar), ..Conditions::default() } }
        }
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Test;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string, number or boolean to equal, or a table of conditions")
            }
            fn visit_str<E>(self, text: &str) -> Result<Test, E> {
                Ok(equal(Scalar::Text(text.to_owned())))
            }
            fn visit_i64<E>(self, number: i64) -> Result<Test, E> {
                Ok(equal(Scalar::Number(number)))
            }
            fn visit_bool<E>(self, truth: bool) -> Result<Test, E> {
                Ok(equal(Scalar::Bool(truth)))
            }
            fn visit_map<A: de::MapAccess<'de>>(self, table: A) -> Result<Test, A::Error> {
                let conditions = Conditions::deserialize(MapAccessDeserializer::new(table))?;
                Ok(Test { conditions })
            }
        }
        from.deserialize_any(Visitor)
    }
}

impl JsonSchema for Test {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Test".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let conditions = generator.subschema_for::<Conditions>();
        json_schema!({
            "description": "A string, number or boolean to equal, or a table of conditions.",
            "anyOf": [{ "type": ["string", "integer", "boolean"] }, conditions]
        })
    }
}

/// What is taken from an answer.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Extract {
    /// JSON pointer into the answer.
    pub json: Option<String>,
    /// Or: the name of a header.
    pub header: Option<String>,
    /// It is a secret: kept out of everything shown.
    #[serde(default)]
    pub secret: bool,
    /// It names whose credential it is.
    #[serde(default)]
    pub label: bool,
    /// It is the time at which the credential itself ends (RFC 3339).
    #[serde(default)]
    pub expires: bool,
    /// It lists the granted scopes, separated by blanks or commas.
    #[serde(default)]
    pub scopes: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &str) -> Result<Rule, String> {
        toml::from_str(text).map_err(|error: toml::de::Error| error.to_string())
    }

    #[test]
    fn a_status_may_be_a_number_a_list_or_a_class() {
        let fits = |when: &str, status| {
            rule(&format!("id = 'x'\nverdict = 'rejected'\nwhen = {{ status = {when} }}"))
                .unwrap()
                .when
                .status
                .unwrap()
                .fits(status)
        };
        assert!(fits("401", 401) && !fits("401", 403));
        assert!(fits("[401, 403]", 403) && !fits("[401, 403]", 404));
        assert!(fits("'4xx'", 499) && !fits("'4xx'", 500));
    }

    #[test]
    fn a_misspelt_condition_is_refused() {
        let error = rule("id = 'x'\nverdict = 'rejected'\nwhen = { json = { '/a' = { exist = true } } }").unwrap_err();
        assert!(error.contains("exist"), "{error}");
        assert!(rule("id = 'x'\nverdict = 'valid'\nwhen = {}").is_err());
        assert!(rule("id = 'x'\nverdict = 'rejected'\nwhen = { status = 99 }").is_err());
    }
}
