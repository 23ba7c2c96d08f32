//! A planted secret shows up nowhere but where it was asked for: not in what is printed, kept, logged, sent astray or
//! left behind, whatever a service answers and however a command ends.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyward::check::Reply;
use keyward::credential::Credential;
use keyward::deliver::format::Format;
use keyward::standin::{Answer, SeenRequest, StandIn};
use serde_json::json;

use crate::commands::contract::all_lines;
use crate::commands::{Mood, Moody, exported, object, samples, with, zotero_says};
use crate::support::canary::Canary;
use crate::support::env::{Ran, TestEnv, finish, finish_with, zotero_key};
use crate::support::session_bus::Session;

/// One way in which a secret travels.
struct Case {
    /// Where the secret is in the request.
    way: &'static str,
    canary: Canary,
    credential: Credential,
}

impl Case {
    fn new(way: &'static str, provider: &str, field: &str, secret: &str, given: &[(&str, &str)]) -> Self {
        let mut credential = with(&samples(provider, given), field, secret);
        // A sample token would be verified in place of the secret.
        credential.fields.remove("sample");
        let mut canary = Canary::new(secret);
        for user in credential.fields.values().filter(|value| !value.is_secret()) {
            canary = canary.of_user(user.expose());
        }
        Self { way, canary, credential }
    }
}

/// Every way in which a built-in provider sends a secret, or what is made of it. Where its form allows it the secret
/// has characters that are escaped.
fn cases() -> Vec<Case> {
    let odd = "p&ss word<7>\"q'/+Zq81Ä\\9";
    let token = ["123456789:", "Ca-na_ry7", "Qz81Kw35Rt67Lm99Xc24Vb8Nh4"].concat();
    let google = ["GOCSPX", "-Canary7-Qz81_Kw35Rt67Lm99Xc2"].concat();
    let docs = [("var.server_url", "https://docs.example.com")];
    vec![
        Case::new("a header", "zotero", "api_key", "Kq7/Zw3+Rt9=Lm5&Xc2%aB4c", &[]),
        Case::new("the path", "telegram", "token", &token, &[]),
        Case::new("a form", "google", "client_secret", &google, &[("var.redirect_uri", "https://a.example/cb")]),
        Case::new("a Basic header", "twilio", "auth_token", &["c4fe71", "09d2ab"].concat().repeat(3)[..32], &[]),
        Case::new("a form after consent", "smsc", "password", odd, &[]),
        Case::new("JSON", "selectel", "password", odd, &[("var.login_with", "service_user")]),
        Case::new(
            "a signature",
            "aws-s3",
            "secret_access_key",
            &["Ca/na+ry7Qz81Kw35Rt6", "7Lm99Xc24Vb8Nh4Jp2Df"].concat(),
            &[],
        ),
        Case::new("a token signed with it", "onlyoffice-docs-jwt", "secret", odd, &docs),
    ]
}

/// What a service may do with what it was sent.
const ECHOES: [&str; 14] = [
    "as it came, with the status 200",
    "as it came, with the status 401",
    "in a page",
    "as the name of the account",
    "as the name of the account, with invisible characters in it",
    "as an error code",
    "as an error code, far to the right",
    "in base64, as MD5 and percent-encoded",
    "in headers",
    "in a redirect",
    "in the header Retry-After",
    "in the header Date",
    "with trouble of its own",
    "in the status line's content type",
];

/// An answer that repeats `secret` or all of `request`; `elsewhere` is where a redirect leads.
fn echo(how: &str, provider: &str, secret: &str, request: &SeenRequest, elsewhere: &str) -> Answer {
    let all = request.text();
    let all_errors = |text: &str, status: u16| {
        let nested = json!({ "Code": text, "code": text, "Message": text, "message": text });
        let body = json!({ "ok": false, "error": text, "error_code": text, "code": text, "error_description": text,
                           "message": text, "description": text, "Error": nested });
        Answer::json(status, &body)
    };
    let coded = || {
        let md5 = <md5::Md5 as md5::Digest>::digest(secret.as_bytes())
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>();
        let percent: String = secret.bytes().map(|byte| format!("%{byte:02x}")).collect();
        format!("{} {md5} {} {percent}", STANDARD.encode(secret), md5.to_uppercase())
    };
    let is_header = |text: &str| text.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    let in_header = if is_header(secret) { secret.to_owned() } else { STANDARD.encode(secret) };
    match how {
        "as it came, with the status 200" => Answer::json(200, &json!({ "echo": all, "secret": secret })),
        "as it came, with the status 401" => Answer::text(401, &format!("{all}\n{secret}")),
        "in a page" => {
            Answer::text(200, &format!("<html><pre>{all} {secret}</pre></html>")).header("content-type", "text/html")
        }
        "as the name of the account" => accepts_as(provider, secret),
        "as the name of the account, with invisible characters in it" => {
            let (start, end) = secret.split_at(9);
            accepts_as(provider, &format!("{start}\u{1}\u{200e}{end}"))
        }
        "as an error code" => all_errors(secret, 401),
        "as an error code, far to the right" => {
            // Wherever a text is cut off, the secret is gone before.
            let place = all.len() % 97 * 5;
            all_errors(&format!("{}{secret}", "x".repeat(place)), 403)
        }
        "in base64, as MD5 and percent-encoded" => all_errors(&coded(), 400),
        "in headers" => Answer::json(401, &json!({}))
            .header("x-echo", &in_header)
            .header("www-authenticate", &format!("Key {in_header}")),
        "in a redirect" => Answer::text(302, "").header("location", &format!("{elsewhere}?key={}", url(secret))),
        "in the header Retry-After" => Answer::json(429, &json!({})).header("retry-after", &in_header),
        "in the header Date" => Answer::json(401, &json!({})).header("date", &in_header),
        "with trouble of its own" => Answer::text(500, &format!("Traceback: {all} {secret}")),
        "in the status line's content type" => Answer::text(200, secret).header("content-type", &in_header),
        other => panic!("{other}"),
    }
}

