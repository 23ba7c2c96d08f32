//! Every file in `providers/`: it loads, is without findings, fits the published schema, and can be shown.
//!
//! Not here: whether each fixture gives its verdict. That is decided by the judge and stands beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use keyward::credential::format::lint;
use keyward::provider::catalog::{Catalog, Loaded, inherited};
use keyward::provider::parse::parse;
use keyward::provider::schema::{schema, schema_text};
use keyward::provider::template::{Encoding, Scope};
use keyward::provider::translation::{self, Translation};
use keyward::provider::{Provider, Status, Template, Var};
use serde_json::Value;
use url::Url;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("providers")
}

fn read(name: &str) -> String {
    std::fs::read_to_string(folder().join(name)).unwrap()
}

/// Id and text of every file in the folder, read from the disk.
fn files() -> BTreeMap<String, String> {
    let entries = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.filter(|path| path.extension().is_some_and(|extension| extension == "toml"));
    files
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), std::fs::read_to_string(path).unwrap()))
        .collect()
}

fn all() -> Vec<Provider> {
    let loaded: Vec<Loaded> = Catalog::built_in().load_all().into_iter().map(|(_, loaded)| loaded.unwrap()).collect();
    loaded.into_iter().map(|loaded| loaded.provider).collect()
}

fn provider(id: &str) -> Provider {
    Catalog::built_in().get(id).unwrap().provider
}

#[test]
fn what_is_built_in_is_what_stands_in_the_folder() {
    let catalog = Catalog::built_in();
    let files = files();
    assert_eq!(catalog.ids(), files.keys().map(String::as_str).collect::<Vec<_>>());
    for (id, text) in &files {
        assert_eq!(Catalog::built_in_text(id), Some(text.as_str()), "{id}");
    }
    let expected = ["aws-s3", "google", "onlyoffice-docs-jwt", "selectel", "smsc", "telegram", "twilio", "zotero"]
        .map(str::to_owned);
    assert!(expected.iter().all(|id| files.contains_key(id)), "{:?}", files.keys());
}

#[test]
fn no_file_has_a_finding() {
    let findings: Vec<String> = files()
        .iter()
        .flat_map(|(id, text)| lint(&format!("{id}.toml"), text))
        .map(|finding| format!("{finding} ({})", finding.hint.as_deref().unwrap_or("no hint")))
        .collect();
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}

#[test]
fn the_published_schema_is_current() {
    let path = folder().join("provider.schema.json");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, schema_text()).unwrap();
    }
    let published = std::fs::read_to_string(path).unwrap();
    assert!(published == schema_text(), "providers/provider.schema.json is stale: run the tests once with UPDATE=1");
}

/// A provider file as JSON.
fn json(text: &str) -> Value {
    serde_json::to_value(toml::from_str::<toml::Table>(text).unwrap()).unwrap()
}

#[test]
fn every_file_fits_the_schema_and_a_misspelt_key_does_not() {
    let schema = schema();
    assert_eq!(schema["$schema"], "http://json-schema.org/draft-07/schema#");
    let validator = jsonschema::validator_for(&schema).unwrap();
    let mut refused = 0;
    for (id, text) in files() {
        let errors: Vec<String> = validator.iter_errors(&json(&text)).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{id}: {}", errors.join("\n"));
        for (right, wrong) in [
            ("\nsummary = ", "\nsumary = "),
            ("\neffects = ", "\nefects = "),
            ("\nsecret = true", "\nsecrett = true"),
            ("verdict = \"rejected\"", "verdict = \"invalid\""),
        ] {
            // A service that is gone has no check, and a file that extends another one has only what differs.
            if text.contains(right) {
                assert!(!validator.is_valid(&json(&text.replacen(right, wrong, 1))), "{id}: `{wrong}` is valid");
                refused += 1;
            }
        }
    }
    assert!(refused > 100, "{refused}");
}

#[test]
fn only_a_file_that_extends_another_may_write_an_item_in_part() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let head = |extends: &str| {
        format!(
            "schema = 1\n{extends}[provider]\nid = 'x'\nname = 'X'\nsummary = 's'\ncategory = 'sms'\nstatus = 'active'\n\
             [provenance]\nreviewed = '2026-11-21'\nsource = []\n"
        )
    };
    let parts = [
        "[[field]]\nid = 'a'\n",
        "[[scope]]\nid = 'a'\n",
        "[[check]]\nid = 'a'\n[[check.rule]]\nid = 'r'\nwhy = 'w'\n",
        "[[check]]\nid = 'a'\n[check.request]\nurl = 'https://x.example/'\n",
        "[[check]]\nid = 'a'\n[check.mint.m]\nttl_s = 60\n",
        "[[fixture]]\nname = 'a'\nexpect = { why = 'w' }\n",
    ];
    for part in parts {
        assert!(validator.is_valid(&json(&format!("{}{part}", head("extends = 'zotero'\n")))), "{part}");
        assert!(!validator.is_valid(&json(&format!("{}{part}", head("")))), "{part}");
        let misspelt = part.replacen("id = 'a'", "id = 'a'\nlabbel = 'x'", 1).replacen("name = ", "nmae = ", 1);
        assert!(!validator.is_valid(&json(&format!("{}{misspelt}", head("extends = 'zotero'\n")))), "{misspelt}");
    }
}

