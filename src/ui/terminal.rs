//! The terminal's modes: saved before the first question, put back on every way out.
//!
//! The ways out are: the guard goes out of scope, SIGINT, SIGTERM or SIGHUP arrives, something panics (a release
//! build aborts, so no destructor runs). A prompt that dies otherwise leaves the echo off or the cursor hidden.

use std::io;
use std::path::Path;

#[cfg(unix)]
pub(super) use unix::{Raw, drain, is_pending, let_watcher_go_first, read};
#[cfg(unix)]
use unix::{arm, disarm, put_back};

/// From its making until it is dropped, every way out puts the terminal back as it was.
#[derive(Debug)]
pub struct Guard(());

impl Guard {
    /// Saves the modes of the terminal on stdin and watches for signals and panics.
    ///
    /// # Errors
    ///
    /// When the system cannot watch signals.
    pub fn new() -> io::Result<Self> {
        #[cfg(unix)]
        arm()?;
        Ok(Self(()))
    }

    /// As [`Guard::new`]; a signal or a panic that ends the process wipes and removes `folder`, too.
    ///
    /// # Errors
    ///
    /// When the system cannot watch signals.
    pub fn with_litter(folder: &Path) -> io::Result<Self> {
        #[cfg(unix)]
        unix::litter(folder);
        #[cfg(not(unix))]
        let _ = folder;
        Self::new()
    }
}

/// Leaves Ctrl-C to a child in the foreground, such as an editor, from now on or no longer.
pub fn leave_ctrl_c_to_child(yes: bool) {
    #[cfg(unix)]
    unix::leave_ctrl_c_to_child(yes);
    #[cfg(not(unix))]
    let _ = yes;
}

impl Drop for Guard {
    fn drop(&mut self) {
        #[cfg(unix)]
        {
            put_back();
            disarm();
        }
        #[cfg(not(unix))]
        let _ = console::Term::stderr().show_cursor();
    }
}