fn url(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// The answer with which each service accepts, with `account` as whose credential it is.
fn accepts_as(provider: &str, account: &str) -> Answer {
    let answer = match provider {
        "zotero" => {
            json!({ "userID": 1, "username": account, "access": { "user": { "library": true, "write": true }, "groups": { "all": { "write": true } } } })
        }
        "telegram" => json!({ "ok": true, "result": { "id": 1, "is_bot": true, "username": account } }),
        "google" => return Answer::json(400, &json!({ "error": "invalid_grant", "error_description": account })),
        "twilio" => {
            json!({ "friendly_name": account, "status": "active", "incoming_phone_numbers": [{ "phone_number": "+15551234567" }] })
        }
        "smsc" => json!({ "balance": account }),
        "selectel" => {
            let token = json!({ "token": { "user": { "name": account }, "project": {} } });
            return Answer::json(201, &token).header("x-subject-token", &STANDARD.encode(account));
        }
        "aws-s3" => {
            let arn = format!("arn:aws:iam::1:user/{account}");
            json!({ "GetCallerIdentityResponse": { "GetCallerIdentityResult": { "Arn": arn, "Account": account } } })
        }
        _ => json!({ "error": 0, "version": account }),
    };
    Answer::json(200, &answer)
}

/// Works on all at the same time: most of it is waiting.
fn at_once<T: Send>(items: Vec<T>, work: impl Fn(T) + Sync) {
    thread::scope(|scope| {
        for item in items {
            scope.spawn(|| work(item));
        }
    });
}

/// A home whose temporary files are seen, too.
fn home() -> TestEnv {
    let mut env = TestEnv::new();
    let temporary = env.path("tmp");
    fs::create_dir(&temporary).unwrap();
    env.set("TMPDIR", temporary.to_str().unwrap());
    env
}

/// The same home with one credential stored unasked.
fn home_with(credential: &Credential, service: &StandIn) -> TestEnv {
    let mut env = home();
    let provider = credential.name.provider();
    env.set("KEYWARD_ENDPOINT", &format!("{provider}={}", service.url()));
    let stored = ["setup", provider, "--no-input", "--no-check", "--fields-from", "-"];
    env.run_with(&stored, object(credential)).exits(0);
    env
}

#[test]
fn a_service_that_repeats_the_secret_teaches_it_to_nobody() {
    let elsewhere = StandIn::start(|_| Answer::text(200, "")).unwrap();
    at_once(cases(), |Case { way, canary, credential }| {
        let provider = credential.name.provider().to_owned();
        let how = Arc::new(Mutex::new(ECHOES[0]));
        let (now, secret, id, to) =
            (Arc::clone(&how), canary.secret().to_owned(), provider.clone(), elsewhere.url().to_string());
        let service = StandIn::start(move |request| echo(*now.lock().unwrap(), &id, &secret, request, &to)).unwrap();
        let env = home_with(&credential, &service);
        for echo in ECHOES {
            *how.lock().unwrap() = echo;
            let what = format!("{provider} ({way}) repeated {echo}");
            let seen = service.seen().len();
            let setup =
                ["setup", &provider, "--no-input", "--fields-from", "-", "--force", "-vv", "--allow", "billable"];
            canary.is_not_told(&what, &env.run_with(&setup, object(&credential)));
            assert!(service.seen().len() > seen, "nothing was asked: {what}");
            let check = env.run(&["check", "-vv", "--json", "--allow", "billable", "--prove", "--timeout", "5"]);
            canary.is_not_told(&what, &check);
            canary.is_not_told(&what, &env.run(&["list"]));
            canary.is_not_told(&what, &env.run(&["show", &provider, "--json", "-vv"]));
            canary.is_in_no_file(&env, &[]);
        }
        // Were it not for all this, it could be found: the service has seen it, and who asks for it gets it.
        let field = credential.fields.iter().find(|(_, value)| value.expose() == canary.secret()).unwrap().0;
        assert_eq!(canary.form_in(env.run(&["get", &provider, field]).exits(0).out.as_bytes()), Some("plain"));
        let sent = service.seen().iter().any(|request| canary.form_in(request.text().as_bytes()).is_some());
        assert_eq!(sent, !["aws-s3", "onlyoffice-docs-jwt"].contains(&provider.as_str()), "{provider}");
    });
    assert_eq!(elsewhere.seen(), [], "a redirect was followed");
}

#[test]
fn a_request_that_gets_no_answer_does_not_show_what_it_carried() {
    use crate::support::service::Rogue;
    let services = [
        Rogue::closes(),
        Rogue::closes_in_the_body(),
        Rogue::says(b"HTTP/1.1 abc\r\n\r\n"),
        Rogue::says(b"\x00\x01 garbage \r\n\r\n"),
        Rogue::closes().claiming_tls(),
        Rogue::hangs(),
    ];
    let mut urls: Vec<String> = services.iter().map(|service| service.url().to_string()).collect();
    urls.push(Rogue::nobody().to_string());
    let quiet = StandIn::start(|_| Answer::text(500, "")).unwrap();
    at_once(cases(), |Case { canary, credential, .. }| {
        let env = home_with(&credential, &quiet);
        for url in &urls {
            let endpoint = format!("{}={url}", credential.name.provider());
            let more = ["--endpoint", &endpoint, "--timeout", "1", "--allow", "billable", "-vv"];
            let all = [&["check"], &more[..]].concat();
            let ran = env.run(&all);
            canary.is_not_told(url, ran.exits(4));
            canary.is_not_told(url, &env.run(&[&all[..], &["--json"]].concat()));
            canary.is_in_no_file(&env, &[]);
        }
    });
}

/// A home where every command line of the contract can be run, with the secret of `smsc`, which may be any text.
fn every_command() -> (Canary, Moody) {
    let mut zotero = Moody::zotero(Mood::Accepts);
    let canary = Canary::new(&zotero_key('a'));
    let temporary = zotero.env.path("tmp");
    fs::create_dir(&temporary).unwrap();
    zotero.env.set("TMPDIR", temporary.to_str().unwrap());
    zotero.setup('a', &[]).exits(0);
    let telegram = samples("telegram", &[]);
    zotero.env.file("telegram.json", object(&telegram));
    zotero.env.file("telegram.env", exported(Format::Dotenv, &[&telegram]));
    (canary, zotero)
}

#[test]
fn no_command_tells_a_secret_that_it_was_not_asked_for() {
    let (canary, zotero) = every_command();
    for (args, code) in all_lines() {
        let reveals = ["get", "export"].contains(&args[0]);
        let gone = matches!(args[0], "remove" | "rename") && code == 0;
        for more in [&["-vv"][..], &["-vv", "--json"]] {
            if gone && more.len() == 2 {
                continue;
            }
            let end = args.iter().position(|arg| *arg == "--").unwrap_or(args.len());
            let all = [&args[..end], more, &args[end..]].concat();
            let ran = zotero.env.run(&all);
            if reveals && ran.code == Some(0) {
                assert!(canary.form_in(ran.out.as_bytes()).is_some());
                canary.is_not_in("stderr", &ran.err);
            } else {
                canary.is_not_told(&format!("{all:?}"), &ran);
            }
            canary.is_in_no_file(&zotero.env, &[]);
        }
        if gone {
            zotero.env.run(&["remove", "zotero/b"]);
            zotero.setup('a', &[]).exits(0);
        }
    }
}

#[test]
fn get_show_reveal_export_and_a_child_have_it_and_nobody_else() {
    let (canary, zotero) = every_command();
    for args in [
        &["get", "zotero", "api_key"][..],
        &["get", "zotero", "api_key", "--json"],
        &["show", "zotero", "--reveal"],
        &["show", "zotero", "--reveal", "--json"],
        &["exec", "zotero", "--", "env"],
        &["export", "zotero", "--format", "dotenv"],
        &["export", "zotero", "--format", "dotenv", "--json"],
    ] {
        let ran = zotero.env.run(args);
        assert_eq!(canary.form_in(ran.exits(0).out.as_bytes()), Some("plain"), "{args:?}");
        canary.is_not_in("stderr", &ran.err);
    }
    canary.is_in_no_file(&zotero.env, &[]);
}

#[test]
fn values_that_are_refused_are_not_repeated() {
    let secret = ["Canary7", "Qz81Kw35Rt67Lm99Xc24Vb"].concat();
    let canary = Canary::new(&secret);
    let mut env = home();
    env.set("A_SECRET", &secret);
    env.set("ZOTERO_API_KEY", &secret);
    let literal = format!("api_key={secret}");
    let rows: Vec<Vec<String>> = [
        // On the command line, where everybody saw it already: it is not written into a log as well.
        vec!["--field", &literal],
        vec!["--field", &format!("api_key=@@{secret}")],
        vec!["--field", &format!("api_key=@{secret}")],
        vec!["--field", &secret],
        vec!["--field", &format!("api_kye={secret}")],
        vec!["--var", &secret],
        vec!["--var", &literal],
        vec!["--field", &format!("api_key=fd:{secret}")],
        // From elsewhere.
        vec!["--field", "api_key=env:A_SECRET", "--field", "api_key=env:A_SECRET"],
        vec!["--fields-from", "-"],
        vec!["--from-env", "--offline"],
    ]
    .iter()
    .map(|row| row.iter().map(|arg| (*arg).to_owned()).collect())
    .collect();
    let inputs = [
        secret.clone(),
        format!("{{\"api_key\": {secret}}}"),
        format!("{{\"{secret}\": 1}}"),
        format!("api_key = {secret}"),
        format!("[{secret}]\nx = '{secret}'"),
        format!("{{\"api_key\": [\"{secret}\"]}}"),
        format!("{{\"api_key\": \"{secret}\n{secret}\"}}"),
        format!("{{\"api_key\": \"{secret}\", \"api_key\": \"{secret}\"}}"),
    ];
    for row in rows {
        for input in &inputs {
            for json in [&[][..], &["--json"]] {
                let mut command = env.command();
                command.args(["setup", "zotero", "--no-input", "-vv"]).args(&row).args(json);
                let ran = finish_with(&mut command, input.as_bytes());
                assert_ne!(ran.code, Some(0), "{row:?}");
                // An unknown name is repeated, shortened, so that it can be told from the right one.
                let is_name = input.starts_with("{\"C") || input.starts_with("[C");
                if !(row[0] == "--fields-from" && is_name) {
                    canary.is_not_told(&format!("{row:?} {input}"), &ran);
                }
            }
        }
    }
    assert_eq!(env.files(), []);
}

#[test]
fn malformed_secrets_are_described_and_not_shown() {
    // Each breaks the form of a field in another way: length, alphabet, a value that belongs elsewhere, a line break.
    let body = ["Canary7", "Qz81Kw35Rt67Lm99Xc24Vb"].concat();
    let fields = vec![
        ("zotero", "api_key"),
        ("telegram", "token"),
        ("aws-s3", "secret_access_key"),
        ("google", "client_secret"),
        ("twilio", "auth_token"),
    ];
    at_once(fields, |(provider, field)| {
        let good = samples(provider, &[]);
        for broken in [
            format!("{body}\n{body}"),
            format!("{body}\u{7}"),
            format!("https://{body}.example/{body}"),
            format!("{{\"key\":\"{body}\"}}"),
            body.repeat(40),
            format!("bot{body}"),
            format!("AKIA{body},{body}"),
            format!("ya29.{body}"),
        ] {
            let canary = Canary::new(&body);
            let mut env = home();
            // Where the form is not strict it is asked for, by nobody here.
            env.set("KEYWARD_ENDPOINT", &format!("{provider}=http://127.0.0.1:9/"));
            for json in [&[][..], &["--json"]] {
                let args =
                    [&["setup", provider, "--no-input", "-vv", "--timeout", "2", "--fields-from", "-"], json].concat();
                let ran = env.run_with(&args, object(&with(&good, field, &broken)));
                canary.is_not_told(&format!("{provider} {broken:?}"), &ran);
                assert!(matches!(ran.code, Some(4 | 6)), "{provider} {broken:?}: {ran:?}");
            }
            assert_eq!(env.files_but_the_log(), []);
        }
    });
}

#[test]
fn what_opens_the_vault_is_not_told_either() {
    let mut zotero = Moody::zotero(Mood::Accepts);
    zotero.setup('a', &[]).exits(0);
    let file = zotero.env.path(".config/keyward/identity");
    let text = fs::read_to_string(&file).unwrap();
    let key = text.lines().find(|line| line.starts_with("AGE-SECRET-KEY-1")).unwrap().to_owned();
    let canary = Canary::new(&key["AGE-SECRET-KEY-1".len()..]);
    let commands = [
        &["get", "zotero", "api_key", "-vv"][..],
        &["check", "-vv"],
        &["vault", "verify", "-vv"],
        &["vault", "status"],
        &["doctor", "-vv"],
        &["exec", "zotero", "--", "true"],
        &["setup", "zotero", "--no-input", "--no-check", "--force", "--from-env"],
    ];
    zotero.env.set("ZOTERO_API_KEY", &zotero_key('b'));
    // Right, wrong by one letter, and put where something else belongs.
    let cut = key[..key.len() - 3].to_owned();
    let places = [
        ("KEYWARD_IDENTITY", key.clone()),
        ("KEYWARD_IDENTITY", cut.clone()),
        ("KEYWARD_IDENTITY", format!("{key}\n{cut}\n")),
        ("KEYWARD_IDENTITY_FILE", key.clone()),
        ("KEYWARD_IDENTITY_CMD", format!("echo {cut}")),
        ("KEYWARD_IDENTITY_CMD", key.clone()),
        ("KEYWARD_PASSPHRASE_FILE", key.clone()),
        ("KEYWARD_PASSPHRASE_FD", key.clone()),
    ];
    for (variable, value) in &places {
        zotero.env.set(variable, value);
        for args in commands {
            for json in [&[][..], &["--json"]] {
                let end = args.iter().position(|arg| *arg == "--").unwrap_or(args.len());
                let ran = zotero.env.run(&[&args[..end], json, &args[end..]].concat());
                canary.is_not_told(&format!("{args:?} with {variable}"), &ran);
            }
        }
        zotero.env.unset(variable);
    }
    let wrong = zotero.env.path("v");
    let init = ["vault", "init", "--recipient", &key, "--vault", wrong.to_str().unwrap()];
    canary.is_not_told("an identity in place of a recipient", &zotero.env.run(&init));
    canary.is_in_no_file(&zotero.env, &[&file]);
}

#[test]
fn a_passphrase_is_not_told_by_the_vault_that_it_opens() {
    let passphrase = ["correct horse ", "battery canary"].concat();
    let canary = Canary::new(&passphrase);
    let env = home();
    let keep = |text: &str| {
        let file = env.file("pass", text);
        fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        file
    };
    let file = keep(&passphrase);
    let name = file.to_str().unwrap();
    canary.is_not_told("init", env.run(&["vault", "init", "--passphrase", "--passphrase-file", name, "-vv"]).exits(0));
    for text in [&passphrase, &format!("{passphrase} wrong"), &format!("{passphrase}\n{passphrase}")] {
        keep(text);
        for args in [&["vault", "verify"][..], &["doctor"], &["check"], &["vault", "status"]] {
            let all = [args, &["-vv", "--passphrase-file", name]].concat();
            canary.is_not_told(&format!("{args:?}"), &env.run(&all));
        }
    }
    canary.is_in_no_file(&env, &[&file]);
}

#[test]
fn a_proxy_s_password_and_one_in_an_address_are_not_shown() {
    let canary = Canary::new(&["proxy-", "Canary7Qz81Kw35Rt67"].concat()).of_user("ops");
    let mut zotero = Moody::zotero(Mood::Accepts);
    zotero.setup('a', &[]).exits(0);
    zotero.env.unset("KEYWARD_ENDPOINT");
    zotero.env.unset("NO_PROXY");
    let told = |env: &TestEnv, args: &[&str]| {
        for json in [&[][..], &["--json"]] {
            canary.is_not_told(&format!("{args:?}"), &env.run(&[args, &["-vv"], json].concat()));
        }
    };
    for proxy in [
        format!("http://ops:{}@127.0.0.1:9", canary.secret()),
        format!("socks5://ops:{}@127.0.0.1:9", canary.secret()),
        canary.secret().to_owned(),
    ] {
        for name in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"] {
            zotero.env.set(name, &proxy);
            // Never without the proxy: a name that is nobody's.
            told(&zotero.env, &["check", "--timeout", "2", "--endpoint", "zotero=https://zotero.invalid/"]);
            told(&zotero.env, &["doctor"]);
            zotero.env.unset(name);
        }
    }
    let address = format!("zotero=https://ops:{}@127.0.0.1:9/", canary.secret());
    told(&zotero.env, &["check", "--endpoint", &address]);
    let text = format!("[endpoint]\nzotero = 'https://ops:{}@127.0.0.1:9/'\n", canary.secret());
    let config = zotero.env.file(".config/keyward/config.toml", text);
    told(&zotero.env, &["check"]);
    // A line that somebody put into the wrong file.
    for line in ["api_key = '{}'", "store = '{}'", "timeout = '{}'", "vault = {}", "{}", "[endpoint]\nzotero = 1 # {}"]
    {
        fs::write(&config, line.replace("{}", canary.secret())).unwrap();
        told(&zotero.env, &["list"]);
    }
}

