//! Formats, and the samples that show them.

use regex_lite::Regex;

use super::Report;
use super::page::Page;
use super::spot::{Spot, at};
use crate::provider::sample::grown;
use crate::provider::{Field, Mistake, Sample, Structure};

/// Whether a value fits a field, as far as patterns and the outer form of a structure show it. Where the whole format
/// engine is at hand, [`super::lint_with`] takes that instead.
pub fn fits(field: &Field, value: &str) -> bool {
    let format = &field.format;
    let matches = |pattern: &str| Regex::new(pattern).is_ok_and(|regex| regex.is_match(value));
    format.regex.as_deref().is_none_or(matches)
        && format.min_len.is_none_or(|least| value.chars().count() >= least)
        && format.max_bytes.is_none_or(|most| value.len() <= most)
        && format.structure.is_none_or(|structure| has_form(structure, value))
        && !format.mistake.iter().any(|mistake| !mistake.warn && matches(&mistake.regex))
}

fn has_form(structure: Structure, value: &str) -> bool {
    let matches = |pattern: &str| Regex::new(pattern).is_ok_and(|regex| regex.is_match(value));
    let json = || serde_json::from_str::<serde_json::Value>(value);
    match structure {
        Structure::AwsAccessKeyId => matches("^A[A-Z0-9]{3}[A-Z2-7]{16}$"),
        Structure::GcpServiceAccount => json().is_ok_and(|json| json["type"] == "service_account"),
        Structure::Jwt => matches(r"^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*$"),
        Structure::Pem | Structure::P256PrivateKey | Structure::RsaPrivateKey => {
            value.starts_with("-----BEGIN ") && value.trim_end().ends_with("-----")
        }
        Structure::Json => json().is_ok(),
        Structure::Uuid => matches("^(?i)[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"),
    }
}

pub(super) fn samples(page: &Page<'_>, report: &mut Report<'_>) {
    for (index, field) in page.provider.field.iter().enumerate() {
        let spot = at("field").nth(index).key("format");
        let format = &field.format;
        if format.good.is_empty() && field.derive.is_none() {
            let hint = "add `good`: fixtures are decided with its first value";
            report.say_with(&spot, format!("no sample shows what `{}` looks like", field.id), hint);
        }
        let has_form = format.regex.is_some() || format.structure.is_some() || format.min_len.is_some();
        if format.bad.is_empty() && has_form {
            report.say_with(&spot, format!("no sample shows what `{}` does not look like", field.id), "add `bad`");
        }
        judged(page, field, &format.good, true, &spot.key("good"), report);
        judged(page, field, &format.bad, false, &spot.key("bad"), report);
    }
}

fn judged(page: &Page<'_>, field: &Field, samples: &[Sample], good: bool, spot: &Spot, report: &mut Report<'_>) {
    for (nth, Sample(sample)) in samples.iter().enumerate() {
        if (page.fits)(field, &grown(sample, field.kind)) != good {
            let what = if good { "this good sample does not fit" } else { "this bad sample fits" };
            report.say(&spot.nth(nth), format!("{what} `{}`", field.id));
        }
    }
}

pub(super) fn mistakes(page: &Page<'_>, report: &mut Report<'_>) {
    for (index, field) in page.provider.field.iter().enumerate() {
        let spot = at("field").nth(index).key("format").key("mistake");
        for (nth, mistake) in field.format.mistake.iter().enumerate() {
            let Ok(regex) = Regex::new(&mistake.regex) else { continue };
            let matches = |Sample(sample): &Sample| regex.is_match(&grown(sample, field.kind));
            let any = |samples: &[Sample]| samples.iter().any(matches);
            let Mistake { message, warn, .. } = mistake;
            if any(&field.format.good) && !warn {
                report.say(&spot.nth(nth), format!("`{message}` is said of a good sample"));
            }
            let shown = any(&field.format.bad) || (*warn && any(&field.format.good));
            if !shown {
                let hint = "add a bad sample that is that mistake";
                report.say_with(&spot.nth(nth), format!("no sample makes the mistake `{message}`"), hint);
            }
        }
    }
}

/// What secret scanners take for a secret, with the name by which they report it.
const SCANNED: &[(&str, &str)] = &[
    ("an AWS access key ID", "(A3T[A-Z0-9]|AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}"),
    ("a Google client secret", "GOCSPX-[A-Za-z0-9_-]{28}"),
    ("a Google API key", "AIza[A-Za-z0-9_-]{35}"),
    ("a Telegram bot token", "[0-9]{8,10}:[A-Za-z0-9_-]{35}"),
    ("a Twilio SID", "(AC|SK)[0-9a-fA-F]{32}"),
    ("a JWT", r"eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"),
    ("a private key", "-----BEGIN [A-Z ]*PRIVATE KEY"),
    ("a GitHub or Slack token", "(gh[pousr]_[A-Za-z0-9]{36}|xox[abpr]-[A-Za-z0-9-]{10,})"),
];

pub(super) fn scanners(page: &Page<'_>, report: &mut Report<'_>) {
    for (what, pattern) in SCANNED {
        let found = Regex::new(pattern).ok().and_then(|regex| regex.find(page.text).map(|found| found.start()));
        if let Some(offset) = found {
            let hint = "write it in parts: `[\"first half\", \"second half\"]`";
            report.say_at(offset, format!("this looks like {what} in one piece"), hint);
        }
    }
}
