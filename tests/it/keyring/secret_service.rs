//! The keyring store on a real Secret Service: written in one process, read in another; and every way in which a
//! keyring can be missing, locked or silent ends in time and with a way out.

use std::collections::HashMap;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use keyward::credential::Value;
use keyward::problem::Problem;
use keyward::secret::Secret;
use keyward::store::items::Items;
use keyward::store::keyring::{KeyringStore, SystemItems, probe};
use keyward::store::{Entry, Store, StoreError};
use serde_json::{Value as Json, json};
use zbus::zvariant::{OwnedObjectPath, OwnedValue, Value as Variant};

use super::{entry, name};
use crate::support::session_bus::{Session, run_bounded};

/// A command that meets no keyring ends within this time, its start included.
const LIMIT: Duration = Duration::from_secs(5);

const WORKER: &str = "keyring::secret_service::a_worker_plays_its_role_in_another_process";
const ROLE: &str = "KEYWARD_TEST_ROLE";

/// Looks like nothing, and must never be seen.
fn canary() -> String {
    ["cana", "ry-ü-😀-", "7f3e"].concat()
}

/// What a worker found, and how long it took from its start to its end.
struct Report {
    reply: Json,
    took: Duration,
}

impl Report {
    #[track_caller]
    fn is_ok(&self) {
        assert_eq!(self.reply["result"], "ok", "{}", self.reply);
    }

    /// The error came in time, with that code and reason, and with a way out.
    #[track_caller]
    fn is_error(&self, code: &str, why: &str) {
        let error = &self.reply["result"]["error"];
        assert_eq!((&error["code"], &error["exit"]), (&json!(code), &json!(8)), "{}", self.reply);
        assert!(error["message"].as_str().unwrap().contains(why), "{}", self.reply);
        assert!(error["hint"].as_str().unwrap().contains("--store vault"), "{}", self.reply);
        assert!(self.took < LIMIT, "it took {:?}", self.took);
    }
}

/// Lets another process do `role` in that session.
#[track_caller]
fn work(session: &Session, role: &str) -> Report {
    let mut command = session.command(std::env::current_exe().unwrap());
    command.args([WORKER, "--exact", "--nocapture"]).env(ROLE, role);
    let (output, took) = run_bounded(&mut command, &canary());
    let streams = [output.stdout, output.stderr].concat();
    let streams = String::from_utf8_lossy(&streams);
    let reply = fs::read_to_string(session.path("reply")).unwrap_or_else(|error| panic!("{error}: {streams}"));
    fs::remove_file(session.path("reply")).unwrap();
    assert!(!streams.contains(&canary()) && !reply.contains(&canary()), "the canary was seen");
    Report { reply: serde_json::from_str(&reply).unwrap(), took }
}

/// The other process: does one thing with the system keyring and writes down how that went.
#[test]
fn a_worker_plays_its_role_in_another_process() {
    let Some((_, role)) = std::env::vars_os().find(|(variable, _)| variable == ROLE) else {
        let session = Session::new();
        assert_eq!(work(&session, "nothing").reply["result"], "ok");
        return;
    };
    let mut value = String::new();
    std::io::stdin().read_to_string(&mut value).unwrap();
    let state = std::env::vars_os().find(|(variable, _)| variable == "XDG_STATE_HOME").unwrap().1;
    let items: Arc<dyn Items> = Arc::new(SystemItems::new());
    let index = Path::new(&state).join("keyward/keyring.toml");
    let store = KeyringStore::new(Arc::clone(&items), index, Duration::from_secs(1));
    let started = Instant::now();
    let result = play(role.to_str().unwrap(), &value, &store, &items);
    let took = started.elapsed().as_millis() as u64;
    let seen = match result {
        Ok(()) => json!("ok"),
        Err(error) => {
            // What must not hold the canary is looked through by the other side.
            let debug = format!("{error:?} {error}");
            let mut seen = Problem::from(error).to_json();
            seen["debug"] = json!(debug);
            seen
        }
    };
    let mut reply = fs::File::create(Path::new(&state).parent().unwrap().join("reply")).unwrap();
    write!(reply, "{}", json!({ "result": seen, "took_ms": took })).unwrap();
}

