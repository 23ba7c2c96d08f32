//! What a service is: the typed form of one file in `providers/`.
//!
//! Unknown keys are errors everywhere. What serde cannot say is said by [`lint`].

pub mod catalog;
pub(crate) mod der;
pub mod lint;
pub mod parse;
pub mod rule;
pub(crate) mod sample;
pub mod schema;
mod source;
pub mod template;
pub mod translation;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::verdict::Verdict;
pub use rule::{Extract, Match, Rule, Test};
pub use template::Template;

/// The only schema number there is.
pub const SCHEMA: u32 = 1;

/// One service that can be set up.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    /// Version of this schema: 1.
    pub schema: u32,
    /// The built-in file whose items this one takes over.
    pub extends: Option<String>,
    /// What is not taken over: `field.x`, `scope.x`, `check.x`, `fixture.NAME` …
    #[serde(default)]
    pub without: Vec<String>,
    /// Name, purpose and state of the service.
    pub provider: About,
    /// Where the facts come from and how old they are.
    pub provenance: Provenance,
    /// Values that decide texts, hosts and the redirect URI; never secret.
    #[serde(default)]
    pub var: Vec<Var>,
    /// The values to collect.
    #[serde(default)]
    pub field: Vec<Field>,
    /// Rights that the credential needs at the service.
    #[serde(default)]
    pub scope: Vec<Scope>,
    /// Who does a part of the set-up, where it takes more than one person.
    #[serde(default)]
    pub persona: Vec<Persona>,
    /// What to do in the service's console, in order.
    #[serde(default)]
    pub step: Vec<Step>,
    /// How the service is asked.
    #[serde(default)]
    pub check: Vec<Check>,
    /// Sentences that rules and formats refer to by id.
    #[serde(default)]
    pub message: BTreeMap<String, Template>,
    /// Answers of the service with the verdict that each has to give.
    #[serde(default)]
    pub fixture: Vec<Fixture>,
    /// How long the credential lives and how it ends.
    #[serde(default)]
    pub lifecycle: Lifecycle,
}

impl Provider {
    /// The provider's id, equal to the file's stem.
    pub fn id(&self) -> &str {
        &self.provider.id
    }

    /// The field of that id.
    pub fn field(&self, id: &str) -> Option<&Field> {
        self.field.iter().find(|field| field.id == id)
    }

    /// The variable of that id.
    pub fn var(&self, id: &str) -> Option<&Var> {
        self.var.iter().find(|var| var.id == id)
    }

    /// The person of that id.
    pub fn persona(&self, id: &str) -> Option<&Persona> {
        self.persona.iter().find(|persona| persona.id == id)
    }

    /// The check of that id.
    pub fn check(&self, id: &str) -> Option<&Check> {
        self.check.iter().find(|check| check.id == id)
    }

    /// `field.x` and `var.x` → a sample value: what fixtures are decided with, and pages are shown with, when nothing
    /// else is given. A field has its first good sample, a variable its default, first preset, first choice or
    /// example. What has none of these is left out.
    pub fn samples(&self) -> BTreeMap<String, String> {
        let mut samples = BTreeMap::new();
        for field in &self.field {
            if let Some(Sample(value)) = field.format.good.first() {
                samples.insert(format!("field.{}", field.id), sample::grown(value, field.kind).into_owned());
            }
        }
        for field in &self.field {
            let id = format!("field.{}", field.id);
            if let Some(derive) = field.derive.as_ref().filter(|_| !samples.contains_key(&id)) {
                let document = samples.get(&format!("field.{}", derive.from));
                let value = document.and_then(|document| derive.value(document));
                samples.extend(value.map(|value| (id, value)));
            }
        }
        for var in &self.var {
            let written = var.default.as_ref().or(var.preset.first().map(|preset| &preset.value));
            let known = |scope: template::Scope, id: &str| samples.get(&format!("{}.{id}", scope.word())).cloned();
            let value = match written {
                Some(template) => template.fill(&known, template::Encoding::Plain).ok(),
                None => var.choices.first().or(var.example.as_ref()).cloned(),
            };
            if let Some(value) = value {
                samples.insert(format!("var.{}", var.id), value);
            }
        }
        samples
    }
}

