//! The one door to the network: a request goes out, a reply or the reason for none comes back.
//!
//! It follows no redirect, repeats nothing, sends plain http to loopback only, reads at most 1 MiB, and no error
//! shows more of an address than its host. Nothing is built before the first request: certificates are not loaded
//! for a command that asks nobody.

use std::error::Error;
use std::fmt;
use std::io::{self, Read as _};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use hyper_util::client::proxy::matcher::Matcher;
use reqwest::blocking::{Client, Response};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use rustls::{ClientConfig, RootCertStore};
use url::{Host, Url};

use super::probe::Request;
use crate::provider::{Method, Transport};

/// The most bytes of a body that are read.
pub const MAX_BODY: usize = 1024 * 1024;

/// How we call ourselves.
pub const USER_AGENT: &str = concat!("keyward/", env!("CARGO_PKG_VERSION"));

/// Sends requests. The seam at which tests stand in for the network.
pub trait Sender: Sync {
    /// Sends `request` and waits at most `timeout` for the whole reply, counted from the start of the connection.
    ///
    /// # Errors
    ///
    /// [`Unanswered`] when no whole reply came in time. It says nothing about the credential.
    fn send(&self, request: &Request, timeout: Duration) -> Result<Reply, Unanswered>;
}

/// What a service answered.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// Name and value, in the order in which they came.
    pub headers: Vec<(String, String)>,
    /// The body, at most [`MAX_BODY`] bytes.
    pub body: Vec<u8>,
}

impl Reply {
    /// The values of the header `name`, whatever its case.
    pub fn header<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A body, and many a header, echoes what was sent.
        write!(f, "Reply({}, {} headers, {} bytes)", self.status, self.headers.len(), self.body.len())
    }
}

/// Why there is no reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unanswered {
    /// What kind of failure it was.
    pub transport: Transport,
    /// What was seen, without address and secret.
    pub seen: Option<String>,
}

impl From<Transport> for Unanswered {
    fn from(transport: Transport) -> Self {
        Self { transport, seen: None }
    }
}

impl Unanswered {
    fn seen(transport: Transport, seen: impl Into<String>) -> Self {
        Self { transport, seen: Some(seen.into()) }
    }
}

/// The real network.
///
/// There is one, it is built by its first request, and it is never dropped: dropping a client waits for every
/// name look-up that is still under way.
pub struct Door {
    tls: OnceLock<Result<Tls, Unanswered>>,
    /// For everybody else, through the proxy where one is set.
    outside: OnceLock<Result<Client, Unanswered>>,
    /// For this machine, never through a proxy.
    loopback: OnceLock<Result<Client, Unanswered>>,
}

/// The settings of TLS, and whether any certificate authority was found.
#[derive(Clone)]
struct Tls {
    config: ClientConfig,
    trusts_somebody: bool,
}

impl Door {
    /// The door of this process.
    pub fn shared() -> &'static Self {
        static DOOR: Door = Door { tls: OnceLock::new(), outside: OnceLock::new(), loopback: OnceLock::new() };
        &DOOR
    }

    fn tls(&self) -> Result<&Tls, Unanswered> {
        self.tls.get_or_init(Tls::load).as_ref().map_err(Clone::clone)
    }

    fn client(&self, loopback: bool) -> Result<&Client, Unanswered> {
        let slot = if loopback { &self.loopback } else { &self.outside };
        slot.get_or_init(|| build(self.tls()?.config.clone(), loopback)).as_ref().map_err(Clone::clone)
    }
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Door")
    }
}

impl Sender for Door {
    fn send(&self, request: &Request, timeout: Duration) -> Result<Reply, Unanswered> {
        let loopback = is_loopback(&request.url);
        if request.url.scheme() == "http" && !loopback {
            return Err(Unanswered::seen(Transport::Refused, "plain http is only sent to this machine"));
        }
        let client = self.client(loopback)?;
        let trip = Trip { proxied: !loopback && is_proxied(&request.url), https: request.url.scheme() == "https" };
        let started = Instant::now();
        let sent = client
            .request(method(request.method), request.url.clone())
            .headers(headers(request)?)
            .body(request.body.to_vec())
            .timeout(timeout)
            .send()
            .map_err(|error| self.explain(trip, &error.without_url()))?;
        read(sent, request.method, timeout.saturating_sub(started.elapsed())).map_err(|failure| match failure {
            Unread::TooLarge => Unanswered::seen(Transport::TooLarge, "the answer is larger than 1 MiB"),
            Unread::Failed(error) => self.explain(trip, &error),
        })
    }
}

