//! `edit`: one value in the operator's editor, in a file that is in memory and nowhere else.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::clip::on_path;
use super::complete;
use super::house::House;
use super::report::{Report, Reported};
use super::setup::{self, Saving, SetupArgs};
use crate::audit::{Deed, Event};
use crate::credential::CredentialName;
use crate::env;
use crate::paths::{is_private_folder, wipe_folder};
use crate::problem::{Kind, Problem};
use crate::secret::Secret;
use crate::store::StoreError;
use crate::ui::Ui;
use crate::ui::terminal::{Guard, leave_ctrl_c_to_child};

/// Change one value in your editor
///
/// The editor is that of VISUAL or EDITOR, else vi. The value is in a file of mode 0600 in a private folder in memory, which
/// is wiped and removed when the editor ends; vim, nvim, nano and emacs are told to keep no copies. Memory can be swapped
/// out: where swap is not encrypted, a value may reach the disk. The new value is format-checked, proven and saved as by
/// `setup --only`. A file that comes back empty or unchanged changes nothing.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  keyward edit google client_secret\n  VISUAL=nano keyward edit apple private_key")]
pub(crate) struct EditArgs {
    /// The credential, such as `google` or `google/staging`
    #[arg(value_name = "NAME", add = complete::credentials())]
    name: CredentialName,
    /// The field
    #[arg(add = complete::fields())]
    field: String,
    #[command(flatten)]
    saving: Saving,
}

/// A longer value is not read back, in bytes.
const MOST_BYTES: u64 = 16 * 1024 * 1024;

/// What the folders begin with; the number of the process follows.
const PREFIX: &str = "keyward-edit-";

struct Unchanged {
    name: CredentialName,
    field: String,
}

/// Edits until the value fits or the operator has enough; then proves and saves.
pub(crate) fn run(args: &EditArgs, house: &House) -> Reported {
    let known = house.catalog()?.get(args.name.provider())?;
    let event = Event::done("edit", Deed::Read, Some(&args.name)).of([args.field.as_str()]);
    let read = || house.value_in_stores(|store| store.load(&args.name));
    if known.provider.field(&args.field).is_none() {
        let has = house.or_told(&event, read())?.credential.fields.into_keys().collect();
        let (name, field) = (args.name.clone(), args.field.clone());
        return house.or_told(&event, Err(StoreError::NoField { name, field, has }));
    }
    if !house.ui.may_ask() {
        house.in_stores(|store| store.show(&args.name))?;
        let problem = Problem::new(Kind::Malformed, "no-editor", "an editor needs a terminal, and somebody at it");
        return Err(problem.hint(format!("keyward setup {} --only {1} --field {1}=- <FILE", args.name, args.field)));
    }
    let entry = house.doing(event, read)?;
    // To the editor: the operator asked for it.
    let before = entry.credential.fields.get(&args.field).map(|value| Secret::from(value.expose())).unwrap_or_default();
    let mut text = before.clone();
    loop {
        text = edited(house, &text)?;
        if text.is_empty() {
            return Err(Problem::new(Kind::Interrupted, "left", "the file came back empty; nothing was saved"));
        }
        if text == before {
            return Ok(Box::new(Unchanged { name: args.name.clone(), field: args.field.clone() }));
        }
        let setup = SetupArgs::edited(args.name.clone(), args.field.clone(), text.clone(), args.saving.clone());
        match setup::run(&setup, house) {
            Err(problem) if problem.kind == Kind::Malformed => {
                house.ui.always(&format!("error: {problem}"));
                if !house.confirm("Edit it again?", true)? {
                    return Err(problem);
                }
            }
            other => return other,
        }
    }
}

/// Has a text edited. One newline at its end is the editor's own.
fn edited(house: &House, text: &Secret) -> Result<Secret, Problem> {
    let failed = |what: &str, error: &io::Error| Problem::new(Kind::Store, "edit", what).seen(error.to_string());
    let base = memory_folder(house)?;
    reap(&base);
    let folder = private_folder_in(&base).map_err(|error| failed("cannot make a private folder in memory", &error))?;
    let _guard = Guard::with_litter(&folder.0).map_err(|error| failed("cannot watch for signals", &error))?;
    let file = folder.0.join("value");
    // To memory only, for the editor.
    write_private(&file, text.expose()).map_err(|error| failed("cannot write in memory", &error))?;
    let (name, mut command) = editor(house, &file);
    leave_ctrl_c_to_child(true);
    let status = command.status();
    leave_ctrl_c_to_child(false);
    let hint = "set VISUAL or EDITOR to an editor, such as `nano`";
    match status {
        Ok(status) if status.success() => {}
        Ok(status) => {
            let what = format!("`{name}` failed; nothing was saved");
            return Err(Problem::new(Kind::Interrupted, "left", what).seen(status.to_string()));
        }
        Err(error) => return Err(failed(&format!("cannot run the editor `{name}`"), &error).hint(hint)),
    }
    let mut bytes = Zeroizing::new(Vec::new());
    let read = fs::File::open(&file).and_then(|file| file.take(MOST_BYTES).read_to_end(&mut bytes));
    read.map_err(|error| failed("cannot read back what was edited", &error))?;
    let text = String::from_utf8(std::mem::take(&mut bytes)).map_err(|error| {
        drop(Zeroizing::new(error.into_bytes()));
        Problem::new(Kind::Malformed, "not-text", "what was edited is not text; nothing was saved")
    })?;
    let text = Zeroizing::new(text);
    Ok(Secret::from(text.strip_suffix('\n').unwrap_or(&text)))
}

