//! `setup`: the walk, the proof, the store.

use std::ffi::OsStr;
use std::io::{self, IsTerminal as _};
use std::path::Path;
use std::rc::Rc;
use std::time::Instant;

use chrono::{DateTime, Utc};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::check::{self as checking, Asking};
use super::complete;
use super::expiry::{self, Dates, Wish};
use super::house::House;
use super::look::Look;
use super::report::{Report, Reported};
use crate::audit::{Deed, Event};
use crate::check::{self, Door, Options};
use crate::credential::format::Answers;
use crate::credential::{Credential, CredentialName};
use crate::deliver::Pair;
use crate::problem::{Kind, Problem, nearest};
use crate::provider::catalog::Loaded;
use crate::provider::{Effects, Provider, Status};
use crate::secret::Secret;
use crate::setup::{self, Given, Outside, Plan, Progress, Sources, Walked};
use crate::store::{End, Entry, Life, Store, StoreError, StoreKind, Summary};
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
    after_help = "Examples:\n  keyward setup zotero\n  keyward setup google/staging --var redirect_uri=docspace\n  keyward setup zotero --no-input --field api_key=@key.txt\n  pass show zotero | keyward setup zotero --field api_key=-\n  keyward setup aws-s3 --from-env --no-input --json\n  keyward setup zotero --expires 90d"
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
    /// Walk only the part of this person, where it takes several
    ///
    /// `keyward provider show ID` names them. What others have is kept as it is stored.
    #[arg(long = "as", value_name = "PERSON", conflicts_with = "only")]
    persona: Option<String>,
    /// When it ends: a date, a span such as `90d`, or `never`
    ///
    /// For what is stored already, and alone, it sets the end and asks for nothing. The end goes when a secret is replaced.
    #[arg(long, value_name = "WHEN", value_parser = expiry::wish)]
    expires: Option<Wish>,
    #[command(flatten)]
    saving: Saving,
    /// The command that this is done for.
    #[arg(skip = "setup")]
    command: &'static str,
    /// A value that was entered already: the field, and what it is.
    #[arg(skip)]
    entered: Option<(String, Secret)>,
    /// What stands in the place of the environment.
    #[arg(skip)]
    imported: Option<Rc<[Pair]>>,
}

/// How it is proven and when it is saved; shared with `edit` and `import`.
#[derive(Args, Debug, Clone)]
pub(crate) struct Saving {
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

impl SetupArgs {
    /// `--only FIELD`, of which the value was entered already.
    pub(crate) fn edited(name: CredentialName, field: String, value: Secret, saving: Saving) -> Self {
        Self { only: vec![field.clone()], entered: Some((field, value)), ..Self::bare(name, saving, "edit") }
    }

    /// `--from-env`, of variables that were read from a file. Nothing is asked for.
    pub(crate) fn imported(name: CredentialName, vars: Vec<String>, variables: Rc<[Pair]>, saving: Saving) -> Self {
        Self { vars, from_env: true, imported: Some(variables), ..Self::bare(name, saving, "import") }
    }

    fn bare(name: CredentialName, saving: Saving, command: &'static str) -> Self {
        Self {
            name,
            fields: Vec::new(),
            fields_from: None,
            from_env: false,
            vars: Vec::new(),
            only: Vec::new(),
            persona: None,
            expires: None,
            saving,
            command,
            entered: None,
            imported: None,
        }
    }

    fn may_ask(&self, house: &House) -> bool {
        self.imported.is_none() && house.ui.may_ask()
    }
}

impl Saving {
    /// Refuses what cannot be followed, before anything is read.
    pub(crate) fn validate(&self, house: &House) -> Result<(), Problem> {
        self.asking.validate(house)
    }
}

/// A verdict under which saving may be asked for beforehand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Acceptable {
    /// Saved anyway
    Limited,
    /// Also covers `unchecked`
    Inconclusive,
}

