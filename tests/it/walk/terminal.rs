//! The prompts in a real terminal. The program inside it is this test program, in a role that a variable names.

use std::panic;
use std::path::Path;
use std::process::{Command, abort, exit};
use std::thread;

use keyward::problem::Explain as _;
use keyward::setup::{Given, Plan, Progress, Walked, walk};
use keyward::ui::ask::{Answer, Ask, AskError, Lines, Question, TerminalAsk};
use keyward::ui::{Color, Manner, Ui};
use rustix::process::Signal;
use sha2::{Digest as _, Sha256};

use super::{ACME, SECRET, name};
use crate::support::pty::Pty;
use keyward::provider::parse::parse;

const ROLE: &str = "KEYWARD_TEST_ROLE";
const STATE: &str = "KEYWARD_TEST_STATE";
const NO_ROLE: i32 = 77;

/// Starts this program again, in a terminal, in a role.
fn start(role: &str, state: &Path) -> Pty {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "walk::terminal::the_program_in_the_terminal", "--nocapture", "--test-threads=1"]);
    command.env(ROLE, role).env(STATE, state).env("TERM", "xterm-256color").env_remove("NO_COLOR");
    Pty::spawn(command)
}

fn ask(role: &str) -> Pty {
    start(role, Path::new("/nonexistent"))
}

/// What runs inside the terminal of the others. Without a role it starts itself: were its name another one, the
/// program inside would end well without having done anything.
#[test]
fn the_program_in_the_terminal() {
    let Ok(role) = std::env::var(ROLE) else {
        return assert_eq!(ask("nothing").wait(), NO_ROLE);
    };
    exit(act(&role).unwrap_or_else(|error| i32::from(error.kind().exit())));
}

/// Plays a role. What was read is told by its length and hash.
fn act(role: &str) -> Result<i32, AskError> {
    if role == "panic" {
        // As a release build does.
        panic::set_hook(Box::new(|_| abort()));
    }
    let ui = Ui::system(Manner { color: Color::Never, ..Manner::default() });
    let mut terminal = TerminalAsk::new(&ui)?;
    let question = |lines| Question { label: "The value", lines, ..Question::default() };
    let text = match role {
        "walk" => return walk_acme(terminal, &ui),
        "panic" => {
            thread::spawn(|| {
                thread::sleep(std::time::Duration::from_millis(300));
                panic!("on purpose");
            });
            terminal.secret(&question(Lines::One)).map(|_| String::new())?
        }
        "secret" => match terminal.secret(&question(Lines::One))? {
            Answer::Value(text) => text.expose().to_owned(),
            other => format!("{other:?}"),
        },
        "secret, then a plain line" => {
            terminal.secret(&question(Lines::One))?;
            ui.always("now a plain line");
            let mut line = String::new();
            std::io::stdin().read_line(&mut line).map_err(AskError::from)?;
            line
        }
        "pem" | "json" => {
            let lines = if role == "pem" { Lines::Pem } else { Lines::Json };
            match terminal.secret(&question(lines))? {
                Answer::Value(text) => text.expose().to_owned(),
                other => format!("{other:?}"),
            }
        }
        "line" => match terminal.line(&question(Lines::One))? {
            Answer::Value(text) => text,
            other => format!("{other:?}"),
        },
        "choose" => format!("{:?}", terminal.choose("Which one?", &["first".into(), "second".into()], 0)?),
        "confirm" => terminal.confirm("Go on?", true)?.to_string(),
        _ => return Ok(NO_ROLE),
    };
    ui.always(&told(&text));
    Ok(0)
}

fn walk_acme(mut terminal: TerminalAsk, ui: &Ui) -> Result<i32, AskError> {
    let provider = parse("acme.toml", ACME).map_err(|fault| AskError::Terminal(fault.to_string()))?;
    let state = std::env::var_os(STATE).unwrap_or_default();
    let plan = Plan {
        provider: &provider,
        provider_rev: "sha256:00",
        name: &name(),
        given: Given::default(),
        progress: &Progress::in_folder(Path::new(&state)),
        home: None,
    };
    match walk(plan, &mut terminal, ui)? {
        Walked::Done { checked, .. } => {
            ui.always(&told(checked.credential.fields["client_secret"].expose()));
            Ok(0)
        }
        Walked::Quit => Ok(3),
    }
}

/// The length in characters and the hash, which tell everything and show nothing.
fn told(text: &str) -> String {
    let hash: String = Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("read {} characters {hash}", text.chars().count())
}

#[track_caller]
fn reads(pty: &mut Pty, text: &str) {
    pty.expect(&told(text));
    assert_eq!(pty.wait(), 0, "{}", pty.transcript());
    assert!(pty.echo_is_on());
}

fn pem() -> String {
    let dashes = "-".repeat(5);
    let body: Vec<String> = (0..40).map(|line| format!("{line:02}").repeat(32)).collect();
    format!("{dashes}BEGIN PRIVATE KEY{dashes}\n{}\n{dashes}END PRIVATE KEY{dashes}", body.join("\n"))
}

