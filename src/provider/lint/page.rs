//! A provider as the laws look at it: with all its templates and conditions collected, each with its place.

use std::collections::BTreeSet;

use super::Fits;
use super::spot::{Spot, at};
use crate::provider::template::{Hole, Scope};
use crate::provider::{
    Body, Change, Check, Mint, Provider, Request, Response, Rule, Status, Strategy, Template, Test, When,
};

/// A provider as the laws look at it.
pub(super) struct Page<'a> {
    pub(super) provider: &'a Provider,
    pub(super) text: &'a str,
    pub(super) fits: &'a Fits<'a>,
    /// Every template.
    pub(super) templates: Vec<Written>,
    /// Texts in documents that are no templates, with the reason.
    pub(super) broken: Vec<(Spot, String)>,
}

/// A template, where it stands, and what becomes of it.
pub(super) struct Written {
    pub(super) spot: Spot,
    pub(super) template: Template,
    pub(super) becomes: Becomes,
}

/// What becomes of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Becomes {
    /// It is shown.
    Shown,
    /// It is shown, and opened in a browser.
    Link,
    /// It is the value of the variable of this index.
    Value(usize),
    /// It is the address of the check of this index.
    Address(usize),
    /// It is in the query of the check of this index.
    Query(usize),
    /// It is sent by the check of this index.
    Sent(usize),
    /// It is signed for the check of this index.
    Minted(usize),
    /// It is an answer in a fixture.
    Echo,
}

impl Becomes {
    /// The check whose request it becomes part of.
    pub(super) fn check(self) -> Option<usize> {
        match self {
            Self::Address(check) | Self::Query(check) | Self::Sent(check) | Self::Minted(check) => Some(check),
            Self::Shown | Self::Link | Self::Value(_) | Self::Echo => None,
        }
    }
}

impl<'a> Page<'a> {
    pub(super) fn new(provider: &'a Provider, text: &'a str, fits: &'a Fits<'a>) -> Self {
        let mut page = Self { provider, text, fits, templates: Vec::new(), broken: Vec::new() };
        page.collect_shown();
        page.collect_vars();
        for (index, check) in provider.check.iter().enumerate() {
            page.collect_check(index, check);
        }
        for (index, fixture) in provider.fixture.iter().enumerate() {
            if let Some(response) = &fixture.response {
                page.collect_response(&at("fixture").nth(index).key("response"), response);
            }
        }
        page
    }

    fn put(&mut self, spot: Spot, template: &Template, becomes: Becomes) {
        self.templates.push(Written { spot, template: template.clone(), becomes });
    }

    fn collect_shown(&mut self) {
        let provider = self.provider;
        for (index, link) in provider.provider.links.iter().enumerate() {
            self.put(at("provider").key("links").nth(index).key("url"), &link.url, Becomes::Link);
        }
        for (index, step) in provider.step.iter().enumerate() {
            let spot = at("step").nth(index);
            self.put(spot.key("text"), &step.text, Becomes::Shown);
            if let Some(warning) = &step.warning {
                self.put(spot.key("warning"), warning, Becomes::Shown);
            }
            for (index, link) in step.links.iter().enumerate() {
                self.put(spot.key("links").nth(index).key("url"), &link.url, Becomes::Link);
            }
            for (index, paste) in step.paste.iter().enumerate() {
                self.put(spot.key("paste").nth(index).key("value"), &paste.value, Becomes::Shown);
            }
        }
        for (id, message) in &provider.message {
            self.put(at("message").key(id), message, Becomes::Shown);
        }
        for (key, text) in [("rotate", &provider.lifecycle.rotate), ("revoke", &provider.lifecycle.revoke)] {
            if let Some(text) = text {
                self.put(at("lifecycle").key(key), text, Becomes::Shown);
            }
        }
    }

    fn collect_vars(&mut self) {
        for (index, var) in self.provider.var.iter().enumerate() {
            let spot = at("var").nth(index);
            if let Some(default) = &var.default {
                self.put(spot.key("default"), default, Becomes::Value(index));
            }
            for (nth, preset) in var.preset.iter().enumerate() {
                self.put(spot.key("preset").nth(nth).key("value"), &preset.value, Becomes::Value(index));
            }
        }
    }

