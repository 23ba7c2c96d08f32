//! Joins two branches of a vault: what changed on one side only is taken, and what changed on both is told.
//!
//! In come three files of one vault, out comes one that is sealed anew, in our side's place. All three are verified
//! first: nothing that was tampered with is ever sealed again. Credentials are told apart by their ids, so that one
//! side may rename what the other one edits. What stays as it was keeps its bytes.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::change::resealed;
use super::edit::{self, Change};
use super::entry::{EntryText, PlacedEntry};
use super::header::{Header, MOST_SLOTS, Slot};
use super::index::Document;
use super::pin::Difference;
use super::{Opened, Vault, damaged, label, spot};
use crate::credential::{CredentialName, Value};
use crate::secret::Secret;
use crate::store::StoreError;
use crate::store::file::{Content, Place, Replaced, refused};

/// How joining two branches went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Merged {
    /// The epoch of the joined vault; nothing when there are conflicts, and then nothing was written.
    pub epoch: Option<u64>,
    /// What was taken from the other side: names as they are now, or as they were when they are removed.
    pub taken: Vec<String>,
    /// What both sides changed.
    pub conflicts: Vec<MergeConflict>,
}

/// Something that both sides changed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct MergeConflict {
    /// The credential; nothing when it is the vault itself.
    pub name: Option<String>,
    /// The field, when it is one.
    pub field: Option<String>,
    /// What happened, without any value.
    pub what: String,
}

/// One of the three files, every seal of it checked.
struct Side {
    path: PathBuf,
    content: Content,
    document: Document,
    opened: Arc<Opened>,
}

type Entries<'d> = BTreeMap<String, PlacedEntry<'d>>;

impl Vault {
    /// Joins `theirs` into `ours`, where `base` is what both come from; an empty `base` says that both are new. With a
    /// conflict nothing is written. This vault's keys are used, and its file is not touched.
    ///
    /// What opens one of the sides and was not seen on this machine is joined only when `accepts_slots`; even then
    /// nobody has agreed to it, and the result is not as it was seen.
    ///
    /// # Errors
    ///
    /// [`StoreError::Damaged`] when a seal of one of them does not fit, [`StoreError::Unexpected`] when a side is older
    /// than the base or is not what was seen or named, or as [`super::Store::get`].
    pub fn merge(&self, base: &Path, ours: &Path, theirs: &Path, accepts_slots: bool) -> Result<Merged, StoreError> {
        let place = Place::of(ours)?.ok_or_else(|| refused(ours, "its folder is gone"))?;
        let base = self.side(base, None)?;
        let missing = |path| move || damaged(path, "the file is empty");
        let our_side = self.side(ours, Some(accepts_slots))?.ok_or_else(missing(ours))?;
        let their_side = self.side(theirs, Some(accepts_slots))?.ok_or_else(missing(theirs))?;
        if let Some(what) = incomparable(&our_side, &their_side) {
            let conflict = MergeConflict { name: None, field: None, what: what.to_owned() };
            return Ok(Merged { epoch: None, taken: Vec::new(), conflicts: vec![conflict] });
        }
        for (whose, side) in [("our", &our_side), ("their", &their_side)] {
            self.guard_side(whose, side, base.as_ref())?;
        }
        let join = Join::of(base.as_ref(), &our_side, &their_side)?;
        if !join.conflicts.is_empty() {
            return Ok(Merged { epoch: None, taken: Vec::new(), conflicts: join.conflicts.into_iter().collect() });
        }
        let epochs = [Some(&our_side), Some(&their_side), base.as_ref()];
        let last = epochs.into_iter().flatten().map(|side| side.document.index().header().epoch).max().unwrap_or(0);
        let text = edit::apply(our_side.document.text(), join.changes);
        let (text, _) = self.sealed(&our_side.opened, text, last.saturating_add(1))?;
        let prove = |bytes| {
            let document = self.whole_document(ours, bytes)?;
            self.prove_all(ours, &our_side.opened, &document)
        };
        match place.replace_apart(&our_side.content, text.as_bytes(), &prove)? {
            Replaced::Done => {
                let taken = join.taken.into_iter().collect();
                Ok(Merged { epoch: Some(last.saturating_add(1)), taken, conflicts: Vec::new() })
            }
            Replaced::Meanwhile => {
                Err(StoreError::Conflict { what: format!("something else changed {} meanwhile", ours.display()) })
            }
        }
    }

