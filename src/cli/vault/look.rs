//! `vault status` and `vault verify`: what the file says, and whether it is what was written.

use serde_json::{Value, json};

use crate::cli::house::House;
use crate::cli::report::{Report, Reported};
use crate::cli::show::{pairs, time};
use crate::store::vault::{PinStatus, Status, Verified};
use crate::ui::{Ui, counted};

struct Look(Status);
struct Whole(Verified);

/// Looks at the file; needs no key.
pub(super) fn status(house: &House) -> Reported {
    Ok(Box::new(Look(house.vault()?.status()?)))
}

/// Checks every seal and opens every value.
pub(super) fn verify(house: &House) -> Reported {
    Ok(Box::new(Whole(house.vault()?.verify()?)))
}

impl Report for Look {
    fn text(&self, _: &Ui) -> String {
        let status = &self.0;
        let mut rows = vec![
            ("vault".to_owned(), status.file.display().to_string()),
            ("id".to_owned(), status.id.clone()),
            ("format".to_owned(), status.version.to_string()),
            ("epoch".to_owned(), status.epoch.to_string()),
            ("credentials".to_owned(), status.entries.to_string()),
        ];
        rows.push(("slots".to_owned(), status.expect_slots.clone()));
        rows.push(("pin".to_owned(), pin(status.pin.as_ref())));
        rows.extend(status.slots.iter().map(|slot| {
            (
                "slot".to_owned(),
                format!(
                    "{} \"{}\", added {}\n{}",
                    slot.kind.word(),
                    slot.label.escape_debug(),
                    time(slot.added),
                    slot.detail.escape_debug()
                )
                .trim_end()
                .to_owned(),
            )
        }));
        pairs(&rows)
    }
    fn json(&self) -> Value {
        json!({ "schema": "keyward.vault-status/1", "status": self.0 })
    }
}

/// What this machine last saw, and how the file differs from that.
fn pin(pin: Option<&PinStatus>) -> String {
    let Some(pin) = pin else { return "none: this machine has not opened it yet".into() };
    let mut text = format!("epoch {}, seen {}", pin.epoch, time(pin.seen));
    for difference in &pin.differences {
        text.push_str(&format!("\n{}", difference.words()));
    }
    text
}

impl Report for Whole {
    fn text(&self, _: &Ui) -> String {
        format!(
            "whole: {}, {}, epoch {}; opened with the {}\n",
            counted(self.0.entries, "credential"),
            counted(self.0.sealed_values, "sealed value"),
            self.0.epoch,
            self.0.opened_with
        )
    }
    fn json(&self) -> Value {
        json!({ "schema": "keyward.vault-verify/1", "whole": true, "verified": self.0 })
    }
}
