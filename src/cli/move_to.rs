//! `move`: from one store to the other; the copy is verified before the original goes.

use clap::Args;
use serde_json::{Value, json};

use super::complete;
use super::house::House;
use super::report::{Report, Reported};
use crate::credential::CredentialName;
use crate::problem::{Kind, Problem};
use crate::store::{StoreError, StoreKind};
use crate::ui::Ui;

/// Move a credential to the other store
///
/// The copy is read back and compared before the original is removed. A move that was cut short leaves both; the
/// next one goes on from there.
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
}

/// Copies, verifies, removes.
pub(crate) fn run(args: &MoveArgs, house: &House) -> Reported {
    let from_kind = match args.to {
        StoreKind::Keyring => StoreKind::Vault,
        StoreKind::Vault => StoreKind::Keyring,
    };
    let from = house.open(from_kind)?;
    let entry = match from.load(&args.name) {
        Err(StoreError::NotFound { .. }) if house.open(args.to)?.show(&args.name).is_ok() => {
            return Err(Problem::new(
                Kind::Usage,
                "already-there",
                format!("`{}` is in the {} already", args.name, args.to.word()),
            ));
        }
        other => other?,
    };
    let to = house.open_for_saving(args.to)?;
    match to.load(&args.name) {
        // What a move that was cut short left behind.
        Ok(there) if there.credential == entry.credential => {}
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
        Err(StoreError::NotFound { .. }) => to.save(&entry)?,
        Err(error) => return Err(error.into()),
    }
    if to.load(&args.name)?.credential != entry.credential {
        return Err(Problem::new(
            Kind::Damaged,
            "copy-differs",
            "the copy differs from the original; the original was kept",
        ));
    }
    from.remove(&args.name)?;
    Ok(Box::new(Moved { name: args.name.clone(), from: from_kind, to: args.to }))
}

impl Report for Moved {
    fn text(&self, _: &Ui) -> String {
        format!("moved {} from the {} to the {}\n", self.name, self.from.word(), self.to.word())
    }
    fn json(&self) -> Value {
        json!({ "schema": "keyward.move/1", "name": self.name, "from": self.from, "to": self.to })
    }
}
