//! Provider files are broken on purpose, one mistake at a time: what looks at them has to notice.
//!
//! Noticed is what the lint finds, what a fixture then decides otherwise, and what no longer fits the table in the
//! README. What is not noticed is said in `providers/README.md`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use keyward::check::decide;
use keyward::credential::format::lint;
use keyward::provider::catalog::Catalog;
use keyward::provider::parse::parse;
use toml_edit::{ArrayOfTables, DocumentMut, Item, Key, Table, Value};

use crate::generated::row;

/// One kind of mistake, the place where it is made, and the text with it.
struct Mutant {
    id: String,
    kind: &'static str,
    place: String,
    text: String,
}

/// Makes mistakes in one file.
struct Breaker<'t> {
    id: &'t str,
    document: DocumentMut,
    mutants: Vec<Mutant>,
}

impl Breaker<'_> {
    fn break_it(&mut self, kind: &'static str, place: String, change: impl FnOnce(&mut DocumentMut)) {
        let mut document = self.document.clone();
        change(&mut document);
        let text = document.to_string();
        // What is not there cannot be broken.
        if text != self.document.to_string() {
            self.mutants.push(Mutant { id: self.id.to_owned(), kind, place, text });
        }
    }

    fn checks(&mut self) {
        for at in 0..tables(&self.document, "check").map_or(0, ArrayOfTables::len) {
            let check = tables(&self.document, "check").unwrap().get(at).unwrap().clone();
            let name = check["id"].as_str().unwrap().to_owned();
            self.break_it("effects dropped", name.clone(), |document| {
                drop(nth(document, "check", at).remove("effects"));
            });
            self.break_it("control dropped", name.clone(), |document| {
                drop(nth(document, "check", at).remove("control"));
            });
            for (table, key) in [("request", "url"), ("auth", "token_url"), ("auth", "authorize_url")] {
                self.break_it("host changed", format!("{name}.{key}"), |document| {
                    let url = nth(document, "check", at).get_mut(table).and_then(|table| table.get_mut(key));
                    change_text(url, |url| url.replacen(".", ".evil.", 1));
                });
            }
            for pointer in keys_of(check.get("extract")) {
                self.break_it("pointer broken", format!("{name}.extract.{pointer}"), |document| {
                    let extract = nth(document, "check", at).get_mut("extract").and_then(|all| all.get_mut(&pointer));
                    change_text(extract.and_then(|extract| extract.get_mut("json")), |json| format!("{json}x"));
                });
            }
            for index in 0..check.get("advice").and_then(Item::as_array_of_tables).map_or(0, ArrayOfTables::len) {
                self.break_it("pointer broken", format!("{name}.advice.{index}"), |document| {
                    let advice = nth(nth(document, "check", at), "advice", index);
                    change_text(advice.get_mut("json"), |json| format!("{json}x"));
                });
            }
            self.rules(at, &name, &check);
        }
    }

    fn rules(&mut self, at: usize, check: &str, table: &Table) {
        let rules = table.get("rule").and_then(Item::as_array_of_tables);
        for (index, rule) in rules.into_iter().flat_map(ArrayOfTables::iter).enumerate() {
            let name = format!("{check}.{}", rule["id"].as_str().unwrap());
            self.break_it("rule dropped", name.clone(), |document| {
                nth(document, "check", at)["rule"].as_array_of_tables_mut().unwrap().remove(index);
            });
            let verdict = rule["verdict"].as_str().unwrap();
            let other = if verdict == "accepted" { "rejected" } else { "accepted" };
            self.break_it("verdict swapped", name.clone(), |document| {
                nth(nth(document, "check", at), "rule", index)["verdict"] = toml_edit::value(other);
            });
            self.break_it("status changed", name.clone(), |document| {
                let rule = nth(nth(document, "check", at), "rule", index);
                if let Some(status) = rule["when"].get_mut("status").filter(|status| status.is_integer()) {
                    *status = toml_edit::value(418);
                }
            });
            for key in keys_of(rule.get("when").and_then(|when| when.get("json"))) {
                self.break_it("pointer broken", format!("{name}{key}"), |document| {
                    let when = &mut nth(nth(document, "check", at), "rule", index)["when"]["json"];
                    let json = when.as_table_like_mut().unwrap();
                    let test = json.remove(&key).unwrap();
                    json.insert(&format!("{key}x"), test);
                });
            }
            for key in keys_of(Some(&Item::Table(rule.clone()))) {
                self.break_it("key misspelt", format!("{name}: {key}"), |document| {
                    misspell(nth(nth(document, "check", at), "rule", index), &key);
                });
            }
        }
    }

    /// Misspells each key of each table of a kind, and breaks the pointers of scopes.
    fn tables(&mut self, kind: &str) {
        for at in 0..tables(&self.document, kind).map_or(0, ArrayOfTables::len) {
            let table = tables(&self.document, kind).unwrap().get(at).unwrap().clone();
            let name = format!("{kind} {}", table["id"].as_str().unwrap());
            for key in keys_of(Some(&Item::Table(table))) {
                self.break_it("key misspelt", format!("{name}: {key}"), |document| {
                    misspell(nth(document, kind, at), &key);
                });
            }
            self.break_it("secret not sealed", name.clone(), |document| drop(nth(document, kind, at).remove("secret")));
            self.break_it("pointer broken", format!("{name}.verify"), |document| {
                let verify = nth(document, kind, at).get_mut("verify");
                change_text(verify.and_then(|verify| verify.get_mut("json")), |json| format!("{json}x"));
            });
        }
    }
}

