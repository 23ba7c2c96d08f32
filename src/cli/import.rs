//! `import`: values that stand in a file, or come from a pipe, on the way of `setup`.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use clap::{Args, ValueEnum as _};
use serde_json::{Value, json};

use super::complete;
use super::house::House;
use super::look::Look;
use super::report::{Report, Reported};
use super::setup::{self, Saving, SetupArgs};
use crate::credential::CredentialName;
use crate::credential::DEFAULT_PROFILE;
use crate::deliver::Pair;
use crate::deliver::format::{Format, shell_word};
use crate::deliver::read::read;
use crate::problem::{Explain as _, Kind, Problem, nearest};
use crate::provider::catalog::Loaded;
use crate::provider::{Provider, Status};
use crate::secret::Secret;
use crate::setup::claim::Claim;
use crate::setup::collect::listed;
use crate::setup::source::{SourceError, read_file, read_text};
use crate::ui::{Dress, Ui, counted, plain};

/// Take credentials over from a file that other programs read
///
/// The way back of `export`: the variables in the file stand in the place of the environment of `setup --from-env`, and
/// nothing is asked. Each credential is format-checked, proven and saved as by `setup`; what fails replaces nothing, and
/// keeps no other from being saved.
///
/// Without a name, all services are taken for which the file has every required field. Nothing in it is run or replaced:
/// a value with `$x` or a command in it is refused with its line.
///
/// The exit code is that of `setup`; of several, the most urgent.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  keyward import .env --format dotenv\n  keyward import .env google/staging zotero --format dotenv\n  kubectl get secret portal -o json | keyward import - --format kubernetes\n  keyward import secrets.env google --format shell --var redirect_uri=docspace --accept inconclusive"
)]
pub(crate) struct ImportArgs {
    /// The file; `-` is stdin
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// What to take over, such as `google` or `google/staging`
    #[arg(value_name = "PROVIDER[/PROFILE]", add = complete::providers())]
    names: Vec<CredentialName>,
    /// The form of the file
    #[arg(long, value_name = "FORM")]
    format: Format,
    /// A variable of the provider: text, or the name of a preset
    ///
    /// It is for all that are taken over and have such a variable.
    #[arg(long = "var", value_name = "NAME=VALUE")]
    vars: Vec<String>,
    #[command(flatten)]
    saving: Saving,
}

struct Imported {
    results: Vec<(CredentialName, Reported)>,
    /// Variables that nobody took.
    unused: Names,
    /// That others can read the file.
    is_open: Option<String>,
}

/// A credential that may be taken over.
struct Candidate {
    name: CredentialName,
    loaded: Loaded,
    claim: Claim,
}

impl Candidate {
    /// The variables that are fields of both.
    fn shared_with<'a>(&'a self, other: &'a Self) -> BTreeSet<&'a String> {
        let its: BTreeSet<&String> = other.claim.fields.values().collect();
        self.claim.fields.values().filter(|variable| its.contains(variable)).collect()
    }
}

/// Reads the file, finds out whose values it has, and sets each up.
pub(crate) fn run(args: &ImportArgs, house: &House) -> Reported {
    args.saving.validate(house)?;
    let file = File::read(args)?;
    let candidates = if args.names.is_empty() { file.found(args, house)? } else { file.named(args, house)? };
    no_var_is_for_nobody(args, &candidates)?;
    let mut results: Vec<(CredentialName, Reported)> = Vec::new();
    for one in &candidates {
        results.push((one.name.clone(), take(one, &file, args, house)));
    }
    if let Some(problem) = same_failure(&results) {
        return Err(problem);
    }
    let known: BTreeSet<&String> = candidates.iter().flat_map(|one| &one.claim.known).collect();
    let unused = Names::of(file.values().filter(|pair| !known.contains(&pair.name)));
    Ok(Box::new(Imported { results, unused, is_open: file.is_open }))
}