fn play(role: &str, value: &str, store: &KeyringStore, items: &Arc<dyn Items>) -> Result<(), StoreError> {
    let long = value.repeat(5_000);
    let fields = [("secret", Value::Secret(Secret::from(value))), ("long", Value::Secret(Secret::from(long.as_str())))];
    let whole = entry("box/staging", fields);
    match role {
        "nothing" => {}
        "save" => store.save(&whole)?,
        "load" => assert!(store.load(&name("box/staging"))? == whole, "another credential was loaded"),
        "list" => assert_eq!(store.show(&name("box/staging"))?.sealed, ["long", "secret"]),
        "remove" => store.remove(&name("box/staging"))?,
        "save any" => store.save(&any_values())?,
        "load any" => {
            let loaded = store.load(&name("box/any"))?;
            for (field, value) in any_values().credential.fields {
                assert!(loaded.credential.fields.get(&field) == Some(&value), "{field} came back otherwise");
            }
        }
        "put any bytes" => items.put("any", &any_bytes())?,
        "get any bytes" => assert!(items.get("any")?.is_some_and(|back| *back == any_bytes())),
        "put" => items.put("vault:test", value.as_bytes())?,
        "get" => assert!(items.get("vault:test")?.is_some_and(|back| *back == value.as_bytes())),
        "get nothing" => assert!(items.get("vault:none")?.is_none(), "something was found"),
        "delete nothing" => assert!(!items.delete("vault:none")?, "something was deleted"),
        "probe" => probe(Arc::clone(items))?,
        "get twice" => {
            let first = items.get("vault:test").unwrap_err();
            let again = Instant::now();
            assert_eq!(items.get("vault:other").unwrap_err(), first);
            assert!(again.elapsed() < Duration::from_millis(100), "it was waited for once more");
            return Err(first);
        }
        other => panic!("no role {other}"),
    }
    Ok(())
}

/// Every byte there is.
fn any_bytes() -> Vec<u8> {
    (0..=255).collect()
}

/// A credential with a value of every kind: what is hidden, what turns around, and what is as long as an item may be.
fn any_values() -> Entry {
    let mark = canary();
    let controls: String = ('\0'..='\u{9f}').filter(|c| c.is_control()).collect();
    let mut values = vec![
        String::new(),
        "\0".to_owned(),
        format!("{mark}\0{controls}{mark}"),
        "one\ntwo\r\nthree\n\n".to_owned(),
        " \t blanks around \u{a0} ".to_owned(),
        "\u{202e}right to left\u{202c} \u{5d0}\u{5d1} \u{645}".to_owned(),
        "zero\u{200b}width\u{200d}\u{feff}\u{2060}".to_owned(),
        "👩‍👩‍👧‍👦 é e\u{301} 🏳️‍🌈 \u{10ffff}".to_owned(),
        "=is no head, and +3 5 00 neither".to_owned(),
    ];
    for length in [1_799, 1_800, 1_801, 2_559, 2_560, 2_561, 3_600, 3_601, 100_000] {
        values.push((0..length).map(|at| char::from(b'!' + (at % 89) as u8)).collect());
        // A character of four bytes lies across the cut.
        values.push("x".repeat(length - 2) + "😀");
    }
    let fields = values.into_iter().enumerate();
    let fields = fields.map(|(at, value)| (format!("v{at:02}"), Value::Secret(Secret::from(value.as_str()))));
    let mut any = entry("box/any", []);
    any.credential.fields = fields.collect();
    any
}

const SERVICE: Option<&str> = Some("org.freedesktop.secrets");
const SERVICE_INTERFACE: Option<&str> = Some("org.freedesktop.Secret.Service");
const SERVICE_PATH: &str = "/org/freedesktop/secrets";

