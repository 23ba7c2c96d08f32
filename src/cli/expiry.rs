//! When a credential ends: what can be typed about it, what is reckoned, and how it is shown.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};

use super::list::ahead;
use super::show::time;
use crate::credential::Credential;
use crate::problem::{Kind, Problem};
use crate::provider::Provider;
use crate::store::{End, EndsBy, Entry, Life};
use crate::ui::plain;
use crate::verdict::Record;

/// The longest span, in days: a hundred years, as for `ttl_days`.
const MOST_DAYS: i64 = 36_500;

/// A span of time as it is typed: `30d`, `12h`, `6w`, `1y`; a bare number is days.
pub(super) fn span(text: &str) -> Result<TimeDelta, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: Option<i64> = digits.parse().ok().filter(|number| (0..=MOST_DAYS * 24).contains(number));
    let hours = number.and_then(|number| match &text[digits.len()..] {
        "h" => Some(number),
        "" | "d" => Some(number * 24),
        "w" => Some(number * 24 * 7),
        "y" => Some(number * 24 * 365),
        _ => None,
    });
    match hours.filter(|hours| !digits.starts_with('+') && *hours <= MOST_DAYS * 24) {
        Some(hours) => Ok(TimeDelta::hours(hours)),
        None => Err("a span is a number with h, d, w or y, such as `30d`; at most a hundred years".into()),
    }
}

/// What the operator says about the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// It ends then.
    At(DateTime<Utc>),
    /// It ends that long from now.
    In(TimeDelta),
    /// What was said before holds no more.
    Never,
}

/// An end as it is typed: a date (its first moment in UTC), a time of RFC 3339, a span, or `never`.
pub(super) fn wish(text: &str) -> Result<Wish, String> {
    if text == "never" {
        return Ok(Wish::Never);
    }
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Ok(Wish::At(at.to_utc()));
    }
    if let Ok(day) = text.parse::<NaiveDate>() {
        return Ok(Wish::At(day.and_time(chrono::NaiveTime::MIN).and_utc()));
    }
    span(text).map(Wish::In).map_err(|_| "a date such as `2027-03-01`, a span such as `90d`, or `never`".into())
}

impl Wish {
    /// The end that is meant at `now`, or that there is none.
    ///
    /// # Errors
    ///
    /// A [`Problem`] of kind [`Kind::Usage`] when it is over already.
    pub(super) fn end(self, now: DateTime<Utc>) -> Result<Option<DateTime<Utc>>, Problem> {
        let at = match self {
            Self::Never => return Ok(None),
            Self::At(at) => at,
            Self::In(span) => now + span,
        };
        if at > now {
            return Ok(Some(at));
        }
        Err(Problem::new(Kind::Usage, "expires-past", format!("`--expires` names {}, which is over", time(at)))
            .hint("a date to come, a span such as `90d`, or `never`"))
    }
}

/// The dates of a credential that is about to be saved.
#[derive(Debug)]
pub(super) struct Dates {
    /// When it was first saved.
    pub(super) created_at: DateTime<Utc>,
    /// When something in it was last changed.
    pub(super) updated_at: DateTime<Utc>,
    /// When its values were entered, and its ends.
    pub(super) life: Life,
    /// An end that the operator gave for a secret that is replaced now.
    pub(super) dropped: Option<DateTime<Utc>>,
}

