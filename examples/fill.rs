//! Makes a vault of many synthetic credentials, for `benches/run`: `fill VAULT IDENTITY COUNT`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use keyward::clock::{Clock as _, SystemClock};
use keyward::credential::{Credential, CredentialName, Value};
use keyward::problem::Problem;
use keyward::store::vault::{FirstSlot, Keys, Vault};
use keyward::store::{Entry, Life};

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let (Some(vault), Some(identity), Some(count)) =
        (args.next(), args.next(), args.next().and_then(|n| n.parse().ok()))
    else {
        return ExitCode::from(2);
    };
    match fill(vault.into(), identity.into(), count) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => std::process::Termination::report(Err::<(), _>(problem)),
    }
}

fn fill(vault: PathBuf, identity: PathBuf, count: usize) -> Result<(), Problem> {
    let keys = Keys { usual_identity_file: Some(identity.clone()), ..Keys::default() };
    let vault = Vault::at(vault, keys, Duration::from_secs(10), Arc::new(SystemClock));
    vault.init(FirstSlot::Identity(identity), "bench")?;
    let now = SystemClock.now();
    let entries = (1..=count).map(|number| entry(number, now)).collect::<Result<Vec<_>, _>>()?;
    Ok(vault.save_all(&entries)?)
}

/// `zotero/pN` with a key of its own.
fn entry(number: usize, now: DateTime<Utc>) -> Result<Entry, Problem> {
    let mut credential = Credential::new(CredentialName::new("zotero", &format!("p{number}"))?);
    let key = format!("{:A>24}", format!("bench{number}"));
    credential.fields = BTreeMap::from([("api_key".to_owned(), Value::Secret(key.into()))]);
    Ok(Entry {
        credential,
        provider_rev: "sha256:bench".to_owned(),
        created_at: now,
        updated_at: now,
        expires_at: None,
        life: Life::default(),
        record: None,
    })
}