#[test]
fn a_secret_of_5000_characters_arrives_whole_and_unseen() {
    let secret: String = (0..5000).map(|n| char::from(b'a' + u8::try_from(n % 23).unwrap())).collect();
    let mut pty = ask("secret");
    pty.expect("The value:");
    pty.expect_no_echo();
    pty.send(format!("{secret}\r"));
    reads(&mut pty, &secret);
    let shown = pty.transcript();
    assert!(shown.contains("•••••••••••• 5,000 characters"), "{shown}");
    assert!(!shown.contains("abcde"), "{shown}");
}

#[test]
fn a_secret_larger_than_any_buffer_of_the_terminal_arrives_whole() {
    let secret = "0123456789".repeat(20_000);
    let mut pty = ask("secret");
    pty.expect("The value:");
    pty.expect_no_echo();
    pty.send(format!("\x1b[200~{secret}\x1b[201~\r"));
    reads(&mut pty, &secret);
}

#[test]
fn a_pasted_pem_block_arrives_whole_with_and_without_paste_markers() {
    let block = pem();
    let lines = block.replace('\n', "\r");
    for pasted in
        [format!("{lines}\r"), format!("\x1b[200~{lines}\x1b[201~\r"), format!("\x1b[200~{lines}\r\x1b[201~\r")]
    {
        let mut pty = ask("pem");
        pty.expect("Paste the whole block");
        pty.expect("The value:");
        pty.expect_no_echo();
        pty.send(&pasted);
        reads(&mut pty, &block);
        assert!(!pty.transcript().contains("PRIVATE KEY"), "{}", pty.transcript());
    }
}

#[test]
fn a_pem_block_in_place_of_a_one_line_secret_goes_to_nobody_else() {
    let block = pem();
    let mut pty = ask("secret");
    pty.expect("The value:");
    pty.expect_no_echo();
    pty.send(format!("{}\r", block.replace('\n', "\r")));
    reads(&mut pty, &block);
}

#[test]
fn a_json_document_arrives_whole() {
    let document = "{\n  \"a\": \"}\",\n  \"b\": [1, 2]\n}";
    let mut pty = ask("json");
    pty.expect("or give @FILE.");
    pty.expect("The value:");
    pty.expect_no_echo();
    pty.send(format!("{}\r", document.replace('\n', "\r")));
    reads(&mut pty, document);
}

#[test]
fn paste_markers_are_asked_for_stripped_and_switched_off_again() {
    let mut pty = ask("secret");
    pty.expect("\x1b[?2004h");
    pty.expect_no_echo();
    pty.send("\x1b[200~s3cr");
    pty.send("et\x1b[201~\r");
    reads(&mut pty, "s3cret");
    let shown = pty.transcript();
    assert!(shown.rfind("\x1b[?2004l") > shown.rfind("\x1b[?2004h"), "{shown:?}");
}

#[test]
fn the_terminal_is_itself_again_as_soon_as_a_secret_is_read() {
    let mut pty = ask("secret, then a plain line");
    pty.expect("The value:");
    pty.expect_no_echo();
    pty.send("s3cret\r");
    pty.expect("now a plain line");
    assert!(pty.echo_is_on());
    let shown = pty.transcript();
    assert!(shown.rfind("\x1b[?2004l") > shown.rfind("\x1b[?2004h"), "{shown:?}");
    pty.send("plain\n");
    reads(&mut pty, "plain\n");
}

#[test]
fn characters_of_several_bytes_and_corrections_arrive_as_they_were_meant() {
    let mut pty = ask("secret");
    pty.expect("The value:");
    pty.expect_no_echo();
    pty.send("wrong\x15größe✓x\x7f\r");
    reads(&mut pty, "größe✓");
}

#[test]
fn ctrl_c_at_a_secret_leaves_the_echo_on() {
    let mut pty = ask("secret");
    pty.expect("The value:");
    pty.expect_no_echo();
    pty.send("half a sec\x03");
    assert_eq!(pty.wait(), 130, "{}", pty.transcript());
    assert!(pty.echo_is_on());
    assert!(!pty.transcript().contains("half"), "{}", pty.transcript());
}

#[test]
fn a_signal_at_a_secret_leaves_the_echo_on() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let mut pty = ask("secret");
        pty.expect("The value:");
        pty.expect_no_echo();
        pty.signal(signal);
        assert_eq!(pty.wait(), code, "{}", pty.transcript());
        assert!(pty.echo_is_on(), "{signal:?}");
    }
}

#[test]
fn a_panic_that_aborts_leaves_the_echo_on() {
    let mut pty = ask("panic");
    pty.expect("The value:");
    pty.expect_no_echo();
    assert_eq!(pty.wait(), 128 + Signal::ABORT.as_raw(), "{}", pty.transcript());
    assert!(pty.echo_is_on());
}

#[track_caller]
fn shows_the_cursor(pty: &Pty) {
    let shown = pty.transcript();
    assert!(shown.contains("\x1b[?25l"), "the cursor was never hidden: {shown:?}");
    assert!(shown.rfind("\x1b[?25h") > shown.rfind("\x1b[?25l"), "the cursor stays hidden: {shown:?}");
    assert!(pty.echo_is_on());
}

