//! The JSON Schema of provider files, for editors: derived from the types that read them, so that it cannot disagree.
//!
//! Draft-07, because the TOML editors that can use a schema know no newer one.

use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::Provider;

/// The name under which other schemas can refer to it.
pub const SCHEMA_ID: &str = "urn:keyward:provider-file:1";

/// The schema that `provider schema` prints and `providers/provider.schema.json` holds.
pub fn schema() -> Value {
    let generator = SchemaSettings::draft07().into_generator();
    let mut schema = generator.into_root_schema_for::<Provider>();
    schema.insert("$id".to_owned(), Value::from(SCHEMA_ID));
    schema.insert("title".to_owned(), Value::from("keyward provider file"));
    schema.to_value()
}

/// The schema as the text of its file.
pub fn schema_text() -> String {
    format!("{:#}\n", schema())
}
