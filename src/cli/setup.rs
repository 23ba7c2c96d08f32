//! `setup`: the walk, the proof, the store.

use std::ffi::OsStr;
use std::io::{self, IsTerminal as _};
use std::path::Path;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::check::{self as checking, Asking};
use super::complete;
use super::house::House;
use super::look::Look;
use super::report::{Report, Reported};
use crate::check::{self, Door, Options};
use crate::credential::format::Answers;
use crate::credential::{Credential, CredentialName};
use crate::problem::{Kind, Problem, nearest};
use crate::provider::catalog::Loaded;
use crate::provider::{Effects, Provider, Status};
use crate::setup::{self, Given, Outside, Plan, Progress, Sources, Walked};
use crate::store::{Entry, Store, StoreError, StoreKind, Summary};
use crate::ui::ask::TerminalAsk;
use crate::ui::{Ui, plain};
use crate::verdict::{Record, Verdict};

/// Walk through a service's console, prove the credential, save it
///
/// In a terminal every step is shown with the text to paste, and every value is asked for; steps can be gone back, and a
/// walk that was left goes on where it was. Without a terminal, or with --no-input, nothing is asked: values come from
/// --field, --fields-from and --from-env.
///
/// `accepted` is saved, `limited` too (and what is missing is said). `inconclusive` is saved after a question, or with
/// `--accept inconclusive`. `rejected` and `malformed` replace nothing. The exit code is the verdict's: 0 accepted,
/// 5 limited, 4 inconclusive, 3 rejected, 6 malformed or missing.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  keyward setup zotero\n  keyward setup google/staging --var redirect_uri=docspace\n  keyward setup zotero --no-input --field api_key=@key.txt\n  pass show zotero | keyward setup zotero --field api_key=-\n  keyward setup aws-s3 --from-env --no-input --json"
)]
pub(crate) struct SetupArgs {
    /// The provider, such as `google`, or with a profile: `google/staging`
    #[arg(value_name = "PROVIDER[/PROFILE]", add = complete::providers())]
    name: CredentialName,
    /// A value; a secret as @FILE, -, env:VAR or fd:N
    ///
    /// VALUE is text (refused for a secret), @FILE, - for stdin, env:VAR or fd:N; @@x is the text @x. May be repeated.
    #[arg(long = "field", value_name = "NAME=VALUE")]
    fields: Vec<String>,
    /// The values as one JSON or TOML object; `-` is stdin
    #[arg(long, value_name = "FILE|-")]
    fields_from: Option<String>,
    /// Values from the usual variables of the service
    ///
    /// `keyward provider show ID` names them beside each field.
    #[arg(long)]
    from_env: bool,
    /// A variable: text, or the name of a preset
    #[arg(long = "var", value_name = "NAME=VALUE")]
    vars: Vec<String>,
    /// Ask only for this field; keep the other stored values
    #[arg(long, value_name = "FIELD")]
    only: Vec<String>,
    /// Do not ask the service
    #[arg(long)]
    no_check: bool,
    /// Save under this verdict without a question
    #[arg(long, value_name = "VERDICT", value_delimiter = ',')]
    accept: Vec<Acceptable>,
    /// Save whatever the service says
    ///
    /// It is said out loud, and a good stored value is replaced too.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    asking: Asking,
}

/// A verdict under which saving may be asked for beforehand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Acceptable {
    /// Saved anyway
    Limited,
    /// Also covers `unchecked`
    Inconclusive,
}

struct SetUp {
    name: CredentialName,
    record: Record,
    store: StoreKind,
    place: String,
    saved: bool,
    /// The verdict was shown on the terminal before a question.
    is_told: bool,
    no_check: bool,
    /// A stored credential that is good was to be replaced.
    replaces_good: bool,
    /// A field that can be asked for.
    field: String,
    /// What format checks found worth saying.
    notes: Vec<String>,
}

