//! Requests that a strategy makes or signs, as a service gets them.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyward::standin::{SeenRequest, StandIn};
use ring::hmac;
use url::form_urlencoded;

use super::*;

const FIELDS: &str = "[[field]]\nid = 'id'\nlabel = 'i'\nformat = { good = ['id&1'] }\n\
    [[field]]\nid = 'key'\nlabel = 'k'\nsecret = true\nformat = { good = ['sample-key'] }\n\
    [[var]]\nid = 'redirect_uri'\nlabel = 'r'\nkind = 'url'\ndefault = 'https://portal.example/back?x=1'\n";

fn record(provider: &Provider, service: &StandIn) -> Record {
    let options = Options { endpoint: Some(service.url()), timeout: Some(TIMEOUT), ..Options::default() };
    ask(provider, &with_key(provider, &canary()), Door::shared(), &options, &SystemClock)
}

fn pairs(text: &str) -> BTreeMap<String, String> {
    form_urlencoded::parse(text.as_bytes()).into_owned().collect()
}

fn preflight() -> Provider {
    provider(&format!(
        "{FIELDS}[[check]]\nid = 'page'\nproves = ['redirect_uri']\neffects = 'none'\n\
         auth = {{ strategy = 'oauth2-authorize-preflight', authorize_url = 'https://login.invalid/authorize', \
         client_id = '${{field.id}}', redirect_uri = '${{var.redirect_uri}}', scopes = ['a', 'b'], params = {{ prompt = 'none' }} }}\n\
         [[check.rule]]\nid = 'unknown'\nwhy = 'redirect-uri-not-registered'\nverdict = 'limited'\nmissing = ['redirect_uri']\n\
         when = {{ status = 400, body = {{ contains = 'redirect_uri mismatch' }} }}\n\
         [[check.rule]]\nid = 'sign-in'\nverdict = 'accepted'\nwhen = {{ status = 200, body = {{ contains = 'name=\"password\"' }} }}\n"
    ))
}

#[test]
fn the_sign_in_page_is_asked_for_once_and_nothing_is_followed_or_kept() {
    let to = "https://portal.example/back?x=1&error=login_required&state=keyward";
    let service =
        StandIn::start(move |_| Answer::text(302, "").header("location", to).header("set-cookie", "session=1; Path=/"));
    let service = service.unwrap();
    for _ in 0..2 {
        let record = record(&preflight(), &service);
        assert_eq!((record.verdict, record.why.as_str()), (Verdict::Accepted, "redirected-back"));
        assert_eq!(record.proven, ["redirect_uri"]);
    }
    let seen = service.seen();
    assert_eq!(seen.len(), 2);
    for request in seen {
        assert_eq!((request.method.as_str(), request.path.as_str()), ("GET", "/authorize"));
        assert!(request.header("cookie").is_none() && request.header("authorization").is_none());
        assert!(!request.text().contains("canary"));
        let query = pairs(request.query.as_deref().unwrap());
        let wanted = [
            ("response_type", "code"),
            ("client_id", "id&1"),
            ("redirect_uri", "https://portal.example/back?x=1"),
            ("scope", "a b"),
            ("state", "keyward"),
            ("prompt", "none"),
        ];
        assert_eq!(query, wanted.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    }
}

#[test]
fn a_page_says_what_it_says_and_no_more() {
    let page = |status, body: &'static str| {
        let service = StandIn::start(move |_| Answer::text(status, body).header("content-type", "text/html")).unwrap();
        let record = record(&preflight(), &service);
        (record.verdict, record.why)
    };
    let limited = (Verdict::Limited, "redirect-uri-not-registered".to_owned());
    assert_eq!(page(400, "<!doctype html><html>redirect_uri mismatch</html>"), limited);
    assert_eq!(page(200, "<html><input name=\"password\"></html>"), (Verdict::Accepted, "sign-in".to_owned()));
    for (status, body) in [(200, "<html>Welcome to the guest network</html>"), (400, "<html>Oops</html>"), (403, "")] {
        assert_eq!(page(status, body).0, Verdict::Inconclusive, "{status} {body}");
    }
}

fn refresh() -> Provider {
    provider(&format!(
        "{FIELDS}[[check]]\nid = 'token'\nproves = ['key']\neffects = 'issues-token'\n\
         auth = {{ strategy = 'oauth2-refresh', token_url = 'https://login.invalid/token', client_id = '${{field.id}}', \
         refresh_token = '${{field.key}}' }}\n"
    ))
}

