//! What answers mean, and the fixtures that show it.

use regex_lite::Regex;

use super::Report;
use super::page::Page;
use super::spot::{Spot, at};
use crate::provider::{Check, ControlRun, Effects, Fixture, Match, Rule, Strategy, Test};
use crate::verdict::Verdict;

pub(super) fn patterns(page: &Page<'_>, report: &mut Report<'_>) {
    for (spot, pointer) in pointers(page) {
        if !is_pointer(pointer) {
            report.say_with(&spot, format!("`{pointer}` is not a JSON pointer"), "it starts with `/` (RFC 6901)");
        }
    }
    for (index, check) in page.provider.check.iter().enumerate() {
        for (id, extract) in &check.extract {
            if extract.json.is_some() == extract.header.is_some() {
                report
                    .say(&at("check").nth(index).key("extract").key(id), "it is taken from `json` or from a `header`");
            }
        }
    }
    for (spot, test) in page.tests() {
        let conditions = &test.conditions;
        if !is_positive(test) && conditions.exists.is_none() && conditions.not_eq.is_none() {
            report.say(&spot, "nothing is tested here");
        }
        if let Some(pattern) = &conditions.matches {
            compiles(&spot.key("matches"), pattern, report);
        }
    }
    for (index, field) in page.provider.field.iter().enumerate() {
        let spot = at("field").nth(index).key("format");
        if let Some(pattern) = &field.format.regex {
            let spot = spot.key("regex");
            if compiles(&spot, pattern, report) && !is_anchored(pattern) {
                let hint = "write `^(…)$`, so that it is about the whole value";
                report.say_with(&spot, "the expression may fit a part of a value", hint);
            }
        }
        for (nth, mistake) in field.format.mistake.iter().enumerate() {
            compiles(&spot.key("mistake").nth(nth).key("regex"), &mistake.regex, report);
        }
    }
}

fn pointers<'a>(page: &Page<'a>) -> Vec<(Spot, &'a str)> {
    let mut pointers = Vec::new();
    for (_, spot, rule) in page.rules() {
        let spot = spot.key("when").key("json");
        pointers.extend(rule.when.json.keys().map(|pointer| (spot.key(pointer), pointer.as_str())));
    }
    for (index, check) in page.provider.check.iter().enumerate() {
        let spot = at("check").nth(index);
        for (id, extract) in &check.extract {
            let spot = spot.key("extract").key(id).key("json");
            pointers.extend(extract.json.iter().map(|pointer| (spot.clone(), pointer.as_str())));
        }
        for (nth, advice) in check.advice.iter().enumerate() {
            pointers.push((spot.key("advice").nth(nth).key("json"), &advice.json));
        }
    }
    for (index, scope) in page.provider.scope.iter().enumerate() {
        let spot = at("scope").nth(index).key("verify").key("json");
        pointers.extend(scope.verify.iter().map(|verify| (spot.clone(), verify.json.as_str())));
    }
    for (index, field) in page.provider.field.iter().enumerate() {
        let spot = at("field").nth(index).key("derive").key("json");
        pointers.extend(field.derive.iter().map(|derive| (spot.clone(), derive.json.as_str())));
    }
    pointers
}

fn is_pointer(text: &str) -> bool {
    let escapes = text.split('~').skip(1).all(|after| after.starts_with(['0', '1']));
    text.starts_with('/') && escapes
}

fn compiles(spot: &Spot, pattern: &str, report: &mut Report<'_>) -> bool {
    match Regex::new(pattern) {
        Ok(_) => true,
        Err(error) => {
            report.say(spot, format!("the expression cannot be read: {error}"));
            false
        }
    }
}

/// Whether a pattern that compiles is about the whole value: `^`, `$`, and no `|` outside of a group.
fn is_anchored(pattern: &str) -> bool {
    let pattern = pattern.strip_prefix("(?i)").unwrap_or(pattern);
    let (mut depth, mut in_class, mut escaped, mut last) = (0, false, false, ' ');
    for c in pattern.chars() {
        if !escaped && !in_class && depth == 0 && c == '|' {
            return false;
        }
        last = if escaped { ' ' } else { c };
        match c {
            _ if escaped => {}
            '[' => in_class = true,
            ']' => in_class = false,
            '(' if !in_class => depth += 1,
            ')' if !in_class => depth -= 1,
            _ => {}
        }
        escaped = !escaped && c == '\\';
    }
    pattern.starts_with('^') && last == '$'
}

