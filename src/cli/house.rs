//! Everything from outside that commands need: terminal, environment, places, settings, stores, catalog, clock.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::ArgMatches;
use clap::parser::ValueSource;

use super::global::Global;
use super::list::age;
use super::provider::hosts;
use crate::audit::{Deed, Event, Log};
use crate::clock::{Clock, SystemClock};
use crate::credential::CredentialName;
use crate::env::{self, Env};
use crate::paths::Places;
use crate::problem::{Kind, Problem};
use crate::provider::catalog::{Catalog, Loaded, Trust};
use crate::provider::translation::language_of;
use crate::secret::Secret;
use crate::settings::{Config, Origin};
use crate::setup::Progress;
use crate::setup::source;
use crate::store::file;
use crate::store::items::Items;
use crate::store::keyring::{self, KeyringStore, SystemItems};
use crate::store::vault::{self, FirstSlot, Keys, Unsealed, Vault, Watch};
use crate::store::{Store, StoreError, StoreKind, Summary};
use crate::ui::ask::{Answer, Ask as _, Question, TerminalAsk};
use crate::ui::{Manner, Ui};

/// What comes from outside. Nothing is opened, connected or decrypted before it is needed.
pub(crate) struct House {
    /// The streams and the terminal.
    pub(crate) ui: Arc<Ui>,
    /// The environment.
    pub(crate) env: Env,
    /// The time.
    pub(crate) clock: Arc<dyn Clock>,
    /// Where things lie.
    pub(crate) places: Places,
    /// The config file.
    pub(crate) config: Config,
    /// What was typed for all commands.
    pub(crate) global: Global,
    /// Who decided store and vault.
    pub(crate) store_origin: Origin,
    pub(crate) vault_origin: Origin,
    identity_origin: Origin,
    /// Who decided whether the audit log is written.
    pub(crate) audit_origin: Origin,
    catalog: OnceCell<Catalog>,
    items: OnceCell<Arc<SystemItems>>,
    vault: OnceCell<Vault>,
    keyring: OnceCell<KeyringStore>,
    decided: OnceCell<StoreKind>,
    handed_over: OnceCell<Secret>,
    said: RefCell<BTreeSet<String>>,
}

impl House {
    /// Reads the config file and nothing else.
    pub(crate) fn new(global: Global, matches: &ArgMatches, manner: Manner, env: Env) -> Result<Self, Problem> {
        refuse_key_as_file(&global)?;
        let places = Places::find(&env)?;
        let config = Config::load(&places.config)?;
        let color = global.color.or(config.color).unwrap_or_default();
        let origin = |id: &str, in_config: bool| match matches.value_source(id) {
            Some(ValueSource::CommandLine) => Origin::Flag,
            Some(ValueSource::EnvVariable) => Origin::Environment,
            _ if in_config => Origin::Config,
            _ => Origin::Default,
        };
        let audit_origin = match (global.no_audit, env.get(env::AUDIT), config.audit) {
            (true, ..) => Origin::Flag,
            (_, Some(_), _) => Origin::Environment,
            (.., Some(_)) => Origin::Config,
            _ => Origin::Default,
        };
        Ok(Self {
            audit_origin,
            store_origin: origin("store", config.store.is_some()),
            vault_origin: origin("vault", config.vault.is_some()),
            ui: Arc::new(Ui::system(Manner { color, ..manner })),
            env,
            clock: Arc::new(SystemClock),
            places,
            config,
            global,
            identity_origin: origin("identity", false),
            catalog: OnceCell::new(),
            items: OnceCell::new(),
            vault: OnceCell::new(),
            keyring: OnceCell::new(),
            decided: OnceCell::new(),
            handed_over: OnceCell::new(),
            said: RefCell::default(),
        })
    }

    /// Says something on stderr, however often it is true, once.
    pub(crate) fn say_once(&self, text: &str) {
        if self.said.borrow_mut().insert(text.to_owned()) {
            self.ui.always(text);
        }
    }

    /// All providers that there are.
    pub(crate) fn catalog(&self) -> Result<&Catalog, Problem> {
        if let Some(catalog) = self.catalog.get() {
            return Ok(catalog);
        }
        let folders: Vec<PathBuf> = self.global.providers.iter().cloned().collect();
        let catalog = Catalog::open(Some(&self.places.providers), &folders)?.in_language(self.language());
        Ok(self.catalog.get_or_init(|| catalog))
    }