impl Door {
    fn explain(&self, trip: Trip, error: &(dyn Error + 'static)) -> Unanswered {
        let mut unanswered = trip.explain(error);
        let trusts_somebody = self.tls().is_ok_and(|tls| tls.trusts_somebody);
        if unanswered.transport == Transport::Tls && !trusts_somebody {
            unanswered.seen = Some(
                "this machine has no certificate authorities; install ca-certificates or set SSL_CERT_FILE".to_owned(),
            );
        }
        unanswered
    }
}

impl Tls {
    /// Loads the authorities that `SSL_CERT_FILE` and `SSL_CERT_DIR` name, or else the system's.
    fn load() -> Result<Self, Unanswered> {
        let (roots, added) = authorities();
        let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| Unanswered::seen(Transport::Tls, error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { config, trusts_somebody: added > 0 })
    }
}

/// The certificate authorities that are trusted here, and how many there are.
fn authorities() -> (RootCertStore, usize) {
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    (roots, added)
}

/// How many certificate authorities are trusted here: those of `SSL_CERT_FILE` and `SSL_CERT_DIR`, or else the system's.
pub fn root_count() -> usize {
    authorities().1
}

fn build(tls: ClientConfig, loopback: bool) -> Result<Client, Unanswered> {
    let builder = Client::builder()
        .tls_backend_preconfigured(tls)
        .user_agent(USER_AGENT)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false);
    let builder = if loopback { builder.no_proxy() } else { builder };
    builder.build().map_err(|error| Unanswered::seen(Transport::Tls, error.without_url().to_string()))
}

fn method(method: Method) -> reqwest::Method {
    match method {
        Method::GET => reqwest::Method::GET,
        Method::HEAD => reqwest::Method::HEAD,
        Method::POST => reqwest::Method::POST,
        Method::PUT => reqwest::Method::PUT,
        Method::DELETE => reqwest::Method::DELETE,
    }
}

fn headers(request: &Request) -> Result<HeaderMap, Unanswered> {
    // The request was built from valid parts; the parts of one that was not must not be shown.
    let refuse = || Unanswered::seen(Transport::Garbage, "a header cannot be sent");
    let mut map = HeaderMap::new();
    for (name, value) in &request.headers {
        let name = HeaderName::try_from(name.as_str()).map_err(|_| refuse())?;
        let mut value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| refuse())?;
        value.set_sensitive(true);
        map.insert(name, value);
    }
    Ok(map)
}

/// Why a body could not be read.
enum Unread {
    TooLarge,
    Failed(io::Error),
}