/// Name, purpose and state of the service.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// Lower-case letters, digits and `-`; equal to the file's stem.
    pub id: String,
    /// The name people know.
    pub name: String,
    /// What it is set up for, in a few words.
    pub summary: String,
    /// What kind of service it is.
    pub category: Category,
    /// Whether it can still be set up.
    pub status: Status,
    /// Required when `status = "retired"`, `"degraded"` or `"existing-only"`.
    pub change: Option<Change>,
    /// Pages of the service.
    #[serde(default)]
    pub links: Vec<Link>,
}

/// What kind of service it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "each name says it")]
pub enum Category {
    Bibliography,
    Chat,
    Documents,
    Identity,
    Links,
    Mail,
    Publishing,
    Push,
    Signing,
    Sms,
    Social,
    Storage,
    Telephony,
}

impl Category {
    /// The word as it is written in the file.
    pub fn word(self) -> &'static str {
        match self {
            Self::Bibliography => "bibliography",
            Self::Chat => "chat",
            Self::Documents => "documents",
            Self::Identity => "identity",
            Self::Links => "links",
            Self::Mail => "mail",
            Self::Publishing => "publishing",
            Self::Push => "push",
            Self::Signing => "signing",
            Self::Sms => "sms",
            Self::Social => "social",
            Self::Storage => "storage",
            Self::Telephony => "telephony",
        }
    }
}

/// Whether the service, a field or a right can still be set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// It works.
    #[default]
    Active,
    /// Part of it is gone or announced to go.
    Degraded,
    /// Old credentials work, new ones cannot be made.
    ExistingOnly,
    /// It is gone: the set-up of a service is refused, a field is not asked for, a right is not ticked.
    Retired,
}

impl Status {
    /// The word as it is written in the file.
    pub fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Degraded => "degraded",
            Self::ExistingOnly => "existing-only",
            Self::Retired => "retired",
        }
    }
}

/// What changed at the service, since when, and what comes instead.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// The date from which it holds, `YYYY-MM-DD`; may lie ahead.
    pub since: String,
    /// What changed.
    pub note: String,
    /// What to use instead.
    pub successor: Option<String>,
    /// Where this is said.
    pub source: String,
}

/// Who does a part of the set-up.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Persona {
    /// How steps, fields and `--as` name it.
    pub id: String,
    /// Who that is.
    pub label: String,
}

/// A page of the service.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// https only.
    pub url: Template,
    /// What it is for.
    pub kind: LinkKind,
    /// What the page is called.
    pub label: Option<String>,
}

/// What a page is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LinkKind {
    /// Where the credential is made.
    Console,
    /// Where it is revoked.
    Revoke,
    /// What the service says about it.
    Docs,
}

/// Where the facts come from and how old they are.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// The day the whole file was last read against its sources, `YYYY-MM-DD`.
    pub reviewed: String,
    /// After how many days `provider list` calls the file old.
    #[serde(default = "half_a_year")]
    pub review_every_days: u32,
    /// The day a person last followed the steps in the console. Absent until somebody did.
    pub steps_verified: Option<String>,
    /// The day the check last ran against the real service. Absent until it did.
    pub check_verified: Option<String>,
    /// What was read.
    pub source: Vec<Source>,
    /// Where the original guide is out of date, a sentence each.
    #[serde(default)]
    pub corrects: Vec<String>,
}

fn half_a_year() -> u32 {
    180
}

/// Something that was read.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Its title.
    pub title: String,
    /// Its address.
    pub url: Option<String>,
    /// Its language, such as `de`.
    pub lang: Option<String>,
    /// The day it was read, `YYYY-MM-DD`.
    pub retrieved: String,
}