/// One credential, on the way of `setup`.
fn take(one: &Candidate, file: &File, args: &ImportArgs, house: &House) -> Reported {
    if !one.claim.missing.is_empty() && one.loaded.provider.provider.status != Status::Retired {
        return Err(lacking(one, file));
    }
    let vars = vars_of(&one.loaded.provider, &args.vars);
    let setup = SetupArgs::imported(one.name.clone(), vars, Rc::clone(&file.pairs), args.saving.clone());
    setup::run(&setup, house)
}

/// The failure of all of them, when it is one: of a single credential, or one that is not about any of them.
fn same_failure(results: &[(CredentialName, Reported)]) -> Option<Problem> {
    let (name, Err(first)) = results.first()? else { return None };
    match results {
        [_] => Some(Problem { message: format!("{name}: {}", first.message), ..first.clone() }),
        _ => {
            results.iter().all(|(_, result)| result.as_ref().is_err_and(|other| other == first)).then(|| first.clone())
        }
    }
}

/// What was read, and from where.
struct File {
    /// As it is shown.
    place: String,
    pairs: Rc<[Pair]>,
    /// That others can read it.
    is_open: Option<String>,
}

impl File {
    fn read(args: &ImportArgs) -> Result<Self, Problem> {
        let is_stdin = args.file.as_os_str() == "-";
        let place = if is_stdin { "stdin".to_owned() } else { plain(&args.file.display().to_string()) };
        let text = if is_stdin { from_stdin()? } else { from_file(&args.file, &place)? };
        // To be taken apart; each value is wrapped again.
        match read(args.format, text.expose()) {
            Ok(pairs) => {
                Ok(Self { is_open: open_note(&args.file, &place).filter(|_| !is_stdin), place, pairs: pairs.into() })
            }
            Err(error) => {
                let problem = Problem::from(error);
                Err(Problem { message: format!("cannot read {place}: {}", problem.message), ..problem })
            }
        }
    }

    /// Those variables that are not empty.
    fn values(&self) -> impl Iterator<Item = &Pair> {
        // To be looked at: an empty one is as good as none.
        self.pairs.iter().filter(|pair| !pair.value.expose().is_empty())
    }

    fn candidate(&self, name: CredentialName, loaded: Loaded, args: &ImportArgs) -> Candidate {
        // As if it were in the environment.
        let value = |pair: &Pair| OsString::from(pair.value.expose());
        let env = |name: &str| self.pairs.iter().find(|pair| pair.name == name).map(value);
        let claim = Claim::of(&loaded.provider, &name, &vars_of(&loaded.provider, &args.vars), &env);
        Candidate { name, loaded, claim }
    }

    /// Those that were named, each once.
    fn named(&self, args: &ImportArgs, house: &House) -> Result<Vec<Candidate>, Problem> {
        let mut candidates: Vec<Candidate> = Vec::new();
        for name in &args.names {
            if !candidates.iter().any(|known| known.name == *name) {
                let loaded = house.catalog()?.get(name.provider())?;
                candidates.push(self.candidate(name.clone(), loaded, args));
            }
        }
        Ok(candidates)
    }

    /// All for which the file has every required field, when no two of them want the same variable.
    fn found(&self, args: &ImportArgs, house: &House) -> Result<Vec<Candidate>, Problem> {
        let mut all = Vec::new();
        for (id, loaded) in house.catalog()?.load_all() {
            match (CredentialName::new(&id, DEFAULT_PROFILE), loaded) {
                (_, Ok(loaded)) if loaded.provider.provider.status == Status::Retired => {}
                (Ok(name), Ok(loaded)) => all.push(self.candidate(name, loaded, args)),
                (Err(error), _) => house.ui.note(&format!("note: a provider file is passed over: {error}")),
                (_, Err(error)) => house.ui.note(&format!("note: the provider file of {id} is passed over: {error}")),
            }
        }
        let (complete, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|one| one.claim.is_complete());
        if complete.is_empty() {
            return Err(self.nobody_s(&others));
        }
        self.no_variable_is_wanted_twice(args, &complete)?;
        Ok(complete)
    }

