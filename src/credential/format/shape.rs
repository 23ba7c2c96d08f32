//! Whether a value has the shape that its field has: one line, a URL, a host, an address, a number, a document.
//!
//! No fault carries the value or a part of it.

use std::ops::Deref;

use serde_json::Value as Json;
use zeroize::Zeroize as _;

use super::normalise::is_invisible;
use super::{Fault, Findings};
use crate::provider::Shape;

/// Looks at the shape and adds warnings to `findings`.
///
/// # Errors
///
/// The first [`Fault`].
pub(super) fn check(shape: Shape, value: &str, findings: &mut Findings) -> Result<(), Fault> {
    printable(value, is_document(shape))?;
    if !is_document(shape) {
        findings.warnings.extend(unseen(value));
    }
    match shape {
        Shape::Text => Ok(()),
        Shape::Pem => pem(value),
        Shape::Json => json(value).map(drop),
        Shape::Url => url(value, findings),
        Shape::Host => host(value),
        Shape::Email => email(value),
        Shape::Phone => phone(value),
    }
}

/// Whether values of this shape have many lines.
pub fn is_document(shape: Shape) -> bool {
    matches!(shape, Shape::Pem | Shape::Json)
}

/// Refuses what no value has: NUL and other control characters, and line ends in one-line values.
fn printable(value: &str, is_document: bool) -> Result<(), Fault> {
    let is_bad = |c: &char| c.is_control() && !(is_document && matches!(c, '\n' | '\r' | '\t'));
    let Some((position, found)) = (1..).zip(value.chars()).find(|(_, c)| is_bad(c)) else {
        return Ok(());
    };
    if matches!(found, '\n' | '\r') {
        let lines = match value.lines().count() {
            0 | 1 => String::new(),
            lines => format!(" ({lines} lines)"),
        };
        return Err(Fault::new(format!("has a line break after {} characters{lines}", position - 1))
            .expected("one line")
            .hint("copy the value alone"));
    }
    Err(Fault::new(format!("has {} at position {position}", class(found)))
        .expected("printable characters")
        .hint("copy the value again; it was probably damaged on the way"))
}

/// What a character is, without showing it.
pub(super) fn class(c: char) -> &'static str {
    match c {
        '\n' | '\r' => "a line break",
        '\t' => "a tab",
        '\0' => "a NUL character",
        c if c.is_control() => "a control character",
        c if is_invisible(c) => "an invisible character",
        c if c.is_whitespace() => "a blank",
        '"' | '\'' | '`' => "a quote",
        c if !c.is_ascii() => "a character outside ASCII",
        c if c.is_ascii_digit() => "a digit",
        c if c.is_ascii_lowercase() => "a lower-case letter",
        c if c.is_ascii_uppercase() => "an upper-case letter",
        _ => "a special character",
    }
}

/// Warns about what the eye does not see.
fn unseen(value: &str) -> Vec<String> {
    let mut warnings = Vec::new();
    if value.trim().len() < value.len() {
        warnings.push("starts or ends with a blank: is it part of the value?".to_owned());
    }
    if let Some((position, c)) = (1..).zip(value.chars()).find(|(_, c)| is_invisible(*c)) {
        let code = u32::from(c);
        warnings.push(format!(
            "has an invisible character (U+{code:04X}) at position {position}: is it part of the value?"
        ));
    }
    warnings
}

/// The begin and end lines of a PEM block (RFC 7468 section 2). What is between them is checked by the structure.
pub(super) fn pem(value: &str) -> Result<(), Fault> {
    const EXPECTED: &str = "a PEM block, from its `-----BEGIN …` line to its `-----END …` line";
    let fault = |what: &str, hint: &str| Err(Fault::new(what).expected(EXPECTED).hint(hint));
    let text = value.trim();
    if !text.contains("-----BEGIN ") {
        return fault("has no `-----BEGIN …` line", "copy the whole block, its first and last line too");
    }
    if !text.contains("-----END ") {
        return fault("ends before its `-----END …` line", "it was cut: give the file itself, `@PATH`");
    }
    if !text.contains('\n') {
        let hint = if text.contains("\\n") {
            "it has the two characters `\\n` where its lines end: give the JSON document or the file that it was copied from"
        } else {
            "its line breaks were lost: give the file itself, `@PATH`"
        };
        return fault("is all on one line", hint);
    }
    Ok(())
}

