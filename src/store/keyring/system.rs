//! The keyring of the operating system behind [`Items`]: Secret Service, Keychain or Credential Manager.
//!
//! Every call runs on one worker thread and is waited for only so long, because no keyring crate has a timeout. Errors
//! of the crates are never shown: some carry the secret, and none says what to do.

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use ::keyring::{Entry, Error};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use zeroize::Zeroizing;

use super::platform;
use crate::store::items::Items;
use crate::store::{StoreError, StoreKind};

/// The service under which all items are kept.
const SERVICE: &str = "keyward";

/// How long somebody has to answer the keyring's prompt.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long a call may take before somebody is told what it waits for.
const NOTICE: Duration = Duration::from_secs(2);

/// What somebody is told.
const WAITING: &str = "Waiting for the keyring to be unlocked (Ctrl-C aborts) …";

/// How somebody is told something.
type Tell = Arc<dyn Fn(&str) + Send + Sync>;

/// Secrets in the keyring of the operating system, as base64 text: KWallet keeps nothing but UTF-8.
///
/// All of a process share one connection. After a call that was not answered in time, the next ones fail at once, until
/// the keyring answers again.
#[derive(Clone)]
pub struct SystemItems {
    timeout: Duration,
    /// Somebody who can unlock it.
    somebody: Option<Tell>,
}

impl SystemItems {
    /// Items whose every call takes at most 4 seconds, so that a command without a keyring ends within 5. Nothing is
    /// opened before the first call.
    pub fn new() -> Self {
        Self { timeout: Duration::from_secs(4), somebody: None }
    }

    /// As [`SystemItems::new`], but while the keyring is locked a call waits 2 minutes for somebody to unlock it. After
    /// 2 seconds `tell` is given a line that says so.
    pub fn with_somebody(tell: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self { somebody: Some(Arc::new(tell)), ..Self::new() }
    }
}

impl fmt::Debug for SystemItems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SystemItems").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

impl Default for SystemItems {
    fn default() -> Self {
        Self::new()
    }
}

impl Items for SystemItems {
    fn get(&self, account: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        let account = account.to_owned();
        self.bounded(move || match entry(&account)?.get_secret() {
            Ok(text) => {
                BASE64.decode(Zeroizing::new(text)).map(|secret| Some(Zeroizing::new(secret))).map_err(|_| foreign())
            }
            Err(Error::NoEntry) => platform::surely_absent().map(|()| None),
            Err(error) => Err(explain(&error)),
        })
    }

    fn put(&self, account: &str, secret: &[u8]) -> Result<(), StoreError> {
        let account = account.to_owned();
        let text = Zeroizing::new(BASE64.encode(secret));
        self.bounded(move || entry(&account)?.set_secret(text.as_bytes()).map_err(|error| explain(&error)))
    }

    fn delete(&self, account: &str) -> Result<bool, StoreError> {
        let account = account.to_owned();
        self.bounded(move || match entry(&account)?.delete_credential() {
            Ok(()) => Ok(true),
            Err(Error::NoEntry) => platform::surely_absent().map(|()| false),
            Err(error) => Err(explain(&error)),
        })
    }

    fn list(&self) -> Result<Option<Vec<String>>, StoreError> {
        self.bounded(|| platform::accounts(SERVICE))
    }

    fn open(&self) -> Result<(), StoreError> {
        self.bounded(platform::open)
    }
}

fn entry(account: &str) -> Result<Entry, StoreError> {
    Entry::new(SERVICE, account).map_err(|error| explain(&error))
}

/// The thread that talks to the keyring. One per process, because the connection is one per process.
static WORKER: Mutex<Option<Worker>> = Mutex::new(None);

struct Worker {
    jobs: Sender<Box<dyn FnOnce() + Send>>,
    /// The job that was given up, whether it ended after all, and what was said about it.
    given_up: Option<(Arc<AtomicBool>, StoreError)>,
}

impl Worker {
    fn start() -> Result<Self, StoreError> {
        let (jobs, todo) = mpsc::channel::<Box<dyn FnOnce() + Send>>();
        let started =
            thread::Builder::new().name("keyring".to_owned()).spawn(move || todo.iter().for_each(|job| job()));
        started.map_err(|_| unavailable("no thread can be started to ask it", None))?;
        Ok(Self { jobs, given_up: None })
    }
}

