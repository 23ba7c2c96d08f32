//! A value in the operator's editor or clipboard is where it was asked to be, for as long as it was, and nowhere else.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use keyward::clock::{Clock as _, SystemClock};
use keyward::credential::{Credential, CredentialName, Value};
use keyward::deliver::format::Format;
use keyward::deliver::read::read;
use keyward::provider::catalog::Catalog;
use keyward::secret::Secret;
use keyward::setup::claim::Claim;
use keyward::store::vault::{FirstSlot, Keys, Vault};
use keyward::store::{Entry, Life, Store as _};
use rustix::process::Signal;
use zeroize::Zeroizing;

use crate::commands::{Mood, Moody};
use crate::support::env::{TestEnv, finish, zotero_key};
use crate::support::pty::Pty;

/// A program in the home's `bin`, which is searched first.
fn program(env: &mut TestEnv, name: &str, script: &str) {
    let file = env.file(&format!("bin/{name}"), format!("#!/bin/sh\n{script}\n"));
    fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/local/bin:/usr/bin:/bin", env.path("bin").display());
    env.set("PATH", &path);
}

/// Zotero with the key of `o` stored, and an editor of that name that does what `script` says with the file `$f`.
fn desk(editor: &str, script: &str) -> Moody {
    let mut zotero = Moody::zotero(Mood::Accepts);
    zotero.setup('o', &[]).exits(0);
    let tell = "for f; do :; done\nprintf '%s\\n' \"$@\" > \"$HOME/args\"\nenv > \"$HOME/env\"\n\
                stat -f -c %T \"$f\" > \"$HOME/where\"\nstat -c '%a %n' \"$f\" \"$(dirname \"$f\")\" >> \"$HOME/where\"\n";
    program(&mut zotero.env, editor, &format!("{tell}{script}"));
    zotero.env.set("EDITOR", editor);
    zotero.env.file("new", zotero_key('n'));
    zotero
}

fn edit(env: &TestEnv, more: &[&str]) -> Pty {
    env.terminal(80, &[&["edit", "zotero", "api_key"], more].concat())
}

/// The file and the folder that the editor was given. Fails unless they are in memory, private, and gone.
#[track_caller]
fn were_private_and_are_gone(env: &TestEnv) {
    let told = fs::read_to_string(env.path("where")).unwrap();
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!((lines[0], lines.len()), ("tmpfs", 3), "{told}");
    let (file, folder) = (lines[1].strip_prefix("600 ").expect(&told), lines[2].strip_prefix("700 ").unwrap());
    assert!(!Path::new(file).exists() && !Path::new(folder).exists(), "{told}");
}

/// Every file of the home that holds the value.
fn holding(env: &TestEnv, value: &str) -> Vec<PathBuf> {
    let files =
        env.files().into_iter().filter(|(_, bytes)| bytes.windows(value.len()).any(|at| at == value.as_bytes()));
    files.map(|(path, _)| path).collect()
}

#[test]
fn what_comes_back_from_the_editor_is_proven_and_saved_and_nothing_of_it_is_left() {
    let zotero = desk(
        "vim",
        "grep -q ooooooooo \"$f\" && echo leftover > \"$(dirname \"$f\")/.value.swp\"\ncat \"$HOME/new\" > \"$f\"; echo >> \"$f\"",
    );
    let env = &zotero.env;
    let before = zotero.service.seen().len();
    let mut pty = edit(env, &[]);
    assert_eq!(pty.wait(), 0, "{}", pty.transcript());
    assert_eq!(zotero.stored(), Some(zotero_key('n')));
    assert!(zotero.service.seen().len() > before, "the service was not asked");
    were_private_and_are_gone(env);
    let args = fs::read_to_string(env.path("args")).unwrap();
    assert!(args.starts_with("-n\n-i\nNONE\n-c\nsilent! set nobackup nowritebackup noswapfile noundofile\n"), "{args}");
    assert_eq!(holding(env, &zotero_key('n')), [env.path("new")]);
    assert_eq!(holding(env, &zotero_key('o')), Vec::<PathBuf>::new());
    assert!(!pty.transcript().contains(&zotero_key('n')) && !pty.transcript().contains(&zotero_key('o')));
    let log = env.run(&["audit", "show", "--json"]).json();
    let told: Vec<_> =
        log["events"].as_array().unwrap().iter().filter(|one| one["command"] == "edit").cloned().collect();
    assert_eq!(told.iter().map(|one| one["deed"].as_str().unwrap()).collect::<Vec<_>>(), ["read", "saved"]);
}

