//! The walk, as scripts: what was typed, what was asked and shown, what came out.

#[cfg(unix)]
mod terminal;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use keyward::credential::{Credential, CredentialName};
use keyward::problem::{Explain as _, Kind};
use keyward::provider::Provider;
use keyward::provider::parse::parse;
use keyward::secret::Secret;
use keyward::setup::{Given, Plan, Progress, Walked, walk};
use keyward::ui::Ui;
use keyward::ui::ask::{AskError, Scripted};

const ACME: &str = r#"
schema = 1
[provider]
id = "acme"
name = "Acme Files"
summary = "Files of Acme in the portal."
category = "storage"
status = "active"
[provenance]
reviewed = "2026-11-21"
source = []

[[var]]
id = "redirect_uri"
label = "Redirect URI"
kind = "url"
default = "https://service.example/oauth2.aspx"
preset = [
  { id = "workspace", label = "Workspace", value = "https://service.example/oauth2.aspx" },
  { id = "docspace", label = "DocSpace", value = "https://docspace.example/oauth2.aspx" },
]
[[var]]
id = "audience"
label = "Audience"
choices = ["internal", "external"]
default = "internal"

[[field]]
id = "client_id"
label = "Client ID"
env = ["ACME_ID"]
format = { regex = "^[0-9]{6}$", normalise = ["trim", "quotes"], good = ["123456"] }
[[field]]
id = "client_secret"
label = "Client secret"
secret = true
format = { regex = "^s-[a-z]{8}$", mistake = [{ regex = "^[0-9]{6}$", message = "pasted_id" }] }
[[field]]
id = "note"
label = "Note"
required = false
[[field]]
id = "domain"
label = "Domain"
kind = "host"
when = { ref = "var.audience", eq = "external" }

[[scope]]
id = "files.read"
why = "Files are listed."

[[step]]
id = "enable"
text = "Enable [[Acme API]]."
scopes = ["files.read"]
[[step]]
id = "testers"
text = "Add testers for ${field.domain}."
when = { ref = "var.audience", eq = "external" }
[[step]]
id = "create"
text = "Create a client."
paste = [{ label = "Redirect URIs", value = "${var.redirect_uri}" }]
capture = ["client_id", "client_secret"]
[[step]]
id = "close"
text = "Close the window."

[message]
pasted_id = "This is the client ID. The secret starts with s-."
"#;

const SECRET: &str = "s-canaryqz";

fn acme() -> Provider {
    parse("acme.toml", ACME).unwrap()
}

fn name() -> CredentialName {
    "acme/staging".parse().unwrap()
}

/// Memory that a Ui writes to.
#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Paper {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A walk that has ended.
struct Ended {
    outcome: Result<Walked, AskError>,
    asked: Vec<String>,
    shown: String,
    left: usize,
}

impl Ended {
    #[track_caller]
    fn credential(&self) -> &Credential {
        match &self.outcome {
            Ok(Walked::Done { checked, .. }) => &checked.credential,
            other => panic!("{other:?} after {:?}\n{}", self.asked, self.shown),
        }
    }

    #[track_caller]
    fn field(&self, id: &str) -> &str {
        self.credential().fields[id].expose()
    }

    #[track_caller]
    fn shows(&self, text: &str) -> &Self {
        assert!(self.shown.contains(text), "{text:?} is not in:\n{}", self.shown);
        self
    }

    #[track_caller]
    fn hides(&self, text: &str) -> &Self {
        assert!(!self.shown.contains(text), "{text:?} is in:\n{}", self.shown);
        self
    }
}

struct Walk {
    provider: Provider,
    given: Given,
    progress: Progress,
    rev: &'static str,
    home: PathBuf,
}

impl Walk {
    fn new() -> Self {
        Self::of(acme())
    }

    fn of(provider: Provider) -> Self {
        Self {
            provider,
            given: Given::default(),
            progress: Progress::nowhere(),
            rev: "sha256:00",
            home: "/no/home".into(),
        }
    }

