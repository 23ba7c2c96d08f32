//! `vault merge`, `vault diff` and `vault git-setup`: the vault in a git repository.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use crate::audit::{Deed, Event};
use crate::cli::house::House;
use crate::cli::report::{Report, Reported};
use crate::env;
use crate::paths::replace_own;
use crate::problem::{Kind, Problem};
use crate::store::vault::{Merged, Outline};
use crate::ui::Ui;

/// Join two branches of the vault, as git's merge driver
///
/// Every seal of the three files is checked first. What one side changed is taken, and the result, with a new epoch and
/// a new seal, takes the place of OURS. Ends with 1 when both sides changed the same field, as git expects it: then
/// OURS is as it was. A side that is older than what both come from, and one that somebody opens whom this machine has
/// not seen, is refused with 9. `keyward vault git-setup` makes git call this.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  keyward vault merge base.toml ours.toml theirs.toml\n  git config merge.keyward.driver 'keyward vault merge %O %A %B'"
)]
pub(crate) struct MergeArgs {
    /// What both sides come from (%O); an empty file when both made the vault
    base: PathBuf,
    /// Our side (%A), which is replaced by the result
    ours: PathBuf,
    /// Their side (%B)
    theirs: PathBuf,
    /// Join what opens a side even when this machine has not seen it; `keyward vault ack` still has to accept the result
    #[arg(long)]
    accept_slots: bool,
}

/// Show what a vault's file says, or how two differ, without any value
///
/// Of one file: names, fields and dates, one on a line, each value as a mark that changes with it; git shows the
/// difference of two such texts (textconv). Of two files: what was added, removed and changed. Needs no key.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  keyward vault diff vault.toml\n  keyward vault diff old.toml new.toml")]
pub(crate) struct DiffArgs {
    /// The file
    file: PathBuf,
    /// A later one, to say what changed
    new: Option<PathBuf>,
}

/// Make git merge and show the vault by its credentials
///
/// For the repository that the vault lies in: a line in .gitattributes, which goes with the repository, and the merge
/// driver and the text conversion in its config, which everybody sets up for themselves. Locks, temporary files and what
/// a repair leaves are excluded. Doing it again changes nothing.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  keyward vault git-setup --vault ~/infra/vault.toml")]
pub(crate) struct GitSetupArgs {}

struct Joined(Merged);
struct Shown(Outline);
struct Compared(Vec<String>);

struct SetUp {
    repository: PathBuf,
    vault: String,
    /// What was done, and what was there already.
    done: Vec<String>,
    there: Vec<String>,
}

/// Joins two branches.
pub(super) fn merge(args: &MergeArgs, house: &House) -> Reported {
    let event = Event::done("vault merge", Deed::Restored, None);
    let merge = || Ok(house.vault()?.merge(&args.base, &args.ours, &args.theirs, args.accept_slots)?);
    let told = |event: Event, done: &Merged| match done.epoch {
        Some(epoch) => event.detail(format!("epoch {epoch}, {} taken", done.taken.len())),
        None => event.ended("conflict"),
    };
    Ok(Box::new(Joined(house.telling(event, merge, told)?)))
}

/// Shows one file, or compares two.
pub(super) fn diff(args: &DiffArgs) -> Reported {
    let old = Outline::of(&args.file)?;
    Ok(match &args.new {
        None => Box::new(Shown(old)),
        Some(new) => Box::new(Compared(old.changes_to(&Outline::of(new)?))),
    })
}

