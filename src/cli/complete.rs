//! Candidates for the shell: names of providers, credentials and fields.
//!
//! Nothing is unlocked, nothing is parsed as a whole, and nothing fails: a damaged vault still gives the names
//! that can be read in it.

use std::ffi::OsStr;
use std::path::PathBuf;

use clap_complete::{ArgValueCompleter, CompletionCandidate};

use crate::env::Env;
use crate::paths::Places;
use crate::provider::catalog::Catalog;
use crate::settings::Config;
use crate::store::{keyring, vault};

/// Stored credentials.
pub(crate) fn credentials() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| candidates(typed, stored_names()))
}

/// Providers that can be set up.
pub(crate) fn providers() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| candidates(typed, provider_ids()))
}

/// Fields of the credential that was typed before.
pub(crate) fn fields() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| candidates(typed, fields_of_typed()))
}

fn candidates(typed: &OsStr, names: impl IntoIterator<Item = String>) -> Vec<CompletionCandidate> {
    let Some(typed) = typed.to_str() else { return Vec::new() };
    names.into_iter().filter(|name| name.starts_with(typed)).map(CompletionCandidate::new).collect()
}

fn places() -> Option<(Env, Places)> {
    let env = Env::system();
    let places = Places::find(&env).ok()?;
    Some((env, places))
}

fn stored_names() -> Vec<String> {
    let Some((env, places)) = places() else { return Vec::new() };
    let vault = typed("--vault")
        .or_else(|| env.get_os("KEYWARD_VAULT").map(PathBuf::from))
        .or_else(|| Config::load(&places.config).ok().and_then(|config| config.vault))
        .unwrap_or(places.vault);
    let mut names = vault::names_lossy(&vault);
    names.extend(keyring::names_lossy(&places.index).iter().map(ToString::to_string));
    names.sort();
    names.dedup();
    names
}

fn provider_ids() -> Vec<String> {
    catalog().map(|catalog| catalog.ids().into_iter().map(str::to_owned).collect()).unwrap_or_default()
}

fn catalog() -> Option<Catalog> {
    let (env, places) = places()?;
    let folder = typed("--providers").or_else(|| env.get_os("KEYWARD_PROVIDERS").map(PathBuf::from));
    let folders: Vec<PathBuf> = folder.into_iter().collect();
    Catalog::open(Some(&places.providers), &folders).ok()
}

/// The words of the line, which the shell hands over after `--`.
fn line() -> Vec<String> {
    let words = std::env::args_os().map(|word| word.to_string_lossy().into_owned());
    words.skip_while(|word| word != "--").skip(1).collect()
}

/// The path that was typed for an option, as `--option PATH` or `--option=PATH`.
fn typed(option: &str) -> Option<PathBuf> {
    let words = line();
    let joined = words.iter().find_map(|word| word.strip_prefix(option)?.strip_prefix('='));
    let apart = || words.iter().position(|word| word == option).and_then(|at| words.get(at + 1)).map(String::as_str);
    joined.or_else(apart).map(PathBuf::from)
}

/// The first word after `get` that belongs to a provider names the credential; values of options do not.
fn fields_of_typed() -> Vec<String> {
    let Some(catalog) = catalog() else { return Vec::new() };
    let words = line();
    let after_get = words.iter().skip_while(|word| *word != "get").skip(1);
    let mut named = after_get.map(|word| word.split('/').next().unwrap_or(word));
    let Some(provider) = named.find(|word| catalog.ids().contains(word)) else { return Vec::new() };
    let Ok(loaded) = catalog.get(provider) else { return Vec::new() };
    loaded.provider.field.iter().map(|field| field.id.clone()).collect()
}
