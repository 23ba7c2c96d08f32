//! What happens to the file when many write, when the folder is odd, and when things go wrong.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::Command;
use std::time::SystemTime;

use super::*;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("there").permissions().mode() & 0o777
}

fn why<T>(result: Result<T, StoreError>) -> String {
    match result {
        Err(error @ StoreError::File { .. }) => error.to_string(),
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it worked"),
    }
}

/// Runs this one test again in a process of its own, with `value` in the environment.
fn again(test: &str, value: &std::ffi::OsStr) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["--exact", test, "--nocapture"]).env("KEYWARD_TEST_PART", value);
    command.stdout(std::process::Stdio::null());
    command
}

#[test]
fn twenty_processes_and_twenty_threads_save_without_losing_one() {
    if let Some(part) = std::env::var_os("KEYWARD_TEST_PART") {
        let part = part.into_string().expect("text");
        let (number, folder) = part.split_once(' ').expect("two words");
        let folder = Path::new(folder);
        let keys = Keys { identity_file: Some(folder.join("identity")), ..Keys::default() };
        vault_at(&folder.join("vault.toml"), keys).save(&entry(&format!("process/{number}"))).expect("saved");
        return;
    }
    let fixture = Fixture::new();
    let test = "vault::files::twenty_processes_and_twenty_threads_save_without_losing_one";
    let mut children: Vec<_> = (0..20)
        .map(|number| {
            again(test, format!("{number} {}", fixture.folder.path().display()).as_ref()).spawn().expect("started")
        })
        .collect();
    std::thread::scope(|scope| {
        for number in 0..20 {
            let fixture = &fixture;
            scope.spawn(move || fixture.vault().save(&entry(&format!("thread/{number}"))).expect("saved"));
        }
    });
    assert!(children.iter_mut().all(|child| child.wait().expect("ended").success()));
    let mut expected: Vec<CredentialName> =
        (0..20).flat_map(|number| [name(&format!("process/{number}")), name(&format!("thread/{number}"))]).collect();
    expected.sort();
    assert_eq!(fixture.vault().names(), Ok(expected));
    assert_eq!(fixture.vault().verify().map(|verified| (verified.entries, verified.epoch)), Ok((40, 41)));
    let mut left: Vec<_> =
        fs::read_dir(fixture.folder.path()).expect("a folder").flatten().map(|found| found.file_name()).collect();
    left.sort();
    assert_eq!(left, ["identity", "vault.toml", "vault.toml.lock"]);
}

#[test]
fn a_mask_that_hides_nothing_still_leaves_all_files_private() {
    let Some(folder) = std::env::var_os("KEYWARD_TEST_PART").map(PathBuf::from) else {
        let folder = tempfile::tempdir().expect("a folder");
        let test = "vault::files::a_mask_that_hides_nothing_still_leaves_all_files_private";
        assert!(again(test, folder.path().as_os_str()).status().expect("started").success());
        assert_eq!(mode(&folder.path().join("new/vault.toml")), 0o600);
        return;
    };
    rustix::process::umask(rustix::fs::Mode::empty());
    let at = |name: &str| folder.join("new").join(name);
    let vault = vault_at(&at("vault.toml"), Keys::default());
    vault.init(FirstSlot::Identity(at("identity")), "").expect("made");
    vault.save(&entry("box")).expect("saved");
    assert_eq!([at("vault.toml"), at("vault.toml.lock"), at("identity")].map(|path| mode(&path)), [0o600; 3]);
    assert_eq!(mode(&folder.join("new")), 0o700);
}

#[test]
fn places_where_others_could_interfere_are_refused_by_reading_and_writing() {
    let fixture = Fixture::with(&[entry("box")]);
    let at = |name: &str| fixture.folder.path().join(name);
    let vault = |path: &str| vault_at(&at(path), Keys { identity_file: Some(fixture.identity()), ..Keys::default() });

    symlink(at("nothing"), at("dangling")).expect("a link");
    assert!(why(vault("dangling").names()).contains("leads nowhere"));
    assert!(why(vault("dangling").init(FirstSlot::Identity(fixture.identity()), "")).contains("leads nowhere"));
    assert!(!at("nothing").exists());

    rustix::fs::mknodat(rustix::fs::CWD, at("pipe"), rustix::fs::FileType::Fifo, 0o600.into(), 0).expect("a pipe");
    assert!(why(vault("pipe").names()).contains("not a plain file"));
    assert!(names_lossy(&at("pipe")).is_empty(), "nobody waits for a writer");

    fs::create_dir(at("open")).expect("a folder");
    fs::copy(fixture.path(), at("open/vault.toml")).expect("copied");
    fs::set_permissions(at("open"), fs::Permissions::from_mode(0o777)).expect("ours");
    assert!(why(vault("open/vault.toml").get(&name("box"), "client_id")).contains("everybody may write"));
    assert!(why(vault("open/vault.toml").save(&entry("two"))).contains("everybody may write"));
    assert!(
        why(vault("open/other.toml").init(FirstSlot::Identity(fixture.identity()), "")).contains("everybody may write")
    );

    fs::copy(fixture.path(), at("everybodys.toml")).expect("copied");
    for (mode, is_taken) in [(0o666, false), (0o602, false), (0o664, true), (0o644, true)] {
        fs::set_permissions(at("everybodys.toml"), fs::Permissions::from_mode(mode)).expect("ours");
        let got = vault("everybodys.toml").get(&name("box"), "client_id");
        assert!(got.is_ok() == is_taken && (is_taken || why(got).contains("chmod o-w")), "mode {mode:o}");
    }

    symlink(at("open/vault.toml"), at("link")).expect("a link");
    assert!(why(vault("link").names()).contains("others may write"));
}

