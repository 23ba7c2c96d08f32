//! A hermetic place for one test: its own home, a cleared environment, the real binary.

use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::pty::Pty;

/// Longer than any command may take; a command that is still running then is ended, and the test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// A home of its own for one test.
pub struct TestEnv {
    home: TempDir,
    vars: Vec<(String, String)>,
}

/// How a command ended.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl TestEnv {
    /// With the vault as the store, so that no test touches a keyring by accident.
    pub fn new() -> Self {
        let home = TempDir::new().unwrap();
        let mut env = Self { home, vars: Vec::new() };
        env.set("KEYWARD_STORE", "vault");
        env
    }

    /// The folder that stands for the home.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// A path in the home.
    pub fn path(&self, name: &str) -> PathBuf {
        self.home().join(name)
    }

    /// The vault's file.
    pub fn vault(&self) -> PathBuf {
        self.path(".local/share/keyward/vault.toml")
    }

    /// Writes a file into the home.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::File::create(&path).unwrap().write_all(content.as_ref()).unwrap();
        path
    }

    /// Sets a variable for all further commands.
    pub fn set(&mut self, name: &str, value: &str) {
        self.vars.retain(|(known, _)| known != name);
        self.vars.push((name.to_owned(), value.to_owned()));
    }

    /// Leaves a variable out of all further commands.
    pub fn unset(&mut self, name: &str) {
        self.vars.retain(|(known, _)| known != name);
    }

    /// The binary in this home, nothing run yet.
    pub fn command(&self) -> Command {
        self.in_home(env!("CARGO_BIN_EXE_keyward"))
    }

    /// Another program in this home, such as strace.
    pub fn in_home(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("HOME", self.home()).env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("NO_PROXY", "127.0.0.1,localhost").envs(self.vars.iter().map(|(name, value)| (name, value)));
        command.current_dir(self.home()).stdin(Stdio::null());
        command
    }

    /// keyward in a terminal of so many columns, nothing else of this process's variables.
    pub fn terminal(&self, columns: u16, args: &[&str]) -> Pty {
        self.terminal_for(columns, env!("CARGO_BIN_EXE_keyward"), args)
    }

    /// Another program in such a terminal.
    pub fn terminal_for(&self, columns: u16, program: &str, args: &[&str]) -> Pty {
        let mut session = self.in_home("setsid");
        session.arg("--ctty").arg(program).args(args);
        if !self.vars.iter().any(|(name, _)| name == "TERM") {
            session.env("TERM", "xterm-256color");
        }
        Pty::hold(session, columns)
    }

    /// Runs keyward without input.
    pub fn run(&self, args: &[&str]) -> Ran {
        finish(self.command().args(args))
    }

    /// Runs keyward with `input` on stdin.
    pub fn run_with(&self, args: &[&str], input: impl AsRef<[u8]>) -> Ran {
        finish_with(self.command().args(args), input.as_ref())
    }

    /// As [`TestEnv::files`], without the audit log, which is written on by commands that fail, too.
    pub fn files_but_the_log(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut files = self.files();
        files.retain(|(path, _)| !is_audit(path));
        files
    }

    /// Every file in the home with its bytes.
    pub fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut found = Vec::new();
        let mut folders = vec![self.home().to_path_buf()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let kind = fs::symlink_metadata(&path).unwrap();
                if kind.is_dir() {
                    folders.push(path);
                } else if kind.is_file() {
                    let bytes = fs::read(&path).unwrap();
                    found.push((path, bytes));
                }
            }
        }
        found.sort();
        found
    }
}

/// Whether a file belongs to the audit log.
pub fn is_audit(path: &Path) -> bool {
    path.ends_with("keyward/audit.log") || path.ends_with("keyward/audit.head")
}

/// Runs a command to its end.
pub fn finish(command: &mut Command) -> Ran {
    finish_with(command, b"")
}

/// Runs a command with `input` on stdin to its end, bounded in time.
pub fn finish_with(command: &mut Command, input: &[u8]) -> Ran {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    if !input.is_empty() {
        command.stdin(Stdio::piped());
    }
    let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot run {:?}: {error}", command.get_program()));
    if let Some(mut stdin) = child.stdin.take() {
        // A command that does not read its input closes it: that is no failure of the test.
        let _ = stdin.write_all(input);
    }
    let id = child.id();
    let (done, waiting) = std::sync::mpsc::channel();
    let started = Instant::now();
    std::thread::spawn(move || done.send(child.wait_with_output()));
    let Output { status, stdout, stderr } = match waiting.recv_timeout(PATIENCE) {
        Ok(output) => output.unwrap(),
        Err(_) => {
            let _ = Command::new("kill").args(["-9", &id.to_string()]).status();
            panic!("still running after {:?}: {command:?}", started.elapsed());
        }
    };
    Ran {
        code: status.code(),
        out: String::from_utf8_lossy(&stdout).into_owned(),
        err: String::from_utf8_lossy(&stderr).into_owned(),
    }
}

impl Ran {
    /// Fails unless it ended with `code`.
    #[track_caller]
    pub fn exits(&self, code: i32) -> &Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        self
    }

    /// Fails unless stderr has `text`, however its lines are broken.
    #[track_caller]
    pub fn says(&self, text: &str) -> &Self {
        let unbroken = self.err.split_whitespace().collect::<Vec<_>>().join(" ");
        let has = self.err.contains(text) || unbroken.contains(text);
        assert!(has, "stderr has no {text:?}:\n{}\nstdout:\n{}", self.err, self.out);
        self
    }

    /// Fails unless stdout has `text`.
    #[track_caller]
    pub fn prints(&self, text: &str) -> &Self {
        assert!(self.out.contains(text), "stdout has no {text:?}:\n{}\nstderr:\n{}", self.out, self.err);
        self
    }

    /// stdout as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}\nstderr: {}", self.out, self.err))
    }

    /// The error object on stderr's last line.
    #[track_caller]
    pub fn error_json(&self) -> serde_json::Value {
        let last = self.err.lines().last().unwrap_or_default();
        serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {}", self.err))
    }
}

/// A key in the form of Zotero's, told apart by `seed`; assembled at run time.
pub fn zotero_key(seed: char) -> String {
    ["Kq7", "Zw3Rt9Lm5Xc2"].concat() + &seed.to_string().repeat(9)
}