/// The items that keyward has in the real keyring.
fn items_in(bus: &zbus::blocking::Connection) -> Vec<OwnedObjectPath> {
    let attributes = HashMap::from([("service", "keyward")]);
    let reply = bus.call_method(SERVICE, SERVICE_PATH, SERVICE_INTERFACE, "SearchItems", &attributes);
    let body = reply.unwrap().body();
    let (unlocked, locked): (Vec<OwnedObjectPath>, Vec<OwnedObjectPath>) = body.deserialize().unwrap();
    [unlocked, locked].concat()
}

fn count(session: &Session) -> usize {
    items_in(&session.connect()).len()
}

/// What lies in the real keyring under keyward's name, as any program finds it: accounts and contents.
fn stored_in(session: &Session) -> Vec<(String, Vec<u8>)> {
    let bus = session.connect();
    let plain = ("plain", Variant::from(""));
    let reply = bus.call_method(SERVICE, SERVICE_PATH, SERVICE_INTERFACE, "OpenSession", &plain);
    let (_, opened): (OwnedValue, OwnedObjectPath) = reply.unwrap().body().deserialize().unwrap();
    let read = |item: &OwnedObjectPath| {
        let property = ("org.freedesktop.Secret.Item", "Attributes");
        let reply = bus.call_method(SERVICE, item, Some("org.freedesktop.DBus.Properties"), "Get", &property);
        let attributes: OwnedValue = reply.unwrap().body().deserialize().unwrap();
        let mut attributes = HashMap::<String, String>::try_from(attributes).unwrap();
        let reply = bus.call_method(SERVICE, item, Some("org.freedesktop.Secret.Item"), "GetSecret", &opened);
        let body = reply.unwrap().body();
        let (_, _, content, _): (OwnedObjectPath, Vec<u8>, Vec<u8>, String) = body.deserialize().unwrap();
        (attributes.remove("username").unwrap(), content)
    };
    items_in(&bus).iter().map(read).collect()
}

/// A session whose keyring holds the credential and is locked now.
fn locked(session: Session) -> Session {
    let session = session.with_bus().with_unlocked_keyring();
    work(&session, "save").is_ok();
    work(&session, "put").is_ok();
    session.with_untouched_keyring()
}

#[test]
fn what_one_process_saves_another_one_loads_and_replaces_and_removes() {
    let session = Session::new().with_bus().with_unlocked_keyring();
    work(&session, "save").is_ok();
    work(&session, "load").is_ok();
    let items = count(&session);
    assert_eq!(items, 2 + (canary().len() * 5_000).div_ceil(1_800));
    work(&session, "save").is_ok();
    work(&session, "load").is_ok();
    assert_eq!(count(&session), items);
    let index = fs::read_to_string(session.path("state/keyward/keyring.toml")).unwrap();
    assert!(index.contains("[entry.\"box/staging\"]") && !index.contains(&canary()));
    work(&session, "remove").is_ok();
    assert_eq!(count(&session), 0);
    work(&session, "put").is_ok();
    work(&session, "get").is_ok();
    work(&session, "get nothing").is_ok();
    work(&session, "delete nothing").is_ok();
}

#[test]
fn any_value_comes_back_from_another_process_and_each_item_is_short_text() {
    let session = Session::new().with_bus().with_unlocked_keyring();
    work(&session, "save any").is_ok();
    work(&session, "load any").is_ok();
    work(&session, "put any bytes").is_ok();
    work(&session, "get any bytes").is_ok();
    // As another program finds it.
    let found = stored_in(&session);
    let of_any = any_values().credential.fields.len();
    assert!(found.len() > of_any + 100_000 / 1_800, "{} items", found.len());
    for (account, text) in &found {
        assert!(text.len() <= 2_560, "{account} has {} bytes, more than Credential Manager takes", text.len());
        let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte);
        assert!(text.iter().copied().all(is_base64), "{account} is no text that KWallet takes");
        assert!(account.is_ascii(), "{account}");
    }
}

