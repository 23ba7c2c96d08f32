//! What stands in a reply, and whether a rule's conditions hold for it. Pure.

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use regex_lite::Regex;
use serde_json::Value as Json;
use url::Url;
use zeroize::Zeroizing;

use super::certify;
use super::http::Reply;
use crate::provider::rule::{Conditions, Decode, Scalar};
use crate::provider::template::{LookUp, Scope};
use crate::provider::{Expect, Match, Test};

/// A reply, read once.
pub(super) struct Facts<'a> {
    pub(super) reply: &'a Reply,
    json: Option<Json>,
    text: Json,
    asked: &'a Url,
}

impl<'a> Facts<'a> {
    pub(super) fn read(reply: &'a Reply, asked: &'a Url) -> Self {
        let text = String::from_utf8_lossy(&reply.body);
        let text = text.trim_start_matches('\u{feff}').trim();
        Self { reply, json: serde_json::from_str(text).ok(), text: Json::String(text.to_owned()), asked }
    }

    fn body(&self) -> &str {
        self.text.as_str().unwrap_or_default()
    }

    /// Whether something else than the service's own interface seems to have answered.
    pub(super) fn is_strange(&self, expect: Expect) -> bool {
        let body = self.body();
        let html_type = self.reply.header("content-type").any(|kind| {
            let kind = kind.to_ascii_lowercase();
            kind.starts_with("text/html") || kind.starts_with("application/xhtml")
        });
        let start: String = body.chars().take(256).collect::<String>().to_ascii_lowercase();
        // Many a service calls its one line of text HTML; a page has tags, or is empty.
        let html = (html_type && (body.is_empty() || body.contains('<')))
            || start.starts_with("<!doctype html")
            || start.contains("<html");
        match expect {
            // What parses is what was due, whatever its type says.
            Expect::Json if self.json.is_some() => false,
            Expect::Json => html || start.starts_with('<'),
            Expect::Xml | Expect::Text => html,
            Expect::Html | Expect::Any => false,
        }
    }

    /// Where a redirect points.
    pub(super) fn location(&self) -> Option<Url> {
        self.reply.header("location").find_map(|to| self.asked.join(to).ok())
    }

    /// The values at `pointer`, in which `*` stands for any member or element. A `null` is not there.
    pub(super) fn json_values(&self, pointer: &str) -> impl Iterator<Item = &Json> {
        let mut found: Vec<&Json> = self.json.iter().collect();
        let tokens = if pointer.is_empty() { Vec::new() } else { pointer.split('/').skip(1).collect() };
        for token in tokens {
            found = found.into_iter().flat_map(|value| step(value, token)).collect();
        }
        found.into_iter().filter(|value| !value.is_null())
    }

    pub(super) fn json_passes(&self, pointer: &str, test: &Test, entered: &dyn LookUp) -> bool {
        any_passes(test, self.json_values(pointer), entered)
    }

    /// The service's own word for what it thinks, where it has one that may be shown.
    pub(super) fn code(&self) -> Option<String> {
        const PLACES: [&str; 9] = [
            "/error",
            "/error/code",
            "/error_code",
            "/code",
            "/errorCode",
            "/Error/Code",
            "/error/type",
            "/errors/0/code",
            "/status/code",
        ];
        let word = |text: &String| {
            !text.is_empty()
                && text.len() <= 64
                && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.:-".contains(&b))
        };
        let in_json = PLACES.iter().find_map(|place| self.json_values(place).find_map(as_text).filter(word));
        in_json.or_else(|| {
            let (_, after) = self.body().split_once("<Code>")?;
            let (code, _) = after.split_once("</Code>")?;
            Some(code.to_owned()).filter(word)
        })
    }
}

