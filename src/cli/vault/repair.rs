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
/// beside the damaged one. A whole vault is left alone. Recipients that neither open it here nor stand in a backup are
/// left out. Ends with 9 when something is lost.
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
    let repair = || Ok(house.vault()?.repair(args.write)?);
    // Without `--write` it is only looked at.
    let event = Event::done("vault repair", Deed::Restored, None);
    Ok(Box::new(Outcome(if args.write { house.doing(event, repair)? } else { repair()? })))
}

impl Report for Outcome {
    fn text(&self, _: &Ui) -> String {
        let repaired = &self.0;
        if repaired.was_whole {
            return format!("whole: {}, nothing to repair\n", counted(repaired.kept.len(), "credential"));
        }
        let mut text = String::new();
        for name in &repaired.kept {
            let older = if repaired.older.contains(name) { "  (a backup has a later version)" } else { "" };
            text.push_str(&format!("kept  {name}{older}\n"));
        }
        for lost in &repaired.lost {
            let backup = lost.backup.as_ref().map(|name| format!("; backup {name} has it"));
            text.push_str(&format!("lost  {}: {}{}\n", lost.name, lost.why, backup.unwrap_or_default()));
        }
        for slot in &repaired.dropped_slots {
            let (kind, label) = (slot.kind.word(), slot.label.escape_debug());
            text.push_str(&format!("left out  slot {kind} \"{label}\", {}: nothing vouches for it\n", slot.detail));
        }
        text
    }
    fn json(&self) -> Value {
        json!({ "schema": "keyward.vault-repair/1", "repaired": self.0 })
    }
    fn notes(&self, _: &Ui) -> Vec<String> {
        let Some(written) = &self.0.written else { return Vec::new() };
        match &self.0.damaged_file {
            Some(damaged) => vec![format!("note: the damaged file is kept as {}", damaged.display())],
            None => vec![
                format!("note: the new vault is {}; the damaged file is as it was", written.display()),
                "  `keyward vault repair --write` puts it in the vault's place".to_owned(),
            ],
        }
    }
    fn exit(&self) -> u8 {
        if self.0.lost.is_empty() { 0 } else { Kind::Damaged.exit() }
    }
}
