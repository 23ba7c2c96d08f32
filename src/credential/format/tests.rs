//! Tests of the whole format check, and the synthetic keys that its parts are tested with.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::provider::parse::parse;

/// A key made for these tests; nothing else has ever used it.
const RSA: [&str; 17] = [
    "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC3Yhd94N9JrnUe+cM9/44zs3f6bVIUNOsT6x40VoZf+tjv",
    "W1kefplqzV1ItjxNvw1kVe9QPWYVmbPNKUbMKMRM5txIxmIb0D/jn4qdGNHtRfKAdUDCd9xguMfIUN+PhI94kabxjTYEzy/z",
    "Z55O8aRAOuhuEDGIWsY4AQKDpkqgTp5VDBbMQRsfBkI7/dBylVlkHt8OHFEKgEJRF9MWw60x2cIwhUZyv194wjsSSdK0UWGi",
    "AZQClDl0uPHyiIrEtGYSzjG/Eqp3TFeWYFTvAUAHZ7YFOQ3SEIa63Xq19u5BmOv/ZHcWWV7f+JeWpns+SqV8phmxDH2Xy33c",
    "pIuXuslVAgMBAAECggEALFVYyAwJ9ypnsqwfjRi/5FReLErrBasQbNGRzQXg+QmwEdej6Skihk0tIOO7mvEV9/yFfUDGsfCl",
    "ZPM2ZCtz34KNXUOmmsJC+9DJZjbGo4XePTt7gzgObUymsdEJZw0dUUDnGuzwUwPSvBXAEiY9dvC22crs6qHFW2s1FCYq0uud",
    "5+1qFlu75hoFe6WEVSga2/+W8Yc2bmdQ7KlrA+N/7cwK4ZvMwEHfvKEYFvsvw7riNz4AYFsRXVedhfCv8ThdwkPLAGvlvazr",
    "QYEeX7uMvpHpV04Hn6TU1EiRa7wJWQHb4CNo61LWOIiPFvxR9nEcLp6HdjEspmp4jCZYBO9IMQKBgQDhXZlYgzgL181L4gn3",
    "oI97qQG1pOA0EB5HB2JGnufcVnbylXISx6RU93JsYkLW236OINSwoQiRVxXXU/dBve4J4fO3lCl6O3bZjfDz64UFrgE78aKJ",
    "RE//qf18RgvTBGIpDccQ+0a1IsrMqeuEbUBpaKwsvMylQbDa6uabuU7H0QKBgQDQT5BHja48k0AP8lc3u4UpNuMwRKWi53Ea",
    "oV8so7PcTty03LeW5HfCMeYgukI/IBS/LyODyB/JqztyIx5cX3S4HEJtl+iwXiy8x2fxvckr9Gld0z3cdA3HR3c6PpCqdxFN",
    "Mq+MEqJn9GKyATELzSH13FNPJ05J5E+T/gs3i1mORQKBgH8vja1QUL8OSUQ8Cxf/Ozq0xMw4gnefaRb46dOlNoE5IuQAx2Il",
    "3W4+QAs+4S3UrfWUPbR5DRbJKQBe2Ln3cHGPXTYLneTnzkk1O/jMwEPWUcf8tJf3P5av3ujVtzKd1LAKoH/K77qmKgGbG9me",
    "tq1Gb3TIEE5rZl4GF6NmzzkhAoGAYJx2AumP5KI6dOrlToDW2m2NYqaD15DVoQ80r+Rgl42vyOYQ85eUf2lbHNSlwtcjKCQ5",
    "qXXYYFTdJitpelf/LyBUIrXwglO7Ffa5m6F0usEJWS2OpD7i4QihIE9CEv1T9eTLDADcd7AdUgdBcwK5fGip7q0BHz4XNkD9",
    "fM5RQ60CgYEA1xCByW0mxMQQ/BYljyh/9wXbl3CSAPEeVTNTg8BA4TzSX5Ft/s8DH4DlpF7pwBBXDAX3UF5tw80vIl8OiNZr",
    "I33Ov05fD4viU3icgqSRNiIzcg5cg4pzivlWdLHGXOfEqUlkdIJGUL2y728whKkT4UHww7hAw0VIf5Ci6UcNQKQ=",
];

/// A 2048-bit RSA key in PKCS#8, DER.
pub(super) fn rsa_key() -> Vec<u8> {
    STANDARD.decode(RSA.concat()).unwrap()
}

