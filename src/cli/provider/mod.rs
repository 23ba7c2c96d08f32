//! `provider …`: the services that can be set up, and tools for those who write their files.

mod author;
mod list;
mod probe;
mod show;

use clap::Subcommand;

use super::house::House;
use super::report::Reported;

pub(crate) use author::hosts;
pub(crate) use list::is_old;

/// The services that can be set up; tools for authors of their files
#[derive(Subcommand, Debug)]
pub(crate) enum ProviderCommand {
    List(list::ListArgs),
    Show(show::ShowArgs),
    Lint(author::LintArgs),
    Test(author::TestArgs),
    /// Print the JSON Schema (draft-07) of provider files
    #[command(after_help = "Examples:\n  keyward provider schema > provider.schema.json")]
    Schema,
    New(author::NewArgs),
    Probe(probe::ProbeArgs),
    Translate(author::TranslateArgs),
    Trust(author::TrustArgs),
}

/// Carries the subcommand out.
pub(crate) fn run(command: &ProviderCommand, house: &House) -> Reported {
    match command {
        ProviderCommand::List(args) => list::run(args, house),
        ProviderCommand::Show(args) => show::run(args, house),
        ProviderCommand::Lint(args) => author::lint(args, house),
        ProviderCommand::Test(args) => author::test(args, house),
        ProviderCommand::Schema => author::schema(),
        ProviderCommand::New(args) => author::new(args, house),
        ProviderCommand::Probe(args) => probe::run(args, house),
        ProviderCommand::Translate(args) => author::translate(args, house),
        ProviderCommand::Trust(args) => author::trust(args, house),
    }
}
