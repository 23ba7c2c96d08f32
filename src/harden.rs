//! Keeps secrets out of core dumps, out of the reach of other processes of the same user, and out of the last words of
//! a bug.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, Write as _};
use std::panic;

use crate::problem::{Kind, Problem};

/// Switches core dumps off and makes the process not dumpable (Linux: `PR_SET_DUMPABLE`, 0).
///
/// Failing is no reason to stop: a sandbox may forbid either.
pub fn harden() {
    #[cfg(unix)]
    unix::no_core();
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
}

/// Lets a panic end the process with the exit code of a bug, and say where it was but not what: its words may
/// hold a value. With `RUST_BACKTRACE` the calls that led there are told too.
pub fn tell_only_the_place_of_a_bug(json: bool) {
    panic::set_hook(Box::new(move |info| {
        let place = info.location().map(|at| format!("{}:{}", at.file(), at.line())).unwrap_or_default();
        let problem = Problem::new(Kind::Bug, "bug", format!("a bug in keyward, at {place}"))
            .hint("please report it; nothing that was stored is lost");
        let backtrace = Backtrace::capture();
        let mut stderr = io::stderr().lock();
        // Nobody is left to tell when stderr itself fails.
        let _ = if json { writeln!(stderr, "{}", problem.to_json()) } else { writeln!(stderr, "error: {problem}") };
        if backtrace.status() == BacktraceStatus::Captured {
            let _ = write!(stderr, "{backtrace}");
        }
        std::process::exit(problem.kind.exit().into());
    }));
}

/// Gives a child the soft limit for core dumps that we were started with.
pub fn give_back_core_limit() {
    #[cfg(unix)]
    unix::give_back();
}

#[cfg(unix)]
mod unix {
    use std::sync::OnceLock;

    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    static BEFORE: OnceLock<Rlimit> = OnceLock::new();

    pub(super) fn no_core() {
        let before = BEFORE.get_or_init(|| getrlimit(Resource::Core));
        // Only the soft limit: a child of `exec` gets its own back.
        let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: before.maximum });
    }

    pub(super) fn give_back() {
        if let Some(before) = BEFORE.get() {
            let _ = setrlimit(Resource::Core, Rlimit { current: before.current, maximum: before.maximum });
        }
    }
}
