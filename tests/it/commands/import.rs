//! `import`: what `export` wrote comes back, and what people have already comes in, on the way of `setup`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use clap::ValueEnum as _;
use keyward::credential::Credential;
use keyward::deliver::format::Format;
use serde_json::{Value as Json, json};

use super::{Desk, Mood, Moody, exported, object, samples, with};
use crate::support::canary::Canary;
use crate::support::env::{Ran, TestEnv, finish, zotero_key};

const FORMATS: [&str; 7] = ["dotenv", "shell", "json", "toml", "github", "kubernetes", "systemd"];

/// A secret that every quoting has to cope with; the file of Zotero only warns about it.
const AWKWARD: &str = "it's \"$HOME\" `id` \\n # ü; ${x} \\\" $(id) = end\\";

/// Imports a file with more arguments.
fn import(env: &TestEnv, file: &str, format: &str, more: &[&str]) -> Ran {
    env.run(&[&["import", file, "--format", format], more].concat())
}

fn private(env: &TestEnv, name: &str, content: &str) {
    let file = env.file(name, content);
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
}

fn results(ran: &Ran) -> Vec<(String, bool)> {
    let json = ran.json();
    assert_eq!(json["schema"], "keyward.import/1");
    let one = |one: &Json| (one["name"].as_str().unwrap().to_owned(), one["saved"].as_bool().unwrap());
    json["results"].as_array().unwrap().iter().map(one).collect()
}

fn value(env: &TestEnv, name: &str, field: &str) -> String {
    env.run(&["get", name, field, "-n"]).exits(0).out.clone()
}

/// Stored without asking: a key of several lines, one in two parts, and an awkward one.
fn stored() -> (TestEnv, Vec<Credential>) {
    let env = TestEnv::new();
    let credentials =
        vec![samples("apple", &[]), samples("aws-s3", &[]), with(&samples("zotero", &[]), "api_key", AWKWARD)];
    for credential in &credentials {
        let args = ["setup", credential.name.provider(), "--no-input", "--no-check", "--fields-from", "-"];
        env.run_with(&args, object(credential)).exits(0);
    }
    (env, credentials)
}

#[test]
fn what_export_writes_comes_back_in_every_form() {
    let (env, credentials) = stored();
    let all =
        |env: &TestEnv| env.run(&["export", "apple", "aws-s3", "zotero", "--format", "json"]).exits(0).out.clone();
    assert!(credentials[0].fields["private_key"].expose().contains('\n'), "one has several lines");
    for format in FORMATS {
        let other = TestEnv::new();
        let file = other.path("exported");
        let path = file.to_str().unwrap();
        env.run(&["export", "apple", "aws-s3", "zotero", "--format", format, "-o", path]).exits(0);
        let ran = import(&other, path, format, &["--no-check", "--json"]);
        let names = ["apple", "aws-s3", "zotero"].map(|name| (name.to_owned(), true));
        assert_eq!(results(ran.exits(0)), names, "{format}: {}", ran.out);
        assert_eq!(ran.json()["unused"], json!([]), "{format}");
        assert_eq!(all(&other), all(&env), "{format}");
        assert_eq!(value(&other, "zotero", "api_key"), AWKWARD, "{format}");
    }
}

#[test]
fn a_pipe_and_kubectl_s_json_are_read_and_only_what_is_named_is_taken() {
    let (_, credentials) = stored();
    let env = TestEnv::new();
    let shell = exported(Format::Shell, &[&credentials[1], &credentials[2]]);
    let args = ["import", "-", "zotero/staging", "--format", "shell", "--no-check"];
    env.run_with(&args, &shell).exits(0).says("nothing was done with").says("AWS_ACCESS_KEY_ID");
    assert_eq!(value(&env, "zotero/staging", "api_key"), AWKWARD);
    env.run(&["show", "aws-s3"]).exits(7);
    let manifest = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "x", "labels": null },
                           "stringData": { "ZOTERO_API_KEY": zotero_key('k') }, "type": "Opaque" });
    let args = ["import", "-", "--format", "kubernetes", "--no-check"];
    env.run_with(&args, manifest.to_string()).exits(0).prints("zotero  unchecked").prints("saved in the vault");
    assert_eq!(value(&env, "zotero", "api_key"), zotero_key('k'));
}

