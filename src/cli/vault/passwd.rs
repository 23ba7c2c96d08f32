//! `vault passwd`: a passphrase that opens the vault.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::phrase;
use crate::audit::{Deed, Event};
use crate::cli::house::House;
use crate::cli::report::{Report, Reported};
use crate::problem::{Kind, Problem};
use crate::secret::Secret;
use crate::store::vault::{self, PassphraseCost, SlotStatus};
use crate::ui::Ui;

/// Set or change the vault's passphrase
///
/// In a terminal, ten words drawn at random are offered. Whatever else opens the vault stays as it is. Who knows the
/// old passphrase can still open old copies of the file, and may have kept the data key: `keyward vault rekey` makes a
/// new one.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  keyward vault passwd\n  keyward vault passwd --label team --new-passphrase-file new.txt"
)]
pub(crate) struct PasswdArgs {
    /// Which passphrase, when the vault has several; a new label adds one
    #[arg(long)]
    label: Option<String>,
    /// A file with the new passphrase (`--passphrase-file` is the one that opens the vault now)
    #[arg(long, value_name = "FILE")]
    new_passphrase_file: Option<PathBuf>,
}

struct Set {
    slot: SlotStatus,
    replaced: bool,
}

/// Sets it, after the vault has opened.
pub(super) fn run(args: &PasswdArgs, house: &House) -> Reported {
    let event = Event::done("vault passwd", Deed::SlotChanged, None);
    // Nobody shall think of a passphrase in vain.
    house.or_told(&event, house.vault()?.unlock())?;
    let passphrase = match &args.new_passphrase_file {
        Some(file) => from_file(file)?,
        None => of_a_person(house, "--new-passphrase-file FILE")?,
    };
    let vault = house.vault()?;
    let set = || Ok(vault.set_passphrase(passphrase, PassphraseCost::default(), args.label.as_deref())?);
    let told = |event: Event, (slot, _): &(SlotStatus, bool)| event.detail(&slot.label);
    let (slot, replaced) = house.telling(event, set, told)?;
    Ok(Box::new(Set { slot, replaced }))
}

/// A new passphrase from a file, read as it will be to open the vault: what would be refused then must not seal it now.
pub(super) fn from_file(file: &Path) -> Result<Secret, Problem> {
    vault::read_passphrase(file).map_err(|why| {
        Problem::new(Kind::Usage, "passphrase-file", format!("cannot read the passphrase from {}", file.display()))
            .seen(why)
    })
}

/// A new passphrase of somebody who is there: ten words that are drawn, else one that is typed twice.
pub(super) fn of_a_person(house: &House, otherwise: &str) -> Result<Secret, Problem> {
    let Some(ask) = house.keys()?.ask else {
        return Err(Problem::new(Kind::Malformed, "no-passphrase", "there is no passphrase, and nobody may be asked")
            .hint(otherwise));
    };
    let left = || Problem::new(Kind::Interrupted, "left", "no passphrase was entered; nothing was made");
    if house.confirm("Draw ten words for it?", true)? {
        let words = phrase::draw()?;
        // To the person who asked for it, on their terminal.
        house.ui.always(&format!("\n  {}\n", words.expose()));
        return if house.confirm("Are they written down? They are not shown again", false)? {
            Ok(words)
        } else {
            Err(left())
        };
    }
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

impl Report for Set {
    fn text(&self, _: &Ui) -> String {
        let what = if self.replaced { "changed" } else { "added" };
        format!("{what} the passphrase \"{}\": {}\n", self.slot.label, self.slot.detail)
    }
    fn json(&self) -> Value {
        json!({ "schema": "keyward.vault-passwd/1", "slot": self.slot, "replaced": self.replaced })
    }
    fn notes(&self, _: &Ui) -> Vec<String> {
        if self.replaced {
            vec!["note: the old passphrase still opens old copies of the file; `keyward vault rekey` shuts its owner out".into()]
        } else {
            vec![
                "note: whoever has the file can try passphrases on it without end: a published vault needs a long one"
                    .into(),
            ]
        }
    }
}
