//! `rename`: another profile for a stored credential.

use clap::Args;
use serde_json::{Value, json};

use super::complete;
use super::house::House;
use super::report::{Report, Reported};
use crate::audit::{Deed, Event};
use crate::credential::CredentialName;
use crate::problem::{Kind, Problem};
use crate::ui::Ui;

/// Rename a stored credential
///
/// Only the profile can change: the fields belong to the provider. An existing credential is never replaced.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  keyward rename google google/old")]
pub(crate) struct RenameArgs {
    /// The credential
    #[arg(add = complete::credentials())]
    from: CredentialName,
    /// Its new name
    to: CredentialName,
}

struct Renamed {
    from: CredentialName,
    to: CredentialName,
}

/// Renames it in the store where it is.
pub(crate) fn run(args: &RenameArgs, house: &House) -> Reported {
    if args.from.provider() != args.to.provider() {
        return Err(Problem::new(Kind::Usage, "other-provider", "a credential cannot change its provider")
            .seen(format!("`{}` and `{}`", args.from, args.to))
            .hint(format!("keyward rename {} {}/NEW-PROFILE", args.from, args.from.provider())));
    }
    let event = Event::done("rename", Deed::Renamed, Some(&args.from)).detail(format!("to {}", args.to));
    house.doing(event, || house.in_stores(|store| store.rename(&args.from, &args.to)))?;
    Ok(Box::new(Renamed { from: args.from.clone(), to: args.to.clone() }))
}

impl Report for Renamed {
    fn text(&self, _: &Ui) -> String {
        format!("renamed {} to {}\n", self.from, self.to)
    }
    fn json(&self) -> Value {
        json!({ "schema": "keyward.rename/1", "from": self.from, "to": self.to })
    }
}
