//! What a failure means on the Secret Service: asks the session bus in what state it is. Called only when something
//! failed or was not found.

use std::collections::HashMap;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use zbus::blocking::{Connection, Proxy};
use zbus::zvariant::{OwnedObjectPath, OwnedValue};

use super::system::{locked, unavailable};
use crate::store::StoreError;

/// What the keyring is called here.
pub(super) const NAME: &str = "Secret Service";

/// How to unlock it.
pub(super) const UNLOCK: &str =
    "unlock the login keyring: log in graphically, or give `gnome-keyring-daemon --unlock` the password on stdin";

/// The name and the objects of the Secret Service (freedesktop.org, Secret Service API draft 0.2, section 5).
const SERVICE: &str = "org.freedesktop.secrets";
const PATH: &str = "/org/freedesktop/secrets";
const SERVICE_INTERFACE: &str = "org.freedesktop.Secret.Service";
const COLLECTION_INTERFACE: &str = "org.freedesktop.Secret.Collection";
const ITEM_INTERFACE: &str = "org.freedesktop.Secret.Item";
const PROMPT_INTERFACE: &str = "org.freedesktop.Secret.Prompt";

/// Unlocks the default collection, which may take an answer to its prompt.
pub(super) fn open() -> Result<(), StoreError> {
    match state() {
        State::Ready => Ok(()),
        State::Locked if Connection::session().and_then(|bus| unlock(&bus)).unwrap_or(false) => Ok(()),
        State::Locked => Err(dismissed()),
        other => Err(missing(other)),
    }
}

/// Whether the collection is unlocked now. Waits for ever for somebody to answer the prompt.
fn unlock(bus: &Connection) -> zbus::Result<bool> {
    let collection = default_collection(bus)?;
    let wanted = (vec![&collection],);
    let reply = bus.call_method(Some(SERVICE), PATH, Some(SERVICE_INTERFACE), "Unlock", &wanted)?;
    let (_, prompt): (Vec<OwnedObjectPath>, OwnedObjectPath) = reply.body().deserialize()?;
    // The specification's "no prompt is needed".
    if prompt.as_str() != "/" {
        let prompt = Proxy::new(bus, SERVICE, prompt, PROMPT_INTERFACE)?;
        let mut completed = prompt.receive_signal("Completed")?;
        prompt.call_method("Prompt", &"")?;
        completed.next();
    }
    Ok(!is_locked(bus, &collection)?)
}

fn dismissed() -> StoreError {
    locked("its unlock prompt was dismissed or cannot be shown here")
}

/// Whether something that was not found is really not there: a locked collection may say "not found" as well.
pub(super) fn surely_absent() -> Result<(), StoreError> {
    match state() {
        State::Ready => Ok(()),
        State::Locked => Err(dismissed()),
        other => Err(missing(other)),
    }
}

/// Why there was no answer within `timeout`, as far as that can be found out before `until`.
pub(super) fn unanswered(timeout: Duration, until: Instant) -> StoreError {
    match state_before(until) {
        State::Locked => locked(format!("its unlock prompt was not answered within {timeout:?}")),
        other => missing(other),
    }
}

/// Whether somebody who unlocks it may be all that is missing, as far as that can be found out before `until`.
pub(super) fn may_be_locked(until: Instant) -> bool {
    state_before(until) == State::Locked
}

/// What is missing on the way to the Secret Service.
fn missing(state: State) -> StoreError {
    let (why, way) = match state {
        State::NoBus => (
            "there is no session bus to reach it",
            "run keyward in a desktop session, or under `dbus-run-session` with a keyring daemon",
        ),
        State::SilentBus => (
            "the session bus takes the connection and does not answer",
            "log out and in again, or run keyward under `dbus-run-session` with a keyring daemon",
        ),
        State::NoService => {
            ("no Secret Service answers on the session bus", "install and start one, such as gnome-keyring or KWallet")
        }
        State::NoCollection => (
            "it has no default collection to keep secrets in",
            "log in graphically once, or create a default keyring in Passwords and Keys or KWalletManager",
        ),
        State::SilentService | State::Locked | State::Ready => {
            ("the Secret Service does not answer in time", "restart the keyring daemon: log out and in again")
        }
    };
    unavailable(why, Some(way))
}