/// Sets the repository up.
pub(super) fn set_up(house: &House) -> Reported {
    let vault = fs::canonicalize(house.vault_path()).map_err(|error| no_vault(house, &error))?;
    let folder = vault.parent().unwrap_or(Path::new("/"));
    let repository = PathBuf::from(git(folder, &["rev-parse", "--show-toplevel"])?);
    let within = vault.strip_prefix(&repository).ok().and_then(Path::to_str).ok_or_else(|| {
        Problem::new(Kind::Usage, "odd-path", format!("{} cannot be named in .gitattributes", vault.display()))
    })?;
    let mut set_up = SetUp { vault: within.to_owned(), repository, done: Vec::new(), there: Vec::new() };
    let program = program(house);
    for (key, value) in [
        ("merge.keyward.name", "keyward vault".to_owned()),
        ("merge.keyward.driver", format!("{program} vault merge %O %A %B")),
        ("diff.keyward.textconv", format!("{program} vault diff")),
    ] {
        set_up.config(key, &value)?;
    }
    let attributes = set_up.repository.join(".gitattributes");
    set_up.line(&attributes, ".gitattributes", &format!("{} merge=keyward diff=keyward", quoted_pattern(within)))?;
    let exclude = PathBuf::from(git(&set_up.repository, &["rev-parse", "--git-path", "info/exclude"])?);
    let exclude = set_up.repository.join(exclude);
    let (folder, name) = within.rsplit_once('/').map_or(("", within), |(folder, name)| (folder, name));
    let beside = |name: String| pattern(&if folder.is_empty() { name } else { format!("{folder}/{name}") });
    set_up.line(&exclude, "info/exclude", &beside(format!("{name}.lock")))?;
    for any in [format!(".{name}.\u{0}.kw-tmp"), format!("{name}.damaged\u{0}"), format!("{name}.repaired\u{0}")] {
        // The mark for any name stands outside of what is escaped.
        set_up.line(&exclude, "info/exclude", &beside(any).replace('\u{0}', "*"))?;
    }
    Ok(Box::new(set_up))
}

fn no_vault(house: &House, error: &io::Error) -> Problem {
    let path = house.vault_path();
    Problem::new(Kind::Store, "store-unavailable", format!("there is no vault at {}", path.display()))
        .seen(error.to_string())
        .hint("`keyward vault init` makes one; `--vault PATH` names it")
}

impl SetUp {
    fn config(&mut self, key: &str, value: &str) -> Result<(), Problem> {
        let what = format!("git config {key} = {value}");
        // It ends with 1 when there is no such value.
        if git(&self.repository, &["config", "--local", "--get", key]).is_ok_and(|there| there == value) {
            self.there.push(what);
            return Ok(());
        }
        git(&self.repository, &["config", "--local", key, value])?;
        self.done.push(what);
        Ok(())
    }

    /// Adds a line to a file, which is made when there is none.
    fn line(&mut self, path: &Path, name: &str, line: &str) -> Result<(), Problem> {
        let failed = |doing: &str, error: &io::Error| {
            Problem::new(Kind::Store, "store-file", format!("cannot {doing} {}", path.display()))
                .seen(error.to_string())
        };
        let mut text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(failed("read", &error)),
        };
        let what = format!("{name}: {line}");
        if text.split(|byte| *byte == b'\n').any(|there| there.trim_ascii() == line.as_bytes()) {
            self.there.push(what);
            return Ok(());
        }
        if !text.is_empty() && !text.ends_with(b"\n") {
            text.push(b'\n');
        }
        text.extend_from_slice(line.as_bytes());
        text.push(b'\n');
        let mode = fs::metadata(path).map(|about| about.permissions()).ok();
        replace_own(path, &text).map_err(|error| failed("write", &error))?;
        if let Some(mode) = mode {
            fs::set_permissions(path, mode).map_err(|error| failed("write", &error))?;
        }
        self.done.push(what);
        Ok(())
    }
}

/// What git answers, without its line end.
fn git(folder: &Path, args: &[&str]) -> Result<String, Problem> {
    let mut command = env::program("git");
    // A hook's own variables name another repository.
    for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX"] {
        command.env_remove(name);
    }
    let output = command.arg("-C").arg(folder).args(args).output().map_err(|error| {
        Problem::new(Kind::Usage, "no-git", "cannot run git").seen(error.to_string()).hint("install git")
    })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim_end_matches('\n').to_owned());
    }
    Err(Problem::new(Kind::Usage, "git-refused", format!("git does not {} in {}", args[0], folder.display()))
        .seen(String::from_utf8_lossy(&output.stderr).trim().to_owned())
        .hint("the vault has to lie in a git repository: `git init`, or `--vault PATH`"))
}

