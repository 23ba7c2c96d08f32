//! Provider + values → request: plain data, which can be shown redacted. Sends nothing.
//!
//! Each value is encoded for the place where it stands, so that none can change more than its own place.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value as Json};
use thiserror::Error;
use url::{Url, form_urlencoded};
use zeroize::Zeroizing;

use super::redact::Redactor;
use super::sign::{aws, oauth1};
use super::values::Values;
use super::{address, oauth};
use crate::provider::template::{Encoding, Hole, LookUp, Unfilled, percent_encode};
use crate::provider::{self, Auth, Body, Check, Expect, Method, Strategy, Template};

/// The body type of a form.
pub(super) const FORM: &str = "application/x-www-form-urlencoded";

/// One request, ready to be sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// Where it goes.
    pub url: Url,
    /// Name and value.
    pub headers: Vec<(String, Zeroizing<String>)>,
    /// The body; empty where there is none.
    pub body: Zeroizing<Vec<u8>>,
}

/// What a request depends on besides its values.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Way<'a> {
    /// Replaces the origin of the provider's own addresses.
    pub endpoint: Option<&'a Url>,
    /// Addresses that are not on the public internet may be asked.
    pub allow_private: bool,
    /// The time that a signature carries.
    pub now: DateTime<Utc>,
}

/// Why a request cannot be built. Says nothing of any value.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum Unbuildable {
    /// A value is not there.
    #[error("`{place}` has no value")]
    Missing {
        /// Such as `field.x`.
        place: String,
    },
    /// A value holds what cannot stand in its place.
    #[error("`{place}` {why}")]
    Unsendable {
        /// Such as `field.x`.
        place: String,
        /// What it holds.
        why: &'static str,
    },
    /// A value is no part of an address.
    #[error("`{place}` does not make an address")]
    BadAddress {
        /// Such as `var.x`.
        place: String,
    },
    /// A key does not load.
    #[error("`{place}` does not sign: {why}")]
    BadKey {
        /// Such as `field.x`.
        place: String,
        /// What is wrong with it.
        why: String,
    },
    /// It would go over plain http.
    #[error("`{host}` would be asked over plain http")]
    PlainHttp {
        /// The host.
        host: String,
    },
    /// It would go to an address that is not on the public internet.
    #[error("`{host}` is a private address")]
    Private {
        /// The host.
        host: String,
    },
    /// The provider's file does not make a request.
    #[error("{0}")]
    File(String),
}

impl From<Unfilled> for Unbuildable {
    fn from(unfilled: Unfilled) -> Self {
        Self::Missing { place: unfilled.place }
    }
}

/// Builds the request of `check`. What it mints has been signed before.
///
/// # Errors
///
/// [`Unbuildable`]: nothing may be sent.
pub(crate) fn build(check: &Check, values: &Values<'_>, way: Way<'_>) -> Result<Request, Unbuildable> {
    let mut request = match check.auth.strategy {
        Strategy::Oauth2ClientProbe => oauth::client_probe(&check.auth, values)?,
        Strategy::Oauth2ClientCredentials => oauth::client_credentials(&check.auth, values)?,
        Strategy::Oauth2Refresh => oauth::refresh(&check.auth, values)?,
        Strategy::Oauth2AuthorizePreflight => oauth::authorize_preflight(&check.auth, values)?,
        Strategy::JwtBearer => oauth::jwt_bearer(&check.auth, values)?,
        Strategy::JwtLocal => return Err(Unbuildable::File("a token that is verified offline has no request".into())),
        Strategy::None
        | Strategy::Header
        | Strategy::Query
        | Strategy::Basic
        | Strategy::AwsSigv4
        | Strategy::Oauth1Hmac => {
            let spec = check.request.as_ref();
            plain(spec.ok_or_else(|| Unbuildable::File(format!("check `{}` has no request", check.id)))?, values)?
        }
    };
    authenticate(&mut request, &check.auth, values)?;
    if let Some(endpoint) = way.endpoint {
        request.url = address::redirect(&request.url, endpoint);
    }
    address::may_go(&request.url, way.allow_private || way.endpoint.is_some())?;
    // Signed last: the address is part of what is signed.
    match check.auth.strategy {
        Strategy::AwsSigv4 => aws::sign(&mut request, &aws_keys(&check.auth, values)?, way.now)?,
        Strategy::Oauth1Hmac => {
            let keys = oauth1_keys(&check.auth, values)?;
            oauth1::sign(&mut request, &keys, &oauth1::Moment::of(way.now)?);
        }
        _ => {}
    }
    Ok(request)
}