pub(super) fn meanings(page: &Page<'_>, report: &mut Report<'_>) {
    for (_, spot, rule) in page.rules() {
        meaning(&spot, rule, report);
    }
    for (index, check) in page.provider.check.iter().enumerate() {
        let spot = at("check").nth(index);
        if !check.optional && check.proves.is_empty() {
            report.say(&spot, format!("`{}` is required, but proves nothing", check.id));
        }
        let accepts = check.rule.iter().any(|rule| rule.verdict == Verdict::Accepted);
        if !check.auth.strategy.makes_request() && !accepts {
            report.say(&spot, format!("no answer to `{}` is ever accepted", check.id));
        }
    }
}

fn meaning(spot: &Spot, rule: &Rule, report: &mut Report<'_>) {
    if matches!(rule.verdict, Verdict::Unchecked | Verdict::Malformed) {
        let what = format!("`{}` is never the meaning of an answer", rule.verdict.word());
        report.say(&spot.key("verdict"), what);
    }
    if rule.when == Match::default() {
        report.say(&spot.key("when"), "this fits every answer");
    }
    if rule.verdict == Verdict::Rejected && rule.blame.is_empty() {
        report.say_with(spot, "it is rejected, but no field is to blame", "add `blame`");
    }
    if rule.verdict != Verdict::Rejected && !rule.blame.is_empty() {
        report.say(&spot.key("blame"), format!("`{}` blames no field", rule.verdict.word()));
    }
    if rule.verdict == Verdict::Limited && rule.missing.is_empty() {
        report.say_with(spot, "it is limited, but nothing is missing", "add `missing`");
    }
    if rule.verdict != Verdict::Limited && !rule.missing.is_empty() {
        report.say(&spot.key("missing"), format!("`{}` misses nothing", rule.verdict.word()));
    }
    if rule.verdict == Verdict::Rejected && !rule.proves.is_empty() {
        report.say(&spot.key("proves"), "a rejected credential proves nothing");
    }
}

pub(super) fn proof(page: &Page<'_>, report: &mut Report<'_>) {
    for (_, spot, rule) in page.rules() {
        let Match { json, header, location_query, body, .. } = &rule.when;
        let mut tests = json.values().chain(header.values()).chain(location_query.values()).chain(body);
        if matches!(rule.verdict, Verdict::Accepted | Verdict::Limited) && !tests.any(is_positive) {
            let hint = "a status alone proves nothing: name something that only this service says";
            report.say_with(&spot.key("when"), format!("`{}` has no proof", rule.verdict.word()), hint);
        }
    }
}

/// Whether the test can only hold for something that is there and known.
fn is_positive(test: &Test) -> bool {
    let test = &test.conditions;
    test.eq.is_some()
        || test.one_of.is_some()
        || test.contains.is_some()
        || test.matches.is_some()
        || test.same_as.is_some()
        || test.certifies.is_some()
        || test.exists == Some(true)
}

pub(super) fn shadows(page: &Page<'_>, report: &mut Report<'_>) {
    for (index, check) in page.provider.check.iter().enumerate() {
        let spot = at("check").nth(index).key("rule");
        for (nth, rule) in check.rule.iter().enumerate() {
            if let Some(earlier) = check.rule[..nth].iter().find(|earlier| covers(&earlier.when, &rule.when)) {
                report.say(&spot.nth(nth).key("when"), format!("`{}` takes every such answer before", earlier.id));
            }
        }
    }
}

/// Whether every answer that fits `later` fits `earlier` too, as far as its form shows.
fn covers(earlier: &Match, later: &Match) -> bool {
    let all_in = |few: &std::collections::BTreeMap<String, Test>, many: &std::collections::BTreeMap<String, Test>| {
        few.iter().all(|(name, test)| many.get(name) == Some(test))
    };
    let status = earlier.status.as_ref().is_none_or(|earlier| {
        later.status.as_ref().is_some_and(|later| (100..600).all(|code| !later.fits(code) || earlier.fits(code)))
    });
    status
        && all_in(&earlier.json, &later.json)
        && all_in(&earlier.header, &later.header)
        && all_in(&earlier.location_query, &later.location_query)
        && earlier.body.as_ref().is_none_or(|test| later.body.as_ref() == Some(test))
}