#[test]
fn what_is_read_of_a_script_is_what_a_shell_has_after_it() {
    let env = TestEnv::new();
    let scripts = [
        "ZOTERO_API_KEY=abcdefgh\\ ijklmnop'q r s'\"t u\"; export ZOTERO_API_KEY",
        "export OTHER=1 \\\n  ZOTERO_API_KEY=\"a\\\"b\\$c\\`d\\\\e\\f g h i j k\" # comment",
        "# comment\nexport ZOTERO_API_KEY='one two three $four five'\\''s'\n",
        "ZOTERO_API_KEY=abc#def=ghi%jkl+mno,pqr@stu:vwx^yz!]}\\\n12",
        "ZOTERO_API_KEY=\"one\\\ntwo three four five six\"\r\n",
    ];
    for script in scripts {
        private(&env, "script", script);
        let sh = finish(env.in_home("sh").args(["-c", ". ./script; printf %s \"${ZOTERO_API_KEY%\r}\""]));
        import(&env, "script", "shell", &["zotero", "--no-check"]).exits(0);
        assert_eq!(value(&env, "zotero", "api_key"), sh.exits(0).out, "{script}");
    }
}

#[test]
fn it_is_proven_and_saved_by_the_rule_of_setup() {
    let zotero = Moody::zotero(Mood::Accepts);
    let env = &zotero.env;
    let take = |key: char, more: &[&str]| {
        private(env, ".env", &format!("ZOTERO_API_KEY={}\n", zotero_key(key)));
        import(env, ".env", "dotenv", more)
    };
    take('a', &[]).exits(0).prints("zotero  accepted").prints("saved in the vault").says("keyward get zotero api_key");
    zotero.becomes(Mood::Rejects);
    take('b', &[]).exits(3).prints("zotero  rejected").prints("not saved").says("stored before is untouched");
    assert_eq!(zotero.stored(), Some(zotero_key('a')), "a good value is not replaced by one that fails");
    zotero.becomes(Mood::Babbles);
    take('b', &[]).exits(4).prints("not saved");
    take('b', &["--accept", "inconclusive"]).exits(4).prints("not saved");
    take('b', &["--no-check"]).exits(4).prints("not saved");
    assert_eq!(zotero.stored(), Some(zotero_key('a')));
    take('b', &["--force"]).exits(4).prints("saved in the vault").says("--force: saving although");
    assert_eq!(zotero.stored(), Some(zotero_key('b')));
    zotero.becomes(Mood::Limits);
    take('c', &[]).exits(5).prints("library_write");
    assert_eq!(zotero.stored(), Some(zotero_key('c')));
    private(env, ".env", "ZOTERO_API_KEY=4754250\n");
    import(env, ".env", "dotenv", &["--force"]).exits(6).says("error: zotero: ").says("numeric user ID");
    assert_eq!(zotero.stored(), Some(zotero_key('c')));
    // Where there is nothing to lose, it is kept unverified when that is wished.
    env.run(&["remove", "zotero"]).exits(0);
    zotero.becomes(Mood::Babbles);
    take('d', &["--accept", "inconclusive"]).exits(4).prints("saved in the vault");
}