    fn collect_check(&mut self, index: usize, check: &Check) {
        let spot = at("check").nth(index);
        for (id, mint) in &check.mint {
            self.collect_mint(index, &spot.key("mint").key(id), mint);
        }
        if let Some(request) = &check.request {
            self.collect_request(index, &spot.key("request"), request);
        }
        let auth = &check.auth;
        let spot = spot.key("auth");
        let keys = [
            ("name", &auth.name),
            ("value", &auth.value),
            ("username", &auth.username),
            ("password", &auth.password),
            ("access_key_id", &auth.access_key_id),
            ("secret_access_key", &auth.secret_access_key),
            ("session_token", &auth.session_token),
            ("region", &auth.region),
            ("client_secret", &auth.client_secret),
            ("refresh_token", &auth.refresh_token),
            ("consumer_key", &auth.consumer_key),
            ("consumer_secret", &auth.consumer_secret),
            ("token", &auth.token),
            ("token_secret", &auth.token_secret),
            ("callback", &auth.callback),
            ("assertion", &auth.assertion),
            ("secret", &auth.secret),
            ("sample", &auth.sample),
        ];
        // The page where people sign in gets everything in its address.
        let preflight = auth.strategy == Strategy::Oauth2AuthorizePreflight;
        let named = if preflight { Becomes::Query(index) } else { Becomes::Sent(index) };
        let keys = keys.into_iter().map(|(key, template)| (key, template, Becomes::Sent(index)));
        let client = [("client_id", &auth.client_id, named), ("redirect_uri", &auth.redirect_uri, named)];
        let urls = [("token_url", &auth.token_url), ("authorize_url", &auth.authorize_url)];
        let urls = urls.into_iter().map(|(key, template)| (key, template, Becomes::Address(index)));
        for (key, template, becomes) in keys.chain(client).chain(urls) {
            if let Some(template) = template {
                self.put(spot.key(key), template, becomes);
            }
        }
        for (key, template) in &auth.params {
            self.put(spot.key("params").key(key), template, Becomes::Query(index));
        }
    }

    fn collect_mint(&mut self, check: usize, spot: &Spot, mint: &Mint) {
        self.put(spot.key("key"), &mint.key, Becomes::Minted(check));
        if let Some(kid) = &mint.kid {
            self.put(spot.key("kid"), kid, Becomes::Minted(check));
        }
        self.collect_body(&spot.key("claims"), &mint.claims, Becomes::Minted(check));
    }

    fn collect_request(&mut self, check: usize, spot: &Spot, request: &Request) {
        self.put(spot.key("url"), &request.url, Becomes::Address(check));
        for (key, value) in &request.query {
            self.put(spot.key("query").key(key), value, Becomes::Query(check));
        }
        for (key, value) in &request.headers {
            self.put(spot.key("headers").key(key), value, Becomes::Sent(check));
        }
        for (key, value) in request.form.iter().flatten() {
            self.put(spot.key("form").key(key), value, Becomes::Sent(check));
        }
        if let Some(json) = &request.json {
            self.collect_body(&spot.key("json"), json, Becomes::Sent(check));
        }
    }

    fn collect_response(&mut self, spot: &Spot, response: &Response) {
        if let Some(json) = &response.json {
            self.collect_body(&spot.key("json"), json, Becomes::Echo);
        }
        if let Some(body) = &response.body {
            self.put(spot.key("body"), body, Becomes::Echo);
        }
    }

    fn collect_body(&mut self, spot: &Spot, body: &Body, becomes: Becomes) {
        for (key, value) in &body.0 {
            self.collect_value(&spot.key(key), value, becomes);
        }
    }

    fn collect_value(&mut self, spot: &Spot, value: &toml::Value, becomes: Becomes) {
        match value {
            toml::Value::String(text) => match Template::parse(text) {
                Ok(template) => self.put(spot.clone(), &template, becomes),
                Err(reason) => self.broken.push((spot.clone(), reason)),
            },
            toml::Value::Array(list) => {
                for (index, value) in list.iter().enumerate() {
                    self.collect_value(&spot.nth(index), value, becomes);
                }
            }
            toml::Value::Table(table) => {
                for (key, value) in table {
                    self.collect_value(&spot.key(key), value, becomes);
                }
            }
            _ => {}
        }
    }

    /// The placeholders of the request of the check `check`.
    pub(super) fn sent_holes(&self, check: usize) -> impl Iterator<Item = &Hole> {
        self.templates
            .iter()
            .filter(move |written| written.becomes.check() == Some(check))
            .flat_map(|written| written.template.holes())
    }

