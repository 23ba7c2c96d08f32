//! A terminal with a program in it, driven as a person would. Every wait is bounded in time.
//!
//! The program gets the terminal as its own (so that Ctrl-C and hang-ups reach it) through `setsid --ctty` of
//! util-linux: the call would need `unsafe` here.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

/// How long anything may take, on a busy machine too.
const PATIENCE: Duration = Duration::from_secs(20);

/// A terminal with a program in it.
pub(crate) struct Pty {
    master: Option<File>,
    reader: Option<JoinHandle<()>>,
    child: Child,
    screen: Arc<Screen>,
    /// How much of the output earlier `expect`s have used up.
    seen: usize,
}

#[derive(Default)]
struct Screen {
    output: Mutex<Output>,
    changed: Condvar,
    is_closed: AtomicBool,
}

#[derive(Default)]
struct Output {
    bytes: Vec<u8>,
    is_over: bool,
}

impl Pty {
    /// Starts `command` in a terminal of its own, 80 columns wide, with the variables of this process as well. Its
    /// streams are the terminal.
    pub(crate) fn spawn(command: Command) -> Self {
        let mut session = Command::new("setsid");
        session.arg("--ctty").arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => session.env(name, value),
                None => session.env_remove(name),
            };
        }
        if let Some(folder) = command.get_current_dir() {
            session.current_dir(folder);
        }
        Self::hold(session, 80)
    }

    /// Starts `session`, which is `setsid --ctty` and the program behind it, in a terminal of so many columns.
    pub(crate) fn hold(mut session: Command, columns: u16) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
        grantpt(&master).and_then(|()| unlockpt(&master)).expect("a terminal");
        tcsetwinsize(&master, of_columns(columns)).expect("a terminal's size");
        let name = ptsname(&master, Vec::new()).expect("a terminal's name").into_string().expect("ASCII");
        let slave: OwnedFd = OpenOptions::new().read(true).write(true).open(name).expect("a terminal").into();
        let stream = || Stdio::from(slave.try_clone().expect("a descriptor"));
        session.stdin(stream()).stdout(stream()).stderr(stream());
        let child = session.spawn().expect("`setsid` of util-linux has to be installed");
        // The terminal hangs up once the program has closed it: nobody else may hold it.
        drop((session, slave));

        let master = File::from(master);
        let screen = Arc::new(Screen::default());
        let (from, to) = (master.try_clone().expect("a descriptor"), Arc::clone(&screen));
        let reader = thread::spawn(move || watch(from, &to));
        Self { master: Some(master), child, screen, seen: 0, reader: Some(reader) }
    }

    /// Closes the terminal's window: the program loses its terminal.
    pub(crate) fn close(&mut self) {
        self.screen.is_closed.store(true, Ordering::Relaxed);
        // Nobody may hold the other end, or nothing hangs up.
        self.reader.take().expect("it is closed once").join().expect("a reader");
        self.master = None;
    }

    fn master(&self) -> &File {
        self.master.as_ref().expect("the window is open")
    }

    /// Waits until `text` appears after what earlier calls have waited for.
    #[track_caller]
    pub(crate) fn expect(&mut self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        let mut output = self.screen.output.lock().unwrap();
        loop {
            if let Some(at) = find(&output.bytes[self.seen..], text.as_bytes()) {
                self.seen += at + text.len();
                return;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let shown = String::from_utf8_lossy(&output.bytes).into_owned();
            assert!(!left.is_zero() && !output.is_over, "{text:?} did not appear in:\n{shown}\n{shown:?}");
            output = self.screen.changed.wait_timeout(output, left).unwrap().0;
        }
    }

    /// Drags the window to so many columns; the program is told.
    pub(crate) fn resize(&self, columns: u16) {
        tcsetwinsize(self.master(), of_columns(columns)).expect("a terminal's size");
    }

    /// Types or pastes bytes.
    #[track_caller]
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.master().write_all(bytes.as_ref()).expect("the terminal takes input");
    }

    /// Sends a signal to the program.
    #[track_caller]
    pub(crate) fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).expect("a process id");
        kill_process(Pid::from_raw(id).expect("a process id"), signal).expect("the program runs");
    }

    /// Whether what is typed is shown, as in every shell.
    pub(crate) fn echo_is_on(&self) -> bool {
        let modes = tcgetattr(self.master()).expect("a terminal's modes");
        modes.local_modes.contains(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG)
    }

    /// Waits until the echo is off: the program reads what nobody may see.
    #[track_caller]
    pub(crate) fn expect_no_echo(&self) {
        let deadline = Instant::now() + PATIENCE;
        while self.echo_is_on() {
            assert!(Instant::now() < deadline, "the echo stayed on:\n{}", self.transcript());
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits for the end: the exit code, or 128 and the number of the signal that killed it.
    #[track_caller]
    pub(crate) fn wait(&mut self) -> i32 {
        use std::os::unix::process::ExitStatusExt as _;
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            match self.child.try_wait().expect("a child") {
                Some(status) => break status,
                None => assert!(Instant::now() < deadline, "it does not end:\n{}", self.transcript()),
            }
            thread::sleep(Duration::from_millis(5));
        };
        let mut output = self.screen.output.lock().unwrap();
        while !output.is_over && Instant::now() < deadline {
            output = self.screen.changed.wait_timeout(output, Duration::from_millis(100)).unwrap().0;
        }
        status.code().or_else(|| status.signal().map(|signal| 128 + signal)).expect("an end")
    }

    /// Everything that was shown so far, with its escape sequences.
    pub(crate) fn transcript(&self) -> String {
        String::from_utf8_lossy(&self.screen.output.lock().unwrap().bytes).into_owned()
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        // Only what was started here, and only if it is still there.
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Keeps what the program shows, until it or the window is gone.
fn watch(mut from: File, screen: &Screen) {
    let mut chunk = [0; 4096];
    loop {
        let pause = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
        let waiting = poll(&mut [PollFd::new(&from, PollFlags::IN)], Some(&pause)).unwrap_or(0);
        let is_closed = screen.is_closed.load(Ordering::Relaxed);
        if waiting == 0 && !is_closed {
            continue;
        }
        // The terminal of a program that has ended cannot be read.
        let count = if is_closed { 0 } else { from.read(&mut chunk).unwrap_or(0) };
        let mut output = screen.output.lock().unwrap();
        output.bytes.extend_from_slice(&chunk[..count]);
        output.is_over = count == 0;
        screen.changed.notify_all();
        if count == 0 {
            return;
        }
    }
}

fn of_columns(columns: u16) -> Winsize {
    Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}

fn find(bytes: &[u8], text: &[u8]) -> Option<usize> {
    bytes.windows(text.len()).position(|window| window == text)
}
