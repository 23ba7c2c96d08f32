//! `vault`: the sealed file itself. One file per group of subcommands.

mod ack;
mod backups;
mod git;
mod init;
mod look;
mod passwd;
mod phrase;
mod recipients;
mod rekey;
mod repair;

use clap::Subcommand;

use super::house::House;
use super::report::Reported;
use crate::problem::{Kind, Problem};

/// Make, look at and verify the vault, and say who may open it
#[derive(Subcommand, Debug)]
pub(crate) enum VaultCommand {
    Init(init::InitArgs),
    /// Show what the vault is, without opening it
    #[command(after_help = "Examples:\n  keyward vault status")]
    Status,
    /// Open every value and verify every seal
    #[command(after_help = "Examples:\n  keyward vault verify && echo whole")]
    Verify,
    Backups(backups::BackupsArgs),
    Repair(repair::RepairArgs),
    Merge(git::MergeArgs),
    Diff(git::DiffArgs),
    GitSetup(git::GitSetupArgs),
    #[command(subcommand)]
    Recipients(recipients::RecipientsCommand),
    Passwd(passwd::PasswdArgs),
    Rekey(rekey::RekeyArgs),
    Ack(ack::AckArgs),
}

/// Carries the subcommand out.
pub(crate) fn run(command: &VaultCommand, house: &House) -> Reported {
    match command {
        VaultCommand::Init(args) => init::run(args, house),
        VaultCommand::Status => look::status(house),
        VaultCommand::Verify => look::verify(house),
        VaultCommand::Backups(args) => backups::run(args, house),
        VaultCommand::Repair(args) => repair::run(args, house),
        VaultCommand::Merge(args) => git::merge(args, house),
        VaultCommand::Diff(args) => git::diff(args),
        VaultCommand::GitSetup(_) => git::set_up(house),
        VaultCommand::Recipients(command) => recipients::run(command, house),
        VaultCommand::Passwd(args) => passwd::run(args, house),
        VaultCommand::Rekey(args) => rekey::run(args, house),
        VaultCommand::Ack(args) => ack::run(args, house),
    }
}

/// What a new data key does not change.
const OLD_COPIES: &str = "note: copies and older commits of the vault can still be opened with the old data key";

/// Somebody was asked and said no.
fn nothing_changed() -> Problem {
    Problem::new(Kind::Interrupted, "not-confirmed", "nothing was changed")
}