    /// The audit log, unless it is switched off.
    pub(crate) fn audit(&self) -> Option<Log> {
        let is_on = match self.audit_origin {
            Origin::Flag => false,
            Origin::Environment => self.env.get(env::AUDIT).is_none_or(|value| !env::means_no(value)),
            Origin::Config => self.config.audit.unwrap_or(true),
            Origin::Default => true,
        };
        is_on.then(|| Log::in_folder(&self.places.audit))
    }

    /// Puts deeds on the audit log. That it cannot be written stops nobody: of a change it is said, of what was only read
    /// from `-v` on, and by `doctor`.
    pub(crate) fn log(&self, events: &[Event]) {
        if let Some(log) = self.audit()
            && let Err(error) = log.append(events, self.clock.now())
        {
            let note = format!("note: the audit log was not written: {error}");
            if events.iter().any(|event| event.deed.is_change()) {
                self.ui.note(&note);
            } else {
                self.ui.detail(1, &note);
            }
        }
    }

    /// Does what changes something, and puts it on the audit log, however it ends.
    pub(crate) fn doing<T>(&self, event: Event, work: impl FnOnce() -> Result<T, Problem>) -> Result<T, Problem> {
        self.telling(event, work, |event, _| event)
    }

    /// Does what hands out values, and puts it on the audit log, however it ends.
    pub(crate) fn reading<T>(
        &self,
        event: Event,
        work: impl FnOnce() -> Result<T, Problem>,
        fields: impl FnOnce(&T) -> Vec<String>,
    ) -> Result<T, Problem> {
        self.telling(event, work, |event, read| Event { fields: fields(read), ..event })
    }

    /// Does something and puts it on the audit log, however it ends; `with` adds what is known of it only then.
    pub(crate) fn telling<T>(
        &self,
        event: Event,
        work: impl FnOnce() -> Result<T, Problem>,
        with: impl FnOnce(Event, &T) -> Event,
    ) -> Result<T, Problem> {
        let result = self.or_told(&event, work())?;
        self.log(&[with(event, &result)]);
        Ok(result)
    }

    /// Puts it on the audit log when a deed, or what had to be known before it, failed.
    pub(crate) fn or_told<T, E: Into<Problem>>(&self, event: &Event, result: Result<T, E>) -> Result<T, Problem> {
        result.map_err(|error| {
            let problem = error.into();
            self.log(&[event.clone().ended(problem.code.clone())]);
            problem
        })
    }

    /// The language in which the services' texts are shown: what was said, else that of the locale (POSIX, Base
    /// Definitions, section 8.2).
    pub(crate) fn language(&self) -> Option<String> {
        let locale = ["LC_ALL", "LC_MESSAGES", "LANG"]
            .iter()
            .find_map(|name| self.env.get(name).filter(|locale| !locale.is_empty()))
            .and_then(language_of);
        let said = self.global.lang.as_deref().or(self.config.lang.as_deref());
        said.or(locale).map(str::to_owned)
    }

    /// The list of provider files that may send anything.
    pub(crate) fn trust(&self) -> Trust {
        Trust::at(self.places.trust.clone())
    }

    /// A provider file from outside must be trusted before its checks send anything.
    pub(crate) fn trusted(&self, loaded: &Loaded) -> Result<(), Problem> {
        if self.trust().is_trusted(loaded)? {
            return Ok(());
        }
        let id = loaded.provider.id();
        Err(Problem::new(
            Kind::Provider,
            "provider-untrusted",
            format!("the provider file of `{id}` is not trusted yet"),
        )
        .seen(format!(
            "your own file, {}; its checks would send what you enter to {}",
            loaded.rev,
            hosts(loaded).join(", ")
        ))
        .hint(format!("read it, then `keyward provider trust {id}`")))
    }

    /// As [`House::trusted`], but somebody who is there is asked.
    pub(crate) fn trust_or_ask(&self, loaded: &Loaded) -> Result<(), Problem> {
        let refused = match self.trusted(loaded) {
            Ok(()) => return Ok(()),
            Err(refused) => refused,
        };
        if !self.ui.may_ask() || refused.code != "provider-untrusted" {
            return Err(refused);
        }
        self.ui.note(&format!(
            "This provider file is your own. Its checks send what you enter to {}.",
            hosts(loaded).join(", ")
        ));
        if !self.confirm("Trust it as it is now?", false)? {
            return Err(refused);
        }
        self.trust_from_now("setup", loaded)
    }