#[test]
fn editors_are_told_to_keep_no_copies_and_what_opens_the_vault_is_not_told_to_them() {
    for (editor, told) in [
        ("nvim", "-n\n-i\nNONE\n"),
        ("nano", "-I\n"),
        ("emacs", "--eval\n(setq make-backup-files nil auto-save-default nil create-lockfiles nil)\n"),
        ("other", ""),
    ] {
        let mut zotero = desk(editor, "true");
        zotero.env.set("VISUAL", &format!("{editor} --of-mine"));
        zotero.env.set("EDITOR", "false");
        let identity = zotero.env.path(".config/keyward/identity");
        zotero.env.set("KEYWARD_IDENTITY_FILE", identity.to_str().unwrap());
        let mut pty = edit(&zotero.env, &[]);
        assert_eq!(pty.wait(), 0, "{}", pty.transcript());
        let args = fs::read_to_string(zotero.env.path("args")).unwrap();
        assert!(args.starts_with(&format!("--of-mine\n{told}")), "{args}");
        assert_eq!(pty.transcript().contains("told to keep no copies is not known"), told.is_empty());
        assert!(!fs::read_to_string(zotero.env.path("env")).unwrap().contains("KEYWARD_IDENTITY"));
        assert!(pty.transcript().contains("is as it was"), "{}", pty.transcript());
        were_private_and_are_gone(&zotero.env);
    }
}

#[test]
fn what_is_refused_unfit_empty_or_given_up_replaces_nothing_and_leaves_nothing() {
    let new = "cat \"$HOME/new\" > \"$f\"";
    for (mood, script, answers, code) in [
        (Mood::Rejects, new, &["n"][..], 3),
        (Mood::Accepts, "printf 'a\\001b' > \"$f\"", &["n"], 6),
        (Mood::Accepts, ": > \"$f\"", &[], 130),
        (Mood::Accepts, "printf '\\377' > \"$f\"", &[], 6),
        (Mood::Accepts, "cat \"$HOME/new\" > \"$f\"; exit 1", &[], 130),
        (Mood::Accepts, "rm \"$f\"", &[], 8),
    ] {
        let zotero = desk("vim", script);
        zotero.becomes(mood);
        let mut pty = edit(&zotero.env, &[]);
        for answer in answers {
            pty.expect("again?");
            pty.send(answer);
            pty.send("\r");
        }
        assert_eq!(pty.wait(), code, "{script}: {}", pty.transcript());
        assert_eq!(zotero.stored(), Some(zotero_key('o')), "{script}");
        were_private_and_are_gone(&zotero.env);
    }
    // Without a terminal there is no editor, and the way out is named.
    let zotero = desk("vim", "true");
    zotero.env.run(&["edit", "zotero", "api_key"]).exits(6).says("keyward setup zotero --only api_key");
    zotero.env.run(&["edit", "zotero", "nothing"]).exits(7);
    zotero.env.run(&["edit", "zotero/none", "api_key"]).exits(7);
    assert!(!zotero.env.path("args").exists());
}

