//! Many processes at one store: nothing is lost, and a lock stands in nobody's way for longer than its holder lives.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use keyward::problem::Kind;
use rustix::process::{Pid, Signal, kill_process};

use crate::support::env::{Ran, TestEnv, finish, zotero_key};
use crate::support::session_bus::Session;
use crate::support::strace::traced;

/// How long all the processes of one test may take together, on a busy machine too.
const PATIENCE: Duration = Duration::from_secs(50);

/// A home with an empty vault.
fn home() -> TestEnv {
    let env = TestEnv::new();
    env.run(&["vault", "init"]).exits(0);
    env
}

/// Each value is another one, so that a mixed-up value is seen.
fn key(number: usize) -> String {
    zotero_key('k')[..18].to_owned() + &format!("{number:06}")
}

/// A pipe with text in it for whoever opens it, but for nobody before everybody has.
struct Gate {
    pipe: PathBuf,
    text: Vec<u8>,
}

impl Gate {
    fn new(folder: &Path, number: usize, text: impl Into<Vec<u8>>) -> Self {
        let pipe = folder.join(format!("gate-{number}"));
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        Self { pipe, text: text.into() }
    }
}

/// Starts the commands, waits until each has come to its gate, and opens all gates at the same moment.
fn at_the_same_moment(commands: Vec<(Command, Gate)>) {
    let until = Instant::now() + PATIENCE;
    let mut children = Vec::new();
    let mut gates = Vec::new();
    for (mut command, gate) in commands {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        children.push(command.spawn().unwrap());
        gates.push(gate);
    }
    let open: Vec<(File, Vec<u8>)> = gates.into_iter().map(|gate| (writer(&gate.pipe, until), gate.text)).collect();
    for (mut pipe, text) in open {
        pipe.write_all(&text).unwrap();
    }
    for mut child in children {
        let status = wait(&mut child, until);
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert!(status.success(), "{status}: {said}");
    }
}

/// The writing end of a pipe, once somebody reads from it.
fn writer(pipe: &Path, until: Instant) -> File {
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    loop {
        if let Ok(file) = File::options().write(true).custom_flags(nonblocking).open(pipe) {
            return file;
        }
        assert!(Instant::now() < until, "nobody came to {}", pipe.display());
        thread::sleep(Duration::from_millis(2));
    }
}

fn wait(child: &mut Child, until: Instant) -> ExitStatus {
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if Instant::now() > until {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("one of them did not end");
        }
        thread::sleep(Duration::from_millis(2));
    }
}

/// Saves the credential `number`, whose value comes from a file.
fn set(command: &mut Command, number: usize, value: &Path) {
    command.args(["setup", &format!("zotero/p{number}"), "--no-input", "--no-check", "--field"]);
    command.arg(format!("api_key=@{}", value.display())).env("KEYWARD_LOCK_TIMEOUT", "60");
}

/// A command that needs the vault's key, which stands behind a gate.
fn gated(env: &TestEnv, number: usize) -> (Command, Gate) {
    let identity = fs::read(env.path(".config/keyward/identity")).unwrap();
    let gate = Gate::new(env.home(), number, identity);
    let mut command = env.command();
    command.env("KEYWARD_IDENTITY_FILE", &gate.pipe);
    (command, gate)
}

fn setting(env: &TestEnv, number: usize) -> (Command, Gate) {
    let (mut command, gate) = gated(env, number);
    set(&mut command, number, &env.file(&format!("key-{number}"), key(number)));
    (command, gate)
}

fn removing(env: &TestEnv, number: usize) -> (Command, Gate) {
    let (mut command, gate) = gated(env, number);
    command.args(["remove", &format!("zotero/p{number}"), "--no-input"]).env("KEYWARD_LOCK_TIMEOUT", "60");
    (command, gate)
}