    fn given(mut self, id: &str, text: &str) -> Self {
        if self.provider.var(id).is_some() {
            self.given.answers.vars.insert(id.to_owned(), text.to_owned());
        } else {
            self.given.answers.fields.insert(id.to_owned(), Secret::from(text));
        }
        self.given.origins.insert(id.to_owned(), "--field".to_owned());
        self
    }

    fn in_folder(mut self, folder: &Path) -> Self {
        self.progress = Progress::in_folder(folder);
        self
    }

    fn rev(mut self, rev: &'static str) -> Self {
        self.rev = rev;
        self
    }

    /// Walks with these answers, one to each question.
    fn answers(self, answers: &[&str]) -> Ended {
        let paper = Paper::default();
        let ui = Ui::captured(Box::new(io::sink()), Box::new(paper.clone()), 80);
        let mut script = Scripted::new(answers.iter().copied());
        let name = name();
        let plan = Plan {
            provider: &self.provider,
            provider_rev: self.rev,
            name: &name,
            given: self.given,
            progress: &self.progress,
            home: Some(&self.home),
        };
        let outcome = walk(plan, &mut script, &ui);
        Ended { outcome, left: script.left(), asked: script.asked, shown: paper.text() }
    }
}

#[test]
fn straight_through_asks_everything_once_and_gives_a_credential() {
    let ended = Walk::new().answers(&["Workspace", "internal", "Done", "123456", SECRET, "Done", "a note", "Yes"]);
    assert_eq!(ended.field("client_id"), "123456");
    assert_eq!(ended.field("note"), "a note");
    assert!(ended.credential().fields["client_secret"].is_secret());
    assert_eq!(ended.credential().vars["redirect_uri"], "https://service.example/oauth2.aspx");
    assert_eq!(
        ended.asked,
        ["Redirect URI", "Audience", "This step", "Client ID", "Client secret", "This step", "Note", "Review"]
    );
    assert_eq!(ended.left, 0);
    ended.shows("Step 1 of 3").shows("“Acme API”").shows("files.read").shows("Step 3 of 3").hides(SECRET);
}

#[test]
fn a_preset_decides_what_is_pasted_and_the_text_stands_alone() {
    let answers = ["DocSpace", "internal", "Done", "123456", SECRET, "Done", "", "Yes"];
    let ended = Walk::new().answers(&answers);
    assert_eq!(ended.credential().vars["redirect_uri"], "https://docspace.example/oauth2.aspx");
    assert!(ended.shown.lines().any(|line| line == "https://docspace.example/oauth2.aspx"), "{}", ended.shown);
}

#[test]
fn another_value_than_the_presets_is_checked_at_once() {
    let answers = ["Another", "portal.example", "https://portal.example/cb", "internal", ":quit"];
    let ended = Walk::new().answers(&[&answers[..4], &["Done", "123456", SECRET, "Done", "", "Yes"]].concat());
    assert_eq!(ended.credential().vars["redirect_uri"], "https://portal.example/cb");
    ended.shows("is not an absolute URL").shows("start with `https://`");
}

#[test]
fn a_step_and_a_field_whose_condition_does_not_hold_are_left_out() {
    let internal = Walk::new().answers(&["Workspace", "internal", "Done", "123456", SECRET, "Done", "", "Yes"]);
    internal.hides("Add testers").shows("Step 1 of 3");
    assert!(!internal.asked.contains(&"Domain".to_owned()));
    let answers = ["Workspace", "external", "Done", "Done", "123456", SECRET, "Done", "", "acme.example", "Yes"];
    let external = Walk::new().answers(&answers);
    external.shows("Add testers for <Domain>").shows("Step 2 of 4");
    assert_eq!(external.field("domain"), "acme.example");
}

#[test]
fn going_back_shows_what_was_entered_and_enter_keeps_it() {
    let answers = ["Workspace", "internal", "Done", "123456", SECRET, "Back", "", "", "Done", "", "Back", "", "Yes"];
    let ended = Walk::new().answers(&answers);
    assert_eq!((ended.field("client_id"), ended.field("client_secret")), ("123456", SECRET));
    assert_eq!(ended.shown.matches("Step 2 of 3").count(), 2, "{}", ended.shown);
    assert_eq!(ended.left, 0);
}

