//! Embeds `providers/*.toml`, sorted by id: `[(id, text)]`. Nothing else, and no network.
#![expect(clippy::disallowed_methods, reason = "cargo hands everything over in variables, and nothing here is secret")]

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

fn main() {
    let root = env::var("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
    let folder = Path::new(&root).join("providers");
    println!("cargo::rerun-if-changed={}", folder.display());

    let mut files: Vec<_> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("cannot read {}: {error}", folder.display()))
        .map(|entry| entry.expect("an entry of the folder that was just opened").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    files.sort();

    let mut table = String::from("[\n");
    for path in files {
        let id = path.file_stem().and_then(|stem| stem.to_str()).expect("the name of a provider file is ASCII");
        writeln!(table, "    ({id:?}, include_str!({path:?})),").expect("writing to a string cannot fail");
    }
    table.push(']');

    let out = env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    fs::write(Path::new(&out).join("providers.rs"), table).expect("OUT_DIR can be written");
}
