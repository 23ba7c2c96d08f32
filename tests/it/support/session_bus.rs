//! A session of its own for one test: home, bus, keyring daemon and display, started bounded and ended by id.
//!
//! Nothing of the machine's own session is touched: the bus starts only what the test put into its folder of services.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// How long a program may take to start, or to end when it is asked to.
const PATIENCE: Duration = Duration::from_secs(20);

/// Ends every program that outlives its test, should the test itself be killed.
const LIFETIME_SECONDS: &str = "600";

/// A home and a session; dropping it ends every program that it started.
pub(crate) struct Session {
    // In this order: what talks on the bus ends before the bus.
    keyring: Option<Program>,
    bus: Option<Program>,
    display: Option<(Program, String)>,
    folder: TempDir,
}

impl Session {
    /// A home with nothing in it, and no bus.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for inside in ["home", "run", "data", "config", "cache", "state", "services"] {
            fs::create_dir(folder.path().join(inside)).unwrap();
        }
        fs::set_permissions(folder.path().join("run"), fs::Permissions::from_mode(0o700)).unwrap();
        Self { keyring: None, bus: None, display: None, folder }
    }

    /// A path inside the home.
    pub(crate) fn path(&self, inside: &str) -> PathBuf {
        self.folder.path().join(inside)
    }

    /// Where the session bus listens, or would listen.
    pub(crate) fn socket(&self) -> PathBuf {
        self.path("run/bus")
    }

    /// Lets the bus start the prompter of gnome-keyring, as a desktop does.
    pub(crate) fn with_prompter(self) -> Self {
        const FILE: &str = "org.gnome.keyring.SystemPrompter.service";
        let installed = Path::new("/usr/share/dbus-1/services").join(FILE);
        fs::copy(&installed, self.path("services").join(FILE))
            .unwrap_or_else(|error| panic!("{}: {error}; the package `gcr` has it", installed.display()));
        self
    }

    /// Starts a display that nobody looks at.
    pub(crate) fn with_display(mut self) -> Self {
        let mut command = self.command("timeout");
        command.args([LIFETIME_SECONDS, "Xvfb", "-displayfd", "1", "-screen", "0", "640x480x24", "-nolisten", "tcp"]);
        let mut program = Program::start("xvfb", command.stdout(Stdio::piped()));
        let mut number = String::new();
        BufReader::new(program.0.stdout.take().unwrap()).read_line(&mut number).unwrap();
        assert!(number.trim().parse::<u32>().is_ok(), "Xvfb did not start; the package `xvfb` has it");
        self.display = Some((program, format!(":{}", number.trim())));
        self
    }

    /// Starts the session bus.
    pub(crate) fn with_bus(mut self) -> Self {
        let config = self.path("bus.conf");
        let text = format!(
            r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path={}</listen>
  <servicedir>{}</servicedir>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"#,
            self.socket().display(),
            self.path("services").display()
        );
        File::create(&config).unwrap().write_all(text.as_bytes()).unwrap();
        let mut command = self.command("timeout");
        command.args([LIFETIME_SECONDS, "dbus-daemon", "--nofork"]).arg(format!("--config-file={}", config.display()));
        let mut bus = Program::start("dbus", &mut command);
        until("the session bus", || {
            assert!(matches!(bus.0.try_wait(), Ok(None)), "dbus-daemon did not start; the package `dbus` has it");
            UnixStream::connect(self.socket()).is_ok()
        });
        self.bus = Some(bus);
        self
    }

    /// Starts the keyring daemon and unlocks its login collection, which is made if there is none.
    pub(crate) fn with_unlocked_keyring(self) -> Self {
        self.with_keyring(Some("the-login-password"))
    }

    /// Starts the keyring daemon and unlocks nothing, after ending the one that ran.
    pub(crate) fn with_untouched_keyring(self) -> Self {
        self.with_keyring(None)
    }

    fn with_keyring(mut self, password: Option<&str>) -> Self {
        self.keyring = None;
        until("the end of the keyring daemon", || !self.owns("org.freedesktop.secrets"));
        let mut command = self.command("gnome-keyring-daemon");
        command.args(["--foreground", "--components=secrets"]);
        if password.is_some() {
            command.arg("--unlock");
        }
        let mut program = Program::start("gnome-keyring", command.stdin(Stdio::piped()));
        // The daemon takes all that comes before the end as the password.
        program.0.stdin.take().unwrap().write_all(password.unwrap_or_default().as_bytes()).unwrap();
        self.keyring = Some(program);
        until("the Secret Service", || self.owns("org.freedesktop.secrets"));
        if password.is_some() {
            // On a busy machine it is there before what it unlocks.
            until("the login collection", || self.has_a_default_collection());
        }
        self
    }

    /// Stops the keyring daemon without ending it: it keeps its name on the bus and says nothing any more.
    pub(crate) fn silence_keyring(&self) {
        self.keyring.as_ref().unwrap().signal(Signal::STOP);
    }

    /// A connection to the session bus, for looking behind the product's back.
    pub(crate) fn connect(&self) -> zbus::blocking::Connection {
        let address = format!("unix:path={}", self.socket().display());
        let builder = zbus::blocking::connection::Builder::address(address.as_str()).unwrap();
        builder.method_timeout(PATIENCE).build().unwrap()
    }

    fn has_a_default_collection(&self) -> bool {
        let (service, path) = (Some("org.freedesktop.secrets"), "/org/freedesktop/secrets");
        let interface = Some("org.freedesktop.Secret.Service");
        let reply = self.connect().call_method(service, path, interface, "ReadAlias", &"default");
        let body = reply.unwrap().body();
        body.deserialize::<zbus::zvariant::OwnedObjectPath>().unwrap().as_str() != "/"
    }

    /// Whether somebody on the bus has that name.
    pub(crate) fn owns(&self, name: &str) -> bool {
        let bus = "org.freedesktop.DBus";
        let path = "/org/freedesktop/DBus";
        let reply = self.connect().call_method(Some(bus), path, Some(bus), "NameHasOwner", &name);
        reply.unwrap().body().deserialize().unwrap()
    }

    /// A command with this home and session and nothing else of the test's own environment.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").env("LANG", "C.UTF-8").env("NO_AT_BRIDGE", "1");
        for (variable, inside) in [
            ("HOME", "home"),
            ("XDG_RUNTIME_DIR", "run"),
            ("XDG_DATA_HOME", "data"),
            ("XDG_CONFIG_HOME", "config"),
            ("XDG_CACHE_HOME", "cache"),
            ("XDG_STATE_HOME", "state"),
        ] {
            command.env(variable, self.path(inside));
        }
        if self.bus.is_some() {
            command.env("DBUS_SESSION_BUS_ADDRESS", format!("unix:path={}", self.socket().display()));
        }
        if let Some((_, display)) = &self.display {
            command.env("DISPLAY", display);
        }
        command.stdin(Stdio::null());
        command
    }
}

