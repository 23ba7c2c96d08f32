//! Whose values these are: variables → the provider whose fields they hold, and what is missing there.
//!
//! Nothing is sent, stored or shown, and nothing is guessed: a variable may belong to several providers, and whoever asks
//! decides.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;

use super::source::{Outside, SourceError, Sources, gather, variables_of_field, variables_of_var};
use crate::credential::CredentialName;
use crate::credential::format::check_all;
use crate::provider::Provider;
use crate::secret::Secret;

/// What a set of variables has for one provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Id of the field → the variable that holds its value.
    pub fields: BTreeMap<String, String>,
    /// The variables that are used up: those that hold a value, those that hold the same value again, and those of fields
    /// that are derived.
    pub known: BTreeSet<String>,
    /// What is required and not there.
    pub missing: Vec<Missing>,
    /// Why a value could not be had.
    pub fault: Option<SourceError>,
}

/// A required value that is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// Id of the field or variable of the provider file.
    pub id: String,
    /// The variable that would hold it.
    pub variable: String,
    /// Whether it is a field that is asked for: without it the set is not complete.
    pub is_field: bool,
}

impl Claim {
    /// What the environment `env` has for the credential `name` of `provider`, with `vars` as of `--var`.
    pub fn of(provider: &Provider, name: &CredentialName, vars: &[String], env: Env<'_>) -> Self {
        let mut claim = Self { fields: BTreeMap::new(), known: known(provider, env), missing: Vec::new(), fault: None };
        let sources = Sources { from_env: true, var: vars.to_vec(), ..Sources::default() };
        let outside = Outside { env, stdin: &mut io::empty(), stdin_is_terminal: false };
        match gather(provider, &sources, outside) {
            Err(fault) => claim.fault = Some(fault),
            Ok(given) => {
                let misfits = check_all(provider, name, &given.answers).err().unwrap_or_default();
                let missing = misfits.iter().filter(|misfit| misfit.is_missing);
                claim.missing = missing.map(|misfit| Missing::of(provider, &misfit.place)).collect();
                claim.fields = given.origins.into_iter().filter(|(id, _)| provider.field(id).is_some()).collect();
            }
        }
        claim
    }

    /// Whether there is a value for each field that is required and asked for. Whether they fit is looked at later.
    pub fn is_complete(&self) -> bool {
        self.fault.is_some() || (!self.fields.is_empty() && !self.missing.iter().any(|missing| missing.is_field))
    }
}

impl Missing {
    fn of(provider: &Provider, id: &str) -> Self {
        let field = provider.field(id);
        let variables = match (field, provider.var(id)) {
            (Some(field), _) => variables_of_field(provider, field),
            (None, Some(var)) => variables_of_var(provider, var),
            (None, None) => Vec::new(),
        };
        // The usual name, where there is one, and not our own.
        let variable = variables.get(1).or(variables.first()).cloned().unwrap_or_default();
        Self { id: id.to_owned(), variable, is_field: field.is_some_and(|field| field.derive.is_none()) }
    }
}

/// Looks up a variable.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// The variables of a provider that are used up. One that has another value than the first of its field is not.
fn known(provider: &Provider, env: Env<'_>) -> BTreeSet<String> {
    let mut known = BTreeSet::new();
    let fields = provider.field.iter().map(|field| (variables_of_field(provider, field), field.derive.is_some()));
    let vars = provider.var.iter().map(|var| (variables_of_var(provider, var), false));
    for (names, is_derived) in fields.chain(vars) {
        let wrapped = |name: &String| env(name).and_then(|value| value.into_string().ok()).map(Secret::new);
        let given = names.into_iter().filter_map(|name| Some((wrapped(&name)?, name)));
        let given: Vec<(Secret, String)> = given.filter(|(value, _)| !value.is_empty()).collect();
        let is_used = |value: &Secret| is_derived || given.first().is_some_and(|(first, _)| first == value);
        known.extend(given.iter().filter(|(value, _)| is_used(value)).map(|(_, name)| name.clone()));
    }
    known
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::parse::parse;

    const FILE: &str = "schema = 1\n[provider]\nid = 'acme'\nname = 'A'\nsummary = 's'\ncategory = 'sms'\nstatus = 'active'\n\
                        [provenance]\nreviewed = '2026-11-21'\nsource = []\n\
                        [[var]]\nid = 'region'\nlabel = 'Region'\nenv = ['ACME_REGION']\n\
                        [[field]]\nid = 'client_id'\nlabel = 'ID'\nenv = ['ACME_ID', 'AUTH_ACME_ID']\n\
                        [[field]]\nid = 'secret'\nlabel = 'Secret'\nsecret = true\n\
                        [[field]]\nid = 'note'\nlabel = 'Note'\nrequired = false\nenv = ['ACME_NOTE']\n";

    fn claim(vars: &[&str], env: &[(&str, &str)]) -> Claim {
        let look_up = |name: &str| env.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value));
        let vars: Vec<String> = vars.iter().map(|var| (*var).to_owned()).collect();
        let provider = parse("acme.toml", FILE).unwrap();
        Claim::of(&provider, &"acme".parse().unwrap(), &vars, &look_up)
    }

    #[test]
    fn what_is_missing_is_named_with_its_variable_and_only_fields_make_it_incomplete() {
        let lacking = |claim: &Claim| claim.missing.iter().map(|missing| missing.variable.clone()).collect::<Vec<_>>();
        let one = claim(&[], &[("ACME_ID", "1")]);
        assert_eq!(lacking(&one), ["ACME_REGION", "ACME_SECRET"]);
        assert!(!one.is_complete());
        let both = claim(&[], &[("ACME_ID", "1"), ("ACME_SECRET", "2")]);
        assert_eq!(lacking(&both), ["ACME_REGION"]);
        assert!(both.is_complete(), "the region can be given with --var");
        assert_eq!(lacking(&claim(&["region=eu"], &[("ACME_ID", "1"), ("ACME_SECRET", "2")])), [""; 0]);
        assert!(!claim(&["region=eu"], &[("FOO", "1")]).is_complete());
        assert!(!claim(&[], &[("ACME_ID", ""), ("ACME_SECRET", "2")]).is_complete(), "empty is not there");
    }

    #[test]
    fn a_variable_is_used_up_unless_it_says_something_else() {
        let known = |other: &str| {
            let env = [("KEYWARD_ACME_CLIENT_ID", "1"), ("AUTH_ACME_ID", other), ("ACME_SECRET", "2"), ("FOO", "3")];
            claim(&[], &env).known.into_iter().collect::<Vec<_>>()
        };
        assert_eq!(known("1"), ["ACME_SECRET", "AUTH_ACME_ID", "KEYWARD_ACME_CLIENT_ID"]);
        assert_eq!(known("9"), ["ACME_SECRET", "KEYWARD_ACME_CLIENT_ID"]);
    }
}
