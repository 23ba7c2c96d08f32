//! The clipboard, through what the desktop has for it. A value goes there on a pipe, never as an argument.
//!
//! A process of our own stays behind, knows a salted hash of the value, and clears the clipboard when the time is up
//! and the content is still ours.

use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::env::{self, Env};
use crate::problem::{Kind, Problem};

/// The word that makes this program the one that clears. Not a command: nobody types it.
pub(super) const CLEARER: &str = "__clear-clipboard";

/// A program for each of three things, with its arguments.
struct Tool {
    name: &'static str,
    /// The variable without which it cannot work.
    needs: Option<&'static str>,
    /// Takes the content from stdin.
    copy: &'static [&'static str],
    /// Writes the content to stdout, as it is.
    paste: &'static [&'static str],
    /// Empties it; stdin is empty.
    clear: &'static [&'static str],
}

const TOOLS: [Tool; 4] = [
    Tool {
        name: "wl-copy",
        needs: Some("WAYLAND_DISPLAY"),
        copy: &["wl-copy"],
        paste: &["wl-paste", "--no-newline"],
        clear: &["wl-copy", "--clear"],
    },
    Tool {
        name: "xclip",
        needs: Some("DISPLAY"),
        copy: &["xclip", "-selection", "clipboard"],
        paste: &["xclip", "-selection", "clipboard", "-o"],
        clear: &["xclip", "-selection", "clipboard"],
    },
    Tool {
        name: "xsel",
        needs: Some("DISPLAY"),
        copy: &["xsel", "--clipboard", "--input"],
        paste: &["xsel", "--clipboard", "--output"],
        clear: &["xsel", "--clipboard", "--clear"],
    },
    Tool { name: "pbcopy", needs: None, copy: &["pbcopy"], paste: &["pbpaste"], clear: &["pbcopy"] },
];

/// The clipboard of this desktop.
pub(super) struct Clipboard(&'static Tool);

/// What the process that clears is told.
#[derive(Serialize, Deserialize)]
struct Order {
    tool: String,
    seconds: u64,
    salt: String,
    hash: String,
}

impl Clipboard {
    /// The first program that is there and can work.
    ///
    /// # Errors
    ///
    /// A [`Problem`] of kind [`Kind::Store`].
    pub(super) fn find(env: &Env) -> Result<Self, Problem> {
        let can_work = |tool: &&Tool| tool.needs.is_none_or(|name| env.get_os(name).is_some());
        let found = TOOLS.iter().filter(can_work).find(|tool| on_path(env, tool.copy[0]).is_some());
        found.map(Self).ok_or_else(|| {
            Problem::new(Kind::Store, "no-clipboard", "there is no clipboard here, or nothing to reach it with")
                .hint("in a desktop session, install wl-clipboard (Wayland), or xclip or xsel (X11)")
        })
    }

    /// The program's name.
    pub(super) fn tool(&self) -> &'static str {
        self.0.name
    }

    /// Puts a value there, and has it cleared after so many seconds.
    ///
    /// # Errors
    ///
    /// A [`Problem`] of kind [`Kind::Store`]; what was in the clipboard may be gone.
    pub(super) fn put(&self, value: &str, seconds: u64) -> Result<(), Problem> {
        let failed = |what: &str, why: String| {
            Problem::new(Kind::Store, "clipboard", format!("{what} {}", self.0.name)).seen(why)
        };
        // Before the value is there: without somebody to clear it, it is not put there.
        let order = self.order(value, seconds).map_err(|error| failed("cannot use", error.to_string()))?;
        let mut clearer =
            clearer().map_err(|error| failed("cannot clear what would be put there by", error.to_string()))?;
        let copied = feed(command(self.0.copy), value.as_bytes());
        match copied {
            Ok(true) => {}
            Ok(false) => return Err(failed("nothing was copied by", "it failed".into())),
            Err(error) => return Err(failed("cannot run", error.to_string())),
        }
        let sent = clearer.stdin.take().map_or(Ok(()), |mut stdin| stdin.write_all(order.as_bytes()));
        sent.map_err(|error| failed("the clipboard will not be cleared by", error.to_string()))
    }

    fn order(&self, value: &str, seconds: u64) -> io::Result<String> {
        let mut salt = [0; 16];
        getrandom::fill(&mut salt).map_err(|error| io::Error::other(error.to_string()))?;
        let salt = hex(&salt);
        let hash = digest(&salt, value.as_bytes());
        let order = Order { tool: self.0.name.to_owned(), seconds, salt, hash };
        serde_json::to_string(&order).map_err(io::Error::other)
    }
}

/// The process that stays behind. It waits for its order, and ends without one.
fn clearer() -> io::Result<std::process::Child> {
    let mut command = env::program(std::env::current_exe()?);
    command.arg(CLEARER).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).current_dir("/");
    command.spawn()
}

/// What the process that stays behind does: waits, looks, clears.
pub(super) fn clear_later() -> ExitCode {
    // The terminal may close meanwhile.
    #[cfg(unix)]
    let _ = rustix::process::setsid();
    let mut text = String::new();
    let read = io::stdin().take(64 * 1024).read_to_string(&mut text);
    let order = read.ok().and_then(|_| serde_json::from_str::<Order>(&text).ok());
    let Some(order) = order else { return ExitCode::FAILURE };
    let Some(tool) = TOOLS.iter().find(|tool| tool.name == order.tool) else { return ExitCode::FAILURE };
    thread::sleep(Duration::from_secs(order.seconds.min(3600)));
    let output = command(tool.paste).stdin(Stdio::null()).stdout(Stdio::piped()).output();
    let Ok(content) = output.map(|output| Zeroizing::new(output.stdout)) else { return ExitCode::FAILURE };
    if digest(&order.salt, &content) == order.hash {
        let _ = feed(command(tool.clear), b"");
    }
    ExitCode::SUCCESS
}

fn command(words: &[&str]) -> Command {
    let mut command = env::program(words[0]);
    command.args(&words[1..]).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Runs a command with that on stdin. Whether it says that it worked.
fn feed(mut command: Command, bytes: &[u8]) -> io::Result<bool> {
    let mut child = command.stdin(Stdio::piped()).spawn()?;
    let written = child.stdin.take().map_or(Ok(()), |mut stdin| stdin.write_all(bytes));
    let status = child.wait()?;
    Ok(written.is_ok() && status.success())
}

fn digest(salt: &str, bytes: &[u8]) -> String {
    hex(&Sha256::new().chain_update(salt).chain_update(bytes).finalize())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Where a program is, as a shell would find it.
pub(super) fn on_path(env: &Env, program: &str) -> Option<PathBuf> {
    if program.contains('/') {
        return Some(PathBuf::from(program)).filter(|path| is_program(path));
    }
    let folders = env.get_os("PATH")?;
    std::env::split_paths(folders).map(|folder| folder.join(program)).find(|path| is_program(path))
}

fn is_program(path: &Path) -> bool {
    #[cfg(unix)]
    let may_run = || rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok();
    #[cfg(not(unix))]
    let may_run = || true;
    path.is_file() && may_run()
}
