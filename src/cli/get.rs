//! `get`: the one plain printer.

use clap::Args;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::complete;
use super::house::House;
use super::report::{Report, Reported};
use crate::credential::CredentialName;
use crate::ui::Ui;

/// Print one value of a stored credential
///
/// The value and a newline go to stdout and nothing else; `-n` leaves the newline out.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  keyward get zotero api_key\n  psql \"password=$(keyward get db password)\"")]
pub(crate) struct GetArgs {
    /// The credential, such as `google` or `google/staging`
    #[arg(value_name = "NAME", add = complete::credentials())]
    name: CredentialName,
    /// The field
    #[arg(add = complete::fields())]
    field: String,
    /// Print no newline after the value
    #[arg(short = 'n', long)]
    no_newline: bool,
}

struct Got {
    name: CredentialName,
    field: String,
    value: Zeroizing<String>,
    newline: bool,
}

/// Reads one value.
pub(crate) fn run(args: &GetArgs, house: &House) -> Reported {
    let value = house.in_stores(|store| store.get(&args.name, &args.field))?;
    Ok(Box::new(Got {
        name: args.name.clone(),
        field: args.field.clone(),
        // To stdout: the operator asked for it.
        value: Zeroizing::new(value.expose().to_owned()),
        newline: !args.no_newline,
    }))
}

impl Report for Got {
    fn text(&self, _: &Ui) -> String {
        format!("{}{}", self.value.as_str(), if self.newline { "\n" } else { "" })
    }
    fn json(&self) -> Value {
        json!({ "schema": "keyward.get/1", "name": self.name, "field": self.field, "value": self.value.as_str() })
    }
}
