//! What placeholders stand for while one credential is checked: fields, variables, extracts, signed tokens.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use chrono::{DateTime, Utc};
use zeroize::Zeroizing;

use super::probe::{self, Unbuildable};
use super::redact::Redactor;
use super::sign::jwt;
use crate::credential::{Credential, Value};
use crate::provider::template::{Encoding, LookUp, Scope};
use crate::provider::{Check, Field, Mint, Provider, Strategy, Template, When};
use crate::secret::Secret;

/// How deep the default of a variable may refer to others.
const DEPTH: usize = 8;

/// What placeholders stand for. A value that is empty is not there.
#[derive(Clone)]
pub(super) struct Values<'a> {
    provider: &'a Provider,
    /// `field.x` and `var.x`, with defaults and derived fields filled in.
    entered: BTreeMap<String, Zeroizing<String>>,
    /// The variables that have their default.
    by_default: BTreeSet<String>,
    got: BTreeMap<String, Value>,
    minted: BTreeMap<String, Secret>,
}

impl<'a> Values<'a> {
    /// The values of `credential`, with what `provider` says about the rest.
    pub(super) fn new(provider: &'a Provider, credential: &Credential) -> Self {
        let mut values = Self {
            provider,
            entered: BTreeMap::new(),
            by_default: BTreeSet::new(),
            got: BTreeMap::new(),
            minted: BTreeMap::new(),
        };
        for (id, value) in &credential.fields {
            // To the request that the operator asked for.
            values.enter("field", id, value.expose());
        }
        for (id, value) in &credential.vars {
            values.enter("var", id, value);
        }
        values.derive();
        values.fill_all_defaults();
        values
    }

    fn fill_all_defaults(&mut self) {
        for _ in 0..DEPTH {
            self.fill_defaults();
        }
    }

    fn enter(&mut self, scope: &str, id: &str, value: &str) {
        if !value.is_empty() {
            self.entered.insert(format!("{scope}.{id}"), Zeroizing::new(value.to_owned()));
        }
    }

    /// Takes fields that were not entered from the documents that were.
    fn derive(&mut self) {
        for field in &self.provider.field {
            let Some(derive) = &field.derive else { continue };
            let known = self.entered.contains_key(&format!("field.{}", field.id));
            let document = self.field(&derive.from).and_then(|text| serde_json::from_str(text).ok());
            let value = document.as_ref().and_then(|json: &serde_json::Value| json.pointer(&derive.json)?.as_str());
            if let (false, Some(value)) = (known, value) {
                self.enter("field", &field.id, value);
            }
        }
    }

    fn fill_defaults(&mut self) {
        for var in &self.provider.var {
            let open = !self.entered.contains_key(&format!("var.{}", var.id));
            let default = var.default.as_ref().filter(|_| open).and_then(|text| text.fill(self, Encoding::Plain).ok());
            if let Some(value) = default {
                self.enter("var", &var.id, &value);
                self.by_default.insert(var.id.clone());
            }
        }
    }