    /// Lets the checks of a provider file send what is entered.
    pub(crate) fn trust_from_now(&self, command: &'static str, loaded: &Loaded) -> Result<(), Problem> {
        if self.trust().is_trusted(loaded)? {
            return Ok(());
        }
        let detail = format!("{} {}: {}", loaded.provider.id(), loaded.rev, hosts(loaded).join(", "));
        let event = Event::done(command, Deed::Trusted, None).detail(detail);
        self.doing(event, || Ok(self.trust().trust(loaded)?))
    }

    /// The vault's file.
    pub(crate) fn vault_path(&self) -> PathBuf {
        self.global.vault.clone().or_else(|| self.config.vault.clone()).unwrap_or_else(|| self.places.vault.clone())
    }

    /// The system keyring; D-Bus is not touched before the first call. Somebody who is there has time to unlock it.
    pub(crate) fn items(&self) -> Arc<SystemItems> {
        let items = || {
            if !self.ui.may_ask() {
                return SystemItems::new();
            }
            let ui = Arc::clone(&self.ui);
            SystemItems::with_somebody(move |what| ui.always(what))
        };
        Arc::clone(self.items.get_or_init(|| Arc::new(items())))
    }

    /// The vault, whether its file exists or not. Its key is looked for once.
    pub(crate) fn vault(&self) -> Result<&Vault, Problem> {
        if let Some(vault) = self.vault.get() {
            return Ok(vault);
        }
        // What was seen of the vault is in a folder within, which judges itself: whoever may write here puts another there.
        for folder in [&self.places.audit, &self.places.backups] {
            file::judge_folder(folder)?;
        }
        let keys = self.keys()?;
        Ok(self.vault.get_or_init(|| self.vault_with(keys)))
    }

    /// The vault with other keys than the usual.
    pub(crate) fn vault_with(&self, keys: Keys) -> Vault {
        let ui = Arc::clone(&self.ui);
        Vault::at(self.vault_path(), keys, self.lock_timeout(), Arc::clone(&self.clock))
            .with_backups(self.places.backups.clone(), Box::new(move |what| ui.always(what)))
            .watched(self.watch())
    }

    /// What is expected of the vault: what this machine saw of it, and what was said.
    fn watch(&self) -> Watch {
        let ui = Arc::clone(&self.ui);
        let tell = move |level: i8, text: &str| if level > 0 { ui.detail(level, text) } else { ui.note(text) };
        Watch {
            pins: Some(self.places.pins.clone()),
            expect_slots: self.global.expect_slots.clone(),
            min_epoch: self.global.min_epoch,
            only_looks: false,
            tell: Some(Box::new(tell)),
        }
    }

    /// What may open the vault, best first; no file is read yet.
    pub(crate) fn keys(&self) -> Result<Keys, Problem> {
        let by_flag = self.identity_origin == Origin::Flag;
        let named = self.named_identity();
        Ok(Keys {
            identity_file: named.clone().filter(|_| by_flag),
            identity: self.env.get(env::IDENTITY).map(Secret::from),
            environment_identity_file: named.filter(|_| !by_flag),
            identity_command: self.env.get(env::IDENTITY_CMD).map(str::to_owned),
            passphrase: self.passphrase_from_fd()?,
            passphrase_file: self.global.passphrase_file.clone(),
            keyring: Some(self.items() as Arc<dyn Items>),
            usual_identity_file: Some(self.places.identity.clone()),
            usual_ssh_keys: self.places.ssh_keys.clone(),
            unsealed: Unsealed::default(),
            ask: self.ui.may_ask().then(|| self.ask_passphrase()),
        })
    }

    /// The identity file that was named; `-` is stdin.
    pub(crate) fn named_identity(&self) -> Option<PathBuf> {
        let named = self.global.identity.clone();
        named.map(|path| if path.as_os_str() == "-" { "/dev/stdin".into() } else { path })
    }

    fn ask_passphrase(&self) -> vault::Ask {
        let ui = Arc::clone(&self.ui);
        Box::new(move |label| {
            let question = Question { label, ..Question::default() };
            match TerminalAsk::new(&ui).and_then(|mut ask| ask.secret(&question)) {
                Ok(Answer::Value(passphrase)) => Some(passphrase),
                _ => None,
            }
        })
    }

