//! Where a request may go: a URL template is filled so that no value changes more than its own place.

use thiserror::Error;
use url::Url;

use super::http;
use super::probe::Unbuildable;
use super::values::Values;
use crate::problem::{Explain, Kind};
use crate::provider::template::{Filter, Hole, Part, Scope, percent_encode};
use crate::provider::{Shape, Template};

/// An address that cannot stand in for a service's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BadEndpoint {
    /// It does not parse, or has a query, a fragment or a user name.
    #[error("the endpoint is not a plain URL")]
    NotPlain,
    /// It is not https, and not loopback.
    #[error("the endpoint would get secrets over plain http")]
    NotSecure,
}

impl Explain for BadEndpoint {
    fn kind(&self) -> Kind {
        Kind::Usage
    }
    fn code(&self) -> &'static str {
        "bad-endpoint"
    }
    fn hints(&self) -> Vec<String> {
        vec!["an endpoint is an https URL, or an http one on this machine, such as http://127.0.0.1:8080".to_owned()]
    }
}

/// Reads an address that replaces the origin of a provider's requests: https, or http to loopback.
///
/// # Errors
///
/// [`BadEndpoint`] for anything else.
pub fn endpoint(text: &str) -> Result<Url, BadEndpoint> {
    let url = Url::parse(text).ok().filter(is_plain).ok_or(BadEndpoint::NotPlain)?;
    if url.scheme() == "https" || http::is_loopback(&url) { Ok(url) } else { Err(BadEndpoint::NotSecure) }
}

/// Sends `url` to `endpoint`: its origin is replaced, and its path put behind the endpoint's.
pub(super) fn redirect(url: &Url, endpoint: &Url) -> Url {
    let mut to = endpoint.clone();
    let path = format!("{}{}", endpoint.path().trim_end_matches('/'), url.path());
    to.set_path(&path);
    to.set_query(url.query());
    to
}

/// Whether a secret may be sent to `url`. An endpoint that the operator named is private on purpose.
pub(super) fn may_go(url: &Url, allow_private: bool) -> Result<(), Unbuildable> {
    let host = || url.host_str().unwrap_or_default().to_owned();
    if url.scheme() != "https" && !http::is_loopback(url) {
        return Err(Unbuildable::PlainHttp { host: host() });
    }
    if http::is_private(url) && !allow_private {
        return Err(Unbuildable::Private { host: host() });
    }
    Ok(())
}

/// Fills a URL template. In a path or query a value is percent-encoded; in a host it may only be part of a name, and
/// at the very start it may be a whole base URL.
pub(super) fn fill(template: &Template, values: &Values<'_>) -> Result<Url, Unbuildable> {
    let mut text = String::new();
    for part in template.parts() {
        match part {
            Part::Text(literal) => text.push_str(literal),
            Part::Hole(hole) => {
                let piece = piece(&text, hole, values)?;
                text.push_str(&piece);
            }
        }
    }
    let bad =
        || Unbuildable::BadAddress { place: template.holes().next().map(ToString::to_string).unwrap_or_default() };
    if has_dot_segment(&text) {
        return Err(bad());
    }
    Url::parse(&text).ok().filter(is_plain_with_query).ok_or_else(bad)
}

fn piece(before: &str, hole: &Hole, values: &Values<'_>) -> Result<String, Unbuildable> {
    let value = hole.value(values)?;
    let in_host = before.split_once("://").is_none_or(|(_, rest)| !rest.contains(['/', '?', '#']));
    let fits = match (before.is_empty(), in_host) {
        (true, _) => may_name_host(hole, values).then(|| base(&value)).flatten(),
        (false, true) => (may_name_host(hole, values) && is_host_part(&value)).then_some(value),
        (false, false) if hole.filters.last() == Some(&Filter::Url) => Some(value),
        // A colon may stand in a path (RFC 3986 section 3.3), and what is sent by everybody else is best sent too:
        // Telegram's tokens have one.
        (false, false) if !before.contains('?') => Some(percent_encode(&value).replace("%3A", ":")),
        (false, false) => Some(percent_encode(&value)),
    };
    fits.ok_or_else(|| Unbuildable::BadAddress { place: hole.to_string() })
}

