//! Embeds `providers/*.toml`, sorted by id: `[(id, text)]`, and their translations: `[((language, id), text)]`. No network.
#![expect(clippy::disallowed_methods, reason = "cargo hands everything over in variables, and nothing here is secret")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    let root = env::var("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
    let folder = Path::new(&root).join("providers");
    println!("cargo::rerun-if-changed={}", folder.display());

    let mut providers = String::from("[\n");
    for path in toml_files(&folder) {
        writeln!(providers, "    ({:?}, include_str!({path:?})),", stem(&path))
            .expect("writing to a string cannot fail");
    }
    providers.push(']');

    let mut translations = String::from("[\n");
    for folder in sorted(&folder.join("i18n")).into_iter().filter(|path| path.is_dir()) {
        for path in toml_files(&folder) {
            writeln!(translations, "    (({:?}, {:?}), include_str!({path:?})),", stem(&folder), stem(&path))
                .expect("writing to a string cannot fail");
        }
    }
    translations.push(']');

    // One library less to look for and to relocate at every start: the unwinder comes along with gcc.
    let target = |part: &str| env::var(format!("CARGO_CFG_TARGET_{part}")).unwrap_or_default();
    if target("OS") == "linux" && target("ENV") == "gnu" {
        println!("cargo::rustc-link-lib=static:-bundle=gcc_eh");
    }

    let out = env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    fs::write(Path::new(&out).join("providers.rs"), providers).expect("OUT_DIR can be written");
    fs::write(Path::new(&out).join("translations.rs"), translations).expect("OUT_DIR can be written");
}

fn sorted(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("cannot read {}: {error}", folder.display()))
        .map(|entry| entry.expect("an entry of the folder that was just opened").path())
        .collect();
    paths.sort();
    paths
}

fn toml_files(folder: &Path) -> Vec<PathBuf> {
    let mut paths = sorted(folder);
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    // By id, which is not the order of the names: `a-b.toml` comes before `a.toml`.
    paths.sort_by(|a, b| stem(a).cmp(stem(b)));
    paths
}

fn stem(path: &Path) -> &str {
    path.file_stem().and_then(|stem| stem.to_str()).expect("names in the provider folder are ASCII")
}
