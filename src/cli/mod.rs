//! What can be typed: arguments → command → report.
//!
//! A command file has four parts in this order: Args, the report's type, `run`, and the report's views. Nothing in
//! it prints: [`main`] shows the report.

mod audit;
mod check;
mod clip;
mod complete;
pub mod completions;
mod demo;
mod doctor;
mod edit;
mod exec;
mod expiry;
mod export;
mod get;
pub mod global;
mod house;
mod import;
mod list;
mod look;
mod man;
mod move_to;
mod provider;
mod remove;
mod rename;
mod report;
mod setup;
mod show;
mod vault;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::env::{Env, means_no};
use crate::problem::{Kind, Problem};
use crate::ui::page::hang;
use crate::ui::{Dress, Manner, Ui, json_line};
use house::House;
use look::Look;
use report::{Report, Reported};

/// The examples stand in both helps.
macro_rules! examples {
    () => {
        "\
Examples:
  keyward demo                                the whole way, no account needed
  keyward setup zotero                        walk, prove, store
  keyward setup google --from-env --no-input  the same where nobody answers
  keyward check                               ask all services again
  keyward exec aws-s3 -- aws s3 ls            use it"
    };
}

/// Set up, prove and keep the credentials of third-party services
#[derive(Parser, Debug)]
#[command(name = "keyward", version, max_term_width = 100, after_help = examples!(), after_long_help = LONG_AFTER)]
pub struct Cli {
    #[command(flatten)]
    global: global::Global,
    #[command(subcommand)]
    command: Command,
}

const LONG_AFTER: &str = concat!(
    examples!(),
    "

Exit codes:
  0 done · 1 a bug in keyward · 2 wrong command line · 3 rejected · 4 inconclusive or unchecked
  5 limited · 6 malformed or missing · 7 no such provider, credential or field
  8 store unavailable or locked · 9 damaged or tampered with · 10 provider file wrong or not trusted
  11 lock timeout or concurrent change · 12 expired or expiring · 130 interrupted

Files (XDG; each can be named by a variable):
  ~/.config/keyward/config.toml      KEYWARD_CONFIG      store, vault, color, timeout, audit, [endpoint]
  ~/.config/keyward/providers/       KEYWARD_PROVIDERS   your own provider files
  ~/.config/keyward/identity         KEYWARD_IDENTITY_FILE, KEYWARD_IDENTITY, KEYWARD_IDENTITY_CMD
  ~/.local/share/keyward/vault.toml  KEYWARD_VAULT       the vault
  ~/.local/state/keyward/            KEYWARD_STATE       keyring index, trust list, unfinished walks, backups, audit log, pins"
);

#[derive(Subcommand, Debug)]
enum Command {
    #[command(subcommand)]
    Provider(provider::ProviderCommand),
    Setup(setup::SetupArgs),
    Check(check::CheckArgs),
    #[command(visible_alias = "ls")]
    List(list::ListArgs),
    Show(show::ShowArgs),
    Get(get::GetArgs),
    Edit(edit::EditArgs),
    #[command(visible_alias = "rm")]
    Remove(remove::RemoveArgs),
    Rename(rename::RenameArgs),
    Move(move_to::MoveArgs),
    Exec(exec::ExecArgs),
    Export(export::ExportArgs),
    Import(import::ImportArgs),
    #[command(subcommand)]
    Vault(vault::VaultCommand),
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    Doctor(doctor::DoctorArgs),
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
    Demo(demo::DemoArgs),
}

/// Arguments in, exit code out.
pub fn main() -> ExitCode {
    // The shell asks for candidates with COMPLETE set; then nothing else happens.
    clap_complete::CompleteEnv::with_factory(Cli::command).complete();
    crate::harden::harden();
    let args: Vec<OsString> = std::env::args_os().collect();
    crate::harden::tell_only_the_place_of_a_bug(wants_json(&args));
    if let [_, only] = args.as_slice()
        && only == clip::CLEARER
    {
        // Started by ourselves, to clear the clipboard when its time is up.
        return clip::clear_later();
    }
    run(args)
}

fn run(args: Vec<OsString>) -> ExitCode {
    if let [_, only] = args.as_slice()
        && (only == "--version" || only == "-V")
    {
        // Scripts ask it often, and half of the time would go into building all commands.
        let _ = Ui::system(Manner::default()).data(concat!("keyward ", env!("CARGO_PKG_VERSION"), "\n"));
        return ExitCode::SUCCESS;
    }
    let parsed = command_for(&args).try_get_matches_from(&args).and_then(|matches| {
        let cli = Cli::from_arg_matches(&matches)?;
        Ok((cli, matches))
    });
    let (cli, matches) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => return misspelt(&error, &args),
    };
    let env = Env::system();
    let json = cli.global.json;
    let manner = manner(&cli.global, &env);
    match House::new(cli.global, &matches, manner, env) {
        Ok(house) => dispatch(&cli.command, &house, json),
        Err(problem) => {
            let ui = Ui::system(manner);
            match &cli.command {
                // What needs no setting is had all the same: a shell sources it at its start.
                Command::Completions(args) => conclude(&ui, json, completions::run(args)),
                Command::Man(args) => conclude(&ui, json, man::run(args)),
                Command::Exec(_) => fail(&ui, json, &problem, exec::BEFORE),
                _ => fail(&ui, json, &problem, problem.kind.exit()),
            }
        }
    }
}

