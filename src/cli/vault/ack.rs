//! `vault ack`: what the vault is now is what is expected from now on.

use clap::Args;
use serde_json::{Value, json};

use crate::audit::{Deed, Event};
use crate::cli::house::House;
use crate::cli::report::{Report, Reported};
use crate::cli::show::time;
use crate::problem::{Kind, Problem};
use crate::store::vault::{Compared, Difference, Pin};
use crate::ui::{Ui, plain};

/// Accept the vault as it is now
///
/// This machine remembers what it last saw of the vault: its epoch and seal, its data key, and who can open it. An older
/// copy, another vault, another data key or a new recipient stop every command that opens it; so does a vault that is gone.
/// This one shows the difference, asks, and remembers the vault as it is.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  keyward vault ack\n  keyward vault ack --yes")]
pub(crate) struct AckArgs {
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

struct Acknowledged(Compared);

/// A vault that is gone is expected no more.
struct Forgotten(Pin);

/// Compares, asks, records.
pub(super) fn run(args: &AckArgs, house: &House) -> Reported {
    let vault = house.vault()?;
    let event = Event::done("vault ack", Deed::Acknowledged, None);
    if let Some(gone) = house.or_told(&event, vault.gone())? {
        agreed(args, house, &last_seen(&gone))?;
        house.doing(event.detail("the vault is gone"), || Ok(vault.forget(&gone)?))?;
        return Ok(Box::new(Forgotten(gone)));
    }
    let compared = house.or_told(&event, vault.compare())?;
    if compared.is_as_seen() {
        return Ok(Box::new(Acknowledged(compared)));
    }
    agreed(args, house, &said(&compared))?;
    let words = [format!("epoch {}", compared.now.epoch)].into_iter();
    let words: Vec<String> = words.chain(compared.differences.iter().map(Difference::words)).collect();
    house.doing(event.detail(words.join("; ")), || Ok(vault.acknowledge(&compared)?))?;
    Ok(Box::new(Acknowledged(compared)))
}

/// Fails unless what was found different is agreed to.
fn agreed(args: &AckArgs, house: &House, said: &[String]) -> Result<(), Problem> {
    if args.yes {
        return Ok(());
    }
    if !house.ui.may_ask() {
        return Err(Problem::new(Kind::Malformed, "not-acknowledged", "the vault differs, and nobody may be asked")
            .seen(said.join("; "))
            .hint("when that is as it should be: `keyward vault ack --yes`"));
    }
    said.iter().for_each(|line| house.ui.always(line));
    if house.confirm("Is that as it should be?", false)? {
        return Ok(());
    }
    Err(Problem::new(Kind::Interrupted, "not-confirmed", "nothing was recorded"))
}

/// What was seen of a vault that is gone.
fn last_seen(gone: &Pin) -> Vec<String> {
    let seen = format!("last seen: epoch {}, {}", gone.last.epoch, time(gone.seen));
    vec![seen, format!("the vault {} is gone", gone.vault.escape_debug())]
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

impl Report for Forgotten {
    fn text(&self, _: &Ui) -> String {
        format!("{}\nforgotten\n", last_seen(&self.0).join("\n"))
    }
    fn json(&self) -> Value {
        json!({
            "schema": "keyward.vault-ack/1",
            "vault": self.0.vault,
            "seen": { "epoch": self.0.last.epoch, "slots": self.0.last.slots, "at": self.0.seen },
            "now": null,
            "differences": [],
        })
    }
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