    /// Reads and verifies one file; nothing when it is empty. What may not open it, unless that is accepted, is found
    /// before a key is used; of the base nothing is taken, and so nothing is expected.
    fn side(&self, path: &Path, accepts_slots: Option<bool>) -> Result<Option<Side>, StoreError> {
        let place = Place::of(path)?.ok_or_else(|| refused(path, "its folder is gone"))?;
        let content = place.read()?.ok_or_else(|| refused(path, "there is no such file"))?;
        if content.bytes.is_empty() {
            return Ok(None);
        }
        let document = self.whole_document(path, content.bytes.clone())?;
        if let Some(accepts_slots) = accepts_slots {
            self.guard_slots(path, document.index().header(), accepts_slots)?;
        }
        let opened = self.keys_of(document.index(), self.keys.ask.as_ref()).map_err(|error| match error {
            StoreError::Damaged { what, .. } => damaged(path, what),
            other => other,
        })?;
        self.prove_all(path, &opened, &document)?;
        Ok(Some(Side { path: path.to_owned(), content, document, opened }))
    }

    /// Fails when something opens a side that this machine has not seen, or its slots are not those that were named.
    fn guard_slots(&self, path: &Path, header: &Header, accepts_slots: bool) -> Result<(), StoreError> {
        self.watch.slots_as_named(header, path)?;
        let Some(pin) = self.watch.load(&header.id)?.filter(|_| !accepts_slots) else { return Ok(()) };
        let is_new = |one: &Difference| matches!(one, Difference::NewSlot { .. });
        let new: Vec<String> = pin.doors(header).iter().filter(|one| is_new(one)).map(Difference::words).collect();
        if new.is_empty() {
            return Ok(());
        }
        Err(StoreError::Unexpected {
            file: path.to_owned(),
            what: new.join("; "),
            seen: format!("last seen: epoch {} on {}", pin.last.epoch, pin.seen.format("%Y-%m-%d %H:%M UTC")),
            ways_out: vec![
                "when that is as it should be: `keyward vault merge --accept-slots`, and afterwards `keyward vault ack`"
                    .into(),
                "in git: `git -c merge.keyward.driver='keyward vault merge --accept-slots %O %A %B' merge …`".into(),
            ],
        })
    }

    /// Fails when a side is older than was said, or older than what it is told to come from: an older file was put there,
    /// and what it undoes would look like a change.
    fn guard_side(&self, whose: &str, side: &Side, base: Option<&Side>) -> Result<(), StoreError> {
        let header = side.document.index().header();
        self.watch.old_enough(header, &side.path)?;
        let is_other_key = |one: &Difference| matches!(one, Difference::OtherKey);
        let unexpected = |what: String, seen: String, way_out: &str| StoreError::Unexpected {
            file: side.path.clone(),
            what,
            seen,
            ways_out: vec![way_out.to_owned()],
        };
        if let Some(pin) = self.watch.load(&header.id)?.filter(|pin| pin.doors(header).iter().any(is_other_key)) {
            let seen = format!("last seen: epoch {}", pin.last.epoch);
            return Err(unexpected(Difference::OtherKey.words(), seen, "`keyward vault ack` shows the difference"));
        }
        // Without a base every credential is new to one side: there is nothing that an older file could undo.
        let Some(base) = base.map(|base| base.document.index().header()) else { return Ok(()) };
        if header.seal == base.seal || header.epoch > base.epoch {
            return Ok(());
        }
        let what = format!("{whose} side is no later than what both sides come from, and is another file");
        let seen = format!("{whose} side is epoch {}, and what both come from is epoch {}", header.epoch, base.epoch);
        let way_out = "an older file was put back there: take the other side with `git checkout --ours` or `--theirs`, and \
                       make the changes that are wanted again";
        Err(unexpected(what, seen, way_out))
    }
}

