//! What a provider's fixtures let a stand-in answer: a request comes in, a reply as from the real service goes out.

use regex_lite::Regex;

use super::fixture::{rehearsed, render};
use super::http::Reply;
use super::probe::{self, Way};
use super::redact::Redactor;
use super::values::Values;
use crate::credential::Credential;
use crate::provider::template::Part;
use crate::provider::{Check, Fixture, Method, Provider, Template};
use crate::verdict::Verdict;

/// Plays a service: whoever sends the secrets of one credential gets an accepting answer, everybody else a refusal.
///
/// A signature is not looked at: where only that shows the secret, the answer accepts.
#[derive(Debug, Clone)]
pub struct Script {
    provider: Provider,
    good: Credential,
}

impl Script {
    /// The script of `provider`, which knows `good`.
    pub fn new(provider: Provider, good: Credential) -> Self {
        Self { provider, good }
    }

    /// What the service answers to a request, of which `text` is the whole.
    ///
    /// Status 404 when no check asks such a thing, 501 when no fixture says what to answer.
    pub fn answer(&self, method: &str, path: &str, text: &str) -> Reply {
        let plain = |status| Reply { status, ..Reply::default() };
        let values = Values::new(&self.provider, &self.good);
        let asks = |check: &&Check| values.hold(check.when.as_ref()) && is_asked(check, method, path);
        let Some(check) = self.provider.check.iter().find(asks) else { return plain(404) };
        let verdict = if self.knows(check, &values, text) { Verdict::Accepted } else { Verdict::Rejected };
        let shows = |fixture: &&Fixture| {
            fixture.check == check.id && fixture.expect.verdict == verdict && fixture.response.is_some()
        };
        self.provider
            .fixture
            .iter()
            .find(shows)
            .and_then(|fixture| {
                let values = rehearsed(&self.provider, &self.good, fixture);
                fixture.response.as_ref().and_then(|response| render(response, &values).ok())
            })
            .unwrap_or_else(|| plain(501))
    }

    /// Whether every secret that the check would send is in the request.
    fn knows(&self, check: &Check, values: &Values<'_>, text: &str) -> bool {
        // A later check shows what an earlier answer gave, not what was entered.
        let built = probe::build(check, values, Way { allow_private: true, ..Way::default() });
        let Ok(request) = built else { return true };
        let sent = request.show(&Redactor::default());
        self.good
            .secrets()
            .map(|secret| Redactor::new([secret.expose()]))
            .filter(|one| one.finds(&sent))
            .all(|one| one.finds(text))
    }
}

/// Whether a request to `path` is the one that `check` makes.
fn is_asked(check: &Check, method: &str, path: &str) -> bool {
    let (wanted, url) = match (&check.request, &check.auth.token_url, &check.auth.authorize_url) {
        (Some(request), ..) => (request.method, &request.url),
        (None, Some(url), _) => (Method::POST, url),
        (None, None, Some(url)) => (Method::GET, url),
        (None, None, None) => return false,
    };
    method == format!("{wanted:?}") && pattern(url).is_some_and(|pattern| pattern.is_match(path))
}

/// The path of a URL template, in which a value may be anything but a `/`.
fn pattern(url: &Template) -> Option<Regex> {
    // No URL holds a control character.
    let hole = "\u{1}";
    let marked: String = url.parts().iter().map(|part| if let Part::Text(text) = part { text } else { hole }).collect();
    let after_scheme = marked.split_once("://").map_or(marked.as_str(), |(_, rest)| rest);
    let (_, path) = after_scheme.split_once('/').unwrap_or((after_scheme, ""));
    let path = path.split('?').next().unwrap_or_default();
    let literal: Vec<String> = path.split(hole).map(regex_lite::escape).collect();
    Regex::new(&format!("^/{}$", literal.join("[^/]*"))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::stage::{credential, provider};

    fn script(request: &str) -> Script {
        let provider = provider(&format!(
            "[[field]]\nid = 'key'\nlabel = 'k'\nsecret = true\n\
             [[check]]\nid = 'ask'\neffects = 'none'\n{request}\n\
             [[fixture]]\nname = 'good'\ncheck = 'ask'\norigin = 'synthetic'\n\
             response = {{ status = 200, json = {{ ok = true }} }}\nexpect = {{ verdict = 'accepted' }}\n\
             [[fixture]]\nname = 'bad'\ncheck = 'ask'\norigin = 'synthetic'\n\
             response = {{ status = 401, json = {{ ok = false }} }}\nexpect = {{ verdict = 'rejected' }}\n"
        ));
        let good = credential(&provider, &[("key", "the-right/key")]);
        Script::new(provider, good)
    }

    #[test]
    fn who_sends_the_secret_is_accepted_and_who_does_not_is_refused() {
        let header =
            script("request = { method = 'GET', url = 'https://a.example/v1/me', headers = { x = '${field.key}' } }");
        assert_eq!(header.answer("GET", "/v1/me", "GET /v1/me\nx: the-right/key\n").status, 200);
        assert_eq!(header.answer("GET", "/v1/me", "GET /v1/me\nx: another-key\n").status, 401);
        let path = script("request = { method = 'GET', url = 'https://a.example/bot${field.key}/getMe' }");
        assert_eq!(path.answer("GET", "/botthe-right%2Fkey/getMe", "GET /botthe-right%2Fkey/getMe").status, 200);
        assert_eq!(path.answer("GET", "/botwrong/getMe", "GET /botwrong/getMe").status, 401);
    }

    #[test]
    fn what_no_check_asks_is_not_found_and_what_no_fixture_says_is_not_known() {
        let script = script("request = { method = 'GET', url = 'https://a.example/bot${field.key}/getMe?x=1' }");
        for (method, path) in [("POST", "/bota/getMe"), ("GET", "/bota/b/getMe"), ("GET", "/bota/getme"), ("GET", "/")]
        {
            assert_eq!(script.answer(method, path, "").status, 404, "{method} {path}");
        }
        let silent = Script { provider: Provider { fixture: Vec::new(), ..script.provider }, good: script.good };
        assert_eq!(silent.answer("GET", "/bota/getMe", "").status, 501);
    }

    #[test]
    fn a_base_address_and_a_token_endpoint_are_known_too() {
        let base =
            script("request = { method = 'POST', url = '${var.server}/command', json = { k = '${field.key}' } }");
        // Without the server's address nothing can be built, so nothing tells the keys apart.
        assert_eq!(base.answer("POST", "/command", "").status, 200);
        let token = script(
            "auth = { strategy = 'oauth2-client-probe', token_url = 'https://a.example/token', client_id = 'i', client_secret = '${field.key}' }",
        );
        assert_eq!(token.answer("POST", "/token", "client_secret=the-right%2Fkey").status, 200);
        assert_eq!(token.answer("POST", "/token", "client_secret=wrong").status, 401);
    }
}
