//! Where requests go, and what goes with them.

use std::collections::BTreeMap;

use super::Report;
use super::names::ancestors;
use super::page::{Becomes, Page};
use super::spot::{Spot, at};
use crate::provider::template::{Hole, Part, Scope};
use crate::provider::{Auth, Effects, Elsewhere, Method, Provider, Shape, Strategy, Template, Var};

pub(super) fn https(page: &Page<'_>, report: &mut Report<'_>) {
    for written in &page.templates {
        if matches!(written.becomes, Becomes::Link | Becomes::Address(_)) && !starts_with_hole(&written.template) {
            secure(&written.spot, written.template.source(), report);
        }
    }
    for (nth, source) in page.provider.provenance.source.iter().enumerate() {
        if let Some(url) = &source.url {
            secure(&at("provenance").key("source").nth(nth).key("url"), url, report);
        }
    }
    for (spot, _, change) in page.states() {
        if let Some(change) = change {
            secure(&spot.key("change").key("source"), &change.source, report);
        }
    }
    for (index, var) in page.provider.var.iter().enumerate().filter(|(_, var)| var.host && var.kind == Shape::Url) {
        let spot = at("var").nth(index);
        let written = var.default.iter().map(|default| (spot.key("default"), default.source()));
        let presets = var.preset.iter().enumerate();
        let presets = presets.map(|(nth, preset)| (spot.key("preset").nth(nth).key("value"), preset.value.source()));
        let example = var.example.iter().map(|example| (spot.key("example"), example.as_str()));
        for (spot, url) in written.chain(presets).chain(example) {
            secure(&spot, url, report);
        }
    }
}

fn secure(spot: &Spot, url: &str, report: &mut Report<'_>) {
    if !url.starts_with("https://") {
        report.say(spot, "the address does not start with `https://`");
    }
}

fn starts_with_hole(template: &Template) -> bool {
    matches!(template.parts().first(), Some(Part::Hole(_)))
}

pub(super) fn hosts(page: &Page<'_>, report: &mut Report<'_>) {
    for written in &page.templates {
        if matches!(written.becomes, Becomes::Link | Becomes::Address(_))
            && let Err(what) = host(page.provider, &written.template)
        {
            let hint = "a host is literal text or a variable with `host = true`";
            report.say_with(&written.spot, what, hint);
        }
    }
}

/// Looks at the part of a URL that decides where a request goes.
fn host(provider: &Provider, url: &Template) -> Result<(), String> {
    if let [Part::Hole(hole), rest @ ..] = url.parts() {
        let ends = rest.first().is_none_or(|part| matches!(part, Part::Text(text) if text.starts_with('/')));
        return match host_var(provider, hole) {
            Some(var) if var.kind == Shape::Url && ends => Ok(()),
            Some(var) if var.kind == Shape::Url => Err(format!("`/` has to follow `${{{hole}}}`")),
            Some(_) => Err(format!("`${{{hole}}}` is no URL: `https://` stands before it")),
            None => Err(format!("`${{{hole}}}` decides the host")),
        };
    }
    let mut literal = String::new();
    for part in url.parts() {
        match part {
            Part::Text(text) => {
                let text = text.strip_prefix("https://").unwrap_or(text);
                let end = text.find(['/', '?', '#']);
                literal.push_str(&text[..end.unwrap_or(text.len())]);
                if end.is_some() {
                    break;
                }
            }
            Part::Hole(hole) => match host_var(provider, hole) {
                Some(var) if var.kind == Shape::Url => return Err(format!("`${{{hole}}}` is a whole URL")),
                Some(_) => literal.push('x'),
                None => return Err(format!("`${{{hole}}}` decides the host")),
            },
        }
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "-.:".contains(c);
    if literal.is_empty() || !literal.chars().all(plain) {
        return Err(format!("`{literal}` is not a host"));
    }
    Ok(())
}

/// The variable, when it may decide a host.
fn host_var<'a>(provider: &'a Provider, hole: &Hole) -> Option<&'a Var> {
    let var = provider.var(&hole.id).filter(|_| hole.scope == Scope::Var && hole.filters.is_empty());
    var.filter(|var| var.host)
}

pub(super) fn query(page: &Page<'_>, report: &mut Report<'_>) {
    for written in &page.templates {
        let holes: Vec<&Hole> = match written.becomes {
            Becomes::Query(_) => written.template.holes().collect(),
            Becomes::Address(_) => {
                let parts = written.template.parts().iter();
                let query = parts.skip_while(|part| !matches!(part, Part::Text(text) if text.contains('?')));
                query.filter_map(|part| if let Part::Hole(hole) = part { Some(hole) } else { None }).collect()
            }
            _ => continue,
        };
        for hole in holes.into_iter().filter(|hole| is_secret(page, hole)) {
            let hint = "send it in the body or in a header; where the service insists, use the strategy `query`";
            report.say_with(&written.spot, format!("`${{{hole}}}` is secret, and queries end up in logs"), hint);
        }
    }
}

