//! Holds a vault against what was seen of it and what was said to be expected, and remembers what is seen now.

use std::path::{self, PathBuf};

use super::Vault;
use super::header::Header;
use super::pin::{Difference, Pin, Sight, Watch};
use super::report::PinStatus;
use super::salvage;
use super::snapshot::Snapshot;
use crate::store::StoreError;
use crate::store::file::Place;

/// How often a vault is read again because it was written meanwhile.
const MOST_READINGS: usize = 16;

/// A vault whose seal fits, and how it differs from what was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compared {
    /// The vault's id.
    pub id: String,
    /// What was seen; nothing on a machine that has not opened it yet, or when it cannot be read.
    pub pin: Option<Pin>,
    /// What it says now.
    pub now: Sight,
    /// How the one differs from the other.
    pub differences: Vec<Difference>,
}

impl Compared {
    /// Whether the vault is what was seen, and there is nothing to record.
    pub fn is_as_seen(&self) -> bool {
        self.differences.is_empty() && self.pin.as_ref().is_some_and(|pin| pin.last == self.now)
    }
}

impl Vault {
    /// The same vault, with something expected of it.
    #[must_use]
    pub fn watched(mut self, watch: Watch) -> Self {
        self.watch = watch;
        self
    }

    /// The same vault; what is seen of it is not remembered.
    #[must_use]
    pub fn only_looking(mut self) -> Self {
        self.watch.only_looks = true;
        self
    }

    /// Opens the vault whatever was seen of it, and compares.
    ///
    /// # Errors
    ///
    /// As [`Vault::unlock`], without [`StoreError::Unexpected`].
    pub fn compare(&self) -> Result<Compared, StoreError> {
        let snapshot = self.snapshot()?.ok_or_else(|| self.no_vault())?;
        let header = snapshot.index().header();
        let opened = self.keys_of(snapshot.index(), self.keys.ask.as_ref())?;
        self.check_whole(&opened, snapshot.index())?;
        // One that cannot be read is written anew.
        let pin = snapshot.pin.clone().unwrap_or_default();
        let mut differences = self.doors(pin.as_ref(), header);
        differences.extend(pin.as_ref().and_then(|pin| pin.age(header)));
        Ok(Compared { id: header.id.clone(), pin, now: Sight::of(header), differences })
    }

    /// Remembers what [`Vault::compare`] saw, as what is expected from now on.
    ///
    /// # Errors
    ///
    /// [`StoreError::File`] when that cannot be written.
    pub fn acknowledge(&self, compared: &Compared) -> Result<(), StoreError> {
        self.watch.accept(&compared.now, &compared.id, &self.whereabouts(), self.clock.now())
    }

    /// Reads the vault, and what is remembered of it. A pin that is newer than the vault is no alarm when the vault
    /// was written just now: the vault is always written first.
    pub(super) fn snapshot_with_pin(&self, place: &Place) -> Result<Option<Snapshot>, StoreError> {
        let mut readings = 0;
        loop {
            let Some(mut snapshot) = Snapshot::of(place, &self.path)? else { return Ok(None) };
            snapshot.pin = self.watch.load(&snapshot.index().header().id);
            readings += 1;
            let is_behind = matches!(&snapshot.pin, Ok(Some(pin)) if pin.is_ahead_of(snapshot.index().header()));
            if readings == MOST_READINGS || !is_behind || place.stamp()?.is_some_and(|stamp| snapshot.is(&stamp)) {
                return Ok(Some(snapshot));
            }
        }
    }

    /// Where the vault is or would be, with its folder resolved when there is one.
    fn whereabouts(&self) -> PathBuf {
        match Place::of(&self.path) {
            Ok(Some(place)) => place.path().to_owned(),
            _ => path::absolute(&self.path).unwrap_or_else(|_| self.path.clone()),
        }
    }

    fn is_where_it_was(&self, pin: &Pin) -> bool {
        // To resolve the place costs more than all the rest.
        pin.is_at(&self.path) || pin.is_at(&self.whereabouts())
    }

    /// How the vault opens otherwise than it did, and whether another one was here.
    fn doors(&self, pin: Option<&Pin>, header: &Header) -> Vec<Difference> {
        let mut differences = pin.map_or_else(Vec::new, |pin| pin.doors(header));
        // One that is known from elsewhere is no more expected here than one that was never seen.
        if !pin.is_some_and(|pin| self.is_where_it_was(pin)) {
            differences.extend(self.watch.other_at(&self.whereabouts(), &header.id));
        }
        differences
    }

    /// Fails when there is no vault, and this machine has seen one here: that it is gone is not the same as that there
    /// was never one.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unexpected`].
    pub fn guard_gone(&self) -> Result<(), StoreError> {
        let Some(pin) = self.gone()? else { return Ok(()) };
        Err(StoreError::Unexpected {
            file: self.path.clone(),
            what: "the vault that was here is gone".into(),
            seen: format!("last seen: {}", last_seen(&pin)),
            ways_out: vec![
                "put the file back, or `keyward vault backups restore EPOCH` (`keyward vault backups` lists them)"
                    .into(),
                "when it was meant to go: `keyward vault ack` forgets it".into(),
            ],
        })
    }

    /// What was seen of a vault that is not there any more.
    ///
    /// # Errors
    ///
    /// [`StoreError::File`] when the place cannot be used.
    pub fn gone(&self) -> Result<Option<Pin>, StoreError> {
        if self.exists()? {
            return Ok(None);
        }
        Ok(self.watch.last_at(&self.whereabouts()))
    }