#[test]
fn what_was_done_is_on_the_audit_log_under_its_own_name() {
    let zotero = Moody::zotero(Mood::Accepts);
    private(&zotero.env, ".env", &format!("ZOTERO_API_KEY={}\n", zotero_key('a')));
    import(&zotero.env, ".env", "dotenv", &[]).exits(0);
    zotero.becomes(Mood::Rejects);
    import(&zotero.env, ".env", "dotenv", &[]).exits(3);
    let log = zotero.env.run(&["audit", "show", "--json"]).exits(0).json();
    let told = |event: &Json| {
        [&event["command"], &event["deed"], &event["outcome"]].map(|word| word.as_str().unwrap().to_owned())
    };
    let told: Vec<[String; 3]> = log["events"].as_array().unwrap().iter().map(told).collect();
    let wanted = [["import", "vault-made", "done"], ["import", "saved", "accepted"], ["import", "checked", "rejected"]];
    assert_eq!(told, wanted.map(|line| line.map(str::to_owned)));
}

#[test]
fn nobody_is_asked_although_somebody_is_there() {
    let zotero = Moody::zotero(Mood::Babbles);
    private(&zotero.env, ".env", &format!("ZOTERO_API_KEY={}\n", zotero_key('a')));
    for mood in [Mood::Babbles, Mood::Rejects] {
        zotero.becomes(mood);
        let mut pty = zotero.env.terminal(80, &["import", ".env", "--format", "dotenv"]);
        pty.expect("not saved");
        assert_eq!(pty.wait(), if mood == Mood::Babbles { 4 } else { 3 });
    }
    assert_eq!(zotero.stored(), None);
}

#[test]
fn one_that_fails_keeps_no_other_from_being_saved() {
    let mut zotero = Moody::zotero(Mood::Rejects);
    let telegram = Desk::of("telegram", &[]);
    let endpoints = format!("zotero={},telegram={}", zotero.service.url(), telegram.service.url());
    zotero.env.set("KEYWARD_ENDPOINT", &endpoints);
    let rejected = with(&samples("zotero", &[]), "api_key", &zotero_key('a'));
    let text = exported(Format::Dotenv, &[&telegram.good, &rejected]);
    // One is malformed, one is accepted, one is rejected: the most urgent decides.
    private(&zotero.env, ".env", &format!("{text}TWILIO_ACCOUNT_SID=nonsense\nTWILIO_AUTH_TOKEN=x\nTWILIO_FROM=y\n"));
    let ran = import(&zotero.env, ".env", "dotenv", &["--json"]);
    let wanted =
        [("telegram", true), ("twilio", false), ("zotero", false)].map(|(name, saved)| (name.to_owned(), saved));
    assert_eq!(results(ran.exits(3)), wanted);
    let json = ran.json();
    let keys =
        |at: usize| json["results"][at].as_object().unwrap().keys().cloned().collect::<std::collections::BTreeSet<_>>();
    assert_eq!(keys(0), keys(1));
    assert_eq!(json["results"][0]["result"]["verdict"], "accepted");
    assert_eq!(json["results"][1]["error"]["exit"], 6);
    assert_eq!(json["results"][2]["result"]["verdict"], "rejected");
    assert_eq!(value(&zotero.env, "telegram", "token"), telegram.good.fields["token"].expose());
    assert_eq!(zotero.stored(), None);
    let told = import(&zotero.env, ".env", "dotenv", &[]);
    told.exits(3).prints("telegram  accepted").prints("twilio  failed\n  why: ").prints("zotero  rejected");
    // Without the one that was rejected, the malformed one decides.
    import(&zotero.env, ".env", "dotenv", &["telegram", "twilio"]).exits(6);
    import(&zotero.env, ".env", "dotenv", &["telegram"]).exits(0);
}

/// A provider file of one's own whose field has a variable that belongs to Zotero as well.
const LIBRARY: &str = "schema = 1\n[provider]\nid = 'library'\nname = 'Library'\nsummary = 's'\ncategory = 'storage'\nstatus = 'active'\n\
                       [provenance]\nreviewed = '2026-11-21'\nsource = []\n\
                       [[field]]\nid = 'key'\nlabel = 'Key'\nsecret = true\nenv = ['ZOTERO_API_KEY']\n";

