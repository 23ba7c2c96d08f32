//! How values come in: never on the command line when they are secret, and without losing a byte.

use std::io::Write as _;
use std::process::Stdio;

use serde_json::json;

use super::{Mood, Moody};
use crate::support::env::{Ran, TestEnv, finish, finish_with, zotero_key};

/// A home where ONLYOFFICE Docs' secret, which may be any text, is saved unasked.
fn docs(args: &[&str], input: impl AsRef<[u8]>) -> (TestEnv, Ran) {
    let mut env = TestEnv::new();
    env.set("A_SECRET", " from the environment ");
    env.file("secret.txt", "from a file\n");
    let all = ["setup", "onlyoffice-docs-jwt", "--no-input", "--no-check"];
    let ran = finish_with(env.command().args(all).args(args), input.as_ref());
    (env, ran)
}

/// What is stored after the secret came in by `--field secret=<form>`.
#[track_caller]
fn stored(form: &str, input: impl AsRef<[u8]>) -> String {
    let (env, ran) = docs(&["--field", &format!("secret={form}")], input);
    ran.exits(0);
    env.run(&["get", "onlyoffice-docs-jwt", "secret", "-n"]).exits(0).out.clone()
}

#[test]
fn everything_that_is_missing_is_named_at_once_with_its_flag_and_its_variable() {
    let env = TestEnv::new();
    let ran = env.run(&["setup", "aws-s3", "--no-input"]);
    ran.exits(6).says("`access_key_id` and `secret_access_key` are missing");
    for way in
        ["--field access_key_id=VALUE", "AWS_ACCESS_KEY_ID", "--field secret_access_key=@PATH", "AWS_SECRET_ACCESS_KEY"]
    {
        ran.says(way);
    }
    let google = env.run(&["setup", "google", "--no-input", "--json"]);
    let error = google.exits(6).error_json();
    for id in ["redirect_uri", "client_id", "client_secret"] {
        // A default may stand in for a variable.
        let named = error["error"]["hint"].as_str().unwrap().contains(id);
        assert!(named || id == "redirect_uri", "{error}");
    }
    assert_eq!(env.files(), [], "nothing was made");
}

#[test]
fn without_a_terminal_nothing_is_asked_and_no_flag_is_needed_for_that() {
    let env = TestEnv::new();
    env.run(&["setup", "zotero"]).exits(6).says("nobody may be asked");
}

#[test]
fn a_secret_on_the_command_line_is_refused_with_the_ways_that_work() {
    let key = zotero_key('a');
    let env = TestEnv::new();
    for args in [&["setup", "zotero"][..], &["setup", "zotero", "--no-input"], &["setup", "zotero", "--no-check"]] {
        let ran = finish(env.command().args(args).arg("--field").arg(format!("api_key={key}")));
        ran.exits(2).says("is secret and is not taken from the command line");
        for way in ["api_key=@PATH", "api_key=-", "api_key=env:NAME", "api_key=fd:3"] {
            ran.says(way);
        }
        assert!(!ran.err.contains(&key));
    }
    // `@@` is a literal, so it is refused as well.
    finish(env.command().args(["setup", "zotero", "--field", &format!("api_key=@@{key}")])).exits(2);
    assert_eq!(env.files(), []);
}

#[test]
fn values_come_from_stdin_a_file_a_variable_and_a_descriptor() {
    assert_eq!(stored("-", "from stdin\n"), "from stdin");
    assert_eq!(stored("@secret.txt", ""), "from a file");
    assert_eq!(stored("env:A_SECRET", ""), " from the environment ");

    let env = TestEnv::new();
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(b"from a descriptor\n").unwrap();
    drop(writer);
    let line = "exec \"$0\" setup onlyoffice-docs-jwt --no-input --no-check --field secret=fd:3 3<&0 </dev/null";
    let mut shell = env.in_home("sh");
    shell.args(["-c", line, env!("CARGO_BIN_EXE_keyward")]).stdin(Stdio::from(reader));
    finish(&mut shell).exits(0);
    assert_eq!(env.run(&["get", "onlyoffice-docs-jwt", "secret"]).out, "from a descriptor\n");
}