/// What `list --json` says.
fn listed(listing: &Ran) -> BTreeSet<String> {
    let list = listing.exits(0).json();
    list["credentials"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
}

fn numbered(numbers: std::ops::Range<usize>) -> BTreeSet<String> {
    numbers.map(|number| format!("zotero/p{number}")).collect()
}

#[test]
fn of_64_processes_that_write_into_one_vault_at_the_same_moment_none_is_lost() {
    let env = home();
    at_the_same_moment((0..64).map(|number| setting(&env, number)).collect());
    assert_eq!(listed(&env.run(&["list", "--json"])), numbered(0..64));
    let whole = env.run(&["vault", "verify", "--json"]).exits(0).json();
    assert_eq!((&whole["verified"]["entries"], &whole["verified"]["sealed_values"]), (&64.into(), &64.into()));
    for number in [0, 31, 63] {
        let got = env.run(&["get", &format!("zotero/p{number}"), "api_key", "-n"]);
        assert_eq!(got.exits(0).out, key(number));
    }
    let folder = env.vault().parent().unwrap().to_owned();
    let mut left: Vec<_> = fs::read_dir(folder).unwrap().map(|found| found.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["vault.toml", "vault.toml.lock"]);
}

#[test]
fn of_50_processes_that_set_and_remove_each_does_its_own_part() {
    let env = home();
    for number in 0..25 {
        let file = env.file("first", key(number));
        let mut command = env.command();
        set(&mut command, number, &file);
        finish(&mut command).exits(0);
    }
    let mixed = (0..25).flat_map(|number| [removing(&env, number), setting(&env, number + 25)]).collect();
    at_the_same_moment(mixed);
    assert_eq!(listed(&env.run(&["list", "--json"])), numbered(25..50));
    env.run(&["vault", "verify"]).exits(0).prints("whole: 25 credentials");
}

#[test]
fn of_24_processes_that_write_into_one_keyring_none_is_lost() {
    let session = Session::new().with_bus().with_unlocked_keyring();
    let keyward = || {
        let mut command = session.command(env!("CARGO_BIN_EXE_keyward"));
        command.env("KEYWARD_STORE", "keyring");
        command
    };
    let setting = |number| {
        let gate = Gate::new(&session.path("home"), number, key(number));
        let mut command = keyward();
        set(&mut command, number, &gate.pipe);
        (command, gate)
    };
    at_the_same_moment((0..24).map(setting).collect());
    assert_eq!(listed(&finish(keyward().args(["list", "--json"]))), numbered(0..24));
    for number in 0..24 {
        let got = finish(keyward().args(["get", &format!("zotero/p{number}"), "api_key", "-n"]));
        assert_eq!(got.exits(0).out, key(number));
    }
}

/// A process that holds the store's lock and does nothing more: it was stopped before its file counts.
struct Holder {
    strace: Child,
    id: i32,
}

impl Holder {
    fn new(program: &Command, log: &Path, lock: &Path) -> Self {
        let mut command = traced(program, log, &["inject=fsync:signal=STOP:when=1"]);
        let strace = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let until = Instant::now() + PATIENCE;
        while !fs::read_to_string(log).is_ok_and(|log| log.contains("stopped by SIGSTOP")) {
            assert!(Instant::now() < until, "it did not come to its fsync");
            thread::sleep(Duration::from_millis(5));
        }
        let id = fs::read_to_string(lock).unwrap().trim().parse().unwrap();
        Self { strace, id }
    }

    /// Ends the process itself, without a word.
    fn kill(&mut self) {
        // A child of our strace, which has not waited for it: the id is still its own.
        kill_process(Pid::from_raw(self.id).unwrap(), Signal::KILL).unwrap();
        wait(&mut self.strace, Instant::now() + PATIENCE);
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        if matches!(self.strace.try_wait(), Ok(None)) {
            self.kill();
        }
    }
}

/// Writes that wait for nobody are refused while one process holds the lock, and nothing stands in the way after it is killed.
fn is_held_until_its_holder_dies(keyward: &dyn Fn() -> Command, folder: &Path, lock: &Path) {
    let value = folder.join("value");
    fs::write(&value, key(1)).unwrap();
    let mut command = keyward();
    set(&mut command, 1, &value);
    finish(&mut command).exits(0);
    let mut command = keyward();
    set(&mut command, 2, &value);
    let mut holder = Holder::new(&command, &folder.join("log"), lock);

    let refused = |args: &[&str]| {
        let started = Instant::now();
        let refused = finish(keyward().args(args).args(["--no-input", "--lock-timeout", "0"]));
        refused.exits(i32::from(Kind::Conflict.exit())).says(&format!("process {} holds", holder.id));
        assert!(started.elapsed() < Duration::from_secs(3), "it waited");
    };
    let field = format!("api_key=@{}", value.display());
    refused(&["setup", "zotero/p3", "--no-check", "--field", &field]);
    refused(&["remove", "zotero/p1"]);
    refused(&["rename", "zotero/p1", "zotero/p9"]);
    // Who only reads waits for nobody.
    assert_eq!(finish(keyward().args(["get", "zotero/p1", "api_key", "-n"])).exits(0).out, key(1));
    assert_eq!(listed(&finish(keyward().args(["list", "--json"]))), numbered(1..2));

    holder.kill();
    let mut command = keyward();
    set(&mut command, 3, &value);
    finish(command.env("KEYWARD_LOCK_TIMEOUT", "0")).exits(0);
    let left = ["zotero/p1", "zotero/p3"].map(str::to_owned);
    assert_eq!(listed(&finish(keyward().args(["list", "--json"]))), BTreeSet::from(left));
}

#[test]
fn the_vault_s_lock_names_its_holder_and_dies_with_it() {
    let env = home();
    is_held_until_its_holder_dies(&|| env.command(), env.home(), &env.vault().with_file_name("vault.toml.lock"));
    env.run(&["vault", "verify"]).exits(0);
}

#[test]
fn the_keyring_s_lock_names_its_holder_and_dies_with_it() {
    let session = Session::new().with_bus().with_unlocked_keyring();
    let keyward = || {
        let mut command = session.command(env!("CARGO_BIN_EXE_keyward"));
        command.env("KEYWARD_STORE", "keyring");
        command
    };
    let lock = session.path("state/keyward/keyring.toml.lock");
    is_held_until_its_holder_dies(&keyward, &session.path("home"), &lock);
}
