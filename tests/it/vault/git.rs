//! The vault in real git repositories.

use super::*;
use crate::support::env::{Ran, TestEnv, finish, zotero_key};

/// A repository with a vault in it, in a home of its own.
struct Repository {
    env: TestEnv,
}

const CREDENTIALS: [&str; 3] = ["zotero/a", "zotero/b", "zotero/c"];

impl Repository {
    /// Three credentials on the branch `main`.
    fn new() -> Self {
        let mut env = TestEnv::new();
        fs::create_dir(env.path("repo")).expect("a folder");
        let vault = env.path("repo/vault.toml").to_str().expect("text").to_owned();
        env.set("KEYWARD_VAULT", &vault);
        let repository = Self { env };
        for args in [
            &["init", "-q", "-b", "main"][..],
            &["config", "user.email", "test@example.com"],
            &["config", "user.name", "Test"],
            &["config", "commit.gpgsign", "false"],
        ] {
            repository.git(args).exits(0);
        }
        for (number, name) in CREDENTIALS.iter().enumerate() {
            repository.save(name, char::from(b'1' + number as u8));
        }
        repository.keyward(&["vault", "git-setup"]).exits(0);
        repository.commit("base");
        repository
    }

    fn git(&self, args: &[&str]) -> Ran {
        let mut git = self.env.in_home("git");
        git.current_dir(self.env.path("repo")).env("GIT_CONFIG_NOSYSTEM", "1");
        finish(git.args(args))
    }

    fn keyward(&self, args: &[&str]) -> Ran {
        self.env.run(args)
    }

    fn save(&self, name: &str, seed: char) {
        self.env.file("key", zotero_key(seed));
        self.keyward(&["setup", name, "--no-input", "--no-check", "--force", "--field", "api_key=@key"]).exits(0);
    }

    fn value(&self, name: &str) -> Option<String> {
        let ran = self.keyward(&["get", name, "api_key", "-n"]);
        if ran.code == Some(7) { None } else { Some(ran.exits(0).out.clone()) }
    }

    fn commit(&self, words: &str) {
        self.git(&["add", "-A"]).exits(0);
        self.git(&["commit", "-q", "--allow-empty", "-m", words]).exits(0);
    }

    /// To this machine that is an older copy, and whoever goes back says so.
    fn back_on_main(&self) {
        self.git(&["checkout", "-q", "main"]).exits(0);
        self.keyward(&["vault", "ack", "--yes"]).exits(0);
    }

    /// Does `theirs` on another branch and `ours` on this one, then merges.
    fn branches(&self, theirs: impl Fn(&Self), ours: impl Fn(&Self)) -> Ran {
        self.git(&["checkout", "-q", "-b", "other"]).exits(0);
        theirs(self);
        self.commit("theirs");
        self.back_on_main();
        ours(self);
        self.commit("ours");
        self.git(&["merge", "--no-edit", "other"])
    }

    /// Merges what git has just refused to, with what opens the other side.
    fn merge_accepting_slots(&self) -> Ran {
        self.git(&["merge", "--abort"]).exits(0);
        let driver = format!("'{}' vault merge --accept-slots %O %A %B", env!("CARGO_BIN_EXE_keyward"));
        self.git(&["-c", &format!("merge.keyward.driver={driver}"), "merge", "--no-edit", "other"])
    }

    /// The vault of these commits, as files for `vault merge`.
    fn files_of<const N: usize>(&self, commits: [&str; N]) -> [String; N] {
        commits.map(|of| {
            let file = self.env.path(&of.replace(['~', '/'], "_"));
            fs::write(&file, self.git(&["show", &format!("{of}:vault.toml")]).exits(0).out.clone()).expect("written");
            file.to_str().expect("text").to_owned()
        })
    }

    fn vault(&self) -> PathBuf {
        self.env.path("repo/vault.toml")
    }

    fn text(&self) -> String {
        fs::read_to_string(self.vault()).expect("a vault")
    }

    fn epoch(&self) -> u64 {
        self.keyward(&["vault", "status", "--json"]).exits(0).json()["status"]["epoch"].as_u64().expect("a number")
    }

