//! Token requests (RFC 6749, RFC 7523): the `oauth2` crate writes them, we send and judge them.
//!
//! The crate never gets an answer: it takes the raw body of one into its errors, and calls an answer that it cannot
//! read a failure, which would say nothing about the credential.

use std::borrow::Cow;
use std::cell::RefCell;

use oauth2::basic::BasicClient;
use oauth2::{
    AuthType, AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointNotSet, EndpointSet, HttpRequest,
    HttpResponse, RedirectUrl, RefreshToken, Scope, TokenUrl,
};
use thiserror::Error;
use url::{Url, form_urlencoded};
use zeroize::Zeroizing;

use super::address;
use super::probe::{FORM, Request, Unbuildable, needed};
use super::values::Values;
use crate::provider::template::Encoding;
use crate::provider::{Auth, ClientAuth, Method, Template};

/// A code that no service issues.
pub(super) const NO_SUCH_CODE: &str = "keyward-no-such-code-0000000000000000";

/// `urn:ietf:params:oauth:grant-type:jwt-bearer` (RFC 7523 section 2.1).
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

type Client = BasicClient<EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointSet>;

/// Exchanges a code that cannot exist (RFC 6749 section 4.1.3): a service that looks at the client first says whether
/// it knows it.
pub(super) fn client_probe(auth: &Auth, values: &Values<'_>) -> Result<Request, Unbuildable> {
    needed(auth.client_secret.as_ref(), "client_secret")?;
    let client = client(auth, values)?;
    let code = AuthorizationCode::new(auth.code.clone().unwrap_or_else(|| NO_SUCH_CODE.to_owned()));
    let mut exchange = client.exchange_code(code);
    if let Some(template) = &auth.redirect_uri {
        exchange = exchange.set_redirect_uri(Cow::Owned(redirect_uri(template, values)?));
    }
    capture(|keep| drop(exchange.request(&keep)))
}

/// Asks for a token of the client's own (RFC 6749 section 4.4).
pub(super) fn client_credentials(auth: &Auth, values: &Values<'_>) -> Result<Request, Unbuildable> {
    needed(auth.client_secret.as_ref(), "client_secret")?;
    let client = client(auth, values)?;
    let exchange = client.exchange_client_credentials().add_scopes(scopes(auth));
    capture(|keep| drop(exchange.request(&keep)))
}

/// Exchanges a refresh token for an access token (RFC 6749 section 6). A public client has no secret.
pub(super) fn refresh(auth: &Auth, values: &Values<'_>) -> Result<Request, Unbuildable> {
    let token = needed(auth.refresh_token.as_ref(), "refresh_token")?.fill(values, Encoding::Plain)?;
    let (client, token) = (client(auth, values)?, RefreshToken::new(token));
    let exchange = client.exchange_refresh_token(&token).add_scopes(scopes(auth));
    capture(|keep| drop(exchange.request(&keep)))
}

/// Opens the page where people sign in (RFC 6749 section 4.1.1), as a browser without any cookie would. No secret goes
/// there: what a service does with a redirect URI shows whether it knows it.
pub(super) fn authorize_preflight(auth: &Auth, values: &Values<'_>) -> Result<Request, Unbuildable> {
    let url = address::fill(needed(auth.authorize_url.as_ref(), "authorize_url")?, values)?;
    let id = needed(auth.client_id.as_ref(), "client_id")?.fill(values, Encoding::Plain)?;
    let template = needed(auth.redirect_uri.as_ref(), "redirect_uri")?;
    let client = BasicClient::new(ClientId::new(id))
        .set_auth_uri(AuthUrl::from_url(url))
        .set_redirect_uri(redirect_uri(template, values)?);
    let params: Vec<(&str, String)> = (auth.params.iter())
        .map(|(name, value)| Ok((name.as_str(), value.fill(values, Encoding::Plain)?)))
        .collect::<Result<_, Unbuildable>>()?;
    let (url, _) = client.authorize_url(|| CsrfToken::new("keyward".to_owned())).add_scopes(scopes(auth)).url();
    let mut request = Request::new(Method::GET, with_params(&url, &params));
    request.set_header("accept", "text/html,application/json;q=0.9,*/*;q=0.8");
    if let Some(agent) = &auth.user_agent {
        request.set_header("user-agent", agent.as_str());
    }
    Ok(request)
}

/// The address with these parameters, each in the place of one of the same name.
fn with_params(url: &Url, params: &[(&str, String)]) -> Url {
    let kept: Vec<_> = url.query_pairs().filter(|(name, _)| !params.iter().any(|(own, _)| own == name)).collect();
    let mut changed = url.clone();
    changed.query_pairs_mut().clear().extend_pairs(kept).extend_pairs(params);
    changed
}

fn scopes(auth: &Auth) -> impl Iterator<Item = Scope> {
    auth.scopes.iter().cloned().map(Scope::new)
}