/// Starts a command that waits for its service, and gives its id once the service was asked.
fn waiting(env: &TestEnv, service: &StandIn, command: &mut Command, input: &str) -> Child {
    let before = service.seen().len();
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes()).unwrap();
    let deadline = Instant::now() + Duration::from_secs(15);
    while service.seen().len() == before {
        assert!(Instant::now() < deadline, "nobody asked the service in {}", env.home().display());
        thread::sleep(Duration::from_millis(5));
    }
    child
}

/// Zotero, which thinks for a while.
fn slow() -> (StandIn, TestEnv) {
    let service = StandIn::start(|_| zotero_says(Mood::Accepts).after(Duration::from_secs(3))).unwrap();
    let mut env = home();
    env.set("KEYWARD_ENDPOINT", &format!("zotero={}", service.url()));
    (service, env)
}

#[test]
fn the_command_line_that_others_can_read_has_no_secret_while_we_run() {
    let (service, mut env) = slow();
    let canary = Canary::new(&zotero_key('c'));
    env.set("A_SECRET", canary.secret());
    let file = env.file("key", canary.secret());
    for form in ["-", "env:A_SECRET", "@key"] {
        let mut command = env.command();
        command.args(["setup", "zotero", "--no-input", "-vv", "--field", &format!("api_key={form}")]);
        let mut child = waiting(&env, &service, &mut command, canary.secret());
        let of = |name: &str| fs::read(format!("/proc/{}/{name}", child.id())).unwrap();
        let line = of("cmdline");
        assert!(String::from_utf8_lossy(&line).contains("api_key="), "this is our command line");
        canary.is_not_in("the command line", &line);
        canary.is_not_in("the name of the process", of("comm"));
        child.kill().unwrap();
        child.wait().unwrap();
        canary.is_in_no_file(&env, &[&file]);
    }
    // A child's own command line: the value goes through its environment only.
    env.run_with(&["setup", "zotero", "--no-input", "--no-check", "--field", "api_key=-"], canary.secret()).exits(0);
    let ran = env.run(&[
        "exec",
        "zotero",
        "--",
        "sh",
        "-c",
        "tr '\\0' ' ' < /proc/self/cmdline; tr '\\0' ' ' < /proc/$$/cmdline",
    ]);
    canary.is_not_told("exec", ran.exits(0));
}