    /// The text of one credential.
    fn piece(&self, name: &str) -> String {
        let header = format!("[entry.\"zotero\".\"{}\"]", name.trim_start_matches("zotero/"));
        let text = self.text();
        let start = text.find(&header).unwrap_or_else(|| panic!("{text} has no {header}"));
        text[start..].split("\n\n").next().expect("one").trim_end().to_owned()
    }
}

#[test]
fn branches_that_change_different_credentials_merge_without_a_conflict() {
    let repository = Repository::new();
    let untouched = repository.piece("zotero/c");
    let merged = repository.branches(
        |theirs| {
            theirs.save("zotero/b", 'B');
            theirs.save("zotero/new", 'N');
        },
        |ours| {
            ours.save("zotero/a", 'A');
            ours.save("zotero/also", 'M');
        },
    );
    merged.exits(0);
    for (name, seed) in
        [("zotero/a", 'A'), ("zotero/b", 'B'), ("zotero/c", '3'), ("zotero/new", 'N'), ("zotero/also", 'M')]
    {
        assert_eq!(repository.value(name), Some(zotero_key(seed)), "{name}");
    }
    repository.keyward(&["vault", "verify"]).exits(0).prints("5 credentials");
    // Both were written twice.
    assert_eq!(repository.epoch(), 7);
    assert_eq!(repository.piece("zotero/c"), untouched, "what nobody changed keeps its bytes");
    assert_eq!(repository.git(&["status", "--porcelain"]).out, "", "no litter");
    let text = repository.text();
    let headers: Vec<&str> = text.lines().filter(|line| line.starts_with("[entry")).collect();
    assert!(headers.is_sorted(), "{headers:?}");
    assert!(!text.contains("<<<<"));
}

#[test]
fn without_the_driver_the_same_branches_conflict() {
    // What the driver is for: its absence is seen.
    let repository = Repository::new();
    repository.git(&["config", "--remove-section", "merge.keyward"]).exits(0);
    let merged = repository.branches(|theirs| theirs.save("zotero/b", 'B'), |ours| ours.save("zotero/a", 'A'));
    assert_eq!(merged.code, Some(1), "{merged:?}");
}

#[test]
fn a_removal_and_a_renaming_merge_with_edits_of_others() {
    let repository = Repository::new();
    let merged = repository.branches(
        |theirs| {
            theirs.keyward(&["remove", "zotero/a", "--yes"]).exits(0);
            theirs.keyward(&["rename", "zotero/b", "zotero/z"]).exits(0);
        },
        |ours| ours.save("zotero/b", 'B'),
    );
    merged.exits(0);
    assert_eq!((repository.value("zotero/a"), repository.value("zotero/b")), (None, None));
    // Renamed on one side, changed on the other.
    assert_eq!(repository.value("zotero/z"), Some(zotero_key('B')));
    repository.keyward(&["vault", "verify"]).exits(0).prints("2 credentials");
}

#[test]
fn the_same_field_changed_on_both_sides_conflicts_readably_and_ours_stays() {
    let repository = Repository::new();
    let ours_before = std::cell::RefCell::new(String::new());
    let merged = repository.branches(
        |theirs| theirs.save("zotero/b", 'T'),
        |ours| {
            ours.save("zotero/b", 'O');
            *ours_before.borrow_mut() = ours.text();
        },
    );
    assert_eq!(merged.code, Some(1), "{merged:?}");
    let said = format!("{}{}", merged.out, merged.err);
    assert!(said.contains("conflict in zotero/b `api_key`: both sides changed this field"), "{said}");
    assert!(![zotero_key('T'), zotero_key('O')].iter().any(|value| said.contains(value)));
    assert_eq!(repository.text(), *ours_before.borrow());
    repository.git(&["status", "--porcelain"]).exits(0).prints("UU vault.toml");
    // The way out that is told.
    repository.git(&["checkout", "--theirs", "vault.toml"]).exits(0);
    repository.keyward(&["get", "zotero/b", "api_key"]).exits(9).says("two were written apart");
    repository.keyward(&["vault", "ack", "--yes"]).exits(0);
    assert_eq!(repository.value("zotero/b"), Some(zotero_key('T')));
}