/// Walks, asks, saves.
pub(crate) fn run(args: &SetupArgs, house: &House) -> Reported {
    let loaded = house.catalog()?.get(args.name.provider())?;
    args.asking.validate(house)?;
    refuse_retired(&loaded.provider)?;
    house.trust_or_ask(&loaded)?;
    let stored = house.stored(&args.name)?;
    let given = gather(args, house, &loaded.provider)?;
    let mut checked = match enter(args, house, &loaded, given)? {
        Walked::Done { checked, .. } => checked,
        Walked::Quit => return Err(left(&args.name)),
    };
    house.ui.detail(1, &format!("provider file {}", loaded.rev));
    let mut record = prove(args, house, &loaded.provider, &checked.credential)?;
    while record.verdict == Verdict::Rejected && house.ui.may_ask() && !args.force {
        house.ui.note(&format!("\n{}", checking::told(&record, 2, Look::of_stderr(&house.ui))));
        if !house.confirm("Enter it again?", true)? {
            break;
        }
        checked = match again(args, house, &loaded, &checked.credential, &record.blame)? {
            Walked::Done { checked, .. } => checked,
            Walked::Quit => return Err(left(&args.name)),
        };
        record = prove(args, house, &loaded.provider, &checked.credential)?;
    }
    let field = telling_field(&checked.credential);
    let kind = house.decide_store()?;
    let Decision { saved, is_told } = may_save(args, house, stored.as_ref(), &record)?;
    let store = if saved { house.open_for_saving(kind)? } else { house.open(kind)? };
    if saved {
        save(house, store, &loaded, checked.credential, &record)?;
    }
    let notes = checked.remarks.iter().map(|remark| format!("{}: {}", remark.label, remark.text)).collect();
    Ok(Box::new(SetUp {
        name: args.name.clone(),
        record,
        store: kind,
        place: store.place(),
        saved,
        is_told,
        no_check: args.no_check,
        replaces_good: replaces_good(stored.as_ref()),
        field,
        notes,
    }))
}

/// The field that is wanted most: the first secret.
fn telling_field(credential: &Credential) -> String {
    let secret = credential.fields.iter().find(|(_, value)| value.is_secret());
    secret.or_else(|| credential.fields.iter().next()).map(|(id, _)| id.clone()).unwrap_or_else(|| "FIELD".to_owned())
}

fn left(name: &CredentialName) -> Problem {
    Problem::new(Kind::Interrupted, "left", "left before the end; nothing was saved")
        .hint(format!("`keyward setup {name}` goes on where you were"))
}

fn refuse_retired(provider: &Provider) -> Result<(), Problem> {
    let about = &provider.provider;
    if about.status != Status::Retired {
        return Ok(());
    }
    let mut problem =
        Problem::new(Kind::Inconclusive, "provider-retired", format!("{} cannot be set up any more", about.name));
    if let Some(change) = &about.change {
        problem = problem.seen(format!("since {}: {}", change.since, change.note));
        problem.hints.extend(change.successor.iter().map(|successor| format!("use {successor} instead")));
    }
    Err(problem.hint("stored values can still be read, exported and removed"))
}

/// Values from flags, files and the environment.
fn gather(args: &SetupArgs, house: &House, provider: &Provider) -> Result<Given, Problem> {
    let wanted = Sources {
        field: args.fields.clone(),
        fields_from: args.fields_from.clone(),
        from_env: args.from_env,
        var: args.vars.clone(),
    };
    let look_up = |name: &str| house.env.get_os(name).map(OsStr::to_os_string);
    let mut stdin = io::stdin();
    let stdin_is_terminal = stdin.is_terminal();
    let mut given = setup::gather(provider, &wanted, Outside { env: &look_up, stdin: &mut stdin, stdin_is_terminal })?;
    if !args.only.is_empty() {
        keep_others(args, house, provider, &mut given)?;
    }
    Ok(given)
}

/// With `--only`, the other values are those that are stored.
fn keep_others(args: &SetupArgs, house: &House, provider: &Provider, given: &mut Given) -> Result<(), Problem> {
    let known = || provider.field.iter().map(|field| field.id.as_str());
    if let Some(unknown) = args.only.iter().find(|id| provider.field(id).is_none()) {
        let problem = Problem::new(
            Kind::NotFound,
            "no-such-field",
            format!("{} has no field `{}`", provider.id(), plain(unknown)),
        );
        return Err(match nearest(unknown, known()) {
            Some(near) => problem.hint(format!("did you mean `{near}`?")),
            None => problem.hint(format!("it has: {}", known().collect::<Vec<_>>().join(", "))),
        });
    }
    let entry = house.in_stores(|store| store.load(&args.name))?;
    let stored = Answers::from(&entry.credential);
    for (id, value) in stored.fields {
        if !args.only.contains(&id) && !given.answers.fields.contains_key(&id) {
            given.origins.insert(id.clone(), "the store".to_owned());
            given.answers.fields.insert(id, value);
        }
    }
    for (id, value) in stored.vars {
        given.answers.vars.entry(id).or_insert(value);
    }
    Ok(())
}

