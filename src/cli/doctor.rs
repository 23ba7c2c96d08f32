//! `doctor`: what works here, and what to do where it does not.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use serde::Serialize;
use serde_json::{Value, json};

use super::house::House;
use super::report::{Report, Reported};
use crate::audit::AuditError;
use crate::check;
use crate::problem::{Kind, Problem};
use crate::store::StoreKind;
use crate::store::items::Items;
use crate::store::keyring::{self, Inspection, KeyringStore, SystemItems};
use crate::store::vault::Keys;
use crate::ui::page::hang;
use crate::ui::{Dress, Ui, counted};

/// Say what works here and what to do where it does not
///
/// Looks at the config file, vault, identity, keyring, audit log, permissions, clock, proxy, certificates and provider folders. Asks no
/// service. Ends with 8 when the store in use does not work, 9 when it is damaged, 10 when a provider file is wrong.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  keyward doctor\n  keyward doctor --json | jq '.findings[] | select(.state != \"ok\")'"
)]
pub(crate) struct DoctorArgs {}

/// How one thing stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    Ok,
    /// Worth a look; nothing fails because of it.
    Note,
    Broken,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Finding {
    what: &'static str,
    state: State,
    seen: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hints: Vec<String>,
    #[serde(skip)]
    kind: Option<Kind>,
}

impl Finding {
    fn new(what: &'static str, state: State, seen: impl Into<String>) -> Self {
        Self { what, state, seen: seen.into(), hints: Vec::new(), kind: None }
    }

    fn of(what: &'static str, state: State, problem: &Problem) -> Self {
        Self {
            what,
            state,
            seen: problem.message.clone(),
            // Whoever reads this need not be sent here.
            hints: problem.hints.iter().filter(|hint| !hint.contains("keyward doctor")).cloned().collect(),
            kind: (state == State::Broken).then_some(problem.kind),
        }
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}

struct Diagnosis(Vec<Finding>);

/// Looks at everything.
pub(crate) fn run(_: &DoctorArgs, house: &House) -> Reported {
    let mut findings = vec![version(), config(house), store(house)];
    findings.extend(vault(house));
    findings.extend(keyring(house));
    findings.extend(in_both(house));
    findings.push(audit(house));
    findings.push(clock(house));
    findings.push(proxy(house));
    findings.push(certificates());
    findings.extend(providers(house));
    findings.push(terminal(house));
    Ok(Box::new(Diagnosis(findings)))
}

fn version() -> Finding {
    Finding::new(
        "version",
        State::Ok,
        format!("keyward {} on {}-{}", env!("CARGO_PKG_VERSION"), std::env::consts::ARCH, std::env::consts::OS),
    )
}

fn config(house: &House) -> Finding {
    let path = house.places.config.display();
    if house.places.config.exists() {
        Finding::new("config", State::Ok, path.to_string())
    } else {
        Finding::new("config", State::Ok, format!("defaults; {path} is not there"))
    }
}

fn store(house: &House) -> Finding {
    match house.named_store() {
        Some(kind) => Finding::new("store", State::Ok, format!("{} ({})", kind.word(), house.store_origin)),
        None => Finding::new("store", State::Note, "not decided yet: the first `setup` decides and records it")
            .hint("`--store vault` or `--store keyring` decides now"),
    }
}

fn vault(house: &House) -> Vec<Finding> {
    let path = house.vault_path();
    let status = house.vault().and_then(|vault| Ok(if vault.exists()? { Some(vault.status()?) } else { None }));
    match status {
        Err(problem) => vec![Finding::of("vault", State::Broken, &house.with_backup(problem))],
        Ok(None) => {
            vec![Finding::new("vault", State::Ok, format!("{} ({}): not made yet", path.display(), house.vault_origin))]
        }
        Ok(Some(status)) => {
            let seen = format!(
                "{} ({}): {}, epoch {}",
                path.display(),
                house.vault_origin,
                counted(status.entries, "credential"),
                status.epoch
            );
            vec![Finding::new("vault", State::Ok, seen), identity(house)]
        }
    }
}

/// Which source opens the vault. A passphrase is not asked for, and nobody is waited for.
fn identity(house: &House) -> Finding {
    let keyring = Some(Arc::new(SystemItems::new()) as Arc<dyn Items>);
    let opened = house
        .keys()
        .and_then(|keys| Ok(house.vault_with(Keys { ask: None, keyring, ..keys }).only_looking().unlock()?));
    match opened {
        Ok(source) => Finding::new("identity", State::Ok, format!("the vault opens with the {source}")),
        Err(problem) => Finding::of("identity", State::Broken, &problem),
    }
}

fn keyring(house: &House) -> Vec<Finding> {
    let in_use = house.named_store() == Some(StoreKind::Keyring);
    let state = if in_use { State::Broken } else { State::Note };
    if let Err(error) = keyring::probe(Arc::new(SystemItems::new())) {
        return vec![Finding::of("keyring", state, &error.into())];
    }
    let mut findings = vec![Finding::new("keyring", State::Ok, "written, read back and deleted")];
    // Nobody is waited for.
    let items = Arc::new(SystemItems::new());
    let store = KeyringStore::new(items, house.places.index.clone(), house.lock_timeout());
    match store.inspect() {
        Ok(found) => {
            findings.extend(inspected(&found));
            findings.extend(keys_of_gone_vaults(house, &found.vaults));
        }
        Err(error) => findings.push(Finding::of("keyring", state, &error.into())),
    }
    findings
}

/// What does not fit between the keyring and what is known of it.
fn inspected(found: &Inspection) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut note = |seen: String, hint: String| {
        findings.push(Finding::new("keyring", State::Note, seen).hint(hint));
    };
    let clear = |accounts: &[String]| match accounts {
        [] => String::new(),
        [first, ..] => format!("secret-tool clear service keyward username '{first}'"),
    };
    if found.leftover > 0 {
        note(
            format!("{} to be deleted: a change was cut short", counted(found.leftover, "item")),
            "the next change in the keyring deletes them".into(),
        );
    }
    if !found.orphans.is_empty() {
        note(
            format!("{} that nothing knows of: {}", counted(found.orphans.len(), "item"), some(&found.orphans)),
            format!("each is deleted with: {}", clear(&found.orphans)),
        );
    }
    if !found.foreign.is_empty() {
        note(
            format!("{} of another index: {}", counted(found.foreign.len(), "item"), some(&found.foreign)),
            format!(
                "leave them when another home or machine uses this keyring; when its keyring.toml is lost, put that back, or: {}",
                clear(&found.foreign)
            ),
        );
    }
    for name in &found.gutted {
        let mut finding = Finding::new("keyring", State::Broken, format!("a value of {name} is gone from the keyring"))
            .hint(format!("set it up again: keyward setup {name}"));
        finding.kind = Some(Kind::Damaged);
        findings.push(finding);
    }
    findings
}