#[test]
fn back_within_a_step_goes_to_the_question_before() {
    let answers = ["Workspace", "internal", "Done", "111111", ":back", "222222", SECRET, "Done", "", "Yes"];
    assert_eq!(Walk::new().answers(&answers).field("client_id"), "222222");
}

#[test]
fn back_from_the_first_page_stays_there() {
    let ended = Walk::new().answers(&["Esc", "Workspace", "Esc", "DocSpace", "internal", "Quit"]);
    assert_eq!(ended.outcome, Ok(Walked::Quit));
    ended.shows("this is the first page");
    assert_eq!(ended.asked[..4], ["Redirect URI", "Redirect URI", "Audience", "Redirect URI"]);
}

#[test]
fn an_optional_field_is_skipped_and_a_required_one_is_not() {
    let answers = ["Workspace", "internal", "Skip", ":skip", "123456", "", SECRET, "Done", ":skip", "Yes"];
    let ended = Walk::new().answers(&answers);
    ended.shows("Client ID is needed").shows("Client secret is empty");
    assert!(!ended.credential().fields.contains_key("note"));
    let Ok(Walked::Done { skipped, .. }) = &ended.outcome else { panic!("{:?}", ended.outcome) };
    assert_eq!(skipped, &["enable"]);
}

#[test]
fn a_wrong_paste_is_named_and_the_right_one_is_taken() {
    let answers = ["Workspace", "internal", "Done", "12345", " '123456' ", "654321", SECRET, "Done", "", "Yes"];
    let ended = Walk::new().answers(&answers);
    ended.shows("Client ID ends too early, after 5 characters");
    ended.shows("removed surrounding quotes");
    ended.shows("Client secret is something else: This is the client ID. The secret starts");
    assert_eq!((ended.field("client_id"), ended.field("client_secret")), ("123456", SECRET));
    ended.hides(SECRET).hides("654321");
}

#[test]
fn a_value_that_belongs_to_another_field_is_kept_for_it() {
    let answers = ["Workspace", "internal", "Done", SECRET, "y", "123456", "", "Done", "", "Yes"];
    let ended = Walk::new().answers(&answers);
    assert_eq!((ended.field("client_id"), ended.field("client_secret")), ("123456", SECRET));
    assert!(
        ended.asked.contains(&"It looks like the value of Client secret. Use it there?".to_owned()),
        "{:?}",
        ended.asked
    );
    ended.hides(SECRET);
}

#[test]
fn swapped_values_are_noticed_and_exchanged() {
    let lenient = ACME
        .replace("format = { regex = ", "format = { strict = false, regex = ")
        .replace(", mistake = [{ regex = \"^[0-9]{6}$\", message = \"pasted_id\" }]", "");
    let provider = parse("acme.toml", &lenient).unwrap();
    let answers = ["Workspace", "internal", "Done", SECRET, "123456", "y", "Done", "", "Yes"];
    let ended = Walk::of(provider).answers(&answers);
    assert_eq!((ended.field("client_id"), ended.field("client_secret")), ("123456", SECRET));
    ended.shows("the values of Client ID and Client secret look swapped");
}

#[test]
fn the_page_can_be_shown_again() {
    let ended = Walk::new().answers(&["Workspace", "internal", "Show", "Done", ":show", ":quit"]);
    assert_eq!(ended.shown.matches("Step 1 of 3").count(), 2);
    assert_eq!(ended.shown.matches("Step 2 of 3").count(), 2);
    assert_eq!(ended.outcome, Ok(Walked::Quit));
}

#[test]
fn a_value_can_be_taken_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("the secret");
    fs::write(&path, format!("{SECRET}\n")).unwrap();
    let (quoted, missing) = (format!("@'{}' ", path.display()), format!("@{SECRET}"));
    let answers = ["Workspace", "internal", "Done", "123456", &missing, &quoted, "Done", "@@home", "Yes"];
    let ended = Walk::new().answers(&answers);
    assert_eq!((ended.field("client_secret"), ended.field("note")), (SECRET, "@home"));
    ended.shows("the file cannot be read: there is no such file").hides(SECRET);
}