/// The values: asked for in a terminal, else only what was given.
fn enter(args: &SetupArgs, house: &House, loaded: &Loaded, given: Given) -> Result<Walked, Problem> {
    if !house.ui.may_ask() {
        // Everything is complete before a store is decided on or made.
        let checked = setup::collect(&loaded.provider, &args.name, &given)?;
        house.decide_store()?;
        return Ok(Walked::Done { checked, skipped: Vec::new() });
    }
    house.decide_store()?;
    let provenance = &loaded.provider.provenance;
    if super::provider::is_old(provenance, house.clock.now().date_naive()) {
        house.ui.note(&format!(
            "note: these steps were last reviewed {}; the console may look different",
            provenance.reviewed
        ));
    }
    let progress = house.progress();
    let plan = plan(house, loaded, &args.name, given, &progress);
    let mut ask = TerminalAsk::new(&house.ui)?;
    let walked = if args.only.is_empty() {
        setup::walk(plan, &mut ask, &house.ui)
    } else {
        setup::amend(plan, &args.only, &mut ask, &house.ui)
    };
    Ok(walked?)
}

/// The blamed values once more.
fn again(
    args: &SetupArgs,
    house: &House,
    loaded: &Loaded,
    credential: &Credential,
    blame: &[String],
) -> Result<Walked, Problem> {
    let given = Given { answers: Answers::from(credential), ..Given::default() };
    let progress = house.progress();
    let mut ask = TerminalAsk::new(&house.ui)?;
    Ok(setup::amend(plan(house, loaded, &args.name, given, &progress), blame, &mut ask, &house.ui)?)
}

fn plan<'a>(
    house: &'a House,
    loaded: &'a Loaded,
    name: &'a CredentialName,
    given: Given,
    progress: &'a Progress,
) -> Plan<'a> {
    let home = house.env.get_os("HOME").map(Path::new);
    Plan { provider: &loaded.provider, provider_rev: &loaded.rev, name, given, progress, home }
}

/// Asks the service, unless nobody is to be asked.
fn prove(args: &SetupArgs, house: &House, provider: &Provider, credential: &Credential) -> Result<Record, Problem> {
    if args.no_check {
        return Ok(Record::unasked(Verdict::Unchecked, "no-check", house.clock.now()));
    }
    let consent = consent(args, house, provider)?;
    let options: Options = args.asking.options(house, provider.id(), consent)?;
    house.ui.note(&format!("Asking {} …", provider.provider.name));
    Ok(check::ask(provider, credential, Door::shared(), &options, &*house.clock))
}

/// Which effects are allowed: those of `--allow`, or what the operator says.
fn consent(args: &SetupArgs, house: &House, provider: &Provider) -> Result<Effects, Problem> {
    let usual = args.asking.allow.unwrap_or(Effects::IssuesToken).max(Effects::IssuesToken);
    let strongest = provider.check.iter().map(|check| check.effects).max().unwrap_or(Effects::None);
    if strongest <= usual || !house.ui.may_ask() {
        return Ok(usual);
    }
    let question = match strongest {
        Effects::CountsQuota => "Asking counts against a quota at the service. Ask?",
        Effects::MayLockOut => "Wrong values may lock the account or block this address for a while. Ask the service?",
        Effects::Billable => "Asking costs money at the service. Ask?",
        _ => "Asking changes something at the service. Ask?",
    };
    Ok(if house.confirm(question, true)? { strongest } else { usual })
}

/// Whether it is saved, and whether the verdict was told on the way there.
struct Decision {
    saved: bool,
    is_told: bool,
}