/// Keys in the keyring whose vault is not where it was.
///
/// Only what this machine has seen of a vault tells where it was: of the key of another one nothing is said.
fn keys_of_gone_vaults(house: &House, ids: &[String]) -> Vec<Finding> {
    let Ok(vault) = house.vault() else { return Vec::new() };
    let gone = ids.iter().filter_map(|id| Some((id, vault.is_gone_from(id)?)));
    let finding = |(id, seen_at): (&String, PathBuf)| {
        // Forgotten, or another vault is there now: then nothing tells its place.
        let place = match seen_at.as_os_str().is_empty() {
            true => String::new(),
            false => format!(", last seen at {}", seen_at.display()),
        };
        Finding::new("keyring", State::Note, format!("the key of a vault that is gone{place}")).hint(format!(
            "when no copy and no backup of it is needed any more: secret-tool clear service keyward username 'vault:{id}'"
        ))
    };
    gone.map(finding).collect()
}

/// The first few.
fn some(accounts: &[String]) -> String {
    const SHOWN: usize = 3;
    let more = if accounts.len() > SHOWN { ", …" } else { "" };
    format!("{}{more}", accounts[..accounts.len().min(SHOWN)].join(", "))
}

/// Credentials that both stores hold, as a move that was cut short leaves them.
fn in_both(house: &House) -> Vec<Finding> {
    let names = |kind| house.open(kind).ok().and_then(|store| store.names().ok()).unwrap_or_default();
    let (vault, keyring) = (names(StoreKind::Vault), names(StoreKind::Keyring));
    let twice = vault.iter().filter(|name| keyring.binary_search(name).is_ok());
    let finding = |name| {
        Finding::new("stores", State::Note, format!("{name} is in the vault and in the keyring"))
            .hint(format!("`keyward move {name} --to STORE` finishes a move that was cut short"))
    };
    twice.map(finding).collect()
}

