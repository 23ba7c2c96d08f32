//! `vault`: the sealed file itself.

use std::sync::Arc;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::house::{House, how_it_opens};
use super::report::{Report, Reported};
use super::show::{pairs, time};
use crate::problem::{Kind, Problem};
use crate::secret::Secret;
use crate::store::items::Items;
use crate::store::vault::{self, FirstSlot, Made, PassphraseCost, Status, Verified};
use crate::ui::{Ui, counted};

/// Make, look at and verify the vault
#[derive(Subcommand, Debug)]
pub(crate) enum VaultCommand {
    Init(InitArgs),
    /// Show what the vault is, without opening it
    #[command(after_help = "Examples:\n  keyward vault status")]
    Status,
    /// Open every value and verify every seal
    #[command(after_help = "Examples:\n  keyward vault verify && echo whole")]
    Verify,
}

/// Make a new vault
///
/// An existing file is never touched. Without an option the vault opens with an age identity in the config folder,
/// which is made when there is none.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  keyward vault init\n  keyward vault init --recipient age1…\n  keyward vault init --passphrase --passphrase-file pass.txt\n  keyward vault init --keyring"
)]
pub(crate) struct InitArgs {
    /// Open it with the holder of this age recipient (age1…)
    #[arg(long, value_name = "AGE1", group = "slot")]
    recipient: Option<String>,
    /// Open it with a passphrase (Argon2id)
    #[arg(long, group = "slot")]
    passphrase: bool,
    /// Open it with a key that the system keyring holds
    #[arg(long, group = "slot")]
    keyring: bool,
    /// What the slot is called, such as `alice laptop`
    #[arg(long)]
    label: Option<String>,
}

struct Init(Made);
struct Look(Status);
struct Whole(Verified);

/// Carries the subcommand out.
pub(crate) fn run(command: &VaultCommand, house: &House) -> Reported {
    match command {
        VaultCommand::Init(args) => init(args, house),
        VaultCommand::Status => Ok(Box::new(Look(house.vault()?.status()?))),
        VaultCommand::Verify => Ok(Box::new(Whole(house.vault()?.verify()?))),
    }
}

fn init(args: &InitArgs, house: &House) -> Reported {
    let slot = match (&args.recipient, args.passphrase, args.keyring) {
        (Some(recipient), ..) => FirstSlot::Recipient(recipient.clone()),
        (None, true, _) => FirstSlot::Passphrase(new_passphrase(house)?, PassphraseCost::default()),
        (None, false, true) => FirstSlot::Keyring(house.items() as Arc<dyn Items>),
        (None, false, false) => {
            FirstSlot::Identity(house.global.identity.clone().unwrap_or_else(|| house.places.identity.clone()))
        }
    };
    let made = house.vault()?.init(slot, args.label.as_deref().unwrap_or("first"))?;
    Ok(Box::new(Init(made)))
}

/// The new passphrase: from a file or descriptor, else asked for twice.
fn new_passphrase(house: &House) -> Result<Secret, Problem> {
    let keys = house.keys()?;
    if let Some(given) = keys.passphrase {
        return Ok(given);
    }
    if let Some(file) = &keys.passphrase_file {
        // As it will be read to open the vault: what would be refused then must not seal it now.
        return vault::read_passphrase(file).map_err(|why| {
            Problem::new(Kind::Usage, "passphrase-file", format!("cannot read the passphrase from {}", file.display()))
                .seen(why)
        });
    }
    let Some(ask) = keys.ask else {
        return Err(Problem::new(Kind::Malformed, "no-passphrase", "there is no passphrase, and nobody may be asked")
            .hint("--passphrase-file FILE, or --passphrase-fd N"));
    };
    let left = || Problem::new(Kind::Interrupted, "left", "no passphrase was entered; nothing was made");
    let first = ask("New passphrase").ok_or_else(left)?;
    let second = ask("The same again").ok_or_else(left)?;
    if first != second {
        return Err(Problem::new(
            Kind::Malformed,
            "passphrases-differ",
            "the two passphrases differ; nothing was made",
        ));
    }
    Ok(first)
}

impl Report for Init {
    fn text(&self, _: &Ui) -> String {
        format!("made the vault {}\n{}\n", self.0.file.display(), how_it_opens(&self.0))
    }
    fn json(&self) -> Value {
        json!({ "schema": "keyward.vault-init/1", "made": self.0 })
    }
}

impl Report for Look {
    fn text(&self, _: &Ui) -> String {
        let status = &self.0;
        let mut rows = vec![
            ("vault".to_owned(), status.file.display().to_string()),
            ("id".to_owned(), status.id.clone()),
            ("format".to_owned(), status.version.to_string()),
            ("epoch".to_owned(), status.epoch.to_string()),
            ("credentials".to_owned(), status.entries.to_string()),
        ];
        rows.extend(status.slots.iter().map(|slot| {
            (
                "slot".to_owned(),
                format!("{} \"{}\", added {}\n{}", slot.kind.word(), slot.label, time(slot.added), slot.detail)
                    .trim_end()
                    .to_owned(),
            )
        }));
        pairs(&rows)
    }
    fn json(&self) -> Value {
        json!({ "schema": "keyward.vault-status/1", "status": self.0 })
    }
}

impl Report for Whole {
    fn text(&self, _: &Ui) -> String {
        format!(
            "whole: {}, {}, epoch {}; opened with the {}\n",
            counted(self.0.entries, "credential"),
            counted(self.0.sealed_values, "sealed value"),
            self.0.epoch,
            self.0.opened_with
        )
    }
    fn json(&self) -> Value {
        json!({ "schema": "keyward.vault-verify/1", "whole": true, "verified": self.0 })
    }
}