fn tables<'d>(document: &'d DocumentMut, key: &str) -> Option<&'d ArrayOfTables> {
    document.get(key).and_then(Item::as_array_of_tables)
}

fn nth<'t>(table: &'t mut Table, key: &str, at: usize) -> &'t mut Table {
    table[key].as_array_of_tables_mut().unwrap().get_mut(at).unwrap()
}

fn keys_of(item: Option<&Item>) -> Vec<String> {
    let table = item.and_then(Item::as_table_like);
    table.map(|table| table.iter().map(|(key, _)| key.to_owned()).collect()).unwrap_or_default()
}

fn change_text(item: Option<&mut Item>, change: impl FnOnce(&str) -> String) {
    if let Some(item) = item
        && let Some(text) = item.as_str().map(str::to_owned)
    {
        *item = Item::Value(Value::from(change(&text)));
    }
}

/// The last letter twice: `effects` becomes `effectss`.
fn misspell(table: &mut Table, key: &str) {
    let (_, value) = table.remove_entry(key).unwrap();
    let last = key.chars().next_back().unwrap();
    table.insert_formatted(&Key::new(format!("{key}{last}")), value);
}

/// Whether somebody who changed the file so would be told.
fn is_noticed(mutant: &Mutant, rows: &BTreeMap<String, String>) -> bool {
    let file = format!("{}.toml", mutant.id);
    if !lint(&file, &mutant.text).is_empty() {
        return true;
    }
    let Ok(provider) = parse(&file, &mutant.text) else { return true };
    provider.fixture.iter().any(|fixture| decide(&provider, fixture).is_err()) || row(&provider) != rows[&mutant.id]
}

#[test]
fn of_two_hundred_mistakes_in_provider_files_at_most_three_are_not_noticed() {
    let catalog = Catalog::built_in();
    let mut mutants = Vec::new();
    let mut rows = BTreeMap::new();
    for id in catalog.ids() {
        let text = Catalog::built_in_text(id).unwrap();
        rows.insert(id.to_owned(), row(&catalog.get(id).unwrap().provider));
        let mut breaker = Breaker { id, document: text.parse().unwrap(), mutants: Vec::new() };
        breaker.checks();
        for kind in ["var", "field", "scope", "step", "check"] {
            breaker.tables(kind);
        }
        mutants.extend(breaker.mutants);
    }
    let missed = Mutex::new(Vec::new());
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(mutant) = mutants.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if !is_noticed(mutant, &rows) {
                        missed.lock().unwrap_or_else(PoisonError::into_inner).push(mutant);
                    }
                }
            });
        }
    });
    let missed = missed.into_inner().unwrap();
    let mut told: Vec<String> =
        missed.iter().map(|mutant| format!("{} {}: {}", mutant.kind, mutant.id, mutant.place)).collect();
    told.sort();
    let share = 100.0 * (mutants.len() - missed.len()) as f64 / mutants.len() as f64;
    // `providers/README.md` says so.
    assert!(mutants.len() > 4000, "only {} mistakes were made", mutants.len());
    assert!(share >= 98.5, "{share:.1} % are noticed; not noticed:\n{}", told.join("\n"));
}