#[test]
fn a_process_that_is_killed_leaves_no_core_although_cores_are_wanted() {
    let canary = Canary::new(&zotero_key('c'));
    for signal in ["ABRT", "SEGV", "QUIT"] {
        // This one does: the limit, the pattern and the folder allow it.
        let (service, env) = slow();
        let mut shell = env.in_home("sh");
        let core = "ulimit -c unlimited && exec \"$@\"";
        let mut control = shell.args(["-c", core, "sh", "sleep", "20"]).spawn().unwrap();
        thread::sleep(Duration::from_millis(200));
        kill(signal, control.id());
        assert!(control.wait().unwrap().core_dumped(), "nothing leaves a core here, so this shows nothing");

        let mut shell = env.in_home("sh");
        let keyward = env!("CARGO_BIN_EXE_keyward");
        shell.args(["-c", core, "sh", keyward, "setup", "zotero", "--no-input", "--field", "api_key=-"]);
        let child = waiting(&env, &service, &mut shell, canary.secret());
        let limits = fs::read_to_string(format!("/proc/{}/limits", child.id())).unwrap();
        let soft = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        assert_eq!(soft.split_whitespace().nth(4), Some("0"), "{soft}");
        kill(signal, child.id());
        let output = child.wait_with_output().unwrap();
        assert!(output.status.signal().is_some() && !output.status.core_dumped(), "{:?}", output.status);
        assert_eq!(fs::read_dir(env.path("tmp")).unwrap().count(), 0, "a temporary file was left");
        canary.is_in_no_file(&env, &[]);
    }
}

