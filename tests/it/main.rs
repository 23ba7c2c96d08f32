//! All integration tests in one program: it links once. They run on Linux, where the real Secret Service, PTYs and strace are.
#![cfg(target_os = "linux")]
#![expect(unreachable_pub, reason = "a test program has no outside")]
#![expect(clippy::disallowed_methods, reason = "tests write plain files and read the environment")]
#![expect(clippy::print_stdout, reason = "figures of a run, shown with --nocapture")]

mod architecture;
mod audit;
mod bad_input;
mod canary;
mod check;
mod commands;
mod crash;
mod expiry;
mod fuzz;
mod generated;
mod hygiene;
mod keyring;
mod looks;
mod modes;
mod mutation;
mod parallel;
mod providers;
mod secret_service;
mod stores;
mod support;
mod timing;
mod vault;
mod walk;
mod wizard;