    /// The provider whose placeholders these are.
    pub(super) fn provider(&self) -> &'a Provider {
        self.provider
    }

    /// The value of one field.
    pub(super) fn field(&self, id: &str) -> Option<&str> {
        self.entered.get(&format!("field.{id}")).map(|value| value.as_str())
    }

    /// The value of one variable.
    pub(super) fn var(&self, id: &str) -> Option<&str> {
        self.entered.get(&format!("var.{id}")).map(|value| value.as_str())
    }

    /// Whether the condition holds; none always does.
    pub(super) fn hold(&self, when: Option<&When>) -> bool {
        when.is_none_or(|when| when.holds(&|name| self.entered.get(name).map(|value| value.as_str())))
    }

    /// Adds what an answer gave.
    pub(super) fn add_got(&mut self, got: BTreeMap<String, Value>) {
        self.got.extend(got);
    }

    /// Signs the JWTs of `check`.
    ///
    /// # Errors
    ///
    /// [`Unbuildable`] when a value is missing or a key does not load.
    pub(super) fn mint(&mut self, check: &Check, now: DateTime<Utc>) -> Result<(), Unbuildable> {
        self.minted.clear();
        for (id, mint) in &check.mint {
            let token = self.sign(mint, now)?;
            self.minted.insert(id.clone(), token);
        }
        Ok(())
    }

    fn sign(&self, mint: &Mint, now: DateTime<Utc>) -> Result<Secret, Unbuildable> {
        let key = Zeroizing::new(mint.key.fill(self, Encoding::Plain)?);
        let kid = mint.kid.as_ref().map(|kid| kid.fill(self, Encoding::Plain)).transpose()?;
        let mut claims = probe::document(&mint.claims, self)?;
        if let Some(seconds) = mint.ttl_s {
            claims.insert("iat".to_owned(), now.timestamp().into());
            claims.insert("exp".to_owned(), (now.timestamp() + i64::from(seconds)).into());
        }
        jwt::Key::load(mint.alg, &key)
            .and_then(|key| key.sign(kid.as_deref(), &claims))
            .map(Secret::new)
            .map_err(|error| Unbuildable::BadKey { place: first_place(&mint.key), why: error.to_string() })
    }

    /// Puts `token` where the JWT `id` would stand.
    pub(super) fn stub_mint(&mut self, id: &str, token: &str) {
        self.minted.insert(id.to_owned(), Secret::from(token));
    }

    /// The JWTs that were signed last.
    pub(super) fn minted(&self) -> impl Iterator<Item = &str> {
        self.minted.values().map(Secret::expose)
    }

    /// The same values with other ones in these fields, and without anything signed.
    pub(super) fn with_fields(&self, fields: &BTreeMap<String, String>) -> Self {
        let mut values = self.clone();
        values.minted.clear();
        for (id, value) in fields {
            values.enter("field", id, value);
        }
        for field in &self.provider.field {
            if field.derive.as_ref().is_some_and(|derive| fields.contains_key(&derive.from)) {
                values.entered.remove(&format!("field.{}", field.id));
            }
        }
        values.derive();
        values
    }

    /// The same values with others of some variables, and of those that follow them; without anything signed.
    pub(super) fn with_vars(&self, vars: &BTreeMap<String, String>) -> Self {
        let mut values = self.clone();
        values.minted.clear();
        for id in std::mem::take(&mut values.by_default) {
            values.entered.remove(&format!("var.{id}"));
        }
        vars.iter().for_each(|(id, value)| values.enter("var", id, value));
        values.fill_all_defaults();
        values
    }

    /// Knows every form of every secret among the values.
    pub(super) fn redactor(&self) -> Redactor {
        let is_secret = |field: &&Field| field.secret;
        let secrets: Vec<&str> =
            self.provider.field.iter().filter(is_secret).filter_map(|field| self.field(&field.id)).collect();
        let mut redactor = Redactor::new(secrets.iter().copied());
        // Whoever is kept out of what is shown, is also kept out in a header together with a user name.
        for user in self.provider.field.iter().filter(|field| !field.secret).filter_map(|field| self.field(&field.id)) {
            secrets.iter().for_each(|secret| redactor.add_pair(user, secret));
        }
        self.got.values().filter(|value| value.is_secret()).for_each(|value| redactor.add(value.expose()));
        redactor.extend(self.minted());
        redactor
    }

    /// Values that may be put into a sentence for people.
    pub(super) fn shown(&self) -> impl LookUp + '_ {
        |scope: Scope, id: &str| {
            match scope {
                Scope::Field => self.field(id).filter(|_| self.provider.field(id).is_some_and(|field| !field.secret)),
                Scope::Var => self.var(id),
                Scope::Got => self.got.get(id).filter(|value| !value.is_secret()).map(Value::expose),
                Scope::Mint | Scope::Cert => None,
            }
            .map(str::to_owned)
        }
    }
}

impl LookUp for Values<'_> {
    fn look_up(&self, scope: Scope, id: &str) -> Option<String> {
        match scope {
            Scope::Field => self.field(id),
            Scope::Var => self.var(id),
            // To the next request, which the provider's file names.
            Scope::Got => self.got.get(id).map(Value::expose),
            Scope::Mint => self.minted.get(id).map(Secret::expose),
            // Only a fixture's answer has one.
            Scope::Cert => None,
        }
        .map(str::to_owned)
    }
}

