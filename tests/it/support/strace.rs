//! A program under strace, which ends it, fails it or holds it at one chosen system call.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

/// One system call: its name, and the how many-th of that name it is, from 1.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Call {
    pub(crate) name: String,
    pub(crate) number: usize,
    /// As strace writes it.
    pub(crate) line: String,
}

impl Call {
    /// What strace is told so that `deed` happens at this call: `signal=KILL`, `error=ENOSPC`, `delay_enter=…`.
    pub(crate) fn suffers(&self, deed: &str) -> String {
        format!("inject={}:{deed}:when={}", self.name, self.number)
    }
}

/// `program` under strace, with its threads. What strace sees goes to the file `log`.
///
/// strace counts calls in each thread by itself: choose calls that one thread makes.
pub(crate) fn traced(program: &Command, log: &Path, expressions: &[&str]) -> Command {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-s", "256", "-o"]).arg(log);
    for expression in expressions {
        strace.args(["-e", expression]);
    }
    strace.arg("--").arg(program.get_program()).args(program.get_args()).env_clear();
    strace.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    if let Some(folder) = program.get_current_dir() {
        strace.current_dir(folder);
    }
    strace
}

/// The calls in a log, in order, of the thread that made the first one.
pub(crate) fn calls(log: &Path) -> Vec<Call> {
    let text = fs::read_to_string(log).unwrap_or_else(|error| panic!("{error}: strace has to be installed"));
    let main = text.split_whitespace().next().expect("strace saw something").to_owned();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut calls = Vec::new();
    for line in text.lines() {
        let Some((id, call)) = line.split_once(char::is_whitespace) else { continue };
        let Some((name, _)) = call.trim_start().split_once('(') else { continue };
        if id != main || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            continue;
        }
        let number = counts.entry(name.to_owned()).or_default();
        *number += 1;
        calls.push(Call { name: name.to_owned(), number: *number, line: call.trim_start().to_owned() });
    }
    calls
}

/// As [`calls`], from the first one that names `from`.
pub(crate) fn calls_from(log: &Path, from: &str) -> Vec<Call> {
    let calls = calls(log);
    let first =
        calls.iter().position(|call| call.line.contains(from)).unwrap_or_else(|| panic!("no call names {from}"));
    calls[first..].to_vec()
}

/// The calls of one name, as many as the busiest thread makes: for calls that not the first thread makes.
pub(crate) fn most_of(log: &Path, name: &str) -> Vec<Call> {
    let text = fs::read_to_string(log).unwrap_or_else(|error| panic!("{error}: strace has to be installed"));
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let starts = format!("{name}(");
    for (id, call) in text.lines().filter_map(|line| line.split_once(char::is_whitespace)) {
        if call.trim_start().starts_with(&starts) {
            *counts.entry(id).or_default() += 1;
        }
    }
    let most = counts.into_values().max().unwrap_or(0);
    (1..=most).map(|number| Call { name: name.to_owned(), number, line: format!("{name} {number}") }).collect()
}
