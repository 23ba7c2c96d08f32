//! What the answers of a token endpoint mean (RFC 6749 section 5, RFC 7523 section 3.1), where a file does not say
//! otherwise. Pure.
//!
//! A code that cannot exist is refused with `invalid_grant` by a service that has authenticated the client, and with
//! `invalid_client` by one that has not. Some services look at the code first: `pack = "none"` is for them.

use url::Url;

use super::facts::Facts;
use super::judge::Finding;
use crate::provider::template::{Encoding, LookUp, Scope};
use crate::provider::{Check, Pack, Strategy, Template};
use crate::verdict::Verdict;

/// What the pack says, or `None` when it is switched off or does not know the answer.
pub(super) fn decide(check: &Check, facts: &Facts<'_>, entered: &dyn LookUp) -> Option<Finding> {
    let default = match check.auth.strategy {
        Strategy::Oauth2ClientProbe
        | Strategy::Oauth2ClientCredentials
        | Strategy::Oauth2Refresh
        | Strategy::Oauth2AuthorizePreflight
        | Strategy::JwtBearer => Pack::Rfc6749,
        _ => Pack::None,
    };
    if check.auth.pack.unwrap_or(default) == Pack::None {
        return None;
    }
    if check.auth.strategy == Strategy::Oauth2AuthorizePreflight {
        return sent_back(check, facts, entered);
    }
    if matches!(facts.reply.status, 429 | 300..=399 | 500..) {
        return None;
    }
    let word = |pointer: &str| facts.json_values(pointer).find_map(|value| value.as_str().map(str::to_owned));
    let token = word("/access_token").filter(|token| !token.is_empty());
    // Some services spell the codes of the standard in upper case, or send them with a 200.
    match (word("/error"), token) {
        (Some(code), _) => refused(check, &code.to_ascii_lowercase()),
        (None, Some(_)) if facts.reply.status < 300 => Some(issued(check)),
        (None, _) => None,
    }
}

/// A server sends the browser back, with a code or with an error, only to a redirect URI that it knows: to any other it
/// must not (RFC 6749 section 4.1.2.1).
fn sent_back(check: &Check, facts: &Facts<'_>, entered: &dyn LookUp) -> Option<Finding> {
    let own = check.auth.redirect_uri.as_ref()?.fill(entered, Encoding::Plain).ok()?;
    let (own, to) = (Url::parse(&own).ok()?, facts.location()?);
    let is_redirect = matches!(facts.reply.status, 301..=303 | 307 | 308);
    let same = own.origin() == to.origin() && own.path() == to.path();
    // What stands in the query of the registered one stays there.
    let keeps = own.query_pairs().all(|pair| to.query_pairs().any(|other| other == pair));
    (is_redirect && own.has_host() && same && keeps).then(|| accepted(check, "redirected-back"))
}

fn issued(check: &Check) -> Finding {
    if check.auth.strategy == Strategy::Oauth2ClientProbe {
        return Finding::inconclusive("token-for-no-code")
            .saying("the service issued a token for a code that it never gave out; its answer proves nothing");
    }
    accepted(check, "token-issued")
}

fn refused(check: &Check, code: &str) -> Option<Finding> {
    let probe = check.auth.strategy == Strategy::Oauth2ClientProbe;
    Some(match code {
        "invalid_grant" if probe => accepted(check, "client-authenticated"),
        "invalid_grant" if check.auth.strategy == Strategy::JwtBearer => rejected(check, "invalid-grant"),
        "invalid_grant" if check.auth.strategy == Strategy::Oauth2Refresh => {
            let mut finding = rejected(check, "invalid-grant");
            finding.blame = fields_in(&check.auth.refresh_token);
            finding
        }
        "invalid_client" => rejected(check, "invalid-client"),
        "redirect_uri_mismatch" => limited(check, "redirect-uri-mismatch", "redirect_uri"),
        "unauthorized_client" => limited(check, "unauthorized-client", "grant_type"),
        "invalid_request" | "unsupported_grant_type" => Finding::inconclusive("answered-before-client-auth"),
        "invalid_scope" => Finding::inconclusive("invalid-scope"),
        "temporarily_unavailable" | "server_error" => Finding::inconclusive("server-error"),
        "slow_down" => Finding::inconclusive("rate-limited"),
        _ => return None,
    })
}

fn accepted(check: &Check, why: &str) -> Finding {
    let mut finding = Finding::new(Verdict::Accepted, why);
    finding.proven.clone_from(&check.proves);
    finding
}

fn rejected(check: &Check, why: &str) -> Finding {
    let mut finding = Finding::new(Verdict::Rejected, why);
    finding.blame = fields(check);
    finding
}