#[test]
fn a_path_may_begin_with_the_home_folder_and_a_name_with_an_at_sign() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("id"), "123456").unwrap();
    let at = ACME.replace("label = \"Note\"", "label = \"Note\"\nformat = { normalise = [\"at\"] }");
    let mut walk = Walk::of(parse("acme.toml", &at).unwrap());
    walk.home = folder.path().to_owned();
    let ended = walk.answers(&["Workspace", "internal", "Done", "@~/id", SECRET, "Done", "@My_Bot", "Yes"]);
    assert_eq!((ended.field("client_id"), ended.field("note")), ("123456", "My_Bot"));
    ended.shows("removed the leading `@`");
}

#[test]
fn a_secret_that_is_the_same_as_another_value_is_warned_about() {
    let same = ACME.replace(
        "format = { regex = \"^s-[a-z]{8}$\", mistake = [{ regex = \"^[0-9]{6}$\", message = \"pasted_id\" }] }",
        "",
    );
    let walk = Walk::of(parse("acme.toml", &same).unwrap());
    let ended = walk.answers(&["Workspace", "internal", "Done", "123456", "123456", "Done", "", "Yes"]);
    let warning = "Client secret is the same as Client ID: was one of them";
    assert_eq!(ended.shown.matches(warning).count(), 2, "at once and in the review:\n{}", ended.shown);
}

#[test]
fn what_was_given_is_not_asked_for_again() {
    let walk = Walk::new().given("client_id", "123456").given("audience", "internal");
    let ended = walk.answers(&["Workspace", "Done", SECRET, "Done", "", "Yes"]);
    assert_eq!(ended.field("client_id"), "123456");
    assert_eq!(ended.asked, ["Redirect URI", "This step", "Client secret", "This step", "Note", "Review"]);
    ended.shows("✓ Client ID is known, from --field");
}

#[test]
fn nothing_is_asked_when_everything_needed_was_given() {
    let ended = Walk::new().given("client_id", " 123456").given("client_secret", SECRET).answers(&[]);
    assert_eq!(ended.field("client_id"), "123456");
    assert_eq!(ended.asked, [""; 0]);
    ended.shows("removed surrounding blanks").hides("Step");
}

#[test]
fn what_was_given_and_does_not_fit_is_asked_for() {
    let walk = Walk::new().given("client_id", "12").given("audience", "both").given("client_secret", SECRET);
    let ended = walk.answers(&["Workspace", "internal", "Done", "123456", "Done", "", "Yes"]);
    assert_eq!(ended.field("client_id"), "123456");
    ended.shows("Client ID ends too early, after 2 characters").shows("it came from --field");
    ended.shows("Audience is none of the choices");
}

#[test]
fn the_review_shows_no_secret_and_lets_a_value_be_changed() {
    let answers =
        ["Workspace", "internal", "Done", "123456", SECRET, "Done", "", "Change", "Client ID", "654321", "Yes"];
    let ended = Walk::new().answers(&answers);
    assert_eq!(ended.field("client_id"), "654321");
    ended.shows("Client secret  ••••••••").hides(SECRET);
}

#[test]
fn quitting_keeps_what_is_not_secret_and_the_next_sitting_goes_on_there() {
    let folder = tempfile::tempdir().unwrap();
    let first =
        Walk::new().in_folder(folder.path()).answers(&["DocSpace", "internal", "Done", "123456", SECRET, "Quit"]);
    assert_eq!(first.outcome, Ok(Walked::Quit));
    first.shows("`keyward setup acme/staging` goes on here");
    let file = fs::read_to_string(folder.path().join("acme__staging.toml")).unwrap();
    assert!(file.contains("123456") && file.contains("docspace") && file.contains("step = \"close\""), "{file}");
    assert!(!file.contains("canary"), "a secret is on disk: {file}");

    let second = Walk::new().in_folder(folder.path()).answers(&["y", "Done", "", SECRET, "Yes"]);
    assert_eq!(second.asked, ["Continue at step 3 of 3?", "This step", "Note", "Client secret", "Review"]);
    assert_eq!((second.field("client_id"), second.field("client_secret")), ("123456", SECRET));
    assert_eq!(second.credential().vars["redirect_uri"], "https://docspace.example/oauth2.aspx");
    second.shows("secrets are not kept between two sittings");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "the progress is over");
}