#[test]
fn every_file_names_its_schema_for_editors() {
    for (id, text) in files() {
        assert!(text.starts_with("#:schema ./provider.schema.json\n"), "{id}");
    }
}

/// Table → its keys, as the schema has them; the table of the file itself is called `Provider`.
fn keys(schema: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let definitions = schema["definitions"].as_object().unwrap().iter();
    definitions
        .chain([(&"Provider".to_owned(), schema)])
        .filter_map(|(name, table)| Some((name.clone(), table["properties"].as_object()?.keys().cloned().collect())))
        .collect()
}

#[test]
fn no_table_of_the_schema_takes_other_keys() {
    let schema = schema();
    let tables = keys(&schema);
    assert!(tables.len() > 25, "{tables:?}");
    for name in tables.keys().filter(|name| *name != "Provider") {
        assert_eq!(schema["definitions"][name]["additionalProperties"], false, "{name}");
    }
    assert_eq!(schema["additionalProperties"], false);
}

#[test]
fn the_readme_explains_every_key_where_its_table_is_and_no_other() {
    let readme = read("README.md");
    // Each table of keys follows a mark with its name in the schema; a key is explained by a row that begins with it.
    let explained: BTreeMap<String, BTreeSet<String>> = readme
        .split("<!-- schema: ")
        .skip(1)
        .map(|section| {
            let (name, rest) = section.split_once(" -->").unwrap();
            let rows = rest.lines().skip(1).take_while(|line| line.starts_with('|'));
            let keys = rows.filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
            (name.to_owned(), keys.map(|(key, _)| key.to_owned()).collect())
        })
        .collect();
    assert_eq!(explained, keys(&schema()));
}

#[test]
fn the_example_of_the_readme_has_no_finding() {
    let readme = read("README.md");
    let example = readme.split("```toml\n#:schema").nth(1).unwrap().split("```").next().unwrap();
    let example = format!("#:schema{example}");
    let findings: Vec<String> = lint("acme-sms.toml", &example).iter().map(ToString::to_string).collect();
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}

/// Every combination in which one variable has one of its values, and the others their sample.
fn variants(provider: &Provider) -> Vec<BTreeMap<String, String>> {
    let samples = provider.samples();
    let values = |var: &Var| -> Vec<String> {
        let presets = var.preset.iter().map(|preset| preset.value.source().to_owned());
        var.choices.iter().cloned().chain(presets).collect()
    };
    let changed = provider.var.iter().flat_map(|var| {
        values(var).into_iter().map(|value| {
            let mut variant = samples.clone();
            variant.insert(format!("var.{}", var.id), value);
            variant
        })
    });
    std::iter::once(samples.clone()).chain(changed).collect()
}

fn fill(template: &Template, values: &BTreeMap<String, String>) -> String {
    let look_up = |scope: Scope, id: &str| values.get(&format!("{}.{id}", scope.word())).cloned();
    template.fill(&look_up, Encoding::Plain).unwrap_or_else(|unfilled| panic!("{}: {unfilled}", template.source()))
}

#[test]
fn every_text_can_be_shown_and_every_address_opened_whatever_is_chosen() {
    for provider in all() {
        for values in variants(&provider) {
            let shown = |template: &Template| {
                let text = fill(template, &values);
                assert!(!text.is_empty() && !text.contains("${"), "{}: {text:?}", provider.id());
                text
            };
            let open = |template: &Template| {
                let url = Url::parse(&fill(template, &values));
                let url = url.unwrap_or_else(|error| panic!("{}: {error}: {}", provider.id(), template.source()));
                assert_eq!(url.scheme(), "https", "{}: {url}", provider.id());
            };
            for step in &provider.step {
                let text = shown(&step.text);
                assert!(text.ends_with('.'), "{}: {text}", provider.id());
                step.warning.iter().for_each(|warning| drop(shown(warning)));
                step.paste.iter().for_each(|paste| drop(shown(&paste.value)));
                step.links.iter().for_each(|link| open(&link.url));
            }
            provider.message.values().for_each(|message| drop(shown(message)));
            provider.provider.links.iter().for_each(|link| open(&link.url));
            provider.lifecycle.revoke.iter().chain(&provider.lifecycle.rotate).for_each(|text| drop(shown(text)));
            for check in &provider.check {
                check.request.iter().for_each(|request| open(&request.url));
                check.auth.token_url.iter().for_each(open);
            }
        }
    }
}