/// A value that decides texts, hosts and the redirect URI; never secret.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Var {
    /// How templates name it.
    pub id: String,
    /// How people name it.
    pub label: String,
    /// Where to find it or what it is good for.
    pub help: Option<String>,
    /// Its shape.
    #[serde(default)]
    pub kind: Shape,
    /// The value when nothing is said. Without one it is asked for.
    pub default: Option<Template>,
    /// Whether it must have a value. When false it is asked for, and may stay empty.
    #[serde(default = "yes")]
    pub required: bool,
    /// A value that shows its shape. Fixtures are decided with it when there is no default.
    pub example: Option<String>,
    /// The only values it may have.
    #[serde(default)]
    pub choices: Vec<String>,
    /// Named values: `--var redirect_uri=docspace`.
    #[serde(default)]
    pub preset: Vec<Preset>,
    /// Environment variables that hold it by convention.
    #[serde(default)]
    pub env: Vec<String>,
    /// It decides where secrets are sent.
    #[serde(default)]
    pub host: bool,
    /// The key under which a consuming product keeps it.
    #[serde(default)]
    pub target: Target,
    /// It is asked for only then.
    pub when: Option<When>,
}

/// A named value of a variable.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Preset {
    /// How it is typed.
    pub id: String,
    /// How people name it.
    pub label: String,
    /// The value.
    pub value: Template,
}

/// The shape of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// One line.
    #[default]
    Text,
    /// Many lines: a PEM block. Never read from a one-line prompt.
    Pem,
    /// Many lines: a JSON document. Never read from a one-line prompt.
    Json,
    /// An absolute http or https URL.
    Url,
    /// A host name without scheme and path.
    Host,
    /// An e-mail address.
    Email,
    /// A telephone number in E.164 form.
    Phone,
}

/// One value to collect.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Field {
    /// How templates and `--field` name it.
    pub id: String,
    /// How the console names it.
    pub label: String,
    /// Where to find it.
    pub help: Option<String>,
    /// Its shape.
    #[serde(default)]
    pub kind: Shape,
    /// Sealed at rest, never shown, never taken from the command line.
    #[serde(default)]
    pub secret: bool,
    /// Whether the credential is incomplete without it.
    #[serde(default = "yes")]
    pub required: bool,
    /// Environment variables that hold it by convention; the first is used by `exec`.
    #[serde(default)]
    pub env: Vec<String>,
    /// The key under which a consuming product keeps it.
    #[serde(default)]
    pub target: Target,
    /// What a value must look like.
    #[serde(default)]
    pub format: Format,
    /// Taken from another field instead of asked for.
    pub derive: Option<Derive>,
    /// It belongs to the credential only then.
    pub when: Option<When>,
    /// After how many days the service lets it end.
    pub ttl_days: Option<u32>,
    /// Whether it is still handed out; one that is `retired` is neither asked for nor required.
    #[serde(default)]
    pub status: Status,
    /// Required unless it is active.
    pub change: Option<Change>,
    /// Who has it; everybody when nothing is said.
    pub persona: Option<String>,
}

impl Field {
    /// Whether it is not handed out any more: neither asked for nor required, and kept where it is known.
    pub fn is_retired(&self) -> bool {
        self.status == Status::Retired
    }
}

/// The variable of a field for which there is no conventional name: `PROVIDER_FIELD`.
pub fn plain_variable(provider: &str, field: &str) -> String {
    let upper = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    format!("{provider}_{field}").chars().map(upper).collect()
}

fn yes() -> bool {
    true
}

/// Keys of consuming products.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// Property name in ONLYOFFICE Workspace (CommunityServer).
    pub workspace: Option<String>,
    /// Property name in ONLYOFFICE DocSpace.
    pub docspace: Option<String>,
    /// Key in the configuration of ONLYOFFICE Docs.
    pub docs: Option<String>,
    /// Setting in NocoBase.
    pub nocobase: Option<String>,
}

/// What a value must look like.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Format {
    /// The whole value matches this; anchored with `^` and `$`.
    pub regex: Option<String>,
    /// A value that fails `regex` is malformed; when false it is only warned about.
    #[serde(default = "yes")]
    pub strict: bool,
    /// The fewest characters.
    pub min_len: Option<usize>,
    /// The most bytes (65,536 when nothing is said).
    pub max_bytes: Option<usize>,
    /// What is removed from a pasted value; the operator is told.
    #[serde(default)]
    pub normalise: Vec<Normalise>,
    /// A structure that is checked offline.
    pub structure: Option<Structure>,
    /// Values that are something else, with the sentence to say.
    #[serde(default)]
    pub mistake: Vec<Mistake>,
    /// Values that fit. Parts of an array are joined: scanners stay quiet.
    #[serde(default)]
    pub good: Vec<Sample>,
    /// Values that do not.
    #[serde(default)]
    pub bad: Vec<Sample>,
}