#[test]
fn an_offer_to_go_on_can_be_declined() {
    let folder = tempfile::tempdir().unwrap();
    let first = Walk::new().in_folder(folder.path()).answers(&["DocSpace", "internal", "Done", "123456", ":quit"]);
    assert_eq!(first.outcome, Ok(Walked::Quit));
    let second = Walk::new().in_folder(folder.path()).answers(&["n", "Workspace", "internal", "Quit"]);
    assert_eq!(second.asked[..2], ["Continue at step 2 of 3?", "Redirect URI"]);
}

#[test]
fn progress_of_another_provider_file_or_a_damaged_one_is_not_taken_up() {
    let folder = tempfile::tempdir().unwrap();
    let quit = ["Workspace", "internal", "Done", ":quit"];
    assert_eq!(Walk::new().in_folder(folder.path()).answers(&quit).outcome, Ok(Walked::Quit));
    let changed = Walk::new().in_folder(folder.path()).rev("sha256:11").answers(&quit);
    changed.shows("the steps have changed since");
    fs::write(folder.path().join("acme__staging.toml"), "schema = ").unwrap();
    Walk::new().in_folder(folder.path()).answers(&quit).shows("acme__staging.toml");
}

#[test]
fn progress_that_cannot_be_written_is_said_once_and_stops_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a file");
    fs::write(&file, "").unwrap();
    let walk = Walk::new().in_folder(&file.join("progress"));
    let ended = walk.answers(&["Workspace", "internal", "Done", "123456", SECRET, "Done", "", "Yes"]);
    assert_eq!(ended.field("client_id"), "123456");
    assert_eq!(ended.shown.matches("cannot be kept").count(), 1, "{}", ended.shown);
}

#[test]
fn ctrl_c_leaves_no_file_behind_and_a_closed_terminal_leaves_the_progress() {
    let folder = tempfile::tempdir().unwrap();
    let files = || fs::read_dir(folder.path()).map_or(0, Iterator::count);
    let start = ["Workspace", "internal", "Done", "123456", SECRET];
    let interrupted = Walk::new().in_folder(folder.path()).answers(&[&start[..], &["^C"]].concat());
    assert_eq!(interrupted.outcome, Err(AskError::Interrupted));
    assert_eq!(interrupted.outcome.unwrap_err().kind(), Kind::Interrupted);
    assert_eq!(files(), 0);
    let closed = Walk::new().in_folder(folder.path()).answers(&start);
    assert_eq!(closed.outcome, Err(AskError::Closed));
    assert_eq!(files(), 1);
    let again = Walk::new().in_folder(folder.path()).answers(&["y", "^C"]);
    assert_eq!(again.outcome, Err(AskError::Interrupted));
    assert_eq!(files(), 1, "what was there before stays");
}

const KEY_FILE: &str = r#"
schema = 1
[provider]
id = "acme"
name = "Acme"
summary = "s"
category = "storage"
status = "active"
[provenance]
reviewed = "2026-11-21"
source = []
[[field]]
id = "key"
label = "Key file"
kind = "json"
secret = true
[[field]]
id = "account"
label = "Account"
kind = "email"
derive = { from = "key", json = "/account" }
"#;

#[test]
fn a_value_from_a_document_is_never_asked_for_and_a_wrong_document_is() {
    let provider = parse("acme.toml", KEY_FILE).unwrap();
    let ended = Walk::of(provider).answers(&["{\"other\": 1}", "{\"account\": \"ops@acme.example\"}", "Yes"]);
    assert_eq!(ended.asked, ["Key file", "Key file", "Review"]);
    assert_eq!(ended.field("account"), "ops@acme.example");
    ended.shows("Account is not in `key`");
}