#[cfg(unix)]
mod unix {
    use std::io::{self, IsTerminal as _};
    use std::panic;
    use std::path::{Path, PathBuf};
    use std::process;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Mutex, Once, PoisonError, TryLockError};
    use std::thread;
    use std::time::{Duration, Instant};

    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::termios::{InputModes, LocalModes, OptionalActions, QueueSelector, SpecialCodeIndex, Termios};
    use rustix::termios::{tcflush, tcgetattr, tcsetattr};
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGURG};
    use signal_hook::iterator::Signals;

    /// Shows the cursor, and ends bracketed paste.
    const TIDY: &str = "\x1b[?25h\x1b[?2004l";

    /// How long an interrupted prompt has to unwind by itself before the process ends.
    const GRACE: Duration = Duration::from_millis(1500);

    /// A prompt that is between two keys may just be switching the echo off again: it comes to rest within this time.
    const SETTLE: Duration = Duration::from_millis(30);

    /// Whether the watcher has seen a SIGINT, which the prompt answers itself.
    static HAS_SEEN_INT: AtomicBool = AtomicBool::new(false);

    /// The modes to put back, while somebody guards them.
    static SAVED: Mutex<Option<Termios>> = Mutex::new(None);

    pub(super) fn arm() -> io::Result<()> {
        watch()?;
        let modes = tcgetattr(io::stdin()).ok();
        *SAVED.lock().unwrap_or_else(PoisonError::into_inner) = modes;
        Ok(())
    }

    pub(super) fn disarm() {
        SAVED.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Puts the saved modes back. Says whether there were any.
    pub(super) fn put_back() -> bool {
        // A panic may happen while the lock is held: better no modes than no end.
        let saved = match SAVED.try_lock() {
            Ok(saved) => saved.clone(),
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner().clone(),
            Err(TryLockError::WouldBlock) => None,
        };
        let Some(modes) = saved else { return false };
        // Nothing is left to do when the terminal is gone.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &modes);
        say(TIDY);
        true
    }

    /// Writes to the terminal past every lock and buffer.
    fn say(text: &str) {
        let stderr = io::stderr();
        if stderr.is_terminal() {
            let _ = rustix::io::write(&stderr, text.as_bytes());
        }
    }

    /// Starts watching for signals and panics, once in the life of the process.
    fn watch() -> io::Result<()> {
        static ONCE: Once = Once::new();
        let mut outcome = Ok(());
        ONCE.call_once(|| {
            let earlier = panic::take_hook();
            panic::set_hook(Box::new(move |info| {
                put_back();
                remove_litter();
                earlier(info);
            }));
            outcome = Signals::new([SIGINT, SIGTERM, SIGHUP, MARK]).map(|mut signals| {
                thread::spawn(move || {
                    loop {
                        let caught: Vec<_> = signals.wait().collect();
                        end_on(&caught);
                        if caught.contains(&MARK) {
                            HAS_SEEN_MARK.store(true, Ordering::Release);
                        }
                    }
                });
            });
        });
        outcome
    }

    /// The signal that began it: a read that SIGTERM cut short makes the prompt raise SIGINT too.
    fn cause(caught: &[i32]) -> Option<i32> {
        [SIGHUP, SIGTERM, SIGINT].into_iter().find(|signal| caught.contains(signal))
    }

    /// Lets the watcher go first, after a prompt has failed: it knows whether a signal was the reason and which one it
    /// was, and ends the process for SIGTERM and SIGHUP. Returns as soon as it has seen a SIGINT.
    pub(in crate::ui) fn let_watcher_go_first(at_most: Duration) {
        wait_for(&HAS_SEEN_INT, at_most);
    }

    /// What a signal that ends the process removes.
    static LITTER: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

    pub(super) fn litter(folder: &Path) {
        LITTER.lock().unwrap_or_else(PoisonError::into_inner).push(folder.to_owned());
    }

    /// Whether a child in the foreground answers Ctrl-C.
    static CHILD_ANSWERS: AtomicBool = AtomicBool::new(false);

    pub(super) fn leave_ctrl_c_to_child(yes: bool) {
        if !yes {
            let_watcher_catch_up();
        }
        CHILD_ANSWERS.store(yes, Ordering::Release);
    }

    /// A signal that means nothing to anybody, and nothing when it is not watched for.
    const MARK: i32 = SIGURG;

    static HAS_SEEN_MARK: AtomicBool = AtomicBool::new(false);

    /// Waits until the watcher has looked at all that arrived up to now: a Ctrl-C that was for the child is not answered
    /// behind its back.
    fn let_watcher_catch_up() {
        HAS_SEEN_MARK.store(false, Ordering::Release);
        if signal_hook::low_level::raise(MARK).is_ok() {
            wait_for(&HAS_SEEN_MARK, GRACE);
        }
    }

    fn wait_for(seen: &AtomicBool, at_most: Duration) {
        let deadline = Instant::now() + at_most;
        while !seen.load(Ordering::Acquire) && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(2));
        }
    }

    fn remove_litter() {
        // A panic may happen while the lock is held.
        let Ok(litter) = LITTER.try_lock() else { return };
        for folder in litter.iter() {
            // It may be gone already; nobody is left to tell when it cannot go.
            let _ = crate::paths::wipe_folder(folder);
        }
    }

    /// Ends the process with 128 + the signal's number.
    fn end_on(caught: &[i32]) {
        let Some(signal) = cause(caught) else { return };
        if signal == SIGINT && CHILD_ANSWERS.load(Ordering::Acquire) {
            return;
        }
        HAS_SEEN_INT.store(signal == SIGINT, Ordering::Release);
        if put_back() {
            // What was typed and not yet read is for nobody: least of all for the shell that comes next.
            drain();
            // A prompt that saw Ctrl-C returns by itself, and its caller tidies up.
            thread::sleep(if signal == SIGINT { GRACE } else { SETTLE });
            put_back();
            // The prompt did not come to it in time.
            say(if signal == SIGINT { "\ninterrupted\n" } else { "\n" });
            // Once more, as the very last thing: the key it was busy with may have come in between.
            put_back();
        }
        remove_litter();
        process::exit(128 + signal);
    }

    /// Raw mode with bracketed paste, until dropped.
    pub(in crate::ui) struct Raw {
        before: Termios,
    }

    impl Raw {
        /// # Errors
        ///
        /// When stdin is no terminal.
        pub(in crate::ui) fn enter() -> io::Result<Self> {
            let before = tcgetattr(io::stdin())?;
            let mut raw = before.clone();
            // ISIG too: Ctrl-C arrives as a byte, after what was typed before it. Output stays as it is.
            raw.local_modes -= LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG | LocalModes::IEXTEN;
            raw.input_modes -= InputModes::ICRNL | InputModes::INLCR | InputModes::IGNCR | InputModes::IXON;
            raw.input_modes -= InputModes::ISTRIP | InputModes::BRKINT;
            raw.special_codes[SpecialCodeIndex::VMIN] = 1;
            raw.special_codes[SpecialCodeIndex::VTIME] = 0;
            tcsetattr(io::stdin(), OptionalActions::Now, &raw)?;
            say("\x1b[?2004h");
            Ok(Self { before })
        }
    }

    impl Drop for Raw {
        fn drop(&mut self) {
            say("\x1b[?2004l");
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
        }
    }

    /// Reads what is there, at least one byte; nothing when the terminal is gone. Past every buffer: none of
    /// them is wiped.
    pub(in crate::ui) fn read(into: &mut [u8]) -> io::Result<usize> {
        loop {
            match rustix::io::read(io::stdin(), &mut *into) {
                Err(rustix::io::Errno::INTR) => {}
                // How Linux says that the other side of the terminal was closed.
                Err(rustix::io::Errno::IO) => return Ok(0),
                other => return Ok(other?),
            }
        }
    }

    /// Whether something can be read within `wait`.
    pub(in crate::ui) fn is_pending(wait: Duration) -> bool {
        let stdin = io::stdin();
        let wait = Timespec { tv_sec: 0, tv_nsec: wait.subsec_nanos().into() };
        let mut fds = [PollFd::new(&stdin, PollFlags::IN)];
        matches!(poll(&mut fds, Some(&wait)), Ok(count) if count > 0) && fds[0].revents().contains(PollFlags::IN)
    }

    /// Throws away what was typed or pasted and not yet read.
    pub(in crate::ui) fn drain() {
        let _ = tcflush(io::stdin(), QueueSelector::IFlush);
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn of_several_signals_the_one_that_began_it_decides_the_exit_code() {
            assert_eq!(cause(&[SIGINT, SIGTERM]), Some(SIGTERM));
            assert_eq!(cause(&[SIGINT, SIGTERM, SIGHUP]), Some(SIGHUP));
            assert_eq!(cause(&[SIGINT]), Some(SIGINT));
            assert_eq!(cause(&[]), None);
        }
    }
}
