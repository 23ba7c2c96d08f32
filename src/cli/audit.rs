//! `audit`: who did what to which credential, and whether the log of it holds.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::complete;
use super::house::House;
use super::report::{Report, Reported};
use crate::audit::{Log, Whole};
use crate::credential::CredentialName;
use crate::ui::{Ui, counted, plain, table};

/// Show and verify the log of who did what
///
/// Every value that is handed out, every check and every change is a line: when, who, which command, which
/// credential, which fields, how it ended. Never a value. `--no-audit`, KEYWARD_AUDIT=off or `audit = false` in the
/// config file write none. The log grows, and nothing in it is ever thrown away. To put it away, move both files into
/// another folder in one go; then another log begins, and that folder can be verified by itself:
///
/// `cd ~/.local/state/keyward && mkdir 2026 && flock audit.head mv audit.log audit.head 2026`
///
/// `KEYWARD_STATE=2026 keyward audit verify`
#[derive(Subcommand, Debug)]
pub(crate) enum AuditCommand {
    Show(ShowArgs),
    /// Check that nothing in the log was changed, taken out or cut off
    ///
    /// Each line has the hash of the one before, and a file beside the log knows the last one. Ends with 9 and the first
    /// line that does not fit. Whoever can write both files can compute everything anew: keep what this prints elsewhere,
    /// and compare.
    #[command(after_help = "Examples:\n  keyward audit verify\n  keyward audit verify --json | jq -r .audit.head")]
    Verify,
}

/// Show the log
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  keyward audit show\n  keyward audit show google\n  keyward audit show --json | jq '.events[] | select(.deed == \"read\")'"
)]
pub(crate) struct ShowArgs {
    /// Only what was done to this credential
    #[arg(value_name = "NAME", add = complete::credentials())]
    name: Option<CredentialName>,
}

struct Shown {
    events: Vec<Value>,
    /// Lines that are none of ours.
    strange: u64,
}

struct Verified(Whole);

/// Carries the subcommand out. The log is read even when none is written.
pub(crate) fn run(command: &AuditCommand, house: &House) -> Reported {
    let log = Log::in_folder(&house.places.audit);
    let args = match command {
        AuditCommand::Verify => return Ok(Box::new(Verified(log.verify()?))),
        AuditCommand::Show(args) => args,
    };
    let name = args.name.as_ref().map(ToString::to_string);
    let (events, strange) = log.read(&|event| name.as_ref().is_none_or(|name| event["credential"] == name.as_str()))?;
    Ok(Box::new(Shown { events, strange }))
}

impl Report for Shown {
    fn text(&self, ui: &Ui) -> String {
        if self.events.is_empty() {
            return String::new();
        }
        let word = |event: &Value, key: &str| plain(event[key].as_str().unwrap_or("-"));
        let fields = |event: &Value| {
            let names = event["fields"].as_array().into_iter().flatten().filter_map(Value::as_str);
            plain(&names.collect::<Vec<_>>().join(" "))
        };
        let rows: Vec<Vec<String>> = self
            .events
            .iter()
            .map(|event| {
                let also = event["detail"].as_str().map(|detail| format!(" ({})", plain(detail))).unwrap_or_default();
                let mut row: Vec<String> =
                    ["at", "user", "command", "deed", "credential"].map(|key| word(event, key)).to_vec();
                row.extend([fields(event), word(event, "outcome") + &also]);
                row
            })
            .collect();
        table::render(&["time", "user", "command", "deed", "credential", "fields", "outcome"], &rows, ui.row_width())
    }

    fn json(&self) -> Value {
        json!({ "schema": "keyward.audit-show/1", "events": self.events, "strange_lines": self.strange })
    }

    fn notes(&self, _: &Ui) -> Vec<String> {
        let mut notes = Vec::new();
        if self.events.is_empty() {
            notes.push("nothing of it is on the audit log".to_owned());
        }
        if self.strange > 0 {
            let lines = counted(usize::try_from(self.strange).unwrap_or(usize::MAX), "line");
            notes.push(format!("{lines} not written by keyward; `keyward audit verify` says where"));
        }
        notes
    }
}

impl Report for Verified {
    fn text(&self, _: &Ui) -> String {
        let lines = counted(usize::try_from(self.0.lines).unwrap_or(usize::MAX), "line");
        format!("whole: {lines} in {}\nhead: {}\n", self.0.file.display(), self.0.head)
    }
    fn json(&self) -> Value {
        json!({ "schema": "keyward.audit-verify/1", "whole": true, "audit": self.0 })
    }
}
