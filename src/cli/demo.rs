//! `demo`: the whole way in a minute, with no account and no network.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::check::{result_json, told};
use super::house::House;
use super::look::Look;
use super::report::{Report, Reported};
use crate::check::{self, Door, Options, Script};
use crate::credential::format::Answers;
use crate::credential::{Credential, CredentialName, Value as FieldValue};
use crate::deliver::{self, child};
use crate::problem::{Kind, Problem};
use crate::provider::catalog::{Catalog, Loaded};
use crate::secret::Secret;
use crate::setup::{self, Given, Plan, Progress, Walked};
use crate::standin::StandIn;
use crate::store::vault::{FirstSlot, Keys, Vault};
use crate::store::{Entry, Life, Store as _};
use crate::ui::ask::TerminalAsk;
use crate::ui::terminal::Guard;
use crate::ui::{Dress, Ui};
use crate::verdict::{Record, Verdict};

/// The service that is rehearsed: one secret, so that it takes a minute.
const PROVIDER: &str = "zotero";
const FIELD: &str = "api_key";

/// Rehearse the whole way, without any account and without network
///
/// A stand-in on this machine answers as the service would. A wrong key is rejected, the right one accepted, stored in a
/// throw-away vault, read back and handed to a child. In a terminal you enter the keys yourself; otherwise it runs by itself.
/// Nothing is left behind.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  keyward demo\n  keyward demo --no-input")]
pub(crate) struct DemoArgs {}

struct Shown {
    rejected: Record,
    accepted: Record,
    name: CredentialName,
    child: String,
}

/// A stage that is gone when it is dropped.
struct Stage<'h> {
    house: &'h House,
    loaded: Loaded,
    name: CredentialName,
    service: StandIn,
    vault: Vault,
    wrong: Secret,
    right: Secret,
    // Dropped last: the vault and its identity are in it.
    folder: tempfile::TempDir,
    _guard: Guard,
}

/// Rehearses.
pub(crate) fn run(_: &DemoArgs, house: &House) -> Reported {
    let stage = Stage::build(house)?;
    stage.scene(1, &format!("Walk: what an operator does at {}", stage.loaded.provider.provider.name));
    let mut credential = stage.walk()?;
    stage.scene(2, "Prove: a key that was mistyped");
    let rejected = stage.prove(&mut credential, Verdict::Rejected, &stage.wrong)?;
    stage.say("Nothing is stored: a rejected value never replaces anything.");
    stage.scene(3, "Prove: the right key");
    stage.enter(&mut credential, "Now paste this one:", &stage.right)?;
    let accepted = stage.prove(&mut credential, Verdict::Accepted, &stage.right)?;
    stage.scene(4, "Store: a throw-away vault");
    stage.store(credential, &accepted)?;
    stage.scene(5, "Use: a child with the key in its environment");
    let child = stage.use_it()?;
    stage.say(&child);
    stage.clean_up()?;
    Ok(Box::new(Shown { rejected, accepted, name: stage.name, child }))
}

impl<'h> Stage<'h> {
    fn build(house: &'h House) -> Result<Self, Problem> {
        let failed = |error: io::Error| {
            Problem::new(Kind::Store, "demo", "cannot set the stage for the demo")
                .seen(error.to_string())
                .hint("set TMPDIR to a folder that can be written to")
        };
        // Always the built-in file: what is shown must not depend on files of one's own.
        let loaded = Catalog::built_in().get(PROVIDER)?;
        let name = CredentialName::new(PROVIDER, "demo")?;
        let (wrong, right) = samples(&loaded)?;
        let mut good = check::sample(&loaded.provider, &BTreeMap::new());
        good.fields.insert(FIELD.to_owned(), FieldValue::Secret(right.clone()));
        let service = StandIn::play(Script::new(loaded.provider.clone(), good)).map_err(failed)?;
        let folder = tempfile::Builder::new().prefix("keyward-demo-").tempdir().map_err(failed)?;
        let guard = Guard::with_litter(folder.path()).map_err(failed)?;
        let identity = folder.path().join("identity");
        let keys = Keys { usual_identity_file: Some(identity.clone()), ..Keys::default() };
        let clock = std::sync::Arc::clone(&house.clock);
        let vault = Vault::at(folder.path().join("vault.toml"), keys, house.lock_timeout(), clock);
        vault.init(FirstSlot::Identity(identity), "demo")?;
        Ok(Self { house, loaded, name, service, vault, wrong, right, folder, _guard: guard })
    }

