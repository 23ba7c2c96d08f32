//! Recognises what this program writes, byte for byte, and leaves everything else to the TOML parser.
//!
//! Nearly every entry of a vault stands as it was written. To recognise it costs a fraction of parsing it, which is
//! what makes 10,000 entries feel like ten. Only one way of writing is known here: keys in their order, ` = ` between
//! key and value, strings without escapes, no comments. What is recognised says exactly what the parser would have
//! found; `None` says nothing at all.

use std::borrow::Cow;
use std::ops::Range;

use chrono::{DateTime, TimeZone as _, Utc};

use super::entry::EntryText;
use super::header::is_id;
use crate::store::EndsBy;

/// Provider, profile, id and seal of an entry.
pub(super) fn words(piece: &[u8]) -> Option<[&str; 4]> {
    let (mut at, mut places) = (0, [const { 0..0 }; 4]);
    for (before, place) in [&b"[entry.\""[..], b"\".\"", b"\"]\nid = \"", b"\"\nseal = \""].into_iter().zip(&mut places)
    {
        let rest = piece[at..].strip_prefix(before)?;
        let start = at + before.len();
        at = start + memchr::memchr(b'"', rest)?;
        let is_plain = |plain: bool, byte: &u8| plain & byte.is_ascii_graphic() & (*byte != b'\\');
        if !piece[start..at].iter().fold(true, is_plain) {
            return None;
        }
        *place = start..at;
    }
    if !piece[at..].starts_with(b"\"\n") {
        return None;
    }
    let text = std::str::from_utf8(&piece[..at]).ok()?;
    Some(places.map(|place| &text[place]))
}

/// All that an entry says.
pub(super) fn entry(text: &str) -> Option<EntryText<'_>> {
    let [provider, profile, id, seal] = words(text.as_bytes())?;
    let mut lines = Lines { rest: text };
    // The three lines that were just recognised.
    (0..3).try_for_each(|_| lines.next().map(drop))?;
    let entry = EntryText {
        provider: provider.into(),
        profile: profile.into(),
        id: id.into(),
        seal: seal.into(),
        generation: number(lines.value("generation")?)?,
        provider_rev: string(lines.value("provider_rev")?)?,
        created: time(lines.value("created")?)?,
        updated: time(lines.value("updated")?)?,
        expires_at: lines.value("expires_at").map_or(Some(None), |value| time(value).map(Some))?,
        ends: lines.group("ends.", time)?,
        entered: lines.group("entered.", time)?,
        fields: lines.group("field.", string)?,
        vars: lines.group("var.", string)?,
        secrets: lines.group("secret.", string)?,
        record: lines.value("record").map_or(Some(None), |value| string(value).map(Some))?,
    };
    let both = entry.fields.iter().any(|(name, _)| entry.secrets.iter().any(|(secret, _)| secret == name));
    let known = entry.ends.iter().all(|(who, _)| EndsBy::ALL.iter().any(|by| by.word() == who));
    (lines.rest.bytes().all(|byte| byte == b'\n') && !both && known && is_id(id)).then_some(entry)
}

struct Lines<'t> {
    rest: &'t str,
}

impl<'t> Lines<'t> {
    /// The next line, without its newline.
    fn next(&mut self) -> Option<&'t str> {
        let (line, rest) = self.peek()?;
        self.rest = rest;
        Some(line)
    }

    fn peek(&self) -> Option<(&'t str, &'t str)> {
        let end = memchr::memchr(b'\n', self.rest.as_bytes())?;
        Some((&self.rest[..end], &self.rest[end + 1..]))
    }

    /// The value of the next line, when that has this key.
    fn value(&mut self, key: &str) -> Option<&'t str> {
        let (line, rest) = self.peek()?;
        let value = line.strip_prefix(key)?.strip_prefix(" = ")?;
        self.rest = rest;
        Some(value)
    }

    /// Names and values of the next lines with keys of this group, in their order.
    fn group<T>(&mut self, group: &str, read: fn(&'t str) -> Option<T>) -> Option<Vec<(Cow<'t, str>, T)>> {
        let mut pairs: Vec<(Cow<'t, str>, T)> = Vec::new();
        while let Some((line, rest)) = self.peek()
            && let Some(pair) = line.strip_prefix(group)
        {
            let (name, value) = pair.split_at(memchr::memchr(b' ', pair.as_bytes())?);
            let value = value.strip_prefix(" = ")?;
            let bare = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
            if name.is_empty() || !bare || pairs.last().is_some_and(|(before, _)| **before >= *name) {
                return None;
            }
            pairs.push((name.into(), read(value)?));
            self.rest = rest;
        }
        Some(pairs)
    }
}

/// A basic string without escapes, or a literal string.
fn string(value: &str) -> Option<Cow<'_, str>> {
    let quote = value.chars().next().filter(|quote| "\"'".contains(*quote))?;
    let text = value[1..].strip_suffix(quote)?;
    let special = |byte: u8| byte < b' ' || byte == 0x7f || byte == quote as u8 || (byte == b'\\' && quote == '"');
    text.bytes().fold(true, |plain, byte| plain & !special(byte)).then_some(Cow::Borrowed(text))
}

fn number(value: &str) -> Option<u64> {
    let plain = value.bytes().all(|byte| byte.is_ascii_digit()) && (value == "0" || !value.starts_with('0'));
    value.parse::<i64>().ok().filter(|_| plain)?.try_into().ok()
}