/// A PEM block, put together here so that no scanner takes it for a real one.
pub(super) fn pem_block(label: &str, body: &str) -> String {
    let lines: Vec<&str> = body.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    let dashes = "-".repeat(5);
    format!("{dashes}BEGIN {label}{dashes}\n{}\n{dashes}END {label}{dashes}\n", lines.join("\n"))
}

/// A service account's key file.
pub(super) fn service_account() -> String {
    serde_json::json!({
        "type": "service_account",
        "project_id": "p-1",
        "private_key_id": "0a1b2c3d",
        "private_key": pem_block("PRIVATE KEY", &RSA.concat()),
        "client_email": "robot@p-1.iam.gserviceaccount.com",
    })
    .to_string()
}

fn provider(body: &str) -> Provider {
    let head = "schema = 1\n[provider]\nid = 'x'\nname = 'X'\nsummary = 's'\ncategory = 'sms'\nstatus = 'active'\n\
                [provenance]\nreviewed = '2026-11-21'\nsource = []\n";
    parse("x.toml", &format!("{head}{body}")).unwrap_or_else(|fault| panic!("{fault}"))
}

/// A provider with the field `f`, which has these keys.
fn one(keys: &str) -> Provider {
    provider(&format!(
        "[[field]]\nid = 'f'\nlabel = 'The field'\n{keys}\n[message]\nwrong = 'This is ${{field.f}} of ${{var.v}}.'"
    ))
}

fn take(provider: &Provider, raw: &str) -> Result<Accepted, Misfit> {
    accept(provider, &provider.field[0], raw)
}

fn name() -> CredentialName {
    CredentialName::new("x", "default").unwrap()
}

fn answers(fields: &[(&str, &str)]) -> Answers {
    let fields = fields.iter().map(|(id, text)| ((*id).to_owned(), Secret::from(*text))).collect();
    Answers { fields, vars: BTreeMap::new() }
}

#[test]
fn a_secret_field_gives_a_secret_value_and_says_what_was_removed() {
    let provider = one("secret = true\nformat = { normalise = ['trim', 'quotes'] }");
    let accepted = take(&provider, " 'abc'\n").unwrap();
    assert_eq!(accepted.value, Value::Secret(Secret::from("abc")));
    assert_eq!(accepted.notes, ["removed surrounding blanks", "removed surrounding quotes"]);
    assert!(!format!("{accepted:?}").contains("abc"));
    assert_eq!(take(&one(""), "abc").unwrap().value, Value::Clear("abc".to_owned()));
}

#[test]
fn nothing_is_removed_where_the_field_says_nothing() {
    assert_eq!(take(&one(""), " 'abc' ").unwrap().value.expose(), " 'abc' ");
}

#[test]
fn a_strict_pattern_refuses_and_a_lenient_one_warns() {
    let strict = one("format = { regex = '^[a-z]{8}$', good = ['zzzzzzzz'] }");
    assert_eq!(take(&strict, "abcdefgh").unwrap().warnings, [""; 0]);
    let misfit = take(&strict, "abcDefgh").unwrap_err();
    assert_eq!(misfit.what, "has an upper-case letter at position 4 that does not fit (8 characters in all)");
    assert_eq!(misfit.expected.as_deref(), Some("the form `^[a-z]{8}$`"));
    assert_eq!(take(&strict, "abcde").unwrap_err().what, "ends too early, after 5 characters");
    let surplus = take(&strict, "abcdefgh ij").unwrap_err().what;
    assert_eq!(surplus, "fits up to position 8; what follows (a blank first, 3 more) does not");
    assert_eq!(take(&strict, "9").unwrap_err().what, "does not start as it should (1 character)");
    let lenient = one("format = { regex = '^[a-z]{8}$', strict = false }");
    assert_eq!(
        take(&lenient, "ABC").unwrap().warnings,
        ["may be wrong: it does not have the right form (3 characters)"]
    );
}

#[test]
fn a_pattern_covers_the_whole_value_even_when_it_is_badly_anchored() {
    assert!(take(&one("format = { regex = '^aa|bb$' }"), "aaxx").is_err());
    assert!(take(&one("format = { regex = '[a-z]+' }"), "ab1").is_err());
    assert!(take(&one("format = { regex = '^ab$' }"), "ab\n").is_err(), "a line end is no end");
}

