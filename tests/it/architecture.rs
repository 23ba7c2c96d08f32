//! The arrows between rooms: data goes one way, and the workshops do not know each other.

use std::fs;
use std::path::{Path, PathBuf};

/// Room → rooms that it may use. Rooms that are not listed (secret, problem, verdict, clock, env, paths, harden) are the
/// words that all share, and use nobody but each other.
const ARROWS: [(&str, &[&str]); 10] = [
    ("audit", &["credential", "store"]),
    ("provider", &[]),
    ("ui", &["provider"]),
    ("credential", &["provider"]),
    ("setup", &["provider", "credential", "ui"]),
    ("check", &["provider", "credential"]),
    ("store", &["credential"]),
    ("deliver", &["provider", "credential"]),
    ("standin", &["check"]),
    ("settings", &["provider", "store", "ui"]),
];

/// `cli` may enter every room.
const FREE: &str = "cli";

fn rust_files(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

/// The rooms that a source text names by `crate::room`, comments left out.
fn rooms_used(text: &str) -> Vec<String> {
    let mut rooms = Vec::new();
    for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
        for (at, _) in line.match_indices("crate::") {
            let after = &line[at + "crate::".len()..];
            let room: String = after.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            rooms.push(if room.is_empty() { after.chars().take(1).collect() } else { room });
        }
    }
    rooms
}

#[test]
fn no_room_uses_one_that_lies_against_the_data_s_way() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&src, &mut files);
    assert!(files.len() > 30, "only {} files were found", files.len());
    let is_room = |name: &str| name == FREE || ARROWS.iter().any(|(room, _)| *room == name);
    let mut wrong = Vec::new();
    let mut arrows = 0;
    for file in files {
        let relative = file.strip_prefix(&src).unwrap();
        let room = relative.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs").to_owned();
        if [FREE, "lib", "main"].contains(&room.as_str()) {
            continue;
        }
        let allowed = ARROWS.iter().find(|(name, _)| *name == room).map_or(&[] as &[&str], |(_, allowed)| allowed);
        for used in rooms_used(&fs::read_to_string(&file).unwrap()) {
            // Grouped imports (`crate::{…}`) would hide their arrows: one `use` for each room.
            let is_wrong = used == "{" || (is_room(&used) && used != room && !allowed.contains(&used.as_str()));
            arrows += usize::from(is_room(&used));
            if is_wrong {
                wrong.push(format!("{} uses crate::{used}", relative.display()));
            }
        }
    }
    assert!(arrows > 30, "only {arrows} arrows were seen");
    assert!(wrong.is_empty(), "against the data's way:\n{}", wrong.join("\n"));
}

#[test]
fn grouped_and_qualified_imports_are_read() {
    let text = "use crate::store::Store;\n// use crate::cli::X;\nlet x = crate::check::ask(crate::ui::plain(y));\nuse crate::{a, b};";
    assert_eq!(rooms_used(text), ["store", "check", "ui", "{"]);
}

#[test]
fn every_test_file_is_part_of_the_test_program() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let mut files = Vec::new();
    rust_files(&folder, &mut files);
    for file in files {
        let stem = file.file_stem().unwrap().to_str().unwrap();
        if ["main", "mod"].contains(&stem) {
            continue;
        }
        let folder = file.parent().unwrap();
        let parents = [folder.join("main.rs"), folder.join("mod.rs"), folder.with_extension("rs")];
        let named = parents
            .iter()
            .filter_map(|parent| fs::read_to_string(parent).ok())
            .any(|text| text.contains(&format!("mod {stem};")));
        assert!(named, "{} is in no module list", file.display());
    }
}

#[test]
fn secrets_leave_their_type_only_where_a_comment_says_where_to() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&src, &mut files);
    let mut silent = Vec::new();
    for file in files.iter().filter(|file| file.starts_with(src.join("cli")) || file.starts_with(src.join("deliver"))) {
        let text = fs::read_to_string(file).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        for (number, line) in lines.iter().enumerate().filter(|(_, line)| line.contains(".expose()")) {
            let explained =
                lines[number.saturating_sub(3)..number].iter().any(|line| line.trim_start().starts_with("//"));
            if !explained {
                silent.push(format!("{}:{}: {}", file.display(), number + 1, line.trim()));
            }
        }
    }
    assert!(silent.is_empty(), "say where the secret goes:\n{}", silent.join("\n"));
}
