//! What serde cannot say about a provider file.
//!
//! Comes in: a file's text. Goes out: [`Finding`]s, each with its place. Each law is one function, and one
//! table lists them. Nothing is sent, and nothing but the text is read.

mod about;
mod answers;
mod names;
mod network;
mod page;
mod samples;
mod spot;
#[cfg(test)]
mod tests;

use std::fmt;

use page::Page;
use spot::{Spot, Spots};

use super::parse::{Place, parse};
use super::{Field, Provider};

/// Something in a provider file that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The file, as the operator knows it.
    pub file: String,
    /// Where in it.
    pub at: Place,
    /// What is not as it should be: lower case, no full stop.
    pub what: String,
    /// What to do.
    pub hint: Option<String>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}: {}", self.file, self.at, self.what)
    }
}

pub use samples::fits;

/// Decides whether a value fits a field, when samples are looked at.
pub type Fits<'a> = dyn Fn(&Field, &str) -> bool + 'a;

/// Everything that is wrong with the file `file` of the text `text`, in the order of the text. A file that does not
/// parse has one finding.
pub fn lint(file: &str, text: &str) -> Vec<Finding> {
    lint_with(file, text, &fits)
}

/// As [`lint`], where `fits` decides whether a sample fits its field.
pub fn lint_with(file: &str, text: &str, fits: &Fits<'_>) -> Vec<Finding> {
    match parse(file, text) {
        Err(fault) => vec![Finding { file: fault.file, at: fault.at, what: fault.what, hint: fault.hint }],
        Ok(provider) => hold(LAWS, file, text, &provider, fits),
    }
}

/// The findings without which a file must not be used: secrets could go astray, or an answer could be misread.
pub(super) fn unsound(file: &str, text: &str, provider: &Provider) -> Vec<Finding> {
    let laws: Vec<Law> = LAWS.iter().filter(|law| law.vital).copied().collect();
    hold(&laws, file, text, provider, &fits)
}

fn hold(laws: &[Law], file: &str, text: &str, provider: &Provider, fits: &Fits<'_>) -> Vec<Finding> {
    let page = Page::new(provider, text, fits);
    let mut report = Report { file, text, spots: Spots::of(file, text), findings: Vec::new() };
    for law in laws {
        (law.look)(&page, &mut report);
    }
    // The own file first.
    report.findings.sort_by_key(|finding| (finding.file != file, finding.at));
    report.findings
}

/// One demand on a provider file.
#[derive(Clone, Copy)]
struct Law {
    /// What is demanded.
    #[cfg_attr(not(test), expect(dead_code, reason = "tests show each law by its name"))]
    name: &'static str,
    /// A file from outside is refused without it.
    vital: bool,
    look: fn(&Page<'_>, &mut Report<'_>),
}

const fn vital(name: &'static str, look: fn(&Page<'_>, &mut Report<'_>)) -> Law {
    Law { name, vital: true, look }
}

const fn good_form(name: &'static str, look: fn(&Page<'_>, &mut Report<'_>)) -> Law {
    Law { name, vital: false, look }
}

/// Every demand.
const LAWS: &[Law] = &[
    vital("the schema number is known", about::schema_number),
    vital("the id is the file's stem", about::id),
    vital("ids have their shape and are unique", about::ids),
    vital("numbers are in their range", about::ranges),
    vital("variables are well-formed", about::vars),
    good_form("dates are dates", about::dates),
    good_form("sources are named", about::sources),
    good_form("status and change agree", about::status),
    good_form("environment names have their shape and are unique", about::env),
    good_form("console labels are closed", about::labels),
    vital("templates in documents can be read", names::bodies),
    vital("placeholders are declared", names::placeholders),
    vital("nothing secret is shown", names::shown_secrets),
    vital("what authenticates is sealed", names::sealed),
    vital("conditions have one meaning", names::conditions),
    vital("messages exist", names::messages),
    good_form("messages are used", names::unused_messages),
    vital("fields, scopes and claims exist", names::claims),
    good_form("every field is asked for in a step", names::captures),
    vital("addresses are https", network::https),
    vital("hosts are fixed", network::hosts),
    vital("no secret stands in a query", network::query),
    vital("a strategy has its keys and no others", network::strategy),
    vital("a request is there when it is needed", network::request),
    vital("a check is asked elsewhere only where that does no harm", network::elsewhere),
    vital("checks follow each other", network::after),
    vital("pointers and expressions can be read", answers::patterns),
    vital("rules mean what an answer can mean", answers::meanings),
    vital("good news has a proof", answers::proof),
    vital("every rule can be reached", answers::shadows),
    vital("the control request has a policy", answers::control),
    good_form("fixtures are well-formed", answers::fixtures),
    good_form("every verdict and rule has a fixture", answers::coverage),
    good_form("samples show their format", samples::samples),
    good_form("mistakes are shown and miss every good sample", samples::mistakes),
    good_form("no sample looks like a secret", samples::scanners),
];

/// Collects findings.
struct Report<'a> {
    file: &'a str,
    text: &'a str,
    spots: Spots<'a>,
    findings: Vec<Finding>,
}

impl Report<'_> {
    /// Something is wrong at `spot`.
    fn say(&mut self, spot: &Spot, what: impl Into<String>) {
        let (file, at) = self.place(spot);
        self.put(file, at, what.into(), None);
    }

    /// Something is wrong at `spot`, and `hint` says what to do.
    fn say_with(&mut self, spot: &Spot, what: impl Into<String>, hint: impl Into<String>) {
        let (file, at) = self.place(spot);
        self.put(file, at, what.into(), Some(hint.into()));
    }

    /// `name` stands at `spot` and is none of the `known` ones.
    fn unknown<'n>(
        &mut self,
        spot: &Spot,
        what: impl Into<String>,
        name: &str,
        known: impl IntoIterator<Item = &'n str>,
    ) {
        let known: Vec<&str> = known.into_iter().collect();
        let hint = match crate::problem::nearest(name, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if known.is_empty() => "there are none".to_owned(),
            None => format!("there are: {}", known.join(", ")),
        };
        self.say_with(spot, what, hint);
    }

    /// Something is wrong at the byte `offset` of the text.
    fn say_at(&mut self, offset: usize, what: impl Into<String>, hint: &str) {
        let at = Place::of(self.text, offset);
        self.put(self.file.to_owned(), at, what.into(), Some(hint.to_owned()));
    }

    fn place(&self, spot: &Spot) -> (String, Place) {
        self.spots.place(spot).unwrap_or_else(|| (self.file.to_owned(), Place(None)))
    }

    /// Whether what stands at `spot` is taken over from another file.
    fn is_taken_over(&self, spot: &Spot) -> bool {
        self.place(spot).0 != self.file
    }

    fn put(&mut self, file: String, at: Place, what: String, hint: Option<String>) {
        self.findings.push(Finding { file, at, what, hint });
    }
}