#[test]
fn ctrl_c_at_a_choice_or_a_yes_or_no_shows_the_cursor_again() {
    for (role, prompt) in [("choose", "second"), ("confirm", "[Y/n]")] {
        let mut pty = ask(role);
        pty.expect(prompt);
        pty.expect_no_echo();
        pty.send("\x03");
        assert_eq!(pty.wait(), 130, "{}", pty.transcript());
        shows_the_cursor(&pty);
    }
}

#[test]
fn a_signal_at_a_choice_shows_the_cursor_again() {
    for (signal, code) in [(Signal::TERM, 143), (Signal::HUP, 129), (Signal::INT, 130)] {
        let mut pty = ask("choose");
        pty.expect("second");
        pty.expect_no_echo();
        pty.signal(signal);
        assert_eq!(pty.wait(), code, "{}", pty.transcript());
        shows_the_cursor(&pty);
    }
}

#[test]
fn ctrl_c_at_a_visible_line_leaves_the_echo_on() {
    let mut pty = ask("line");
    pty.expect("The value:");
    pty.expect_no_echo();
    pty.send("abc\x03");
    assert_eq!(pty.wait(), 130, "{}", pty.transcript());
    assert!(pty.echo_is_on());
}

#[test]
fn several_lines_at_a_visible_line_answer_no_later_question() {
    let mut pty = ask("line");
    pty.expect("The value:");
    pty.expect_no_echo();
    pty.send("one\rtwo\rthree\r");
    pty.expect("several lines came in at once");
    pty.expect("The value:");
    pty.expect_no_echo();
    pty.send("one\r");
    reads(&mut pty, "one");
}

#[test]
fn a_choice_is_made_with_the_keys() {
    let mut pty = ask("choose");
    pty.expect("second");
    pty.expect_no_echo();
    pty.send("\x1b[B");
    pty.expect("› second");
    pty.send("\r");
    pty.expect("› Which one? second");
    reads(&mut pty, "Some(1)");
}

#[test]
fn the_whole_walk_can_be_walked_in_a_terminal() {
    let state = tempfile::tempdir().unwrap();
    let mut pty = start("walk", state.path());
    pty.expect("Redirect URI");
    pty.expect("Another value");
    pty.send("\r");
    pty.expect("external");
    pty.send("\r");
    pty.expect("Step 1 of 3");
    pty.expect("Quit for now");
    pty.send("\r");
    pty.expect("Client ID: ");
    pty.send("12345\r");
    pty.expect("ends too early, after 5 characters");
    pty.expect("Client ID: ");
    pty.send("123456\r");
    pty.expect("Client secret: ");
    pty.send("654321\r");
    pty.expect("This is the client ID.");
    pty.expect("Client secret: ");
    pty.send(":back\r");
    pty.expect("Client ID (Enter keeps 123456): ");
    pty.send("\r");
    pty.expect("› Client ID: 123456");
    pty.expect("Client secret: ");
    pty.send(format!("\x1b[200~{SECRET}\x1b[201~\r"));
    pty.expect("Step 3 of 3");
    pty.expect("Quit for now");
    pty.send("\r");
    pty.expect("Note (optional): ");
    pty.send("\r");
    pty.expect("Change a value");
    pty.send("\r");
    reads(&mut pty, SECRET);
    assert!(!pty.transcript().contains("canary"), "{}", pty.transcript());
    assert_eq!(std::fs::read_dir(state.path()).unwrap().count(), 0);
}

#[test]
fn ctrl_c_in_the_walk_leaves_no_file_and_a_lost_terminal_leaves_no_secret() {
    let state = tempfile::tempdir().unwrap();
    let reach_the_secret = || {
        let mut pty = start("walk", state.path());
        pty.expect("Another value");
        pty.send("\r");
        pty.expect("external");
        pty.send("\r");
        pty.expect("Quit for now");
        pty.send("\r");
        pty.expect("Client ID: ");
        pty.send("123456\r");
        pty.expect("Client secret: ");
        pty.expect_no_echo();
        pty
    };
    let files = || std::fs::read_dir(state.path()).unwrap().count();

    let mut pty = reach_the_secret();
    assert_eq!(files(), 1, "how far it came is kept while it runs");
    pty.send(format!("{SECRET}\x03"));
    assert_eq!((pty.wait(), files()), (130, 0));

    // At dialoguer's prompts the key comes back as a signal.
    let mut pty = reach_the_secret();
    pty.send(format!("{SECRET}\r"));
    pty.expect("Step 3 of 3");
    pty.expect("Quit for now");
    pty.expect_no_echo();
    pty.send("\x03");
    assert_eq!((pty.wait(), files()), (130, 0), "{}", pty.transcript());

    let mut pty = reach_the_secret();
    pty.send(format!("{SECRET}\r"));
    pty.expect("Step 3 of 3");
    pty.expect("Quit for now");
    pty.signal(Signal::HUP);
    assert_eq!((pty.wait(), files()), (129, 1), "{}", pty.transcript());
    let kept = std::fs::read_to_string(state.path().join("acme__staging.toml")).unwrap();
    assert!(kept.contains("123456") && !kept.contains("canary"), "{kept}");
}