#[test]
fn the_same_value_set_on_both_sides_is_no_conflict() {
    let repository = Repository::new();
    repository.branches(|theirs| theirs.save("zotero/b", 'S'), |ours| ours.save("zotero/b", 'S')).exits(0);
    assert_eq!(repository.value("zotero/b"), Some(zotero_key('S')));
    repository.keyward(&["vault", "verify"]).exits(0);
}

#[test]
fn a_removal_against_an_edit_conflicts_whichever_side_it_is_on() {
    for removed_by_us in [true, false] {
        let repository = Repository::new();
        let remove = |side: &Repository| {
            side.keyward(&["remove", "zotero/b", "--yes"]).exits(0);
        };
        let edit = |side: &Repository| side.save("zotero/b", 'E');
        let merged = if removed_by_us { repository.branches(edit, remove) } else { repository.branches(remove, edit) };
        assert_eq!(merged.code, Some(1), "{merged:?}");
        let said = if removed_by_us {
            "our side removed it, and theirs changed it"
        } else {
            "our side changed it, and theirs removed it"
        };
        assert!(merged.out.contains(&format!("conflict in zotero/b: {said}")), "{merged:?}");
    }
}

#[test]
fn one_name_made_on_both_sides_conflicts_unless_it_says_the_same() {
    for (theirs, ours, code) in [('X', 'Y', 1), ('X', 'X', 0)] {
        let repository = Repository::new();
        let merged = repository.branches(|side| side.save("zotero/new", theirs), |side| side.save("zotero/new", ours));
        assert_eq!(merged.code, Some(code), "{merged:?}");
        assert_eq!(repository.value("zotero/new"), Some(zotero_key(ours)));
    }
}

#[test]
fn recipients_of_both_sides_are_joined_and_a_new_key_on_one_side_conflicts() {
    const RECIPIENTS: [&str; 2] = [
        "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p",
        "age1lggyhqrw2nlhcxprm67z43rta597azn8gknawjehu9d9dl0jq3yqqvfafg",
    ];
    let add = |side: &Repository, number: usize, label: &str| {
        side.keyward(&["vault", "recipients", "add", RECIPIENTS[number], "--label", label]).exits(0);
    };
    let repository = Repository::new();
    let merged = repository.branches(
        |theirs| add(theirs, 0, "alice"),
        |ours| {
            add(ours, 1, "bob");
            ours.save("zotero/a", 'A');
        },
    );
    assert_eq!(merged.code, Some(1), "{merged:?}");
    assert!(merged.err.contains("something new opens it: age \"alice\""), "{merged:?}");
    assert!(!repository.text().contains("alice"));
    repository.merge_accepting_slots().exits(0);
    repository.keyward(&["vault", "recipients", "list"]).exits(0).prints("alice").prints("bob").prints("first");
    // Joining them is not agreeing to them.
    repository.keyward(&["vault", "verify"]).exits(9).says("something new opens it: age \"alice\"");
    repository.keyward(&["vault", "ack", "--yes"]).exits(0);
    repository.keyward(&["vault", "verify"]).exits(0);
    repository.commit("both");
    repository.git(&["branch", "-D", "other"]).exits(0);
    let merged = repository.branches(
        |theirs| {
            theirs.keyward(&["vault", "recipients", "remove", "alice", "--yes"]).exits(0);
        },
        |ours| ours.save("zotero/b", 'B'),
    );
    assert_eq!(merged.code, Some(1), "{merged:?}");
    assert!(merged.out.contains("conflict in the vault: the key of the vault was changed on one side"), "{merged:?}");
    assert_eq!(repository.value("zotero/b"), Some(zotero_key('B')));
}

#[test]
fn a_recipient_added_on_both_sides_has_one_slot() {
    let repository = Repository::new();
    let add = |side: &Repository, label: &str| {
        let alice = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";
        side.keyward(&["vault", "recipients", "add", alice, "--label", label]).exits(0);
    };
    repository.branches(|theirs| add(theirs, "alice"), |ours| add(ours, "alice laptop")).exits(0);
    let listed = repository.keyward(&["vault", "recipients", "list"]);
    listed.exits(0).prints("\"alice laptop\"");
    assert_eq!(listed.out.lines().count(), 2, "{}", listed.out);
    repository.keyward(&["vault", "verify"]).exits(0);
}

