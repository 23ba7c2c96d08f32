//! What a command found: a value with two views, text and JSON.

use serde_json::Value;

use crate::ui::Ui;

/// What a command found.
pub(crate) trait Report {
    /// The text for stdout, with its last line end. Nothing when there is nothing to say.
    fn text(&self, ui: &Ui) -> String;

    /// The JSON view: one object with `schema`.
    fn json(&self) -> Value;

    /// Notes for stderr, shown with the text only.
    fn notes(&self, _ui: &Ui) -> Vec<String> {
        Vec::new()
    }

    /// The exit code.
    fn exit(&self) -> u8 {
        0
    }
}

/// How every command ends when it does not fail.
pub(crate) type Reported = Result<Box<dyn Report>, crate::problem::Problem>;

/// A text that is the same for people and scripts, such as a completion script.
#[derive(Debug)]
pub(crate) struct Verbatim {
    /// The schema of the JSON view.
    pub(crate) schema: &'static str,
    /// The text.
    pub(crate) text: String,
}

impl Report for Verbatim {
    fn text(&self, _: &Ui) -> String {
        self.text.clone()
    }
    fn json(&self) -> Value {
        serde_json::json!({ "schema": self.schema, "text": self.text })
    }
}