    /// The fields that the check `check` sends, and those from which they are taken.
    pub(super) fn sent_fields(&self, check: usize) -> BTreeSet<&str> {
        let mut fields = BTreeSet::new();
        for hole in self.sent_holes(check).filter(|hole| hole.scope == Scope::Field) {
            fields.insert(hole.id.as_str());
            let source = self.provider.field(&hole.id).and_then(|field| field.derive.as_ref());
            fields.extend(source.map(|derive| derive.from.as_str()));
        }
        fields
    }

    /// Whether the check `check` sends a secret that was entered.
    pub(super) fn sends_secret(&self, check: usize) -> bool {
        self.sent_fields(check).into_iter().any(|id| self.is_secret(id))
    }

    /// Whether the field is secret.
    pub(super) fn is_secret(&self, field: &str) -> bool {
        self.provider.field(field).is_some_and(|field| field.secret)
    }

    /// The ids that a claim may have: fields, variables and scopes.
    pub(super) fn claims(&self) -> impl Iterator<Item = &'a str> {
        let Provider { field, var, scope, .. } = self.provider;
        field
            .iter()
            .map(|field| field.id.as_str())
            .chain(var.iter().map(|var| var.id.as_str()))
            .chain(scope.iter().map(|scope| scope.id.as_str()))
    }

    /// The status and the change of the service, of each field and of each scope, with the table in which they stand.
    pub(super) fn states(&self) -> Vec<(Spot, Status, Option<&'a Change>)> {
        let Provider { provider: about, field, scope, .. } = self.provider;
        let fields = field.iter().enumerate().map(|(nth, field)| ("field", nth, field.status, field.change.as_ref()));
        let scopes = scope.iter().enumerate().map(|(nth, scope)| ("scope", nth, scope.status, scope.change.as_ref()));
        let parts = fields.chain(scopes).map(|(table, nth, status, change)| (at(table).nth(nth), status, change));
        std::iter::once((at("provider"), about.status, about.change.as_ref())).chain(parts).collect()
    }

    /// Every rule with its check's index and its place.
    pub(super) fn rules(&self) -> impl Iterator<Item = (usize, Spot, &'a Rule)> {
        self.provider.check.iter().enumerate().flat_map(|(index, check)| {
            let spot = at("check").nth(index).key("rule");
            check.rule.iter().enumerate().map(move |(nth, rule)| (index, spot.nth(nth), rule))
        })
    }

    /// Every test of a value with its place.
    pub(super) fn tests(&self) -> Vec<(Spot, &'a Test)> {
        let mut tests = Vec::new();
        for (_, spot, rule) in self.rules() {
            let spot = spot.key("when");
            let when = &rule.when;
            for (key, map) in [("json", &when.json), ("header", &when.header), ("location_query", &when.location_query)]
            {
                tests.extend(map.iter().map(|(name, test)| (spot.key(key).key(name), test)));
            }
            tests.extend(when.body.iter().map(|test| (spot.key("body"), test)));
        }
        for (index, check) in self.provider.check.iter().enumerate() {
            let spot = at("check").nth(index).key("advice");
            tests
                .extend(check.advice.iter().enumerate().map(|(nth, advice)| (spot.nth(nth).key("test"), &advice.test)));
        }
        for (index, scope) in self.provider.scope.iter().enumerate() {
            let spot = at("scope").nth(index).key("verify").key("test");
            tests.extend(scope.verify.iter().map(|verify| (spot.clone(), &verify.test)));
        }
        tests
    }

    /// Every condition with its place.
    pub(super) fn conditions(&self) -> Vec<(Spot, &'a When)> {
        let mut found = Vec::new();
        let provider = self.provider;
        let mut put = |table: &str, index: usize, when: &'a Option<When>| {
            if let Some(when) = when {
                nested(at(table).nth(index).key("when"), when, &mut found);
            }
        };
        for (index, var) in provider.var.iter().enumerate() {
            put("var", index, &var.when);
        }
        for (index, field) in provider.field.iter().enumerate() {
            put("field", index, &field.when);
        }
        for (index, step) in provider.step.iter().enumerate() {
            put("step", index, &step.when);
        }
        for (index, check) in provider.check.iter().enumerate() {
            put("check", index, &check.when);
        }
        found
    }
}

/// Puts `when` and what is inside it into `found`.
fn nested<'a>(spot: Spot, when: &'a When, found: &mut Vec<(Spot, &'a When)>) {
    for (key, list) in [("all", &when.all), ("any", &when.any)] {
        for (index, inner) in list.iter().flatten().enumerate() {
            nested(spot.key(key).nth(index), inner, found);
        }
    }
    if let Some(inner) = &when.not {
        nested(spot.key("not"), inner, found);
    }
    found.push((spot, when));
}
