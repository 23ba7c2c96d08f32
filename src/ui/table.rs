//! Tables in our dress: columns without lines. On a terminal long cells wrap; a pipe gets one line for each row.

use std::borrow::Cow;

use comfy_table::presets::NOTHING;
use comfy_table::{ColumnConstraint, ContentArrangement, Table, Width};

use console::measure_text_width;

use super::plain;

/// A table without lines: columns two blanks apart, `width` columns wide at most; [`usize::MAX`] wraps nothing.
///
/// `head` names the columns; control characters are stripped from every cell.
pub fn render<S: AsRef<str>>(head: &[&str], rows: &[Vec<S>], width: usize) -> String {
    let head: Vec<String> = head.iter().map(|name| name.to_uppercase()).collect();
    let natural = natural(&head, rows);
    if natural.iter().sum::<usize>() <= width {
        // comfy-table looks at every cell several times: with thousands of rows that is felt.
        return columns(&head, rows, &natural);
    }
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(u16::try_from(width).unwrap_or(u16::MAX));
    table.add_row(&head);
    table.add_rows(rows.iter().map(|row| row.iter().map(|cell| clean(cell.as_ref()))));
    for (column, narrowed) in table.column_iter_mut().zip(narrow(natural, width)) {
        column.set_padding((0, if column.index + 1 == head.len() { 0 } else { GAP }));
        column.set_constraint(ColumnConstraint::Absolute(Width::Fixed(u16::try_from(narrowed).unwrap_or(u16::MAX))));
    }
    table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// The text without control characters. Most has none and is not copied.
fn clean(cell: &str) -> Cow<'_, str> {
    if cell.bytes().all(|byte| (b' '..=b'~').contains(&byte)) { cell.into() } else { plain(cell).into() }
}

/// The columns as wide as they are.
fn columns<S: AsRef<str>>(head: &[String], rows: &[Vec<S>], widths: &[usize]) -> String {
    let mut text = String::with_capacity((1 + rows.len()) * (widths.iter().sum::<usize>() + 1));
    line(&mut text, head.iter().map(|name| name.as_str().into()), widths);
    for row in rows {
        line(&mut text, row.iter().map(|cell| clean(cell.as_ref())), widths);
    }
    text
}

fn line<'c>(text: &mut String, cells: impl Iterator<Item = Cow<'c, str>>, widths: &[usize]) {
    for (cell, width) in cells.zip(widths) {
        text.push_str(&cell);
        text.extend(std::iter::repeat_n(' ', width.saturating_sub(columns_of(&cell))));
    }
    text.truncate(text.trim_end_matches(' ').len());
    text.push('\n');
}

/// How wide each column would like to be, with the gap behind it.
fn natural<S: AsRef<str>>(head: &[String], rows: &[Vec<S>]) -> Vec<usize> {
    let mut widths: Vec<usize> = head.iter().map(|name| columns_of(name)).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(columns_of(&clean(cell.as_ref())));
        }
    }
    for width in widths.iter_mut().rev().skip(1) {
        *width += usize::from(GAP);
    }
    widths
}

/// The widest columns give way until all fit. The first is a name that people copy: it is never broken.
fn narrow(mut widths: Vec<usize>, width: usize) -> Vec<usize> {
    let mut excess = widths.iter().sum::<usize>().saturating_sub(width);
    while excess > 0
        && let Some(widest) = widths.iter_mut().skip(1).max().filter(|widest| **widest > LEAST)
    {
        *widest -= 1;
        excess -= 1;
    }
    widths
}

fn columns_of(cell: &str) -> usize {
    // Measuring knows all of Unicode; most cells need none of it.
    if cell.is_ascii() { cell.len() } else { measure_text_width(cell) }
}

/// Blanks between two columns.
const GAP: u16 = 2;

/// No column gives way below this.
const LEAST: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_cell_wraps_and_the_name_stays_whole() {
        let rows = vec![vec!["a-rather-long-name/profile".to_owned(), "word ".repeat(20)]];
        let text = render(&["name", "what"], &rows, 60);
        assert!(text.lines().all(|line| line.chars().count() <= 60), "{text}");
        assert!(text.contains("a-rather-long-name/profile  word"), "{text}");
    }

    #[test]
    fn without_a_width_every_row_is_one_line() {
        let rows = vec![vec!["a".to_owned(), "word ".repeat(100)], vec!["b".to_owned(), "x".to_owned()]];
        assert_eq!(render(&["name", "what"], &rows, usize::MAX).lines().count(), 3);
    }

    #[test]
    fn several_wide_columns_share_what_there_is() {
        let rows = vec![vec!["name".to_owned(), "one ".repeat(20), "two ".repeat(20)]];
        let text = render(&["name", "a", "b"], &rows, 60);
        assert!(text.lines().all(|line| line.chars().count() <= 60), "{text}");
        assert!(text.lines().nth(1).is_some_and(|line| line.contains("one one one") && line.contains("two two two")));
    }

    #[test]
    fn escape_sequences_do_not_survive() {
        assert!(!render(&["a"], &[vec!["x\u{1b}[2J".to_owned()]], 80).contains('\u{1b}'));
    }
}
