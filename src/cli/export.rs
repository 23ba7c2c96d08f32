//! `export`: the values in a form that other programs read.

use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::complete;
use super::exec::gather;
use super::house::House;
use super::report::{Report, Reported};
use crate::credential::CredentialName;
use crate::deliver::format;
use crate::paths::{create_own, replace_own};
use crate::problem::{Kind, Problem};
use crate::ui::{Ui, counted};

/// Write credentials in a form that other programs read
///
/// The values stand there in the clear. A file gets mode 0600, and one that is there already is not touched without
/// `--force`. Where a program can be started by keyward, `exec` is better: then the values are in no file at all.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  eval \"$(keyward export aws-s3 --format shell)\"\n  keyward export google telegram --format dotenv --output .env\n  keyward export zotero --format github >> \"$GITHUB_ENV\"\n  keyward export zotero --format kubernetes | kubectl apply -f -"
)]
pub(crate) struct ExportArgs {
    /// The credentials
    #[arg(value_name = "NAME", required = true, add = complete::credentials())]
    names: Vec<CredentialName>,
    /// The form
    #[arg(long, value_name = "FORM")]
    format: format::Format,
    /// The file (stdout when none is named)
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace a file that is there
    #[arg(long, requires = "output")]
    force: bool,
    /// What a Secret is called (Kubernetes; the first credential's name when nothing is said)
    #[arg(long, value_name = "NAME")]
    secret_name: Option<String>,
}

enum Exported {
    /// To stdout: the operator asked for it.
    Text(Zeroizing<String>),
    File {
        path: PathBuf,
        variables: Vec<String>,
    },
}

/// Reads the credentials, and writes them out.
pub(crate) fn run(args: &ExportArgs, house: &House) -> Reported {
    if let Some(path) = &args.output {
        may_be_written(path, args.force)?;
    }
    let pairs = gather("export", &args.names, house)?;
    let text = format::write(args.format, &secret_name(args)?, &pairs)?;
    let Some(path) = &args.output else { return Ok(Box::new(Exported::Text(text))) };
    let put = if args.force { replace_own } else { create_own };
    put(path, text.as_bytes()).map_err(|error| match error.kind() {
        // It came meanwhile.
        io::ErrorKind::AlreadyExists if !args.force => exists(path),
        _ => unwritable(path, &error),
    })?;
    let variables = pairs.into_iter().map(|pair| pair.name).collect();
    Ok(Box::new(Exported::File { path: path.clone(), variables }))
}

/// Fails when there is something of that name already; with `force`, when it is more than a plain file.
fn may_be_written(path: &Path, force: bool) -> Result<(), Problem> {
    // A link that leads nowhere is something, too.
    match path.symlink_metadata() {
        Ok(about) if force && !about.is_file() => {
            Err(Problem::new(Kind::Usage, "not-a-file", format!("{} is not a plain file", path.display()))
                .hint("a link, a folder, a pipe or a device is not replaced: name a file"))
        }
        Ok(_) if !force => Err(exists(path)),
        _ => Ok(()),
    }
}

fn exists(path: &Path) -> Problem {
    Problem::new(Kind::Usage, "file-exists", format!("{} exists already", path.display()))
        .hint("`--force` replaces a plain file")
}

fn unwritable(path: &Path, error: &io::Error) -> Problem {
    Problem::new(Kind::Store, "unwritable", format!("cannot write {}", path.display())).seen(error.to_string())
}

/// The name of a Secret, a DNS subdomain name (RFC 1123).
fn secret_name(args: &ExportArgs) -> Result<String, Problem> {
    let own = || args.names.first().map(|name| name.to_string().replace(['/', '_', '.'], "-").to_lowercase());
    let name = args.secret_name.clone().or_else(own).unwrap_or_default();
    let is_edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let fits = name.starts_with(is_edge)
        && name.ends_with(is_edge)
        && name.len() <= 253
        && name.chars().all(|c| is_edge(c) || c == '-' || c == '.');
    if fits {
        return Ok(name);
    }
    let what = format!("`{}` cannot be the name of a Secret", name.escape_debug());
    Err(Problem::new(Kind::Usage, "secret-name", what).hint("lower-case letters, digits, `-` and `.` (RFC 1123)"))
}

impl Report for Exported {
    fn text(&self, _: &Ui) -> String {
        match self {
            Self::Text(text) => text.to_string(),
            Self::File { path, .. } => format!("{}\n", path.display()),
        }
    }
    fn json(&self) -> Value {
        match self {
            Self::Text(text) => json!({ "schema": "keyward.export/1", "text": text.as_str() }),
            Self::File { path, variables } => {
                json!({ "schema": "keyward.export/1", "file": path.display().to_string(), "variables": variables })
            }
        }
    }
    fn notes(&self, _: &Ui) -> Vec<String> {
        match self {
            Self::Text(_) => Vec::new(),
            Self::File { variables, .. } => {
                vec![format!(
                    "{} in the clear: remove the file when it has done its work",
                    counted(variables.len(), "value")
                )]
            }
        }
    }
}
