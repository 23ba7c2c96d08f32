//! The JSON Schema of provider files, for editors: derived from the types that read them, so that it cannot disagree.
//!
//! Draft-07, because the TOML editors that can use a schema know no newer one.

use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use super::Provider;

/// The name under which other schemas can refer to it.
pub const SCHEMA_ID: &str = "urn:keyward:provider-file:1";

/// The schema that `provider schema` prints and `providers/provider.schema.json` holds.
pub fn schema() -> Value {
    let generator = SchemaSettings::draft07().into_generator();
    let mut schema = generator.into_root_schema_for::<Provider>();
    schema.insert("$id".to_owned(), Value::from(SCHEMA_ID));
    schema.insert("title".to_owned(), Value::from("keyward provider file"));
    let mut schema = schema.to_value();
    ease_extending(&mut schema);
    schema
}

/// A file that extends another changes single keys of its items. So what an item needs is asked only of a file that
/// extends nothing; of the others, only which item it is.
fn ease_extending(schema: &mut Value) {
    let mut needs = |definition: &str| {
        let required = schema["definitions"][definition].as_object_mut().and_then(|table| table.remove("required"));
        json!({ "required": required.unwrap_or_else(|| json!([])) })
    };
    let with = |mut table: Value, inner: Value| {
        table["properties"] = inner;
        table
    };
    let check = json!({
        "control": needs("ControlPlan"),
        "request": needs("Request"),
        "mint": { "additionalProperties": needs("Mint") },
        "rule": { "items": needs("Rule") },
    });
    let fixture = json!({ "response": needs("Response"), "expect": needs("Expected") });
    let whole = json!({
        "var": { "items": needs("Var") },
        "field": { "items": with(needs("Field"), json!({ "derive": needs("Derive") })) },
        "scope": { "items": with(needs("Scope"), json!({ "verify": needs("Verify") })) },
        "persona": { "items": needs("Persona") },
        "check": { "items": with(needs("Check"), check) },
        "fixture": { "items": with(needs("Fixture"), fixture) },
    });
    let id = json!({ "items": { "required": ["id"] } });
    let check = json!({ "items": { "required": ["id"], "properties": { "rule": id } } });
    let name = json!({ "items": { "required": ["name"] } });
    let part = json!({ "var": id, "field": id, "scope": id, "persona": id, "check": check, "fixture": name });
    schema["if"] = json!({ "required": ["extends"] });
    schema["then"] = json!({ "properties": part });
    schema["else"] = json!({ "properties": whole });
}

/// The schema as the text of its file.
pub fn schema_text() -> String {
    format!("{:#}\n", schema())
}
