//! Set-up without questions: what was given is looked at as a whole, and what is missing is named at once.

use std::fmt;

use thiserror::Error;

use super::source::{Given, own_variable};
use crate::credential::CredentialName;
use crate::credential::format::{Checked, Misfit, check_all};
use crate::problem::{Explain, Kind};
use crate::provider::Provider;

/// Makes a credential of what was given. Asks nothing.
///
/// # Errors
///
/// [`Unfit`], with everything that is missing and everything that does not fit.
pub fn collect(provider: &Provider, name: &CredentialName, given: &Given) -> Result<Checked, Unfit> {
    check_all(provider, name, &given.answers).map_err(|misfits| Unfit::new(provider, given, misfits))
}

/// Values that are missing or do not fit, and nobody to ask. Never carries a value.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub struct Unfit {
    /// What is missing or does not fit, in the order of the file.
    pub misfits: Vec<Misfit>,
    hints: Vec<String>,
}

impl Unfit {
    fn new(provider: &Provider, given: &Given, misfits: Vec<Misfit>) -> Self {
        let (missing, malformed): (Vec<&Misfit>, Vec<&Misfit>) = misfits.iter().partition(|misfit| misfit.is_missing);
        let only = missing.is_empty() && malformed.len() == 1;
        let mut hints: Vec<String> = missing.iter().map(|misfit| supply(provider, misfit)).collect();
        hints.extend(malformed.iter().map(|misfit| repair(given, misfit, only)));
        Self { misfits, hints }
    }
}

/// The flag and the variable that would supply a value.
fn supply(provider: &Provider, misfit: &Misfit) -> String {
    let id = &misfit.place;
    let named = provider.field(id).map(|field| &field.env).or_else(|| provider.var(id).map(|var| &var.env));
    let variable = named.and_then(|names| names.first().cloned()).unwrap_or_else(|| own_variable(provider, id));
    let flag = match provider.field(id) {
        Some(field) if field.secret => format!("--field {id}=@PATH (or =-, =env:NAME, =fd:N)"),
        Some(_) => format!("--field {id}=VALUE"),
        None => format!("--var {id}=VALUE"),
    };
    let also = misfit.hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default();
    format!("{id}: {flag}, or {variable} with --from-env{also}")
}

/// What to do about a value that does not fit; what it is about stands in the message when it is the only one.
fn repair(given: &Given, misfit: &Misfit, only: bool) -> String {
    let mut parts = Vec::new();
    if !only {
        parts.push(format!("{} {}", misfit.place, misfit.what));
        parts.extend(misfit.expected.iter().map(|expected| format!("expected {expected}")));
    }
    parts.extend(misfit.hint.clone());
    parts.extend(given.origins.get(&misfit.place).map(|origin| format!("it came from {origin}")));
    parts.join("; ")
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [only] = self.misfits.as_slice()
            && !only.is_missing
        {
            return write!(f, "{only}");
        }
        let names = |missing: bool| {
            let places = self.misfits.iter().filter(|misfit| misfit.is_missing == missing);
            places.map(|misfit| format!("`{}`", misfit.place)).collect::<Vec<_>>()
        };
        let (missing, malformed) = (names(true), names(false));
        if !missing.is_empty() {
            let verb = if missing.len() == 1 { "is" } else { "are" };
            write!(f, "{} {verb} missing, and nobody may be asked", listed(&missing))?;
        }
        if !malformed.is_empty() {
            let verb = if malformed.len() == 1 { "does" } else { "do" };
            let comma = if missing.is_empty() { "" } else { "; " };
            write!(f, "{comma}{} {verb} not fit", listed(&malformed))?;
        }
        Ok(())
    }
}

/// `a`, `b` and `c`.
pub fn listed(names: &[String]) -> String {
    match names {
        [first @ .., last] if !first.is_empty() => format!("{} and {last}", first.join(", ")),
        _ => names.concat(),
    }
}