#[test]
fn whatever_ends_it_the_file_is_gone_and_the_terminal_echoes() {
    for (signal, code) in [(Signal::TERM, 143), (Signal::HUP, 129)] {
        let zotero = desk("vim", "stty -echo; touch \"$HOME/started\"; sleep 5");
        let mut pty = edit(&zotero.env, &[]);
        until(|| zotero.env.path("started").exists());
        pty.signal(signal);
        assert_eq!(pty.wait(), code, "{}", pty.transcript());
        assert!(pty.echo_is_on(), "{signal:?}");
        were_private_and_are_gone(&zotero.env);
        assert_eq!(zotero.stored(), Some(zotero_key('o')));
    }
    // Ctrl-C is the editor's own affair.
    let zotero = desk(
        "vim",
        "trap 'cat \"$HOME/new\" > \"$f\"; exit 0' INT; touch \"$HOME/started\"; while :; do sleep 0.05; done",
    );
    let mut pty = edit(&zotero.env, &[]);
    until(|| zotero.env.path("started").exists());
    pty.send("\x03");
    assert_eq!(pty.wait(), 0, "{}", pty.transcript());
    assert_eq!(zotero.stored(), Some(zotero_key('n')));
    were_private_and_are_gone(&zotero.env);
}

#[test]
fn what_a_killed_edit_leaves_in_memory_the_next_one_removes() {
    let zotero = desk(
        "vim",
        "touch \"$HOME/started\"; if [ -e \"$HOME/once\" ]; then exit 0; fi; touch \"$HOME/once\"; sleep 2",
    );
    let mut pty = edit(&zotero.env, &[]);
    until(|| zotero.env.path("started").exists());
    pty.signal(Signal::KILL);
    pty.wait();
    let told = fs::read_to_string(zotero.env.path("where")).unwrap();
    let left = PathBuf::from(told.lines().nth(2).unwrap().strip_prefix("700 ").unwrap());
    assert!(left.exists(), "nobody had the time to remove it");
    let mut pty = edit(&zotero.env, &[]);
    assert_eq!(pty.wait(), 0, "{}", pty.transcript());
    assert!(!left.exists());
}

#[test]
fn what_somebody_else_put_where_edits_are_is_not_wiped() {
    let mut zotero = desk("vim", "true");
    let memory = tempfile::tempdir_in("/dev/shm").unwrap();
    zotero.env.set("XDG_RUNTIME_DIR", memory.path().to_str().unwrap());
    zotero.env.file("precious/notes", "years of work");
    // No process has that number (`PID_MAX_LIMIT`, 2^22).
    let planted = |what: &str| memory.path().join(format!("keyward-edit-4194304-{what}"));
    std::os::unix::fs::symlink(zotero.env.path("precious"), planted("link")).unwrap();
    let open = planted("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(open.join("notes"), "years of work").unwrap();
    let own = planted("own");
    fs::create_dir(&own).unwrap();
    fs::set_permissions(&own, fs::Permissions::from_mode(0o700)).unwrap();
    let mut pty = edit(&zotero.env, &[]);
    assert_eq!(pty.wait(), 0, "{}", pty.transcript());
    were_private_and_are_gone(&zotero.env);
    assert_eq!(fs::read_to_string(zotero.env.path("precious/notes")).unwrap(), "years of work");
    assert_eq!(fs::read_to_string(open.join("notes")).unwrap(), "years of work");
    assert!(!own.exists(), "that was left by one of our own");
}

#[test]
fn what_opens_the_vault_is_told_to_no_program_that_is_run() {
    let mut env = TestEnv::new();
    env.run(&["vault", "init"]).exits(0);
    let note = |name: &str| format!("env > \"$HOME/{name}.env\"\n");
    // The second of its name is the real one.
    program(&mut env, "git", &format!("{}PATH=\"${{PATH#*:}}\" exec git \"$@\"", note("git")));
    program(&mut env, "opener", &format!("{}/bin/cat \"$HOME/.config/keyward/identity\"", note("opener")));
    env.set("KEYWARD_IDENTITY_CMD", "opener");
    for (name, value) in [("KEYWARD_IDENTITY_FILE", "none"), ("KEYWARD_PASSPHRASE_FILE", "none")] {
        env.set(name, value);
    }
    finish(env.in_home("/usr/bin/env").args(["git", "init", "-q"])).exits(0);
    fs::remove_file(env.path("git.env")).unwrap();
    env.run(&["vault", "git-setup", "--vault", env.vault().to_str().unwrap()]).exits(0);
    env.unset("KEYWARD_IDENTITY_FILE");
    env.run(&["vault", "verify"]).exits(0);
    for name in ["git.env", "opener.env"] {
        let told = fs::read_to_string(env.path(name)).unwrap();
        assert!(
            told.contains("HOME=") && !told.contains("KEYWARD_IDENTITY") && !told.contains("KEYWARD_PASS"),
            "{told}"
        );
    }
}

fn until(is_so: impl Fn() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < Duration::from_secs(20), "waited in vain");
        thread::sleep(Duration::from_millis(5));
    }
}