fn kill(signal: &str, id: u32) {
    // Twice: the runtime takes the first SEGV for a stack that ran over, and looks again.
    for _ in 0..2 {
        assert!(Command::new("kill").args([&format!("-{signal}"), &id.to_string()]).status().unwrap().success());
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn other_processes_of_the_same_user_cannot_look_into_us() {
    let (service, env) = slow();
    let is_root = rustix::process::geteuid().is_root();
    let user: u32 = if is_root { 65_534 } else { rustix::process::geteuid().as_raw() };
    if is_root {
        give_to_nobody(env.home());
    }
    let (_folder, copy) = open_copy();
    let as_user = |program: &str| {
        let mut command = env.in_home(if is_root { "setpriv" } else { "env" });
        if is_root {
            command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
        }
        command.arg(program);
        command
    };
    // What belongs to a process that can be looked into belongs to its user; ours belongs to root.
    let owner = |id: u32| fs::metadata(format!("/proc/{id}/environ")).unwrap().uid();
    let mut control = as_user("sleep").arg("20").spawn().unwrap();
    thread::sleep(Duration::from_millis(200));
    assert_eq!(owner(control.id()), user);
    kill("KILL", control.id());
    control.wait().unwrap();

    let mut command = as_user(&copy);
    command.args(["setup", "zotero", "--no-input", "--field", "api_key=-"]);
    let mut child = waiting(&env, &service, &mut command, &zotero_key('c'));
    assert_eq!(owner(child.id()), 0, "it can be traced and dumped");
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Gives a folder and all in it to `nobody`.
fn give_to_nobody(folder: &Path) {
    assert!(Command::new("chown").args(["-R", "65534:65534"]).arg(folder).status().unwrap().success());
}

/// A copy of the binary, which every user may run, in a folder that goes with the test.
fn open_copy() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let copy = folder.path().join("keyward");
    fs::copy(env!("CARGO_BIN_EXE_keyward"), &copy).unwrap();
    let name = copy.to_str().unwrap().to_owned();
    (folder, name)
}

/// Everything that was written to anything but a socket, by us and our threads.
fn written(env: &TestEnv, args: &[&str], input: &str) -> (Ran, String) {
    let log = env.path("strace.log");
    let mut strace = env.in_home("strace");
    strace.args([
        "-f",
        "-qq",
        "-yy",
        "-s",
        "1000000",
        "-e",
        "trace=%file,write,writev,pwrite64,pwritev,sendto,sendmsg,mmap,execve",
        "-o",
    ]);
    let ran = finish_with(strace.arg(&log).arg(env!("CARGO_BIN_EXE_keyward")).args(args), input.as_bytes());
    let text = fs::read_to_string(&log).unwrap_or_else(|error| panic!("{error}: strace has to be installed"));
    fs::remove_file(log).unwrap();
    let (to_sockets, other): (Vec<&str>, Vec<&str>) = text.lines().partition(|line| line.contains("<TCP:["));
    assert!(!other.is_empty());
    // Somebody got it: otherwise nothing was to be found.
    let got = to_sockets.iter().any(|line| line.contains("GET "));
    assert!(got || !args.contains(&"setup"), "{text}");
    (ran, other.join("\n"))
}

#[test]
fn the_secret_is_written_to_the_service_and_to_nothing_else_not_even_for_a_moment() {
    let zotero = Moody::zotero(Mood::Accepts);
    let canary = Canary::new(&zotero_key('t'));
    let setup = ["setup", "zotero", "--no-input", "-vv", "--field", "api_key=-"];
    let (ran, calls) = written(&zotero.env, &setup, canary.secret());
    ran.exits(0);
    assert!(calls.contains("vault.toml"), "the vault was written");
    canary.is_not_in("a system call of setup", &calls);
    let seen = zotero.service.seen();
    assert!(canary.form_in(seen[0].text().as_bytes()).is_some());

    let (ran, calls) = written(&zotero.env, &["check", "-vv", "--json"], "");
    canary.is_not_told("check", ran.exits(0));
    canary.is_not_in("a system call of check", &calls);

    // `get` writes it to stdout, so this search can find it.
    let (_, calls) = written(&zotero.env, &["get", "zotero", "api_key"], "");
    let mut with_it = calls.lines().filter(|line| canary.form_in(line.as_bytes()).is_some());
    assert!(with_it.next().is_some_and(|line| line.contains("write(1")), "{calls}");
    assert_eq!(with_it.next(), None);
}

#[test]
fn a_secret_in_the_keyring_is_in_no_file_and_in_nothing_that_is_said() {
    let session = Session::new().with_bus().with_unlocked_keyring();
    let service = StandIn::start(|request| echo(ECHOES[3], "zotero", &zotero_key('k'), request, "")).unwrap();
    let canary = Canary::new(&zotero_key('k'));
    let run = |args: &[&str], input: &str| {
        let mut command = session.command(env!("CARGO_BIN_EXE_keyward"));
        command.args(["--store", "keyring", "-vv"]).args(args).current_dir(session.path("home"));
        command.env("KEYWARD_ENDPOINT", format!("zotero={}", service.url())).env("NO_PROXY", "127.0.0.1");
        finish_with(&mut command, input.as_bytes())
    };
    let setup = ["setup", "zotero", "--no-input", "--field", "api_key=-"];
    canary.is_not_told("setup", run(&setup, canary.secret()).exits(0));
    for args in
        [&["list", "--json"][..], &["show", "zotero"], &["check", "--json"], &["doctor"], &["get", "zotero", "x"]]
    {
        canary.is_not_told(&format!("{args:?}"), &run(args, ""));
    }
    let mut folders = vec![session.path("")];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.is_file() {
                files += 1;
                canary.is_not_in(&path.display().to_string(), fs::read(&path).unwrap());
            }
        }
    }
    assert!(files > 2, "{files} files: neither an index nor a keyring was found");
    assert_eq!(canary.form_in(run(&["get", "zotero", "api_key"], "").exits(0).out.as_bytes()), Some("plain"));
    canary.is_not_told("rename", run(&["rename", "zotero", "zotero/b"], "").exits(0));
    canary.is_not_told("move", run(&["move", "zotero/b", "--to", "vault"], "").exits(0));
}