#[test]
fn exactly_one_trailing_newline_is_removed_and_nothing_else() {
    let rows = [
        ("value", "value"),
        ("value\n", "value"),
        ("value\r\n", "value"),
        ("value \n", "value "),
        ("  two  blanks  ", "  two  blanks  "),
        ("\u{feff}value", "\u{feff}value"),
        ("\u{1f511} ü e\u{301}", "\u{1f511} ü e\u{301}"),
        ("\"quoted\"", "\"quoted\""),
        ("$(id) `id` ${HOME} %s \\n", "$(id) `id` ${HOME} %s \\n"),
    ];
    for (input, kept) in rows {
        assert_eq!(stored("-", input), kept, "{input:?}");
        let env = TestEnv::new();
        env.file("value", input);
        let all = ["setup", "onlyoffice-docs-jwt", "--no-input", "--no-check", "--field", "secret=@value"];
        env.run(&all).exits(0);
        assert_eq!(env.run(&["get", "onlyoffice-docs-jwt", "secret", "-n"]).out, kept, "{input:?} from a file");
    }
    // What is left is looked at as it is: a second newline is not silently lost.
    for input in ["value\n\n", "\nvalue", "value\r", "two\nlines", "tab\there", "nul\0"] {
        let (env, ran) = docs(&["--field", "secret=-"], input);
        ran.exits(6).says("`secret` has a");
        assert!(!env.vault().exists(), "{input:?}");
    }
}

#[test]
fn a_document_keeps_every_line() {
    let mut env = TestEnv::new();
    let folder = env.path("more");
    let text = "schema = 1\n[provider]\nid = \"acme\"\nname = \"Acme\"\nsummary = \"s\"\ncategory = \"storage\"\nstatus = \"active\"\n\
                [provenance]\nreviewed = \"2026-11-21\"\nsource = []\n\
                [[field]]\nid = \"account\"\nlabel = \"Account\"\nkind = \"json\"\nsecret = true\n";
    env.file("more/acme.toml", text);
    env.set("KEYWARD_PROVIDERS", folder.to_str().unwrap());
    env.run(&["provider", "trust", "acme"]).exits(0);
    let document = "{\r\n\t\"b\": 1,\n\n  \"a\": \"\\u00e4\"\n}\n";
    for form in ["account=@account.json", "account=-"] {
        env.file("account.json", format!("{document}\n"));
        let all = ["setup", "acme", "--no-input", "--no-check", "--field", form];
        env.run_with(&all, format!("{document}\n")).exits(0);
        assert_eq!(env.run(&["get", "acme", "account", "-n"]).out, document, "{form}");
    }
}

#[test]
fn a_long_value_comes_through_whole() {
    // A terminal line would end at 4,095 bytes, and a pipe holds 65,536.
    let long: String = (0..65_536).map(|n| char::from(b'a' + (n % 26) as u8)).collect();
    assert!(stored("-", &long) == long, "the value was changed");
    let (_, ran) = docs(&["--field", "secret=-"], format!("{long}x"));
    ran.exits(6).says("65536 bytes at most");
}

#[test]
fn one_object_in_json_or_toml_fills_fields_and_variables() {
    let forms = [
        json!({ "secret": "of many characters, in an object", "server_url": "https://docs.example.com" }).to_string(),
        "secret = 'of many characters, in an object'\nserver_url = 'https://docs.example.com'\n".to_owned(),
    ];
    for text in forms {
        let (env, ran) = docs(&["--fields-from", "-"], &text);
        ran.exits(0);
        let shown = env.run(&["show", "onlyoffice-docs-jwt", "--json"]).json();
        assert_eq!(shown["vars"]["server_url"], "https://docs.example.com");
        assert_eq!(env.run(&["get", "onlyoffice-docs-jwt", "secret", "-n"]).out, "of many characters, in an object");
    }
    // A flag wins over the object, and the object over the environment.
    let zotero = Moody::zotero(Mood::Accepts);
    zotero.env.file("key", zotero_key('f'));
    let both = ["setup", "zotero", "--no-input", "--field", "api_key=@key", "--fields-from", "-"];
    zotero.env.run_with(&both, json!({ "api_key": zotero_key('o') }).to_string()).exits(0);
    assert_eq!(zotero.stored(), Some(zotero_key('f')));
}