#[test]
fn a_known_mistake_is_named_before_anything_else() {
    let refuse = one(
        "format = { regex = '^s', mistake = [{ regex = '^id', message = 'wrong' }] }\n[[var]]\nid = 'v'\nlabel = 'The var'",
    );
    assert_eq!(take(&refuse, "id1").unwrap_err().what, "is something else: This is The field of The var.");
    let warn = one("format = { mistake = [{ regex = '^id', message = 'wrong', warn = true }] }");
    assert_eq!(take(&warn, "id1").unwrap().warnings, ["This is The field of v."]);
    let empty = one("format = { mistake = [{ regex = '^$', message = 'wrong' }] }");
    assert!(take(&empty, "").unwrap_err().what.contains("is something else"));
}

#[test]
fn an_empty_a_short_and_a_huge_value_are_refused() {
    assert_eq!(take(&one(""), "").unwrap_err().what, "is empty");
    assert_eq!(take(&one("format = { normalise = ['trim'] }"), "  ").unwrap_err().what, "is empty");
    let short = take(&one("format = { min_len = 8 }"), "äbcdefg").unwrap_err();
    assert_eq!((short.what.as_str(), short.expected.as_deref()), ("has 7 characters", Some("at least 8 characters")));
    assert!(take(&one(""), &"a".repeat(MAX_BYTES)).is_ok());
    assert_eq!(take(&one(""), &"a".repeat(MAX_BYTES + 1)).unwrap_err().what, "has 65537 bytes");
    assert_eq!(take(&one("format = { max_bytes = 3 }"), "abcd").unwrap_err().what, "has 4 bytes");
}

#[test]
fn a_broken_pattern_never_lets_a_value_pass() {
    assert!(take(&one("format = { regex = '^(' }"), "a").unwrap_err().what.contains("a pattern that does not parse"));
    assert!(take(&one("format = { mistake = [{ regex = '(', message = 'wrong' }] }"), "a").is_err());
}

#[test]
fn a_misfit_never_carries_the_value() {
    const CANARY: &str = "CaNaRy7Q";
    let structures = ["aws-access-key-id", "gcp-service-account", "jwt", "pem", "json", "uuid"];
    let kinds = ["text", "pem", "json", "url", "host", "email", "phone"];
    let mut formats: Vec<String> =
        structures.iter().map(|name| format!("format = {{ structure = '{name}' }}")).collect();
    formats.extend(kinds.iter().map(|kind| format!("kind = '{kind}'\nformat = {{ regex = '^[0-9]$', good = ['1'] }}")));
    formats.push("format = { min_len = 999 }".to_owned());
    formats.push("format = { max_bytes = 3 }".to_owned());
    let pem = pem_block("PRIVATE KEY", CANARY);
    let values = [
        CANARY.to_owned(),
        format!("{CANARY}\n{CANARY}"),
        format!("{CANARY}\0"),
        format!("AKIA{CANARY}"),
        format!("{{\"type\": \"{CANARY}\", \"{CANARY}\": \"{CANARY}"),
        format!("{{\"type\": \"service_account\", \"client_email\": \"{CANARY}\", \"private_key\": \"{CANARY}\"}}"),
        service_account().replace("MIIE", CANARY),
        format!("{CANARY}.{CANARY}.{CANARY}*"),
        format!("e30.{CANARY}.{CANARY}"),
        pem.replace(CANARY, &format!("{CANARY}*")),
        pem.replace("-----\n", "---\n"),
        pem.replace("PRIVATE KEY", CANARY),
        pem,
        format!("https://{CANARY}:{CANARY}@h.example/{CANARY}"),
        format!("ftp://{CANARY}"),
        format!("{CANARY}@{CANARY}@x"),
        format!("+{CANARY}"),
        format!("0193f1c2-8a4b-7c6d-9e0f-{CANARY}"),
    ];
    let mut refused = 0;
    for format in &formats {
        let provider = one(&format!("secret = true\n{format}"));
        for value in &values {
            let Err(misfit) = take(&provider, value) else { continue };
            refused += 1;
            let shown = format!("{misfit} {misfit:?} {:?} {:?}", misfit.seen(), misfit.hints()).to_lowercase();
            for part in [CANARY, &CANARY[..5], &CANARY[3..]] {
                assert!(!shown.contains(&part.to_lowercase()), "{format}: {shown}");
            }
        }
    }
    assert!(refused > 200, "only {refused} of the values were refused: this test looks at nothing");
}

const PAIR: &str = "[[field]]\nid = 'id'\nlabel = 'Client ID'\nformat = { regex = '^[0-9]{6}$' }\n\
                    [[field]]\nid = 'secret'\nlabel = 'Client secret'\nsecret = true\n\
                    format = { regex = '^s-[a-z]{8}$', strict = false }\n";

