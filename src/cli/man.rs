//! `man`: the manual page, in roff.

use clap::{Args, CommandFactory as _};

use super::report::{Reported, Verbatim};
use crate::problem::{Kind, Problem, nearest};

/// Print the manual page of keyward or of one command
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  keyward man | man -l -\n  keyward man setup > keyward-setup.1")]
pub(crate) struct ManArgs {
    /// The command, such as `setup` or `provider lint`
    command: Vec<String>,
}

/// Renders the page.
pub(crate) fn run(args: &ManArgs) -> Reported {
    let mut command = super::Cli::command();
    command.build();
    for word in &args.command {
        let known: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
        command = command.find_subcommand(word).cloned().ok_or_else(|| {
            let problem = Problem::new(Kind::Usage, "no-such-command", format!("there is no command `{word}`"));
            match nearest(word, known.iter().map(String::as_str)) {
                Some(near) => problem.hint(format!("did you mean `{near}`?")),
                None => problem.hint(format!("there are: {}", known.join(", "))),
            }
        })?;
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(command)
        .render(&mut page)
        .map_err(|error| Problem::new(Kind::Bug, "man", error.to_string()))?;
    let text = String::from_utf8_lossy(&page).into_owned();
    Ok(Box::new(Verbatim { schema: "keyward.man/1", text }))
}
