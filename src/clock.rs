//! The time, so that tests own it.

use chrono::{DateTime, SubsecRound, Utc};

/// Tells the time. Handed in, never asked of the system elsewhere.
pub trait Clock: Send + Sync {
    /// The time in UTC, in whole seconds.
    fn now(&self) -> DateTime<Utc>;
}

/// The machine's own clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> DateTime<Utc> {
        Utc::now().trunc_subsecs(0)
    }
}

/// A clock that stands still, for tests and for known answers.
#[derive(Debug, Clone, Copy)]
pub struct FixedClock(pub DateTime<Utc>);

impl Clock for FixedClock {
    fn now(&self) -> DateTime<Utc> {
        self.0
    }
}
