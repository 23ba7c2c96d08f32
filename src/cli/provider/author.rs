//! `provider lint|test|schema|new|trust`: for those who write provider files.

use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use crate::check;
use crate::cli::complete;
use crate::cli::house::House;
use crate::cli::report::{Report, Reported, Verbatim};
use crate::credential::format;
use crate::paths::replace_own;
use crate::problem::{Kind, Problem};
use crate::provider::catalog::{self, Catalog, CatalogError, Loaded, Origin, Sidecar};
use crate::provider::lint::Finding;
use crate::provider::parse::{Fault, Place, parse};
use crate::provider::schema;
use crate::ui::{Ui, counted};

/// Check provider files strictly, with line and column
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  keyward provider lint acme.toml\n  keyward provider lint          # all that there are"
)]
pub(crate) struct LintArgs {
    /// The files (all known providers when none is named)
    files: Vec<PathBuf>,
}

struct Linted {
    files: usize,
    findings: Vec<Finding>,
}

/// Lints files, or every known provider.
pub(crate) fn lint(args: &LintArgs, house: &House) -> Reported {
    let texts = if args.files.is_empty() {
        all_texts(house.catalog()?)?
    } else {
        args.files.iter().map(|path| Text::read(path)).collect::<Result<_, Problem>>()?
    };
    let findings = texts.iter().flat_map(Text::findings).collect();
    Ok(Box::new(Linted { files: texts.len(), findings }))
}

/// Every provider file that is in force.
fn all_texts(catalog: &Catalog) -> Result<Vec<Text>, Problem> {
    let text = |id: &str| match catalog.outside(id) {
        Some(path) => Text::read(path),
        None => Ok(Text {
            file: format!("{id}.toml"),
            text: Catalog::built_in_text(id).unwrap_or_default().to_owned(),
            origin: Origin::BuiltIn,
        }),
    };
    catalog.ids().into_iter().map(text).collect()
}

/// A file that is looked at strictly.
struct Text {
    file: String,
    text: String,
    origin: Origin,
}

impl Text {
    fn read(path: &Path) -> Result<Self, Problem> {
        let text = catalog::read(path)?;
        Ok(Self { file: path.display().to_string(), text, origin: Origin::File(path.to_owned()) })
    }

    /// What is wrong in it and in its translations.
    fn findings(&self) -> Vec<Finding> {
        let mut all = format::lint(&self.file, &self.text);
        if let Ok(provider) = parse(&self.file, &self.text) {
            let loaded = Loaded { provider, rev: String::new(), origin: self.origin.clone() };
            all.extend(Sidecar::all(&loaded).iter().flat_map(|sidecar| translated(&loaded, sidecar)));
        }
        all
    }
}

/// What is wrong in a translation.
fn translated(loaded: &Loaded, sidecar: &Sidecar) -> Vec<Finding> {
    match sidecar.read() {
        Ok(translation) => {
            let inherited = catalog::inherited(&loaded.provider, &sidecar.language);
            translation.lint(&sidecar.file, &loaded.provider, &inherited)
        }
        Err(CatalogError::Form(Fault { file, at, what, hint })) => vec![Finding { file, at, what, hint }],
        Err(error) => {
            vec![Finding { file: sidecar.file.clone(), at: Place(None), what: error.to_string(), hint: None }]
        }
    }
}

impl Report for Linted {
    fn text(&self, _: &Ui) -> String {
        let lines = self.findings.iter().map(|finding| {
            let hint = finding.hint.as_deref().map(|hint| format!("\n  hint: {hint}")).unwrap_or_default();
            format!("{finding}{hint}\n")
        });
        lines.collect()
    }
    fn json(&self) -> Value {
        let findings: Vec<Value> = self
            .findings
            .iter()
            .map(|finding| {
                let (line, column) = finding.at.0.unzip();
                json!({ "file": finding.file, "line": line, "column": column, "what": finding.what, "hint": finding.hint })
            })
            .collect();
        json!({ "schema": "keyward.provider-lint/1", "files": self.files, "findings": findings })
    }
    fn notes(&self, _: &Ui) -> Vec<String> {
        vec![format!("{}, {}", counted(self.files, "file"), counted(self.findings.len(), "finding"))]
    }
    fn exit(&self) -> u8 {
        if self.findings.is_empty() { 0 } else { Kind::Provider.exit() }
    }
}