#[test]
fn the_usual_variables_are_read_only_when_asked_for() {
    let mut zotero = Moody::zotero(Mood::Accepts);
    zotero.env.set("ZOTERO_API_KEY", &zotero_key('e'));
    zotero.env.run(&["setup", "zotero", "--no-input"]).exits(6);
    zotero.env.run(&["setup", "zotero", "--no-input", "--from-env"]).exits(0);
    assert_eq!(zotero.stored(), Some(zotero_key('e')));
    // Our own variable wins over the conventional one.
    zotero.env.set("KEYWARD_ZOTERO_API_KEY", &zotero_key('k'));
    zotero.env.run(&["setup", "zotero", "--no-input", "--from-env"]).exits(0);
    assert_eq!(zotero.stored(), Some(zotero_key('k')));
}

#[test]
fn what_cannot_be_read_is_said_and_nothing_is_saved() {
    let rows: [(&[&str], i32, &str); 14] = [
        (&["--field", "secret"], 2, "needs NAME=VALUE"),
        (&["--field", "secret=@/nonexistent"], 2, "the file for `secret`"),
        (&["--field", "secret=@/"], 2, "it is a directory"),
        (&["--field", "secret=@/dev/zero"], 2, "a terminal or another device"),
        (&["--field", "secret=env:NOT_SET"], 2, "`NOT_SET` is not set"),
        (&["--field", "secret=fd:99"], 2, "descriptor 99"),
        (&["--field", "secret=fd:x"], 2, "needs the number"),
        (&["--field", "secret=fd:1"], 2, "needs the number"),
        (&["--field", "secret=-", "--fields-from", "-"], 2, "stdin is wanted twice"),
        (&["--field", "secret=@secret.txt", "--field", "secret=@secret.txt"], 2, "given twice"),
        (&["--fields-from", "/nonexistent"], 2, "no such file"),
        (&["--var", "jwt_header"], 2, "needs NAME=VALUE"),
        (&["--var", "nosuch=x"], 2, "has no variable"),
        (&["--field", "server_url=x"], 2, "it is a variable"),
    ];
    for (args, code, words) in rows {
        let (env, ran) = docs(args, "");
        // What is not there at all has an exit code of its own.
        assert!(ran.code == Some(code) || ran.code == Some(7), "{args:?}: {ran:?}");
        ran.says(words);
        assert!(!env.vault().exists(), "{args:?}");
    }
}

#[test]
fn an_object_that_is_none_is_refused_by_its_place_and_without_its_text() {
    for text in [
        "[\"planted-value\"]",
        "\"planted-value\"",
        "{\"secret\": planted-value}",
        "secret = planted-value",
        "planted-value",
        "",
    ] {
        let (env, ran) = docs(&["--fields-from", "-"], text);
        assert!(matches!(ran.code, Some(2 | 6)), "{text:?}: {ran:?}");
        assert!(!ran.err.contains("planted") && !env.vault().exists(), "{text:?}: {ran:?}");
    }
    let (_, twice) = docs(&["--fields-from", "-"], "{\"secret\":\"planted-value\",\"secret\":\"planted-value\"}");
    twice.exits(2).says("given twice");
    let (_, number) = docs(&["--fields-from", "-"], "{\"secret\":[\"planted-value\"]}");
    number.exits(6).says("`secret` must be a string");
    assert!(!number.err.contains("planted"), "{number:?}");
}

#[test]
fn decorations_are_removed_only_where_the_file_says_so_and_it_is_told() {
    let zotero = Moody::zotero(Mood::Accepts);
    let ran = zotero.env.run_with(
        &["setup", "zotero", "--no-input", "--field", "api_key=-"],
        format!("  \"{}\"\u{200b} ", zotero_key('q')),
    );
    ran.exits(0).says("note:");
    assert_eq!(zotero.stored(), Some(zotero_key('q')));
}

#[test]
fn one_field_is_set_anew_and_the_others_are_kept() {
    let desk = super::Desk::of("telegram", &[]);
    desk.setup(&[]).exits(0);
    let token = desk.good.fields["token"].expose();
    let only = ["setup", "telegram", "--no-input", "--only", "bot_username", "--field", "bot_username=TestBot"];
    desk.env.run(&only).exits(5);
    assert_eq!(desk.env.run(&["get", "telegram", "token", "-n"]).out, token);
    assert_eq!(desk.env.run(&["get", "telegram", "bot_username", "-n"]).out, "TestBot");
    let near = ["setup", "telegram", "--no-input", "--only", "bot_name"];
    desk.env.run(&near).exits(7).says("did you mean `bot_username`?");
}