#[test]
fn what_was_saved_is_there_after_the_keyring_was_locked_and_unlocked() {
    let session = locked(Session::new()).with_unlocked_keyring();
    work(&session, "load").is_ok();
    work(&session, "get").is_ok();
}

#[test]
fn a_keyring_that_works_passes_the_probe_and_keeps_nothing_of_it() {
    let session = Session::new().with_bus().with_unlocked_keyring();
    work(&session, "probe").is_ok();
    assert_eq!(count(&session), 0);
}

#[test]
fn without_a_session_bus_the_keyring_is_not_available() {
    let session = Session::new();
    for role in ["save", "get", "get nothing", "probe"] {
        work(&session, role).is_error("store-unavailable", "there is no session bus");
    }
}

#[test]
fn a_bus_without_a_secret_service_is_not_available() {
    let session = Session::new().with_bus();
    for role in ["save", "get", "probe"] {
        work(&session, role).is_error("store-unavailable", "no Secret Service answers");
    }
}

#[test]
fn a_secret_service_without_a_collection_is_not_available() {
    let session = Session::new().with_bus().with_untouched_keyring();
    for role in ["save", "get", "delete nothing", "probe"] {
        work(&session, role).is_error("store-unavailable", "no default collection");
    }
}

#[test]
fn a_locked_collection_without_a_display_is_locked_and_never_empty() {
    let session = locked(Session::new().with_prompter());
    let index = fs::read(session.path("state/keyward/keyring.toml")).unwrap();
    for role in ["load", "get", "get nothing", "delete nothing", "put", "save", "remove", "probe"] {
        work(&session, role).is_error("store-locked", "its unlock prompt");
    }
    work(&session, "list").is_ok();
    let session = session.with_unlocked_keyring();
    work(&session, "load").is_ok();
    let text = |bytes: &[u8]| {
        String::from_utf8_lossy(bytes).lines().filter(|line| line.starts_with("account")).collect::<String>()
    };
    assert_eq!(text(&fs::read(session.path("state/keyward/keyring.toml")).unwrap()), text(&index));
}

#[test]
fn a_prompter_that_nobody_answers_is_not_waited_for() {
    let session = locked(Session::new().with_prompter().with_display());
    let started = Instant::now();
    work(&session, "get").is_error("store-locked", "its unlock prompt was not answered within 4s");
    assert!(started.elapsed() > Duration::from_secs(3), "there was no prompt to wait for");
    assert!(session.owns("org.gnome.keyring.SystemPrompter"), "the prompter did not run");
    work(&session, "save").is_error("store-locked", "its unlock prompt was not answered within 4s");
    work(&session, "list").is_ok();
}

#[test]
fn a_bus_that_accepts_and_never_replies_is_not_waited_for() {
    let session = Session::new();
    let silent = UnixListener::bind(session.socket()).unwrap();
    work(&session, "get twice").is_error("store-unavailable", "the session bus takes the connection");
    assert!(silent.accept().is_ok());
    work(&session, "probe").is_error("store-unavailable", "did not answer within 3s");
}

#[test]
fn a_secret_service_that_falls_silent_is_not_waited_for() {
    let session = Session::new().with_bus().with_unlocked_keyring();
    work(&session, "put").is_ok();
    session.silence_keyring();
    work(&session, "get").is_error("store-unavailable", "the Secret Service does not answer");
}

#[test]
fn listing_never_opens_the_bus() {
    let session = Session::new().with_bus().with_unlocked_keyring();
    work(&session, "save").is_ok();
    let state = session.path("state");
    let elsewhere = Session::new();
    fs::remove_dir(elsewhere.path("state")).unwrap();
    fs::rename(&state, elsewhere.path("state")).unwrap();
    let bus = UnixListener::bind(elsewhere.socket()).unwrap();
    bus.set_nonblocking(true).unwrap();
    work(&elsewhere, "list").is_ok();
    assert!(bus.accept().is_err(), "somebody called");
}
