//! `vault ack`: what the vault is now is what is expected from now on.

use clap::Args;
use serde_json::{Value, json};

use crate::audit::{Deed, Event};
use crate::cli::house::House;
use crate::cli::report::{Report, Reported};
use crate::cli::show::time;
use crate::problem::{Kind, Problem};
use crate::store::vault::{Compared, Difference};
use crate::ui::{Ui, plain};

/// Accept the vault as it is now
///
/// This machine remembers what it last saw of the vault: its epoch and seal, its data key, and who can open it. An older
/// copy, another vault, another data key or a new recipient stop every command that opens it. This one shows the difference,
/// asks, and remembers the vault as it is.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  keyward vault ack\n  keyward vault ack --yes")]
pub(crate) struct AckArgs {
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

struct Acknowledged(Compared);

/// Compares, asks, records.
pub(super) fn run(args: &AckArgs, house: &House) -> Reported {
    let vault = house.vault()?;
    let compared = vault.compare()?;
    if compared.is_as_seen() {
        return Ok(Box::new(Acknowledged(compared)));
    }
    if !args.yes {
        if !house.ui.may_ask() {
            return Err(Problem::new(
                Kind::Malformed,
                "not-acknowledged",
                "the vault differs, and nobody may be asked",
            )
            .seen(said(&compared).join("; "))
            .hint("when that is as it should be: `keyward vault ack --yes`"));
        }
        said(&compared).iter().for_each(|line| house.ui.always(line));
        if !house.confirm("Is that as it should be?", false)? {
            return Err(Problem::new(Kind::Interrupted, "not-confirmed", "nothing was recorded"));
        }
    }
    let words: Vec<String> = compared.differences.iter().map(Difference::words).collect();
    let event = Event::done("vault ack", Deed::Acknowledged, None).detail(words.join("; "));
    house.doing(event, || Ok(vault.acknowledge(&compared)?))?;
    Ok(Box::new(Acknowledged(compared)))
}

/// What was seen, and what is different.
fn said(compared: &Compared) -> Vec<String> {
    let mut lines = vec![match &compared.pin {
        Some(pin) => format!("last seen: epoch {}, {}", pin.last.epoch, time(pin.seen)),
        None => "this machine has not seen this vault".into(),
    }];
    lines.push(format!("now: epoch {}, {}", compared.now.epoch, compared.now.slots));
    lines.extend(compared.differences.iter().map(Difference::words));
    if compared.pin.is_none() {
        let slots = compared.now.slot.iter();
        lines
            .extend(slots.map(|slot| {
                format!("it opens with: {} \"{}\" {}", slot.kind, plain(&slot.label), plain(&slot.detail))
            }));
    }
    lines
}

impl Report for Acknowledged {
    fn text(&self, _: &Ui) -> String {
        let mut text: String = said(&self.0).iter().map(|line| format!("{line}\n")).collect();
        text.push_str(if self.0.is_as_seen() { "as it was seen\n" } else { "remembered\n" });
        text
    }
    fn json(&self) -> Value {
        let seen =
            self.0.pin.as_ref().map(|pin| json!({ "epoch": pin.last.epoch, "slots": pin.last.slots, "at": pin.seen }));
        json!({
            "schema": "keyward.vault-ack/1",
            "vault": self.0.id,
            "seen": seen,
            "now": { "epoch": self.0.now.epoch, "slots": self.0.now.slots },
            "differences": self.0.differences,
        })
    }
}