impl Request {
    /// A request without headers and body.
    pub(super) fn new(method: Method, url: Url) -> Self {
        Self { method, url, headers: Vec::new(), body: Zeroizing::default() }
    }

    /// The value of the header `name`.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// Sets a header; one of that name is replaced.
    pub(super) fn set_header(&mut self, name: &str, value: impl Into<String>) {
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self.headers.push((name.to_owned(), Zeroizing::new(value.into())));
    }

    fn default_header(&mut self, name: &str, value: &str) {
        if self.header(name).is_none() {
            self.set_header(name, value);
        }
    }

    /// Adds a query parameter behind those that are there.
    fn add_query(&mut self, name: &str, value: &str) {
        let pair = format!("{}={}", percent_encode(name), percent_encode(value));
        let query =
            self.url.query().filter(|query| !query.is_empty()).map_or(pair.clone(), |old| format!("{old}&{pair}"));
        self.url.set_query(Some(&query));
    }

    /// The request as text, without any secret that `redactor` knows.
    pub fn show(&self, redactor: &Redactor) -> String {
        let mut text = format!("{:?} {}\n", self.method, self.url);
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {}\n", value.as_str()));
        }
        if !self.body.is_empty() {
            text.push_str(&format!("\n{}\n", String::from_utf8_lossy(&self.body)));
        }
        redactor.redact(&text)
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A path, a query, a header and a body may each hold the secret.
        let host = self.url.host_str().unwrap_or_default();
        write!(f, "Request({:?} to {host}, {} headers, {} bytes)", self.method, self.headers.len(), self.body.len())
    }
}

fn plain(spec: &provider::Request, values: &Values<'_>) -> Result<Request, Unbuildable> {
    let mut request = Request::new(spec.method, address::fill(&spec.url, values)?);
    for (name, value) in &spec.query {
        request.add_query(name, &Zeroizing::new(value.fill(values, Encoding::Plain)?));
    }
    for (name, value) in &spec.headers {
        set_header(&mut request, name, value, values)?;
    }
    if let Some(agent) = &spec.user_agent {
        request.set_header("user-agent", agent.as_str());
    }
    if spec.expect == Expect::Json {
        request.default_header("accept", "application/json");
    }
    if let Some(form) = &spec.form {
        let mut body = form_urlencoded::Serializer::new(String::new());
        for (name, value) in form {
            body.append_pair(name, &Zeroizing::new(value.fill(values, Encoding::Plain)?));
        }
        request.body = Zeroizing::new(body.finish().into_bytes());
        request.default_header("content-type", FORM);
    } else if let Some(json) = &spec.json {
        request.body = Zeroizing::new(Json::Object(document(json, values)?).to_string().into_bytes());
        request.default_header("content-type", "application/json");
    }
    Ok(request)
}

fn authenticate(request: &mut Request, auth: &Auth, values: &Values<'_>) -> Result<(), Unbuildable> {
    match auth.strategy {
        Strategy::Header => {
            let name = needed(auth.name.as_ref(), "name")?.fill(values, Encoding::Header)?;
            set_header(request, &name, needed(auth.value.as_ref(), "value")?, values)?;
        }
        Strategy::Query => {
            let value = needed(auth.value.as_ref(), "value")?.fill(values, Encoding::Plain)?;
            let name = needed(auth.name.as_ref(), "name")?.fill(values, Encoding::Plain)?;
            request.add_query(&name, &Zeroizing::new(value));
        }
        Strategy::Basic => {
            let template = needed(auth.username.as_ref(), "username")?;
            let user = template.fill(values, Encoding::Plain)?;
            if user.contains(':') {
                // RFC 7617 section 2: everything behind the first colon would be the password.
                return Err(Unbuildable::Unsendable { place: place(template), why: "holds a colon" });
            }
            let password = needed(auth.password.as_ref(), "password")?.fill(values, Encoding::Plain)?;
            let pair = Zeroizing::new(format!("{user}:{}", *Zeroizing::new(password)));
            request.set_header("authorization", format!("Basic {}", STANDARD.encode(&*pair)));
        }
        _ => {}
    }
    Ok(())
}

