//! What is generated is compared; `UPDATE=1` writes it anew.

use std::fs;
use std::path::PathBuf;

use keyward::provider::catalog::Catalog;
use keyward::provider::{Provider, Status};

fn root(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The text between two marker lines of a file is what it has to be.
fn section_is(file: &str, name: &str, wanted: &str) {
    let path = root(file);
    let text = fs::read_to_string(&path).unwrap();
    let start = text.find(&format!("<!-- generated: {name}")).unwrap_or_else(|| panic!("{file} has no section {name}"));
    let start = start + text[start..].find('\n').unwrap() + 1;
    let end = start + text[start..].find(&format!("<!-- end: {name} -->")).unwrap();
    if text[start..end] != *wanted && std::env::var_os("UPDATE").is_some() {
        fs::write(&path, format!("{}{wanted}{}", &text[..start], &text[end..])).unwrap();
        return;
    }
    assert_eq!(&text[start..end], wanted, "{file} is stale: run with UPDATE=1");
}

fn row(provider: &Provider) -> String {
    let about = &provider.provider;
    let mut proven: Vec<&str> = provider.check.iter().flat_map(|check| &check.proves).map(String::as_str).collect();
    proven.sort_unstable();
    proven.dedup();
    let status = if about.status == Status::Active { "" } else { about.status.word() };
    let cannot = provider.lifecycle.unverifiable.join("<br>");
    let reviewed = &provider.provenance.reviewed;
    format!("| `{}` | {} | {} | {cannot} | {status} | {reviewed} |\n", about.id, about.name, proven.join(", "))
}

#[test]
fn the_table_of_services_is_what_the_provider_files_say() {
    let catalog = Catalog::built_in();
    let mut table =
        "| id | service | what is proven | what no check can see | status | reviewed |\n|---|---|---|---|---|---|\n"
            .to_owned();
    for id in catalog.ids() {
        table.push_str(&row(&catalog.get(id).unwrap().provider));
    }
    section_is("README.md", "services", &table);
}