#[test]
fn a_linked_vault_of_our_own_is_written_where_it_lies() {
    let fixture = Fixture::with(&[entry("box")]);
    let link = fixture.folder.path().join("link");
    symlink(fixture.path(), &link).expect("a link");
    let vault = vault_at(&link, Keys { identity_file: Some(fixture.identity()), ..Keys::default() });
    vault.save(&entry("two")).expect("saved");
    assert!(fs::symlink_metadata(&link).expect("there").is_symlink());
    assert_eq!(fixture.vault().names(), Ok(vec![name("box"), name("two")]));
}

#[test]
fn stale_temporary_files_are_reaped_by_the_next_write() {
    let fixture = Fixture::new();
    let litter = |name: &str, age: u64| {
        let path = fixture.folder.path().join(name);
        fs::write(&path, "half a vault").expect("written");
        let file = fs::File::options().write(true).open(&path).expect("ours");
        file.set_modified(SystemTime::now() - Duration::from_secs(age)).expect("ours");
        path
    };
    let (old, young) = (litter(".vault.toml.abc.kw-tmp", 3700), litter(".vault.toml.def.kw-tmp", 60));
    let mine = litter("vault.toml.bak", 3700);
    fixture.vault().names().expect("readable");
    assert!(old.exists(), "reading removes nothing");
    fixture.vault().save(&entry("box")).expect("saved");
    assert!(!old.exists() && young.exists() && mine.exists());
}

#[test]
fn a_held_lock_stops_writers_and_not_readers() {
    let fixture = Fixture::with(&[entry("box")]);
    let lock = fs::File::create(fixture.folder.path().join("vault.toml.lock")).expect("a lock");
    lock.lock().expect("free");
    let keys = Keys { identity_file: Some(fixture.identity()), ..Keys::default() };
    let vault = Vault::at(fixture.path(), keys, Duration::from_millis(50), Arc::new(SystemClock));
    assert_eq!(kind(vault.save(&entry("two"))), Some(Kind::Conflict));
    assert_eq!(vault.load(&name("box")), Ok(entry("box")));
    drop(lock);
    vault.save(&entry("two")).expect("saved");
}

#[test]
fn a_folder_that_cannot_be_written_is_told_and_the_vault_stays_readable() {
    let fixture = Fixture::with(&[entry("box")]);
    let before = fixture.text();
    // Root writes to read-only folders as well: a folder in the lock's place stops everybody.
    fs::remove_file(fixture.folder.path().join("vault.toml.lock")).expect("ours");
    fs::create_dir(fixture.folder.path().join("vault.toml.lock")).expect("a folder");
    assert!(why(fixture.vault().save(&entry("two"))).contains("vault.toml.lock"));
    assert_eq!((fixture.text(), fixture.vault().load(&name("box"))), (before, Ok(entry("box"))));
}

#[test]
fn a_value_that_makes_the_file_too_large_is_refused_and_leaves_no_litter() {
    let fixture = Fixture::with(&[entry("box")]);
    let before = fixture.text();
    let mut huge = entry("huge");
    huge.credential.fields.insert("blob".into(), Value::Clear("x".repeat(65 << 20)));
    assert!(why(fixture.vault().save(&huge)).contains("64 MiB"));
    assert_eq!(fixture.text(), before);
    assert!(
        fs::read_dir(fixture.folder.path())
            .expect("a folder")
            .flatten()
            .all(|found| !found.file_name().to_string_lossy().contains("kw-tmp"))
    );
}

#[test]
fn the_mode_that_somebody_gave_the_vault_is_kept() {
    let fixture = Fixture::new();
    fs::set_permissions(fixture.path(), fs::Permissions::from_mode(0o640)).expect("ours");
    fixture.vault().save(&entry("box")).expect("saved");
    assert_eq!(mode(&fixture.path()), 0o640);
}