/// Why two files cannot be joined at all.
fn incomparable(ours: &Side, theirs: &Side) -> Option<&'static str> {
    let (ours, theirs) = (ours.document.index().header(), theirs.document.index().header());
    if ours.id != theirs.id {
        Some("these are two different vaults")
    } else if ours.commitment != theirs.commitment {
        Some("the key of the vault was changed on one side: take that side, and make the other's changes anew")
    } else {
        None
    }
}

/// What is to be done to our side.
#[derive(Default)]
struct Join {
    changes: Vec<Change>,
    taken: BTreeSet<String>,
    conflicts: BTreeSet<MergeConflict>,
}

/// What becomes of one entry of ours.
enum Fate<'d> {
    Stays,
    Goes,
    /// It becomes this, with the bytes of their side when there are some.
    Becomes(Box<EntryText<'d>>, Option<String>),
}

impl Join {
    fn of(base: Option<&Side>, ours: &Side, theirs: &Side) -> Result<Self, StoreError> {
        let (base_entries, our_entries, their_entries) =
            (base.map_or_else(Entries::new, entries), entries(ours), entries(theirs));
        let mut join = Self::default();
        let ids: BTreeSet<&String> =
            base_entries.keys().chain(our_entries.keys()).chain(their_entries.keys()).collect();
        // New or moved entries by name: they are added in their order.
        let mut added: BTreeMap<(String, String), String> = BTreeMap::new();
        let mut names: BTreeMap<(String, String), Vec<&String>> = BTreeMap::new();
        for id in ids {
            let [was, our, their] = [&base_entries, &our_entries, &their_entries].map(|entries| entries.get(id));
            let fate = join.fate(was.zip(base), our.map(|our| (our, ours)), their.map(|their| (their, theirs)))?;
            let becomes = match &fate {
                Fate::Stays => our.map(|our| &our.text),
                Fate::Goes => None,
                Fate::Becomes(text, _) => Some(&**text),
            };
            if let Some(text) = becomes {
                names.entry(key(text)).or_default().push(id);
            }
            match (fate, our) {
                (Fate::Stays, _) | (Fate::Goes, None) => {}
                (Fate::Goes, Some(our)) => {
                    join.taken.insert(shown(&our.text));
                    join.changes.push(edit::removing(&ours.document, our));
                }
                (Fate::Becomes(text, bytes), Some(our)) => {
                    join.taken.insert(shown(&text));
                    let bytes = bytes.unwrap_or_else(|| edit::rewritten(&ours.document, our, &text));
                    if key(&our.text) == key(&text) {
                        join.changes.push((our.header.start..our.end(), bytes));
                    } else {
                        join.changes.push(edit::removing(&ours.document, our));
                        added.insert(key(&text), bytes);
                    }
                }
                (Fate::Becomes(text, bytes), None) => {
                    join.taken.insert(shown(&text));
                    added.insert(key(&text), bytes.unwrap_or_default());
                }
            }
        }
        for ((provider, profile), ids) in names.into_iter().filter(|(_, ids)| ids.len() > 1) {
            let same = ids.iter().all(|id| our_entries.contains_key(*id) != their_entries.contains_key(*id))
                && is_same(ids.iter().filter_map(|id| {
                    let mine = our_entries.get(*id).map(|entry| (entry, ours));
                    mine.or_else(|| their_entries.get(*id).map(|entry| (entry, theirs)))
                }));
            let name =
                CredentialName::new(&provider, &profile).map_or_else(|_| "an entry".into(), |name| name.to_string());
            if same {
                // Ours is as good as theirs.
                added.remove(&(provider, profile));
                join.taken.remove(&name);
            } else {
                join.conflict(Some(name), None, "both sides made a credential of this name");
            }
        }
        for ((provider, profile), bytes) in added {
            let name =
                CredentialName::new(&provider, &profile).map_err(|_| refused(Path::new("vault"), "an odd name"))?;
            let (Ok(at) | Err(at)) = ours.document.index().find(&name);
            let before = at.checked_sub(1).and_then(|before| ours.document.entry(before).ok());
            join.changes.push(edit::inserting(&ours.document, before.as_ref(), &bytes));
        }
        join.slots(base, ours, theirs);
        Ok(join)
    }