impl SystemItems {
    /// Runs `work` on the worker and waits for it only so long, explanation of the failure included.
    ///
    /// The work is not ended by that, only no longer waited for. The end of the process ends it.
    fn bounded<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let until = Instant::now() + self.timeout;
        let mut held = WORKER.lock().unwrap_or_else(PoisonError::into_inner);
        let worker = match &mut *held {
            Some(worker) => worker,
            none => none.insert(Worker::start()?),
        };
        if let Some((ended, error)) = &worker.given_up
            && !ended.load(Ordering::Acquire)
        {
            return Err(error.clone());
        }
        if Instant::now() >= until {
            return Err(unavailable(format!("it was busy with other calls for {:?}", self.timeout), None));
        }
        let ended = Arc::new(AtomicBool::new(false));
        let (reply, answer) = mpsc::sync_channel(1);
        let ends = Arc::clone(&ended);
        let job = Box::new(move || {
            let result = work();
            ends.store(true, Ordering::Release);
            // Nobody listens any more when the job was given up.
            let _ = reply.send(result);
        });
        // A worker that broke down drops the job, and with it the sender of the answer.
        let _ = worker.jobs.send(job);
        let error = match self.wait(&answer, until) {
            Ok(result) => return result,
            Err(error) => error,
        };
        worker.given_up = Some((ended, error.clone()));
        Err(error)
    }

    /// Waits for the answer until shortly before `until`, or longer when somebody has to unlock the keyring first.
    fn wait<T>(&self, answer: &Receiver<T>, until: Instant) -> Result<T, StoreError> {
        let left = || until.saturating_duration_since(Instant::now()).mul_f32(0.9);
        let mut given = self.timeout;
        let mut waited = answer.recv_timeout(if self.somebody.is_some() { NOTICE.min(left()) } else { left() });
        if let (Err(RecvTimeoutError::Timeout), Some(tell)) = (&waited, &self.somebody) {
            let is_locked = platform::may_be_locked(Instant::now() + left() / 2);
            if is_locked {
                tell(WAITING);
                given = PATIENCE;
            }
            waited = answer.recv_timeout(if is_locked { PATIENCE } else { left() });
        }
        waited.map_err(|error| match error {
            // Even after all patience there is a moment to find out why.
            RecvTimeoutError::Timeout => platform::unanswered(given, until.max(Instant::now() + NOTICE / 4)),
            RecvTimeoutError::Disconnected => unavailable("its library broke down", None),
        })
    }
}

pub(super) fn unavailable(why: impl Into<String>, way: Option<&str>) -> StoreError {
    StoreError::Unavailable { store: StoreKind::Keyring, why: why.into(), ways_out: ways_out(way) }
}

pub(super) fn locked(why: impl Into<String>) -> StoreError {
    StoreError::Locked { store: StoreKind::Keyring, why: why.into(), ways_out: ways_out(Some(platform::UNLOCK)) }
}

/// That way out, and those that there are always.
fn ways_out(first: Option<&str>) -> Vec<String> {
    const ALWAYS: [&str; 2] =
        ["use `--store vault`: a sealed file that needs no keyring", "`keyward doctor` says what works here"];
    first.into_iter().chain(ALWAYS).map(str::to_owned).collect()
}

fn foreign() -> StoreError {
    StoreError::Damaged {
        file: PathBuf::from("an item in the keyring"),
        what: "it is not base64, so something else wrote it".to_owned(),
        ways_out: vec!["save the credential again: `keyward setup`".to_owned()],
    }
}

/// What an error means, by its kind alone: its text and its content may hold the secret.
fn explain(error: &Error) -> StoreError {
    if let Err(known) = platform::surely_absent() {
        return known;
    }
    match error {
        Error::NoStorageAccess(_) => locked("it refused access, or its prompt was dismissed"),
        Error::Ambiguous(_) => {
            unavailable("it holds two items of the same name, and nobody can tell which is meant", None)
        }
        Error::TooLong(..) => unavailable("it takes no value that long", None),
        Error::BadEncoding(_) | Error::BadDataFormat(..) => foreign(),
        _ => unavailable("it reported a failure of its own", None),
    }
}