    /// Expects that vault here no more.
    ///
    /// # Errors
    ///
    /// [`StoreError::File`] when that cannot be written.
    pub fn forget(&self, gone: &Pin) -> Result<(), StoreError> {
        self.watch.forget(gone)
    }

    /// Fails when something opens the vault that did not, or another vault is in its place.
    pub(super) fn guard_doors(&self, pin: Option<&Pin>, header: &Header) -> Result<(), StoreError> {
        self.watch.slots_as_named(header, &self.path)?;
        let differences = self.doors(pin, header);
        if differences.iter().any(Difference::stops) { Err(self.unexpected(pin, &differences)) } else { Ok(()) }
    }

    /// Fails when the vault, whose seal fits, is older than what was seen, or another one of that age.
    pub(super) fn guard_age(&self, pin: Option<&Pin>, header: &Header) -> Result<(), StoreError> {
        self.watch.old_enough(header, &self.path)?;
        match pin.and_then(|pin| pin.age(header)) {
            Some(difference) => Err(self.unexpected(pin, &[difference])),
            None => Ok(()),
        }
    }

    /// Fails when the vault has another data key than was seen, or another vault was here: what is put in its place
    /// would be believed from then on.
    pub(super) fn guard_key(&self, header: &Header) -> Result<Option<Pin>, StoreError> {
        let pin = self.watch.load(&header.id)?;
        let mut differences = self.doors(pin.as_ref(), header);
        differences.retain(|one| matches!(one, Difference::OtherKey | Difference::OtherVault { .. }));
        if differences.is_empty() { Ok(pin) } else { Err(self.unexpected(pin.as_ref(), &differences)) }
    }

    /// Remembers what a write is about to make of the vault, when it opens otherwise than was seen.
    pub(super) fn announce(&self, pin: Option<&Pin>, header: &Header) {
        if pin.is_some_and(|pin| !pin.doors(header).is_empty()) {
            self.watch.announce(pin, header);
        }
    }

    /// Fails where it is not known who would get a new data key.
    pub(super) fn guard_new_key(&self, snapshot: &Snapshot) -> Result<(), StoreError> {
        let is_known = snapshot.pin.clone()?.is_some() || self.watch.expect_slots.is_some();
        if is_known || self.watch.pins.is_none() {
            return Ok(());
        }
        Err(StoreError::Unexpected {
            file: self.path.clone(),
            what: "this machine has not opened it yet, and everybody in it would get the new key".into(),
            seen: format!("{} slots", snapshot.index().header().slots.len()),
            ways_out: vec![
                "look who opens it (`keyward vault recipients list`), then `keyward vault ack`".into(),
                "or say it with --expect-slots".into(),
            ],
        })
    }

    /// Remembers what was read.
    pub(super) fn saw(&self, pin: Option<&Pin>, header: &Header) {
        let is_known = |pin: &Pin| pin.last == Sight::of(header) && self.is_where_it_was(pin);
        if self.watch.pins.is_none() || pin.is_some_and(is_known) {
            return;
        }
        let place = self.whereabouts();
        if pin.is_none() && !self.watch.only_looks {
            let text = format!("note: {} is seen here for the first time, at epoch {}", place.display(), header.epoch);
            self.watch.say(1, &text);
        }
        self.watch.remember(header, &place, self.clock.now(), 1);
    }

    /// Where the vault with that id was last seen, when it is not there any more. Nothing when it is there, and for one
    /// that this machine has not seen: it may be another home's.
    pub fn is_gone_from(&self, id: &str) -> Option<PathBuf> {
        let seen_at = PathBuf::from(self.watch.load(id).ok()??.file);
        let there = Place::of(&seen_at).ok().flatten().map(|place| place.read());
        match there {
            // What cannot be read is not gone.
            Some(Err(_)) => None,
            Some(Ok(Some(content))) if salvage::id_in(&content.bytes).is_none_or(|there| there == id) => None,
            _ => Some(seen_at),
        }
    }

    /// Remembers a vault that was just made.
    pub(super) fn made(&self, header: &Header, place: &Place) {
        if self.watch.only_looks {
            return;
        }
        if let Err(error) = self.watch.accept(&Sight::of(header), &header.id, place.path(), self.clock.now()) {
            self.watch.say(0, &format!("note: what was seen of the vault is not remembered: {error}"));
        }
    }

    pub(super) fn pin_status(&self, snapshot: &Snapshot) -> Option<PinStatus> {
        let pin = snapshot.pin.as_ref().ok()?.as_ref()?;
        let header = snapshot.index().header();
        let differences = pin.doors(header).into_iter().chain(pin.age(header)).collect();
        Some(PinStatus { seen: pin.seen, epoch: pin.last.epoch, slots: pin.last.slots.clone(), differences })
    }

    fn unexpected(&self, pin: Option<&Pin>, differences: &[Difference]) -> StoreError {
        let words: Vec<String> = differences.iter().map(Difference::words).collect();
        let seen = pin.map_or_else(|| "never on this machine".into(), last_seen);
        StoreError::Unexpected {
            file: self.path.clone(),
            what: words.join("; "),
            seen: format!("last seen: {seen}"),
            ways_out: vec![
                "put back the newer file, when somebody has replaced it".into(),
                "`keyward vault ack` shows the difference and accepts it".into(),
            ],
        }
    }
}

fn last_seen(pin: &Pin) -> String {
    format!("epoch {} on {}", pin.last.epoch, pin.seen.format("%Y-%m-%d %H:%M UTC"))
}