    fn conflict(&mut self, name: Option<String>, field: Option<&str>, what: &str) {
        self.conflicts.insert(MergeConflict { name, field: field.map(str::to_owned), what: what.to_owned() });
    }

    fn fate<'d>(
        &mut self,
        was: Option<(&PlacedEntry<'d>, &Side)>,
        our: Option<(&PlacedEntry<'d>, &'d Side)>,
        their: Option<(&PlacedEntry<'d>, &'d Side)>,
    ) -> Result<Fate<'d>, StoreError> {
        // A seal tells all that an entry says.
        let seal = |entry: Option<(&PlacedEntry<'d>, &Side)>| entry.map(|(entry, _)| entry.text.seal.to_string());
        let (was_seal, our_seal, their_seal) = (seal(was), seal(our), seal(their));
        if their_seal == was_seal || their_seal == our_seal {
            return Ok(Fate::Stays);
        }
        match (our, their) {
            (_, None) if our_seal == was_seal => Ok(Fate::Goes),
            (_, Some((their, side))) if our_seal == was_seal => {
                let bytes = &side.document.text()[their.header.start..their.end()];
                let bytes = format!("{}\n", bytes.trim_end_matches('\n'));
                Ok(Fate::Becomes(Box::new(their.text.clone()), Some(bytes)))
            }
            (Some(our), Some(their)) => Ok(match self.mixed(was, our, their)? {
                Some(entry) => Fate::Becomes(Box::new(entry), None),
                None => Fate::Stays,
            }),
            (our, their) => {
                let what = if our.is_none() {
                    "our side removed it, and theirs changed it"
                } else {
                    "our side changed it, and theirs removed it"
                };
                let name = our.or(their).map(|(entry, _)| shown(&entry.text));
                self.conflict(name, None, what);
                Ok(Fate::Stays)
            }
        }
    }