/// One thing that is removed from a pasted value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Normalise {
    /// Surrounding blanks and line ends.
    Trim,
    /// A pair of surrounding quotes.
    Quotes,
    /// A leading `Bearer `.
    Bearer,
    /// Zero-width characters and the byte order mark.
    ZeroWidth,
    /// A leading `@`.
    At,
    /// Upper-case letters become lower case.
    Lower,
    /// A trailing `/`.
    TrailingSlash,
}

/// A structure that is checked offline, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Structure {
    /// An AWS access key ID; the account number is read from it.
    AwsAccessKeyId,
    /// A Google service account key: JSON with a private key that loads.
    GcpServiceAccount,
    /// A JWT in compact form.
    Jwt,
    /// A PEM block that parses.
    Pem,
    /// A JSON document that parses.
    Json,
    /// A UUID.
    Uuid,
    /// An elliptic-curve private key on P-256, in PKCS#8.
    P256PrivateKey,
    /// An RSA private key of 2048 bits or more.
    RsaPrivateKey,
}

/// A value that is something else.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mistake {
    /// How it is recognised.
    pub regex: String,
    /// The id of the sentence to say.
    pub message: String,
    /// Only warned about: the value may still be right.
    #[serde(default)]
    pub warn: bool,
}

/// A sample value. Parts are joined, so that no secret scanner sees the whole; `${pem:rsa}` and `${pem:p256}` stand for
/// private keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample(pub String);

impl<'de> Deserialize<'de> for Sample {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Parts;
        impl<'de> serde::de::Visitor<'de> for Parts {
            type Value = Sample;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a string, or an array of strings that are joined")
            }
            fn visit_str<E>(self, text: &str) -> Result<Sample, E> {
                Ok(Sample(text.to_owned()))
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut parts: A) -> Result<Sample, A::Error> {
                let mut joined = String::new();
                while let Some(part) = parts.next_element::<String>()? {
                    joined.push_str(&part);
                }
                Ok(Sample(joined))
            }
        }
        from.deserialize_any(Parts)
    }
}

impl JsonSchema for Sample {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Sample".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "A sample value; parts of an array are joined.",
            "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }]
        })
    }
}

/// A value taken from a pasted document.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Derive {
    /// The field that holds the document.
    pub from: String,
    /// JSON pointer into it (RFC 6901).
    pub json: String,
}

impl Derive {
    /// The text or number in a document; nothing when it is not there, or when that is no JSON.
    pub fn value(&self, document: &str) -> Option<String> {
        let document: serde_json::Value = serde_json::from_str(document).ok()?;
        match document.pointer(&self.json)? {
            serde_json::Value::String(text) => Some(text.clone()),
            serde_json::Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }
}

/// A right that the credential needs at the service.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scope {
    /// As the service writes it, or our own id.
    pub id: String,
    /// How the console names it.
    pub label: Option<String>,
    /// Why it is needed.
    pub why: String,
    /// Whether the credential is `limited` without it.
    #[serde(default = "yes")]
    pub required: bool,
    /// How an answer of the service shows it. Without one it stays unproven.
    pub verify: Option<Verify>,
    /// Whether it can still be granted; one that is `retired` is not ticked any more, and never missing.
    #[serde(default)]
    pub status: Status,
    /// Required unless it is active.
    pub change: Option<Change>,
}

impl Scope {
    /// Whether it cannot be granted any more: not ticked, and never missing.
    pub fn is_retired(&self) -> bool {
        self.status == Status::Retired
    }
}

/// How an answer shows that a right was granted.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Verify {
    /// The check whose accepted answer is looked at.
    pub check: String,
    /// JSON pointer into the answer.
    pub json: String,
    /// What has to stand there.
    pub test: Test,
}

