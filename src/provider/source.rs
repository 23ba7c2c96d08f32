//! The text of a file, and of the built-in file that it extends → one tree, in which every value knows its place.
//!
//! Both texts are one long text to the tree: the own one from 0, the other one behind it. So an error and a finding
//! are told with the file in which they have to be put right.

use std::ops::Range;

use serde::Deserialize as _;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue, Deserializer};

use super::Provider;
use super::catalog::Catalog;
use super::parse::{Fault, MAX_BYTES, Place, explain};
use crate::problem::nearest;

/// A file as it counts: with what it extends.
pub(super) struct Source<'t> {
    own: Text<'t>,
    base: Option<Text<'t>>,
    root: DeTable<'t>,
}

/// One file.
struct Text<'t> {
    file: String,
    text: &'t str,
}

/// Id → text of a built-in file.
type BuiltIn = fn(&str) -> Option<&'static str>;

/// Lists whose items have ids, with the key of the id. Items of one id are one item.
const LISTS: [(&str, &str); 6] =
    [("var", "id"), ("field", "id"), ("scope", "id"), ("persona", "id"), ("check", "id"), ("fixture", "name")];

impl<'t> Source<'t> {
    /// Reads `text`, and takes over what it extends.
    ///
    /// # Errors
    ///
    /// The first [`Fault`] of form; keys and values are looked at by [`Source::provider`].
    pub(super) fn read(file: &str, text: &'t str) -> Result<Self, Fault> {
        Self::read_among(Catalog::built_in_text, file, text)
    }

    /// The same, where `built_in` knows the texts that can be extended.
    fn read_among(built_in: BuiltIn, file: &str, text: &'t str) -> Result<Self, Fault> {
        let own = Text { file: file.to_owned(), text };
        if text.len() > MAX_BYTES {
            return Err(own.fault(None, format!("the file has {} bytes; {MAX_BYTES} at most", text.len()), None));
        }
        let root = own.parse()?;
        let mut source = Self { own, base: None, root };
        if let Some((id, at)) = source.extended() {
            source.extend(built_in, &id, at)?;
        }
        Ok(source)
    }

    /// The id of the file that is extended, and where it is named.
    fn extended(&self) -> Option<(String, Range<usize>)> {
        let id = self.root.get("extends")?;
        Some((id.get_ref().as_str()?.to_owned(), id.span()))
    }

    fn extend(&mut self, built_in: BuiltIn, id: &str, at: Range<usize>) -> Result<(), Fault> {
        let Some(text) = built_in(id) else {
            let hint = nearest(id, Catalog::built_in().ids()).map(|near| format!("did you mean `{near}`?"));
            return Err(self.own.fault(Some(at), format!("there is no built-in file `{id}` to extend"), hint));
        };
        let base = Text { file: format!("{id}.toml"), text };
        let mut theirs = base.parse()?;
        if let Some(second) = theirs.get("extends").and_then(|second| second.get_ref().as_str()) {
            let hint = Some(format!("extend `{second}` instead, or write it out"));
            return Err(self.own.fault(Some(at), format!("`{id}` extends a file itself"), hint));
        }
        self.leave_out(&mut theirs)?;
        let theirs = moved_table(theirs, self.own.text.len() + 1);
        self.root = taken_over(std::mem::take(&mut self.root), theirs);
        self.base = Some(base);
        Ok(())
    }

    /// Takes out of `theirs` what `without` names.
    fn leave_out(&self, theirs: &mut DeTable<'_>) -> Result<(), Fault> {
        let without = self.root.get("without").and_then(|without| without.get_ref().as_array());
        for item in without.into_iter().flatten() {
            let Some(name) = item.get_ref().as_str() else { continue };
            let fault = |what, hint| Err(self.own.fault(Some(item.span()), what, hint));
            let (table, id) = name.split_once('.').unwrap_or((name, ""));
            let ids = ids(theirs, table);
            if !LISTS.iter().any(|(list, _)| *list == table) && table != "message" {
                let tables = LISTS.map(|(list, _)| list).join(", ");
                let hint = format!("it is written `TABLE.ID`, with {tables} or message");
                return fault(format!("`{name}` names nothing that can be left out"), Some(hint));
            }
            if !ids.iter().any(|known| known == id) {
                let near = nearest(id, ids.iter().map(String::as_str));
                let hint = near.map(|near| format!("did you mean `{table}.{near}`?"));
                return fault(format!("what is extended has no `{name}`"), hint);
            }
            drop_item(theirs, table, id);
        }
        Ok(())
    }