    /// Nothing is guessed where one variable is a field of several.
    fn no_variable_is_wanted_twice(&self, args: &ImportArgs, complete: &[Candidate]) -> Result<(), Problem> {
        for one in complete {
            let rivals: Vec<&Candidate> =
                complete.iter().filter(|other| other.name != one.name && !one.shared_with(other).is_empty()).collect();
            if !rivals.is_empty() {
                return Err(self.ambiguous(args, one, &rivals, complete));
            }
        }
        Ok(())
    }

    fn ambiguous(&self, args: &ImportArgs, one: &Candidate, rivals: &[&Candidate], complete: &[Candidate]) -> Problem {
        let shared: BTreeSet<&String> = rivals.iter().flat_map(|other| one.shared_with(other)).collect();
        let shared: Vec<String> = shared.into_iter().cloned().collect();
        let rivals: Vec<String> = rivals.iter().map(|other| other.name.to_string()).collect();
        // The first of each that share something, and all others.
        let mut meant: Vec<&Candidate> = Vec::new();
        for other in complete {
            if meant.iter().all(|known| known.shared_with(other).is_empty()) {
                meant.push(other);
            }
        }
        let names: Vec<String> = meant.iter().map(|one| one.name.to_string()).collect();
        let format = args.format.to_possible_value().map(|format| format.get_name().to_owned()).unwrap_or_default();
        let verb = if shared.len() == 1 { "belongs" } else { "belong" };
        let what = format!(
            "{} {verb} to {} and to {}, and {} is complete for each",
            listed(&shared),
            one.name,
            listed(&rivals),
            self.place
        );
        let command = format!("keyward import {} {} --format {format}", typed(&args.file), names.join(" "));
        Problem::new(Kind::Usage, "ambiguous-variable", what)
            .hint(format!("name what is meant: `{command}`"))
            .hint(format!("or {} in the place of {}", rivals.join(" or "), one.name))
    }

    /// What to do about a file in which nothing is complete.
    fn nobody_s(&self, others: &[Candidate]) -> Problem {
        let seen = Names::of(self.values());
        if seen.is_empty() {
            return Problem::new(Kind::Malformed, "no-values", format!("{} has no values", self.place))
                .hint("look whether it is the right file, and `--format` its form");
        }
        let mut near: Vec<&Candidate> = others.iter().filter(|one| !one.claim.fields.is_empty()).collect();
        near.sort_by_key(|one| one.claim.missing.len());
        if near.is_empty() {
            return Problem::new(
                Kind::NotFound,
                "unknown-variables",
                format!("no service is known by a variable of {}", self.place),
            )
            .seen(seen.to_string())
            .hint("`keyward provider show ID` names the variables of a service");
        }
        let what = format!("{} has not all that a service needs", self.place);
        let mut problem = Problem::new(Kind::Malformed, "missing-values", what).seen(seen.to_string());
        for one in near.iter().take(3) {
            let missing = one.claim.missing.iter().filter(|missing| missing.is_field);
            let missing: Vec<String> = missing.map(|missing| missing.variable.clone()).collect();
            problem = problem.hint(format!("for {} it lacks {}", one.name, listed(&missing)));
        }
        problem.hint("add what is missing, or use `keyward setup NAME`, which asks for it")
    }
}

/// What is missing for one that was named, or is complete but for what is no field.
fn lacking(one: &Candidate, file: &File) -> Problem {
    let missing = &one.claim.missing;
    let names: Vec<String> = missing.iter().map(|missing| format!("`{}`", missing.id)).collect();
    let verb = if missing.len() == 1 { "is" } else { "are" };
    let what = format!("{} {verb} missing in {}", listed(&names), file.place);
    missing.iter().fold(Problem::new(Kind::Malformed, "missing-values", what), |problem, missing| {
        let flag = if one.loaded.provider.var(&missing.id).is_some() {
            format!(", or --var {}=VALUE", missing.id)
        } else {
            String::new()
        };
        problem.hint(format!("{}: {} in the file{flag}", missing.id, missing.variable))
    })
}