    fn scene(&self, number: u8, title: &str) {
        let ui = &self.house.ui;
        ui.note(&format!(
            "\n{} {}",
            ui.err_paint(Dress::Dim, &format!("{number}/5")),
            ui.err_paint(Dress::Bold, title)
        ));
    }

    fn say(&self, text: &str) {
        self.house.ui.note(&format!("  {text}"));
    }

    /// The walk: by hand in a terminal, else with the wrong key given.
    fn walk(&self) -> Result<Credential, Problem> {
        let ui = &self.house.ui;
        let provider = &self.loaded.provider;
        if ui.may_ask() {
            self.say("This is a rehearsal: open nothing, and paste this key when you are asked:");
            // To the terminal: a sample that no service knows.
            ui.note(&format!("{}\n", self.wrong.expose()));
            let mut ask = TerminalAsk::new(ui)?;
            let progress = Progress::nowhere();
            return entered(setup::walk(self.plan(Given::default(), &progress), &mut ask, ui)?);
        }
        for (number, step) in provider.step.iter().enumerate() {
            let place = (number + 1, provider.step.len());
            let label = |id: &String| provider.field(id).map_or_else(|| id.clone(), |field| field.label.clone());
            let capture = step.capture.iter().map(label).collect();
            let page = setup::page(provider, step, place, &Answers::default(), capture);
            ui.note(crate::ui::page::render(&page, ui.width(), ui.err_has_color()).trim_end());
        }
        ui.note("");
        self.say("The key is entered (here: a sample that the service does not know).");
        Ok(setup::collect(provider, &self.name, &self.given(&self.wrong))?.credential)
    }

    fn plan<'a>(&'a self, given: Given, progress: &'a Progress) -> Plan<'a> {
        Plan {
            provider: &self.loaded.provider,
            provider_rev: &self.loaded.rev,
            name: &self.name,
            given,
            progress,
            home: None,
        }
    }

    fn given(&self, key: &Secret) -> Given {
        let mut given = Given::default();
        given.answers.fields.insert(FIELD.to_owned(), key.clone());
        given
    }

    /// `key` in place of the one before: by hand in a terminal.
    fn enter(&self, credential: &mut Credential, ask_for: &str, key: &Secret) -> Result<(), Problem> {
        let ui = &self.house.ui;
        if ui.may_ask() {
            self.say(ask_for);
            // To the terminal: a sample that only the stand-in knows.
            ui.note(&format!("{}\n", key.expose()));
            let mut ask = TerminalAsk::new(ui)?;
            let given = Given { answers: Answers::from(&*credential), ..Given::default() };
            let progress = Progress::nowhere();
            *credential = entered(setup::amend(self.plan(given, &progress), &[FIELD.to_owned()], &mut ask, ui)?)?;
            return Ok(());
        }
        *credential = setup::collect(&self.loaded.provider, &self.name, &self.given(key))?.credential;
        Ok(())
    }

    /// Asks until the answer is the one that is `due`: whoever pastes another key than `key` is shown it again.
    fn prove(&self, credential: &mut Credential, due: Verdict, key: &Secret) -> Result<Record, Problem> {
        loop {
            let record = self.ask(credential);
            let is_other = matches!(record.verdict, Verdict::Accepted | Verdict::Rejected);
            if record.verdict == due {
                return Ok(record);
            }
            if !is_other || !self.house.ui.may_ask() {
                let (met, why) = (record.verdict.word(), &record.why);
                let met = format!("the stand-in gave {met} ({why}) where {} was due", due.word());
                return Err(Problem::new(Kind::Bug, "demo", met)
                    .hint("a proxy or firewall on this machine may answer in its place: see `keyward doctor`"));
            }
            self.enter(credential, "That was another key. Paste this one:", key)?;
        }
    }

