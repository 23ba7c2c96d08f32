//! A child's environment: on Unix keyward becomes the child, so signals and the exit code are the child's own.

use std::ffi::OsString;
use std::io;
use std::process::Command;

use super::Pair;
use crate::env;

/// The child could not be started: no such program.
pub const NOT_FOUND: u8 = 127;
/// The child could not be started: it is there, but cannot be run.
pub const NOT_RUNNABLE: u8 = 126;

/// The command with the pairs in its environment, and without what opens the vault.
pub fn command(program: &OsString, args: &[OsString], pairs: &[Pair]) -> Command {
    let mut command = env::program(program);
    command.args(args);
    for pair in pairs {
        // To the child's environment: the operator asked for it with `exec`.
        command.env(&pair.name, pair.value.expose());
    }
    command
}

/// Becomes the child. Returns only when it cannot be started.
#[cfg(unix)]
pub fn become_child(mut command: Command) -> io::Error {
    use std::os::unix::process::CommandExt as _;
    crate::harden::give_back_core_limit();
    command.exec()
}

/// Runs the child and ends with its code. Returns only when it cannot be started.
#[cfg(not(unix))]
pub fn become_child(mut command: Command) -> io::Error {
    match command.status() {
        Ok(status) => std::process::exit(status.code().unwrap_or(1)),
        Err(error) => error,
    }
}

/// The exit code for a child that could not be started, as `env` has it.
pub fn exit_code(error: &io::Error) -> u8 {
    if error.kind() == io::ErrorKind::NotFound { NOT_FOUND } else { NOT_RUNNABLE }
}
