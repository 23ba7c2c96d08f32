//! `${field.x}`, `${var.x}`, `${got.x}`, `${mint.x}`, `${cert.x}` with a fixed list of filters: a closed grammar, no code.
//!
//! ```text
//! template    = *( text / placeholder )
//! placeholder = "${" scope "." id *( "|" filter ) "}"
//! scope       = "field" / "var" / "got" / "mint" / "cert"
//! filter      = "url" / "base64" / "md5" / "lower" / "trim" / "origin"
//! ```

use std::fmt;

use base64::Engine as _;
use md5::{Digest, Md5};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A text with placeholders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    source: String,
    parts: Vec<Part>,
}

/// A piece of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// As it stands.
    Text(String),
    /// Filled in.
    Hole(Hole),
}

/// A placeholder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hole {
    /// Where the value comes from.
    pub scope: Scope,
    /// Which value.
    pub id: String,
    /// What is done to it, in order.
    pub filters: Vec<Filter>,
}

/// Where a placeholder's value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// An entered field.
    Field,
    /// A variable.
    Var,
    /// What an earlier check extracted.
    Got,
    /// A JWT signed for this check.
    Mint,
    /// A certificate of the sample key in a field; only in the answers of fixtures.
    Cert,
}

impl Scope {
    /// The word before the dot.
    pub fn word(self) -> &'static str {
        match self {
            Self::Field => "field",
            Self::Var => "var",
            Self::Got => "got",
            Self::Mint => "mint",
            Self::Cert => "cert",
        }
    }
}

/// What may be done to a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filter {
    /// Percent-encodes all but unreserved characters (RFC 3986 section 2.3).
    Url,
    /// Base64 with padding (RFC 4648 section 4).
    Base64,
    /// MD5 in lower-case hex.
    Md5,
    /// Lower case.
    Lower,
    /// Without surrounding blanks.
    Trim,
    /// Scheme, host and port of a URL (RFC 6454); what is no URL stays as it is.
    Origin,
}

/// Knows what a placeholder stands for.
pub trait LookUp {
    /// The value, or `None` when there is none.
    fn look_up(&self, scope: Scope, id: &str) -> Option<String>;
}

impl<F: Fn(Scope, &str) -> Option<String>> LookUp for F {
    fn look_up(&self, scope: Scope, id: &str) -> Option<String> {
        self(scope, id)
    }
}

/// How values are encoded for the place where they stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// As they are: texts for people, JSON strings, form values (encoded as a whole later).
    Plain,
    /// A part of a URL: percent-encoded, so that no value can change host, path or query.
    Url,
    /// A header: line ends and other control characters make the request impossible.
    Header,
}

/// A placeholder without a value.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`${{{place}}}` has no value")]
pub struct Unfilled {
    /// `field.x`.
    pub place: String,
}

/// Percent-encodes all but unreserved characters (RFC 3986 section 2.3).
pub fn percent_encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    ///
    /// A sentence that names the placeholder and what may stand there.
    pub fn parse(source: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = source;
        while let Some(start) = rest.find("${") {
            if start > 0 {
                parts.push(Part::Text(rest[..start].to_owned()));
            }
            let end =
                rest[start..].find('}').ok_or_else(|| format!("`{}` is never closed with `}}`", &rest[start..]))?;
            parts.push(Part::Hole(Hole::parse(&rest[start + 2..start + end])?));
            rest = &rest[start + end + 1..];
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self { source: source.to_owned(), parts })
    }

    /// The text as it was written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The pieces, in order.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The placeholders, in order.
    pub fn holes(&self) -> impl Iterator<Item = &Hole> {
        self.parts.iter().filter_map(|part| match part {
            Part::Hole(hole) => Some(hole),
            Part::Text(_) => None,
        })
    }

    /// Fills every placeholder.
    ///
    /// # Errors
    ///
    /// [`Unfilled`] for the first placeholder without a value.
    pub fn fill(&self, values: &dyn LookUp, encoding: Encoding) -> Result<String, Unfilled> {
        let mut out = String::with_capacity(self.source.len());
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Hole(hole) => {
                    let value = hole.value(values)?;
                    match encoding {
                        Encoding::Plain | Encoding::Header => out.push_str(&value),
                        // A filter `url` has encoded it already.
                        Encoding::Url if hole.filters.last() == Some(&Filter::Url) => out.push_str(&value),
                        Encoding::Url => out.push_str(&percent_encode(&value)),
                    }
                }
            }
        }
        Ok(out)
    }
}