#[test]
fn an_older_file_that_somebody_put_back_on_a_branch_rolls_nothing_back() {
    let repository = Repository::new();
    repository.save("zotero/b", 'N');
    repository.keyward(&["remove", "zotero/a", "--yes"]).exits(0);
    repository.commit("newer");
    // All its seals fit, and no key was needed.
    repository.git(&["checkout", "-q", "-b", "other"]).exits(0);
    repository.git(&["checkout", "-q", "HEAD~1", "--", "vault.toml"]).exits(0);
    repository.commit("readme");
    repository.git(&["checkout", "-q", "main"]).exits(0);
    repository.save("zotero/mine", 'M');
    repository.commit("ours");
    let before = repository.text();
    let merged = repository.git(&["merge", "--no-edit", "other"]);
    assert_eq!(merged.code, Some(1), "{merged:?}");
    assert!(merged.err.contains("their side is no later than what both sides come from"), "{merged:?}");
    assert_eq!(repository.text(), before);
    assert_eq!((repository.value("zotero/a"), repository.value("zotero/b")), (None, Some(zotero_key('N'))));
    // Whichever side it is on, and both files stay; one that is the base is no older file.
    let [base, ours, theirs] = repository.files_of(["main~1", "main", "other"]);
    let read = || [&base, &ours, &theirs].map(|file| fs::read(file).expect("there"));
    let before = read();
    repository.keyward(&["vault", "merge", &base, &ours, &theirs]).exits(9).says("their side is epoch");
    repository.keyward(&["vault", "merge", &base, &theirs, &ours]).exits(9).says("our side is epoch");
    assert_eq!(read(), before);
    let same = repository.env.path("same").to_str().expect("text").to_owned();
    fs::copy(&base, &same).expect("written");
    repository.keyward(&["vault", "merge", &base, &ours, &same]).exits(0).prints("taken: nothing");
    fs::write(&ours, &before[1]).expect("written");
    repository.keyward(&["vault", "merge", &base, &same, &ours]).exits(0).prints("taken: zotero/mine");
    // What was said to be expected is expected of the sides.
    fs::write(&ours, &before[1]).expect("written");
    let epoch = repository.epoch().to_string();
    let expecting = |flags: &[&str]| repository.keyward(&[flags, &["vault", "merge", &base, &ours, &base]].concat());
    expecting(&["--min-epoch", &epoch]).exits(9).says("it is an older copy");
    let other = format!("sha256:{}", "0".repeat(64));
    expecting(&["--expect-slots", &other]).exits(9).says("what opens it is not what was expected");
    assert_eq!(fs::read(&ours).expect("there"), before[1]);
}

#[test]
fn a_side_that_was_tampered_with_is_refused_and_ours_stays() {
    for tamper in [
        // A header, an entry that no side changed, and one that theirs changed.
        |text: &str| text.replacen("label = \"first\"", "label = \"First\"", 1),
        |text: &str| text.replacen("\"zotero\".\"c\"", "\"zotero\".\"d\"", 1),
        |text: &str| text.replacen("generation = 2", "generation = 3", 1),
        |text: &str| text[..text.len() / 2].to_owned(),
        |_: &str| "not a vault".to_owned(),
    ] {
        let repository = Repository::new();
        let merged = repository.branches(
            |theirs| {
                theirs.save("zotero/b", 'B');
                let (before, bad) = (theirs.text(), tamper(&theirs.text()));
                assert_ne!(before, bad);
                fs::write(theirs.vault(), bad).expect("written");
            },
            |ours| ours.save("zotero/a", 'A'),
        );
        assert_ne!(merged.code, Some(0), "{merged:?}");
        assert!(merged.err.contains("is damaged or was tampered with"), "{merged:?}");
        assert_eq!(repository.value("zotero/a"), Some(zotero_key('A')));
        assert_eq!(repository.value("zotero/b"), Some(zotero_key('2')), "nothing of theirs was taken");
        // By its own exit code.
        let names = repository.files_of(["main~1", "main", "other"]);
        let before = fs::read(&names[1]).expect("there");
        repository.keyward(&["vault", "merge", &names[0], &names[1], &names[2]]).exits(9);
        assert_eq!(fs::read(&names[1]).expect("there"), before);
    }
}