impl Explain for Unfit {
    fn kind(&self) -> Kind {
        Kind::Malformed
    }

    fn code(&self) -> &'static str {
        if self.misfits.iter().any(|misfit| misfit.is_missing) { "missing-values" } else { "malformed-value" }
    }

    fn seen(&self) -> Option<String> {
        match self.misfits.as_slice() {
            [only] => only.seen(),
            _ => None,
        }
    }

    fn hints(&self) -> Vec<String> {
        self.hints.iter().filter(|hint| !hint.is_empty()).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::Problem;
    use crate::provider::parse::parse;
    use crate::secret::Secret;

    fn provider() -> Provider {
        let text = "schema = 1\n[provider]\nid = 'acme'\nname = 'A'\nsummary = 's'\ncategory = 'sms'\nstatus = 'active'\n\
                    [provenance]\nreviewed = '2026-11-21'\nsource = []\n\
                    [[var]]\nid = 'region'\nlabel = 'Region'\n\
                    [[field]]\nid = 'client_id'\nlabel = 'ID'\nenv = ['ACME_ID']\nformat = { regex = '^[0-9]{4}$' }\n\
                    [[field]]\nid = 'secret'\nlabel = 'Secret'\nsecret = true\nformat = { min_len = 8 }\n";
        parse("acme.toml", text).unwrap()
    }

    fn run(fields: &[(&str, &str)], region: Option<&str>) -> Result<Checked, Problem> {
        let mut given = Given::default();
        for (id, text) in fields {
            given.answers.fields.insert((*id).to_owned(), Secret::from(*text));
            given.origins.insert((*id).to_owned(), "--field".to_owned());
        }
        given.answers.vars.extend(region.map(|region| ("region".to_owned(), region.to_owned())));
        collect(&provider(), &CredentialName::new("acme", "default").unwrap(), &given).map_err(Problem::from)
    }

    #[test]
    fn everything_that_is_missing_is_named_at_once_with_its_flag_and_variable() {
        let problem = run(&[], None).unwrap_err();
        assert_eq!((problem.kind.exit(), problem.code.as_str()), (6, "missing-values"));
        assert_eq!(problem.message, "`region`, `client_id` and `secret` are missing, and nobody may be asked");
        assert_eq!(
            problem.hints,
            [
                "region: --var region=VALUE, or KEYWARD_ACME_REGION with --from-env",
                "client_id: --field client_id=VALUE, or ACME_ID with --from-env",
                "secret: --field secret=@PATH (or =-, =env:NAME, =fd:N), or KEYWARD_ACME_SECRET with --from-env",
            ]
        );
    }

    #[test]
    fn a_value_that_does_not_fit_is_named_with_where_it_came_from() {
        let problem = run(&[("client_id", "1234"), ("secret", "short")], Some("eu")).unwrap_err();
        assert_eq!((problem.kind.exit(), problem.code.as_str()), (6, "malformed-value"));
        assert_eq!(problem.message, "`secret` has 5 characters");
        assert_eq!(problem.seen.as_deref(), Some("expected at least 8 characters"));
        assert_eq!(problem.hints, ["copy the whole value; it came from --field"]);
    }

    #[test]
    fn missing_and_malformed_values_are_told_together() {
        let problem = run(&[("client_id", "12"), ("secret", "short")], None).unwrap_err();
        assert_eq!(problem.code, "missing-values");
        assert_eq!(
            problem.message,
            "`region` is missing, and nobody may be asked; `client_id` and `secret` do not fit"
        );
        assert_eq!(problem.hints.len(), 3);
        assert!(problem.hints[2].starts_with("secret has 5 characters; expected at least 8"), "{:?}", problem.hints);
    }

    #[test]
    fn what_fits_becomes_a_credential() {
        let checked = run(&[("client_id", "1234"), ("secret", "long enough")], Some("eu")).unwrap();
        assert_eq!(checked.credential.vars["region"], "eu");
        assert!(checked.credential.fields["secret"].is_secret());
    }
}