#[test]
fn swapped_values_are_noticed_and_right_ones_are_not() {
    let pair = provider(PAIR);
    let look = |id: &str, secret: &str| swapped(&pair, &answers(&[("id", id), ("secret", secret)]));
    assert_eq!(look("s-abcdefgh", "123456"), Some(("id".to_owned(), "secret".to_owned())));
    assert_eq!(look("123456", "s-abcdefgh"), None);
    assert_eq!(look("12345", "s-abcdefgh"), None, "a typing error is no swap");
    assert_eq!(look("s-abcdefgh", "odd"), None, "the other value does not fit there");
    assert_eq!(swapped(&pair, &answers(&[("id", "s-abcdefgh")])), None);
    let free = provider("[[field]]\nid = 'id'\nlabel = 'A'\n[[field]]\nid = 'secret'\nlabel = 'B'");
    assert_eq!(swapped(&free, &answers(&[("id", "x"), ("secret", "y")])), None, "fields of any form prove nothing");
}

#[test]
fn a_misplaced_value_finds_the_field_it_belongs_to() {
    let provider = provider(PAIR);
    let find = |field: usize, raw: &str| {
        belongs_to(&provider, &provider.field[field], &Secret::from(raw), &Answers::default())
            .map(|field| field.id.as_str())
    };
    assert_eq!(find(1, "123456"), Some("id"));
    assert_eq!(find(1, "12345"), None);
    assert_eq!(find(0, "s-abcdefgh"), None, "a lenient pattern proves nothing");
}

#[test]
fn swapped_values_are_said_where_nobody_may_be_asked() {
    let misfits =
        check_all(&provider(PAIR), &name(), &answers(&[("id", "s-abcdefgh"), ("secret", "123456")])).unwrap_err();
    assert_eq!(misfits.len(), 1);
    assert_eq!(misfits[0].hint.as_deref(), Some("the values of `id` and `secret` look swapped"));
}

#[test]
fn every_misfit_and_everything_missing_is_named_at_once() {
    let provider = provider(&format!(
        "{PAIR}[[var]]\nid = 'region'\nlabel = 'Region'\n[[field]]\nid = 'note'\nlabel = 'Note'\nrequired = false"
    ));
    let misfits = check_all(&provider, &name(), &answers(&[("id", "x"), ("note", "")])).unwrap_err();
    let named: Vec<(&str, bool)> = misfits.iter().map(|misfit| (misfit.place.as_str(), misfit.is_missing)).collect();
    assert_eq!(named, [("region", true), ("id", false), ("secret", true)]);
}

#[test]
fn a_field_counts_only_where_its_condition_holds() {
    let provider = provider(
        "[[var]]\nid = 'mode'\nlabel = 'Mode'\ndefault = 'simple'\n[[field]]\nid = 'a'\nlabel = 'A'\n\
         [[field]]\nid = 'b'\nlabel = 'B'\nwhen = { ref = 'var.mode', eq = 'full' }\n\
         [[field]]\nid = 'c'\nlabel = 'C'\nwhen = { ref = 'field.a', eq = 'yes' }",
    );
    let simple = check_all(&provider, &name(), &answers(&[("a", "no"), ("b", "left over")])).unwrap();
    assert_eq!(simple.credential.fields.keys().collect::<Vec<_>>(), ["a"]);
    let mut full = answers(&[("a", "yes")]);
    full.vars.insert("mode".to_owned(), "full".to_owned());
    let misfits = check_all(&provider, &name(), &full).unwrap_err();
    assert_eq!(misfits.iter().map(|misfit| misfit.place.as_str()).collect::<Vec<_>>(), ["b", "c"]);
}

const DOCUMENT: &str = "[[field]]\nid = 'key'\nlabel = 'Key file'\nkind = 'json'\nsecret = true\n\
                        [[field]]\nid = 'mail'\nlabel = 'Account'\nkind = 'email'\nderive = { from = 'key', json = '/a/mail' }\n\
                        [[field]]\nid = 'number'\nlabel = 'Number'\nrequired = false\nderive = { from = 'key', json = '/n' }";