/// What stands between us and a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// There is no session bus, or nobody listens at its address.
    NoBus,
    /// Somebody listens at the address of the session bus and says nothing.
    SilentBus,
    /// Nothing on the bus keeps secrets, and nothing can be started that does.
    NoService,
    /// The service is there and says nothing.
    SilentService,
    /// The service has no default collection.
    NoCollection,
    /// The default collection is locked.
    Locked,
    /// Nothing: what was not found is not there.
    Ready,
}

/// The state of the Secret Service, as it says itself. Waits for ever for one that says nothing.
fn state() -> State {
    Connection::session().map_or(State::NoBus, |bus| state_on(&bus))
}

/// The state of the Secret Service, as far as it can be found out before `until`.
fn state_before(until: Instant) -> State {
    let (tell, told) = mpsc::channel();
    let ask = move || {
        let Ok(bus) = Connection::session() else { return tell.send(State::NoBus) };
        tell.send(State::SilentService)?;
        tell.send(state_on(&bus))
    };
    // Without a thread nothing is found out, as from a silent bus.
    let _ = thread::Builder::new().name("keyring state".to_owned()).spawn(ask);
    let mut state = State::SilentBus;
    while let Ok(found) = told.recv_timeout(until.saturating_duration_since(Instant::now())) {
        state = found;
    }
    state
}

fn state_on(bus: &Connection) -> State {
    match default_collection(bus) {
        Err(_) => State::NoService,
        // The specification's "no such collection".
        Ok(path) if path.as_str() == "/" => State::NoCollection,
        Ok(path) => match is_locked(bus, &path) {
            Err(_) => State::NoService,
            Ok(true) => State::Locked,
            Ok(false) => State::Ready,
        },
    }
}

/// The accounts of all items of that service, locked ones too. No secret is asked for.
pub(super) fn accounts(service: &str) -> Result<Option<Vec<String>>, StoreError> {
    let accounts = Connection::session().and_then(|bus| accounts_on(&bus, service));
    accounts.map(Some).map_err(|_| match state() {
        State::Locked | State::Ready => unavailable("it does not say what it holds", None),
        other => missing(other),
    })
}

fn accounts_on(bus: &Connection, service: &str) -> zbus::Result<Vec<String>> {
    let wanted = HashMap::from([("service", service)]);
    let reply = bus.call_method(Some(SERVICE), PATH, Some(SERVICE_INTERFACE), "SearchItems", &wanted)?;
    let (unlocked, locked): (Vec<OwnedObjectPath>, Vec<OwnedObjectPath>) = reply.body().deserialize()?;
    let mut accounts = Vec::new();
    for item in unlocked.iter().chain(&locked) {
        let question = (ITEM_INTERFACE, "Attributes");
        let properties = Some("org.freedesktop.DBus.Properties");
        let reply = bus.call_method(Some(SERVICE), item, properties, "Get", &question)?;
        let value: OwnedValue = reply.body().deserialize()?;
        let mut attributes = HashMap::<String, String>::try_from(value)?;
        // The attribute under which the keyring crate keeps the account.
        accounts.extend(attributes.remove("username"));
    }
    accounts.sort();
    Ok(accounts)
}

fn default_collection(bus: &Connection) -> zbus::Result<OwnedObjectPath> {
    bus.call_method(Some(SERVICE), PATH, Some(SERVICE_INTERFACE), "ReadAlias", &"default")?.body().deserialize()
}

fn is_locked(bus: &Connection, collection: &OwnedObjectPath) -> zbus::Result<bool> {
    let question = (COLLECTION_INTERFACE, "Locked");
    let properties = Some("org.freedesktop.DBus.Properties");
    let reply = bus.call_method(Some(SERVICE), collection, properties, "Get", &question)?;
    let value: OwnedValue = reply.body().deserialize()?;
    Ok(bool::try_from(value)?)
}