/// A JSON document whose strings are wiped on drop.
pub(super) struct Document(Json);

impl Deref for Document {
    type Target = Json;

    fn deref(&self) -> &Json {
        &self.0
    }
}

impl Drop for Document {
    fn drop(&mut self) {
        fn wipe(value: &mut Json) {
            match value {
                Json::String(text) => text.zeroize(),
                Json::Array(items) => items.iter_mut().for_each(wipe),
                Json::Object(map) => map.values_mut().for_each(wipe),
                Json::Null | Json::Bool(_) | Json::Number(_) => {}
            }
        }
        wipe(&mut self.0);
    }
}

/// The document, or where it stops being JSON (RFC 8259).
pub(super) fn json(value: &str) -> Result<Document, Fault> {
    serde_json::from_str(value).map(Document).map_err(|error| {
        let hint = if error.is_eof() {
            "it was cut: give the file itself, `@PATH`"
        } else {
            "give the file as it was downloaded, `@PATH`"
        };
        // Only the place: the parser's words may repeat the text.
        Fault::new(format!("stops being JSON at line {}, column {}", error.line(), error.column()))
            .expected("one whole JSON document")
            .hint(hint)
    })
}

/// An absolute http or https URL (RFC 3986), without user name and fragment.
fn url(value: &str, findings: &mut Findings) -> Result<(), Fault> {
    const EXPECTED: &str = "an absolute URL such as `https://portal.example/path`";
    let fault = |what: &str, hint: &str| Err(Fault::new(what).expected(EXPECTED).hint(hint));
    if let Some(position) = value.chars().position(char::is_whitespace) {
        return fault(&format!("has a blank at position {}", position + 1), "copy it again, without blanks");
    }
    let Ok(url) = url::Url::parse(value) else {
        let hint = if value.contains("://") { "check its spelling" } else { "start with `https://`" };
        return fault("is not an absolute URL", hint);
    };
    let Some(host) = url.host().filter(|_| matches!(url.scheme(), "http" | "https")) else {
        return fault("is not an http or https URL", "start with `https://`");
    };
    if !url.username().is_empty() || url.password().is_some() {
        return fault("has a user name or password before the host", "leave out what stands before the `@`");
    }
    // RFC 6749 section 3.1.2: a redirection endpoint has no fragment; an origin has none either.
    if url.fragment().is_some() {
        return fault("has a fragment", "leave out the `#` and what follows it");
    }
    let is_loopback = match host {
        url::Host::Domain(name) => name == "localhost" || name.ends_with(".localhost"),
        url::Host::Ipv4(ip) => ip.is_loopback(),
        url::Host::Ipv6(ip) => ip.is_loopback(),
    };
    if url.scheme() == "http" && !is_loopback {
        findings.warnings.push("is http, not https: most services refuse it".to_owned());
    }
    let authority = value.split("://").nth(1).and_then(|rest| rest.split(['/', '?']).next()).unwrap_or_default();
    if url.port().is_none() && authority.trim_end_matches(|c: char| c.is_ascii_digit()).ends_with(':') {
        findings
            .warnings
            .push("names the port that is meant anyway: services compare it character for character".to_owned());
    }
    Ok(())
}