#[test]
fn a_variable_of_several_services_is_nobody_s_until_one_is_named() {
    let zotero = Moody::zotero(Mood::Accepts);
    let env = &zotero.env;
    env.file(".config/keyward/providers/library.toml", LIBRARY);
    env.file(".config/keyward/providers/broken.toml", "schema = 'one'\n");
    let telegram = exported(Format::Dotenv, &[&samples("telegram", &[])]);
    private(env, "my file.env", &format!("{telegram}ZOTERO_API_KEY={}\n", zotero_key('a')));
    let before = env.files();
    let ran = import(env, "my file.env", "dotenv", &["--no-check"]);
    ran.exits(2)
        .says("ZOTERO_API_KEY belongs to library and to zotero")
        .says("`keyward import 'my file.env' library telegram --format dotenv`")
        .says("or zotero in the place of library")
        .says("note: the provider file of broken is passed over");
    assert_eq!(env.files(), before, "nothing is guessed and nothing saved");
    import(env, "my file.env", "dotenv", &["zotero"]).exits(0);
    assert_eq!(zotero.stored(), Some(zotero_key('a')));
    env.run(&["provider", "trust", "library"]).exits(0);
    import(env, "my file.env", "dotenv", &["library", "telegram", "--no-check"]).exits(0);
    assert_eq!(value(env, "library", "key"), zotero_key('a'));
}

#[test]
fn what_is_missing_is_named_with_what_was_seen_and_no_value_is_shown() {
    let env = TestEnv::new();
    let canary = Canary::new(&["Canary7", "Qz81Kw35Rt67Lm99"].concat());
    let secret = canary.secret();
    let told = |content: &str, more: &[&str], code: i32, words: &[&str]| {
        private(&env, ".env", content);
        for json in [&[][..], &["--json"]] {
            let ran = import(&env, ".env", "dotenv", &[more, json].concat());
            canary.is_not_told(content, ran.exits(code));
            for words in words {
                ran.says(words);
            }
        }
    };
    let half = format!("AWS_ACCESS_KEY_ID={secret}\nGOOGLE_CLIENT_ID={secret}\nFOO={secret}\n{secret}=1\n");
    told(
        &half,
        &[],
        6,
        &[
            "AWS_ACCESS_KEY_ID, GOOGLE_CLIENT_ID, FOO and 1 value whose name is unusual",
            "for aws-s3 it lacks AWS_SECRET_ACCESS_KEY",
            "for google it lacks GOOGLE_CLIENT_SECRET",
        ],
    );
    told(
        &half,
        &["google"],
        6,
        &["google: `client_secret` is missing in .env", "client_secret: GOOGLE_CLIENT_SECRET in the file"],
    );
    told(&format!("FOO={secret}\n"), &[], 7, &["no service is known by a variable of .env", "FOO"]);
    told("# nothing\nZOTERO_API_KEY=\n", &[], 6, &[".env has no values"]);
    told(&half, &["gogle"], 7, &["did you mean `google`?"]);
    // What is no field does not make it another service, and can be given.
    let mail = "nocobase-google-mail";
    let both = format!("GOOGLE_CLIENT_ID={secret}\nKEYWARD_NOCOBASE_GOOGLE_MAIL_CLIENT_SECRET={secret}\n");
    let words = [
        "`app_url` and `redirect_uri` are missing in .env",
        "KEYWARD_NOCOBASE_GOOGLE_MAIL_APP_URL in the file, or --var app_url=VALUE",
    ];
    told(&both, &[mail], 6, &words);
    told(&both, &[], 6, &["nocobase-google-mail: `app_url` and"]);
    told(&both, &[mail, "--var", "app_ulr=x"], 7, &["did you mean `app_url`?"]);
    told(&both, &[mail, "--var", secret], 2, &["`--var` needs NAME=VALUE"]);
    assert_eq!(env.files_but_the_log().len(), 1);
}

