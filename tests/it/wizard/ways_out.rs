//! Every way out of every kind of question: the terminal is as it was, and nothing stays behind that was not there.

use std::path::PathBuf;

use rustix::process::Signal;

use super::{
    CHANGE, DONE, acme, answer, at_review, at_step, choose, ends, enter, google, nowhere, paste, plain, zotero,
};
use crate::support::env::TestEnv;
use crate::support::pty::Pty;

/// A kind of question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    List,
    YesOrNo,
    Visible,
    Hidden,
}

const KINDS: [Kind; 4] = [Kind::List, Kind::YesOrNo, Kind::Visible, Kind::Hidden];

/// What stands in the home before.
fn home(kind: Kind) -> TestEnv {
    match kind {
        Kind::List => plain(zotero().0).env,
        Kind::YesOrNo => acme("token").0,
        Kind::Visible | Kind::Hidden => plain(google().0).env,
    }
}

/// A terminal that waits at a question of this kind, with something typed where that is possible.
fn waiting_at(kind: Kind, env: &TestEnv) -> Pty {
    let mut pty = match kind {
        Kind::List => env.terminal(80, &["setup", "zotero"]),
        Kind::YesOrNo => env.terminal(80, &["setup", "acme", "--providers", "my"]),
        Kind::Visible | Kind::Hidden => {
            let vars = ["--var", "redirect_uri=docspace", "--var", "audience=internal"];
            env.terminal(80, &[&["setup", "google"], &vars[..]].concat())
        }
    };
    match kind {
        Kind::List => pty.expect("Quit for now"),
        Kind::YesOrNo => pty.expect("Trust it as it is now? [y/N]"),
        Kind::Visible | Kind::Hidden => {
            for number in ["1 of 7", "2 of 7", "3 of 7", "4 of 7", "5 of 7", "6 of 7"] {
                at_step(&mut pty, number, DONE);
            }
            if kind == Kind::Hidden {
                enter(&mut pty, "Client ID: ", &google().1);
                pty.expect("? Client secret: ");
            } else {
                pty.expect("? Client ID: ");
            }
        }
    }
    pty.expect_no_echo();
    if matches!(kind, Kind::Visible | Kind::Hidden) {
        pty.send("half-a-canary");
    }
    pty
}

fn paths(env: &TestEnv) -> Vec<PathBuf> {
    env.files().into_iter().map(|(path, _)| path).collect()
}

#[test]
fn ctrl_c_at_every_kind_of_question_leaves_nothing_behind() {
    for kind in KINDS {
        let env = home(kind);
        let before = paths(&env);
        let mut pty = waiting_at(kind, &env);
        pty.send("\x03");
        pty.expect("interrupted");
        ends(&mut pty, 130);
        assert_eq!(paths(&env), before, "{kind:?}");
        assert!(kind != Kind::Hidden || !pty.transcript().contains("canary"), "{}", pty.transcript());
    }
}

#[test]
fn ctrl_c_in_a_walk_that_was_taken_up_keeps_what_was_kept() {
    let (desk, _) = zotero();
    let desk = plain(desk);
    let mut pty = desk.env.terminal(80, &["setup", "zotero"]);
    at_step(&mut pty, "1 of 4", DONE);
    choose(&mut pty, "This step", "Quit for now", super::QUIT_STEP);
    ends(&mut pty, 130);
    let before = paths(&desk.env);
    for (question, then) in [("Continue at step 2 of 4?", None), ("Continue at step 2 of 4?", Some("Step 2 of 4"))] {
        let mut pty = desk.env.terminal(80, &["setup", "zotero"]);
        pty.expect(question);
        pty.expect_no_echo();
        if let Some(page) = then {
            pty.send("y");
            pty.expect(page);
            pty.expect("Quit for now");
            pty.expect_no_echo();
        }
        pty.send("\x03");
        ends(&mut pty, 130);
        assert_eq!(paths(&desk.env), before);
    }
}

#[test]
fn ctrl_c_after_the_service_has_refused_leaves_nothing_behind() {
    let (desk, _) = zotero();
    let desk = plain(desk);
    let before = paths(&desk.env);
    let mut pty = desk.env.terminal(80, &["setup", "zotero"]);
    super::to_the_key(&mut pty);
    paste(&mut pty, "API key: ", &crate::support::env::zotero_key('w'));
    at_review(&mut pty, DONE);
    answer(&mut pty, "Enter it again? [Y/n]", "\x03");
    ends(&mut pty, 130);
    assert_eq!(paths(&desk.env), before);
}

#[test]
fn an_end_from_outside_puts_the_terminal_back_and_keeps_no_secret() {
    for kind in KINDS {
        for (signal, code) in [(Signal::TERM, 143), (Signal::HUP, 129)] {
            let env = home(kind);
            let mut pty = waiting_at(kind, &env);
            pty.signal(signal);
            ends(&mut pty, code);
            nowhere(&env, "canary");
        }
    }
}

#[test]
fn a_window_that_is_closed_ends_the_program_and_the_walk_goes_on_later() {
    for kind in KINDS {
        let env = home(kind);
        let mut pty = waiting_at(kind, &env);
        pty.close();
        assert_eq!(pty.wait(), 129, "{kind:?}");
        nowhere(&env, "canary");
    }
    let (desk, _, secret) = google();
    let desk = plain(desk);
    let mut pty = waiting_at(Kind::Hidden, &desk.env);
    pty.send("\x15");
    pty.send(format!("{secret}\r"));
    at_review(&mut pty, CHANGE);
    pty.expect("? Which one?");
    pty.close();
    assert_eq!(pty.wait(), 129);
    nowhere(&desk.env, &secret);
    let mut pty = desk.env.terminal(80, &["setup", "google"]);
    answer(&mut pty, "Continue after the last step? [Y/n]", "y");
    // What was lost is the secret alone.
    paste(&mut pty, "Client secret: ", ":quit");
    ends(&mut pty, 130);
    assert!(!pty.transcript().contains("? Client ID"), "{}", pty.transcript());
}
