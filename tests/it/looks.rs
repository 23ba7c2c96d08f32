//! How reports look to a human: compared with `tests/looks/`; `UPDATE=1` writes them anew.

use std::fs;
use std::path::Path;

use keyward::provider::catalog::Catalog;
use keyward::standin::StandIn;

use crate::commands::{Mood, zotero_says};
use crate::support::env::TestEnv;
use crate::support::env::zotero_key;

/// `text` is what stands in the file of that name.
#[track_caller]
fn looks(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/looks").join(format!("{name}.txt"));
    if std::env::var_os("UPDATE").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        return;
    }
    let wanted = fs::read_to_string(&path).unwrap_or_default();
    if text != wanted {
        let is_other = |line: &&str, all: &str| !all.lines().any(|known| known == *line);
        let gone = wanted.lines().filter(|line| is_other(line, text)).map(|line| format!("- {line}\n"));
        let new = text.lines().filter(|line| is_other(line, &wanted)).map(|line| format!("+ {line}\n"));
        let diff: String = gone.chain(new).collect();
        panic!("{} is stale: run with UPDATE=1, and look at it\n{diff}\n{text}", path.display());
    }
}

/// What stdout shows in a terminal of 80 columns without colours.
fn shown(env: &TestEnv, args: &[&str], code: i32) -> String {
    let script = r#"exec "$0" "$@" 2>/dev/null"#;
    let mut pty = env.terminal_for(80, "sh", &[&["-c", script, env!("CARGO_BIN_EXE_keyward")], args].concat());
    assert_eq!(pty.wait(), code, "{}", pty.transcript());
    let text = pty.transcript().replace("\r\n", "\n");
    assert!(!text.contains('\x1b'), "{text:?}");
    text
}

fn env() -> TestEnv {
    let mut env = TestEnv::new();
    env.set("NO_COLOR", "1");
    env
}

#[track_caller]
fn fits(text: &str) {
    // An address, and a text to paste, stand on lines of their own.
    let wide: Vec<&str> = text.lines().filter(|line| line.chars().count() > 80 && !line.contains("://")).collect();
    assert!(wide.is_empty(), "{wide:#?}");
}

#[test]
fn the_list_of_services_fits_80_columns() {
    let text = shown(&env(), &["provider", "list"], 0);
    fits(&text);
    looks("provider-list", &text);
}

#[test]
fn lists_and_pages_fit_140_columns_with_and_without_colour() {
    for (no_color, has_escapes) in [("1", false), ("", true)] {
        let mut env = TestEnv::new();
        env.set("NO_COLOR", no_color);
        if no_color.is_empty() {
            env.unset("NO_COLOR");
        }
        for args in
            [&["provider", "list"][..], &["provider", "show", "microsoft"], &["provider", "show", "vk", "--lang", "fr"]]
        {
            let mut pty = env.terminal(140, args);
            assert_eq!(pty.wait(), 0, "{}", pty.transcript());
            let text = pty.transcript();
            assert_eq!(text.contains("\x1b["), has_escapes, "{args:?}");
            let plain = console::strip_ansi_codes(&text);
            let wide = |line: &&str| console::measure_text_width(line) > 140 && !line.contains("://");
            let wide: Vec<&str> = plain.lines().filter(wide).collect();
            assert!(wide.is_empty(), "{args:?}: {wide:#?}");
            // Roomy enough for the columns that 80 leave out.
            assert!(args[1] != "list" || plain.contains("CATEGORY"), "{plain}");
        }
    }
}

#[test]
fn the_page_of_every_service_fits_80_columns_in_every_language() {
    let env = env();
    for id in Catalog::built_in().ids() {
        for language in ["en", "de", "fr", "sv", "zh"] {
            let text = shown(&env, &["provider", "show", id, "--lang", language], 0);
            let mut lines = text.lines().scan("", |before, line| Some((std::mem::replace(before, line), line)));
            // An address, and a text to paste, stand on lines of their own, whole.
            let is_whole = |before: &str, line: &str| line.contains("://") || before.ends_with("to paste:");
            let wide = lines.find(|(before, line)| console::measure_text_width(line) > 80 && !is_whole(before, line));
            assert_eq!(wide, None, "{id} in {language}");
        }
    }
}

#[test]
fn the_page_of_a_service_fits_80_columns() {
    let text = shown(&env(), &["provider", "show", "zotero"], 0);
    fits(&text);
    looks("provider-show", &text);
}

