//! How wide and how colourful the text views are.

use crate::ui::page::wrap;
use crate::ui::{Dress, Ui, paint};

/// Lines are easier to read when they are not as wide as the screen.
const WIDEST: usize = 100;

/// The look of one of the two streams.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    width: usize,
    color: bool,
}

impl Look {
    /// A page on stdout, always wrapped.
    pub(crate) fn of_page(ui: &Ui) -> Self {
        Self { width: ui.width().min(WIDEST), color: ui.has_color() }
    }

    /// Rows on stdout: wrapped on a terminal, whole in a pipe.
    pub(crate) fn of_stdout(ui: &Ui) -> Self {
        Self { width: narrowed(ui.row_width()), color: ui.has_color() }
    }

    /// Rows on stderr, likewise.
    pub(crate) fn of_stderr(ui: &Ui) -> Self {
        Self { width: narrowed(ui.err_row_width()), color: ui.err_has_color() }
    }

    /// Wraps `text`, with `first` before its first line and `rest` before the others. `[[Label]]` is a name in a console.
    pub(crate) fn lines(self, text: &str, first: &str, rest: &str) -> String {
        wrap(text, self.width, first, rest, self.color).into_iter().map(|line| line + "\n").collect()
    }

    /// Dresses text.
    pub(crate) fn paint(self, dress: Dress, text: &str) -> String {
        paint(self.color, dress, text)
    }
}

/// As wide as can be read, or without limit.
fn narrowed(width: usize) -> usize {
    if width == usize::MAX { width } else { width.min(WIDEST) }
}