impl fmt::Debug for Values<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Values({})", self.entered.keys().cloned().collect::<Vec<_>>().join(", "))
    }
}

/// Whether the request of `check` carries the time, so that a wrong clock spoils it.
pub(super) fn carries_time(check: &Check) -> bool {
    matches!(check.auth.strategy, Strategy::AwsSigv4 | Strategy::Oauth1Hmac)
        || check.mint.values().any(|mint| mint.ttl_s.is_some())
}

fn first_place(template: &Template) -> String {
    template.holes().next().map(ToString::to_string).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::stage::{credential, provider};

    fn acme() -> Provider {
        provider(
            "[[field]]\nid = 'doc'\nlabel = 'd'\nkind = 'json'\nsecret = true\n\
             [[field]]\nid = 'email'\nlabel = 'e'\nderive = { from = 'doc', json = '/client_email' }\n\
             [[field]]\nid = 'pem'\nlabel = 'p'\nsecret = true\nderive = { from = 'doc', json = '/private_key' }\n\
             [[field]]\nid = 'empty'\nlabel = 'x'\n\
             [[var]]\nid = 'redirect'\nlabel = 'r'\ndefault = '${var.origin}/oauth2.aspx'\n\
             [[var]]\nid = 'origin'\nlabel = 'o'\ndefault = 'https://portal.example'\n\
             [[var]]\nid = 'loop'\nlabel = 'l'\ndefault = '${var.loop}'\n",
        )
    }

    const DOC: &str = r#"{"client_email":"a@b","private_key":"line-1\nline-2"}"#;

    #[test]
    fn defaults_and_derived_fields_are_filled_in_and_never_over_what_was_entered() {
        let provider = acme();
        let mut entered = credential(&provider, &[("doc", DOC), ("empty", "")]);
        let values = Values::new(&provider, &entered);
        assert_eq!((values.field("email"), values.field("pem")), (Some("a@b"), Some("line-1\nline-2")));
        assert_eq!(values.var("redirect"), Some("https://portal.example/oauth2.aspx"));
        assert_eq!((values.field("empty"), values.var("loop"), values.field("none")), (None, None, None));
        entered.fields.insert("email".into(), Value::Clear("mine".into()));
        entered.vars.insert("origin".into(), "https://mine.example".into());
        let values = Values::new(&provider, &entered);
        assert_eq!(
            (values.field("email"), values.var("redirect")),
            (Some("mine"), Some("https://mine.example/oauth2.aspx"))
        );
    }

    #[test]
    fn derived_secrets_are_known_and_nothing_secret_is_shown() {
        let provider = acme();
        let values = Values::new(&provider, &credential(&provider, &[("doc", DOC)]));
        assert_eq!(values.redactor().redact(r#"key "line-1\nline-2""#), "key \"[secret]\"");
        let shown = |scope, id| values.shown().look_up(scope, id);
        assert_eq!((shown(Scope::Field, "pem"), shown(Scope::Field, "email")), (None, Some("a@b".into())));
        assert!(!format!("{values:?}").contains("line-1"));
    }

    #[test]
    fn what_follows_a_variable_follows_its_other_value() {
        let provider = acme();
        let values = Values::new(&provider, &credential(&provider, &[("doc", DOC)]));
        let other = values.with_vars(&[("origin".to_owned(), "https://other.example".to_owned())].into());
        assert_eq!(other.var("redirect"), Some("https://other.example/oauth2.aspx"));
        assert_eq!((other.field("email"), values.var("origin")), (Some("a@b"), Some("https://portal.example")));
    }

    #[test]
    fn another_document_has_other_fields() {
        let provider = acme();
        let values = Values::new(&provider, &credential(&provider, &[("doc", DOC)]));
        let other = values.with_fields(&[("doc".to_owned(), r#"{"client_email":"c@d"}"#.to_owned())].into());
        assert_eq!((other.field("email"), other.field("pem")), (Some("c@d"), None));
    }
}
