//! What the service said about a credential, in the words of the contract.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::problem::Kind;

/// One of six outcomes. An answer that no rule lists is [`Verdict::Inconclusive`] by construction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The service authenticated it, and every required scope that can be seen is there.
    Accepted,
    /// The service authenticated it, but something required is missing.
    Limited,
    /// The service said no.
    Rejected,
    /// The service was asked, and nothing was learnt.
    Inconclusive,
    /// The service was not asked.
    Unchecked,
    /// A value fails its own format; nothing was sent.
    Malformed,
}

impl Verdict {
    /// The word as it is written everywhere.
    pub fn word(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Limited => "limited",
            Self::Rejected => "rejected",
            Self::Inconclusive => "inconclusive",
            Self::Unchecked => "unchecked",
            Self::Malformed => "malformed",
        }
    }

    /// The exit kind, or `None` for accepted.
    pub fn kind(self) -> Option<Kind> {
        match self {
            Self::Accepted => None,
            Self::Limited => Some(Kind::Limited),
            Self::Rejected => Some(Kind::Rejected),
            Self::Inconclusive | Self::Unchecked => Some(Kind::Inconclusive),
            Self::Malformed => Some(Kind::Malformed),
        }
    }

    /// Orders outcomes of several required checks, the worst first: rejected, malformed,
    /// inconclusive, limited, unchecked, accepted.
    pub fn badness(self) -> u8 {
        match self {
            Self::Rejected => 5,
            Self::Malformed => 4,
            Self::Inconclusive => 3,
            Self::Limited => 2,
            Self::Unchecked => 1,
            Self::Accepted => 0,
        }
    }
}

/// Who has to act next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Act {
    /// Nobody: it is good.
    Nobody,
    /// The operator.
    You,
    /// Time.
    Wait,
    /// The service.
    Provider,
    /// The authors of the provider file.
    Us,
}

/// Whether the same request with a scrambled secret was refused, as it has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Control {
    /// The scrambled secret was refused: the check can tell good from bad.
    Passed,
    /// The scrambled secret was not refused: the check proves nothing.
    Failed,
    /// The control request was not sent.
    #[default]
    NotRun,
}

/// The last answer about one credential. Holds no secret; it is stored beside the credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The outcome.
    pub verdict: Verdict,
    /// A stable word for the reason, such as `bad-secret` or `network-timeout`.
    pub why: String,
    /// Whose credential it is, as the service names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Claims that the service confirmed: field ids, `redirect_uri`, scope ids.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub proven: Vec<String>,
    /// Claims that nothing has confirmed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unproven: Vec<String>,
    /// What is required and missing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// Scopes that the service says were granted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub granted: Vec<String>,
    /// Fields that the answer blames.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blame: Vec<String>,
    /// When the credential ends, as the service says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<DateTime<Utc>>,
    /// When the service was asked.
    pub checked_at: DateTime<Utc>,
    /// How long the service took, in milliseconds, over all requests.
    pub latency_ms: u64,
    /// What to do, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// What was seen: status, the service's own code, host. Redacted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<String>,
    /// Who has to act.
    pub act: Act,
    /// Whether the negative control ran.
    #[serde(default)]
    pub control: Control,
    /// Warnings that do not change the verdict.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub advice: Vec<String>,
    /// When the service last said that it is good. Answers that taught nothing do not end it; a refusal does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub good_at: Option<DateTime<Utc>>,
}

impl Record {
    /// A record that nobody was asked for, at `now`.
    pub fn unasked(verdict: Verdict, why: &str, now: DateTime<Utc>) -> Self {
        Self {
            verdict,
            why: why.to_owned(),
            account: None,
            proven: Vec::new(),
            unproven: Vec::new(),
            missing: Vec::new(),
            granted: Vec::new(),
            blame: Vec::new(),
            expires_at: None,
            checked_at: now,
            latency_ms: 0,
            hint: None,
            seen: None,
            act: if verdict == Verdict::Accepted { Act::Nobody } else { Act::You },
            control: Control::NotRun,
            advice: Vec::new(),
            good_at: None,
        }
    }

    /// The same about a value of which `before` was known.
    #[must_use]
    pub fn after(mut self, before: Option<&Self>) -> Self {
        self.good_at = match self.verdict {
            Verdict::Accepted | Verdict::Limited => Some(self.checked_at),
            Verdict::Inconclusive | Verdict::Unchecked => before.and_then(Self::last_good),
            Verdict::Rejected | Verdict::Malformed => None,
        };
        self
    }

    /// When the service last said that it is good, unless it has said otherwise since.
    pub fn last_good(&self) -> Option<DateTime<Utc>> {
        let now_good = matches!(self.verdict, Verdict::Accepted | Verdict::Limited);
        self.good_at.or_else(|| now_good.then_some(self.checked_at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn that_it_was_good_is_forgotten_only_over_a_refusal() {
        let at = |verdict, seconds| {
            Record::unasked(verdict, "x", DateTime::UNIX_EPOCH + chrono::TimeDelta::seconds(seconds))
        };
        let good = at(Verdict::Limited, 1).after(None);
        let outage = at(Verdict::Inconclusive, 2).after(Some(&good));
        let unasked = at(Verdict::Unchecked, 3).after(Some(&outage));
        assert_eq!(unasked.last_good(), Some(good.checked_at));
        let refused = at(Verdict::Rejected, 4).after(Some(&unasked));
        assert_eq!(refused.last_good(), None);
        assert_eq!(at(Verdict::Inconclusive, 5).after(Some(&refused)).last_good(), None);
    }
}