fn redirect_uri(template: &Template, values: &Values<'_>) -> Result<RedirectUrl, Unbuildable> {
    RedirectUrl::new(template.fill(values, Encoding::Plain)?)
        .map_err(|_| Unbuildable::BadAddress { place: place(template) })
}

/// Exchanges a signed assertion for a token (RFC 7523 section 2.1).
pub(super) fn jwt_bearer(auth: &Auth, values: &Values<'_>) -> Result<Request, Unbuildable> {
    let mut request = Request::new(Method::POST, token_url(auth, values)?);
    let assertion = Zeroizing::new(needed(auth.assertion.as_ref(), "assertion")?.fill(values, Encoding::Plain)?);
    let mut body = form_urlencoded::Serializer::new(String::new());
    body.append_pair("grant_type", JWT_BEARER).append_pair("assertion", &assertion);
    request.body = Zeroizing::new(body.finish().into_bytes());
    request.set_header("accept", "application/json");
    request.set_header("content-type", FORM);
    Ok(request)
}

fn token_url(auth: &Auth, values: &Values<'_>) -> Result<Url, Unbuildable> {
    address::fill(needed(auth.token_url.as_ref(), "token_url")?, values)
}

fn client(auth: &Auth, values: &Values<'_>) -> Result<Client, Unbuildable> {
    let id = needed(auth.client_id.as_ref(), "client_id")?.fill(values, Encoding::Plain)?;
    let secret = auth.client_secret.as_ref().map(|secret| secret.fill(values, Encoding::Plain)).transpose()?;
    let auth_type = match auth.client_auth.unwrap_or(ClientAuth::Post) {
        ClientAuth::Post => AuthType::RequestBody,
        ClientAuth::Basic => AuthType::BasicAuth,
    };
    let client = BasicClient::new(ClientId::new(id))
        .set_auth_type(auth_type)
        .set_token_uri(TokenUrl::from_url(token_url(auth, values)?));
    Ok(match secret {
        Some(secret) => client.set_client_secret(ClientSecret::new(secret)),
        None => client,
    })
}

fn place(template: &Template) -> String {
    template.holes().next().map(ToString::to_string).unwrap_or_default()
}

/// The crate sends through a closure; this one keeps the request and lets nothing out.
#[derive(Debug, Error)]
#[error("kept")]
struct Kept;