/// A program in the background.
struct Program(Child);

impl Program {
    fn start(package: &str, command: &mut Command) -> Self {
        let started = command.stderr(Stdio::null()).spawn();
        Self(started.unwrap_or_else(|error| panic!("{command:?}: {error}; the package `{package}` has it")))
    }

    fn signal(&self, signal: Signal) {
        // It has not been waited for, so the id is still its own.
        let _ = kill_process(Pid::from_child(&self.0), signal);
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.signal(Signal::CONT);
        self.signal(Signal::TERM);
        let until = Instant::now() + PATIENCE;
        while matches!(self.0.try_wait(), Ok(None)) {
            if Instant::now() > until {
                let _ = self.0.kill();
                let _ = self.0.wait();
                break;
            }
            thread::sleep(Duration::from_millis(2));
        }
    }
}

/// Runs `command` to its end with `input`; fails the test when that takes too long. Says how long it took.
pub(crate) fn run_bounded(command: &mut Command, input: &str) -> (Output, Duration) {
    let started = Instant::now();
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    // One that ends early does not read its input.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let streams = [
        Box::new(child.stdout.take().unwrap()) as Box<dyn Read + Send>,
        Box::new(child.stderr.take().unwrap()) as Box<dyn Read + Send>,
    ]
    .map(|mut stream| {
        thread::spawn(move || {
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes).map(|_| bytes).unwrap()
        })
    });
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None if started.elapsed() > PATIENCE => {
                child.kill().unwrap();
                child.wait().unwrap();
                panic!("{command:?} hung");
            }
            None => thread::sleep(Duration::from_millis(2)),
        }
    };
    let took = started.elapsed();
    let [stdout, stderr] = streams.map(|stream| stream.join().unwrap());
    (Output { status, stdout, stderr }, took)
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < PATIENCE, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(10));
    }
}