/// A host name or address, without scheme, port and path (RFC 3986 section 3.2.2).
fn host(value: &str) -> Result<(), Fault> {
    const EXPECTED: &str = "a host name alone, such as `api.example.com`";
    let fault = |what: &str, hint: &str| Err(Fault::new(what).expected(EXPECTED).hint(hint));
    if value.contains("://") {
        return fault("is a URL", "leave out `https://` and everything from the next `/` on");
    }
    if value.contains(['/', '?', '#']) {
        return fault("has a path", "leave out everything from the first `/` on");
    }
    if value.contains('@') {
        return fault("has a user name", "leave out everything up to the `@`");
    }
    if value.contains(':') && !value.starts_with('[') {
        return fault("has a port", "leave out the `:` and the number after it");
    }
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, '-' | '.' | '_' | ':' | '[' | ']');
    if let Some((position, c)) = (1..).zip(value.chars()).find(|(_, c)| !is_name(*c)) {
        return fault(
            &format!("has {} at position {position}", class(c)),
            "a name has letters, digits, `-` and `.` only",
        );
    }
    if value.starts_with('.') || value.contains("..") || url::Host::parse(value).is_err() {
        return fault("is not a host name", "check its spelling");
    }
    Ok(())
}

/// An address as people have them: a local part and a domain (RFC 5321 section 4.5.3.1 for the lengths).
fn email(value: &str) -> Result<(), Fault> {
    const EXPECTED: &str = "an e-mail address such as `ops@example.com`";
    let fault = |what: &str, hint: &str| Err(Fault::new(what).expected(EXPECTED).hint(hint));
    if let Some(position) = value.chars().position(|c| c.is_whitespace() || matches!(c, '<' | '>' | ',' | ';')) {
        let hint = "give one address alone, without a name";
        return fault(&format!("cannot be an address from position {} on", position + 1), hint);
    }
    let Some((local, domain)) = value.rsplit_once('@') else {
        return fault("has no `@`", "give the whole address");
    };
    if local.is_empty() || local.contains('@') || local.len() > 64 || value.len() > 254 {
        return fault("has no valid part before the `@`", "give one whole address");
    }
    if !domain.contains('.') || domain.ends_with('.') || host(domain).is_err() {
        return fault("has no valid domain after the `@`", "give one whole address");
    }
    Ok(())
}