/// One thing to do in the service's console.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Stable: translations refer to it.
    pub id: String,
    /// What to do. `[[Label]]` is a name in the console.
    pub text: Template,
    /// What may go wrong, or what not to do.
    pub warning: Option<Template>,
    /// The page where it is done.
    #[serde(default)]
    pub links: Vec<Link>,
    /// Texts to paste there, each alone on its line.
    #[serde(default)]
    pub paste: Vec<Paste>,
    /// Rights that are ticked here.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// Fields that are known after this step.
    #[serde(default)]
    pub capture: Vec<String>,
    /// It has to be done only then.
    pub when: Option<When>,
    /// Who does it; everybody when nothing is said.
    pub persona: Option<String>,
}

/// A text to paste into the console.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Paste {
    /// How the console names the box.
    pub label: String,
    /// The text.
    pub value: Template,
}

/// A condition on fields and variables. Exactly one of `ref`, `all`, `any`, `not` is set.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct When {
    /// `field.x` or `var.x`.
    #[serde(rename = "ref")]
    pub subject: Option<String>,
    /// It equals this.
    pub eq: Option<String>,
    /// It starts with this.
    pub starts_with: Option<String>,
    /// It is there and not empty (or is not).
    pub present: Option<bool>,
    /// All of these hold.
    pub all: Option<Vec<When>>,
    /// One of these holds.
    pub any: Option<Vec<When>>,
    /// This does not hold.
    pub not: Option<Box<When>>,
}

impl When {
    /// Whether it holds, where `look_up` knows `field.x` and `var.x`.
    pub fn holds<'a>(&self, look_up: &dyn Fn(&str) -> Option<&'a str>) -> bool {
        if let Some(all) = &self.all {
            return all.iter().all(|when| when.holds(look_up));
        }
        if let Some(any) = &self.any {
            return any.iter().any(|when| when.holds(look_up));
        }
        if let Some(not) = &self.not {
            return !not.holds(look_up);
        }
        let value = self.subject.as_deref().and_then(look_up).filter(|value| !value.is_empty());
        match (&self.eq, &self.starts_with, self.present) {
            (Some(wanted), ..) => value == Some(wanted.as_str()),
            (None, Some(start), _) => value.is_some_and(|value| value.starts_with(start.as_str())),
            (None, None, Some(present)) => value.is_some() == present,
            (None, None, None) => value.is_some(),
        }
    }
}

/// One question to the service.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// How rules, fixtures and other checks name it.
    pub id: String,
    /// What it proves: ids of fields, variables and scopes.
    #[serde(default)]
    pub proves: Vec<String>,
    /// Checks that must have been accepted or limited first; their extracts are `${got.x}`.
    #[serde(default)]
    pub after: Vec<String>,
    /// It can lower accepted to limited, and nothing else.
    #[serde(default)]
    pub optional: bool,
    /// What asking does at the service.
    pub effects: Effects,
    /// It is asked only then.
    pub when: Option<When>,
    /// Seconds to wait for the answer, 1 to 60; `--timeout` overrides it.
    pub timeout_s: Option<u64>,
    /// Where the credential may belong instead: asked after a rejection.
    pub elsewhere: Option<Elsewhere>,
    /// The same request with a scrambled secret, which must be refused.
    pub control: Option<ControlPlan>,
    /// JWTs that are signed before the request: `${mint.x}`.
    #[serde(default)]
    pub mint: BTreeMap<String, Mint>,
    /// The request. Absent where the strategy makes it.
    pub request: Option<Request>,
    /// How the request is authenticated.
    #[serde(default)]
    pub auth: Auth,
    /// What the answers mean: the first that fits decides.
    #[serde(default)]
    pub rule: Vec<Rule>,
    /// What is taken from an accepted or limited answer: `${got.x}` for later checks.
    #[serde(default)]
    pub extract: BTreeMap<String, Extract>,
    /// Warnings that do not change the verdict.
    #[serde(default)]
    pub advice: Vec<Advice>,
}

/// Where a credential may belong instead.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Elsewhere {
    /// Each other choice of this variable.
    Choices(String),
    /// Each of these values of variables.
    Places(Vec<BTreeMap<String, String>>),
}