fn capture(write: impl FnOnce(&dyn Fn(HttpRequest) -> Result<HttpResponse, Kept>)) -> Result<Request, Unbuildable> {
    let kept = RefCell::new(None);
    write(&|request| {
        kept.replace(Some(request));
        Err(Kept)
    });
    let unwritten = || Unbuildable::File("the token request could not be written".to_owned());
    let written: HttpRequest = kept.into_inner().ok_or_else(unwritten)?;
    let url = Url::parse(&written.uri().to_string()).map_err(|_| unwritten())?;
    let mut request = Request::new(Method::POST, url);
    for (name, value) in written.headers() {
        request.set_header(name.as_str(), value.to_str().map_err(|_| unwritten())?);
    }
    request.body = Zeroizing::new(written.into_body());
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::stage::{provider, request};

    const ID: &str = "id 1&x=y";
    const SECRET: &str = "s/e+c%r\u{e9}t\r\n:";

    fn asked(auth: &str) -> Request {
        let provider = provider(&format!(
            "[[field]]\nid = 'id'\nlabel = 'i'\n[[field]]\nid = 'secret'\nlabel = 's'\nsecret = true\n\
             [[check]]\nid = 'pair'\neffects = 'none'\nmint = {{ a = {{ alg = 'HS256', key = '${{field.secret}}' }} }}\n\
             [check.auth]\ntoken_url = 'https://login.example/oauth/token'\n{auth}"
        ));
        request(&provider, &[("id", ID), ("secret", SECRET)]).unwrap()
    }

    fn client(strategy: &str, more: &str) -> Request {
        asked(&format!(
            "strategy = '{strategy}'\nclient_id = '${{field.id}}'\nclient_secret = '${{field.secret}}'\n{more}"
        ))
    }

    fn form(request: &Request) -> Vec<(String, String)> {
        form_urlencoded::parse(&request.body).into_owned().collect()
    }

    fn value(request: &Request, name: &str) -> Option<String> {
        form(request).into_iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    #[test]
    fn a_probe_exchanges_a_code_that_cannot_exist() {
        let request = client("oauth2-client-probe", "redirect_uri = 'https://portal.example/oauth2.aspx'\n");
        assert_eq!((request.method, request.url.as_str()), (Method::POST, "https://login.example/oauth/token"));
        assert_eq!(request.header("content-type"), Some(FORM));
        let wanted = [
            ("grant_type", "authorization_code"),
            ("code", NO_SUCH_CODE),
            ("client_id", ID),
            ("client_secret", SECRET),
            ("redirect_uri", "https://portal.example/oauth2.aspx"),
        ];
        for (name, expected) in wanted {
            assert_eq!(value(&request, name).as_deref(), Some(expected), "{name}");
        }
        assert_eq!(form(&request).len(), wanted.len());
        let shaped = client("oauth2-client-probe", "code = '1234567'\n");
        assert_eq!((value(&shaped, "code").as_deref(), value(&shaped, "redirect_uri")), (Some("1234567"), None));
    }

    #[test]
    fn a_client_may_be_named_in_the_header_as_the_standard_says() {
        let request = client("oauth2-client-probe", "client_auth = 'basic'\n");
        let pair: Vec<String> =
            [ID, SECRET].map(|text| form_urlencoded::byte_serialize(text.as_bytes()).collect()).into();
        let wanted = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, pair.join(":"));
        assert_eq!(request.header("authorization"), Some(format!("Basic {wanted}").as_str()));
        assert_eq!((value(&request, "client_id"), value(&request, "client_secret")), (None, None));
    }

    #[test]
    fn a_client_asks_for_a_token_of_its_own() {
        let request = client("oauth2-client-credentials", "scopes = ['a', 'b c']\n");
        assert_eq!(value(&request, "grant_type").as_deref(), Some("client_credentials"));
        assert_eq!(value(&request, "scope").as_deref(), Some("a b c"));
        assert_eq!(value(&request, "client_secret").as_deref(), Some(SECRET));
    }

    #[test]
    fn a_refresh_token_is_exchanged_and_a_public_client_has_no_secret() {
        let more = "refresh_token = '${field.secret}'\nscopes = ['a']\n";
        let request = client("oauth2-refresh", more);
        let wanted = [("grant_type", "refresh_token"), ("refresh_token", SECRET), ("scope", "a"), ("client_id", ID)];
        for (name, expected) in wanted {
            assert_eq!(value(&request, name).as_deref(), Some(expected), "{name}");
        }
        assert_eq!(value(&request, "client_secret").as_deref(), Some(SECRET));
        let public = asked(&format!("strategy = 'oauth2-refresh'\nclient_id = '${{field.id}}'\n{more}"));
        assert_eq!((value(&public, "client_id").as_deref(), value(&public, "client_secret")), (Some(ID), None));
    }

    fn preflight(more: &str) -> Request {
        asked(&format!(
            "strategy = 'oauth2-authorize-preflight'\nclient_id = '${{field.id}}'\n\
             redirect_uri = 'https://portal.example/oauth2.aspx?a=b'\n{more}"
        ))
    }

    fn query(request: &Request) -> Vec<(String, String)> {
        request.url.query_pairs().into_owned().collect()
    }

    #[test]
    fn the_sign_in_page_is_opened_with_what_the_standard_wants_and_without_a_secret() {
        let request = preflight("authorize_url = 'https://login.example/authorize?tenant=t'\nscopes = ['a', 'b:c']\n");
        assert_eq!((request.method, request.url.path()), (Method::GET, "/authorize"));
        let wanted = [
            ("tenant", "t"),
            ("response_type", "code"),
            ("client_id", ID),
            ("state", "keyward"),
            ("redirect_uri", "https://portal.example/oauth2.aspx?a=b"),
            ("scope", "a b:c"),
        ];
        assert_eq!(query(&request), wanted.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert!(
            request.body.is_empty() && request.header("authorization").is_none() && request.header("cookie").is_none()
        );
    }

    #[test]
    fn a_file_s_own_parameters_replace_the_usual_ones() {
        let request = preflight(
            "authorize_url = 'https://login.example/authorize'\nuser_agent = 'Mozilla/5.0'\n\
             params = { response_type = 'token', nonce = 'n&x=${field.id}' }\n",
        );
        let pairs = query(&request);
        let of = |name: &str| {
            pairs.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str()).collect::<Vec<_>>()
        };
        assert_eq!((of("response_type"), of("nonce")), (vec!["token"], vec![format!("n&x={ID}").as_str()]));
        assert_eq!((of("x").len(), request.header("user-agent")), (0, Some("Mozilla/5.0")));
    }

    #[test]
    fn an_assertion_is_exchanged() {
        let request = asked("strategy = 'jwt-bearer'\nassertion = '${mint.a}'\n");
        let wanted = "urn:ietf:params:oauth:grant-type:jwt-bearer";
        assert_eq!(value(&request, "grant_type").as_deref(), Some(wanted));
        assert_eq!(value(&request, "assertion").unwrap().split('.').count(), 3);
        assert_eq!(request.header("content-type"), Some(FORM));
    }

    #[test]
    fn a_redirect_uri_that_is_none_is_refused() {
        let provider = provider(
            "[[check]]\nid = 'pair'\neffects = 'none'\n[check.auth]\nstrategy = 'oauth2-client-probe'\n\
             token_url = 'https://login.example/t'\nclient_id = 'i'\nclient_secret = 's'\nredirect_uri = 'portal'\n",
        );
        assert!(matches!(request(&provider, &[]), Err(Unbuildable::BadAddress { .. })));
    }
}