#[test]
fn every_field_and_variable_has_a_sample() {
    for provider in all() {
        let samples = provider.samples();
        let fields = provider.field.iter().map(|field| format!("field.{}", field.id));
        let wanted: BTreeSet<String> = fields.chain(provider.var.iter().map(|var| format!("var.{}", var.id))).collect();
        assert_eq!(samples.keys().cloned().collect::<BTreeSet<_>>(), wanted, "{}", provider.id());
    }
}

#[test]
fn google_knows_the_redirect_uris_of_both_products_and_takes_another() {
    let google = provider("google");
    let presets: Vec<(&str, &str)> =
        google.var("redirect_uri").unwrap().preset.iter().map(|p| (p.id.as_str(), p.value.source())).collect();
    assert_eq!(
        presets,
        [
            ("workspace", "https://service.onlyoffice.com/oauth2.aspx"),
            ("docspace", "https://service.teamlab.info/oauth2.aspx")
        ]
    );
    assert!(google.var("redirect_uri").unwrap().choices.is_empty());
    let client = google.step.iter().find(|step| step.id == "client").unwrap();
    let typed = BTreeMap::from([("var.redirect_uri".to_owned(), "https://portal.acme.example:8443/oauth".to_owned())]);
    let pasted: Vec<String> = client.paste.iter().map(|paste| fill(&paste.value, &typed)).collect();
    assert_eq!(pasted, ["https://portal.acme.example:8443", "https://portal.acme.example:8443/oauth"]);
}

#[test]
fn a_session_token_belongs_to_temporary_aws_keys_only() {
    let aws = provider("aws-s3");
    let when = aws.field("session_token").unwrap().when.clone().unwrap();
    let holds = |key: &'static str| when.holds(&|name| (name == "field.access_key_id").then_some(key));
    assert!(holds("ASIA00"));
    assert!(!holds("AKIA00"));
}

#[test]
fn the_end_of_selectels_old_login_is_announced() {
    let about = provider("selectel").provider;
    assert_eq!((about.status, about.change.unwrap().since.as_str()), (Status::Degraded, "2027-10-05"));
}

#[test]
fn switched_off_jwt_is_never_good_news_and_is_said_loudly() {
    let docs = provider("onlyoffice-docs-jwt");
    let unsigned = docs.check("unsigned").unwrap();
    let off = unsigned.rule.iter().find(|rule| rule.id == "jwt-off").unwrap();
    assert_eq!(off.verdict.word(), "inconclusive");
    assert!(docs.message[off.hint.as_ref().unwrap()].source().starts_with("JWT IS SWITCHED OFF"));
    // Where tokens are not checked, no secret is asked for: the next check waits for this one.
    assert!(!unsigned.optional && docs.check("signed").unwrap().after == ["unsigned"]);
}

#[test]
fn no_check_with_a_known_limit_on_wrong_values_sends_one_on_purpose() {
    for id in ["zotero", "twilio", "smsc", "selectel"] {
        for check in provider(id).check {
            let run = check.control.map(|control| format!("{:?}", control.run));
            assert_eq!(run.as_deref(), Some("Never"), "{id}: {}", check.id);
        }
    }
}

#[test]
fn a_file_is_read_the_same_way_from_its_folder() {
    let folders = [folder()];
    let catalog = Catalog::open(None, &folders).unwrap();
    for (id, text) in files() {
        let outside = catalog.get(&id).unwrap();
        assert_eq!(outside.rev, Catalog::built_in().get(&id).unwrap().rev, "{id}");
        assert!(parse(&id, &text).is_ok());
    }
}

// ---- Every fixture gives its verdict ----
// The place for it: each of `provider.fixture` through the judge, with `provider.samples()` overlaid by `given`.

#[test]
fn every_service_is_there_in_german_and_french_and_some_in_other_languages() {
    for provider in all() {
        let id = provider.id();
        let languages: BTreeSet<&str> = translation::languages(id).collect();
        let more: &[&str] = match id {
            "nocobase-google-mail" | "nocobase-microsoft-mail" => &["sv"],
            "onlyoffice-docs-jwt" => &["zh"],
            _ => &[],
        };
        let wanted: BTreeSet<&str> = ["de", "fr"].iter().chain(more).copied().collect();
        assert_eq!(languages, wanted, "{id}");
        for language in wanted {
            let translation = Translation::parse(id, translation::built_in(language, id).unwrap()).unwrap();
            let findings = translation.lint(language, &provider, &inherited(&provider, language));
            assert_eq!(findings, [], "{id}");
            let german = Catalog::built_in().in_language(Some(language.to_owned())).get(id).unwrap().provider;
            assert!(german.step.iter().zip(&provider.step).all(|(a, b)| a.text != b.text), "{id} in {language}");
        }
    }
}