impl Elsewhere {
    /// Variable → value, for each place.
    pub fn places(&self, provider: &Provider) -> Vec<BTreeMap<String, String>> {
        match self {
            Self::Choices(id) => {
                let choices = provider.var(id).map(|var| var.choices.as_slice()).unwrap_or_default();
                choices.iter().map(|choice| BTreeMap::from([(id.clone(), choice.clone())])).collect()
            }
            Self::Places(places) => places.clone(),
        }
    }
}

/// What asking does at the service, the mildest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Effects {
    /// Nothing.
    None,
    /// A short-lived token is issued.
    IssuesToken,
    /// It counts against a quota.
    CountsQuota,
    /// Wrong values in a row may lock the account or block the address.
    MayLockOut,
    /// It costs money.
    Billable,
    /// Something is changed.
    Writes,
}

impl Effects {
    /// The word as it is written in the file.
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::IssuesToken => "issues-token",
            Self::CountsQuota => "counts-quota",
            Self::MayLockOut => "may-lock-out",
            Self::Billable => "billable",
            Self::Writes => "writes",
        }
    }

    /// Whether the operator is asked first (or says `--allow`).
    pub fn needs_consent(self) -> bool {
        self > Self::IssuesToken
    }
}

/// The same request with a scrambled secret, which must be refused.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ControlPlan {
    /// Fields whose value is scrambled.
    pub mutate: Vec<String>,
    /// When it is sent.
    pub run: ControlRun,
    /// Milliseconds to wait before it, at most 10,000.
    #[serde(default)]
    pub delay_ms: u64,
}

/// When the control request is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ControlRun {
    /// With every check.
    Always,
    /// With `--prove` only.
    Prove,
    /// Never: wrong values count against the operator.
    Never,
}

/// A JWT that is signed before the request.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mint {
    /// The algorithm (RFC 7518).
    pub alg: Algorithm,
    /// The key: a shared secret, or a private key in PEM.
    pub key: Template,
    /// The key's id, for the header.
    pub kid: Option<Template>,
    /// Seconds from `iat` to `exp`, 1 to 3600. Without one neither is set.
    pub ttl_s: Option<u32>,
    /// The claims, in the order in which they are signed.
    #[serde(default)]
    pub claims: Body,
}

/// A signature algorithm of RFC 7518.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[expect(missing_docs, reason = "RFC 7518 names them")]
pub enum Algorithm {
    HS256,
    RS256,
    ES256,
}

/// A request to the service.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// https, with a fixed host or a `host` variable. Values are encoded for their place.
    pub url: Template,
    /// Query parameters.
    #[serde(default)]
    pub query: BTreeMap<String, Template>,
    /// Headers.
    #[serde(default)]
    pub headers: BTreeMap<String, Template>,
    /// A form body (`application/x-www-form-urlencoded`).
    pub form: Option<BTreeMap<String, Template>>,
    /// A JSON body.
    pub json: Option<Body>,
    /// What the answer is; anything else is an unexpected response.
    #[serde(default)]
    pub expect: Expect,
    /// Replaces our User-Agent where a service needs it.
    pub user_agent: Option<String>,
}

/// A request method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[expect(missing_docs, reason = "RFC 9110 names them")]
pub enum Method {
    GET,
    HEAD,
    POST,
    PUT,
    DELETE,
}

/// What the answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Expect {
    /// A JSON document. HTML, or a body that does not parse, is an unexpected response.
    #[default]
    Json,
    /// XML.
    Xml,
    /// Plain text.
    Text,
    /// HTML: only where a page is really what answers.
    Html,
    /// Whatever.
    Any,
}

/// A document with templates in its strings, in the order in which it was written.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(transparent)]
pub struct Body(pub toml::Table);

impl JsonSchema for Body {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Body".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "A document with templates in its strings.",
            "type": "object"
        })
    }
}