/// Whole seconds in UTC, `2026-03-01T10:00:00Z`.
fn time(value: &str) -> Option<DateTime<Utc>> {
    let fits = |(byte, shape): (u8, u8)| if shape == b'0' { byte.is_ascii_digit() } else { byte == shape };
    if value.len() != 20 || !value.bytes().zip(*b"0000-00-00T00:00:00Z").all(fits) {
        return None;
    }
    let part = |place: Range<usize>| value[place].parse().ok();
    let (year, month, day) = (value[..4].parse().ok()?, part(5..7)?, part(8..10)?);
    Utc.with_ymd_and_hms(year, month, day, part(11..13)?, part(14..16)?, part(17..19)?).single()
}

#[cfg(test)]
mod tests {
    use super::super::entry::parse_entry;
    use super::*;

    const WRITTEN: &str = r#"[entry."box"."default"]
id = "135ae7a7c4e5820177489191dcea0553"
seal = "6Ty9ZSVMCHjxwPoc//FBwI3dpP/wBfrl4HhnkaJx6k8="
generation = 10
provider_rev = "sha256:0f"
created = 2026-03-01T10:00:00Z
updated = 2026-03-02T12:34:56Z
expires_at = 2027-03-01T00:00:00Z
ends.operator = 2027-03-01T00:00:00Z
ends.service = 2028-03-01T00:00:00Z
entered.a = 2026-03-02T12:34:56Z
field.a = "x"
field.b = 'C:\x "y"'
var.a = ""
secret.c-d_1 = "kw1:AA==:AA=="
record = '{"verdict":"accepted"}'

"#;

    fn parsed(text: &str) -> Option<EntryText<'_>> {
        parse_entry(text, 0, &mut Vec::new()).ok().map(|entry| entry.text)
    }

    #[test]
    fn what_is_written_is_recognised() {
        let found = entry(WRITTEN).expect("recognised");
        assert_eq!((found.generation, found.fields.len(), found.vars.len(), found.secrets.len()), (10, 2, 1, 1));
        assert_eq!(Some(found), parsed(WRITTEN));
        for line in
            ["expires_at", "ends.operator", "entered.a", "field.a", "field.b", "var.a", "secret.c-d_1", "record"]
        {
            let without: String = WRITTEN.split_inclusive('\n').filter(|other| !other.starts_with(line)).collect();
            let found = entry(&without).expect("recognised");
            assert_ne!(Some(&found), parsed(WRITTEN).as_ref(), "{line} means nothing");
            assert_eq!(Some(found), parsed(&without), "without {line}");
        }
    }

    #[test]
    fn an_id_that_is_none_is_refused_however_it_is_written() {
        let text = WRITTEN.replace("135ae7a7c4e5820177489191dcea0553", "135ae7a7c4e5820177489191dcea055G");
        assert_eq!((entry(&text), parsed(&text)), (None, None));
        assert!(entry(WRITTEN).is_some() && parsed(WRITTEN).is_some());
    }

    #[test]
    fn what_is_recognised_is_what_the_parser_finds_whatever_byte_is_changed() {
        let (mut recognised, mut left) = (0, 0);
        for at in 0..WRITTEN.len() {
            for byte in 0..=0x7f_u8 {
                let mut bytes = WRITTEN.as_bytes().to_vec();
                bytes[at] = byte;
                let changed = String::from_utf8(bytes).expect("ASCII");
                match entry(&changed) {
                    Some(found) => {
                        assert_eq!(Some(found), parsed(&changed), "byte {at} became {byte:#x}");
                        recognised += 1;
                    }
                    None => left += 1,
                }
            }
        }
        assert!(recognised > 1000 && left > 1000, "{recognised} were recognised and {left} were not");
    }

    #[test]
    fn what_is_recognised_is_what_the_parser_finds_whatever_lines_come_together() {
        let lines: Vec<&str> = WRITTEN.split_inclusive('\n').collect();
        let more = r#"field.z = ""
field.a = ""
field.c-d_1 = ""
field."q" = ""
field. = ""
# c
x = 1
id = "x"
generation = 2
ends.provider = 2027-03-01T00:00:00Z
ends.nobody = 2027-03-01T00:00:00Z
entered."a" = 2027-03-01T00:00:00Z
generation = 02
expires_at = 2027-03-01T00:00:00Z # c
expires_at = 2027-02-30T00:00:00Z
[entry."b"."c"]
record = '''
field.x = '' # '
field.x = "" # "
field.x = "
field.x = ""x"
field.x = [
field.x= 'a'
field.x  = 'a'
field.x = 'a' 
field .x = 'a'
field.x = 'a	b'
field.x = "ü "
"#;
        for at in 0..=lines.len() {
            for line in
                lines.iter().copied().chain(more.split_inclusive('\n')).chain(["\n", "\r\n", " \n", "field.x = ''\r\n"])
            {
                let mut changed = lines.clone();
                changed.insert(at, line);
                let cut = [&lines[..at], &[line.trim_end()]].concat().concat();
                for changed in [changed.concat(), cut] {
                    if let Some(found) = entry(&changed) {
                        assert_eq!(Some(found), parsed(&changed), "{line:?} at {at}");
                    }
                }
            }
        }
    }
}