fn private_folder_in(base: &Path) -> io::Result<Folder> {
    let prefix = format!("{PREFIX}{}-", std::process::id());
    let mut builder = tempfile::Builder::new();
    // A temporary folder is as open as the umask lets it be.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
    Ok(Folder(builder.prefix(&prefix).tempdir_in(base)?.keep()))
}

/// Wiped and removed with all that an editor left in it.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // A signal may have removed it.
        let _ = wipe_folder(&self.0);
    }
}

fn write_private(file: &Path, text: &str) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(file)?;
    file.write_all(text.as_bytes())?;
    file.write_all(b"\n")
}

/// A folder of a file system that is in memory.
fn memory_folder(house: &House) -> Result<PathBuf, Problem> {
    let own = house.env.get_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let mut folders = own.into_iter().chain([PathBuf::from("/dev/shm")]);
    folders.find(|folder| is_in_memory(folder)).ok_or_else(|| {
        Problem::new(Kind::Store, "no-memory-folder", "there is no folder here that is in memory only")
            .seen("neither XDG_RUNTIME_DIR nor /dev/shm is one")
            .hint("no value is written to a disk for an editor: `keyward setup NAME --only FIELD` asks for it")
    })
}

#[cfg(target_os = "linux")]
fn is_in_memory(folder: &Path) -> bool {
    use rustix::fs::{Access, access, statfs};
    /// `TMPFS_MAGIC` and `RAMFS_MAGIC` (linux/magic.h).
    const IN_MEMORY: [u64; 2] = [0x0102_1994, 0x8584_58f6];
    let kind = statfs(folder).map(|about| about.f_type as u64 & 0xffff_ffff);
    kind.is_ok_and(|kind| IN_MEMORY.contains(&kind)) && access(folder, Access::WRITE_OK | Access::EXEC_OK).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn is_in_memory(_: &Path) -> bool {
    false
}

/// Removes what processes that were killed have left.
fn reap(base: &Path) {
    for found in fs::read_dir(base).into_iter().flatten().flatten() {
        let name = found.file_name();
        let id = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split('-').next()?.parse::<i32>().ok());
        // Everybody may put something there: a link, or a folder of theirs with links in it.
        if id.is_some_and(|id| !is_running(id)) && is_private_folder(&found.path()) {
            // What cannot be removed is no reason to stop.
            let _ = wipe_folder(&found.path());
        }
    }
}

#[cfg(unix)]
fn is_running(id: i32) -> bool {
    use rustix::io::Errno;
    let id = rustix::process::Pid::from_raw(id);
    id.is_none_or(|id| rustix::process::test_kill_process(id) != Err(Errno::SRCH))
}

#[cfg(not(unix))]
fn is_running(_: i32) -> bool {
    true
}

/// The operator's editor, told to keep no copies.
fn editor(house: &House, file: &Path) -> (String, Command) {
    let said = ["VISUAL", "EDITOR"].iter().find_map(|name| house.env.get(name)).unwrap_or("vi");
    let mut words = said.split_whitespace();
    let program = words.next().unwrap_or("vi");
    // `vi` is often another name for vim.
    let real = on_path(&house.env, program).and_then(|path| fs::canonicalize(path).ok());
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let names = [name(Path::new(program)), real.as_deref().and_then(name)];
    let is = |known: &[&str]| names.iter().flatten().any(|name| known.iter().any(|known| name == known));
    let starts = |with: &str| names.iter().flatten().any(|name| name.starts_with(with));
    let mut command = env::program(program);
    command.args(words);
    if is(&["nvim", "gvim"]) || starts("vim") {
        // No swap file, no history of what was yanked, no backup, no undo file.
        command.args(["-n", "-i", "NONE", "-c", "silent! set nobackup nowritebackup noswapfile noundofile"]);
    } else if is(&["nano"]) {
        // Without its settings, which may ask for backups.
        command.arg("-I");
    } else if starts("emacs") && !starts("emacsclient") {
        let no_copies = "(setq make-backup-files nil auto-save-default nil create-lockfiles nil)";
        command.args(["--eval", no_copies]);
    } else {
        let note =
            format!("note: how `{program}` is told to keep no copies is not known; those beside the file are removed");
        house.ui.note(&note);
    }
    command.arg(file);
    (program.to_owned(), command)
}

impl Report for Unchanged {
    fn text(&self, _: &Ui) -> String {
        format!("{}  {} is as it was; nothing was saved\n", self.name, self.field)
    }
    fn json(&self) -> Value {
        json!({ "schema": "keyward.edit/1", "name": self.name, "field": self.field, "saved": false })
    }
}