/// How the streams are used, as far as flags and environment say it.
fn manner(global: &global::Global, env: &Env) -> Manner {
    Manner {
        color: global.color.unwrap_or_default(),
        no_input: global.no_input || global.json,
        verbosity: if global.quiet { -1 } else { global.verbose.min(2).try_into().unwrap_or(2) },
        colorless_env: env.get_os("NO_COLOR").is_some() || env.get("TERM") == Some("dumb"),
    }
}

/// The commands; `-h` is the short help, so it leaves out the variables too.
fn command_for(args: &[OsString]) -> clap::Command {
    fn brief(command: clap::Command) -> clap::Command {
        command.mut_args(|arg| arg.hide_env(true)).mut_subcommands(brief)
    }
    let command = Cli::command();
    if args.iter().take_while(|arg| *arg != "--").any(|arg| arg == "-h") { brief(command) } else { command }
}

fn dispatch(command: &Command, house: &House, json: bool) -> ExitCode {
    let reported = match command {
        Command::Exec(args) => {
            let (problem, code) = exec::run(args, house);
            return fail(&house.ui, json, &house.with_backup(problem), code);
        }
        Command::Provider(command) => provider::run(command, house),
        Command::Setup(args) => setup::run(args, house),
        Command::Check(args) => check::run(args, house),
        Command::List(args) => list::run(args, house, json),
        Command::Show(args) => show::run(args, house),
        Command::Export(args) => export::run(args, house),
        Command::Import(args) => import::run(args, house),
        Command::Get(args) => get::run(args, house),
        Command::Edit(args) => edit::run(args, house),
        Command::Remove(args) => remove::run(args, house),
        Command::Rename(args) => rename::run(args, house),
        Command::Move(args) => move_to::run(args, house),
        Command::Vault(command) => vault::run(command, house),
        Command::Audit(command) => audit::run(command, house),
        Command::Doctor(args) => doctor::run(args, house),
        Command::Completions(args) => completions::run(args),
        Command::Man(args) => man::run(args),
        Command::Demo(args) => demo::run(args, house),
    };
    conclude(&house.ui, json, reported.map_err(|problem| house.with_backup(problem)))
}

fn conclude(ui: &Ui, json: bool, reported: Reported) -> ExitCode {
    match reported {
        Ok(report) => show_report(ui, json, report.as_ref()),
        Err(problem) => fail(ui, json, &problem, problem.kind.exit()),
    }
}

fn show_report(ui: &Ui, json: bool, report: &dyn Report) -> ExitCode {
    let text = if json { json_line(&report.json()) + "\n" } else { report.text(ui) };
    if let Err(error) = ui.data(&text) {
        // The reader had enough: that is no failure.
        if error.kind() != std::io::ErrorKind::BrokenPipe {
            let problem = Problem::new(Kind::Store, "stdout", "cannot write to stdout").seen(error.to_string());
            return fail(ui, json, &problem, problem.kind.exit());
        }
    }
    if !json {
        report.notes(ui).iter().flat_map(|note| note.lines()).for_each(|line| say_note(ui, line));
    }
    ExitCode::from(report.exit())
}

/// One line of a note, wrapped behind the blanks that it begins with.
fn say_note(ui: &Ui, line: &str) {
    let text = line.trim_start();
    let lead = &line[..line.len() - text.len()];
    ui.note(Look::of_stderr(ui).lines(text, lead, &format!("{lead}  ")).trim_end());
}

fn fail(ui: &Ui, json: bool, problem: &Problem, code: u8) -> ExitCode {
    if json {
        let mut view = problem.to_json();
        view["error"]["exit"] = code.into();
        ui.always(&json_line(&view));
    } else {
        ui.always(error_text(ui, problem).trim_end());
    }
    ExitCode::from(code)
}

/// What happened, what was seen, what to do: each on lines of its own.
fn error_text(ui: &Ui, problem: &Problem) -> String {
    let width = ui.err_row_width();
    let mut text = hang(&problem.message, width, &format!("{} ", ui.err_paint(Dress::Bad, "error:")), "  ");
    let seen = problem.seen.iter().map(|seen| ("seen:", seen));
    for (name, what) in seen.chain(problem.hints.iter().map(|hint| ("hint:", hint))) {
        text.push_str(&hang(what, width, &format!("  {} ", ui.err_paint(Dress::Dim, name)), "        "));
    }
    text
}

/// Whether the answer is to be JSON, by a command line that need not make sense.
fn wants_json(args: &[OsString]) -> bool {
    let by_flag = args.iter().take_while(|arg| *arg != "--").any(|arg| arg == "--json");
    by_flag || Env::system().get("KEYWARD_JSON").is_some_and(|value| !means_no(value))
}

/// The command line could not be followed (2), or help was asked for (0).
fn misspelt(error: &clap::Error, args: &[OsString]) -> ExitCode {
    if wants_json(args) && error.use_stderr() {
        let rendered = error.render().to_string();
        let message = rendered.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
        let problem = Problem::new(Kind::Usage, "usage", message).hint("see --help");
        let ui = Ui::system(Manner::default());
        return fail(&ui, true, &problem, Kind::Usage.exit());
    }
    // clap writes help to stdout and errors to stderr; a closed stream is nobody's fault.
    let _ = error.print();
    ExitCode::from(if error.use_stderr() { Kind::Usage.exit() } else { 0 })
}