fn aws_keys(auth: &Auth, values: &Values<'_>) -> Result<aws::Keys, Unbuildable> {
    let fill = |template: Option<&Template>, key| -> Result<String, Unbuildable> {
        Ok(needed(template, key)?.fill(values, Encoding::Plain)?)
    };
    Ok(aws::Keys {
        id: fill(auth.access_key_id.as_ref(), "access_key_id")?,
        secret: fill(auth.secret_access_key.as_ref(), "secret_access_key")?.into(),
        // A long-term key has none.
        token: auth.session_token.as_ref().and_then(|token| token.fill(values, Encoding::Plain).ok()).map(Into::into),
        region: fill(auth.region.as_ref(), "region")?,
        service: needed(auth.service.as_ref(), "service")?.clone(),
    })
}

fn oauth1_keys(auth: &Auth, values: &Values<'_>) -> Result<oauth1::Keys, Unbuildable> {
    let fill = |template: &Template| template.fill(values, Encoding::Plain);
    let optional = |template: &Option<Template>| template.as_ref().map(fill).transpose();
    Ok(oauth1::Keys {
        consumer_key: fill(needed(auth.consumer_key.as_ref(), "consumer_key")?)?,
        consumer_secret: fill(needed(auth.consumer_secret.as_ref(), "consumer_secret")?)?.into(),
        token: optional(&auth.token)?,
        token_secret: optional(&auth.token_secret)?.map(Into::into),
        callback: optional(&auth.callback)?,
    })
}

/// What the strategy needs from the file.
pub(super) fn needed<T>(value: Option<T>, key: &str) -> Result<T, Unbuildable> {
    value.ok_or_else(|| Unbuildable::File(format!("`auth.{key}` is missing")))
}

fn place(template: &Template) -> String {
    template.holes().next().map(ToString::to_string).unwrap_or_default()
}

fn set_header(request: &mut Request, name: &str, value: &Template, values: &Values<'_>) -> Result<(), Unbuildable> {
    // The name may be a variable too: some servers let their operator choose it.
    let template = Template::parse(name).map_err(Unbuildable::File)?;
    let name = template.fill(values, Encoding::Plain)?;
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err(Unbuildable::Unsendable { place: place(&template), why: "does not name a header" });
    }
    let filled = Zeroizing::new(value.fill(values, Encoding::Header)?);
    if filled.chars().any(char::is_control) {
        let culprit = |hole: &&Hole| hole.value(values).is_ok_and(|value| value.chars().any(char::is_control));
        let place = value.holes().find(culprit).map(ToString::to_string).unwrap_or_default();
        return Err(Unbuildable::Unsendable { place, why: "holds a line end or another control character" });
    }
    request.set_header(&name, filled.as_str());
    Ok(())
}

/// A character of a header's name (RFC 9110 section 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Fills the strings of a document; its order stays.
pub(super) fn document(body: &Body, values: &dyn LookUp) -> Result<Map<String, Json>, Unbuildable> {
    table(&body.0, &|text| {
        let template = Template::parse(text).map_err(Unbuildable::File)?;
        Ok(template.fill(values, Encoding::Plain)?)
    })
}

type Fill<'a> = &'a dyn Fn(&str) -> Result<String, Unbuildable>;

fn table(table: &toml::Table, fill: Fill<'_>) -> Result<Map<String, Json>, Unbuildable> {
    table.iter().map(|(key, value)| Ok((key.clone(), json(value, fill)?))).collect()
}