#[test]
fn the_answer_s_body_is_read_and_thrown_away() {
    // 1 MiB of it, full of the secret, in an answer that is accepted.
    let canary = Canary::new(&zotero_key('h'));
    let secret = canary.secret().to_owned();
    let service = StandIn::start(move |_| {
        let Answer { reply, .. } = zotero_says(Mood::Accepts);
        let mut body: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
        body["echo"] = json!(vec![secret.clone(); 30_000]);
        Reply { body: body.to_string().into_bytes(), ..reply }.into()
    })
    .unwrap();
    let mut env = home();
    env.set("KEYWARD_ENDPOINT", &format!("zotero={}", service.url()));
    let ran = env.run_with(&["setup", "zotero", "--no-input", "-vv", "--field", "api_key=-"], canary.secret());
    canary.is_not_told("setup", ran.exits(0));
    canary.is_in_no_file(&env, &[]);
}

#[test]
fn a_machine_that_is_out_of_everything_gets_no_secret_out_of_us() {
    let (service, mut env) = slow();
    drop(service);
    let quick = StandIn::start(|_| zotero_says(Mood::Accepts)).unwrap();
    env.set("KEYWARD_ENDPOINT", &format!("zotero={}", quick.url()));
    env.run_with(&["setup", "zotero", "--no-input", "--field", "api_key=-"], zotero_key('c')).exits(0);
    let canary = Canary::new(&zotero_key('c'));
    let is_root = rustix::process::geteuid().is_root();
    let (_folder, copy) = open_copy();
    if is_root {
        give_to_nobody(env.home());
    }
    let as_user = || {
        let mut command = env.in_home(if is_root { "setpriv" } else { "env" });
        if is_root {
            command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
        }
        command
    };
    let limits = ["--nproc=1:1", "--nofile=3:3", "--nofile=6:6", "--nofile=9:9", "--stack=300000:300000"];
    let memory = [12, 20, 40, 80].map(|mib| format!("--as={}", mib * 1024 * 1024));
    let mut ends = Vec::new();
    for limit in limits.iter().copied().chain(memory.iter().map(String::as_str)) {
        for args in
            [&["check", "-vv"][..], &["check", "--json"], &["setup", "zotero", "--no-input", "--force", "--from-env"]]
        {
            let mut command = as_user();
            command.env("ZOTERO_API_KEY", canary.secret()).env("RUST_BACKTRACE", "full");
            let ran = finish(command.args(["prlimit", limit]).arg(&copy).args(args));
            canary.is_not_told(&format!("{args:?} under {limit}"), &ran);
            canary.is_in_no_file(&env, &[]);
            // Ended by the system it may be; a bug it is not.
            assert!(!matches!(ran.code, Some(1 | 101)), "{args:?} under {limit}: {ran:?}");
            ends.push(ran.code);
        }
    }
    // Some limits were too tight for the loader, some for us, and some for neither.
    assert!(ends.contains(&Some(0)) && ends.contains(&Some(4)) && ends.contains(&Some(8)), "{ends:?}");
    let stored = finish(as_user().arg(&copy).args(["get", "zotero", "api_key", "-n"]));
    assert_eq!(stored.exits(0).out, canary.secret(), "nothing is lost");
}

