//! `vault recipients`: who may open the vault.

use std::path::Path;
use std::sync::Arc;

use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::{Value, json};

use crate::audit::{Deed, Event};
use crate::cli::house::House;
use crate::cli::remove::{revoke, revoke_page};
use crate::cli::report::{Report, Reported};
use crate::cli::show::time;
use crate::credential::CredentialName;
use crate::problem::{Kind, Problem};
use crate::store::Store as _;
use crate::store::items::Items;
use crate::store::vault::{self, FirstSlot, Rekeyed, SlotStatus};
use crate::ui::{Ui, counted, plain};

/// List, add and remove those who may open the vault
#[derive(Subcommand, Debug)]
pub(crate) enum RecipientsCommand {
    /// List what opens the vault, without opening it
    #[command(visible_alias = "ls", after_help = "Examples:\n  keyward vault recipients list")]
    List,
    Add(AddArgs),
    #[command(visible_alias = "rm")]
    Remove(RemoveArgs),
}

/// Let others open the vault too
///
/// They can read every credential in it, from now on and as it is now. In words: `age1…`, `ssh-ed25519 …`, `ssh-rsa …`
/// (from 2048 bits on), or `@FILE` with such lines.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  keyward vault recipients add age1… --label 'alice laptop'\n  keyward vault recipients add @id_ed25519.pub\n  keyward vault recipients add --keyring"
)]
pub(crate) struct AddArgs {
    /// Whom
    #[arg(value_name = "RECIPIENT", required_unless_present = "keyring")]
    recipients: Vec<String>,
    /// A key that the keyring of this machine holds
    #[arg(long)]
    keyring: bool,
    /// What the slot is called (an ssh key's comment when it is not said)
    #[arg(long)]
    label: Option<String>,
}

/// Shut somebody out
///
/// The vault gets a new data key, and every value is sealed anew. What they could read they may have kept: the
/// credentials are listed with the pages where they are revoked.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  keyward vault recipients remove 'alice laptop'\n  keyward vault recipients remove age1… --yes"
)]
pub(crate) struct RemoveArgs {
    /// Label or recipient, or `keyring` or `passphrase`
    #[arg(value_name = "SLOT", required = true)]
    slots: Vec<String>,
    /// Do not ask first
    #[arg(short, long)]
    yes: bool,
}

struct Listed(Vec<SlotStatus>);
struct Added(Vec<SlotStatus>);

struct Removed {
    rekeyed: Rekeyed,
    known: Vec<Known>,
}

/// A credential that somebody could read who cannot any more.
#[derive(Serialize)]
struct Known {
    name: CredentialName,
    /// How it is revoked at the service.
    revoke: Option<String>,
    /// The page where that is done.
    page: Option<String>,
}

/// Carries the subcommand out.
pub(super) fn run(command: &RecipientsCommand, house: &House) -> Reported {
    match command {
        RecipientsCommand::List => Ok(Box::new(Listed(house.vault()?.status()?.slots))),
        RecipientsCommand::Add(args) => add(args, house),
        RecipientsCommand::Remove(args) => remove(args, house),
    }
}

fn add(args: &AddArgs, house: &House) -> Reported {
    let mut new = Vec::new();
    for text in &args.recipients {
        let lines = match text.strip_prefix('@') {
            Some(file) => lines_of(Path::new(file))?,
            None => vec![text.clone()],
        };
        for line in lines {
            let recipient = vault::read_recipient(&line).map_err(|why| not_a_recipient(&line, &why))?;
            let label = args.label.clone().unwrap_or_else(|| label_of(&line));
            new.push((FirstSlot::Recipient(recipient), label));
        }
    }
    if args.keyring {
        let label = args.label.clone().unwrap_or_else(|| "keyring".into());
        new.push((FirstSlot::Keyring(house.items() as Arc<dyn Items>), label));
    }
    let vault = house.vault()?;
    let labels: Vec<&str> = new.iter().map(|(_, label)| label.as_str()).collect();
    let event = Event::done("vault recipients add", Deed::SlotAdded, None).detail(labels.join(", "));
    Ok(Box::new(Added(house.doing(event, || Ok(vault.add_slots(new)?))?)))
}

fn not_a_recipient(text: &str, why: &str) -> Problem {
    let problem = Problem::new(Kind::Usage, "not-a-recipient", why);
    if is_secret_half(text) {
        return problem.hint(SECRET_HALF);
    }
    problem.hint("an ssh public key has blanks: quote it, or say @FILE")
}

const SECRET_HALF: &str = "that is the secret half: `age-keygen -y FILE` tells the public one";