#[test]
fn values_are_taken_from_the_document_that_holds_them() {
    let document = "{\"a\": {\"mail\": \"ops@example.com\"}, \"n\": 7}";
    let checked = check_all(&provider(DOCUMENT), &name(), &answers(&[("key", document)])).unwrap();
    let fields = &checked.credential.fields;
    assert_eq!(fields["mail"], Value::Clear("ops@example.com".to_owned()));
    assert_eq!(fields["number"], Value::Clear("7".to_owned()));
    assert!(fields["key"].is_secret());
    let given = answers(&[("key", document), ("mail", "other@example.com")]);
    let checked = check_all(&provider(DOCUMENT), &name(), &given).unwrap();
    assert_eq!(checked.credential.fields["mail"].expose(), "other@example.com", "what was given itself wins");
}

#[test]
fn a_document_without_the_value_is_said_once() {
    let look = |document: &str| {
        let misfits = check_all(&provider(DOCUMENT), &name(), &answers(&[("key", document)])).unwrap_err();
        misfits.into_iter().map(|misfit| format!("{} {}", misfit.place, misfit.what)).collect::<Vec<_>>()
    };
    assert_eq!(look("{}"), ["mail is not in `key`"]);
    assert_eq!(look("{\"a\": {\"mail\": \"nobody\"}}"), ["mail has no `@`"]);
    assert_eq!(look("{"), ["key stops being JSON at line 1, column 1"]);
    let misfits = check_all(&provider(DOCUMENT), &name(), &Answers::default()).unwrap_err();
    assert_eq!(misfits.iter().map(|misfit| misfit.place.as_str()).collect::<Vec<_>>(), ["key"]);
}

#[test]
fn a_secret_that_was_pasted_twice_is_warned_about() {
    let provider = provider("[[field]]\nid = 'a'\nlabel = 'A'\n[[field]]\nid = 'b'\nlabel = 'B'\nsecret = true");
    let checked = check_all(&provider, &name(), &answers(&[("a", "same"), ("b", "same")])).unwrap();
    assert_eq!(checked.remarks.len(), 1);
    assert_eq!(checked.remarks[0].text, "is the same as A: was one of them pasted twice?");
    assert!(check_all(&provider, &name(), &answers(&[("a", "one"), ("b", "two")])).unwrap().remarks.is_empty());
}

#[test]
fn variables_settle_from_given_values_presets_and_defaults() {
    let provider = provider(
        "[[var]]\nid = 'origin'\nlabel = 'Origin'\nkind = 'url'\ndefault = 'https://portal.example'\n\
         [[var]]\nid = 'redirect'\nlabel = 'Redirect URI'\nkind = 'url'\ndefault = '${var.origin}/cb'\n\
         preset = [{ id = 'cloud', label = 'Cloud', value = '${var.origin}/cloud' }]\n\
         [[var]]\nid = 'site'\nlabel = 'Site'\nchoices = ['ru', 'com']\ndefault = 'ru'\n\
         [[var]]\nid = 'extra'\nlabel = 'Extra'\nwhen = { ref = 'var.site', eq = 'com' }",
    );
    let settle = |given: &[(&str, &str)]| {
        let given = given.iter().map(|(id, value)| ((*id).to_owned(), (*value).to_owned())).collect();
        let (vars, misfits) = settle_vars(&provider, &given);
        let misfits: Vec<String> = misfits.iter().map(|misfit| format!("{misfit} {:?}", misfit.hint)).collect();
        (vars.into_values().collect::<Vec<_>>(), misfits)
    };
    let none: Vec<String> = Vec::new();
    assert_eq!(
        settle(&[]),
        (vec!["https://portal.example".into(), "https://portal.example/cb".into(), "ru".into()], none.clone())
    );
    let (vars, misfits) = settle(&[("origin", " https://my.example "), ("redirect", "cloud")]);
    assert_eq!((vars[0].as_str(), vars[1].as_str(), misfits), ("https://my.example", "https://my.example/cloud", none));
    assert_eq!(settle(&[("site", "con")]).1, ["`site` is none of the choices Some(\"did you mean `com`?\")"]);
    assert_eq!(settle(&[("site", "com")]).1, ["`extra` is missing None"]);
    assert_eq!(settle(&[("redirect", "/cb")]).1, ["`redirect` is not an absolute URL Some(\"start with `https://`\")"]);
}

#[test]
fn a_variable_that_decides_where_secrets_go_is_a_host() {
    let provider = provider("[[var]]\nid = 'h'\nlabel = 'Host'\nhost = true\ndefault = 'api.example.com'");
    assert!(check_var(&provider.var[0], "api.example.com").is_ok());
    assert!(check_var(&provider.var[0], "api.example.com/evil").is_err());
}