    /// Asks the stand-in as the real service would be asked.
    fn ask(&self, credential: &Credential) -> Record {
        let options = Options {
            timeout: Some(Duration::from_secs(10)),
            endpoint: Some(self.service.url()),
            ..Options::default()
        };
        let record = check::ask(&self.loaded.provider, credential, Door::shared(), &options, &*self.house.clock);
        self.house.ui.note(&format!("  {}", told(&record, 4, Look::of_stderr(&self.house.ui)).trim_end()));
        record
    }

    fn store(&self, credential: Credential, record: &Record) -> Result<(), Problem> {
        let now = self.house.clock.now();
        let entry = Entry {
            credential,
            provider_rev: self.loaded.rev.clone(),
            created_at: now,
            updated_at: now,
            expires_at: record.expires_at,
            life: Life { service: record.expires_at, ..Life::default() },
            record: Some(record.clone()),
        };
        self.vault.save(&entry)?;
        self.say(&format!("saved in {}", self.vault.place()));
        let sealed = self.vault.show(&self.name)?.sealed.join(", ");
        self.say(&format!("sealed in it: {sealed}; names and verdict are readable"));
        Ok(())
    }

    /// Reads the key back and runs a child with it.
    fn use_it(&self) -> Result<String, Problem> {
        let entry = self.vault.load(&self.name)?;
        let pairs = deliver::pairs(&entry.credential, Some(&self.loaded.provider));
        let variable = pairs.first().map(|pair| pair.name.clone()).unwrap_or_default();
        let script = format!("echo \"the child finds {variable}, ${{#{variable}}} characters\"");
        let mut command = child::command(&"sh".into(), &["-c".into(), script.into()], &pairs);
        let output = command.output().map_err(|error| {
            Problem::new(Kind::Bug, "demo-child", "cannot run `sh` as the child of the demo").seen(error.to_string())
        })?;
        Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
    }

    /// Removes the throw-away vault; failing at that is said.
    fn clean_up(&self) -> Result<(), Problem> {
        std::fs::remove_dir_all(self.folder.path()).map_err(|error| {
            Problem::new(Kind::Store, "demo-left", format!("cannot remove {}", self.folder.path().display()))
                .seen(error.to_string())
        })?;
        self.say("cleaned up: nothing is left of this");
        Ok(())
    }
}

fn entered(walked: Walked) -> Result<Credential, Problem> {
    match walked {
        Walked::Done { checked, .. } => Ok(checked.credential),
        Walked::Quit => Err(Problem::new(Kind::Interrupted, "left", "the demo was left; nothing was kept")),
    }
}

/// A good sample of the field, as the provider file has it, and the same mistyped: of the same form, and another key.
fn samples(loaded: &Loaded) -> Result<(Secret, Secret), Problem> {
    let good = loaded.provider.field(FIELD).and_then(|field| field.format.good.first());
    let right = good
        .map(|sample| sample.0.clone())
        .ok_or_else(|| Problem::new(Kind::Bug, "demo", format!("{PROVIDER} has no sample of `{FIELD}`")))?;
    let wrong: String = right.chars().rev().collect();
    Ok((wrong.into(), right.into()))
}

impl Report for Shown {
    fn text(&self, ui: &Ui) -> String {
        format!("\n{} walked, proven, stored and used\n", ui.paint(Dress::Good, "done:"))
    }
    fn notes(&self, _: &Ui) -> Vec<String> {
        vec!["next: `keyward provider list` shows what can be set up for real".into()]
    }
    fn json(&self) -> Value {
        json!({
            "schema": "keyward.demo/1",
            "rejected": result_json(&self.name, &self.rejected, None),
            "accepted": result_json(&self.name, &self.accepted, None),
            "child": self.child,
        })
    }
}