    /// The provider that it describes.
    ///
    /// # Errors
    ///
    /// The first [`Fault`], in the file in which it stands.
    pub(super) fn provider(mut self) -> Result<Provider, Fault> {
        let root = Spanned::new(0..0, std::mem::take(&mut self.root));
        Provider::deserialize(Deserializer::from(root)).map_err(|error| {
            let (what, hint) = explain(error.message());
            // A key of the file itself that is missing has no place.
            let at = error.span().filter(|span| *span != (0..0));
            let (file, at) = at.map_or((self.own.file.clone(), Place(None)), |span| self.place(span.start));
            Fault { file, at, what, hint }
        })
    }

    /// All values.
    pub(super) fn root(&self) -> &DeTable<'t> {
        &self.root
    }

    /// The file and the place of the byte at `offset`.
    pub(super) fn place(&self, offset: usize) -> (String, Place) {
        match (&self.base, offset.checked_sub(self.own.text.len() + 1)) {
            (Some(base), Some(offset)) => (base.file.clone(), Place::of(base.text, offset)),
            _ => (self.own.file.clone(), Place::of(self.own.text, offset)),
        }
    }
}

impl<'t> Text<'t> {
    fn parse(&self) -> Result<DeTable<'t>, Fault> {
        DeTable::parse(self.text).map(Spanned::into_inner).map_err(|error| {
            let (what, hint) = explain(error.message());
            self.fault(error.span(), what, hint)
        })
    }

    fn fault(&self, span: Option<Range<usize>>, what: String, hint: Option<String>) -> Fault {
        let at = span.map_or(Place(None), |span| Place::of(self.text, span.start));
        Fault { file: self.file.clone(), at, what, hint }
    }
}

/// The ids in a list, or the keys of the messages.
fn ids(root: &DeTable<'_>, table: &str) -> Vec<String> {
    let Some(value) = root.get(table).map(Spanned::get_ref) else { return Vec::new() };
    let key = LISTS.iter().find(|(list, _)| *list == table).map_or("id", |(_, key)| key);
    match value {
        DeValue::Table(messages) => messages.keys().map(|id| id.get_ref().clone().into_owned()).collect(),
        DeValue::Array(items) => items.iter().filter_map(|item| Some(text_of(item, key)?.to_owned())).collect(),
        _ => Vec::new(),
    }
}

fn text_of<'v>(item: &'v Spanned<DeValue<'_>>, key: &str) -> Option<&'v str> {
    item.get_ref().as_table()?.get(key)?.get_ref().as_str()
}

/// Drops one item; with a check go its fixtures.
fn drop_item(root: &mut DeTable<'_>, table: &str, id: &str) {
    let key = LISTS.iter().find(|(list, _)| *list == table).map_or("id", |(_, key)| key);
    drop_where(root, table, key, id);
    if table == "check" {
        drop_where(root, "fixture", "check", id);
    }
}

/// Drops the message `id`, or the items whose `key` is `id`.
fn drop_where(root: &mut DeTable<'_>, table: &str, key: &str, id: &str) {
    match root.get_mut(table).map(Spanned::get_mut) {
        Some(DeValue::Table(messages)) => drop(messages.remove(id)),
        Some(DeValue::Array(items)) => {
            let all = std::mem::replace(items, DeArray::new()).into_iter();
            *items = all.filter(|item| text_of(item, key) != Some(id)).collect();
        }
        _ => {}
    }
}

