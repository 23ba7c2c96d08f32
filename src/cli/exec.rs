//! `exec`: a command with the fields in its environment.

use std::ffi::OsString;
use std::process::Stdio;

use clap::Args;

use super::complete;
use super::house::House;
use crate::audit::{Deed, Event};
use crate::credential::CredentialName;
use crate::deliver::{self, child};
use crate::problem::{Kind, Problem};

/// Run a command with the fields under their usual variable names
///
/// Signals reach the command, and keyward ends with its exit code. Our own failures are 125 before the command
/// starts, 126 when it cannot be run and 127 when there is no such command, as with `env`. What opens the vault
/// (KEYWARD_IDENTITY and its kin) is not handed on.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  keyward exec aws-s3 -- aws s3 ls\n  keyward exec google telegram -- ./deploy.sh")]
pub(crate) struct ExecArgs {
    /// The credentials
    #[arg(value_name = "NAME", required = true, add = complete::credentials())]
    names: Vec<CredentialName>,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<OsString>,
}

/// The exit code of our own failures before the command starts, as `env` has it.
pub(crate) const BEFORE: u8 = 125;

/// Becomes the command. Returns only when that fails: the problem, and the exit code that goes with it.
pub(crate) fn run(args: &ExecArgs, house: &House) -> (Problem, u8) {
    let pairs = match gather("exec", &args.names, house) {
        Ok(pairs) => pairs,
        Err(problem) => return (problem, BEFORE),
    };
    let Some((program, rest)) = args.command.split_first() else {
        return (Problem::new(Kind::Usage, "no-command", "there is no command to run"), BEFORE);
    };
    let mut command = child::command(program, rest, &pairs);
    if house.passphrase_came_on_stdin() {
        // A file that was handed over could be read again.
        command.stdin(Stdio::null());
    }
    let error = child::become_child(command);
    let problem = Problem::new(Kind::Usage, "not-started", format!("cannot run `{}`", program.to_string_lossy()))
        .seen(error.to_string())
        .hint("the command comes after `--`, found on PATH or given as a path");
    (problem, child::exit_code(&error))
}

/// The fields of the credentials under their usual variable names.
///
/// What is handed out, and what could not be, is on the audit log before it is.
pub(crate) fn gather(
    command: &'static str,
    names: &[CredentialName],
    house: &House,
) -> Result<Vec<deliver::Pair>, Problem> {
    let mut all = Vec::new();
    let mut events = Vec::new();
    for name in names {
        let event = Event::done(command, Deed::Read, Some(name));
        let entry = house.or_told(&event, house.value_in_stores(|store| store.load(name)))?;
        events.push(event.of(entry.credential.fields.keys().map(String::as_str)));
        // A credential outlives its provider file: then its fields have their own names.
        let loaded = house.catalog()?.get(name.provider()).ok();
        all.push((name.to_string(), deliver::pairs(&entry.credential, loaded.as_ref().map(|loaded| &loaded.provider))));
    }
    let pairs = deliver::join(all)?;
    house.log(&events);
    Ok(pairs)
}