/// A home with a clipboard that is a file.
fn clipboard(tool: &str, display: &str) -> TestEnv {
    let mut env = TestEnv::new();
    let args = ["setup", "zotero", "--no-input", "--no-check", "--field", "api_key=-"];
    env.run_with(&args, zotero_key('a')).exits(0);
    let note = "printf '%s\\n' \"$0 $*\" >> \"$HOME/args\"\n";
    let both = "case \"$*\" in *-o*) /bin/cat \"$HOME/clip\";; *--clear*) : > \"$HOME/clip\";; *) /bin/cat > \"$HOME/clip\";; esac";
    program(&mut env, tool, &format!("{note}{both}"));
    if tool == "wl-copy" {
        program(&mut env, "wl-paste", &format!("{note}/bin/cat \"$HOME/clip\""));
    }
    // Nothing else: a real one may be installed here.
    let path = env.path("bin");
    env.set("PATH", path.to_str().unwrap());
    env.set(display, "x");
    env
}

fn content(env: &TestEnv) -> String {
    fs::read_to_string(env.path("clip")).unwrap_or_default()
}

#[test]
fn the_clipboard_has_the_value_and_is_cleared_when_its_time_is_up() {
    for (tool, display) in [("wl-copy", "WAYLAND_DISPLAY"), ("xclip", "DISPLAY"), ("xsel", "DISPLAY")] {
        let env = clipboard(tool, display);
        let started = Instant::now();
        let ran = env.run(&["get", "zotero", "api_key", "--clip=2"]);
        assert!(started.elapsed() < Duration::from_millis(1800), "it waited for the clearing");
        ran.exits(0).says(&format!("in the clipboard for 2 s, by {tool}"));
        assert_eq!((ran.out.as_str(), content(&env)), ("", zotero_key('a')), "{tool}");
        // Who stays behind knows no value, and what opens the vault neither.
        let (lines, environment) = clearer(&env);
        assert!(!lines.contains(&zotero_key('a')) && !environment.contains(&zotero_key('a')), "{tool}");
        until(|| content(&env).is_empty());
        assert!(started.elapsed() > Duration::from_secs(2), "{tool}");
        let args = fs::read_to_string(env.path("args")).unwrap();
        assert!(!args.contains(&zotero_key('a')), "{args}");
    }
}

/// Command line and variables of the process that stays behind in this home.
fn clearer(env: &TestEnv) -> (String, String) {
    let home = format!("HOME={}", env.home().display());
    for found in fs::read_dir("/proc").unwrap().flatten() {
        let read =
            |name: &str| fs::read(found.path().join(name)).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let (Ok(line), Ok(variables)) = (read("cmdline"), read("environ")) else { continue };
        if line.contains("__clear-clipboard") && variables.contains(&home) {
            return (line, variables);
        }
        if line.contains("__clear-clipboard") && variables.is_empty() {
            return (line, variables);
        }
    }
    let all = fs::read_dir("/proc").unwrap().flatten();
    let lines = all.filter_map(|found| fs::read_to_string(found.path().join("cmdline")).ok());
    let line = lines.into_iter().find(|line| line.contains("__clear-clipboard"));
    (line.expect("nobody stays behind"), String::new())
}