/// The save rule: a good stored value is never overwritten by one that failed.
fn may_save(args: &SetupArgs, house: &House, stored: Option<&Summary>, record: &Record) -> Result<Decision, Problem> {
    let replaces_good = replaces_good(stored);
    let untold = |saved| Ok(Decision { saved, is_told: false });
    match record.verdict {
        Verdict::Accepted | Verdict::Limited => untold(true),
        _ if args.force => {
            house.ui.always(&format!(
                "warning: --force: saving although the verdict is {} ({})",
                record.verdict.word(),
                record.why
            ));
            untold(true)
        }
        Verdict::Rejected => Ok(Decision { saved: false, is_told: house.ui.may_ask() }),
        Verdict::Malformed => untold(false),
        Verdict::Unchecked if args.no_check && !replaces_good => untold(true),
        Verdict::Inconclusive | Verdict::Unchecked
            if args.accept.contains(&Acceptable::Inconclusive) && !replaces_good =>
        {
            untold(true)
        }
        Verdict::Inconclusive | Verdict::Unchecked => asked(house, record, replaces_good),
    }
}

fn replaces_good(stored: Option<&Summary>) -> bool {
    stored.and_then(|summary| summary.record.as_ref()).is_some_and(|last| last.last_good().is_some())
}

fn asked(house: &House, record: &Record, replaces_good: bool) -> Result<Decision, Problem> {
    if !house.ui.may_ask() {
        return Ok(Decision { saved: false, is_told: false });
    }
    house.ui.note(&format!("\n{}", checking::told(record, 2, Look::of_stderr(&house.ui))));
    let question = if replaces_good {
        "Nothing was learnt, and the stored credential is good. Replace it all the same?"
    } else {
        "Nothing was learnt about the credential. Save it unverified?"
    };
    Ok(Decision { saved: house.confirm(question, false)?, is_told: true })
}

fn save(
    house: &House,
    store: &dyn Store,
    loaded: &Loaded,
    credential: Credential,
    record: &Record,
) -> Result<(), Problem> {
    let now = house.clock.now();
    let created_at = match store.show(&credential.name) {
        Ok(before) => before.created_at,
        Err(StoreError::NotFound { .. }) => now,
        Err(error) => return Err(error.into()),
    };
    let lifetimes = loaded
        .provider
        .field
        .iter()
        .filter(|field| credential.fields.contains_key(&field.id))
        .filter_map(|field| field.ttl_days);
    let by_file = lifetimes.min().map(|days| now + chrono::TimeDelta::days(days.into()));
    let expires_at = record.expires_at.or(by_file);
    let entry = Entry {
        credential,
        provider_rev: loaded.rev.clone(),
        created_at,
        updated_at: now,
        expires_at,
        record: Some(record.clone().after(None)),
    };
    Ok(store.save(&entry)?)
}

impl Report for SetUp {
    fn text(&self, ui: &Ui) -> String {
        let name = self.name.to_string();
        let mut verdict = checking::told(&self.record, 2, Look::of_stdout(ui));
        if self.is_told && ui.out_is_watched() {
            verdict.truncate(verdict.find('\n').map_or(0, |end| end + 1));
        }
        if self.saved {
            format!("{name}  {verdict}  saved in the {}, {}\n", self.store.word(), self.place)
        } else {
            format!("{name}  {verdict}  not saved\n")
        }
    }

    fn json(&self) -> Value {
        json!({
            "schema": "keyward.setup/1",
            "saved": self.saved,
            "store": self.store,
            "place": self.place,
            "notes": self.notes,
            "result": checking::result_json(&self.name, &self.record),
        })
    }

    fn notes(&self, _: &Ui) -> Vec<String> {
        let mut notes: Vec<String> = self.notes.iter().map(|note| format!("note: {note}")).collect();
        if self.saved {
            let (name, field) = (&self.name, &self.field);
            notes.push(format!("next: `keyward get {name} {field}`, or `keyward exec {name} -- CMD`"));
        } else {
            let again = match self.record.verdict {
                Verdict::Inconclusive | Verdict::Unchecked if self.record.why == "needs-consent" => {
                    "next: allow the check with `--allow EFFECT`, or save unasked with `--no-check`"
                }
                Verdict::Inconclusive | Verdict::Unchecked if self.replaces_good => {
                    "next: ask the service again later; the stored credential is good and stays (`--force` replaces it)"
                }
                Verdict::Inconclusive | Verdict::Unchecked => {
                    "next: try again later, or save it unverified with `--accept inconclusive`"
                }
                _ => "next: run the same again with the right value; what was stored before is untouched",
            };
            notes.push(again.to_owned());
        }
        notes
    }

    fn exit(&self) -> u8 {
        match self.record.verdict {
            Verdict::Unchecked if self.no_check && self.saved => 0,
            verdict => verdict.kind().map_or(0, Kind::exit),
        }
    }
}