/// The own table with what it takes over.
fn taken_over<'t>(own: DeTable<'t>, mut theirs: DeTable<'t>) -> DeTable<'t> {
    let lifecycle = own.contains_key("lifecycle").then_some("lifecycle");
    let left = ["schema", "provider", "provenance", "without"].into_iter().chain(lifecycle);
    left.for_each(|key| drop(theirs.remove(key)));
    joined(own, theirs, &|key, own, theirs| match LISTS.iter().find(|(list, _)| *list == key) {
        Some((list, id)) => items(own, theirs, id, *list == "check"),
        None => value(own, theirs),
    })
}

/// How two values of one key become one.
type Join<'a, 't> = &'a dyn Fn(&str, DeValue<'t>, DeValue<'t>) -> DeValue<'t>;

/// Two tables: the order is that of the base, and what is new follows.
fn joined<'t>(mut own: DeTable<'t>, theirs: DeTable<'t>, join: Join<'_, 't>) -> DeTable<'t> {
    let mut out = DeTable::new();
    for (key, value) in theirs {
        match own.remove_entry(key.get_ref().as_ref()) {
            Some((own_key, own_value)) => {
                let span = own_value.span();
                let joint = join(key.get_ref(), own_value.into_inner(), value.into_inner());
                out.insert(own_key, Spanned::new(span, joint));
            }
            None => drop(out.insert(key, value)),
        }
    }
    out.extend(own);
    out
}

/// A table takes over single keys; everything else is replaced.
fn value<'t>(own: DeValue<'t>, theirs: DeValue<'t>) -> DeValue<'t> {
    match (own, theirs) {
        (DeValue::Table(own), DeValue::Table(theirs)) => {
            DeValue::Table(joined(own, theirs, &|_, own, theirs| value(own, theirs)))
        }
        (own, _) => own,
    }
}

/// A check also takes over single rules; its new rules decide first.
fn check<'t>(own: DeValue<'t>, theirs: DeValue<'t>) -> DeValue<'t> {
    match (own, theirs) {
        (DeValue::Table(own), DeValue::Table(theirs)) => DeValue::Table(joined(own, theirs, &|key, own, theirs| {
            if key == "rule" { rules(own, theirs) } else { value(own, theirs) }
        })),
        (own, _) => own,
    }
}

/// Items of one id become one, in the place of the base's; new ones follow.
fn items<'t>(own: DeValue<'t>, theirs: DeValue<'t>, key: &str, are_checks: bool) -> DeValue<'t> {
    let join = if are_checks { check } else { value };
    let (shared, new) = match (own, theirs) {
        (DeValue::Array(own), DeValue::Array(theirs)) => shared(own, theirs, key, join),
        (own, _) => return own,
    };
    DeValue::Array(shared.into_iter().chain(new).collect())
}

fn rules<'t>(own: DeValue<'t>, theirs: DeValue<'t>) -> DeValue<'t> {
    let (shared, new) = match (own, theirs) {
        (DeValue::Array(own), DeValue::Array(theirs)) => shared(own, theirs, "id", value),
        (own, _) => return own,
    };
    DeValue::Array(new.into_iter().chain(shared).collect())
}

type Items<'t> = Vec<Spanned<DeValue<'t>>>;

/// The base's items with what is changed in them, and the items that it does not have.
fn shared<'t>(
    own: DeArray<'t>,
    theirs: DeArray<'t>,
    key: &str,
    join: fn(DeValue<'t>, DeValue<'t>) -> DeValue<'t>,
) -> (Items<'t>, Items<'t>) {
    let mut new: Items<'t> = own.into_iter().collect();
    let mut shared = Vec::new();
    for item in theirs {
        let same = |own: &Spanned<DeValue<'_>>| text_of(own, key).is_some() && text_of(own, key) == text_of(&item, key);
        match new.iter().position(same) {
            Some(at) => {
                let own = new.remove(at);
                let span = own.span();
                shared.push(Spanned::new(span, join(own.into_inner(), item.into_inner())));
            }
            None => shared.push(item),
        }
    }
    (shared, new)
}