#[test]
fn what_is_given_with_var_is_for_whom_it_belongs_to() {
    let env = TestEnv::new();
    let google = samples("google", &[]);
    let telegram = samples("telegram", &[]);
    private(&env, ".env", &exported(Format::Dotenv, &[&google, &telegram]));
    let uri = "redirect_uri=https://portal.example.com/login.ashx";
    // Two services are made in the same console, and their values have the same names.
    let ran = import(&env, ".env", "dotenv", &["--no-check", "--var", uri]);
    ran.exits(2).says("GOOGLE_CLIENT_ID and GOOGLE_CLIENT_SECRET belong to google and to nocobase-google-mail");
    import(&env, ".env", "dotenv", &["google", "telegram", "--no-check", "--var", uri]).exits(0);
    env.run(&["show", "google", "--json"]).exits(0).prints("https://portal.example.com/login.ashx");
    env.run(&["show", "telegram"]).exits(0);
}

#[test]
fn the_environment_of_the_process_is_not_looked_at() {
    let mut env = TestEnv::new();
    env.set("ZOTERO_API_KEY", &zotero_key('e'));
    env.set("KEYWARD_ZOTERO_API_KEY", &zotero_key('o'));
    private(&env, ".env", "FOO=bar\n");
    import(&env, ".env", "dotenv", &["--no-check"]).exits(7);
    import(&env, ".env", "dotenv", &["zotero", "--no-check"]).exits(6);
    private(&env, ".env", &format!("ZOTERO_API_KEY={}\n", zotero_key('f')));
    import(&env, ".env", "dotenv", &["--no-check"]).exits(0);
    assert_eq!(value(&env, "zotero", "api_key"), zotero_key('f'));
}

#[test]
fn a_file_that_others_can_read_is_told_and_one_that_is_none_is_refused() {
    let env = TestEnv::new();
    let text = format!("ZOTERO_API_KEY={}\n", zotero_key('a'));
    private(&env, ".env", &text);
    let ran = import(&env, ".env", "dotenv", &["--no-check"]);
    assert!(!ran.exits(0).err.contains("others can read"), "{}", ran.err);
    for mode in [0o644, 0o640, 0o604] {
        fs::set_permissions(env.path(".env"), fs::Permissions::from_mode(mode)).unwrap();
        let ran = import(&env, ".env", "dotenv", &["--no-check"]);
        ran.exits(0)
            .says(&format!("others can read .env (mode {mode:04o})"))
            .says("remove it when the import was accepted");
    }
    let json = import(&env, ".env", "dotenv", &["--no-check", "--json"]).exits(0).json();
    assert!(json["notes"][0].as_str().unwrap().starts_with("others can read .env (mode 0604)"), "{json}");
    private(&env, "large", &format!("{text}{}", "# comment\n".repeat(110_000)));
    import(&env, "large", "dotenv", &[]).exits(6).says("it is larger than 1 MiB");
    fs::write(env.path("bytes"), b"A=\xff").unwrap();
    import(&env, "bytes", "dotenv", &[]).exits(6).says("it is not UTF-8 text");
    import(&env, ".config", "dotenv", &[]).exits(2).says("it is a directory");
    import(&env, "nowhere", "dotenv", &[]).exits(2).says("there is no such file");
    import(&env, "/dev/zero", "dotenv", &[]).exits(2).says("another device");
    finish(env.in_home("mkfifo").arg("pipe")).exits(0);
    import(&env, "pipe", "dotenv", &[]).exits(2).says("it is a pipe").says("keyward import -");
    env.run_with(&["import", "-", "--format", "dotenv", "--no-check"], &text).exits(0);
}