impl Hole {
    fn parse(inner: &str) -> Result<Self, String> {
        let mut pieces = inner.split('|');
        let place = pieces.next().unwrap_or_default();
        let (scope, id) = place.split_once('.').ok_or_else(|| {
            format!("`${{{inner}}}` must be `${{field.x}}`, `${{var.x}}`, `${{got.x}}` or `${{mint.x}}`")
        })?;
        let scope = [Scope::Field, Scope::Var, Scope::Got, Scope::Mint, Scope::Cert]
            .into_iter()
            .find(|known| known.word() == scope)
            .ok_or_else(|| format!("`${{{inner}}}`: `{scope}` must be `field`, `var`, `got` or `mint`"))?;
        if id.is_empty() || !id.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-') {
            return Err(format!("`${{{inner}}}`: `{id}` is not an id"));
        }
        let filters = pieces.map(|word| Filter::parse(word, inner)).collect::<Result<_, _>>()?;
        Ok(Self { scope, id: id.to_owned(), filters })
    }

    /// The value that stands here, with the filters applied and not yet encoded for its place.
    ///
    /// # Errors
    ///
    /// [`Unfilled`] when there is none.
    pub fn value(&self, values: &dyn LookUp) -> Result<String, Unfilled> {
        let value = values.look_up(self.scope, &self.id).ok_or_else(|| Unfilled { place: self.to_string() })?;
        Ok(self.filters.iter().fold(value, |value, filter| filter.apply(&value)))
    }
}

impl fmt::Display for Hole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.scope.word(), self.id)
    }
}

impl Filter {
    fn parse(word: &str, inner: &str) -> Result<Self, String> {
        match word {
            "url" => Ok(Self::Url),
            "base64" => Ok(Self::Base64),
            "md5" => Ok(Self::Md5),
            "lower" => Ok(Self::Lower),
            "trim" => Ok(Self::Trim),
            "origin" => Ok(Self::Origin),
            _ => Err(format!("`${{{inner}}}`: no filter `{word}`; there are url, base64, md5, lower, trim, origin")),
        }
    }

    fn apply(self, value: &str) -> String {
        match self {
            Self::Url => percent_encode(value),
            Self::Base64 => base64::engine::general_purpose::STANDARD.encode(value),
            Self::Md5 => hex(&Md5::digest(value.as_bytes())),
            Self::Lower => value.to_lowercase(),
            Self::Trim => value.trim().to_owned(),
            Self::Origin => origin(value),
        }
    }
}

fn origin(value: &str) -> String {
    match url::Url::parse(value) {
        Ok(url) if url.has_host() => url.origin().ascii_serialization(),
        _ => value.to_owned(),
    }
}

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let source = String::deserialize(from)?;
        Self::parse(&source).map_err(serde::de::Error::custom)
    }
}

impl Serialize for Template {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.source)
    }
}

impl JsonSchema for Template {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Template".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "A text with ${field.x}, ${var.x}, ${got.x} or ${mint.x}, each with filters url, base64, md5, lower, trim, origin.",
            "type": "string"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(source: &str, encoding: Encoding) -> String {
        let values = |scope: Scope, id: &str| (id != "none").then(|| format!("{}/{id}&?", scope.word()));
        Template::parse(source)
            .and_then(|template| template.fill(&values, encoding).map_err(|e| e.to_string()))
            .unwrap_or_else(|error| error)
    }

    #[test]
    fn values_are_encoded_for_their_place() {
        assert_eq!(fill("https://h/${field.a}/x", Encoding::Url), "https://h/field%2Fa%26%3F/x");
        assert_eq!(fill("${var.a} ${got.b}", Encoding::Plain), "var/a&? got/b&?");
        assert_eq!(fill("${var.a|url}", Encoding::Url), "var%2Fa%26%3F");
    }

    #[test]
    fn filters_are_applied_in_order() {
        let abc = |_: Scope, _: &str| Some(" ABC ".to_owned());
        let out = Template::parse("${field.x|trim|lower|md5}").unwrap().fill(&abc, Encoding::Plain);
        assert_eq!(out.as_deref(), Ok("900150983cd24fb0d6963f7d28e17f72"));
        let out = Template::parse("${field.x|trim|base64}").unwrap().fill(&abc, Encoding::Plain);
        assert_eq!(out.as_deref(), Ok("QUJD"));
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let origin = |value: &'static str| {
            let values = move |_: Scope, _: &str| Some(value.to_owned());
            Template::parse("${var.x|origin}").unwrap().fill(&values, Encoding::Plain).unwrap()
        };
        assert_eq!(origin("https://service.example/oauth2.aspx?a=b"), "https://service.example");
        assert_eq!(origin("http://localhost:8080/x"), "http://localhost:8080");
        assert_eq!(origin("mailto:a@b"), "mailto:a@b");
        assert_eq!(origin("not a url"), "not a url");
    }

    #[test]
    fn a_mistake_in_a_placeholder_is_named() {
        assert!(fill("${field.a", Encoding::Plain).contains("never closed"));
        assert!(fill("${feild.a}", Encoding::Plain).contains("`feild` must be"));
        assert!(fill("${field.a|upper}", Encoding::Plain).contains("no filter `upper`"));
        assert!(fill("${a}", Encoding::Plain).contains("must be `${field.x}`"));
        assert!(fill("${field.none}", Encoding::Plain).contains("has no value"));
    }

    #[test]
    fn text_without_placeholders_stays_as_it_is() {
        assert_eq!(fill("costs $5 {x} } [[Save]]", Encoding::Plain), "costs $5 {x} } [[Save]]");
    }
}
