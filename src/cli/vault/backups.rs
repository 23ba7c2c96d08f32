//! `vault backups`: what a save replaced, and how it is put back.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::audit::{Deed, Event};
use crate::cli::house::House;
use crate::cli::list::age;
use crate::cli::report::{Report, Reported};
use crate::store::vault::{Backup, Restored};
use crate::ui::{Ui, counted, table};

/// List older files of the vault, and put one back
///
/// Whenever the vault is written, the file that is replaced is kept: the last ten, sealed as they were, in
/// `~/.local/state/keyward/backups`. Without a subcommand they are listed.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  keyward vault backups\n  keyward vault backups restore 41")]
pub(crate) struct BackupsArgs {
    #[command(subcommand)]
    command: Option<BackupsCommand>,
}

#[derive(Subcommand, Debug)]
enum BackupsCommand {
    /// List the backups, the youngest first
    ///
    /// Whether a seal holds is told when the vault opens without asking.
    #[command(after_help = "Examples:\n  keyward vault backups list --json")]
    List,
    Restore(RestoreArgs),
}

/// Put a backup back in the vault's place
///
/// All its seals are checked first. It gets a new epoch, and what it replaces becomes a backup too; a damaged file is
/// kept beside the vault. Credentials come back, and nobody else with them: what opens the vault stays as it is now, and
/// where the file cannot tell that any more, only what this machine has seen opens it.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  keyward vault backups restore 41\n  keyward vault backups restore 41-2 --yes")]
struct RestoreArgs {
    /// Its epoch, as the list shows it
    #[arg(value_name = "EPOCH")]
    name: String,
    /// Do not ask first
    #[arg(short, long)]
    yes: bool,
}

struct Listed {
    backups: Vec<Backup>,
    now: chrono::DateTime<chrono::Utc>,
}

struct PutBack(Restored);

/// Lists them, or puts one back.
pub(super) fn run(args: &BackupsArgs, house: &House) -> Reported {
    match &args.command {
        None | Some(BackupsCommand::List) => {
            Ok(Box::new(Listed { backups: house.vault()?.backups()?, now: house.clock.now() }))
        }
        Some(BackupsCommand::Restore(args)) => restore(args, house),
    }
}

fn restore(args: &RestoreArgs, house: &House) -> Reported {
    if !args.yes && house.ui.may_ask() {
        house.vault()?.slots_of_backup(&args.name)?.lines().iter().for_each(|line| house.ui.always(line));
        if !house.confirm(&format!("Replace the vault by its backup {}?", args.name), false)? {
            return Err(super::nothing_changed());
        }
    }
    let event = Event::done("vault backups restore", Deed::Restored, None);
    // A word that is no epoch may be anything, such as a secret in the wrong place: it is not written down.
    let is_epoch = args.name.chars().all(|c| c.is_ascii_digit() || c == '-');
    let event = if is_epoch { event.detail(format!("backup {}", args.name)) } else { event };
    let told = |event: Event, done: &Restored| event.detail(format!("backup {} as epoch {}", done.backup, done.epoch));
    Ok(Box::new(PutBack(house.telling(event, || Ok(house.vault()?.restore(&args.name)?), told)?)))
}

impl Report for Listed {
    fn text(&self, ui: &Ui) -> String {
        if self.backups.is_empty() {
            return String::new();
        }
        let row = |backup: &Backup| {
            vec![
                backup.name.clone(),
                backup.replaced_at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
                age(backup.replaced_at, self.now),
                backup.entries.map_or("-".to_owned(), |entries| entries.to_string()),
                backup.seal.word().to_owned(),
            ]
        };
        let rows: Vec<Vec<String>> = self.backups.iter().map(row).collect();
        table::render(&["epoch", "replaced", "age", "credentials", "seal"], &rows, ui.row_width())
    }
    fn json(&self) -> Value {
        json!({ "schema": "keyward.vault-backups-list/1", "backups": self.backups })
    }
    fn notes(&self, _: &Ui) -> Vec<String> {
        if self.backups.is_empty() {
            return vec!["there are no backups yet: every change of the vault makes one".into()];
        }
        vec!["`keyward vault backups restore EPOCH` puts one back".into()]
    }
}

impl Report for PutBack {
    fn text(&self, _: &Ui) -> String {
        let restored = &self.0;
        format!(
            "restored backup {} as epoch {}: {}\n",
            restored.backup,
            restored.epoch,
            counted(restored.entries, "credential")
        )
    }
    fn json(&self) -> Value {
        json!({ "schema": "keyward.vault-backups-restore/1", "restored": self.0 })
    }
    fn notes(&self, _: &Ui) -> Vec<String> {
        let kept = self.0.damaged_file.iter();
        let kept = kept.map(|file| format!("note: the damaged file is kept as {}", file.display()));
        kept.chain(self.0.slots.lines().into_iter().map(|line| format!("note: {line}"))).collect()
    }
}