/// Whether deeds are logged, and whether the log holds.
fn audit(house: &House) -> Finding {
    let Some(log) = house.audit() else {
        return Finding::new("audit", State::Ok, format!("off ({})", house.audit_origin));
    };
    if let Err(error) = log.writable() {
        return Finding::of("audit", State::Note, &error.into())
            .hint("what is done now is on no log; values can be read all the same");
    }
    match log.verify() {
        Ok(whole) => {
            let lines = counted(usize::try_from(whole.lines).unwrap_or(usize::MAX), "line");
            Finding::new("audit", State::Ok, format!("{lines} in {}", log.path().display()))
        }
        Err(error @ AuditError::Broken { .. }) => Finding::of("audit", State::Broken, &error.into()),
        Err(error) => Finding::of("audit", State::Note, &error.into()),
    }
}

/// A clock that is behind makes signed requests fail; what was stored later than now shows it.
fn clock(house: &House) -> Finding {
    let now = house.clock.now();
    let stores = house.stores().unwrap_or_default();
    let newest = stores.iter().filter_map(|store| store.list().ok()).flatten().map(|summary| summary.updated_at).max();
    match newest {
        Some(newest) if newest > now + chrono::TimeDelta::minutes(5) => {
            Finding::new("clock", State::Note, format!("{now} is before the newest credential ({newest})"))
                .hint("set the clock: signed requests fail when it is more than a few minutes off")
        }
        _ => Finding::new("clock", State::Ok, now.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)),
    }
}

fn proxy(house: &House) -> Finding {
    const NAMES: [&str; 8] =
        ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"];
    // Only names: a proxy's address may carry a password.
    let set: Vec<&str> = NAMES.into_iter().filter(|name| house.env.get_os(name).is_some()).collect();
    let seen = if set.is_empty() { "none".to_owned() } else { format!("from {}", set.join(", ")) };
    Finding::new("proxy", State::Ok, seen)
}

fn certificates() -> Finding {
    match check::root_count() {
        0 => Finding::new("certificates", State::Note, "no certificate authority was found: no service can be asked")
            .hint("install `ca-certificates`, or name a file with SSL_CERT_FILE"),
        count => Finding::new("certificates", State::Ok, format!("{count} authorities")),
    }
}

fn providers(house: &House) -> Vec<Finding> {
    let catalog = match house.catalog() {
        Ok(catalog) => catalog,
        Err(problem) => return vec![Finding::of("providers", State::Broken, &problem)],
    };
    let mut findings = Vec::new();
    // Those that are built in were linted when they were built.
    for (id, path) in catalog.ids().into_iter().filter_map(|id| Some((id, catalog.outside(id)?))) {
        match catalog.get(id) {
            Err(error) => findings.push(
                Finding::of("providers", State::Broken, &error.into())
                    .hint(format!("keyward provider lint {}", path.display())),
            ),
            Ok(loaded) if !house.trust().is_trusted(&loaded).unwrap_or(false) => findings.push(
                Finding::new(
                    "providers",
                    State::Note,
                    format!("{} is not trusted: its checks send nothing", path.display()),
                )
                .hint(format!("read it, then `keyward provider trust {id}`")),
            ),
            Ok(_) => {}
        }
    }
    if findings.is_empty() {
        findings.push(Finding::new("providers", State::Ok, format!("{} services", catalog.ids().len())));
    }
    findings
}

fn terminal(house: &House) -> Finding {
    let asks =
        if house.ui.may_ask() { "questions can be asked" } else { "no questions: stdin or stderr is no terminal" };
    Finding::new("terminal", State::Ok, format!("{} columns, {asks}", house.ui.width()))
}

impl Report for Diagnosis {
    fn text(&self, ui: &Ui) -> String {
        let width = ui.row_width();
        let widest = self.0.iter().map(|finding| finding.what.len()).max().unwrap_or(0);
        // Behind `broken`, the name, and two blanks after each.
        let rest = " ".repeat("broken".len() + widest + 4);
        let mut text = String::new();
        for finding in &self.0 {
            let (word, dress) = match finding.state {
                State::Ok => ("ok    ", Dress::Good),
                State::Note => ("note  ", Dress::Warn),
                State::Broken => ("broken", Dress::Bad),
            };
            let lead = format!("{}  {:<widest$}  ", ui.paint(dress, word), finding.what);
            text.push_str(&hang(&finding.seen, width, &lead, &rest));
            for hint in &finding.hints {
                let lead = format!("{rest}{} ", ui.paint(Dress::Dim, "hint:"));
                text.push_str(&hang(hint, width, &lead, &format!("{rest}      ")));
            }
        }
        text
    }
    fn json(&self) -> Value {
        json!({ "schema": "keyward.doctor/1", "findings": self.0 })
    }
    fn exit(&self) -> u8 {
        Kind::most_urgent(self.0.iter().filter_map(|finding| finding.kind)).map_or(0, Kind::exit)
    }
}
