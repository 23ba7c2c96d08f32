//! What every command takes, with the environment variable of each. `-h` shows what is used every day, `--help` all.

use std::path::PathBuf;

use clap::Args;
use clap::builder::FalseyValueParser;

use crate::provider::translation::is_language;
use crate::store::StoreKind;
use crate::ui::Color;

/// Options of every command.
#[derive(Args, Debug, Clone, Default)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Print one JSON object instead of text
    #[arg(long, global = true, env = "KEYWARD_JSON", hide_env_values = true, value_parser = FalseyValueParser::new())]
    pub(crate) json: bool,

    /// Ask nothing; what is missing is named (exit code 6)
    #[arg(long, global = true, env = "KEYWARD_NO_INPUT", hide_env_values = true, value_parser = FalseyValueParser::new())]
    pub(crate) no_input: bool,

    /// Where credentials rest
    #[arg(long, global = true, env = "KEYWARD_STORE", hide_env_values = true, value_name = "STORE")]
    pub(crate) store: Option<StoreKind>,

    /// The vault's file
    #[arg(
        long,
        global = true,
        hide_short_help = true,
        env = "KEYWARD_VAULT",
        hide_env_values = true,
        value_name = "PATH"
    )]
    pub(crate) vault: Option<PathBuf>,

    /// When to colour
    #[arg(
        long,
        global = true,
        hide_short_help = true,
        env = "KEYWARD_COLOR",
        hide_env_values = true,
        value_name = "WHEN"
    )]
    pub(crate) color: Option<Color>,

    /// Say less
    #[arg(short, long, global = true, env = "KEYWARD_QUIET", hide_env_values = true, value_parser = FalseyValueParser::new())]
    pub(crate) quiet: bool,

    /// Say more; `-vv` tells of each request
    #[arg(short, long, global = true, env = "KEYWARD_VERBOSE", hide_env_values = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,

    /// Language of the services' texts, such as `de` (LC_ALL, LC_MESSAGES or LANG when it is not said)
    #[arg(long, global = true, hide_short_help = true, env = "KEYWARD_LANG", hide_env_values = true, value_name = "LANG",
          value_parser = language)]
    pub(crate) lang: Option<String>,

    /// A further folder of provider files
    #[arg(
        long,
        global = true,
        hide_short_help = true,
        env = "KEYWARD_PROVIDERS",
        hide_env_values = true,
        value_name = "DIR"
    )]
    pub(crate) providers: Option<PathBuf>,

    /// The file with the age identity that opens the vault, `-` for stdin; `age -p` may have encrypted it
    #[arg(
        long,
        global = true,
        hide_short_help = true,
        env = "KEYWARD_IDENTITY_FILE",
        hide_env_values = true,
        value_name = "FILE"
    )]
    pub(crate) identity: Option<PathBuf>,

    /// A file with the passphrase of the vault, or of the identity
    #[arg(
        long,
        global = true,
        hide_short_help = true,
        env = "KEYWARD_PASSPHRASE_FILE",
        hide_env_values = true,
        value_name = "FILE"
    )]
    pub(crate) passphrase_file: Option<PathBuf>,

    /// An open file descriptor with that passphrase
    #[arg(
        long,
        global = true,
        hide_short_help = true,
        env = "KEYWARD_PASSPHRASE_FD",
        hide_env_values = true,
        value_name = "N"
    )]
    pub(crate) passphrase_fd: Option<String>,

    /// What opens the vault is this and nothing else (`vault status` tells the value)
    #[arg(long, global = true, hide_short_help = true, env = "KEYWARD_EXPECT_SLOTS", hide_env_values = true, value_name = "HASH",
          value_parser = slots_hash)]
    pub(crate) expect_slots: Option<String>,

    /// The vault is not older than this epoch
    #[arg(
        long,
        global = true,
        hide_short_help = true,
        env = "KEYWARD_MIN_EPOCH",
        hide_env_values = true,
        value_name = "N"
    )]
    pub(crate) min_epoch: Option<u64>,

    /// Write nothing into the audit log (as KEYWARD_AUDIT=off, or `audit = false` in the config file)
    #[arg(long, global = true, hide_short_help = true)]
    pub(crate) no_audit: bool,

    /// Seconds to wait for another keyward that is writing
    #[arg(long, global = true, hide_short_help = true, env = "KEYWARD_LOCK_TIMEOUT", hide_env_values = true, value_name = "SECONDS",
          default_value_t = 10, value_parser = clap::value_parser!(u64).range(0..=600))]
    pub(crate) lock_timeout: u64,
}

fn language(text: &str) -> Result<String, String> {
    if is_language(text) { Ok(text.to_owned()) } else { Err("a language is two or three letters, such as `de`".into()) }
}

fn slots_hash(text: &str) -> Result<String, String> {
    let is_hash = |hex: &str| hex.len() == 64 && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if text.strip_prefix("sha256:").is_some_and(is_hash) {
        Ok(text.to_owned())
    } else {
        Err("it is `sha256:` and 64 hexadecimal digits, as `keyward vault status` tells it".into())
    }
}