#[test]
fn the_short_help_fits_80_columns() {
    let text = shown(&env(), &["-h"], 0);
    fits(&text);
    looks("help", &text);
}

/// A service whose mood is told by the last letter of the key.
fn zotero() -> (TestEnv, StandIn) {
    let service = StandIn::start(|seen| {
        zotero_says(match seen.header("zotero-api-key").and_then(|key| key.chars().last()) {
            Some('a') => Mood::Accepts,
            Some('l') => Mood::Limits,
            Some('r') => Mood::Rejects,
            _ => Mood::Babbles,
        })
    });
    let (service, mut env) = (service.unwrap(), env());
    env.set("KEYWARD_ENDPOINT", &format!("zotero={}", service.url()));
    (env, service)
}

#[test]
fn a_report_of_several_verdicts_fits_80_columns() {
    let (env, service) = zotero();
    for (profile, letter) in [("default", 'a'), ("readonly", 'l'), ("old", 'r'), ("elsewhere", 'b')] {
        let name = format!("zotero/{profile}");
        let args = ["setup", &name, "--no-input", "--no-check", "--field", "api_key=-"];
        env.run_with(&args, zotero_key(letter)).exits(0);
    }
    let text = shown(&env, &["check"], 3);
    fits(&text);
    let port = service.url().port().unwrap().to_string();
    looks("check", &text.replace(&format!(":{port}"), ":PORT"));
    let text = shown(&env, &["list"], 0);
    fits(&text);
    looks("list", &text);
}

#[test]
fn a_pipe_gets_a_line_for_each_row() {
    let env = env();
    let ran = env.run(&["provider", "list"]);
    let services = env.run(&["provider", "list", "--json"]).json()["providers"].as_array().unwrap().len();
    assert_eq!(ran.out.lines().count(), services + 1, "{}", ran.out);
    let (env, _service) = zotero();
    env.run_with(&["setup", "zotero", "--no-input", "--field", "api_key=-"], zotero_key('r')).exits(3);
    let ran = env.run_with(&["setup", "zotero", "--no-input", "--field", "api_key=-"], zotero_key('r'));
    let hint = ran.out.lines().filter(|line| line.contains("hint: Zotero does not know") && line.ends_with("again."));
    assert_eq!(hint.count(), 1, "{}", ran.out);
}

/// The doctor's report with what differs from machine to machine left out.
fn everywhere_the_same(env: &TestEnv, text: &str) -> String {
    let lines = text.lines().map(|line| {
        let line = line.replace(env.home().to_str().unwrap(), "~");
        let lead = |until: &str| line.find(until).map(|at| &line[..at]);
        let machine = format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS);
        match line.split_whitespace().nth(1) {
            Some("version") => line.replace(env!("CARGO_PKG_VERSION"), "VERSION").replace(&machine, "MACHINE"),
            Some("clock") => format!("{}TIME", lead("20").unwrap()),
            Some("certificates") => {
                let count = line.split_whitespace().nth(2).unwrap();
                line.replace(count, "MANY")
            }
            _ => line,
        }
    });
    lines.map(|line| line + "\n").collect()
}

#[test]
fn the_doctor_says_what_works_line_by_line() {
    let env = env();
    env.run(&["vault", "init"]).exits(0);
    let ran = env.run(&["doctor"]);
    ran.exits(0);
    looks("doctor", &everywhere_the_same(&env, &ran.out));
}

#[test]
fn failures_read_what_happened_what_was_seen_and_what_to_do() {
    let env = env();
    let lines = [
        &["setup", "zotro"][..],
        &["setup", "aws-s3", "--no-input"],
        &["setup", "zotero", "--field", "api_key=abc"],
        &["get", "zotero", "api_key"],
        &["rename", "zotero", "google/x"],
        &["check", "--endpoint", "zotero=http://example.com"],
        &["provider", "new", "Acme"],
        &["setup", "zotero", "--field", "api_key=env:KEY"],
        &["man", "provder"],
    ];
    let mut text = String::new();
    for args in lines {
        // No path of the home stands in these: where it wraps depends on the machine. stderr is the terminal.
        let mut pty = env.terminal_for(
            80,
            "sh",
            &[&["-c", r#"exec "$0" "$@" </dev/null >/dev/null"#, env!("CARGO_BIN_EXE_keyward")], args].concat(),
        );
        let code = pty.wait();
        text.push_str(&format!("$ keyward {}\n{}[{code}]\n\n", args.join(" "), pty.transcript().replace("\r\n", "\n")));
    }
    fits(&text);
    looks("errors", &text);
}
