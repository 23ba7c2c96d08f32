//! `vault rekey`: another data key, for those who may open the vault.

use clap::Args;
use serde_json::{Value, json};

use crate::audit::{Deed, Event};
use crate::cli::house::House;
use crate::cli::report::{Report, Reported};
use crate::store::vault::Rekeyed;
use crate::ui::{Ui, counted, plain};

/// Give the vault a new data key
///
/// Every value is sealed anew, and the key is wrapped for everybody who may open the vault. Who kept the old one cannot
/// read what is written from now on; what they could read they may have kept too.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  keyward vault rekey\n  keyward vault rekey --yes")]
pub(crate) struct RekeyArgs {
    /// Do not ask first
    #[arg(short, long)]
    yes: bool,
}

struct Anew(Rekeyed);

/// Asks, and does it.
pub(super) fn run(args: &RekeyArgs, house: &House) -> Reported {
    let vault = house.vault()?;
    if !args.yes && house.ui.may_ask() {
        for slot in vault.status()?.slots {
            house.ui.always(&format!("  {} \"{}\" {}", slot.kind.word(), plain(&slot.label), plain(&slot.detail)));
        }
        if !house.confirm("Give all of these a new data key?", false)? {
            return Err(super::nothing_changed());
        }
    }
    let told = |event: Event, done: &Rekeyed| {
        event.detail(format!("epoch {}, {}", done.epoch, counted(done.slots.len(), "slot")))
    };
    let event = Event::done("vault rekey", Deed::Rekeyed, None);
    Ok(Box::new(Anew(house.telling(event, || Ok(vault.rekey()?), told)?)))
}

impl Report for Anew {
    fn text(&self, _: &Ui) -> String {
        let (entries, slots) = (counted(self.0.entries, "credential"), counted(self.0.slots.len(), "slot"));
        format!("sealed {entries} anew, for {slots}\n")
    }
    fn json(&self) -> Value {
        json!({ "schema": "keyward.vault-rekey/1", "rekeyed": self.0 })
    }
    fn notes(&self, _: &Ui) -> Vec<String> {
        vec![
            super::OLD_COPIES.to_owned(),
            "note: on other machines the vault has to be accepted once: `keyward vault ack`".into(),
        ]
    }
}