/// A host is named by the file, a variable, or a field that is for that; never by a secret or by an answer.
fn may_name_host(hole: &Hole, values: &Values<'_>) -> bool {
    match hole.scope {
        Scope::Var => values.provider().var(&hole.id).filter(|var| var.host).is_some_and(|var| {
            var.choices.is_empty() || values.var(&hole.id).is_some_and(|value| var.choices.iter().any(|c| c == value))
        }),
        Scope::Field => values
            .provider()
            .field(&hole.id)
            .is_some_and(|field| !field.secret && matches!(field.kind, Shape::Host | Shape::Url | Shape::Text)),
        Scope::Got | Scope::Mint | Scope::Cert => false,
    }
}

/// `https://host:port/path` without the last `/`.
fn base(value: &str) -> Option<String> {
    let url = Url::parse(value).ok().filter(is_plain)?;
    let base = url.as_str().trim_end_matches('/').to_owned();
    (!has_dot_segment(value)).then_some(base)
}

fn is_host_part(value: &str) -> bool {
    let (name, port) = value.split_once(':').unwrap_or((value, "0"));
    !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte))
        && !port.is_empty()
        && port.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_plain(url: &Url) -> bool {
    is_plain_with_query(url) && url.query().is_none()
}

fn is_plain_with_query(url: &Url) -> bool {
    matches!(url.scheme(), "https" | "http")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
        && url.fragment().is_none()
}

/// Whether the path holds a `.` or `..`, which a URL parser would resolve.
fn has_dot_segment(text: &str) -> bool {
    let after = text.split_once("://").map_or(text, |(_, rest)| rest);
    let path = after.split(['?', '#']).next().unwrap_or_default();
    path.split(['/', '\\']).skip(1).any(|segment| {
        let plain = segment.to_ascii_lowercase().replace("%2e", ".");
        plain == "." || plain == ".."
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_https_or_on_this_machine() {
        for good in ["https://gateway.example/base", "http://127.0.0.1:8080", "http://[::1]/", "http://localhost:1/x"] {
            assert!(endpoint(good).is_ok(), "{good}");
        }
        assert_eq!(endpoint("http://gateway.example/"), Err(BadEndpoint::NotSecure));
        for bad in ["gateway", "ftp://127.0.0.1/", "https://u:p@h/", "https://h/?q=1", "https://h/#f", "file:///x", ""]
        {
            assert_eq!(endpoint(bad), Err(BadEndpoint::NotPlain), "{bad}");
        }
    }

    #[test]
    fn an_endpoint_replaces_the_origin_and_keeps_path_and_query() {
        let to = |from: &str, endpoint: &str| redirect(&Url::parse(from).unwrap(), &Url::parse(endpoint).unwrap());
        let from = "https://api.example/v1/x%2Fy?a=b%26c";
        assert_eq!(to(from, "http://127.0.0.1:9").as_str(), "http://127.0.0.1:9/v1/x%2Fy?a=b%26c");
        assert_eq!(to(from, "https://h/base/").as_str(), "https://h/base/v1/x%2Fy?a=b%26c");
    }

    #[test]
    fn plain_http_and_private_addresses_are_refused() {
        let go = |url: &str, allow| may_go(&Url::parse(url).unwrap(), allow);
        assert!(go("https://api.example/", false).is_ok() && go("http://127.0.0.1/", false).is_ok());
        assert!(matches!(go("http://api.example/", true), Err(Unbuildable::PlainHttp { .. })));
        assert!(matches!(go("https://10.0.0.1/", false), Err(Unbuildable::Private { .. })));
        assert!(go("https://10.0.0.1/", true).is_ok());
        assert!(matches!(go("http://10.0.0.1/", true), Err(Unbuildable::PlainHttp { .. })));
    }
}