fn read(mut response: Response, method: Method, left: Duration) -> Result<Reply, Unread> {
    let limit = MAX_BODY as u64;
    if method != Method::HEAD && response.content_length().is_some_and(|length| length > limit) {
        return Err(Unread::TooLarge);
    }
    let status = response.status().as_u16();
    let headers = response
        .headers()
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    let mut body = Vec::new();
    let deadline = Instant::now() + left;
    let mut piece = [0; 16 * 1024];
    loop {
        match response.read(&mut piece) {
            Ok(0) => return Ok(Reply { status, headers, body }),
            Ok(count) => body.extend_from_slice(&piece[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Unread::Failed(error)),
        }
        if body.len() > MAX_BODY {
            return Err(Unread::TooLarge);
        }
        // A service may send a byte now and then for ever.
        if Instant::now() > deadline {
            return Err(Unread::Failed(io::ErrorKind::TimedOut.into()));
        }
    }
}

/// What is known of a request when it fails.
#[derive(Clone, Copy)]
struct Trip {
    proxied: bool,
    https: bool,
}

impl Trip {
    fn explain(self, error: &(dyn Error + 'static)) -> Unanswered {
        let causes = causes(error);
        let first = |find: &dyn Fn(&(dyn Error + 'static)) -> Option<Unanswered>| causes.iter().find_map(|c| find(*c));
        first(&timed_out)
            .or_else(|| first(&|cause| self.connecting(cause)))
            .or_else(|| first(&secured))
            .or_else(|| first(&|cause| self.system(cause)))
            .or_else(|| first(&garbled))
            .unwrap_or_else(|| Transport::Closed.into())
    }

    /// Failures before the service was reached.
    fn connecting(self, cause: &(dyn Error + 'static)) -> Option<Unanswered> {
        let error = cause.downcast_ref::<reqwest::Error>()?;
        let tunnel = causes(error).iter().any(|cause| cause.to_string().starts_with("tunnel error"));
        let unsecured = causes(error).iter().any(|cause| cause.is::<rustls::Error>());
        if tunnel || (self.proxied && error.is_connect() && !unsecured) {
            return Some(Unanswered::seen(Transport::Proxy, "the proxy did not connect"));
        }
        error.is_dns().then(|| Transport::Dns.into())
    }

    /// Failures that the operating system names.
    fn system(self, cause: &(dyn Error + 'static)) -> Option<Unanswered> {
        use io::ErrorKind as Kind;
        match cause.downcast_ref::<io::Error>()?.kind() {
            Kind::ConnectionRefused => Some(Transport::Refused.into()),
            Kind::NetworkUnreachable => Some(Unanswered::seen(Transport::Refused, "the network is unreachable")),
            Kind::HostUnreachable => Some(Unanswered::seen(Transport::Refused, "the host is unreachable")),
            // A handshake that breaks off has an end of file, and no error of TLS's own.
            Kind::UnexpectedEof if self.https && cause.to_string().contains("handshake") => {
                Some(Unanswered::seen(Transport::Tls, "the handshake broke off"))
            }
            Kind::InvalidData | Kind::InvalidInput => Some(Transport::Garbage.into()),
            _ => None,
        }
    }
}

fn timed_out(cause: &(dyn Error + 'static)) -> Option<Unanswered> {
    let reqwest = cause.downcast_ref::<reqwest::Error>().is_some_and(reqwest::Error::is_timeout);
    let system = cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::TimedOut);
    (reqwest || system).then(|| Transport::Timeout.into())
}

fn secured(cause: &(dyn Error + 'static)) -> Option<Unanswered> {
    let error = cause.downcast_ref::<rustls::Error>()?;
    Some(match error {
        rustls::Error::InvalidMessage(_) => Unanswered::seen(Transport::Tls, "the answer is not TLS"),
        _ => Unanswered::seen(Transport::Tls, error.to_string()),
    })
}

fn garbled(cause: &(dyn Error + 'static)) -> Option<Unanswered> {
    let error = cause.downcast_ref::<hyper::Error>()?;
    error.is_parse().then(|| Unanswered::seen(Transport::Garbage, "the answer is not HTTP"))
}

/// An error and what caused it. An [`io::Error`] hides the error that it wraps from `source`.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> Vec<&'a (dyn Error + 'static)> {
    let mut found = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next.filter(|_| found.len() < 16) {
        found.push(error);
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = wrapped.map(|inner| inner as &(dyn Error + 'static)).or_else(|| error.source());
    }
    found
}

fn is_proxied(url: &Url) -> bool {
    static PROXIES: OnceLock<Matcher> = OnceLock::new();
    let origin = url.origin().ascii_serialization();
    origin.parse().is_ok_and(|uri| PROXIES.get_or_init(Matcher::from_env).intercept(&uri).is_some())
}

/// Whether `url` leads to this machine: a loopback address, or a name under `localhost` (RFC 6761 section 6.3).
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.to_canonical().is_loopback(),
        None => false,
    }
}

/// Whether `url` names an address that is not on the public internet, loopback apart.
pub(super) fn is_private(url: &Url) -> bool {
    let address = match url.host() {
        Some(Host::Ipv4(address)) => IpAddr::V4(address),
        Some(Host::Ipv6(address)) => address.to_canonical(),
        Some(Host::Domain(_)) | None => return false,
    };
    match address {
        IpAddr::V4(address) => {
            let [first, second, ..] = address.octets();
            let carrier = first == 100 && (64..128).contains(&second);
            let beyond = address.is_multicast() || address.is_broadcast() || first == 0;
            address.is_private() || address.is_link_local() || carrier || beyond
        }
        IpAddr::V6(address) => is_private_v6(address),
    }
}

fn is_private_v6(address: Ipv6Addr) -> bool {
    address.is_unique_local() || address.is_unicast_link_local() || address.is_unspecified() || address.is_multicast()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn loopback_is_known_in_every_spelling() {
        let here = [
            "http://127.0.0.1/",
            "http://127.1/",
            "http://[::1]:8/",
            "http://[::ffff:127.0.0.1]/",
            "http://localhost/",
        ];
        for text in here {
            assert!(is_loopback(&url(text)), "{text}");
            assert!(!is_private(&url(text)), "{text}");
        }
        for text in ["http://localhost.example/", "http://128.0.0.1/", "http://example.com/", "http://[::2]/"] {
            assert!(!is_loopback(&url(text)), "{text}");
        }
    }

    #[test]
    fn private_addresses_are_known_and_public_ones_and_names_are_not() {
        let private = [
            "10.0.0.1",
            "192.168.1.1",
            "172.16.0.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "[fd00::1]",
            "[fe80::1]",
            "[::ffff:10.0.0.1]",
            "[::]",
            "0xa000001",
        ];
        for host in private {
            assert!(is_private(&url(&format!("https://{host}/"))), "{host}");
        }
        for host in ["8.8.8.8", "172.32.0.1", "100.128.0.1", "[2001:4860::1]", "intranet", "example.com"] {
            assert!(!is_private(&url(&format!("https://{host}/"))), "{host}");
        }
    }

    #[test]
    fn a_reply_shows_nothing_of_its_body() {
        let reply =
            Reply { status: 200, headers: vec![("x-token".into(), "hunter2".into())], body: b"hunter2".to_vec() };
        assert_eq!(format!("{reply:?}"), "Reply(200, 1 headers, 7 bytes)");
        assert_eq!(reply.header("X-Token").next(), Some("hunter2"));
    }
}