/// How a request is authenticated. Which keys go with which strategy is checked by `provider lint`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    /// One of a closed set.
    #[serde(default)]
    pub strategy: Strategy,
    /// Which built-in rules follow the file's own.
    pub pack: Option<Pack>,
    /// header, query: the name; a template, because some servers let their operator choose it.
    pub name: Option<Template>,
    /// header, query: the value.
    pub value: Option<Template>,
    /// basic: the user name.
    pub username: Option<Template>,
    /// basic: the password.
    pub password: Option<Template>,
    /// aws-sigv4: the key's id.
    pub access_key_id: Option<Template>,
    /// aws-sigv4: the key.
    pub secret_access_key: Option<Template>,
    /// aws-sigv4: the session token, when it is there.
    pub session_token: Option<Template>,
    /// aws-sigv4: the region in the credential scope.
    pub region: Option<Template>,
    /// aws-sigv4: the service in the credential scope.
    pub service: Option<String>,
    /// oauth2-*, jwt-bearer: the token endpoint.
    pub token_url: Option<Template>,
    /// oauth2-authorize-preflight: the authorization endpoint.
    pub authorize_url: Option<Template>,
    /// oauth2-*: the client's id.
    pub client_id: Option<Template>,
    /// oauth2-*: the client's secret.
    pub client_secret: Option<Template>,
    /// oauth2-*: where the client's id and secret go (RFC 6749 section 2.3.1).
    pub client_auth: Option<ClientAuth>,
    /// oauth2-client-probe, oauth2-authorize-preflight: the redirect URI.
    pub redirect_uri: Option<Template>,
    /// oauth2-client-probe: a code that cannot exist, in the shape that the service wants.
    pub code: Option<String>,
    /// oauth2-client-credentials, oauth2-refresh, oauth2-authorize-preflight: the scopes.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// oauth2-authorize-preflight: further query parameters, or others than those that are sent anyway.
    #[serde(default)]
    pub params: BTreeMap<String, Template>,
    /// oauth2-authorize-preflight: replaces our User-Agent where a service needs it.
    pub user_agent: Option<String>,
    /// oauth2-refresh: the refresh token.
    pub refresh_token: Option<Template>,
    /// oauth1-hmac: the client's identifier (RFC 5849 calls it the consumer key).
    pub consumer_key: Option<Template>,
    /// oauth1-hmac: the client's shared secret.
    pub consumer_secret: Option<Template>,
    /// oauth1-hmac: the token.
    pub token: Option<Template>,
    /// oauth1-hmac: the token's shared secret.
    pub token_secret: Option<Template>,
    /// oauth1-hmac: where the user is sent back to, or `oob`.
    pub callback: Option<Template>,
    /// jwt-bearer: the signed assertion, `${mint.x}`.
    pub assertion: Option<Template>,
    /// jwt-local: the algorithm.
    pub alg: Option<Algorithm>,
    /// jwt-local: the shared secret.
    pub secret: Option<Template>,
    /// jwt-local: a token that the secret has to verify.
    pub sample: Option<Template>,
}

/// A named way to authenticate a request: the only Rust that knows protocols.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// The request carries everything itself.
    #[default]
    None,
    /// A header.
    Header,
    /// A query parameter.
    Query,
    /// HTTP Basic (RFC 7617).
    Basic,
    /// AWS Signature Version 4.
    AwsSigv4,
    /// OAuth 1.0a with HMAC-SHA1 (RFC 5849).
    Oauth1Hmac,
    /// A code that cannot exist is exchanged (RFC 6749 section 4.1.3): no user is needed.
    Oauth2ClientProbe,
    /// A token of the client's own (RFC 6749 section 4.4).
    Oauth2ClientCredentials,
    /// A refresh token is exchanged for an access token (RFC 6749 section 6).
    Oauth2Refresh,
    /// The page where people sign in is opened (RFC 6749 section 4.1.1); no secret is sent.
    Oauth2AuthorizePreflight,
    /// A signed assertion is exchanged for a token (RFC 7523 section 2.1).
    JwtBearer,
    /// A token is verified offline; nothing is sent.
    JwtLocal,
}