    /// The entry that has the changes of both sides; nothing when they are in each other's way.
    fn mixed<'d>(
        &mut self,
        was: Option<(&PlacedEntry<'d>, &Side)>,
        (our, our_side): (&PlacedEntry<'d>, &'d Side),
        (their, their_side): (&PlacedEntry<'d>, &'d Side),
    ) -> Result<Option<EntryText<'d>>, StoreError> {
        let count = self.conflicts.len();
        let name = shown(&our.text);
        let (a, b, o) = (&our.text, &their.text, was.map(|(was, _)| &was.text));
        let mut new = a.clone();
        match three(o.map(key), key(a), key(b)) {
            Some((provider, profile)) => (new.provider, new.profile) = (provider.into(), profile.into()),
            None => self.conflict(Some(name.clone()), None, "both sides renamed it"),
        }
        let [was_values, our_values, their_values] = [
            was.map_or_else(BTreeMap::new, |(was, side)| values(was, side)),
            values(our, our_side),
            values(their, their_side),
        ];
        let joined = self.each(&name, "field", [&was_values, &our_values, &their_values]);
        let vars = |text: &EntryText<'_>| -> BTreeMap<String, String> {
            text.vars.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
        };
        let (was_vars, our_vars, their_vars) = (o.map(vars).unwrap_or_default(), vars(a), vars(b));
        let joined_vars = self.each(&name, "variable", [&was_vars, &our_vars, &their_vars]);
        if self.conflicts.len() > count {
            return Ok(None);
        }
        new.vars = joined_vars.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        (new.fields, new.secrets) = (Vec::new(), Vec::new());
        for (field, value) in &joined {
            match value {
                Value::Clear(text) => new.fields.push((field.clone().into(), text.clone().into())),
                Value::Secret(secret) => {
                    let kept = [(a, &our_values), (b, &their_values)].into_iter().find_map(|(text, values)| {
                        let is_there = key(text) == key(&new) && values.get(field) == Some(value);
                        let sealed = text.secrets.iter().find(|(name, _)| name == field)?;
                        is_there.then(|| sealed.1.clone())
                    });
                    // To the cipher.
                    let seal =
                        || our_side.opened.subkeys.seal_value(&spot(&new, field), secret.expose()).map(Cow::Owned);
                    let sealed = kept.map_or_else(seal, Ok)?;
                    new.secrets.push((field.clone().into(), sealed));
                }
            }
        }
        let later = if b.updated > a.updated { b } else { a };
        new.created = a.created.min(b.created);
        new.updated = later.updated;
        new.provider_rev =
            three(o.map(|o| &o.provider_rev), &a.provider_rev, &b.provider_rev).unwrap_or(&later.provider_rev).clone();
        new.ends = ends(o, a, b);
        new.expires_at = match new.ends.iter().map(|(_, at)| *at).min() {
            Some(first) => Some(first),
            None => three(o.map(|o| o.expires_at), a.expires_at, b.expires_at)
                .unwrap_or_else(|| [a.expires_at, b.expires_at].into_iter().flatten().min()),
        };
        // A value was entered when the side that it comes from says so.
        let sides = [(a, &our_values), (b, &their_values)];
        let entered = joined.iter().filter_map(|(field, value)| {
            let of_side = sides.iter().filter(|(_, values)| values.get(field) == Some(value));
            let at = of_side.map(|(text, _)| entered_at(text, field)).min()?;
            (at != new.created).then(|| (field.clone().into(), at))
        });
        new.entered = entered.collect();
        // What the service said, it said of one side's values.
        new.record = if joined == our_values && joined == their_values {
            if checked_at(b) > checked_at(a) { b.record.clone() } else { a.record.clone() }
        } else if joined == our_values {
            a.record.clone()
        } else if joined == their_values {
            b.record.clone()
        } else {
            None
        };
        new.generation = a.generation.max(b.generation);
        Ok(Some(resealed(&our_side.opened, new)))
    }

    /// Joins named values; where both sides changed one, that is a conflict.
    fn each<T: PartialEq + Clone>(
        &mut self,
        name: &str,
        noun: &str,
        [was, our, their]: [&BTreeMap<String, T>; 3],
    ) -> BTreeMap<String, T> {
        let mut joined = BTreeMap::new();
        let fields: BTreeSet<&String> = our.keys().chain(their.keys()).collect();
        for field in fields {
            match three(Some(was.get(field)), our.get(field), their.get(field)) {
                Some(Some(value)) => drop(joined.insert(field.clone(), value.clone())),
                Some(None) => {}
                None => self.conflict(Some(name.to_owned()), Some(field), &format!("both sides changed this {noun}")),
            }
        }
        joined
    }

    /// The slots: what either side added or removed. They are told apart by what opens them: however often one was
    /// added, there is one.
    fn slots(&mut self, base: Option<&Side>, ours: &Side, theirs: &Side) {
        let slots = |side: &Side| side.document.index().header().slots.clone();
        let (was, our, their) = (base.map(slots).unwrap_or_default(), slots(ours), slots(theirs));
        let is_in = |slot: &Slot, slots: &[Slot]| slots.iter().any(|other| other.key == slot.key);
        let goes = |slot: &Slot| !is_in(slot, &their) && is_in(slot, &was);
        let new: Vec<&Slot> = their.iter().filter(|slot| !is_in(slot, &our) && !is_in(slot, &was)).collect();
        let gone = our.iter().enumerate().filter(|(_, slot)| goes(slot)).map(|(number, _)| number);
        let gone: Vec<usize> = gone.collect();
        let count = our.len() - gone.len() + new.len();
        if count == 0 {
            self.conflict(None, None, "the sides removed each other's ways to open the vault");
        } else if count > MOST_SLOTS {
            let what = format!("together the sides have {count} ways to open the vault, and {MOST_SLOTS} is the most");
            self.conflict(None, None, &what);
        } else {
            self.changes.extend(gone.into_iter().map(|number| edit::removing_slot(&ours.document, number)));
            self.changes.extend(new.into_iter().map(|slot| edit::adding_slot(&ours.document, slot)));
        }
    }
}

