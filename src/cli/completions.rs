//! `completions`: the script that a shell sources.

use clap::{Args, ValueEnum};
use clap_complete::env::{Bash, Elvish, EnvCompleter, Fish, Powershell, Zsh};

use super::report::{Reported, Verbatim};
use crate::problem::{Kind, Problem};

/// Print the completion script of a shell
///
/// The script asks keyward itself for candidates: names of providers, credentials and fields, without unlocking
/// anything. Source it anew after an upgrade.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  bash:  echo 'source <(keyward completions bash)' >> ~/.bashrc\n  zsh:   echo 'source <(keyward completions zsh)' >> ~/.zshrc\n  fish:  keyward completions fish > ~/.config/fish/completions/keyward.fish"
)]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// A shell that can complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// GNU Bash
    Bash,
    /// Elvish
    Elvish,
    /// fish
    Fish,
    /// PowerShell
    Powershell,
    /// Z shell
    Zsh,
}

impl Shell {
    /// The file in `completions/`.
    pub fn file_name(self) -> &'static str {
        match self {
            Self::Bash => "keyward.bash",
            Self::Elvish => "keyward.elv",
            Self::Fish => "keyward.fish",
            Self::Powershell => "keyward.ps1",
            Self::Zsh => "_keyward",
        }
    }

    /// The script.
    ///
    /// # Errors
    ///
    /// When the generator cannot write, which does not happen in memory.
    pub fn script(self) -> std::io::Result<String> {
        let completer: &dyn EnvCompleter = match self {
            Self::Bash => &Bash,
            Self::Elvish => &Elvish,
            Self::Fish => &Fish,
            Self::Powershell => &Powershell,
            Self::Zsh => &Zsh,
        };
        let mut script = Vec::new();
        completer.write_registration("COMPLETE", "keyward", "keyward", "keyward", &mut script)?;
        String::from_utf8(script).map_err(std::io::Error::other)
    }
}

/// Makes the script.
pub(crate) fn run(args: &CompletionsArgs) -> Reported {
    let text = args.shell.script().map_err(|error| Problem::new(Kind::Bug, "completions", error.to_string()))?;
    Ok(Box::new(Verbatim { schema: "keyward.completions/1", text }))
}