fn json(value: &toml::Value, fill: Fill<'_>) -> Result<Json, Unbuildable> {
    Ok(match value {
        toml::Value::String(text) => Json::String(fill(text)?),
        toml::Value::Integer(number) => (*number).into(),
        toml::Value::Float(number) => (*number).into(),
        toml::Value::Boolean(truth) => (*truth).into(),
        toml::Value::Datetime(time) => Json::String(time.to_string()),
        toml::Value::Array(items) => Json::Array(items.iter().map(|item| json(item, fill)).collect::<Result<_, _>>()?),
        toml::Value::Table(inner) => Json::Object(table(inner, fill)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::stage::{noon, provider, request};
    use crate::provider::Provider;

    /// Tries to get out of every place at once.
    const BREAKOUT: &str = "a/b?c#d&e=f%2Fg\"h'i\\j;k l+m@n:o\u{e9}";
    const LINES: &str = "x\r\nHost: evil.example\r\n\r\n";

    fn acme(check: &str) -> Provider {
        provider(&format!(
            "[[field]]\nid = 'key'\nlabel = 'k'\nsecret = true\n[[field]]\nid = 'user'\nlabel = 'u'\n\
             [[var]]\nid = 'host'\nlabel = 'h'\nhost = true\ndefault = 'api.example'\n\
             [[check]]\nid = 'ask'\neffects = 'none'\n{check}"
        ))
    }

    fn get(url: &str) -> Provider {
        acme(&format!("request = {{ method = 'GET', url = '{url}' }}\n"))
    }

    #[test]
    fn a_value_in_a_path_stays_one_segment() {
        let provider = get("https://api.example/bot${field.key}/getMe");
        for value in [BREAKOUT, LINES, "%2e%2e", "a/../../b"] {
            let url = request(&provider, &[("key", value)]).unwrap().url;
            let segments: Vec<_> = url.path_segments().unwrap().collect();
            assert_eq!(
                (url.host_str(), segments.len(), url.query(), url.fragment()),
                (Some("api.example"), 2, None, None)
            );
            assert_eq!(segments[1], "getMe");
            assert_eq!(decode(segments[0]), format!("bot{value}"));
        }
    }

    #[test]
    fn a_path_that_a_parser_would_shorten_is_refused() {
        let provider = get("https://api.example/v1/${field.key}/x");
        for value in ["..", "."] {
            assert!(request(&provider, &[("key", value)]).is_err(), "{value}");
        }
        // Encoded once more, these are no dots to anybody.
        for value in ["%2e%2E", "...", ".a"] {
            let url = request(&provider, &[("key", value)]).unwrap().url;
            assert_eq!(url.path_segments().unwrap().count(), 3, "{url}");
        }
        assert!(request(&get("https://api.example/v1/.${field.key}"), &[("key", ".")]).is_err());
        assert!(request(&get("https://api.example/v1/${field.key|url}"), &[("key", "..")]).is_err());
    }

    #[test]
    fn a_value_in_a_query_stays_one_value() {
        let inline = get("https://api.example/?fixed=1&key=${field.key}");
        let table = acme(
            "[check.request]\nmethod = 'GET'\nurl = 'https://api.example/?fixed=1'\nquery = { key = '${field.key}' }\n",
        );
        let auth = acme(
            "request = { method = 'GET', url = 'https://api.example/?fixed=1' }\n\
             auth = { strategy = 'query', name = 'key', value = '${field.key}' }\n",
        );
        for provider in [inline, table, auth] {
            for value in [BREAKOUT, LINES] {
                let url = request(&provider, &[("key", value)]).unwrap().url;
                let pairs: Vec<_> = url.query_pairs().into_owned().collect();
                assert_eq!(pairs, [("fixed".into(), "1".into()), ("key".into(), value.to_owned())]);
                assert_eq!((url.path(), url.fragment()), ("/", None));
            }
        }
    }

    #[test]
    fn a_value_in_a_form_stays_one_value() {
        let provider = acme(
            "request = { method = 'POST', url = 'https://api.example/', form = { a = '1', k = '${field.key}' } }\n",
        );
        for value in [BREAKOUT, LINES] {
            let request = request(&provider, &[("key", value)]).unwrap();
            let pairs: Vec<_> = form_urlencoded::parse(&request.body).into_owned().collect();
            assert_eq!(pairs, [("a".into(), "1".into()), ("k".into(), value.to_owned())]);
            assert_eq!(request.header("Content-Type"), Some(FORM));
        }
    }

    #[test]
    fn a_value_in_json_stays_one_string_and_the_order_stays() {
        let provider = acme(
            "[check.request]\nmethod = 'POST'\nurl = 'https://api.example/'\n\
             json = { z = { list = ['password', 1, true], user = { name = '${field.user}', k = '${field.key}' } }, a = 2.5 }\n",
        );
        for value in [BREAKOUT, LINES] {
            let request = request(&provider, &[("key", value), ("user", "u")]).unwrap();
            let text = String::from_utf8(request.body.to_vec()).unwrap();
            assert!(text.starts_with(r#"{"z":{"list":["password",1,true],"user":{"name":"u","k":""#), "{text}");
            let json: Json = serde_json::from_str(&text).unwrap();
            assert_eq!(json.pointer("/z/user/k"), Some(&Json::String(value.to_owned())));
            assert_eq!(json.pointer("/a"), Some(&Json::from(2.5)));
        }
    }

    #[test]
    fn a_value_in_a_header_cannot_start_another_line() {
        let header = acme(
            "request = { method = 'GET', url = 'https://api.example/', headers = { x-key = 'k ${field.user}${field.key}' } }\n",
        );
        let auth = acme(
            "request = { method = 'GET', url = 'https://api.example/' }\n\
             auth = { strategy = 'header', name = 'X-Key', value = 'k ${field.user}${field.key}' }\n",
        );
        for provider in [header, auth] {
            let good = request(&provider, &[("key", BREAKOUT), ("user", "u")]).unwrap();
            assert_eq!(good.header("x-key"), Some(format!("k u{BREAKOUT}").as_str()));
            for value in [LINES, "a\nb", "a\rb", "a\0b", "a\u{7f}"] {
                let refused = request(&provider, &[("key", value), ("user", "u")]).unwrap_err();
                assert!(
                    matches!(&refused, Unbuildable::Unsendable { place, .. } if place == "field.key"),
                    "{refused:?}"
                );
                assert!(!refused.to_string().contains(value) && !format!("{refused:?}").contains("evil"));
            }
        }
    }

    #[test]
    fn a_header_may_be_named_by_a_value_that_is_a_name() {
        let provider = acme(
            "request = { method = 'GET', url = 'https://api.example/' }\n\
             auth = { strategy = 'header', name = '${field.user}', value = 'Bearer ${field.key}' }\n",
        );
        let named = request(&provider, &[("user", "AuthorizationJwt"), ("key", "k")]).unwrap();
        assert_eq!(named.header("authorizationjwt"), Some("Bearer k"));
        for name in ["a b", "a:b", "a\r\nb", "é"] {
            assert!(request(&provider, &[("user", name), ("key", "k")]).is_err(), "{name:?}");
        }
    }

    #[test]
    fn a_basic_user_with_a_colon_is_refused() {
        let provider = acme(
            "request = { method = 'GET', url = 'https://api.example/' }\n\
             auth = { strategy = 'basic', username = '${field.user}', password = '${field.key}' }\n",
        );
        let good = request(&provider, &[("user", "u"), ("key", "a:b\r\n")]).unwrap();
        assert_eq!(good.header("authorization"), Some(format!("Basic {}", STANDARD.encode("u:a:b\r\n")).as_str()));
        let refused = request(&provider, &[("user", "u:v"), ("key", "k")]).unwrap_err();
        assert!(matches!(refused, Unbuildable::Unsendable { place, .. } if place == "field.user"));
    }

    #[test]
    fn a_host_is_named_by_the_file_a_variable_or_a_field_that_is_for_that() {
        let with_host = |provider: &Provider, host: &str| {
            let credential = crate::credential::Credential {
                vars: [("host".to_owned(), host.to_owned())].into(),
                ..crate::check::stage::credential(provider, &[("key", "k"), ("user", "u")])
            };
            build(&provider.check[0], &Values::new(provider, &credential), Way { now: noon(), ..Way::default() })
        };
        let part = get("https://eu.${var.host}/x");
        assert_eq!(with_host(&part, "smsc.example").unwrap().url.as_str(), "https://eu.smsc.example/x");
        assert_eq!(with_host(&part, "h.example:8443").unwrap().url.as_str(), "https://eu.h.example:8443/x");
        for host in
            ["evil.example/", "u@evil.example", "evil.example#", "a b", "evil.example?x", "h:port", "h:", "\\evil"]
        {
            assert!(matches!(with_host(&part, host), Err(Unbuildable::BadAddress { .. })), "{host}");
        }
        let whole = get("${var.host}/command");
        let base = with_host(&whole, "https://docs.example/ds/").unwrap().url;
        assert_eq!(base.as_str(), "https://docs.example/ds/command");
        for host in
            ["docs.example", "ftp://h/", "https://u:p@h/", "https://h/?q=", "https://h/#x", "https://h/../x", ""]
        {
            assert!(with_host(&whole, host).is_err(), "{host}");
        }
        assert!(matches!(with_host(&whole, "http://docs.example"), Err(Unbuildable::PlainHttp { .. })));
        for url in ["https://${field.key}.example/", "https://${got.x}/"] {
            assert!(with_host(&get(url), "h.example").is_err(), "{url}");
        }
    }

    #[test]
    fn a_host_variable_with_choices_takes_no_other() {
        let provider = provider(
            "[[var]]\nid = 'host'\nlabel = 'h'\nhost = true\nchoices = ['smsc.example']\n\
             [[check]]\nid = 'ask'\neffects = 'none'\nrequest = { method = 'GET', url = 'https://${var.host}/' }\n",
        );
        let ask = |host: &str| {
            let mut credential = crate::check::stage::credential(&provider, &[]);
            credential.vars.insert("host".to_owned(), host.to_owned());
            build(&provider.check[0], &Values::new(&provider, &credential), Way::default()).is_ok()
        };
        assert!(ask("smsc.example") && !ask("evil.example"));
    }

    #[test]
    fn a_missing_value_is_named() {
        let missing = request(&get("https://api.example/${field.key}"), &[("key", "")]).unwrap_err();
        assert_eq!(missing, Unbuildable::Missing { place: "field.key".into() });
    }

    #[test]
    fn a_request_is_shown_without_its_secrets() {
        let provider = acme(
            "[check.request]\nmethod = 'POST'\nurl = 'https://api.example/bot${field.key}/x'\nquery = { k = '${field.key}' }\n\
             headers = { h = 'Bearer ${field.key}' }\njson = { k = '${field.key}' }\n\
             [check.auth]\nstrategy = 'basic'\nusername = '${field.user}'\npassword = '${field.key}'\n",
        );
        let secret = "s3cr/et+\"value";
        let request = request(&provider, &[("key", secret), ("user", "u")]).unwrap();
        let credential = crate::check::stage::credential(&provider, &[("key", secret), ("user", "u")]);
        let shown = request.show(&Values::new(&provider, &credential).redactor());
        assert_eq!(shown.matches("[secret]").count(), 5, "{shown}");
        assert!(!shown.contains("s3cr") && !shown.contains("value\""), "{shown}");
        assert_eq!(format!("{request:?}"), "Request(POST to api.example, 4 headers, 23 bytes)");
    }

    #[test]
    fn a_user_agent_may_be_replaced_and_json_is_asked_for() {
        let provider = acme("request = { method = 'GET', url = 'https://api.example/', user_agent = 'Mozilla/5.0' }\n");
        let request = request(&provider, &[]).unwrap();
        assert_eq!(request.header("user-agent"), Some("Mozilla/5.0"));
        assert_eq!(request.header("accept"), Some("application/json"));
    }

    fn decode(text: &str) -> String {
        form_urlencoded::parse(format!("k={}", text.replace('+', "%2B")).as_bytes()).next().unwrap().1.into_owned()
    }
}