fn is_secret(page: &Page<'_>, hole: &Hole) -> bool {
    match hole.scope {
        Scope::Field => page.is_secret(&hole.id),
        Scope::Got => {
            page.provider.check.iter().any(|check| check.extract.get(&hole.id).is_some_and(|extract| extract.secret))
        }
        Scope::Mint => true,
        Scope::Var | Scope::Cert => false,
    }
}

/// The keys that a strategy needs, and those that it may have besides.
fn keys_of(strategy: Strategy) -> (&'static [&'static str], &'static [&'static str]) {
    match strategy {
        Strategy::None => (&[], &[]),
        Strategy::Header | Strategy::Query => (&["name", "value"], &[]),
        Strategy::Basic => (&["username", "password"], &[]),
        Strategy::AwsSigv4 => (&["access_key_id", "secret_access_key", "region", "service"], &["session_token"]),
        Strategy::Oauth1Hmac => (&["consumer_key", "consumer_secret"], &["token", "token_secret", "callback"]),
        Strategy::Oauth2ClientProbe => {
            (&["token_url", "client_id", "client_secret", "code"], &["client_auth", "redirect_uri", "pack"])
        }
        Strategy::Oauth2ClientCredentials => {
            (&["token_url", "client_id", "client_secret"], &["client_auth", "scopes", "pack"])
        }
        Strategy::Oauth2Refresh => {
            (&["token_url", "client_id", "refresh_token"], &["client_secret", "client_auth", "scopes", "pack"])
        }
        Strategy::Oauth2AuthorizePreflight => {
            (&["authorize_url", "client_id", "redirect_uri"], &["scopes", "params", "user_agent", "pack"])
        }
        Strategy::JwtBearer => (&["token_url", "assertion"], &["pack"]),
        Strategy::JwtLocal => (&["alg", "secret", "sample"], &[]),
    }
}

/// The keys that are set, without `strategy`.
fn set_keys(auth: &Auth) -> Vec<&'static str> {
    let keys = [
        ("pack", auth.pack.is_some()),
        ("name", auth.name.is_some()),
        ("value", auth.value.is_some()),
        ("username", auth.username.is_some()),
        ("password", auth.password.is_some()),
        ("access_key_id", auth.access_key_id.is_some()),
        ("secret_access_key", auth.secret_access_key.is_some()),
        ("session_token", auth.session_token.is_some()),
        ("region", auth.region.is_some()),
        ("service", auth.service.is_some()),
        ("token_url", auth.token_url.is_some()),
        ("authorize_url", auth.authorize_url.is_some()),
        ("client_id", auth.client_id.is_some()),
        ("client_secret", auth.client_secret.is_some()),
        ("client_auth", auth.client_auth.is_some()),
        ("redirect_uri", auth.redirect_uri.is_some()),
        ("code", auth.code.is_some()),
        ("scopes", !auth.scopes.is_empty()),
        ("params", !auth.params.is_empty()),
        ("user_agent", auth.user_agent.is_some()),
        ("refresh_token", auth.refresh_token.is_some()),
        ("consumer_key", auth.consumer_key.is_some()),
        ("consumer_secret", auth.consumer_secret.is_some()),
        ("token", auth.token.is_some()),
        ("token_secret", auth.token_secret.is_some()),
        ("callback", auth.callback.is_some()),
        ("assertion", auth.assertion.is_some()),
        ("alg", auth.alg.is_some()),
        ("secret", auth.secret.is_some()),
        ("sample", auth.sample.is_some()),
    ];
    keys.into_iter().filter(|(_, set)| *set).map(|(key, _)| key).collect()
}

pub(super) fn strategy(page: &Page<'_>, report: &mut Report<'_>) {
    for (index, check) in page.provider.check.iter().enumerate() {
        let spot = at("check").nth(index).key("auth");
        let word = check.auth.strategy.word();
        let (needed, allowed) = keys_of(check.auth.strategy);
        let set = set_keys(&check.auth);
        for key in needed.iter().filter(|key| !set.contains(key)) {
            report.say(&spot, format!("the strategy `{word}` needs `{key}`"));
        }
        for key in set.into_iter().filter(|key| !needed.contains(key) && !allowed.contains(key)) {
            report.say(&spot.key(key), format!("the strategy `{word}` has no `{key}`"));
        }
    }
}