    /// The passphrase on `--passphrase-fd`. A pipe can be read once only.
    fn passphrase_from_fd(&self) -> Result<Option<Secret>, Problem> {
        let Some(number) = &self.global.passphrase_fd else { return Ok(None) };
        let number: u32 = number.parse().map_err(|_| {
            // Not repeated: it may be the passphrase itself.
            Problem::new(Kind::Usage, "passphrase-fd", "what is given as the descriptor of the passphrase is no number")
                .hint("such as `--passphrase-fd 3` with `3< FILE` behind the command")
        })?;
        if self.handed_over.get().is_none() {
            let passphrase = source::read_descriptor(number).map_err(|why| {
                Problem::new(
                    Kind::Usage,
                    "passphrase-fd",
                    format!("cannot read the passphrase from descriptor {number}"),
                )
                .seen(why.to_string())
                .hint(format!("open it first: keyward … {number}<FILE"))
            })?;
            let _ = self.handed_over.set(passphrase);
        }
        Ok(self.handed_over.get().cloned())
    }

    /// Whether stdin is what `--passphrase-fd` names.
    pub(crate) fn passphrase_came_on_stdin(&self) -> bool {
        self.global.passphrase_fd.as_ref().is_some_and(|number| number.parse() == Ok(0_u32))
    }

    /// The problem, and when it is that the vault is damaged, the newest good backup.
    pub(crate) fn with_backup(&self, problem: Problem) -> Problem {
        let file = self.vault_path().display().to_string();
        if problem.code != "store-damaged" || !problem.message.starts_with(&file) {
            return problem;
        }
        let newest = self.vault().ok().and_then(Vault::newest_good_backup);
        problem.hint(match newest {
            Some(backup) => format!(
                "the newest good backup is {}, replaced {}: `keyward vault backups restore {}`",
                backup.name,
                age(backup.replaced_at, self.clock.now()),
                backup.name
            ),
            None => {
                "there is no good backup: put back a copy of the file, for instance from version control".to_owned()
            }
        })
    }

    /// How long to wait for another writer.
    pub(crate) fn lock_timeout(&self) -> Duration {
        Duration::from_secs(self.global.lock_timeout)
    }

    /// One store, by name.
    pub(crate) fn open(&self, kind: StoreKind) -> Result<&dyn Store, Problem> {
        match kind {
            StoreKind::Vault => Ok(self.vault()?),
            StoreKind::Keyring => Ok(self.keyring()),
        }
    }

    /// The keyring store, whether there is a keyring or not.
    pub(crate) fn keyring(&self) -> &KeyringStore {
        let make = || KeyringStore::new(self.items(), self.places.index.clone(), self.lock_timeout());
        self.keyring.get_or_init(make)
    }

    /// The store that was named: by a flag, the environment or the config file.
    pub(crate) fn named_store(&self) -> Option<StoreKind> {
        self.global.store.or(self.config.store)
    }

    /// The stores to look in: only the one of `--store`, else the usual one first and then the other.
    pub(crate) fn stores(&self) -> Result<Vec<&dyn Store>, Problem> {
        let kinds = match (self.global.store, self.config.store) {
            (Some(only), _) => vec![only],
            (None, Some(StoreKind::Keyring)) => vec![StoreKind::Keyring, StoreKind::Vault],
            (None, _) => vec![StoreKind::Vault, StoreKind::Keyring],
        };
        kinds.into_iter().map(|kind| self.open(kind)).collect()
    }

    /// Does `work` in the first store that has the credential. Only "not found" goes on to the next store: a store
    /// that cannot be opened is never passed over.
    pub(crate) fn in_stores<T>(&self, work: impl Fn(&dyn Store) -> Result<T, StoreError>) -> Result<T, Problem> {
        self.in_stores_as(work, false)
    }

    /// As [`House::in_stores`], for values: where a vault does not have the credential, that has to be vouched for
    /// before the value of another store is taken. Who may write the file could have taken the entry out.
    pub(crate) fn value_in_stores<T>(&self, work: impl Fn(&dyn Store) -> Result<T, StoreError>) -> Result<T, Problem> {
        self.in_stores_as(work, true)
    }

    fn in_stores_as<T>(
        &self,
        work: impl Fn(&dyn Store) -> Result<T, StoreError>,
        is_vouched: bool,
    ) -> Result<T, Problem> {
        let mut first: Option<StoreError> = None;
        for store in self.stores()? {
            match work(store) {
                Err(missing @ StoreError::NotFound { .. }) => {
                    // The error with a near name is the better one to show.
                    let has_close = |error: &StoreError| matches!(error, StoreError::NotFound { close: Some(_), .. });
                    if first.as_ref().is_none_or(|first| !has_close(first) && has_close(&missing)) {
                        first = Some(missing);
                    }
                }
                other => {
                    if other.is_ok() && is_vouched && first.is_some() && store.kind() != StoreKind::Vault {
                        self.opens(StoreKind::Vault)?;
                    }
                    return other.map_err(Problem::from);
                }
            }
        }
        Err(first.map_or_else(|| Problem::new(Kind::Bug, "no-store", "there is no store to look in"), Problem::from))
    }

