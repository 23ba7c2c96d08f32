//! `vault init`: a vault that is not there yet.

use std::sync::Arc;

use clap::Args;
use serde_json::{Value, json};

use super::passwd;
use crate::audit::{Deed, Event};
use crate::cli::house::{House, how_it_opens};
use crate::cli::report::{Report, Reported};
use crate::problem::Problem;
use crate::secret::Secret;
use crate::store::items::Items;
use crate::store::vault::{FirstSlot, Made, PassphraseCost};
use crate::ui::Ui;

/// Make a new vault
///
/// An existing file is never touched. Without an option the vault opens with an age identity in the config folder,
/// which is made when there is none.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  keyward vault init\n  keyward vault init --recipient age1…\n  keyward vault init --passphrase --passphrase-file pass.txt\n  keyward vault init --keyring"
)]
pub(crate) struct InitArgs {
    /// Open it with the holder of this recipient: `age1…`, `ssh-ed25519 …` or `ssh-rsa …`
    #[arg(long, value_name = "RECIPIENT", group = "slot")]
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

/// Makes it, with its first slot.
pub(super) fn run(args: &InitArgs, house: &House) -> Reported {
    let slot = match (&args.recipient, args.passphrase, args.keyring) {
        (Some(recipient), ..) => FirstSlot::Recipient(recipient.clone()),
        (None, true, _) => FirstSlot::Passphrase(handed_over(house)?, PassphraseCost::default()),
        (None, false, true) => FirstSlot::Keyring(house.items() as Arc<dyn Items>),
        (None, false, false) => {
            FirstSlot::Identity(house.named_identity().unwrap_or_else(|| house.places.identity.clone()))
        }
    };
    let make = || Ok(house.vault()?.init(slot, args.label.as_deref().unwrap_or("first"))?);
    let made = house.doing(Event::done("vault init", Deed::VaultMade, None), make)?;
    Ok(Box::new(Init(made)))
}

/// The new passphrase: from the file or descriptor that would open the vault, else a person's.
fn handed_over(house: &House) -> Result<Secret, Problem> {
    let keys = house.keys()?;
    match (keys.passphrase, &keys.passphrase_file) {
        (Some(given), _) => Ok(given),
        (None, Some(file)) => passwd::from_file(file),
        (None, None) => passwd::of_a_person(house, "--passphrase-file FILE, or --passphrase-fd N"),
    }
}

impl Report for Init {
    fn text(&self, _: &Ui) -> String {
        format!("made the vault {}\n{}\n", self.0.file.display(), how_it_opens(&self.0))
    }
    fn json(&self) -> Value {
        json!({ "schema": "keyward.vault-init/1", "made": self.0 })
    }
}
