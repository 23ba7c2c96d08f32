//! The terminal side of the reader: raw mode, reading, and a line that counts.

use std::io::{self, Write as _};
use std::time::Duration;

use console::{Term, truncate_str};
use zeroize::Zeroizing;

use super::super::terminal::{self, Raw};
use super::intake::{Intake, Next};
use super::{Lines, Stop};
use crate::secret::Secret;

/// Input that follows within this time belongs to the same paste.
const PAUSE: Duration = Duration::from_millis(40);

pub(super) fn read(prompt: &str, lines: Lines) -> Result<Secret, Stop> {
    let raw = Raw::enter().map_err(Stop::System)?;
    let mut intake = Intake::new(lines);
    show(prompt);
    let end = fill(&mut intake, prompt);
    show("");
    drop(raw);
    match end? {
        Next::Interrupted => Err(Stop::Interrupted),
        Next::TooLarge => {
            terminal::drain();
            Err(Stop::TooLarge)
        }
        Next::Going | Next::Done => intake.text().ok_or(Stop::NotText),
    }
}

/// Reads until something ends it.
fn fill(intake: &mut Intake, prompt: &str) -> Result<Next, Stop> {
    let mut chunk = Zeroizing::new([0_u8; 4096]);
    loop {
        if intake.is_waiting() && !terminal::is_pending(PAUSE) {
            intake.idle();
        }
        let count = terminal::read(&mut *chunk).map_err(Stop::System)?;
        if count == 0 {
            return Err(Stop::Closed);
        }
        for (index, byte) in chunk[..count].iter().enumerate() {
            let mut more = || index + 1 < count || terminal::is_pending(PAUSE);
            match intake.take(*byte, &mut more) {
                Next::Going => {}
                end => return Ok(end),
            }
        }
        if !terminal::is_pending(Duration::ZERO) {
            show(&format!("{prompt}{}", intake.gist()));
        }
    }
}

/// Replaces the line, which never becomes two: only one could be cleared again.
fn show(line: &str) {
    let width = usize::from(Term::stderr().size().1).saturating_sub(1).max(20);
    let mut stderr = io::stderr().lock();
    // A terminal that takes nothing has nobody in front of it.
    let _ = write!(stderr, "\r\x1b[K{}", truncate_str(line, width, "…")).and_then(|()| stderr.flush());
}