/// Decide all fixtures offline
///
/// Every fixture's answer is judged as if the service had sent it, and compared with what the file expects.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  keyward provider test\n  keyward provider test acme --providers .")]
pub(crate) struct TestArgs {
    /// The providers (all when none is named)
    #[arg(value_name = "ID", add = complete::providers())]
    ids: Vec<String>,
}

struct Tested {
    passed: usize,
    failed: Vec<(String, String, String)>,
}

/// Judges the fixtures.
pub(crate) fn test(args: &TestArgs, house: &House) -> Reported {
    let catalog = house.catalog()?;
    let ids =
        if args.ids.is_empty() { catalog.ids().into_iter().map(str::to_owned).collect() } else { args.ids.clone() };
    let mut tested = Tested { passed: 0, failed: Vec::new() };
    for id in ids {
        let loaded = catalog.get(&id)?;
        for fixture in &loaded.provider.fixture {
            match check::decide(&loaded.provider, fixture) {
                Ok(_) => tested.passed += 1,
                Err(why) => tested.failed.push((id.clone(), fixture.name.clone(), why.to_string())),
            }
        }
    }
    Ok(Box::new(tested))
}

impl Report for Tested {
    fn text(&self, _: &Ui) -> String {
        self.failed.iter().map(|(id, fixture, why)| format!("{id}: fixture \"{fixture}\": {why}\n")).collect()
    }
    fn json(&self) -> Value {
        let failed: Vec<Value> = self
            .failed
            .iter()
            .map(|(id, fixture, why)| json!({ "provider": id, "fixture": fixture, "why": why }))
            .collect();
        json!({ "schema": "keyward.provider-test/1", "passed": self.passed, "failed": failed })
    }
    fn notes(&self, _: &Ui) -> Vec<String> {
        vec![format!("{} as expected, {} not", counted(self.passed, "fixture"), self.failed.len())]
    }
    fn exit(&self) -> u8 {
        if self.failed.is_empty() { 0 } else { Kind::Provider.exit() }
    }
}

/// Prints the JSON Schema.
pub(crate) fn schema() -> Reported {
    Ok(Box::new(Verbatim { schema: "keyward.provider-schema/1", text: schema::schema_text() }))
}

/// Make a scaffold for a new provider file
///
/// It lints clean as it stands. An existing file is never touched.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  keyward provider new acme            # in your provider folder\n  keyward provider new acme --dir ."
)]
pub(crate) struct NewArgs {
    /// The id: lower-case letters, digits and `-`
    id: String,
    /// The folder (your provider folder when none is named)
    #[arg(long)]
    dir: Option<PathBuf>,
}

struct Made(PathBuf);

const SCAFFOLD: &str = include_str!("scaffold.toml");