/// Those of `--var` that a provider has. One that is malformed is for everybody, to be refused.
fn vars_of(provider: &Provider, typed: &[String]) -> Vec<String> {
    let is_its = |typed: &&String| typed.split_once('=').is_none_or(|(name, _)| provider.var(name).is_some());
    typed.iter().filter(is_its).cloned().collect()
}

fn no_var_is_for_nobody(args: &ImportArgs, candidates: &[Candidate]) -> Result<(), Problem> {
    for typed in &args.vars {
        let Some((name, _)) = typed.split_once('=') else { return Err(SourceError::Syntax { flag: "--var" }.into()) };
        if !candidates.iter().any(|one| one.loaded.provider.var(name).is_some()) {
            let known = candidates.iter().flat_map(|one| &one.loaded.provider.var).map(|var| var.id.as_str());
            let what = format!("nothing that is taken over has a variable `{}`", plain(name));
            return Err(Problem::new(Kind::NotFound, "no-such-field", what).hint(match nearest(name, known) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "`keyward provider show ID` names them".to_owned(),
            }));
        }
    }
    Ok(())
}

fn from_stdin() -> Result<Secret, Problem> {
    let mut stdin = io::stdin();
    if stdin.is_terminal() {
        return Err(Problem::new(Kind::Usage, "stdin-is-a-terminal", "stdin is a terminal: there is nothing to read")
            .hint("name a file, or pipe it in: `… | keyward import - --format FORM`"));
    }
    let unread = |why| unreadable(SourceError::Unread { what: "stdin".to_owned(), why });
    read_text(&mut stdin).map_err(unread)
}

fn from_file(path: &Path, place: &str) -> Result<Secret, Problem> {
    if fs::metadata(path).is_ok_and(|about| is_pipe(&about)) {
        // It might be waited for without end.
        return Err(Problem::new(Kind::Usage, "value-unreadable", format!("cannot read `{place}`: it is a pipe"))
            .hint("`-` reads stdin: `… | keyward import - --format FORM`"));
    }
    read_file(path).map_err(|why| unreadable(SourceError::Unread { what: format!("`{place}`"), why }))
}

/// That others can read the file.
fn open_note(path: &Path, place: &str) -> Option<String> {
    let mode = open_mode(&fs::metadata(path).ok()?)?;
    Some(format!(
        "note: others can read {place} (mode {mode:04o}), and what is in it is in the clear: remove it when the import was accepted"
    ))
}

/// Without the hints, which are about `--field`.
fn unreadable(error: SourceError) -> Problem {
    Problem::new(error.kind(), error.code(), error.to_string())
}

#[cfg(unix)]
fn is_pipe(about: &fs::Metadata) -> bool {
    std::os::unix::fs::FileTypeExt::is_fifo(&about.file_type())
}

#[cfg(not(unix))]
fn is_pipe(_: &fs::Metadata) -> bool {
    false
}

/// The mode of a file that others can read.
#[cfg(unix)]
fn open_mode(about: &fs::Metadata) -> Option<u32> {
    let mode = std::os::unix::fs::PermissionsExt::mode(&about.permissions()) & 0o7777;
    (mode & 0o044 != 0).then_some(mode)
}

#[cfg(not(unix))]
fn open_mode(_: &fs::Metadata) -> Option<u32> {
    None
}

/// A path as it is typed.
fn typed(path: &Path) -> String {
    let place = plain(&path.display().to_string());
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    if place.chars().all(is_plain) { place } else { shell_word(&place) }
}

/// Names of variables, as far as they can be shown: what somebody put in front of a `=` may be a secret.
#[derive(Debug)]
struct Names {
    shown: Vec<String>,
    others: usize,
}

/// So many names can be read at a glance.
const MOST_SHOWN: usize = 20;

impl Names {
    fn of<'a>(pairs: impl Iterator<Item = &'a Pair>) -> Self {
        let (mut shown, mut others) = (Vec::new(), 0);
        for pair in pairs {
            if is_usual(&pair.name) {
                shown.push(pair.name.clone());
            } else {
                others += 1;
            }
        }
        Self { shown, others }
    }

    fn is_empty(&self) -> bool {
        self.shown.is_empty() && self.others == 0
    }
}

