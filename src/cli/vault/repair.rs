//! `vault repair`: what is left of a damaged vault.

use clap::Args;
use serde_json::{Value, json};

use crate::audit::{Deed, Event};
use crate::cli::house::House;
use crate::cli::report::{Report, Reported};
use crate::problem::Kind;
use crate::store::vault::Repaired;
use crate::ui::{Ui, counted};

/// Save what is whole of a damaged vault
///
/// Keeps each credential whose own seal fits and whose values open, names those that are lost, and writes a new vault
/// beside the damaged one. A whole vault is left alone. Ways to open it that this machine has not seen, that stand in no
/// backup, and whose key is not at hand are left out. Ends with 9 unless the seal of the damaged file fits what was kept:
/// only then it is all that there was.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  keyward vault repair\n  keyward vault repair --write")]
pub(crate) struct RepairArgs {
    /// Put the new vault in the place of the damaged file, which is kept beside it
    #[arg(long)]
    write: bool,
}

struct Outcome(Repaired);

/// Repairs it.
pub(super) fn run(args: &RepairArgs, house: &House) -> Reported {
    let event = Event::done("vault repair", Deed::Restored, None);
    Ok(Box::new(Outcome(house.telling(event, || Ok(house.vault()?.repair(args.write)?), told)?)))
}

fn told(event: Event, done: &Repaired) -> Event {
    let Some(epoch) = done.epoch else { return event.ended("whole") };
    let place = if done.written.as_ref() == Some(&done.file) { "in its place" } else { "beside it" };
    event.detail(format!("epoch {epoch} {place}, {} kept, {} lost", done.kept.len(), done.lost.len()))
}

impl Report for Outcome {
    fn text(&self, _: &Ui) -> String {
        let repaired = &self.0;
        if repaired.was_whole {
            return format!("whole: {}, nothing to repair\n", counted(repaired.kept.len(), "credential"));
        }
        let mut text = String::new();
        for name in &repaired.kept {
            let older = if repaired.older.contains(name) { "  (not the latest, by the backups)" } else { "" };
            text.push_str(&format!("kept  {name}{older}\n"));
        }
        for lost in &repaired.lost {
            let backup = lost.backup.as_ref().map(|name| format!("; backup {name} has it"));
            text.push_str(&format!("lost  {}: {}{}\n", lost.name, lost.why, backup.unwrap_or_default()));
        }
        for slot in &repaired.dropped_slots {
            let (kind, label) = (slot.kind.word(), slot.label.escape_debug());
            text.push_str(&format!(
                "left out  slot {kind} \"{label}\", {}: nothing vouches for it\n",
                slot.detail.escape_debug()
            ));
        }
        text
    }
    fn json(&self) -> Value {
        json!({ "schema": "keyward.vault-repair/1", "repaired": self.0 })
    }
    fn notes(&self, _: &Ui) -> Vec<String> {
        let Some(written) = &self.0.written else { return Vec::new() };
        let mut notes = match &self.0.damaged_file {
            Some(damaged) => vec![format!("note: the damaged file is kept as {}", damaged.display())],
            None => vec![
                format!("note: the new vault is {}; the damaged file is as it was", written.display()),
                "  `keyward vault repair --write` puts it in the vault's place".to_owned(),
            ],
        };
        if !self.0.is_complete {
            notes.push(
                "warning: nothing vouches that these are all there were, nor that they are the latest".to_owned(),
            );
            notes.push(
                "  compare with `keyward vault backups`, and with a copy from elsewhere if there is one".to_owned(),
            );
        }
        notes
    }
    fn exit(&self) -> u8 {
        if self.0.is_complete { 0 } else { Kind::Damaged.exit() }
    }
}