impl Strategy {
    /// The word as it is written in the file.
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Header => "header",
            Self::Query => "query",
            Self::Basic => "basic",
            Self::AwsSigv4 => "aws-sigv4",
            Self::Oauth1Hmac => "oauth1-hmac",
            Self::Oauth2ClientProbe => "oauth2-client-probe",
            Self::Oauth2ClientCredentials => "oauth2-client-credentials",
            Self::Oauth2Refresh => "oauth2-refresh",
            Self::Oauth2AuthorizePreflight => "oauth2-authorize-preflight",
            Self::JwtBearer => "jwt-bearer",
            Self::JwtLocal => "jwt-local",
        }
    }

    /// Whether the strategy makes the request itself, so that the file has no `request`.
    pub fn makes_request(self) -> bool {
        matches!(
            self,
            Self::Oauth2ClientProbe
                | Self::Oauth2ClientCredentials
                | Self::Oauth2Refresh
                | Self::Oauth2AuthorizePreflight
                | Self::JwtBearer
                | Self::JwtLocal
        )
    }
}

/// Built-in rules that follow the file's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Pack {
    /// Error codes of RFC 6749 section 5.2, and of the token endpoint; where an authorization endpoint leads to.
    Rfc6749,
    /// None: only the file's own rules.
    None,
}

/// Where a client's id and secret go (RFC 6749 section 2.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ClientAuth {
    /// In the body.
    Post,
    /// In the Authorization header.
    Basic,
}

/// A warning that does not change the verdict.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Advice {
    /// JSON pointer into the answer.
    pub json: String,
    /// When it is given.
    pub test: Test,
    /// The id of the sentence.
    pub message: String,
}

/// An answer of the service with the verdict that it has to give.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fixture {
    /// What it shows.
    pub name: String,
    /// The check that gets it.
    pub check: String,
    /// Where it comes from.
    pub origin: Origin,
    /// Values that differ from the samples: `field.x`, `var.x` or `got.x`.
    #[serde(default)]
    pub given: BTreeMap<String, String>,
    /// The answer.
    pub response: Option<Response>,
    /// Or: how the network failed.
    pub transport: Option<Transport>,
    /// What it has to give.
    pub expect: Expected,
}

/// Where a fixture comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// The real service said it, scrubbed.
    Recorded,
    /// The service's documents, or a public recording, say it.
    Documented,
    /// Nobody has seen it: made up after the documents.
    Synthetic,
}

/// An answer.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// Headers.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// A JSON body. Templates are allowed: an answer may echo what was sent.
    pub json: Option<Body>,
    /// Or: a JSON body that is not an object, or text, as it is.
    pub body: Option<Template>,
}

/// How the network failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// The name does not resolve.
    Dns,
    /// Nobody listens.
    Refused,
    /// No answer in time.
    Timeout,
    /// The certificate or the handshake failed.
    Tls,
    /// The proxy refused.
    Proxy,
    /// The connection was closed before the answer was whole.
    Closed,
    /// The answer is larger than 1 MiB.
    TooLarge,
    /// The answer is not HTTP.
    Garbage,
}

/// What a fixture has to give.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// The verdict.
    pub verdict: Verdict,
    /// The reason.
    pub why: Option<String>,
    /// What is missing.
    pub missing: Option<Vec<String>>,
    /// Which fields are blamed.
    pub blame: Option<Vec<String>>,
    /// Whose credential it is.
    pub account: Option<String>,
    /// The ids of the sentences that are given, in the order of the file.
    pub advice: Option<Vec<String>>,
}

/// How long the credential lives and how it ends.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lifecycle {
    /// The service deletes it after so many days without use.
    pub idle_delete_days: Option<u32>,
    /// How it is replaced.
    pub rotate: Option<Template>,
    /// How it is revoked. `remove` says it.
    pub revoke: Option<Template>,
    /// What no check can see, a sentence each.
    #[serde(default)]
    pub unverifiable: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(when: &str, field: Option<&'static str>) -> bool {
        let when: When = toml::from_str(when).unwrap();
        when.holds(&|name| field.filter(|_| name == "field.x"))
    }

    #[test]
    fn a_condition_on_a_start_holds_for_that_start_only() {
        let when = "ref = 'field.x'\nstarts_with = 'ASIA'";
        assert!(holds(when, Some("ASIA12")));
        assert!(!holds(when, Some("AKIA12")));
        assert!(!holds(when, Some("xASIA")));
        assert!(!holds(when, None));
    }
}