/// One step of a JSON pointer (RFC 6901 section 4).
fn step<'a>(value: &'a Json, token: &str) -> Vec<&'a Json> {
    match (value, token) {
        (Json::Array(items), "*") => items.iter().collect(),
        (Json::Object(members), "*") => members.values().collect(),
        (Json::Array(items), _) => token.parse().ok().and_then(|at: usize| items.get(at)).into_iter().collect(),
        (Json::Object(members), _) => members.get(&token.replace("~1", "/").replace("~0", "~")).into_iter().collect(),
        _ => Vec::new(),
    }
}

/// Whether all conditions hold.
pub(super) fn holds(when: &Match, facts: &Facts<'_>, entered: &dyn LookUp) -> bool {
    let texts = |values: Vec<String>| values.into_iter().map(Json::String).collect::<Vec<_>>();
    let header = |name: &String| texts(facts.reply.header(name).map(str::to_owned).collect());
    let query = |name: &String| {
        let location = facts.location();
        let pairs = location.iter().flat_map(Url::query_pairs).filter(|(key, _)| key == name.as_str());
        texts(pairs.map(|(_, value)| value.into_owned()).collect())
    };
    when.status.as_ref().is_none_or(|status| status.fits(facts.reply.status))
        && when.json.iter().all(|(pointer, test)| facts.json_passes(pointer, test, entered))
        && when.header.iter().all(|(name, test)| any_passes(test, header(name).iter(), entered))
        && when.location_query.iter().all(|(name, test)| any_passes(test, query(name).iter(), entered))
        && when.body.as_ref().is_none_or(|test| passes(test, &facts.text, entered))
}

/// Whether one of `values` passes; when there is none, whether that was asked for.
fn any_passes<'a>(test: &Test, values: impl Iterator<Item = &'a Json>, entered: &dyn LookUp) -> bool {
    let mut values = values.peekable();
    match test.conditions.exists {
        Some(false) => values.peek().is_none(),
        _ => values.any(|value| passes(test, value, entered)),
    }
}

/// Whether `value`, which is there, passes.
pub(super) fn passes(test: &Test, value: &Json, entered: &dyn LookUp) -> bool {
    let Conditions { eq, not_eq, exists, one_of, contains, matches, same_as, certifies, ignore_case, decode } =
        &test.conditions;
    let decoded;
    let value = match decode {
        Some(Decode::Base64url) => match value.as_str().and_then(base64url) {
            Some(text) => {
                decoded = Json::String(text);
                &decoded
            }
            None => return false,
        },
        None => value,
    };
    let text = as_text(value);
    let fold = |text: &str| if *ignore_case { text.to_lowercase() } else { text.to_owned() };
    let in_text = |find: &dyn Fn(&str) -> bool| text.as_deref().is_some_and(find);
    let equals = |scalar: &Scalar| scalar.equals(value, *ignore_case);
    *exists != Some(false)
        && eq.as_ref().is_none_or(equals)
        && !not_eq.as_ref().is_some_and(equals)
        && one_of.as_ref().is_none_or(|list| list.iter().any(equals))
        && contains.as_ref().is_none_or(|part| in_text(&|text| fold(text).contains(&fold(part))))
        && matches
            .as_ref()
            .is_none_or(|regex| in_text(&|text| Regex::new(regex).is_ok_and(|regex| regex.is_match(text))))
        && same_as.as_ref().is_none_or(|field| {
            let wanted = entered.look_up(Scope::Field, field).or_else(|| entered.look_up(Scope::Var, field));
            wanted.is_some_and(|wanted| in_text(&|text| fold(text) == fold(&wanted)))
        })
        && certifies.as_ref().is_none_or(|field| {
            // The key stays here: only its public half is compared.
            let key = entered.look_up(Scope::Field, field).map(Zeroizing::new);
            key.is_some_and(|key| in_text(&|text| certify::certifies(text, &key)))
        })
}

