//! Named values as a text that other programs read.
//!
//! In come [`Pair`]s, out comes one text with all values in it: it goes to stdout or into a file of its owner's, and
//! nowhere else. Each format quotes what it has to; a value that a format cannot hold is refused, never bent.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::ValueEnum;
use serde_json::{Map, Value as Json};
use zeroize::Zeroizing;

use super::Pair;
use crate::problem::{Kind, Problem};

/// A text form for values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// `NAME="value"` lines, as dotenv libraries read them
    Dotenv,
    /// `export NAME='value'` lines for `eval` or `source` (POSIX shells)
    Shell,
    /// One object, variable to value
    Json,
    /// One table, variable to value
    Toml,
    /// For `>> "$GITHUB_ENV"` in a GitHub Actions step
    Github,
    /// A Secret for `kubectl apply -f -`
    Kubernetes,
    /// A file for `EnvironmentFile=` of a systemd unit
    Systemd,
}

/// Writes the values. `name` is what a format calls the whole.
///
/// # Errors
///
/// A [`Problem`] of kind [`Kind::Usage`] when the format cannot hold a value or the name.
pub fn write(format: Format, name: &str, pairs: &[Pair]) -> Result<Zeroizing<String>, Problem> {
    let mut text = Zeroizing::new(String::new());
    match format {
        Format::Dotenv => lines(&mut text, pairs, ["", "="], &|value| Some(double_quoted(value, "\"\\$", true))),
        Format::Shell => lines(&mut text, pairs, ["export ", "="], &|value| Some(shell_word(value))),
        Format::Systemd => lines(&mut text, pairs, ["", "="], &|value| {
            // systemd.exec(5): between double quotes a backslash escapes these, and a line end is kept.
            fits_systemd(value).then(|| double_quoted(value, "\"\\`$", false))
        }),
        Format::Json => {
            // To the text.
            let object: Map<String, Json> =
                pairs.iter().map(|pair| (pair.name.clone(), pair.value.expose().into())).collect();
            let _ = writeln!(text, "{:#}", Json::Object(object));
            Ok(())
        }
        Format::Toml => lines(&mut text, pairs, ["", " = "], &|value| Some(toml::Value::from(value).to_string())),
        Format::Github => {
            github(&mut text, pairs);
            Ok(())
        }
        Format::Kubernetes => {
            kubernetes(&mut text, name, pairs);
            Ok(())
        }
    }?;
    Ok(text)
}

/// One word of a POSIX shell, whatever is in it.
pub fn shell_word(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// Whether an EnvironmentFile can hold the value (systemd.exec(5)).
pub(super) fn fits_systemd(value: &str) -> bool {
    value.chars().all(|c| !c.is_control() || matches!(c, '\n' | '\t'))
}

/// A line for each value: what stands before the name, and before the value.
fn lines(
    text: &mut String,
    pairs: &[Pair],
    [before, between]: [&str; 2],
    quote: &dyn Fn(&str) -> Option<String>,
) -> Result<(), Problem> {
    for pair in pairs {
        // To the text.
        let value = Zeroizing::new(quote(pair.value.expose()).ok_or_else(|| cannot_hold(pair))?);
        text.extend([before, &pair.name, between, &value, "\n"]);
    }
    Ok(())
}

fn cannot_hold(pair: &Pair) -> Problem {
    Problem::new(Kind::Usage, "cannot-hold", format!("this format cannot hold the value of {}", pair.name))
        .seen("a control character")
        .hint("`--format json` and `--format kubernetes` hold every value")
}

/// The value between double quotes, with a backslash before each of `special`.
fn double_quoted(value: &str, special: &str, escapes_line_ends: bool) -> String {
    let mut out = String::from("\"");
    for c in value.chars() {
        match c {
            '\n' if escapes_line_ends => out.push_str("\\n"),
            '\r' if escapes_line_ends => out.push_str("\\r"),
            c if special.contains(c) => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// GitHub Docs, "Workflow commands", multiline strings: a delimiter that no line of the value is.
fn github(text: &mut String, pairs: &[Pair]) {
    for pair in pairs {
        // To the text.
        let value = pair.value.expose();
        let mut end = String::from("END_OF_VALUE");
        // The runner takes a line end of Windows for one, too.
        while value.split('\n').any(|line| line.trim_end_matches('\r') == end) {
            end.push('_');
        }
        text.extend([&pair.name, "<<", &end, "\n", value, "\n", &end, "\n"]);
    }
}

/// A Secret (Kubernetes API v1). Its name is a DNS subdomain name (RFC 1123).
fn kubernetes(text: &mut String, name: &str, pairs: &[Pair]) {
    text.extend(["apiVersion: v1\nkind: Secret\nmetadata:\n  name: ", name, "\ntype: Opaque\ndata:\n"]);
    for pair in pairs {
        // To the text.
        let encoded = Zeroizing::new(STANDARD.encode(pair.value.expose()));
        text.extend(["  ", &pair.name, ": ", &encoded, "\n"]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::Value;

    const AWKWARD: &str = "a'b\"c$d`e\\f #g\nsecond 'line'\n";

    fn written(format: Format, value: &str) -> String {
        let pairs = [Pair { name: "NAME".into(), value: Value::Secret(value.into()) }];
        write(format, "acme", &pairs).unwrap().to_string()
    }

    #[test]
    fn json_toml_and_kubernetes_give_every_value_back() {
        for value in ["", "plain", AWKWARD, "\u{1}\u{7f}ü"] {
            let json: Json = serde_json::from_str(&written(Format::Json, value)).unwrap();
            assert_eq!(json["NAME"], value);
            let toml: toml::Table = written(Format::Toml, value).parse().unwrap();
            assert_eq!(toml["NAME"].as_str(), Some(value));
            let secret = written(Format::Kubernetes, value);
            let data = secret.split_once("data:\n  NAME: ").unwrap().1.trim();
            assert_eq!(STANDARD.decode(data).unwrap(), value.as_bytes());
            assert!(secret.contains("\n  name: acme\n"), "{secret}");
        }
    }

    #[test]
    fn dotenv_escapes_what_its_readers_would_take_apart() {
        assert_eq!(written(Format::Dotenv, "a b"), "NAME=\"a b\"\n");
        assert_eq!(written(Format::Dotenv, "$x\"\\\n"), "NAME=\"\\$x\\\"\\\\\\n\"\n");
    }

    #[test]
    fn a_value_with_the_delimiter_in_it_gets_another_one() {
        let text = written(Format::Github, "a\nEND_OF_VALUE\nb");
        assert_eq!(text, "NAME<<END_OF_VALUE_\na\nEND_OF_VALUE\nb\nEND_OF_VALUE_\n");
        let text = written(Format::Github, "END_OF_VALUE\r");
        assert!(text.starts_with("NAME<<END_OF_VALUE_\n"), "{text}");
    }

    #[test]
    fn systemd_cannot_hold_control_characters_and_says_so() {
        let pairs = [Pair { name: "NAME".into(), value: Value::Secret("a\u{1}".into()) }];
        let refused = write(Format::Systemd, "acme", &pairs).unwrap_err();
        assert_eq!((refused.code.as_str(), refused.to_string().contains('\u{1}')), ("cannot-hold", false));
        assert_eq!(written(Format::Systemd, "$`\"\\\n"), "NAME=\"\\$\\`\\\"\\\\\n\"\n");
    }
}