/// The client was authenticated; one thing is missing.
fn limited(check: &Check, why: &str, missing: &str) -> Finding {
    let mut finding = Finding::new(Verdict::Limited, why);
    finding.proven = check.proves.iter().filter(|claim| *claim != missing).cloned().collect();
    finding.missing = vec![missing.to_owned()];
    finding
}

/// The fields that the request was authenticated with.
fn fields(check: &Check) -> Vec<String> {
    let auth = &check.auth;
    let templates = auth.client_id.iter().chain(&auth.client_secret);
    fields_in(templates.chain(check.mint.values().map(|mint| &mint.key)))
}

fn fields_in<'t>(templates: impl IntoIterator<Item = &'t Template>) -> Vec<String> {
    let mut fields = Vec::new();
    for hole in templates.into_iter().flat_map(Template::holes).filter(|hole| hole.scope == Scope::Field) {
        if !fields.contains(&hole.id) {
            fields.push(hole.id.clone());
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::stage::{asked, bare, json, provider};
    use crate::provider::Provider;
    use Verdict::{Accepted, Inconclusive, Limited, Rejected};

    fn client(auth: &str) -> Provider {
        provider(&format!(
            "[[check]]\nid = 'pair'\nproves = ['id', 'secret', 'redirect_uri']\neffects = 'none'\n\
             mint = {{ a = {{ alg = 'HS256', key = '${{field.key}}' }} }}\n\
             [check.auth]\nclient_id = '${{field.id}}'\nclient_secret = '${{field.secret}}'\n{auth}"
        ))
    }

    fn nothing(_: Scope, _: &str) -> Option<String> {
        None
    }

    fn find(provider: &Provider, status: u16, body: &str) -> Option<Finding> {
        decide(&provider.check[0], &Facts::read(&json(status, body), &asked()), &nothing)
    }

    fn outcome(strategy: &str, status: u16, body: &str) -> Option<(Verdict, String)> {
        find(&client(&format!("strategy = '{strategy}'\n")), status, body).map(|finding| (finding.verdict, finding.why))
    }

    fn preflight(status: u16, location: &str) -> Option<(Verdict, String)> {
        let provider = provider(
            "[[check]]\nid = 'page'\nproves = ['redirect_uri']\noptional = true\neffects = 'none'\n\
             auth = { strategy = 'oauth2-authorize-preflight', authorize_url = 'https://login.example/a', client_id = 'c', \
             redirect_uri = '${var.redirect_uri}' }\n",
        );
        let own =
            |_: Scope, id: &str| (id == "redirect_uri").then(|| "https://portal.example/back.aspx?a=b".to_owned());
        let found = decide(&provider.check[0], &Facts::read(&bare(status, "location", location), &asked()), &own);
        found.map(|finding| (finding.verdict, finding.why))
    }

    #[test]
    fn a_redirect_to_the_redirect_uri_shows_that_it_is_registered_whatever_it_carries() {
        for query in ["a=b&code=x", "error=invalid_scope&a=b&state=keyward", "a=b"] {
            let found = preflight(302, &format!("https://portal.example/back.aspx?{query}"));
            assert_eq!(found, Some((Accepted, "redirected-back".to_owned())), "{query}");
        }
        assert!(preflight(303, "https://PORTAL.example:443/back.aspx?a=b#error=x").is_some());
    }

    #[test]
    fn a_redirect_that_only_looks_like_it_shows_nothing() {
        for location in [
            "https://portal.example/back.aspx",
            "https://portal.example/back.aspx/?a=b",
            "https://portal.example/other?a=b",
            "http://portal.example/back.aspx?a=b",
            "https://portal.example:8443/back.aspx?a=b",
            "https://portal.example.evil.example/back.aspx?a=b",
            "https://login.example/error?redirect_uri=https://portal.example/back.aspx?a=b",
            "/back.aspx?a=b",
        ] {
            assert_eq!(preflight(302, location), None, "{location}");
        }
        assert_eq!(preflight(200, "https://portal.example/back.aspx?a=b"), None, "nobody is sent anywhere");
    }

    #[test]
    fn a_refused_refresh_token_is_blamed_and_a_refused_client_is_blamed() {
        let provider = client("strategy = 'oauth2-refresh'\nrefresh_token = '${field.refresh}'\n");
        let grant = find(&provider, 400, r#"{"error":"invalid_grant"}"#).unwrap();
        assert_eq!((grant.verdict, grant.blame), (Rejected, vec!["refresh".to_owned()]));
        let client = find(&provider, 401, r#"{"error":"invalid_client"}"#).unwrap();
        assert_eq!((client.verdict, &client.blame[..2]), (Rejected, &["id".to_owned(), "secret".to_owned()][..]));
        let issued = find(&provider, 200, r#"{"access_token":"t"}"#).unwrap();
        assert_eq!((issued.verdict, issued.why.as_str()), (Accepted, "token-issued"));
    }

    #[test]
    fn the_codes_of_the_standard_mean_what_each_grant_makes_of_them() {
        let rows = [
            ("oauth2-client-probe", 400, "invalid_grant", Accepted, "client-authenticated"),
            ("oauth2-client-probe", 401, "invalid_client", Rejected, "invalid-client"),
            ("oauth2-client-probe", 400, "redirect_uri_mismatch", Limited, "redirect-uri-mismatch"),
            ("oauth2-client-probe", 400, "unauthorized_client", Limited, "unauthorized-client"),
            ("oauth2-client-probe", 400, "invalid_request", Inconclusive, "answered-before-client-auth"),
            ("oauth2-client-probe", 400, "unsupported_grant_type", Inconclusive, "answered-before-client-auth"),
            ("oauth2-client-credentials", 401, "invalid_client", Rejected, "invalid-client"),
            ("oauth2-client-credentials", 400, "unauthorized_client", Limited, "unauthorized-client"),
            ("oauth2-client-credentials", 400, "invalid_scope", Inconclusive, "invalid-scope"),
            ("oauth2-refresh", 400, "invalid_grant", Rejected, "invalid-grant"),
            ("oauth2-refresh", 401, "invalid_client", Rejected, "invalid-client"),
            ("jwt-bearer", 400, "invalid_grant", Rejected, "invalid-grant"),
            ("jwt-bearer", 200, "INVALID_CLIENT", Rejected, "invalid-client"),
            ("jwt-bearer", 400, "temporarily_unavailable", Inconclusive, "server-error"),
        ];
        for (strategy, status, code, verdict, why) in rows {
            let body = format!("{{\"error\":\"{code}\"}}");
            assert_eq!(outcome(strategy, status, &body), Some((verdict, why.to_owned())), "{strategy} {code}");
        }
    }

    #[test]
    fn a_token_proves_the_client_but_not_when_no_code_was_given_out() {
        let token = r#"{"access_token":"t","token_type":"bearer"}"#;
        assert_eq!(outcome("oauth2-client-credentials", 200, token), Some((Accepted, "token-issued".into())));
        assert_eq!(outcome("jwt-bearer", 201, token), Some((Accepted, "token-issued".into())));
        assert_eq!(outcome("oauth2-client-probe", 200, token), Some((Inconclusive, "token-for-no-code".into())));
        assert_eq!(outcome("jwt-bearer", 200, r#"{"access_token":""}"#), None);
        assert_eq!(outcome("jwt-bearer", 400, token), None);
        let refused = r#"{"access_token":"t","error":"invalid_client"}"#;
        assert_eq!(outcome("oauth2-client-credentials", 200, refused), Some((Rejected, "invalid-client".into())));
    }

    #[test]
    fn the_pack_says_nothing_where_it_is_off_or_does_not_know() {
        let refused = r#"{"error":"invalid_client"}"#;
        assert!(find(&client("strategy = 'oauth2-client-probe'\npack = 'none'\n"), 401, refused).is_none());
        assert!(find(&client("strategy = 'none'\n"), 401, refused).is_none());
        assert!(find(&client("strategy = 'none'\npack = 'rfc6749'\n"), 401, refused).is_some());
        for (status, body) in [(429, refused), (500, refused), (302, refused), (400, r#"{"error":"other"}"#), (400, "")]
        {
            assert_eq!(outcome("oauth2-client-probe", status, body), None, "{status} {body}");
        }
        assert_eq!(outcome("oauth2-client-credentials", 400, r#"{"error":"invalid_grant"}"#), None);
    }

    #[test]
    fn a_refusal_blames_what_was_sent_and_a_limit_proves_the_rest() {
        let provider = client("strategy = 'oauth2-client-probe'\n");
        assert_eq!(find(&provider, 401, r#"{"error":"invalid_client"}"#).unwrap().blame, ["id", "secret", "key"]);
        let limited = find(&provider, 400, r#"{"error":"redirect_uri_mismatch"}"#).unwrap();
        assert_eq!(
            (limited.proven, limited.missing),
            (vec!["id".into(), "secret".into()], vec!["redirect_uri".to_owned()])
        );
        let known = find(&provider, 400, r#"{"error":"invalid_grant"}"#).unwrap();
        assert_eq!(known.proven, ["id", "secret", "redirect_uri"]);
    }
}