/// The same table, `by` bytes further on.
fn moved_table(table: DeTable<'_>, by: usize) -> DeTable<'_> {
    table
        .into_iter()
        .map(|(key, value)| {
            let span = shifted(key.span(), by);
            (Spanned::new(span, key.into_inner()), moved(value, by))
        })
        .collect()
}

fn moved(value: Spanned<DeValue<'_>>, by: usize) -> Spanned<DeValue<'_>> {
    let span = shifted(value.span(), by);
    let inner = match value.into_inner() {
        DeValue::Table(table) => DeValue::Table(moved_table(table, by)),
        DeValue::Array(items) => DeValue::Array(items.into_iter().map(|item| moved(item, by)).collect()),
        leaf => leaf,
    };
    Spanned::new(span, inner)
}

fn shifted(span: Range<usize>, by: usize) -> Range<usize> {
    span.start + by..span.end + by
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::parse::parse;

    const HEAD: &str = "schema = 1\nextends = 'zotero'\n";
    const ABOUT: &str = "[provider]\nid = 'acme'\nname = 'Acme'\nsummary = 's'\ncategory = 'sms'\nstatus = 'active'\n\
                         [provenance]\nreviewed = '2026-11-21'\nsource = []\n";

    fn base() -> Provider {
        Catalog::built_in().get("zotero").unwrap().provider
    }

    fn child(without: &str, rest: &str) -> Result<Provider, Fault> {
        parse("acme.toml", &format!("{HEAD}{without}{ABOUT}{rest}"))
    }

    fn fault(without: &str, rest: &str) -> (String, Option<String>) {
        let fault = child(without, rest).unwrap_err();
        (fault.to_string(), fault.hint)
    }

    fn field_ids(provider: &Provider) -> Vec<&str> {
        provider.field.iter().map(|field| field.id.as_str()).collect()
    }

    #[test]
    fn a_file_takes_over_everything_but_what_it_is_called_and_where_its_facts_come_from() {
        let (base, child) = (base(), child("", "").unwrap());
        assert_eq!((child.id(), child.provider.name.as_str()), ("acme", "Acme"));
        assert!(child.provenance.source.is_empty() && child.provider.links.is_empty());
        assert_eq!(field_ids(&child), field_ids(&base));
        assert_eq!((child.step.len(), child.check.len()), (base.step.len(), base.check.len()));
        assert_eq!((child.fixture.len(), child.message.len()), (base.fixture.len(), base.message.len()));
        assert_eq!(child.lifecycle.unverifiable, base.lifecycle.unverifiable);
    }

    #[test]
    fn an_item_of_the_same_id_changes_single_keys_and_a_new_one_is_added_at_the_end() {
        let base = base();
        let first = &base.field[0];
        let rest = format!(
            "[[field]]\nid = 'extra'\nlabel = 'Extra'\n[[field]]\nid = '{}'\nlabel = 'Other'\nformat = {{ min_len = 3 }}\n",
            first.id
        );
        let child = child("", &rest).unwrap();
        let changed = &child.field[0];
        assert_eq!((changed.label.as_str(), changed.secret, &changed.help), ("Other", first.secret, &first.help));
        assert_eq!((changed.format.min_len, &changed.format.regex), (Some(3), &first.format.regex));
        assert_eq!(changed.format.good, first.format.good);
        assert_eq!(field_ids(&child).last(), Some(&"extra"));
        assert_eq!(child.field.len(), base.field.len() + 1);
    }

    #[test]
    fn new_rules_decide_first_and_known_ones_keep_their_place() {
        let base = base();
        let check = &base.check[0];
        let rules = |provider: &Provider| provider.check[0].rule.iter().map(|rule| rule.id.clone()).collect::<Vec<_>>();
        let last = &check.rule.last().unwrap().id;
        let child = child(
            "",
            &format!(
                "[[check]]\nid = '{}'\n[[check.rule]]\nid = 'new'\nverdict = 'inconclusive'\nwhen = {{ status = 418 }}\n\
                 [[check.rule]]\nid = '{last}'\nwhy = 'other-word'\n",
                check.id
            ),
        )
        .unwrap();
        assert_eq!(rules(&child)[0], "new");
        assert_eq!(rules(&child)[1..], rules(&base));
        assert_eq!(child.check[0].rule.last().unwrap().why.as_deref(), Some("other-word"));
        assert_eq!(child.check[0].effects, check.effects);
    }

    #[test]
    fn own_steps_and_an_own_lifecycle_replace_those_that_are_there() {
        let child = child("", "[[step]]\nid = 'only'\ntext = 'Do it.'\n[lifecycle]\nidle_delete_days = 3\n").unwrap();
        assert_eq!((child.step.len(), child.step[0].id.as_str()), (1, "only"));
        assert!(child.lifecycle.unverifiable.is_empty());
    }

    #[test]
    fn what_is_left_out_is_gone_and_a_check_takes_its_fixtures_along() {
        let base = base();
        let (check, message) = (&base.check[0].id, base.message.keys().next().unwrap());
        let child = child(&format!("without = ['check.{check}', 'message.{message}']\n"), "").unwrap();
        assert!(child.check(check).is_none() && !child.message.contains_key(message));
        assert!(child.fixture.iter().all(|fixture| fixture.check != *check));
        assert!(base.fixture.iter().any(|fixture| fixture.check == *check));
    }

    #[test]
    fn leaving_out_what_is_not_there_is_refused_with_its_neighbour() {
        let base = base();
        let field = &base.field[0].id;
        let (said, hint) = fault(&format!("without = ['field.{field}x']\n"), "");
        assert_eq!(said, format!("acme.toml:3:12: what is extended has no `field.{field}x`"));
        assert_eq!(hint, Some(format!("did you mean `field.{field}`?")));
        let (said, hint) = fault("without = ['step.open']\n", "");
        assert_eq!(said, "acme.toml:3:12: `step.open` names nothing that can be left out");
        assert!(hint.unwrap().contains("fixture or message"));
    }

    #[test]
    fn only_a_built_in_file_can_be_extended() {
        let text = |id: &str| format!("schema = 1\nextends = '{id}'\n{ABOUT}");
        let fault = parse("acme.toml", &text("zotreo")).unwrap_err();
        assert_eq!(fault.to_string(), "acme.toml:2:11: there is no built-in file `zotreo` to extend");
        assert_eq!(fault.hint.as_deref(), Some("did you mean `zotero`?"));
    }

    #[test]
    fn a_file_that_extends_another_cannot_be_extended() {
        let built_in = |id: &str| (id == "middle").then_some("schema = 1\nextends = 'first'\n");
        let text = format!("schema = 1\nextends = 'middle'\n{ABOUT}");
        let fault = Source::read_among(built_in, "acme.toml", &text).err().unwrap();
        assert_eq!(fault.to_string(), "acme.toml:2:11: `middle` extends a file itself");
        assert_eq!(fault.hint.as_deref(), Some("extend `first` instead, or write it out"));
    }

    #[test]
    fn a_mistake_is_told_with_the_file_in_which_it_stands() {
        let field = &base().field[0].id;
        let (said, hint) = fault("", &format!("[[field]]\nid = '{field}'\nsecrett = true\n"));
        assert_eq!(
            (said.as_str(), hint.as_deref()),
            ("acme.toml:14:1: unknown key `secrett`", Some("did you mean `secret`?"))
        );
        let (said, _) = fault("", "[[field]]\nid = 'new'\n");
        assert_eq!(said, "acme.toml:12:1: `label` is missing");
        // A key that is there in both may be of the wrong type in the own file only.
        let (said, _) = fault("", &format!("[[field]]\nid = '{field}'\nlabel = 3\n"));
        assert!(said.starts_with("acme.toml:14:9: "), "{said}");
    }

    #[test]
    fn what_is_taken_over_knows_the_line_of_its_own_file() {
        let text = format!("{HEAD}{ABOUT}");
        let source = Source::read("acme.toml", &text).unwrap();
        let field = &source.root().get("field").unwrap().get_ref().as_array().unwrap()[0];
        let zotero = Catalog::built_in_text("zotero").unwrap();
        let (file, place) = source.place(field.span().start);
        assert_eq!((file.as_str(), place), ("zotero.toml", Place::of(zotero, zotero.find("[[field]]").unwrap())));
    }
}
