//! When the values of a credential were entered, and when they end: who says so, and which end comes first.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Entry, Recorded, Summary};
use crate::verdict::Record;

/// Who says when a credential ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum EndsBy {
    /// The operator, with `--expires`.
    Operator,
    /// The lifetime of a field in the provider file (`ttl_days`), counted from when its value was entered.
    Provider,
    /// The service, when it was asked.
    Service,
}

impl EndsBy {
    /// All of them, in the order of their words.
    pub const ALL: [Self; 3] = [Self::Operator, Self::Provider, Self::Service];

    /// The word as it is written everywhere.
    pub fn word(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Provider => "provider",
            Self::Service => "service",
        }
    }

    /// The same for people.
    pub fn phrase(self) -> &'static str {
        match self {
            Self::Operator => "as you said",
            Self::Provider => "by the lifetime in the provider file",
            Self::Service => "as the service said",
        }
    }
}

/// An end, and who says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct End {
    /// When.
    pub at: DateTime<Utc>,
    /// Who says so.
    pub by: EndsBy,
}

/// When values were entered, and the ends that are known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Life {
    /// Field id → when its value was entered, where that is not when the credential was first saved.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub entered: BTreeMap<String, DateTime<Utc>>,
    /// The end that the operator gave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<DateTime<Utc>>,
    /// The end by the provider file's lifetimes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<DateTime<Utc>>,
    /// The end that the service told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<DateTime<Utc>>,
}

impl Life {
    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The known ends, in the order of their words.
    pub fn ends(&self) -> impl Iterator<Item = End> {
        let of = |by| match by {
            EndsBy::Operator => self.operator,
            EndsBy::Provider => self.provider,
            EndsBy::Service => self.service,
        };
        EndsBy::ALL.into_iter().filter_map(move |by| of(by).map(|at| End { at, by }))
    }

    /// The end that comes first.
    pub fn first(&self) -> Option<End> {
        self.ends().min()
    }

    /// Sets the end that somebody gives.
    pub fn set(&mut self, by: EndsBy, at: Option<DateTime<Utc>>) {
        *match by {
            EndsBy::Operator => &mut self.operator,
            EndsBy::Provider => &mut self.provider,
            EndsBy::Service => &mut self.service,
        } = at;
    }

    /// Takes over what a service said, and gives the end that comes first now.
    ///
    /// `expires_at` is the end before. One of which nobody noted who gave it gives way to the service's.
    #[must_use]
    pub fn hear(&mut self, expires_at: Option<DateTime<Utc>>, said: &Recorded) -> Option<DateTime<Utc>> {
        if self.first().is_none() && expires_at.is_some() {
            return said.expires_at.or(expires_at);
        }
        self.service = said.expires_at.or(self.service);
        self.first().map(|end| end.at)
    }
}

/// The end that comes first. Of one that nobody noted who gave it, the record tells whether it was the service.
pub(super) fn end(life: &Life, expires_at: Option<DateTime<Utc>>, record: Option<&Record>) -> Option<End> {
    life.first().or_else(|| {
        let at = expires_at?;
        let is_service = record.is_some_and(|record| record.expires_at == Some(at));
        Some(End { at, by: if is_service { EndsBy::Service } else { EndsBy::Provider } })
    })
}

impl Entry {
    /// The end that comes first, and who says so.
    pub fn end(&self) -> Option<End> {
        end(&self.life, self.expires_at, self.record.as_ref())
    }

    /// When the value of a field was entered.
    pub fn entered(&self, field: &str) -> DateTime<Utc> {
        self.life.entered.get(field).copied().unwrap_or(self.created_at)
    }
}

impl Summary {
    /// The end that comes first, and who says so.
    pub fn end(&self) -> Option<End> {
        end(&self.life, self.expires_at, self.record.as_ref())
    }

    /// When the value of a field was entered.
    pub fn entered(&self, field: &str) -> DateTime<Utc> {
        self.life.entered.get(field).copied().unwrap_or(self.created_at)
    }
}
