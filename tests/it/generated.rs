//! What is generated is compared; `UPDATE=1` writes it anew.

use std::fs;
use std::path::PathBuf;

use keyward::provider::catalog::Catalog;
use keyward::provider::{Provider, Status, Template};

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

/// Who is asked, as the file writes it: what has to be open in a firewall.
fn hosts(provider: &Provider) -> Vec<String> {
    let mut hosts: Vec<String> = Vec::new();
    for check in &provider.check {
        let auth = &check.auth;
        let url = check.request.as_ref().map(|request| &request.url);
        let url = url.or(auth.token_url.as_ref()).or(auth.authorize_url.as_ref());
        let Some(url) = url.map(Template::source) else { continue };
        let host = url.split_once("://").map_or(url, |(_, rest)| rest).split('/').next().unwrap_or_default();
        let host = format!("`{host}`");
        if !hosts.contains(&host) {
            hosts.push(host);
        }
    }
    hosts
}

/// The row of a service in the table.
pub(crate) fn row(provider: &Provider) -> String {
    let about = &provider.provider;
    let mut proven: Vec<&str> = provider.check.iter().flat_map(|check| &check.proves).map(String::as_str).collect();
    proven.sort_unstable();
    proven.dedup();
    let status = if about.status == Status::Active { "" } else { about.status.word() };
    let cannot = provider.lifecycle.unverifiable.join("<br>");
    let reviewed = &provider.provenance.reviewed;
    let (id, name, proven, hosts) = (&about.id, &about.name, proven.join(", "), hosts(provider).join("<br>"));
    format!("| `{id}` | {name} | {hosts} | {proven} | {cannot} | {status} | {reviewed} |\n")
}

#[test]
fn the_table_of_services_is_what_the_provider_files_say() {
    let catalog = Catalog::built_in();
    let mut table =
        "| id | service | who is asked | what is proven | what no check can see | status | reviewed |\n|---|---|---|---|---|---|---|\n"
            .to_owned();
    for id in catalog.ids() {
        table.push_str(&row(&catalog.get(id).unwrap().provider));
    }
    section_is("README.md", "services", &table);
}