    /// Where a new credential goes. Decided once, before the first secret is asked for, announced and recorded.
    ///
    /// A store that was named is not decided on, but it has to open: nobody shall enter values that cannot be kept.
    pub(crate) fn decide_store(&self) -> Result<StoreKind, Problem> {
        if let Some(kind) = self.decided.get() {
            return Ok(*kind);
        }
        if let Some(kind) = self.named_store() {
            self.opens(kind)?;
            return Ok(*self.decided.get_or_init(|| kind));
        }
        let (kind, reason) = match keyring::probe(Arc::new(SystemItems::new())) {
            Ok(()) => (StoreKind::Keyring, "a value was written, read back and deleted".to_owned()),
            Err(error) => (StoreKind::Vault, error.to_string()),
        };
        Config::record_store(&self.places.config, kind)?;
        self.ui.note(&format!("Store: the {}, {} ({reason}).", kind.word(), self.open(kind)?.place()));
        self.ui.note(&format!("  Recorded in {}; `--store` names another.", self.places.config.display()));
        Ok(*self.decided.get_or_init(|| kind))
    }

    /// Fails when the store cannot be opened. A vault that does not exist yet can be made.
    fn opens(&self, kind: StoreKind) -> Result<(), Problem> {
        match kind {
            StoreKind::Keyring if self.decided.get() == Some(&kind) => {}
            StoreKind::Keyring => self.items().open()?,
            StoreKind::Vault if self.vault()?.exists()? => drop(self.vault()?.unlock()?),
            StoreKind::Vault => self.vault()?.guard_gone()?,
        }
        Ok(())
    }

    /// A store that `command` can write to: a vault that does not exist yet is made.
    pub(crate) fn open_for_saving(&self, kind: StoreKind, command: &'static str) -> Result<&dyn Store, Problem> {
        self.opens(kind)?;
        if kind == StoreKind::Vault && !self.vault()?.exists()? {
            let identity = self.named_identity().unwrap_or_else(|| self.places.identity.clone());
            let make = || Ok(self.vault()?.init(FirstSlot::Identity(identity), "first")?);
            let made = self.doing(Event::done(command, Deed::VaultMade, None), make)?;
            self.ui.note(&format!("Made the vault {}.", made.file.display()));
            self.ui.note(&format!("  {}", how_it_opens(&made)));
        }
        self.open(kind)
    }

    /// What is known of a stored credential; nothing when there is none.
    pub(crate) fn stored(&self, name: &CredentialName) -> Result<Option<Summary>, Problem> {
        for store in self.stores()? {
            match store.show(name) {
                Ok(summary) => return Ok(Some(summary)),
                Err(StoreError::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(None)
    }

    /// Unfinished walks.
    pub(crate) fn progress(&self) -> Progress {
        Progress::in_folder(&self.places.progress)
    }

    /// Asks yes or no on the terminal.
    pub(crate) fn confirm(&self, question: &str, default: bool) -> Result<bool, Problem> {
        Ok(TerminalAsk::new(&self.ui)?.confirm(question, default)?)
    }

    /// The names of all credentials, of every store that is looked in.
    pub(crate) fn all_names(&self) -> Result<Vec<CredentialName>, Problem> {
        let mut names = Vec::new();
        for store in self.stores()? {
            names.extend(store.names()?);
        }
        names.sort();
        names.dedup();
        Ok(names)
    }
}

/// A key where the name of its file belongs would be shown in messages, or become the name of a file.
fn refuse_key_as_file(global: &Global) -> Result<(), Problem> {
    let is_key =
        |path: &PathBuf| path.as_os_str().as_encoded_bytes().to_ascii_uppercase().starts_with(b"AGE-SECRET-KEY-");
    if !global.identity.as_ref().is_some_and(is_key) {
        return Ok(());
    }
    Err(Problem::new(
        Kind::Usage,
        "identity-not-file",
        "`--identity` and KEYWARD_IDENTITY_FILE take a file, not the key itself",
    )
    .hint(format!("put the key into {}, or into a file that only you can read", env::IDENTITY)))
}

/// Says what opens a vault that was just made.
pub(crate) fn how_it_opens(made: &vault::Made) -> String {
    match &made.identity_file {
        Some(file) => format!("It opens with the new identity in {}: keep a copy of it elsewhere.", file.display()),
        None => format!("It opens with: {} {}.", made.slot.kind.word(), made.slot.detail),
    }
}