/// A number in international form (ITU-T E.164: at most 15 digits).
fn phone(value: &str) -> Result<(), Fault> {
    const EXPECTED: &str = "a number in E.164 form: `+`, country code and number, 15 digits at most";
    let fault = |what: String, hint: &str| Err(Fault::new(what).expected(EXPECTED).hint(hint));
    let Some(digits) = value.strip_prefix('+') else {
        return fault("does not start with `+`".to_owned(), "put `+` and the country code in front");
    };
    if let Some((position, c)) = (2..).zip(digits.chars()).find(|(_, c)| !c.is_ascii_digit()) {
        return fault(format!("has {} at position {position}", class(c)), "leave out blanks, dashes and brackets");
    }
    if digits.starts_with('0') {
        return fault("has a 0 after the `+`".to_owned(), "a country code never starts with 0");
    }
    if !(2..=15).contains(&digits.len()) {
        return fault(format!("has {} digits", digits.len()), "give the whole number");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(shape: Shape, value: &str) -> Result<Vec<String>, String> {
        let mut findings = Findings::default();
        check(shape, value, &mut findings).map(|()| findings.warnings).map_err(|fault| fault.what)
    }

    #[track_caller]
    fn fits(shape: Shape, value: &str) {
        assert_eq!(look(shape, value), Ok(vec![]), "{value:?}");
    }

    #[track_caller]
    fn fails(shape: Shape, value: &str, what: &str) {
        let seen = look(shape, value).unwrap_err();
        assert!(seen.contains(what), "{value:?}: {seen}");
    }

    #[track_caller]
    fn warns(shape: Shape, value: &str, what: &str) {
        let seen = look(shape, value).unwrap();
        assert!(seen.iter().any(|warning| warning.contains(what)), "{value:?}: {seen:?}");
    }

    #[test]
    fn a_one_line_value_has_no_control_characters() {
        fits(Shape::Text, "any thing, even ümlauts ✓");
        fails(Shape::Text, "ab\0c", "a NUL character at position 3");
        fails(Shape::Text, "a\u{1b}[31m", "a control character at position 2");
        fails(Shape::Text, "a\tb", "a tab at position 2");
        fails(Shape::Text, "abc\ndef", "a line break after 3 characters (2 lines)");
        fails(Shape::Json, "{}\0", "a NUL character at position 3");
    }

    #[test]
    fn what_the_eye_does_not_see_is_warned_about() {
        warns(Shape::Text, "abc ", "ends with a blank");
        warns(Shape::Text, "a\u{200b}bc", "(U+200B) at position 2");
    }

    #[test]
    fn a_url_is_absolute_and_carries_nothing_extra() {
        fits(Shape::Url, "https://portal.example/oauth2.aspx");
        fits(Shape::Url, "https://portal.example:8443/");
        fits(Shape::Url, "http://127.0.0.1:8080/cb");
        fails(Shape::Url, "portal.example/x", "not an absolute URL");
        fails(Shape::Url, "ftp://portal.example", "not an http or https URL");
        fails(Shape::Url, "https://me:pw@portal.example", "a user name or password");
        fails(Shape::Url, "https://portal.example/#top", "a fragment");
        fails(Shape::Url, "https://portal.example/a b", "a blank at position 25");
        warns(Shape::Url, "http://portal.example/", "http, not https");
        warns(Shape::Url, "https://portal.example:443/x", "the port that is meant anyway");
    }

    #[test]
    fn a_host_is_a_name_alone() {
        for host in ["api.example.com", "localhost", "10.0.0.1", "[::1]", "bücher.example"] {
            fits(Shape::Host, host);
        }
        fails(Shape::Host, "https://api.example.com", "is a URL");
        fails(Shape::Host, "api.example.com/v1", "has a path");
        fails(Shape::Host, "api.example.com:443", "has a port");
        fails(Shape::Host, "api.example.com@evil.example", "has a user name");
        fails(Shape::Host, "api example", "a blank at position 4");
        fails(Shape::Host, "a%2eb", "a special character at position 2");
        fails(Shape::Host, "a..b", "is not a host name");
    }

    #[test]
    fn an_email_address_is_one_address() {
        fits(Shape::Email, "robot@project-1.iam.gserviceaccount.com");
        fits(Shape::Email, "first.last+tag@example.co.uk");
        for (value, what) in [
            ("ops.example.com", "no `@`"),
            ("@example.com", "before the `@`"),
            ("a@b@example.com", "before the `@`"),
            ("ops@localhost", "after the `@`"),
            ("Ops <ops@example.com>", "from position 4 on"),
        ] {
            fails(Shape::Email, value, what);
        }
    }

    #[test]
    fn a_phone_number_is_in_e164_form() {
        fits(Shape::Phone, "+4915112345678");
        fails(Shape::Phone, "015112345678", "start with `+`");
        fails(Shape::Phone, "+49 151 1234", "a blank at position 4");
        fails(Shape::Phone, "+0151123456", "a 0 after the `+`");
        fails(Shape::Phone, "+1234567890123456", "16 digits");
    }

    #[test]
    fn a_document_is_whole() {
        fits(Shape::Json, "{\n\t\"a\": [1, 2]\r\n}\n");
        fails(Shape::Json, "{\"a\": ", "line 1, column 6");
        fails(Shape::Json, "{}\n{}", "line 2, column 1");
        let (begin, end) = (["-----BEGIN ", "X-----"].concat(), ["-----END ", "X-----"].concat());
        fits(Shape::Pem, &format!("{begin}\nAAAA\n{end}\n"));
        fails(Shape::Pem, "AAAA", "no `-----BEGIN …` line");
        fails(Shape::Pem, &format!("{begin}\nAAAA\n"), "ends before its `-----END …` line");
        fails(Shape::Pem, &format!("{begin} AAAA {end}"), "is all on one line");
    }
}