/// Who says when it ends: of two new words the earlier one, because a warning too soon is better than none.
fn ends<'d>(
    was: Option<&EntryText<'d>>,
    our: &EntryText<'d>,
    their: &EntryText<'d>,
) -> Vec<(Cow<'d, str>, DateTime<Utc>)> {
    let of = |text: &EntryText<'d>| text.ends.iter().cloned().collect::<BTreeMap<_, _>>();
    let (was, our, their) = (was.map(of), of(our), of(their));
    let who: BTreeSet<Cow<'d, str>> = our.keys().chain(their.keys()).cloned().collect();
    let end = |who: Cow<'d, str>| {
        let [a, b] = [&our, &their].map(|side| side.get(&who).copied());
        let at = three(was.as_ref().map(|was| was.get(&who).copied()), a, b);
        Some((who, at.unwrap_or_else(|| a.into_iter().chain(b).min())?))
    };
    who.into_iter().filter_map(end).collect()
}

/// When the value of a field was entered.
fn entered_at(text: &EntryText<'_>, field: &str) -> DateTime<Utc> {
    text.entered.iter().find(|(name, _)| name == field).map_or(text.created, |(_, at)| *at)
}

/// What both agree on, or one of them changed; nothing when both changed it, and differently.
fn three<T: PartialEq>(was: Option<T>, our: T, their: T) -> Option<T> {
    if our == their || was.as_ref() == Some(&their) {
        Some(our)
    } else if was.as_ref() == Some(&our) {
        Some(their)
    } else {
        None
    }
}

fn entries(side: &Side) -> Entries<'_> {
    let count = side.document.index().len();
    // All were read when the side was verified.
    (0..count)
        .filter_map(|index| side.document.entry(index).ok())
        .map(|entry| (entry.text.id.to_string(), entry))
        .collect()
}

fn key(text: &EntryText<'_>) -> (String, String) {
    (text.provider.to_string(), text.profile.to_string())
}

fn shown(text: &EntryText<'_>) -> String {
    label(text).trim_matches('`').to_owned()
}

/// All values, opened.
fn values(entry: &PlacedEntry<'_>, side: &Side) -> BTreeMap<String, Value> {
    let text = &entry.text;
    let clear = text.fields.iter().map(|(name, value)| (name.to_string(), Value::Clear(value.to_string())));
    let sealed = text.secrets.iter().map(|(name, sealed)| {
        // They opened when the side was verified.
        let opened =
            side.opened.subkeys.open_value(&spot(text, name), sealed).unwrap_or_else(|| Secret::new(String::new()));
        (name.to_string(), Value::Secret(opened))
    });
    clear.chain(sealed).collect()
}

/// Whether all say the same, whoever sealed them.
fn is_same<'e>(all: impl Iterator<Item = (&'e PlacedEntry<'e>, &'e Side)>) -> bool {
    let said: Vec<_> = all.map(|(entry, side)| (values(entry, side), entry.text.vars.clone())).collect();
    said.windows(2).all(|pair| pair[0] == pair[1])
}

/// When the service was asked.
fn checked_at(entry: &EntryText<'_>) -> Option<DateTime<Utc>> {
    let record: crate::verdict::Record = serde_json::from_str(entry.record.as_deref()?).ok()?;
    Some(record.checked_at)
}