/// How git's shell calls this program: by its name when that is what PATH gives, else by its place.
fn program(house: &House) -> String {
    let Ok(me) = std::env::current_exe().and_then(fs::canonicalize) else { return "keyward".to_owned() };
    let folders = house.env.get_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&folders).map(|folder| folder.join("keyward")).find(|file| file.is_file());
    if found.and_then(|file| fs::canonicalize(file).ok()).is_some_and(|file| file == me) {
        return "keyward".to_owned();
    }
    format!("'{}'", me.display().to_string().replace('\'', r"'\''"))
}

/// A path from the top of the repository, as gitignore reads it: nothing in it stands for something else.
fn pattern(path: &str) -> String {
    let mut text = String::from("/");
    for c in path.chars() {
        if matches!(c, '*' | '?' | '[' | ']' | '\\') {
            text.push('\\');
        }
        text.push(c);
    }
    text
}

/// As [`pattern`], for gitattributes, where a blank ends a path that is not quoted.
fn quoted_pattern(path: &str) -> String {
    let text = pattern(path);
    if text.chars().any(|c| c.is_whitespace() || c == '"') {
        return format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    }
    text
}

impl Report for Joined {
    fn text(&self, _: &Ui) -> String {
        let mut text = String::new();
        for conflict in &self.0.conflicts {
            let name = conflict.name.as_deref().unwrap_or("the vault");
            let field = conflict.field.as_ref().map(|field| format!(" `{}`", field.escape_debug())).unwrap_or_default();
            text.push_str(&format!("conflict in {name}{field}: {}\n", conflict.what));
        }
        if let Some(epoch) = self.0.epoch {
            let taken = if self.0.taken.is_empty() { "nothing".to_owned() } else { self.0.taken.join(", ") };
            text.push_str(&format!("merged the vault as epoch {epoch}; taken: {taken}\n"));
        }
        text
    }
    fn json(&self) -> Value {
        json!({ "schema": "keyward.vault-merge/1", "merged": self.0 })
    }
    fn notes(&self, _: &Ui) -> Vec<String> {
        if self.0.epoch.is_some() {
            return Vec::new();
        }
        vec![
            "note: our side is as it was; nothing was merged".into(),
            "  choose a side with `git checkout --ours` or `--theirs`, set the other value again, and `git add` it"
                .into(),
        ]
    }
    fn exit(&self) -> u8 {
        // git's word for a conflict.
        u8::from(self.0.epoch.is_none())
    }
}

impl Report for Shown {
    fn text(&self, _: &Ui) -> String {
        self.0.text()
    }
    fn json(&self) -> Value {
        json!({ "schema": "keyward.vault-diff/1", "outline": self.0 })
    }
}

impl Report for Compared {
    fn text(&self, _: &Ui) -> String {
        self.0.iter().map(|line| format!("{line}\n")).collect()
    }
    fn json(&self) -> Value {
        json!({ "schema": "keyward.vault-diff/1", "changes": self.0 })
    }
}

impl Report for SetUp {
    fn text(&self, _: &Ui) -> String {
        let mut text = format!("{} in {}\n", self.vault, self.repository.display());
        for (word, lines) in [("set   ", &self.done), ("there ", &self.there)] {
            lines.iter().for_each(|line| text.push_str(&format!("  {word} {line}\n")));
        }
        text
    }
    fn json(&self) -> Value {
        json!({
            "schema": "keyward.vault-git-setup/1",
            "repository": self.repository.display().to_string(),
            "vault": self.vault,
            "done": self.done,
            "there": self.there,
        })
    }
    fn notes(&self, _: &Ui) -> Vec<String> {
        if self.done.is_empty() {
            return Vec::new();
        }
        vec!["note: commit .gitattributes; everybody else runs this once in their own clone".into()]
    }
}

#[cfg(test)]
mod tests {
    use super::{pattern, quoted_pattern};

    #[test]
    fn a_path_stands_for_itself_alone() {
        assert_eq!(pattern("a/vault.toml"), "/a/vault.toml");
        assert_eq!(pattern("a*b.toml"), r"/a\*b.toml");
        assert_eq!(pattern("my vault.toml"), "/my vault.toml");
        assert_eq!(quoted_pattern("my [vault].toml"), r#""/my \\[vault\\].toml""#);
    }
}