impl std::fmt::Display for Names {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut parts: Vec<String> = self.shown.iter().take(MOST_SHOWN).cloned().collect();
        let more = self.shown.len() - parts.len();
        parts.extend((more > 0).then(|| format!("{more} more")));
        parts
            .extend((self.others > 0).then(|| counted(self.others, "value") + " whose name is unusual for a variable"));
        f.write_str(&listed(&parts))
    }
}

/// Words of one case between underscores, as variables and keys are called, and keys are not that are drawn by lot.
fn is_usual(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let has = |is: fn(&char) -> bool| name.chars().any(|c| is(&c));
    let is_long = name.split('_').any(|word| word.len() > 16);
    name.len() <= 64
        && name.chars().all(fits)
        && !is_long
        && !(has(char::is_ascii_uppercase) && has(char::is_ascii_lowercase))
}

impl Report for Imported {
    fn text(&self, ui: &Ui) -> String {
        let look = Look::of_stdout(ui);
        let one = |(name, result): &(CredentialName, Reported)| match result {
            Ok(report) => report.text(ui),
            Err(problem) => failed(name, problem, look),
        };
        self.results.iter().map(one).collect()
    }

    fn json(&self) -> Value {
        let one = |(name, result): &(CredentialName, Reported)| {
            let (told, error) = match result {
                Ok(report) => (report.json(), Value::Null),
                Err(problem) => (json!({ "saved": false, "notes": [] }), problem.to_json()["error"].take()),
            };
            let [saved, store, place, notes, result] =
                ["saved", "store", "place", "notes", "result"].map(|key| told.get(key).cloned().unwrap_or_default());
            json!({ "name": name, "saved": saved, "store": store, "place": place, "notes": notes, "result": result,
                    "error": error })
        };
        json!({
            "schema": "keyward.import/1",
            "results": self.results.iter().map(one).collect::<Vec<_>>(),
            "unused": self.unused.shown,
            "notes": self.is_open.iter().map(|note| note.trim_start_matches("note: ")).collect::<Vec<_>>(),
        })
    }

    fn notes(&self, ui: &Ui) -> Vec<String> {
        let mut notes: Vec<String> = Vec::new();
        for (name, result) in &self.results {
            for note in result.iter().flat_map(|report| report.notes(ui)) {
                // Labels of fields are the same for several services.
                let note = match note.strip_prefix("note: ") {
                    Some(rest) => format!("note: {name}: {rest}"),
                    None => note,
                };
                if !notes.contains(&note) {
                    notes.push(note);
                }
            }
        }
        if !self.unused.is_empty() {
            notes.push(format!("note: nothing was done with {}", self.unused));
        }
        notes.extend(self.is_open.clone());
        notes
    }

    fn exit(&self) -> u8 {
        let kind = |code: u8| Kind::ALL.into_iter().find(|kind| kind.exit() == code);
        let kinds = self.results.iter().filter_map(|(_, result)| match result {
            Ok(report) => kind(report.exit()),
            Err(problem) => Some(problem.kind),
        });
        Kind::most_urgent(kinds).map_or(0, Kind::exit)
    }
}

/// One that did not come as far as a verdict.
fn failed(name: &CredentialName, problem: &Problem, look: Look) -> String {
    let mut text = format!("{name}  {}\n", look.paint(Dress::Bad, "failed"));
    let seen = problem.seen.iter().map(|seen| ("seen", seen));
    let hints = problem.hints.iter().map(|hint| ("hint", hint));
    for (word, what) in [("why", &problem.message)].into_iter().chain(seen).chain(hints) {
        let lead = format!("  {} ", look.paint(Dress::Dim, &format!("{word}:")));
        text.push_str(&look.lines(what, &lead, &" ".repeat(word.len() + 4)));
    }
    text + "  not saved\n"
}