#[test]
fn what_is_not_clear_is_refused_with_its_line_and_saves_nothing() {
    let env = TestEnv::new();
    let canary = Canary::new(&zotero_key('c'));
    let key = canary.secret();
    let rows = [
        (
            "dotenv",
            format!("ZOTERO_API_KEY={key}\nB=\"{key}$HOME\"\n"),
            "cannot read secrets: line 2: a `$` or a backtick",
        ),
        ("shell", format!("ZOTERO_API_KEY={key}\necho {key}\n"), "line 2: there is no assignment"),
        ("shell", format!("ZOTERO_API_KEY=$(echo {key})\n"), "line 1: a `$` or a backtick"),
        ("systemd", format!("ZOTERO_API_KEY=\"{key}\n"), "line 1: a quote begins that is not closed"),
        (
            "github",
            format!("ZOTERO_API_KEY<<{key}\n{key}{key}\n"),
            "line 1: a value begins whose delimiter does not follow",
        ),
        ("json", format!("{{\n\"ZOTERO_API_KEY\": {key}\n}}"), "line 2: it is not one object"),
        ("toml", format!("ZOTERO_API_KEY = '{key}\n"), "line 1: it is not one object"),
        (
            "kubernetes",
            format!("kind: Secret\nstringData:\n  ZOTERO_API_KEY: {key}\n"),
            "kubectl get secret NAME -o json",
        ),
        ("dotenv", key.to_owned(), "line 1: there is no assignment"),
    ];
    for (format, content, words) in rows {
        private(&env, "secrets", &content);
        for json in [&[][..], &["--json"]] {
            let ran = import(&env, "secrets", format, &[&["--no-check", "-vv"], json].concat());
            canary.is_not_told(&content, ran.exits(6).says(words));
            assert_eq!(ran.out, "", "{format}");
        }
        // A `$` of JSON or of a Kubernetes Secret is a letter like any other; nothing was saved of what was read.
        assert_eq!(env.files_but_the_log().len(), 1, "{format}");
    }
    // A command in the file is not run.
    private(&env, "secrets", "ZOTERO_API_KEY=$(touch ran)`touch ran`\n");
    for format in FORMATS {
        import(&env, "secrets", format, &["--no-check"]);
    }
    assert!(!env.path("ran").exists());
}

#[test]
fn the_shell_completes_what_can_be_taken_over() {
    let env = TestEnv::new();
    let mut command = env.command();
    command.env("COMPLETE", "bash").env("_CLAP_COMPLETE_INDEX", "3").env("_CLAP_IFS", "\n");
    let ran = finish(command.args(["--", "keyward", "import", ".env", "zot"]));
    assert_eq!((ran.exits(0).out.trim(), ran.err.as_str()), ("zotero", ""));
}

#[test]
fn a_field_without_a_usual_variable_comes_back_too() {
    let env = TestEnv::new();
    let args = ["setup", "mailru", "--no-input", "--no-check", "--fields-from", "-"];
    env.run_with(&args, object(&samples("mailru", &[("var.kind", "my_world")]))).exits(0);
    let text = env.run(&["export", "mailru", "--format", "shell"]).exits(0).out.clone();
    assert!(text.contains("MAILRU_SITE_SECRET="), "its own name");
    let other = TestEnv::new();
    other.run_with(&["import", "-", "--format", "shell", "--no-check", "--var", "kind=my_world"], text).exits(0);
    for field in ["site_id", "site_secret"] {
        assert_eq!(value(&other, "mailru", field), value(&env, "mailru", field));
    }
}

#[test]
fn nothing_of_an_import_is_told_or_left_anywhere_but_in_the_vault() {
    for mood in [Mood::Accepts, Mood::Rejects, Mood::Babbles] {
        let zotero = Moody::zotero(mood);
        let canary = Canary::new(&zotero_key('c'));
        let good = with(&samples("zotero", &[]), "api_key", canary.secret());
        for &format in Format::value_variants() {
            let value = format.to_possible_value().unwrap();
            let name = value.get_name();
            assert!(FORMATS.contains(&name), "{name} has a story, too");
            for json in [&[][..], &["--json"]] {
                let args = [&["import", "-", "--format", name, "-vv"], json].concat();
                canary.is_not_told(name, &zotero.env.run_with(&args, exported(format, &[&good])));
                canary.is_in_no_file(&zotero.env, &[]);
            }
        }
    }
}