#[test]
fn what_was_copied_since_stays_in_the_clipboard() {
    let env = clipboard("xclip", "DISPLAY");
    env.run(&["get", "zotero", "api_key", "--clip=1"]).exits(0);
    fs::write(env.path("clip"), "something else").unwrap();
    until(|| fs::read_to_string(env.path("args")).unwrap().contains(" -o"));
    thread::sleep(Duration::from_millis(300));
    assert_eq!(content(&env), "something else");
}

#[test]
fn without_a_clipboard_nothing_is_read_and_a_failing_one_is_told() {
    let env = clipboard("xclip", "DISPLAY");
    let mut none = clipboard("xclip", "DISPLAY");
    none.unset("DISPLAY");
    none.run(&["get", "zotero", "api_key", "--clip"]).exits(8).says("there is no clipboard here");
    assert!(!fs::read_to_string(none.path(".local/state/keyward/audit.log")).unwrap().contains("\"get"));
    let mut env = env;
    program(&mut env, "xclip", "exit 1");
    env.run(&["get", "zotero", "api_key", "--clip"]).exits(8).says("nothing was copied by xclip");
    env.run(&["get", "zotero", "api_key", "--clip", "-n"]).exits(2);
    env.run(&["get", "zotero", "api_key", "--clip=0"]).exits(2);
    let json = clipboard("xsel", "DISPLAY").run(&["get", "zotero", "api_key", "--clip=1", "--json"]).exits(0).json();
    assert_eq!((&json["clipboard"]["tool"], json.get("value")), (&"xsel".into(), None));
}

/// A value that is looked for without being there: each byte is kept as another one.
struct Hidden(Vec<u8>);

impl Hidden {
    const MASK: u8 = 0x5a;

    /// Random, so that nothing else in this process is the same.
    fn new() -> Self {
        let mut bytes = [0; 48];
        getrandom::fill(&mut bytes).unwrap();
        Self(bytes.iter().map(|byte| (b'a' + byte % 26) ^ Self::MASK).collect())
    }

    /// The value itself.
    fn shown(&self) -> Secret {
        let mut text = String::with_capacity(self.0.len());
        text.extend(self.0.iter().map(|byte| char::from(byte ^ Self::MASK)));
        Secret::new(text)
    }

    /// How often a part of it stands in the memory of this process but the stack: what is freed and used again loses its first bytes.
    fn copies(&self) -> usize {
        // Two searches would find what the other one has on its page.
        static ALONE: Mutex<()> = Mutex::new(());
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let part = &self.0[16..40];
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        let memory = File::open("/proc/self/mem").unwrap();
        let mut found = 0;
        // Wiped, so that it is not what the next search finds.
        let mut page = Zeroizing::new(vec![0; 1 << 20]);
        let own = page.as_ptr_range();
        let own = own.start as u64..own.end as u64;
        for line in maps.lines().filter(|line| line.contains(" rw-p ")) {
            let (start, end) = line.split_once(' ').unwrap().0.split_once('-').unwrap();
            let [start, end] = [start, end].map(|at| u64::from_str_radix(at, 16).unwrap());
            if (start..end).contains(&(&raw const page as u64)) {
                // The cipher leaves its last block on the stack, which the next calls write over.
                continue;
            }
            let mut at = start;
            while at < end {
                let len = usize::try_from(end - at).unwrap().min(page.len());
                // Another thread may have given it back meanwhile.
                if memory.read_exact_at(&mut page[..len], at).is_ok() {
                    let mut first = memchr::memchr_iter(part[0] ^ Self::MASK, &page[..len]);
                    let is_here = |found: &usize| {
                        let is_elsewhere = !own.contains(&(at + *found as u64));
                        is_elsewhere
                            && page[*found..len].get(..part.len()).is_some_and(|there| {
                                there.iter().zip(part).all(|(byte, masked)| *byte == masked ^ Self::MASK)
                            })
                    };
                    found += first.by_ref().filter(is_here).count();
                }
                at += len as u64 - if len == page.len() { 64 } else { 0 };
            }
        }
        found
    }
}

