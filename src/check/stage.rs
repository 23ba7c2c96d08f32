//! What the tests of this room share: a provider from a few lines, its credential, and a service that says what it is told.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use chrono::{DateTime, Utc};
use url::Url;

use super::http::{Reply, Sender, Unanswered};
use super::probe::{self, Request, Unbuildable, Way};
use super::values::Values;
use crate::credential::{Credential, Value};
use crate::provider::parse::parse;
use crate::provider::{Provider, Transport};

/// A provider with this behind its head.
pub(super) fn provider(rest: &str) -> Provider {
    let head = "schema = 1\n[provider]\nid = 'acme'\nname = 'Acme'\nsummary = 's'\ncategory = 'sms'\nstatus = 'active'\n\
                [provenance]\nreviewed = '2026-11-21'\nsource = []\n";
    parse("acme.toml", &format!("{head}{rest}")).unwrap_or_else(|fault| panic!("{fault}: {:?}", fault.hint))
}

/// A credential with these fields, sealed where the provider says so.
pub(super) fn credential(provider: &Provider, fields: &[(&str, &str)]) -> Credential {
    let mut credential = Credential::new("acme".parse().unwrap());
    for (id, text) in fields {
        let secret = provider.field(id).is_some_and(|field| field.secret);
        let value = if secret { Value::Secret((*text).into()) } else { Value::Clear((*text).to_owned()) };
        credential.fields.insert((*id).to_owned(), value);
    }
    credential
}

/// 2026-11-21T12:00:00Z.
pub(super) fn noon() -> DateTime<Utc> {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

/// The request of the provider's first check.
pub(super) fn request(provider: &Provider, fields: &[(&str, &str)]) -> Result<Request, Unbuildable> {
    let credential = credential(provider, fields);
    let mut values = Values::new(provider, &credential);
    values.mint(&provider.check[0], noon())?;
    probe::build(&provider.check[0], &values, Way { now: noon(), ..Way::default() })
}

/// A JSON reply.
pub(super) fn json(status: u16, body: &str) -> Reply {
    let headers = vec![("content-type".to_owned(), "application/json; charset=utf-8".to_owned())];
    Reply { status, headers, body: body.as_bytes().to_vec() }
}

/// A reply with one header and no body.
pub(super) fn bare(status: u16, name: &str, value: &str) -> Reply {
    Reply { status, headers: vec![(name.to_owned(), value.to_owned())], body: Vec::new() }
}

/// `https://api.example/`.
pub(super) fn asked() -> Url {
    Url::parse("https://api.example/").unwrap()
}

/// Says its lines in order, and keeps what it was asked. Without lines left, nobody listens.
#[derive(Default)]
pub(super) struct Lines {
    lines: Mutex<VecDeque<Result<Reply, Unanswered>>>,
    asked: Mutex<Vec<Request>>,
}

impl Lines {
    pub(super) fn new(lines: impl IntoIterator<Item = Reply>) -> Self {
        Self { lines: Mutex::new(lines.into_iter().map(Ok).collect()), asked: Mutex::default() }
    }

    pub(super) fn then(self, transport: Transport) -> Self {
        self.lines.lock().unwrap().push_back(Err(transport.into()));
        self
    }

    pub(super) fn reply(self, reply: Reply) -> Self {
        self.lines.lock().unwrap().push_back(Ok(reply));
        self
    }

    pub(super) fn asked(&self) -> Vec<Request> {
        self.asked.lock().unwrap().clone()
    }
}

impl Sender for Lines {
    fn send(&self, request: &Request, _: Duration) -> Result<Reply, Unanswered> {
        self.asked.lock().unwrap().push(request.clone());
        self.lines.lock().unwrap().pop_front().unwrap_or(Err(Transport::Refused.into()))
    }
}