pub(super) fn request(page: &Page<'_>, report: &mut Report<'_>) {
    for (index, check) in page.provider.check.iter().enumerate() {
        let spot = at("check").nth(index);
        let word = check.auth.strategy.word();
        let Some(request) = &check.request else {
            if !check.auth.strategy.makes_request() {
                report.say(&spot, format!("the strategy `{word}` needs a `request`"));
            }
            continue;
        };
        let spot = spot.key("request");
        if check.auth.strategy.makes_request() {
            report.say(&spot, format!("the strategy `{word}` makes the request itself"));
        }
        if request.form.is_some() && request.json.is_some() {
            report.say(&spot.key("json"), "a request has a form or a document, not both");
        }
        let has_body = request.form.is_some() || request.json.is_some();
        if has_body && matches!(request.method, Method::GET | Method::HEAD) {
            report.say(&spot.key("method"), "a request with a body is not a GET or HEAD");
        }
    }
}

/// The variables of `elsewhere` decide where the check asks, and asking there again does no harm.
pub(super) fn elsewhere(page: &Page<'_>, report: &mut Report<'_>) {
    for (index, check) in page.provider.check.iter().enumerate() {
        let spot = at("check").nth(index).key("elsewhere");
        match &check.elsewhere {
            None => continue,
            Some(Elsewhere::Choices(id)) => chosen(page, index, &spot, id, report),
            Some(Elsewhere::Places(places)) => {
                for (nth, place) in places.iter().enumerate() {
                    visited(page, index, &spot.nth(nth), place, report);
                }
            }
        }
        if check.effects > Effects::IssuesToken {
            let what = format!("a rejected check is asked elsewhere too, and its effect is `{}`", check.effects.word());
            report.say(&spot, what);
        }
    }
}

/// `elsewhere` with one variable.
fn chosen(page: &Page<'_>, check: usize, spot: &Spot, id: &str, report: &mut Report<'_>) {
    let Some(var) = known_var(page, spot, id, report) else { return };
    if !var.host || var.choices.len() < 2 {
        report.say_with(spot, format!("`{id}` does not choose a host"), "it needs `host = true` and `choices`");
    }
    if !is_in_address(page, check, id) {
        let check = &page.provider.check[check].id;
        report.say(spot, format!("`{id}` is not in the address of `{check}`"));
    }
}

/// One place of several variables.
fn visited(page: &Page<'_>, check: usize, spot: &Spot, place: &BTreeMap<String, String>, report: &mut Report<'_>) {
    for (id, value) in place {
        let Some(var) = known_var(page, spot, id, report) else { continue };
        if !var.choices.is_empty() && !var.choices.contains(value) {
            report.say(&spot.key(id), format!("`{value}` is not a choice of `{id}`"));
        }
    }
    let decides = |id: &String| page.provider.var(id).is_some_and(|var| var.host) && is_in_address(page, check, id);
    if !place.keys().any(decides) {
        let check = &page.provider.check[check].id;
        report.say(spot, format!("none of these variables decides the host of `{check}`"));
    }
}

fn known_var<'p>(page: &Page<'p>, spot: &Spot, id: &str, report: &mut Report<'_>) -> Option<&'p Var> {
    let var = page.provider.var(id);
    if var.is_none() {
        let known = page.provider.var.iter().map(|var| var.id.as_str());
        report.unknown(spot, format!("there is no variable `{id}`"), id, known);
    }
    var
}

fn is_in_address(page: &Page<'_>, check: usize, id: &str) -> bool {
    page.templates.iter().any(|written| {
        written.becomes == Becomes::Address(check)
            && written.template.holes().any(|hole| hole.scope == Scope::Var && hole.id == id)
    })
}

pub(super) fn after(page: &Page<'_>, report: &mut Report<'_>) {
    let provider = page.provider;
    for (index, check) in provider.check.iter().enumerate() {
        let spot = at("check").nth(index).key("after");
        for (nth, id) in check.after.iter().enumerate() {
            match provider.check(id) {
                None => {
                    let known = provider.check.iter().map(|check| check.id.as_str());
                    report.unknown(&spot.nth(nth), format!("there is no check `{id}`"), id, known);
                }
                Some(earlier) if earlier.optional && !check.optional => {
                    report.say(&spot.nth(nth), format!("`{id}` is optional, and `{}` is not", check.id));
                }
                Some(_) => {}
            }
        }
        if ancestors(provider, &check.id).contains(check.id.as_str()) {
            report.say(&spot, format!("`{}` waits for itself", check.id));
        }
    }
}