#[test]
fn a_value_that_was_saved_and_read_leaves_no_copy_on_the_heap() {
    let folder = tempfile::tempdir().unwrap();
    let keys = || Keys { identity_file: Some(folder.path().join("identity")), ..Keys::default() };
    let vault = || Vault::at(folder.path().join("vault.toml"), keys(), Duration::from_secs(5), Arc::new(SystemClock));
    vault().init(FirstSlot::Identity(folder.path().join("identity")), "test").unwrap();
    let hidden = Hidden::new();
    let name: CredentialName = "acme".parse().unwrap();
    let save = || {
        let mut credential = Credential::new(name.clone());
        credential.fields.insert("api_key".into(), Value::Secret(hidden.shown()));
        let now = SystemClock.now();
        vault()
            .save(&Entry {
                credential,
                provider_rev: String::new(),
                created_at: now,
                updated_at: now,
                expires_at: None,
                life: Life::default(),
                record: None,
            })
            .unwrap();
    };
    save();
    assert_eq!(hidden.copies(), 0, "after it was saved");
    let vault = vault();
    let (value, entry) = (vault.get(&name, "api_key").unwrap(), vault.load(&name).unwrap());
    assert!(hidden.copies() >= 2, "a value that is held is found");
    drop((value, entry));
    assert_eq!(hidden.copies(), 0, "after it was read");
    vault.verify().unwrap();
    vault.rename(&name, &"acme/other".parse().unwrap()).unwrap();
    assert_eq!(hidden.copies(), 0, "after it was sealed for another place");
}

#[test]
fn a_file_that_was_imported_leaves_no_copy_on_the_heap() {
    let zotero = Catalog::built_in().get("zotero").unwrap().provider;
    let name: CredentialName = "zotero".parse().unwrap();
    let forms = [
        (Format::Dotenv, "# comment\nexport ZOTERO_API_KEY=\"", "\" # comment\nB=c\n"),
        (Format::Dotenv, "ZOTERO_API_KEY=", "\n"),
        (Format::Shell, "ZOTERO_API_KEY=", "; export ZOTERO_API_KEY\n"),
        (Format::Systemd, "ZOTERO_API_KEY=\"", "\"\n"),
        (Format::Github, "ZOTERO_API_KEY<<END\n", "\nEND\n"),
        (Format::Json, "{\"ZOTERO_API_KEY\":\"", "\"}"),
        (Format::Toml, "ZOTERO_API_KEY = \"", "\"\n"),
        (Format::Kubernetes, "{\"kind\":\"Secret\",\"stringData\":{\"ZOTERO_API_KEY\":\"", "\"}}"),
    ];
    for (format, before, behind) in forms {
        let hidden = Hidden::new();
        let value = hidden.shown();
        let mut text = Zeroizing::new(String::with_capacity(256));
        text.extend([before, value.expose(), behind]);
        let pairs = read(format, &text).unwrap();
        assert_eq!(hidden.copies(), 3, "what is held, after {format:?}");
        let env = |name: &str| pairs.iter().find(|pair| pair.name == name).map(|pair| pair.value.expose().into());
        let claim = Claim::of(&zotero, &name, &[], &env);
        assert!(claim.is_complete() && claim.known.contains("ZOTERO_API_KEY"), "{format:?}");
        assert_eq!(hidden.copies(), 3, "what is held, after it was looked whose it is");
        drop((value, text, pairs));
        assert_eq!(hidden.copies(), 0, "{format:?}");
    }
}
