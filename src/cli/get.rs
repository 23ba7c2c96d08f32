//! `get`: the one plain printer.

use clap::Args;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::clip::Clipboard;
use super::complete;
use super::house::House;
use super::report::{Report, Reported};
use crate::audit::{Deed, Event};
use crate::credential::CredentialName;
use crate::problem::{Kind, Problem};
use crate::ui::Ui;

/// Print one value of a stored credential
///
/// The value and a newline go to stdout and nothing else; `-n` leaves the newline out. With `--clip` it goes to the
/// clipboard instead.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  keyward get zotero api_key\n  psql \"password=$(keyward get db password)\"\n  keyward get zotero api_key --clip"
)]
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
    /// Put it into the clipboard, for so many seconds (45)
    ///
    /// By wl-copy, xclip, xsel or pbcopy. When the time is up it is cleared, unless something else was copied meanwhile.
    /// A clipboard manager with a history may keep it.
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true, default_missing_value = "45",
          conflicts_with = "no_newline", value_parser = clap::value_parser!(u64).range(1..=3600))]
    clip: Option<u64>,
}

/// The value is in the clipboard.
struct Clipped {
    name: CredentialName,
    field: String,
    tool: &'static str,
    seconds: u64,
}

impl Report for Clipped {
    fn text(&self, _: &Ui) -> String {
        String::new()
    }
    fn json(&self) -> Value {
        json!({ "schema": "keyward.get/1", "name": self.name, "field": self.field,
            "clipboard": { "tool": self.tool, "seconds": self.seconds } })
    }
    fn notes(&self, _: &Ui) -> Vec<String> {
        vec![format!("{} of {} is in the clipboard for {} s, by {}", self.field, self.name, self.seconds, self.tool)]
    }
}

struct Got {
    name: CredentialName,
    field: String,
    value: Zeroizing<String>,
    newline: bool,
}

/// Reads one value.
pub(crate) fn run(args: &GetArgs, house: &House) -> Reported {
    // Looked for first: without a clipboard nothing is read.
    let clipboard = args.clip.map(|seconds| Ok::<_, Problem>((Clipboard::find(&house.env)?, seconds))).transpose()?;
    let command = if clipboard.is_some() { "get --clip" } else { "get" };
    let value = house.value_in_stores(|store| store.get(&args.name, &args.field));
    // A word that is no field may be anything, such as a secret in the wrong place: it is not written down.
    let is_field = !matches!(&value, Err(problem) if problem.kind == Kind::NotFound);
    let event = Event::done(command, Deed::Read, Some(&args.name)).of(is_field.then_some(args.field.as_str()));
    let value = house.doing(event, || value)?;
    if let Some((clipboard, seconds)) = clipboard {
        // To the clipboard: the operator asked for it.
        clipboard.put(value.expose(), seconds)?;
        let (name, field, tool) = (args.name.clone(), args.field.clone(), clipboard.tool());
        return Ok(Box::new(Clipped { name, field, tool, seconds }));
    }
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