fn is_id(id: &str) -> bool {
    let starts = id.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    starts && id.len() <= 64 && id.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

/// Writes the scaffold.
pub(crate) fn new(args: &NewArgs, house: &House) -> Reported {
    if !is_id(&args.id) {
        return Err(Problem::new(Kind::Usage, "bad-id", format!("`{}` cannot be an id", args.id.escape_debug()))
            .hint("lower-case letters, digits and `-`, starting with a letter or digit"));
    }
    let dir = args.dir.clone().unwrap_or_else(|| house.places.providers.clone());
    let path = dir.join(format!("{}.toml", args.id));
    if path.exists() {
        return Err(Problem::new(Kind::Usage, "file-exists", format!("{} exists already", path.display())));
    }
    let today = house.clock.now().format("%Y-%m-%d").to_string();
    let text = SCAFFOLD.replace("acme", &args.id).replace("2026-01-31", &today);
    crate::store::file::replace(&path, text.as_bytes())?;
    Ok(Box::new(Made(path)))
}

impl Report for Made {
    fn text(&self, _: &Ui) -> String {
        format!("made {}\n", self.0.display())
    }
    fn json(&self) -> Value {
        json!({ "schema": "keyward.provider-new/1", "file": self.0.display().to_string() })
    }
    fn notes(&self, _: &Ui) -> Vec<String> {
        vec!["fill it in, then `keyward provider lint` and `keyward provider test`".into()]
    }
}

/// Write what is missing in the translation of a provider file
///
/// Beside the file, in `i18n/LANG/ID.toml`: every text that has no translation, or one of an older text, gets its place
/// below the original. What is translated stays.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  keyward provider translate acme --lang de")]
pub(crate) struct TranslateArgs {
    /// The provider: a file of your own
    #[arg(value_name = "ID", add = complete::providers())]
    id: String,
}

struct Scaffolded {
    path: PathBuf,
    left: usize,
}

/// Brings a sidecar up to date, but for the translating.
pub(crate) fn translate(args: &TranslateArgs, house: &House) -> Reported {
    let usage = |what: String| Problem::new(Kind::Usage, "cannot-translate", what);
    let language = house
        .language()
        .ok_or_else(|| usage("it is not said into which language".into()).hint("such as `--lang de`"))?;
    let loaded = house.catalog()?.original(&args.id)?;
    let sidecar = Sidecar::of(&loaded, &language);
    let Some((sidecar, path)) = sidecar.as_ref().and_then(|sidecar| Some((sidecar, sidecar.path()?))) else {
        return Err(
            usage(format!("`{}` is built in", args.id)).hint("name the folder of its file with --providers DIR")
        );
    };
    let translation = sidecar.read()?;
    let inherited = catalog::inherited(&loaded.provider, &language);
    let text = translation.scaffold(&loaded.provider, &inherited);
    let unwritable = |error: io::Error| {
        Problem::new(Kind::Store, "unwritable", format!("cannot write {}", path.display())).seen(error.to_string())
    };
    replace_own(path, text.as_bytes()).map_err(unwritable)?;
    let left = translation.lint(&sidecar.file, &loaded.provider, &inherited).len();
    Ok(Box::new(Scaffolded { path: path.to_owned(), left }))
}

impl Report for Scaffolded {
    fn text(&self, _: &Ui) -> String {
        format!("{}\n", self.path.display())
    }
    fn json(&self) -> Value {
        json!({ "schema": "keyward.provider-translate/1", "file": self.path.display().to_string(), "left": self.left })
    }
    fn notes(&self, _: &Ui) -> Vec<String> {
        vec![format!("{} left; `keyward provider lint` names them", counted(self.left, "text"))]
    }
}

/// Let a provider file of your own send secrets to the hosts that it names
///
/// It is trusted as it is now: one changed byte asks again.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  keyward provider trust acme")]
pub(crate) struct TrustArgs {
    /// The provider
    #[arg(value_name = "ID", add = complete::providers())]
    id: String,
}

struct Trusted {
    id: String,
    rev: String,
    hosts: Vec<String>,
}

/// Puts the file's hash on the trust list.
pub(crate) fn trust(args: &TrustArgs, house: &House) -> Reported {
    let loaded = house.catalog()?.get(&args.id)?;
    house.trust_from_now("provider trust", &loaded)?;
    Ok(Box::new(Trusted { hosts: hosts(&loaded), id: args.id.clone(), rev: loaded.rev }))
}

/// The addresses that the file's checks talk to, as they stand in it.
pub(crate) fn hosts(loaded: &Loaded) -> Vec<String> {
    let mut hosts: Vec<String> = Vec::new();
    for check in &loaded.provider.check {
        let auth = [check.auth.token_url.as_ref(), check.auth.authorize_url.as_ref()];
        let urls = auth.into_iter().chain([check.request.as_ref().map(|request| &request.url)]);
        for url in urls.flatten() {
            let source = url.source();
            let after = source.find("://").map_or(0, |at| at + 3);
            let end = source[after..].find('/').map_or(source.len(), |at| after + at);
            hosts.push(source[..end].to_owned());
        }
    }
    hosts.sort();
    hosts.dedup();
    hosts
}

impl Report for Trusted {
    fn text(&self, _: &Ui) -> String {
        format!("trusted {} as {}\n", self.id, self.rev)
    }
    fn json(&self) -> Value {
        json!({ "schema": "keyward.provider-trust/1", "id": self.id, "rev": self.rev, "hosts": self.hosts })
    }
    fn notes(&self, _: &Ui) -> Vec<String> {
        vec![format!("its checks may now send what you enter to: {}", self.hosts.join(", "))]
    }
}