#[test]
fn a_difference_is_shown_by_names_and_fields_and_never_by_values() {
    let repository = Repository::new();
    repository.save("zotero/b", 'B');
    repository.save("zotero/d", 'D');
    repository.keyward(&["remove", "zotero/a", "--yes"]).exits(0);
    let diff = repository.git(&["diff"]);
    diff.exits(0).prints("-zotero/a").prints("+zotero/d").prints(" zotero/b").prints("+  api_key: sealed #");
    assert!(!diff.out.contains("kw1:") && !diff.out.contains("seal = "), "{}", diff.out);
    let old = repository.env.path("old.toml");
    fs::write(&old, repository.git(&["show", "main:vault.toml"]).out).expect("written");
    let changes = repository.keyward(&["vault", "diff", "old.toml", "repo/vault.toml"]);
    changes.exits(0).prints("- zotero/a").prints("+ zotero/d").prints("~ zotero/b: ").prints("api_key changed");
    for ran in [&diff, &changes] {
        assert!(['1', '2', 'B', 'D'].iter().all(|seed| !ran.out.contains(&zotero_key(*seed))));
    }
    // History of all of it, from the first file on, and without a key.
    fs::rename(repository.env.path(".config/keyward/identity"), repository.env.path("away")).expect("ours");
    repository.git(&["log", "-p"]).exits(0).prints("+zotero/a");
    fs::write(repository.vault(), "broken").expect("written");
    repository.keyward(&["vault", "diff", "repo/vault.toml"]).exits(9);
}

#[test]
fn git_setup_says_what_it_did_and_doing_it_again_changes_nothing() {
    let repository = Repository::new();
    let read = |name: &str| fs::read_to_string(repository.env.path(name)).expect("there");
    assert_eq!(read("repo/.gitattributes"), "/vault.toml merge=keyward diff=keyward\n");
    let before = [read("repo/.gitattributes"), read("repo/.git/config"), read("repo/.git/info/exclude")];
    let again = repository.keyward(&["vault", "git-setup", "--json"]).exits(0).json();
    assert_eq!((again["done"].as_array().map(Vec::len), again["there"].as_array().map(Vec::len)), (Some(0), Some(8)));
    assert_eq!([read("repo/.gitattributes"), read("repo/.git/config"), read("repo/.git/info/exclude")], before);
    for left in ["repo/vault.toml.damaged", "repo/vault.toml.damaged-2", "repo/vault.toml.repaired"] {
        repository.env.file(left, "x");
    }
    assert_eq!(repository.git(&["status", "--porcelain", "-uall"]).out, "");
    // Other lines stay, also without a line end.
    fs::write(repository.env.path("repo/.gitattributes"), "*.png binary").expect("written");
    repository.keyward(&["vault", "git-setup"]).exits(0).prints("set    .gitattributes: /vault.toml merge=keyward");
    assert_eq!(read("repo/.gitattributes"), "*.png binary\n/vault.toml merge=keyward diff=keyward\n");
}

#[test]
fn outside_of_a_repository_git_setup_says_so() {
    let env = TestEnv::new();
    env.run(&["vault", "git-setup"]).exits(8).says("there is no vault at");
    env.run(&["vault", "init"]).exits(0);
    env.run(&["vault", "git-setup"]).exits(2).says("git repository");
}

#[test]
fn a_vault_in_a_folder_with_a_blank_is_merged_too() {
    let mut env = TestEnv::new();
    fs::create_dir_all(env.path("repo/my secrets")).expect("a folder");
    let vault = env.path("repo/my secrets/vault [1].toml").to_str().expect("text").to_owned();
    env.set("KEYWARD_VAULT", &vault);
    let repository = Repository { env };
    repository.git(&["init", "-q", "-b", "main"]).exits(0);
    repository.keyward(&["vault", "init"]).exits(0);
    repository.keyward(&["vault", "git-setup"]).exits(0);
    let attributes = repository.git(&["check-attr", "merge", "diff", "--", "my secrets/vault [1].toml"]);
    attributes.exits(0).prints("merge: keyward").prints("diff: keyward");
    let other = repository.git(&["check-attr", "merge", "--", "my secrets/vault 1.toml"]);
    other.exits(0).prints("merge: unspecified");
    assert!(!repository.git(&["status", "--porcelain", "-uall"]).out.contains(".lock"));
}