/// Names the test below to its child.
const BUG: &str = "KEYWARD_TEST_BUG";

#[test]
fn the_last_words_of_a_bug_name_its_place_and_not_what_it_was_about() {
    let canary = Canary::new(&["what-was-", "being-worked-on"].concat());
    if let Some(view) = std::env::var_os(BUG) {
        keyward::harden::tell_only_the_place_of_a_bug(view == "json");
        let secret = canary.secret().to_owned();
        thread::spawn(move || "a number".parse::<u32>().map_err(|_| secret).unwrap()).join().unwrap();
        unreachable!("a bug in any thread ends the process");
    }
    let test = "canary::the_last_words_of_a_bug_name_its_place_and_not_what_it_was_about";
    for (view, backtrace) in [("text", "0"), ("text", "full"), ("json", "0")] {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", test, "--nocapture"]).env(BUG, view).env("RUST_BACKTRACE", backtrace);
        let ran = finish(&mut command);
        ran.exits(1).says("a bug in keyward, at tests/it/canary.rs:").says("please report it");
        canary.is_not_told("a bug", &ran);
        assert_eq!(ran.err.contains("core::panicking::panic_fmt"), backtrace == "full", "{}", ran.err);
        if view == "json" {
            assert_eq!(ran.error_json()["error"]["exit"], 1);
        }
    }
}