/// A key that was typed by mistake is not repeated.
fn is_secret_half(text: &str) -> bool {
    text.to_ascii_uppercase().contains("AGE-SECRET-KEY-") || text.contains("PRIVATE KEY")
}

/// The recipients in a file: lines that are not empty and no comments.
fn lines_of(file: &Path) -> Result<Vec<String>, Problem> {
    let unreadable = |why: String| {
        Problem::new(Kind::Usage, "recipients-file", format!("cannot read recipients from {}", file.display()))
            .seen(why)
    };
    let text = crate::setup::source::read_file(file).map_err(|why| unreadable(why.to_string()))?;
    // Public keys; a private one is refused by the reader of recipients, without being repeated.
    let text = text.expose();
    let lines: Vec<String> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_owned)
        .collect();
    if lines.is_empty() { Err(unreadable("there is none in it".into())) } else { Ok(lines) }
}

/// An ssh key's comment, else the beginning of the recipient.
fn label_of(recipient: &str) -> String {
    let words: Vec<&str> = recipient.split_whitespace().collect();
    match words.as_slice() {
        [_, _, comment, ..] => (*comment).to_owned(),
        [ssh, key] => format!("{ssh} …{}", key.chars().skip(key.chars().count().saturating_sub(8)).collect::<String>()),
        _ => recipient.trim().chars().take(12).collect(),
    }
}

fn remove(args: &RemoveArgs, house: &House) -> Reported {
    if args.slots.iter().any(|slot| is_secret_half(slot)) {
        return Err(Problem::new(Kind::Usage, "not-a-slot", "a secret key is not the name of a slot").hint(SECRET_HALF));
    }
    if !args.yes && house.ui.may_ask() {
        let question = format!("Shut out {}, with a new data key for everybody else?", args.slots.join(", "));
        if !house.confirm(&question, false)? {
            return Err(Problem::new(Kind::Interrupted, "not-confirmed", "nothing was changed"));
        }
    }
    let event = Event::done("vault recipients remove", Deed::SlotRemoved, None);
    // Before the change: what fails after it would say that nothing was changed.
    let summaries = house.or_told(&event, house.vault()?.list())?;
    let rekeyed = house.vault().and_then(|vault| Ok(vault.remove_slots(&args.slots)?));
    // A word that names no slot may be anything, such as a secret in the wrong place: it is not written down.
    let names_none = matches!(&rekeyed, Err(problem) if problem.kind == Kind::NotFound);
    let event = if names_none { event } else { event.detail(args.slots.join(", ")) };
    let rekeyed = house.doing(event, || rekeyed)?;
    let known = summaries.iter().map(|summary| Known {
        name: summary.name.clone(),
        revoke: revoke(house, summary),
        page: revoke_page(house, summary),
    });
    Ok(Box::new(Removed { rekeyed, known: known.collect() }))
}

/// One slot on a line.
pub(super) fn line(slot: &SlotStatus) -> String {
    format!("{} \"{}\" {}, added {}", slot.kind.word(), plain(&slot.label), plain(&slot.detail), time(slot.added))
}

impl Report for Listed {
    fn text(&self, _: &Ui) -> String {
        self.0.iter().map(|slot| format!("{}\n", line(slot))).collect()
    }
    fn json(&self) -> Value {
        json!({ "schema": "keyward.vault-recipients-list/1", "slots": self.0 })
    }
}

impl Report for Added {
    fn text(&self, _: &Ui) -> String {
        self.0.iter().map(|slot| format!("added {}\n", line(slot))).collect()
    }
    fn json(&self) -> Value {
        json!({ "schema": "keyward.vault-recipients-add/1", "added": self.0 })
    }
}

impl Report for Removed {
    fn text(&self, _: &Ui) -> String {
        let gone = self.rekeyed.removed.iter().map(|slot| format!("removed {}\n", line(slot)));
        gone.chain([format!("sealed {} anew\n", counted(self.rekeyed.entries, "credential"))]).collect()
    }
    fn json(&self) -> Value {
        json!({ "schema": "keyward.vault-recipients-remove/1", "rekeyed": self.rekeyed, "known": self.known })
    }
    fn notes(&self, _: &Ui) -> Vec<String> {
        let how = |known: &Known| match (&known.revoke, &known.page) {
            (Some(how), Some(page)) if how != page => format!("revoke it: {page} ({how})"),
            (Some(how), _) => format!("revoke it: {how}"),
            (None, _) => "revoke it in its console".to_owned(),
        };
        let mut notes = vec![super::OLD_COPIES.to_owned()];
        if !self.known.is_empty() {
            notes.push("note: who was removed could read these, and may have kept them".into());
            notes.extend(self.known.iter().map(|known| format!("  {}: {}", known.name, how(known))));
        }
        notes
    }
}