#[test]
fn a_refresh_token_is_sent_in_the_body_and_told_apart() {
    let service = StandIn::start(|seen: &SeenRequest| {
        let form = pairs(&String::from_utf8_lossy(&seen.body));
        match form.get("refresh_token") {
            Some(token) if *token == canary() => Answer::json(200, &json!({ "access_token": "t" })),
            _ => Answer::json(400, &json!({ "error": "invalid_grant" })),
        }
    })
    .unwrap();
    let good = record(&refresh(), &service);
    assert_eq!((good.verdict, good.why.as_str()), (Verdict::Accepted, "token-issued"));
    let seen = service.seen().remove(0);
    assert_eq!((seen.method.as_str(), seen.path.as_str(), &seen.query), ("POST", "/token", &None));
    assert_eq!(pairs(&String::from_utf8_lossy(&seen.body))["grant_type"], "refresh_token");
    let provider = refresh();
    let options = Options { endpoint: Some(service.url()), ..Options::default() };
    let bad = ask(&provider, &with_key(&provider, "another"), Door::shared(), &options, &SystemClock);
    assert_eq!((bad.verdict, bad.blame), (Verdict::Rejected, vec!["key".to_owned()]));
}

/// A server that signs what it got by itself (RFC 5849 section 3.2), and compares.
fn is_signed(seen: &SeenRequest, host: &str) -> bool {
    let encode = |text: &str| -> String {
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
        text.bytes()
            .map(|byte| if plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
            .collect()
    };
    let Some(header) = seen.header("authorization").and_then(|header| header.strip_prefix("OAuth ")) else {
        return false;
    };
    let mut own: BTreeMap<String, String> = header
        .split(", ")
        .filter_map(|part| part.split_once('='))
        .map(|(name, value)| (name.to_owned(), pairs(&format!("v={}", value.trim_matches('"')))["v"].clone()))
        .collect();
    let Some(signature) = own.remove("oauth_signature") else { return false };
    let parsed = |text: &str| form_urlencoded::parse(text.as_bytes()).into_owned().collect::<Vec<_>>();
    let mut all = parsed(seen.query.as_deref().unwrap_or_default());
    all.extend(parsed(&String::from_utf8_lossy(&seen.body)));
    all.extend(own);
    let mut all: Vec<String> = all.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    all.sort();
    let address = format!("http://{host}{}", seen.path);
    let base = [seen.method.clone(), encode(&address), encode(&all.join("&"))].join("&");
    let key = hmac::Key::new(
        hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        format!("{}&{}", encode(&canary()), encode("t/s")).as_bytes(),
    );
    STANDARD.decode(signature).is_ok_and(|signature| hmac::verify(&key, base.as_bytes(), &signature).is_ok())
}

#[test]
fn what_arrives_is_what_was_signed() {
    for body in ["form = { status = 'a b&c=d', x = '${field.id}' }", "json = { a = 1 }", ""] {
        let method = if body.is_empty() { "GET" } else { "POST" };
        let provider = provider(&format!(
            "{FIELDS}[[check]]\nid = 'who'\nproves = ['key']\neffects = 'none'\n\
             [check.request]\nmethod = '{method}'\nurl = 'https://api.invalid/1.1/who.json?skip=true'\n\
             query = {{ note = 'a+b c' }}\n{body}\n\
             [check.auth]\nstrategy = 'oauth1-hmac'\nconsumer_key = '${{field.id}}'\nconsumer_secret = '${{field.key}}'\n\
             token = 't'\ntoken_secret = 't/s'\n\
             [[check.rule]]\nid = 'known'\nverdict = 'accepted'\nwhen = {{ json = {{ '/ok' = true }} }}\n\
             [[check.rule]]\nid = 'unknown'\nverdict = 'rejected'\nblame = ['key']\nwhen = {{ status = 401 }}\n"
        ));
        let service = StandIn::start(|seen: &SeenRequest| {
            let signed = is_signed(seen, seen.header("host").unwrap_or_default());
            // A JSON document is not part of what is signed (section 3.4.1.3.1), which the server above does not know.
            let signed =
                signed || (seen.body.starts_with(b"{") && is_signed(&bodiless(seen), seen.header("host").unwrap()));
            Answer::json(if signed { 200 } else { 401 }, &json!({ "ok": signed }))
        })
        .unwrap();
        let good = record(&provider, &service);
        assert_eq!((good.verdict, good.why.as_str()), (Verdict::Accepted, "known"), "{body}: {:?}", good.seen);
        let options = Options { endpoint: Some(service.url()), ..Options::default() };
        let bad = ask(&provider, &with_key(&provider, "another"), Door::shared(), &options, &SystemClock);
        assert_eq!(bad.verdict, Verdict::Rejected, "{body}");
        let shown = format!("{good:?}{bad:?}");
        assert!(!shown.contains("canary"), "{shown}");
    }
}

fn bodiless(seen: &SeenRequest) -> SeenRequest {
    SeenRequest { body: Vec::new(), ..seen.clone() }
}