pub(super) fn control(page: &Page<'_>, report: &mut Report<'_>) {
    for (index, check) in page.provider.check.iter().enumerate() {
        let spot = at("check").nth(index);
        let Some(control) = &check.control else {
            if page.sends_secret(index) && check.auth.strategy != Strategy::JwtLocal {
                let hint = "add `control = { mutate = [\"…\"], run = \"always\" }`, or `prove`, or `never`";
                report.say_with(&spot, format!("`{}` sends a secret and has no control policy", check.id), hint);
            }
            continue;
        };
        let spot = spot.key("control");
        if control.mutate.is_empty() {
            report.say(&spot.key("mutate"), "a control request scrambles at least one field");
        }
        let sent = page.sent_fields(index);
        for (nth, field) in control.mutate.iter().enumerate().filter(|(_, field)| !sent.contains(field.as_str())) {
            report.say(&spot.key("mutate").nth(nth), format!("`{}` does not send `{field}`", check.id));
        }
        if check.effects >= Effects::MayLockOut && control.run == ControlRun::Always {
            let what = format!("a wrong value with every check, and its effect is `{}`", check.effects.word());
            report.say_with(&spot.key("run"), what, "use `prove` or `never`");
        }
    }
}

pub(super) fn fixtures(page: &Page<'_>, report: &mut Report<'_>) {
    let known = || page.provider.check.iter().map(|check| check.id.as_str());
    for (index, fixture) in page.provider.fixture.iter().enumerate() {
        let spot = at("fixture").nth(index);
        if page.provider.check(&fixture.check).is_none() {
            let what = format!("there is no check `{}`", fixture.check);
            report.unknown(&spot.key("check"), what, &fixture.check, known());
        }
        if fixture.response.is_some() == fixture.transport.is_some() {
            report.say(&spot, "a fixture has a `response` or a `transport`");
        }
        if let Some(response) = &fixture.response {
            let spot = spot.key("response");
            if response.json.is_some() && response.body.is_some() {
                report.say(&spot.key("body"), "a response has `json` or a `body`, not both");
            }
            if !(100..600).contains(&response.status) {
                report.say(&spot.key("status"), format!("`{}` is not an HTTP status: 100 to 599", response.status));
            }
        }
        expectation(&spot.key("expect"), fixture, report);
    }
}

fn expectation(spot: &Spot, fixture: &Fixture, report: &mut Report<'_>) {
    let verdict = fixture.expect.verdict;
    if matches!(verdict, Verdict::Unchecked | Verdict::Malformed) {
        report.say(&spot.key("verdict"), format!("`{}` is never the meaning of an answer", verdict.word()));
    }
    if fixture.transport.is_some() && verdict != Verdict::Inconclusive {
        report.say(&spot.key("verdict"), "nothing is learnt when the network fails");
    }
    if verdict == Verdict::Limited && fixture.expect.missing.as_ref().is_none_or(Vec::is_empty) {
        report.say_with(spot, "it is limited, but the fixture does not say what is missing", "add `missing`");
    }
}

pub(super) fn coverage(page: &Page<'_>, report: &mut Report<'_>) {
    for (index, check) in page.provider.check.iter().enumerate() {
        let spot = at("check").nth(index);
        let fixtures: Vec<&Fixture> =
            page.provider.fixture.iter().filter(|fixture| fixture.check == check.id).collect();
        for verdict in wanted(check, page.sends_secret(index)) {
            if !fixtures.iter().any(|fixture| fixture.expect.verdict == verdict) {
                report.say(&spot, format!("no fixture shows an answer to `{}` that is {}", check.id, verdict.word()));
            }
        }
        for (nth, rule) in check.rule.iter().enumerate() {
            let why = rule.why.as_ref().unwrap_or(&rule.id);
            if !fixtures.iter().any(|fixture| fixture.response.is_some() && fixture.expect.why.as_ref() == Some(why)) {
                let what = format!("no fixture shows the rule `{}`", rule.id);
                report.say_with(&spot.key("rule").nth(nth), what, format!("one expects `why = \"{why}\"`"));
            }
        }
    }
}

/// The verdicts that a check has to have a fixture for.
fn wanted(check: &Check, sends_secret: bool) -> Vec<Verdict> {
    // An optional check has one for each of its rules; an offline one gets no answers.
    if check.optional || check.auth.strategy == Strategy::JwtLocal {
        return Vec::new();
    }
    let mut wanted = vec![Verdict::Accepted, Verdict::Inconclusive];
    if sends_secret || check.rule.iter().any(|rule| rule.verdict == Verdict::Rejected) {
        wanted.push(Verdict::Rejected);
    }
    wanted
}