/// A scalar as text.
pub(super) fn as_text(value: &Json) -> Option<String> {
    match value {
        Json::String(text) => Some(text.clone()),
        Json::Number(number) => Some(number.to_string()),
        Json::Bool(truth) => Some(truth.to_string()),
        Json::Null | Json::Array(_) | Json::Object(_) => None,
    }
}

fn base64url(text: &str) -> Option<String> {
    let lenient = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    let bytes = GeneralPurpose::new(&URL_SAFE, lenient).decode(text.trim()).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::stage::{asked, bare, json};
    use crate::provider::Rule;

    fn entered(scope: Scope, id: &str) -> Option<String> {
        (scope == Scope::Field && id == "bot").then(|| "My_Bot".to_owned())
    }

    fn fits(when: &str, reply: &Reply) -> bool {
        let rule: Rule = toml::from_str(&format!("id = 'x'\nverdict = 'rejected'\nwhen = {when}")).unwrap();
        holds(&rule.when, &Facts::read(reply, &asked()), &entered)
    }

    fn on(body: &str, pointer: &str, test: &str) -> bool {
        fits(&format!("{{ json = {{ '{pointer}' = {test} }} }}"), &json(200, body))
    }

    #[test]
    fn a_pointer_leads_as_the_rfc_says() {
        // RFC 6901 section 5.
        let document = r#"{"foo":["bar","baz"],"":0,"a/b":1,"c%d":2,"m~n":8," ":7}"#;
        for (pointer, value) in
            [("/foo/0", "'bar'"), ("/", "0"), ("/a~1b", "1"), ("/c%d", "2"), ("/m~0n", "8"), ("/ ", "7")]
        {
            assert!(on(document, pointer, value), "{pointer}");
        }
        for pointer in ["/foo/2", "/foo/-", "/foo/x", "/nothing", "/foo/0/x"] {
            assert!(!on(document, pointer, "{ exists = true }"), "{pointer}");
        }
        assert!(on("true", "", "true") && !on("false", "", "true"));
    }

    #[test]
    fn a_star_stands_for_any_element_or_member() {
        let document =
            r#"{"errors":[{"reason":"a"},{"reason":"b"}],"groups":{"7":{"write":true},"all":{"write":false}}}"#;
        assert!(on(document, "/errors/*/reason", "'b'") && !on(document, "/errors/*/reason", "'c'"));
        assert!(on(document, "/groups/*/write", "true") && on(document, "/*/*/reason", "'a'"));
        assert!(
            on(document, "/errors/*/nothing", "{ exists = false }") && !on(document, "/errors/*", "{ exists = false }")
        );
        assert!(!on(r#"{"errors":[]}"#, "/errors/*", "{ not_eq = 'x' }"));
    }

    #[test]
    fn each_test_tells_what_it_says() {
        let document = r#"{"s":"Root: ABC","n":20003,"b":true,"null":null,"list":[1],"bot":"my_bot","code":"20003"}"#;
        let holding = [
            ("/s", "{ contains = 'ABC' }"),
            ("/s", "{ contains = 'abc', ignore_case = true }"),
            ("/s", "{ matches = '^Root: [A-C]+$' }"),
            ("/s", "{ eq = 'root: abc', ignore_case = true }"),
            ("/s", "{ not_eq = 'x' }"),
            ("/s", "{ in = ['x', 'Root: ABC'] }"),
            ("/n", "20003"),
            ("/n", "{ contains = '2000' }"),
            ("/n", "{ matches = '^2' }"),
            ("/b", "{ matches = '^true$' }"),
            ("/b", "true"),
            ("/null", "{ exists = false }"),
            ("/list", "{ exists = true }"),
            ("/bot", "{ same_as = 'bot', ignore_case = true }"),
            ("/code", "'20003'"),
        ];
        for (pointer, test) in holding {
            assert!(on(document, pointer, test), "{pointer} {test}");
        }
        let failing = [
            ("/s", "{ contains = 'abc' }"),
            ("/s", "{ matches = '^ABC' }"),
            ("/s", "{ matches = '(' }"),
            ("/s", "{ not_eq = 'Root: ABC' }"),
            ("/s", "{ in = [] }"),
            ("/s", "{ exists = false }"),
            ("/n", "'20003'"),
            ("/code", "20003"),
            ("/null", "{ exists = true }"),
            ("/null", "{ not_eq = 'x' }"),
            ("/nothing", "{ not_eq = 'x' }"),
            ("/list", "{ contains = '1' }"),
            ("/bot", "{ same_as = 'bot' }"),
            ("/bot", "{ same_as = 'nothing' }"),
            ("/s", "{ contains = 'ABC', matches = 'nothing' }"),
        ];
        for (pointer, test) in failing {
            assert!(!on(document, pointer, test), "{pointer} {test}");
        }
    }

    #[test]
    fn a_header_is_found_whatever_its_case_and_any_of_several_may_fit() {
        let mut reply = bare(201, "X-Subject-Token", "t");
        reply.headers.push(("x-subject-token".into(), "u".into()));
        assert!(fits("{ status = 201, header = { 'x-subject-token' = { exists = true } } }", &reply));
        assert!(fits("{ header = { 'X-SUBJECT-TOKEN' = 'u' } }", &reply));
        assert!(!fits("{ status = 200, header = { 'x-subject-token' = 't' } }", &reply));
        assert!(fits("{ header = { 'x-other' = { exists = false } } }", &reply));
    }

    #[test]
    fn a_parameter_of_the_location_is_decoded() {
        let code = GeneralPurpose::new(&URL_SAFE, GeneralPurposeConfig::new())
            .encode(b"\x0a\x15redirect_uri_mismatch\x12\xff");
        for location in [
            format!("https://accounts.example/error?authError={code}&x=1"),
            format!("/error?authError={}", code.trim_end_matches('=')),
        ] {
            let reply = bare(302, "location", &location);
            let when = |part: &str| {
                format!("{{ location_query = {{ authError = {{ decode = 'base64url', contains = '{part}' }} }} }}")
            };
            assert!(fits(&when("redirect_uri_mismatch"), &reply), "{location}");
            assert!(!fits(&when("invalid_client"), &reply));
            assert!(!fits("{ location_query = { authError = { contains = 'redirect_uri_mismatch' } } }", &reply));
            assert!(fits("{ status = '3xx', location_query = { other = { exists = false } } }", &reply));
        }
        let not_encoded = bare(302, "location", "/?authError=%21%21");
        assert!(!fits("{ location_query = { authError = { decode = 'base64url', exists = true } } }", &not_encoded));
    }

    #[test]
    fn the_body_is_tested_as_text() {
        let reply = json(403, "\u{feff}<Error><Code>AccessDenied</Code></Error>");
        assert!(fits("{ body = { contains = 'AccessDenied' } }", &reply));
        assert!(fits("{ body = { matches = '^<Error>' } }", &reply));
        assert!(!fits("{ body = { contains = 'Granted' } }", &reply));
    }

    #[test]
    fn the_services_own_code_is_a_word_or_nothing() {
        let code = |body: &str| Facts::read(&json(400, body), &asked()).code();
        assert_eq!(code(r#"{"error":"invalid_client"}"#).as_deref(), Some("invalid_client"));
        assert_eq!(code(r#"{"error":{"code":401}}"#).as_deref(), Some("401"));
        assert_eq!(code(r#"{"code":20003}"#).as_deref(), Some("20003"));
        assert_eq!(code(r#"{"error":"authorise error","error_code":2}"#).as_deref(), Some("2"));
        assert_eq!(code("<Error><Code>InvalidAccessKeyId</Code></Error>").as_deref(), Some("InvalidAccessKeyId"));
        assert_eq!(code(r#"{"error":"your key is \"hunter2\""}"#), None);
        assert_eq!(code(""), None);
    }
}
