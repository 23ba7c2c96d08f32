//! `remove`: forget a credential, and say that the service does not.

use clap::Args;
use serde_json::{Value, json};

use super::complete;
use super::house::House;
use super::report::{Report, Reported};
use crate::audit::{Deed, Event};
use crate::credential::CredentialName;
use crate::problem::{Kind, Problem};
use crate::provider::LinkKind;
use crate::provider::template::{Encoding, Scope};
use crate::store::StoreKind;
use crate::ui::Ui;

/// Remove stored credentials
///
/// The service still honours them: the page where they are revoked is printed.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  keyward remove zotero\n  keyward remove google/old google/test --yes")]
pub(crate) struct RemoveArgs {
    /// The credentials
    #[arg(value_name = "NAME", required = true, add = complete::credentials())]
    names: Vec<CredentialName>,
    /// Do not ask first
    #[arg(short, long)]
    yes: bool,
}

struct Removed(Vec<Gone>);

struct Gone {
    name: CredentialName,
    store: StoreKind,
    /// How it is revoked at the service.
    revoke: Option<String>,
}

/// Removes them, after asking when somebody is there.
pub(crate) fn run(args: &RemoveArgs, house: &House) -> Reported {
    // All are looked up before the first is removed: a misspelt name removes nothing.
    let mut found = Vec::new();
    for name in &args.names {
        found.push((name, house.in_stores(|store| store.show(name).map(|summary| (store.kind(), summary)))?));
    }
    if !args.yes && house.ui.may_ask() {
        let names: Vec<String> = args.names.iter().map(ToString::to_string).collect();
        if !house.confirm(&format!("Remove {}?", names.join(", ")), false)? {
            return Err(Problem::new(Kind::Interrupted, "not-confirmed", "nothing was removed"));
        }
    }
    let mut gone = Vec::new();
    for (name, (kind, summary)) in found {
        let event = Event::done("remove", Deed::Removed, Some(name)).detail(format!("from the {}", kind.word()));
        house.doing(event, || Ok(house.open(kind)?.remove(name)?))?;
        gone.push(Gone { name: name.clone(), store: kind, revoke: revoke(house, &summary) });
    }
    Ok(Box::new(Removed(gone)))
}

/// How the provider file says it is revoked; nothing when there is no such file any more.
pub(crate) fn revoke(house: &House, summary: &crate::store::Summary) -> Option<String> {
    let loaded = house.catalog().ok()?.get(summary.name.provider()).ok()?;
    let said = loaded.provider.lifecycle.revoke.as_ref().and_then(|template| filled(template, summary));
    said.or_else(|| revoke_page(house, summary))
}

/// The page where it is revoked.
pub(crate) fn revoke_page(house: &House, summary: &crate::store::Summary) -> Option<String> {
    let loaded = house.catalog().ok()?.get(summary.name.provider()).ok()?;
    let links = &loaded.provider.provider.links;
    links.iter().find(|link| link.kind == LinkKind::Revoke).and_then(|link| filled(&link.url, summary))
}

fn filled(template: &crate::provider::Template, summary: &crate::store::Summary) -> Option<String> {
    let values = |scope: Scope, id: &str| match scope {
        Scope::Field => summary.clear.get(id).cloned(),
        Scope::Var => summary.vars.get(id).cloned(),
        Scope::Got | Scope::Mint | Scope::Cert => None,
    };
    template.fill(&values, Encoding::Plain).ok()
}

impl Report for Removed {
    fn text(&self, _: &Ui) -> String {
        self.0.iter().map(|gone| format!("removed {} from the {}\n", gone.name, gone.store.word())).collect()
    }
    fn json(&self) -> Value {
        let removed: Vec<Value> = self
            .0
            .iter()
            .map(|gone| json!({ "name": gone.name, "store": gone.store, "revoke": gone.revoke }))
            .collect();
        json!({ "schema": "keyward.remove/1", "removed": removed })
    }
    fn notes(&self, _: &Ui) -> Vec<String> {
        let how = |gone: &Gone| match &gone.revoke {
            Some(how) => format!("revoke it: {how}"),
            None => "revoke it in its console".to_owned(),
        };
        let notes = self.0.iter().map(|gone| format!("note: the service still honours {}\n  {}", gone.name, how(gone)));
        notes.collect()
    }
}