/// Reckons the dates of `credential`, in whose place `before` was stored.
///
/// A value has been there since it was entered, however often it is entered again. What was said of the end of other
/// values holds no more.
pub(super) fn dates(
    provider: &Provider,
    credential: &Credential,
    before: Option<&Entry>,
    record: &Record,
    wished: Option<Option<DateTime<Utc>>>,
    now: DateTime<Utc>,
) -> Dates {
    let old = |id: &String| before.and_then(|before| before.credential.fields.get(id));
    let is_same = |id: &String| old(id).is_some_and(|value| credential.fields.get(id) == Some(value));
    let created_at = before.map_or(now, |before| before.created_at);
    let entered = |id: &String| before.filter(|_| is_same(id)).map_or(now, |before| before.entered(id));
    let mut life = Life::default();
    for id in credential.fields.keys() {
        let at = entered(id);
        if at != created_at {
            life.entered.insert(id.clone(), at);
        }
    }
    let all_same = before.is_some_and(|before| before.credential.fields == credential.fields);
    let secrets_same = credential.fields.iter().filter(|(_, value)| value.is_secret()).all(|(id, _)| is_same(id));
    let kept = |by| {
        let ends = before.map(|before| before.life.ends().chain(before.end())).into_iter().flatten();
        ends.filter(|end| end.by == by).map(|end| end.at).min()
    };
    let lifetimes = provider.field.iter().filter(|field| credential.fields.contains_key(&field.id));
    let lifetimes = lifetimes.filter_map(|field| Some(entered(&field.id) + TimeDelta::days(field.ttl_days?.into())));
    life.provider = lifetimes.min();
    life.service = record.expires_at.or_else(|| kept(EndsBy::Service).filter(|_| all_same));
    let said = kept(EndsBy::Operator);
    life.operator = wished.unwrap_or(said.filter(|_| secrets_same));
    let is_changed = before.is_none_or(|before| before.credential != *credential);
    Dates {
        created_at,
        updated_at: before.filter(|_| !is_changed).map_or(now, |before| before.updated_at),
        life,
        dropped: said.filter(|_| wished.is_none() && !secrets_same),
    }
}

/// How an end reads at `now`: its name (`expires` or `expired`), and the rest.
pub(super) fn told(end: End, now: DateTime<Utc>) -> (&'static str, String) {
    let (name, distance) =
        if end.at <= now { ("expired", super::list::age(end.at, now)) } else { ("expires", ahead(end.at, now)) };
    (name, format!("{}, {distance} ({})", time(end.at), end.by.phrase()))
}

/// Whether it is over at `now`, or will be within `span`.
pub(super) fn is_due(end: Option<End>, now: DateTime<Utc>, span: TimeDelta) -> bool {
    end.is_some_and(|end| end.at <= now + span)
}

/// What an end was dropped for, in words.
pub(super) fn dropped_note(name: &str, at: DateTime<Utc>) -> String {
    format!(
        "note: the end that you gave ({}) was that of the old value; `keyward setup {} --expires DATE` sets another",
        time(at),
        plain(name)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn spans_and_dates_are_read_as_people_write_them() {
        for (text, hours) in [("30d", 720), ("30", 720), ("12h", 12), ("2w", 336), ("1y", 8760), ("0d", 0)] {
            assert_eq!(span(text), Ok(TimeDelta::hours(hours)), "{text}");
        }
        for text in ["", "d", "-1d", "+1d", "1.5d", "30 d", "30m", "101y", "9223372036854775807y", "1dd", "x"] {
            assert!(span(text).is_err(), "{text}");
        }
        assert_eq!(wish("2027-03-01"), Ok(Wish::At(at("2027-03-01T00:00:00Z"))));
        assert_eq!(wish("2027-03-01T01:00:00+01:00"), Ok(Wish::At(at("2027-03-01T00:00:00Z"))));
        assert_eq!(wish("90d"), Ok(Wish::In(TimeDelta::days(90))));
        assert_eq!(wish("never"), Ok(Wish::Never));
        for text in ["2027-02-30", "tomorrow", "01.03.2027", "2027"] {
            let read = wish(text);
            assert!(read.is_err() || read == Ok(Wish::In(TimeDelta::days(2027))), "{text}: {read:?}");
        }
    }

    #[test]
    fn what_is_over_cannot_be_wished_for() {
        let now = at("2026-11-21T00:00:00Z");
        assert_eq!(Wish::In(TimeDelta::zero()).end(now).unwrap_err().kind, Kind::Usage);
        assert_eq!(Wish::At(now).end(now).unwrap_err().kind, Kind::Usage);
        assert_eq!(Wish::Never.end(now), Ok(None));
        assert_eq!(Wish::In(TimeDelta::days(1)).end(now), Ok(Some(at("2026-11-22T00:00:00Z"))));
    }
}