struct SetUp {
    name: CredentialName,
    record: Record,
    /// When it ends by all that is known, once it is saved.
    end: Option<End>,
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

/// A part without values was walked, and nothing is stored yet.
struct Advised(CredentialName);

impl Report for Advised {
    fn text(&self, _: &Ui) -> String {
        format!("{}  this part has no values; nothing was saved\n", self.0)
    }
    fn json(&self) -> Value {
        json!({ "schema": "keyward.setup/1", "saved": false, "result": null })
    }
    fn notes(&self, _: &Ui) -> Vec<String> {
        vec![format!("next: the others walk theirs: `keyward provider show {}` names them", self.0.provider())]
    }
}

/// Walks, asks, saves.
pub(crate) fn run(args: &SetupArgs, house: &House) -> Reported {
    let wished = args.expires.map(|wish| wish.end(house.clock.now())).transpose()?;
    if let Some(end) = wished.filter(|_| gives_no_value(args))
        && let Some(dated) = set_end(args, house, end)?
    {
        return Ok(Box::new(dated));
    }
    let loaded = house.catalog()?.get(args.name.provider())?;
    args.saving.validate(house)?;
    refuse_retired(&loaded.provider)?;
    if args.may_ask(house) {
        house.trust_or_ask(&loaded)?;
    } else {
        house.trusted(&loaded)?;
    }
    let stored = house.stored(&args.name)?;
    let walked = own_part(args, &loaded)?;
    let given = gather(args, house, &walked.provider, stored.is_some())?;
    let mut checked = match enter(args, house, &walked, given)? {
        Walked::Done { checked, .. } => checked,
        Walked::Quit => return Err(left(&args.name)),
    };
    if checked.credential.fields.is_empty() && args.persona.is_some() {
        return Ok(Box::new(Advised(args.name.clone())));
    }
    house.ui.detail(1, &format!("provider file {}", loaded.rev));
    let mut record = prove(args, house, &loaded.provider, &checked.credential, None)?;
    while record.verdict == Verdict::Rejected && args.may_ask(house) && !args.saving.force {
        let refused_at = Some(Instant::now());
        house.ui.note(&format!("\n{}", checking::told(&record, 2, Look::of_stderr(&house.ui))));
        if !house.confirm("Enter it again?", true)? {
            break;
        }
        checked = match again(args, house, &walked, &checked.credential, &record.blame)? {
            Walked::Done { checked, .. } => checked,
            Walked::Quit => return Err(left(&args.name)),
        };
        record = prove(args, house, &loaded.provider, &checked.credential, refused_at)?;
    }
    let field = telling_field(&checked.credential);
    let kind = house.decide_store()?;
    let Decision { saved, is_told } = may_save(args, house, stored.as_ref(), &record)?;
    let store = if saved { house.open_for_saving(kind, args.command)? } else { house.open(kind)? };
    let mut notes: Vec<String> =
        checked.remarks.iter().map(|remark| format!("note: {}: {}", remark.label, remark.text)).collect();
    let mut end = None;
    let event = |deed| {
        let fields = checked.credential.fields.keys().map(String::as_str);
        Event::done(args.command, deed, Some(&args.name)).of(fields)
    };
    if !saved && record.verdict != Verdict::Unchecked {
        house.log(&[event(Deed::Checked).ended(record.verdict.word())]);
    }
    if saved {
        let event = event(Deed::Saved).ended(record.verdict.word()).detail(format!("in the {}", kind.word()));
        let save = || save(house, store, &loaded, checked.credential.clone(), &record, wished);
        let dates = house.doing(event, save)?;
        end = dates.life.first();
        notes.extend(dates.dropped.map(|dropped| expiry::dropped_note(&args.name.to_string(), dropped)));
    }
    Ok(Box::new(SetUp {
        name: args.name.clone(),
        record,
        end,
        store: kind,
        place: store.place(),
        saved,
        is_told,
        no_check: args.saving.no_check,
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

/// What is walked: all of it, or the part of the person that `--as` names.
fn own_part(args: &SetupArgs, loaded: &Loaded) -> Result<Loaded, Problem> {
    let Some(id) = &args.persona else { return Ok(loaded.clone()) };
    let provider = &loaded.provider;
    if provider.persona(id).is_some() {
        // How far one person has come says nothing about another.
        let rev = format!("{} as {id}", loaded.rev);
        return Ok(Loaded { provider: setup::part(provider, id), rev, origin: loaded.origin.clone() });
    }
    let known = || provider.persona.iter().map(|persona| persona.id.as_str());
    let what = format!("the set-up of {} has no part for `{}`", provider.id(), plain(id));
    let problem = Problem::new(Kind::NotFound, "no-such-persona", what);
    Err(match nearest(id, known()) {
        Some(near) => problem.hint(format!("did you mean `{near}`?")),
        None if provider.persona.is_empty() => problem.hint("one person does all of it: leave `--as` out"),
        None => problem.hint(format!("there are: {}", known().collect::<Vec<_>>().join(", "))),
    })
}

/// Values from flags, files and the environment.
fn gather(args: &SetupArgs, house: &House, provider: &Provider, is_stored: bool) -> Result<Given, Problem> {
    let wanted = Sources {
        field: args.fields.clone(),
        fields_from: args.fields_from.clone(),
        from_env: args.from_env,
        var: args.vars.clone(),
    };
    let look_up = |name: &str| match &args.imported {
        // As if it were in the environment.
        Some(variables) => variables.iter().find(|pair| pair.name == name).map(|pair| pair.value.expose().into()),
        None => house.env.get_os(name).map(OsStr::to_os_string),
    };
    let mut stdin = io::stdin();
    let stdin_is_terminal = stdin.is_terminal();
    let mut given = setup::gather(provider, &wanted, Outside { env: &look_up, stdin: &mut stdin, stdin_is_terminal })?;
    if let Some((field, value)) = &args.entered {
        given.origins.insert(field.clone(), "the editor".to_owned());
        given.answers.fields.insert(field.clone(), value.clone());
    }
    if !args.only.is_empty() {
        known_fields(args, provider)?;
        keep_stored(args, house, &mut given, &|id| !args.only.iter().any(|only| only == id))?;
    } else if let Some(persona) = args.persona.as_ref().filter(|_| is_stored) {
        let is_other = |id: &str| {
            let whose = provider.field(id).and_then(|field| field.persona.as_ref());
            whose.is_some_and(|whose| whose != persona)
        };
        keep_stored(args, house, &mut given, &is_other)?;
    }
    Ok(given)
}

/// `--only` names fields that there are.
fn known_fields(args: &SetupArgs, provider: &Provider) -> Result<(), Problem> {
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
    Ok(())
}

/// Takes over the stored values of the fields that `is_kept` names, and the variables.
fn keep_stored(
    args: &SetupArgs,
    house: &House,
    given: &mut Given,
    is_kept: &dyn Fn(&str) -> bool,
) -> Result<(), Problem> {
    let entry = house.value_in_stores(|store| store.load(&args.name))?;
    let stored = Answers::from(&entry.credential);
    for (id, value) in stored.fields {
        if is_kept(&id) && !given.answers.fields.contains_key(&id) {
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
    if !args.may_ask(house) || args.entered.is_some() {
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
fn prove(
    args: &SetupArgs,
    house: &House,
    provider: &Provider,
    credential: &Credential,
    refused_at: Option<Instant>,
) -> Result<Record, Problem> {
    if args.saving.no_check {
        return Ok(Record::unasked(Verdict::Unchecked, "no-check", house.clock.now()));
    }
    let consent = consent(args, house, provider)?;
    let options = Options { refused_at, ..args.saving.asking.options(house, provider.id(), consent)? };
    house.ui.note(&format!("Asking {} …", provider.provider.name));
    Ok(check::ask(provider, credential, Door::shared(), &options, &*house.clock))
}

/// Which effects are allowed: those of `--allow`, or what the operator says.
fn consent(args: &SetupArgs, house: &House, provider: &Provider) -> Result<Effects, Problem> {
    let usual = args.saving.asking.allow.unwrap_or(Effects::IssuesToken).max(Effects::IssuesToken);
    let strongest = provider.check.iter().map(|check| check.effects).max().unwrap_or(Effects::None);
    if strongest <= usual || !args.may_ask(house) {
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
        _ if args.saving.force => {
            house.ui.always(&format!(
                "warning: --force: saving although the verdict is {} ({})",
                record.verdict.word(),
                record.why
            ));
            untold(true)
        }
        Verdict::Rejected => Ok(Decision { saved: false, is_told: args.may_ask(house) }),
        Verdict::Malformed => untold(false),
        Verdict::Unchecked if args.saving.no_check && !replaces_good => untold(true),
        Verdict::Inconclusive | Verdict::Unchecked
            if args.saving.accept.contains(&Acceptable::Inconclusive) && !replaces_good =>
        {
            untold(true)
        }
        Verdict::Inconclusive | Verdict::Unchecked => asked(args, house, record, replaces_good),
    }
}

fn replaces_good(stored: Option<&Summary>) -> bool {
    stored.and_then(|summary| summary.record.as_ref()).is_some_and(|last| last.last_good().is_some())
}

fn asked(args: &SetupArgs, house: &House, record: &Record, replaces_good: bool) -> Result<Decision, Problem> {
    if !args.may_ask(house) {
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
    wished: Option<Option<DateTime<Utc>>>,
) -> Result<Dates, Problem> {
    let now = house.clock.now();
    let before = before(store, &credential.name)?;
    let dates = expiry::dates(&loaded.provider, &credential, before.as_ref(), record, wished, now);
    let entry = Entry {
        credential,
        provider_rev: loaded.rev.clone(),
        created_at: dates.created_at,
        updated_at: dates.updated_at,
        expires_at: dates.life.first().map(|end| end.at),
        life: dates.life.clone(),
        record: Some(record.clone().after(None)),
    };
    store.save(&entry)?;
    Ok(dates)
}

/// What is stored under that name. Of what is damaged the dates are known: to save it again is the way out.
fn before(store: &dyn Store, name: &CredentialName) -> Result<Option<Entry>, Problem> {
    match store.load(name) {
        Ok(entry) => Ok(Some(entry)),
        Err(StoreError::NotFound { .. }) => Ok(None),
        Err(damaged @ StoreError::Damaged { .. }) => {
            let summary = store.show(name).map_err(|_| damaged)?;
            let life = Life { operator: summary.life.operator, ..Life::default() };
            Ok(Some(Entry {
                credential: Credential::new(name.clone()),
                provider_rev: summary.provider_rev,
                created_at: summary.created_at,
                updated_at: summary.updated_at,
                expires_at: life.operator,
                life,
                record: None,
            }))
        }
        Err(error) => Err(error.into()),
    }
}

/// Whether nothing was given that could be a value, nor a field to be asked for.
fn gives_no_value(args: &SetupArgs) -> bool {
    args.fields.is_empty()
        && args.fields_from.is_none()
        && !args.from_env
        && args.vars.is_empty()
        && args.only.is_empty()
        && args.persona.is_none()
}

/// Sets the end of what is stored and nothing else. Nothing when nothing is stored.
fn set_end(args: &SetupArgs, house: &House, end: Option<DateTime<Utc>>) -> Result<Option<Dated>, Problem> {
    if house.stored(&args.name)?.is_none() {
        return Ok(None);
    }
    let (store, mut entry) = house.value_in_stores(|store| Ok((store.kind(), store.load(&args.name)?)))?;
    if let (None, Some(known)) = (entry.life.first(), entry.end()) {
        entry.life.set(known.by, Some(known.at));
    }
    entry.life.operator = end;
    entry.expires_at = entry.life.first().map(|end| end.at);
    let event = Event::done("setup --expires", Deed::Saved, Some(&args.name));
    let event = event.detail(end.map_or("no end".to_owned(), |end| format!("ends {}", super::show::time(end))));
    house.doing(event, || Ok(house.open(store)?.save(&entry)?))?;
    Ok(Some(Dated { name: args.name.clone(), store, end: entry.end(), now: house.clock.now() }))
}

/// The end of a stored credential was set.
struct Dated {
    name: CredentialName,
    store: StoreKind,
    end: Option<End>,
    now: DateTime<Utc>,
}

impl Report for Dated {
    fn text(&self, _: &Ui) -> String {
        match self.end {
            Some(end) => {
                let (word, rest) = expiry::told(end, self.now);
                format!("{}  {word} {rest}\n", self.name)
            }
            None => format!("{}  no end is known\n", self.name),
        }
    }
    fn json(&self) -> Value {
        json!({
            "schema": "keyward.setup/1",
            "saved": true,
            "store": self.store,
            "result": null,
            "expires_at": self.end.map(|end| super::show::time(end.at)),
            "expires_by": self.end.map(|end| end.by),
        })
    }
}

impl Report for SetUp {
    fn text(&self, ui: &Ui) -> String {
        let name = self.name.to_string();
        // Once it is saved the end is told below, with who says so.
        let expires_at = self.record.expires_at.filter(|_| self.end.is_none());
        let mut verdict = checking::told(&Record { expires_at, ..self.record.clone() }, 2, Look::of_stdout(ui));
        if self.is_told && ui.out_is_watched() {
            verdict.truncate(verdict.find('\n').map_or(0, |end| end + 1));
        }
        if self.saved {
            let end = self.end.map(|end| expiry::told(end, self.record.checked_at));
            let end = end.map(|(word, rest)| format!("  {word}: {rest}\n")).unwrap_or_default();
            format!("{name}  {verdict}{end}  saved in the {}, {}\n", self.store.word(), self.place)
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
            "notes": self.notes.iter().map(|note| note.trim_start_matches("note: ")).collect::<Vec<_>>(),
            "result": checking::result_json(&self.name, &self.record, self.end),
        })
    }

    fn notes(&self, _: &Ui) -> Vec<String> {
        let mut notes: Vec<String> = self.notes.clone();
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
