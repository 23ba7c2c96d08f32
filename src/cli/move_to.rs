//! `move`: from one store to the other; the copy is verified before the original goes.

use clap::Args;
use serde_json::{Value, json};

use super::complete;
use super::house::House;
use super::report::{Report, Reported};
use crate::audit::{Deed, Event};
use crate::credential::CredentialName;
use crate::problem::{Kind, Problem};
use crate::store::{StoreError, StoreKind};
use crate::ui::{Ui, counted};

/// Move a credential to the other store
///
/// The copy is read back and compared before the original is removed. A move that was cut short loses nothing; the next
/// one says what it found and finishes.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  keyward move google --to vault")]
pub(crate) struct MoveArgs {
    /// The credential
    #[arg(value_name = "NAME", add = complete::credentials())]
    name: CredentialName,
    /// Where to
    #[arg(long, value_name = "STORE")]
    to: StoreKind,
}

struct Moved {
    name: CredentialName,
    from: StoreKind,
    to: StoreKind,
    found: Found,
    /// Items that an earlier move left in the keyring, and that are deleted now.
    cleared: usize,
}

/// How far an earlier move had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
enum Found {
    /// There was none.
    Original,
    /// To the copy; the original was still there.
    Both,
    /// To the removal of the original.
    Copy,
}

/// Moves it, and puts that on the audit log.
pub(crate) fn run(args: &MoveArgs, house: &House) -> Reported {
    let event = Event::done("move", Deed::Moved, Some(&args.name)).detail(format!("to the {}", args.to.word()));
    house.doing(event, || carry(args, house))
}

/// Copies, verifies, removes.
fn carry(args: &MoveArgs, house: &House) -> Reported {
    let from_kind = match args.to {
        StoreKind::Keyring => StoreKind::Vault,
        StoreKind::Vault => StoreKind::Keyring,
    };
    let from = house.open(from_kind)?;
    let moved = |found, cleared| Moved { name: args.name.clone(), from: from_kind, to: args.to, found, cleared };
    let entry = match from.load(&args.name) {
        Err(StoreError::NotFound { .. }) if house.open(args.to)?.show(&args.name).is_ok() => {
            return Ok(Box::new(moved(Found::Copy, cleared(house, from_kind)?)));
        }
        other => other?,
    };
    let to = house.open_for_saving(args.to, "move")?;
    let found = match to.load(&args.name) {
        // What a move that was cut short left behind.
        Ok(there) if there.credential == entry.credential => Found::Both,
        Ok(_) => {
            return Err(Problem::new(
                Kind::Usage,
                "name-taken",
                format!("another `{}` is in the {}", args.name, args.to.word()),
            )
            .hint(format!(
                "keyward rename {0} {1}/old --store {2}",
                args.name,
                args.name.provider(),
                args.to.word()
            )));
        }
        Err(StoreError::NotFound { .. }) => {
            to.save(&entry)?;
            Found::Original
        }
        Err(error) => return Err(error.into()),
    };
    if to.load(&args.name)?.credential != entry.credential {
        return Err(Problem::new(
            Kind::Damaged,
            "copy-differs",
            "the copy differs from the original; the original was kept",
        ));
    }
    // Whoever rotated it meanwhile has put the new value there.
    if from.load(&args.name)?.credential != entry.credential {
        if found == Found::Original {
            to.remove(&args.name)?;
        }
        let what = format!("{} was changed in the {} meanwhile; it stays there", args.name, from_kind.word());
        return Err(Problem::new(Kind::Conflict, "store-conflict", what).hint("move it again"));
    }
    from.remove(&args.name)?;
    Ok(Box::new(moved(found, 0)))
}

/// Deletes what a move out of the keyring, whose entry is gone from the index, may have left there.
fn cleared(house: &House, from: StoreKind) -> Result<usize, Problem> {
    Ok(if from == StoreKind::Keyring { house.keyring().tidy()? } else { 0 })
}

impl Report for Moved {
    fn text(&self, _: &Ui) -> String {
        match self.found {
            Found::Copy => format!("{} is in the {} already\n", self.name, self.to.word()),
            Found::Original | Found::Both => {
                format!("moved {} from the {} to the {}\n", self.name, self.from.word(), self.to.word())
            }
        }
    }
    fn json(&self) -> Value {
        json!({ "schema": "keyward.move/1", "name": self.name, "from": self.from, "to": self.to,
            "found": self.found, "cleared": self.cleared })
    }
    fn notes(&self, _: &Ui) -> Vec<String> {
        let mut notes = Vec::new();
        if self.found == Found::Both {
            notes.push(format!(
                "note: an earlier move was cut short: the copy in the {} was whole, and the original is removed now",
                self.to.word()
            ));
        }
        if self.cleared > 0 {
            notes.push(format!(
                "note: an earlier move was cut short: deleted {} that it had left in the keyring",
                counted(self.cleared, "item")
            ));
        }
        notes
    }
}
