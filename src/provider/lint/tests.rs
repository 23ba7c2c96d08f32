//! Each law is shown by a good file with one change, and the finding that the change gives.

use super::*;

/// A file in which nothing is wrong. Each case below changes it in one place.
const GOOD: &str = r#"schema = 1

[provider]
id = "acme"
name = "Acme Files"
summary = "files of the portal"
category = "storage"
status = "degraded"
links = [{ url = "https://console.acme.example/keys", kind = "console" }]
[provider.change]
since = "2027-01-31"
note = "The old keys end."
source = "https://acme.example/news"

[provenance]
reviewed = "2026-11-21"
source = [{ title = "Acme: keys", url = "https://acme.example/docs", retrieved = "2026-11-20" }]

[[var]]
id = "region"
label = "Region"
choices = ["eu", "us"]
default = "eu"
host = true

[[var]]
id = "base"
label = "Your server"
kind = "url"
host = true
example = "https://files.example.org/acme"

[[var]]
id = "callback"
label = "Callback"
kind = "url"
env = ["ACME_CALLBACK"]
[[var.preset]]
id = "ours"
label = "Ours"
value = "https://portal.example/${var.region}"

[[field]]
id = "key_id"
label = "Key ID"
env = ["ACME_KEY_ID"]
[field.format]
regex = "^[0-9]{4}$"
good = ["1234"]
bad = ["12345"]

[[field]]
id = "key"
label = "Key"
secret = true
env = ["ACME_KEY"]
[field.format]
regex = "^(k|K)-[a-z]{6}$"
mistake = [{ regex = "^[0-9]{4}$", message = "that_is_the_id" }, { regex = "^K", message = "old_key", warn = true }]
good = ["k-abcdef", "K-abcdef"]
bad = ["1234"]

[[field]]
id = "bundle"
label = "Bundle"
kind = "json"
secret = true
required = false
[field.format]
structure = "json"
good = ['{"owner":"o"}']
bad = ["{"]

[[field]]
id = "owner"
label = "Owner"
derive = { from = "bundle", json = "/owner" }

[[scope]]
id = "write"
why = "Backups are written."
verify = { check = "who", json = "/rights/write", test = true }

[[step]]
id = "make"
text = "Press [[New key]] for ${var.callback}."
warning = "It is shown once."
links = [{ url = "https://console.acme.example/${var.region}/new", kind = "console" }]
paste = [{ label = "Callback", value = "${var.callback}" }]
scopes = ["write"]
capture = ["key_id", "key", "bundle"]
when = { any = [{ ref = "var.region", eq = "eu" }, { not = { ref = "field.key_id", present = false } }] }

[[check]]
id = "login"
proves = ["key_id", "key"]
effects = "counts-quota"
timeout_s = 10
control = { mutate = ["key"], run = "always", delay_ms = 100 }
[check.request]
method = "POST"
url = "https://api.${var.region}.acme.example/login"
query = { id = "${field.key_id}" }
json = { auth = { key = ["${field.key}"] } }
[[check.rule]]
id = "logged-in"
when = { status = 201, json = { "/token" = { exists = true } } }
verdict = "accepted"
[[check.rule]]
id = "no-plan"
when = { status = 402, json = { "/error" = "plan" } }
verdict = "limited"
missing = ["write"]
[[check.rule]]
id = "bad-key"
when = { status = [401, 403] }
verdict = "rejected"
blame = ["key"]
hint = "ask_again"
[check.extract]
token = { json = "/token", secret = true }

[[check]]
id = "who"
proves = ["write"]
after = ["login"]
optional = true
effects = "none"
[check.mint.claim]
alg = "HS256"
key = "${field.key}"
ttl_s = 60
claims = { sub = "${field.owner}" }
[check.request]
method = "GET"
url = "${var.base}/who"
headers = { X-Claim = "${mint.claim}" }
[check.auth]
strategy = "header"
name = "Authorization"
value = "Bearer ${got.token}"
[check.control]
mutate = ["bundle"]
run = "never"
[[check.rule]]
id = "known"
when = { status = 200, header = { X-Owner = { same_as = "owner" } } }
verdict = "accepted"
[[check.advice]]
json = "/age"
test = { matches = "^9" }
message = "old_key"

[message]
that_is_the_id = "This is the key ID ${field.key_id}."
old_key = "This is an old key."
ask_again = "Make a new key."

[[fixture]]
name = "in"
check = "login"
origin = "synthetic"
given = { "field.key_id" = "9999" }
response = { status = 201, json = { token = "t", echo = ["${field.key}"] } }
expect = { verdict = "accepted", why = "logged-in" }
[[fixture]]
name = "no plan"
check = "login"
origin = "documented"
response = { status = 402, body = '{"error":"plan"}' }
expect = { verdict = "limited", why = "no-plan", missing = ["write"] }
[[fixture]]
name = "out"
check = "login"
origin = "synthetic"
response = { status = 401 }
expect = { verdict = "rejected", why = "bad-key", blame = ["key"] }
[[fixture]]
name = "dark"
check = "login"
origin = "synthetic"
transport = "dns"
expect = { verdict = "inconclusive" }
[[fixture]]
name = "mine"
check = "who"
origin = "synthetic"
response = { status = 200, headers = { X-Owner = "o" } }
expect = { verdict = "accepted", why = "known", advice = ["old_key"] }

[lifecycle]
revoke = "Press [[Delete]]."
"#;

/// A law, the text that is replaced, what replaces it (`¦` stands where the finding points), and what the finding says.
type Case = (&'static str, &'static str, &'static str, &'static str);

const CASES: &[Case] = &[
    ("the schema number is known", "schema = 1", "schema = ¦2", "schema 2 is not known; there is 1"),
    ("the id is the file's stem", "id = \"acme\"", "id = ¦\"acne\"", "the id is `acne`, but the file is `acme.toml`"),
    ("the id is the file's stem", "id = \"acme\"", "id = ¦\"Acme\"", "`Acme` is not an id"),
    // Ids.
    ("ids have their shape and are unique", "id = \"base\"", "id = ¦\"Base\"", "`Base` is not an id"),
    ("ids have their shape and are unique", "id = \"base\"", "id = ¦\"region\"", "`region` is there already"),
    ("ids have their shape and are unique", "id = \"owner\"", "id = ¦\"key-id\"", "`key-id` is not an id"),
    ("ids have their shape and are unique", "id = \"owner\"", "id = ¦\"region\"", "`region` is there already"),
    ("ids have their shape and are unique", "id = \"write\"", "id = ¦\"key\"", "`key` is there already"),
    ("ids have their shape and are unique", "id = \"make\"", "id = ¦\"Make\"", "`Make` is not an id"),
    (
        "ids have their shape and are unique",
        "[[check]]\nid = \"login\"",
        "[[step]]\nid = ¦\"make\"\ntext = 'x'\n[[check]]\nid = \"login\"",
        "`make` is there already",
    ),
    ("ids have their shape and are unique", "id = \"who\"", "id = ¦\"login\"", "`login` is there already"),
    ("ids have their shape and are unique", "id = \"who\"", "id = ¦\"-who\"", "`-who` is not an id"),
    ("ids have their shape and are unique", "[check.mint.claim]", "¦[check.mint.Claim]", "`Claim` is not an id"),
    ("ids have their shape and are unique", "token = { json", "Token = ¦{ json", "`Token` is not an id"),
    ("ids have their shape and are unique", "old_key = \"This", "Old_key = ¦\"This", "`Old_key` is not an id"),
    ("ids have their shape and are unique", "id = \"no-plan\"", "id = ¦\"logged-in\"", "`logged-in` is there already"),
    ("ids have their shape and are unique", "id = \"no-plan\"", "id = ¦\"no_plan\"", "`no_plan` is not a reason"),
    (
        "ids have their shape and are unique",
        "id = \"no-plan\"",
        "id = \"no-plan\"\nwhy = ¦\"No\"",
        "`No` is not a reason",
    ),
    ("ids have their shape and are unique", "name = \"no plan\"", "name = ¦\"in\"", "`in` is there already"),
    // Numbers.
    ("numbers are in their range", "timeout_s = 10", "timeout_s = ¦61", "61 is not 1 to 60"),
    ("numbers are in their range", "timeout_s = 10", "timeout_s = ¦0", "0 is not 1 to 60"),
    ("numbers are in their range", "delay_ms = 100", "delay_ms = ¦10001", "10001 is not 0 to 10000"),
    ("numbers are in their range", "ttl_s = 60", "ttl_s = ¦0", "0 is not 1 to 3600"),
    ("numbers are in their range", "label = \"Owner\"", "label = \"Owner\"\nttl_days = ¦0", "0 is not 1 to 36500"),
    // Variables.
    ("variables are well-formed", "default = \"eu\"", "default = ¦\"ue\"", "`ue` is not one of the choices"),
    (
        "variables are well-formed",
        "[[var.preset]]",
        "choices = ['https://x']\n¦[[var.preset]]",
        "`callback` has choices: it cannot have presets too",
    ),
    (
        "variables are well-formed",
        "[[field]]\nid = \"key_id\"",
        "[[var.preset]]\nid = ¦\"ours\"\nlabel = 'x'\nvalue = 'https://x'\n[[field]]\nid = \"key_id\"",
        "`ours` is there already",
    ),
    ("variables are well-formed", "example = \"https:", "help = \"https:", "nothing shows what `base` looks like"),
    (
        "variables are well-formed",
        "\"https://portal.example/${var.region}\"",
        "¦\"https://portal.example/${var.callback}\"",
        "`var.callback` is not a variable above this one",
    ),
    (
        "variables are well-formed",
        "\"https://portal.example/${var.region}\"",
        "¦\"https://portal.example/${field.key_id}\"",
        "`field.key_id` is not a variable above this one",
    ),
    // Dates, sources, status.
    ("dates are dates", "reviewed = \"2026-11-21\"", "reviewed = ¦\"2026-11-31\"", "`2026-11-31` is not a date"),
    ("dates are dates", "reviewed =", "steps_verified = ¦\"yesterday\"\nreviewed =", "`yesterday` is not a date"),
    ("dates are dates", "reviewed =", "check_verified = ¦\"2026-1-1\"\nreviewed =", "`2026-1-1` is not a date"),
    ("dates are dates", "retrieved = \"2026-11-20\"", "retrieved = ¦\"2026\"", "`2026` is not a date"),
    ("dates are dates", "since = \"2027-01-31\"", "since = ¦\"31.01.2027\"", "`31.01.2027` is not a date"),
    (
        "sources are named",
        "source = [{ title = \"Acme: keys\", url = \"https://acme.example/docs\", retrieved = \"2026-11-20\" }]",
        "source = ¦[]",
        "no source is named",
    ),
    ("status and change agree", "status = \"degraded\"", "status = ¦\"active\"", "`active`, but a change is described"),
    (
        "status and change agree",
        "status = \"degraded\"\nlinks = [{ url = \"https://console.acme.example/keys\", kind = \"console\" }]\n\
         [provider.change]\nsince = \"2027-01-31\"\nnote = \"The old keys end.\"\nsource = \"https://acme.example/news\"",
        "status = ¦\"retired\"",
        "`retired`, but nothing says since when",
    ),
    (
        "status and change agree",
        "label = \"Owner\"",
        "label = \"Owner\"\nstatus = ¦\"retired\"",
        "`retired`, but nothing says since when",
    ),
    (
        "status and change agree",
        "why = \"Backups are written.\"",
        "why = \"x\"\nstatus = ¦\"degraded\"",
        "`degraded`, but nothing says since when",
    ),
    (
        "status and change agree",
        "why = \"Backups are written.\"",
        "why = \"x\"\nchange = { since = '2026-01-01', note = 'n', source = 'https://s.example' }",
        "`active`, but a change is described",
    ),
    (
        "dates are dates",
        "label = \"Owner\"",
        "label = \"Owner\"\nstatus = 'retired'\nchange = { since = ¦'soon', note = 'n', source = 'https://s.example' }",
        "`soon` is not a date",
    ),
    (
        "addresses are https",
        "label = \"Owner\"",
        "label = \"Owner\"\nstatus = 'retired'\nchange = { since = '2026-01-01', note = 'n', source = ¦'http://s.example' }",
        "does not start with `https://`",
    ),
    // People.
    (
        "ids have their shape and are unique",
        "[[step]]",
        "[[persona]]\nid = ¦'the-admin'\nlabel = 'A'\n[[step]]",
        "`the-admin` is not an id",
    ),
    (
        "ids have their shape and are unique",
        "[[step]]",
        "[[persona]]\nid = 'a'\nlabel = 'A'\n[[persona]]\nid = ¦'a'\nlabel = 'B'\n[[step]]",
        "`a` is there already",
    ),
    ("fields, scopes and claims exist", "id = \"make\"", "id = \"make\"\npersona = ¦'admin'", "no persona `admin`"),
    ("fields, scopes and claims exist", "id = \"owner\"", "id = \"owner\"\npersona = ¦'admin'", "no persona `admin`"),
    (
        "fields, scopes and claims exist",
        "{ same_as = \"owner\" }",
        "{ certifies = ¦\"private\" }",
        "there is no field `private`",
    ),
    ("placeholders are declared", "echo = [\"${field.key}\"]", "echo = [¦\"${cert.k}\"]", "there is no field `k`"),
    (
        "placeholders are declared",
        "{ id = \"${field.key_id}\" }",
        "{ id = ¦\"${cert.key_id}\" }",
        "only a fixture's answer knows `cert`",
    ),
    // Elsewhere.
    (
        "a check is asked elsewhere only where that does no harm",
        "timeout_s = 10",
        "timeout_s = 10\nelsewhere = ¦'region'",
        "its effect is `counts-quota`",
    ),
    (
        "a check is asked elsewhere only where that does no harm",
        "after = [\"login\"]",
        "after = [\"login\"]\nelsewhere = ¦'regoin'",
        "there is no variable `regoin`",
    ),
    (
        "a check is asked elsewhere only where that does no harm",
        "after = [\"login\"]",
        "after = [\"login\"]\nelsewhere = ¦'base'",
        "`base` does not choose a host",
    ),
    (
        "a check is asked elsewhere only where that does no harm",
        "after = [\"login\"]",
        "after = [\"login\"]\nelsewhere = ¦'region'",
        "`region` is not in the address of `who`",
    ),
    (
        "a check is asked elsewhere only where that does no harm",
        "after = [\"login\"]",
        "after = [\"login\"]\nelsewhere = [¦{ regoin = 'us' }]",
        "there is no variable `regoin`",
    ),
    (
        "a check is asked elsewhere only where that does no harm",
        "after = [\"login\"]",
        "after = [\"login\"]\nelsewhere = [{ region = ¦'ur', base = 'https://x.example' }]",
        "`ur` is not a choice of `region`",
    ),
    (
        "a check is asked elsewhere only where that does no harm",
        "after = [\"login\"]",
        "after = [\"login\"]\nelsewhere = [¦{ region = 'us' }]",
        "none of these variables decides the host",
    ),
    // Strategies that come with keys of their own.
    (
        "a strategy has its keys and no others",
        "strategy = \"header\"\nname = \"Authorization\"\nvalue = \"Bearer ${got.token}\"",
        "strategy = \"oauth1-hmac\"\nconsumer_key = 'k'\ntoken_url = ¦'https://t.example/'",
        "the strategy `oauth1-hmac` has no `token_url`",
    ),
    (
        "a strategy has its keys and no others",
        "strategy = \"header\"\nname = \"Authorization\"\nvalue = \"Bearer ${got.token}\"",
        "strategy = \"oauth1-hmac\"\nconsumer_key = 'k'",
        "the strategy `oauth1-hmac` needs `consumer_secret`",
    ),
    (
        "a strategy has its keys and no others",
        "strategy = \"header\"\nname = \"Authorization\"\nvalue = \"Bearer ${got.token}\"",
        "strategy = \"oauth2-refresh\"\ntoken_url = 'https://t.example/'\nclient_id = 'c'\ncode = ¦'x'",
        "the strategy `oauth2-refresh` has no `code`",
    ),
    (
        "a strategy has its keys and no others",
        "strategy = \"header\"\nname = \"Authorization\"\nvalue = \"Bearer ${got.token}\"",
        "strategy = \"oauth2-authorize-preflight\"\nauthorize_url = 'https://t.example/'\nclient_id = 'c'",
        "the strategy `oauth2-authorize-preflight` needs `redirect_uri`",
    ),
    (
        "a request is there when it is needed",
        "strategy = \"header\"\nname = \"Authorization\"\nvalue = \"Bearer ${got.token}\"",
        "strategy = \"oauth2-authorize-preflight\"\nauthorize_url = 'https://t.example/'\nclient_id = 'c'\nredirect_uri = 'r'",
        "the strategy `oauth2-authorize-preflight` makes the request itself",
    ),
    (
        "no secret stands in a query",
        "strategy = \"header\"\nname = \"Authorization\"\nvalue = \"Bearer ${got.token}\"",
        "strategy = \"oauth2-authorize-preflight\"\nauthorize_url = 'https://t.example/'\nclient_id = ¦'${field.key}'",
        "`${field.key}` is secret",
    ),
    (
        "no secret stands in a query",
        "strategy = \"header\"\nname = \"Authorization\"\nvalue = \"Bearer ${got.token}\"",
        "strategy = \"oauth2-authorize-preflight\"\nparams = { x = ¦'${got.token}' }",
        "`${got.token}` is secret",
    ),
    (
        "hosts are fixed",
        "strategy = \"header\"\nname = \"Authorization\"\nvalue = \"Bearer ${got.token}\"",
        "strategy = \"oauth2-authorize-preflight\"\nauthorize_url = ¦'https://${field.key_id}/'",
        "decides the host",
    ),
    (
        "addresses are https",
        "strategy = \"header\"\nname = \"Authorization\"\nvalue = \"Bearer ${got.token}\"",
        "strategy = \"oauth2-authorize-preflight\"\nauthorize_url = ¦'http://t.example/'",
        "does not start with `https://`",
    ),
    (
        "the control request has a policy",
        "[check.auth]\nstrategy = \"header\"\nname = \"Authorization\"\nvalue = \"Bearer ${got.token}\"\n[check.control]\nmutate = [\"bundle\"]\nrun = \"never\"",
        "[check.auth]\nstrategy = \"oauth1-hmac\"\nconsumer_key = 'k'\nconsumer_secret = '${field.key}'",
        "`who` sends a secret and has no control policy",
    ),
    // Environment names.
    (
        "environment names have their shape and are unique",
        "env = [\"ACME_KEY\"]",
        "env = [¦\"acme_key\"]",
        "`acme_key` is not the name of a variable",
    ),
    (
        "environment names have their shape and are unique",
        "env = [\"ACME_KEY\"]",
        "env = [¦\"9KEY\"]",
        "`9KEY` is not the name of a variable",
    ),
    (
        "environment names have their shape and are unique",
        "env = [\"ACME_CALLBACK\"]",
        "env = [¦\"ACME_KEY\"]",
        "`ACME_KEY` belongs to `key` already",
    ),
    // Labels.
    ("console labels are closed", "\"Press [[Delete]].\"", "¦\"Press [[Delete].\"", "do not enclose"),
    ("console labels are closed", "\"Press [[Delete]].\"", "¦\"Press [[ ]].\"", "do not enclose"),
    ("console labels are closed", "\"Press [[Delete]].\"", "¦\"Press Delete]].\"", "do not enclose"),
    ("console labels are closed", "\"It is shown once.\"", "¦\"[[A]] is ]] shown.\"", "do not enclose"),
    // Names in templates.
    (
        "templates in documents can be read",
        "[\"${field.key}\"] } }\n[[check.rule]]",
        "[¦\"${field.key\"] } }\n[[check.rule]]",
        "never closed",
    ),
    ("templates in documents can be read", "{ sub = \"${field.owner}\" }", "{ sub = ¦\"${x.y}\" }", "`x` must be"),
    ("placeholders are declared", "{ sub = \"${field.owner}\" }", "{ sub = ¦\"${field.ower}\" }", "no field `ower`"),
    ("placeholders are declared", "{ sub = \"${field.owner}\" }", "{ sub = ¦\"${mint.claim}\" }", "has no value here"),
    ("placeholders are declared", "key = \"${field.key}\"\nttl", "key = ¦\"${field.kye}\"\nttl", "no field `kye`"),
    ("placeholders are declared", "ttl_s = 60", "ttl_s = 60\nkid = ¦\"${var.kid}\"", "no variable `kid`"),
    ("placeholders are declared", "{ id = \"${field.key_id}\" }", "{ id = ¦\"${field.key_di}\" }", "no field `key_di`"),
    ("placeholders are declared", "\"${mint.claim}\"", "¦\"${mint.clam}\"", "this check signs no `clam`"),
    ("placeholders are declared", "\"Bearer ${got.token}\"", "¦\"Bearer ${got.toke}\"", "extracts `toke`"),
    ("placeholders are declared", "after = [\"login\"]\n", "", "no check before this one extracts `token`"),
    ("placeholders are declared", "value = \"${var.callback}\" }", "value = ¦\"${got.token}\" }", "has no value here"),
    ("placeholders are declared", "\"Press [[Delete]].\"", "¦\"${var.regoin}\"", "there is no variable `regoin`"),
    ("placeholders are declared", "\"Make a new key.\"", "¦\"${field.nokey}\"", "there is no field `nokey`"),
    ("placeholders are declared", "echo = [\"${field.key}\"]", "echo = [¦\"${field.k}\"]", "there is no field `k`"),
    ("placeholders are declared", "body = '{\"error\":\"plan\"}'", "body = ¦'${var.no}'", "there is no variable `no`"),
    ("placeholders are declared", "\"https://api.${var.region}.", "¦\"https://api.${var.r}.", "no variable `r`"),
    ("placeholders are declared", "\"https://console.acme.example/keys\"", "¦\"https://x/${var.k}\"", "variable `k`"),
    (
        "placeholders are declared",
        "example/${var.region}/new\"",
        "example/${var.egion}/new\"",
        "there is no variable `egion`",
    ),
    ("nothing secret is shown", "\"Make a new key.\"", "¦\"Not ${field.key}.\"", "`${field.key}` is secret"),
    ("nothing secret is shown", "\"It is shown once.\"", "¦\"Not ${field.key}.\"", "`${field.key}` is secret"),
    ("nothing secret is shown", "\"https://console.acme.example/keys\"", "¦\"https://x/${field.key}\"", "is secret"),
    (
        "what authenticates is sealed",
        "[[field]]\nid = \"key\"\nlabel = \"Key\"\nsecret = true",
        "¦[[field]]\nid = \"key\"\nlabel = \"Key\"",
        "`key` authenticates",
    ),
    // Conditions.
    ("conditions have one meaning", "when = { any = ", "when = ¦{ all = [{ ref = 'var.base' }], any = ", "exactly one"),
    ("conditions have one meaning", "{ not = { ref = \"field.key_id\", present = false } }", "¦{ }", "exactly one"),
    ("conditions have one meaning", "present = false }", "present = false, eq = 'x' }", "goes with a `ref`"),
    (
        "conditions have one meaning",
        "{ not = { ref = \"field.key_id\", present = false } }",
        "¦{ not = { ref = 'var.base' }, eq = 'x' }",
        "goes with a `ref`",
    ),
    (
        "conditions have one meaning",
        "{ not = { ref = \"field.key_id\", present = false } }",
        "¦{ all = [] }",
        "a list of conditions is not empty",
    ),
    ("conditions have one meaning", "\"field.key_id\", present", "¦\"field.kye_id\", present", "no `field.kye_id`"),
    ("conditions have one meaning", "eq = \"eu\"", "eq = ¦\"ue\"", "`var.region` is never `ue`"),
    (
        "conditions have one meaning",
        "host = true\nexample",
        "host = true\nwhen = { ref = ¦'var.x' }\nexample",
        "`var.x`",
    ),
    ("conditions have one meaning", "label = \"Owner\"", "label = \"Owner\"\nwhen = ¦{ }", "exactly one"),
    ("conditions have one meaning", "optional = true", "optional = true\nwhen = ¦{ }", "exactly one"),
    // Messages.
    ("messages exist", "hint = \"ask_again\"", "hint = ¦\"ask_agian\"", "there is no message `ask_agian`"),
    ("messages exist", "message = \"that_is_the_id\"", "message = ¦\"this_id\"", "there is no message `this_id`"),
    ("messages exist", "message = \"old_key\"\n", "message = ¦\"odl_key\"\n", "there is no message `odl_key`"),
    ("messages exist", "advice = [\"old_key\"]", "advice = [¦\"odl_key\"]", "there is no message `odl_key`"),
    ("messages are used", "hint = \"ask_again\"\n", "", "nothing says the message `ask_again`"),
    // Claims.
    ("fields, scopes and claims exist", "capture = [\"key_id\",", "capture = [¦\"key_di\",", "no field `key_di`"),
    ("fields, scopes and claims exist", "scopes = [\"write\"]", "scopes = [¦\"wirte\"]", "there is no scope `wirte`"),
    ("fields, scopes and claims exist", "proves = [\"write\"]", "proves = [¦\"x\"]", "no field, variable or scope `x`"),
    ("fields, scopes and claims exist", "mutate = [\"key\"]", "mutate = [¦\"keys\"]", "there is no field `keys`"),
    ("fields, scopes and claims exist", "[\"key\"]\nhint", "[¦\"keys\"]\nhint", "there is no field `keys`"),
    ("fields, scopes and claims exist", "missing = [\"write\"]\n", "missing = [¦\"w\"]\n", "variable or scope `w`"),
    (
        "fields, scopes and claims exist",
        "missing = [\"write\"]\n",
        "missing = [\"write\"]\nproves = [¦\"w\"]\n",
        "scope `w`",
    ),
    ("fields, scopes and claims exist", "blame = [\"key\"] }", "blame = [¦\"kye\"] }", "there is no field `kye`"),
    ("fields, scopes and claims exist", "missing = [\"write\"] }", "missing = [¦\"w\"] }", "variable or scope `w`"),
    ("fields, scopes and claims exist", "from = \"bundle\"", "from = ¦\"bunlde\"", "there is no field `bunlde`"),
    ("fields, scopes and claims exist", "check = \"who\", json", "check = ¦\"whom\", json", "no check `whom`"),
    ("fields, scopes and claims exist", "same_as = \"owner\"", "same_as = ¦\"woner\"", "there is no field `woner`"),
    ("fields, scopes and claims exist", "\"field.key_id\" = \"9999\"", "\"key_id\" = ¦\"9999\"", "no `key_id`"),
    (
        "every field is asked for in a step",
        "[\"key_id\", \"key\", \"bundle\"]",
        "[\"key_id\", \"key\"]",
        "asks for `bundle`",
    ),
    (
        "every field is asked for in a step",
        "\"key\", \"bundle\"]",
        "\"key\", \"bundle\", \"owner\"]",
        "`owner` is taken from `bundle`",
    ),
    // The way of requests.
    ("addresses are https", "\"https://api.$", "¦\"http://api.$", "does not start with `https://`"),
    ("addresses are https", "\"https://console.acme.example/keys\"", "¦\"ftp://x/\"", "does not start with"),
    ("addresses are https", "\"https://console.acme.example/${", "¦\"http://console.acme.example/${", "does not start"),
    ("addresses are https", "\"https://acme.example/docs\"", "¦\"http://acme.example/docs\"", "does not start"),
    ("addresses are https", "\"https://acme.example/news\"", "¦\"acme.example/news\"", "does not start"),
    ("addresses are https", "example = \"https:", "example = ¦\"http:", "does not start"),
    ("addresses are https", "example = \"https:", "default = ¦\"http://x\"\nexample = \"https:", "does not start"),
    (
        "addresses are https",
        "env = [\"ACME_CALLBACK\"]\n[[var.preset]]\nid = \"ours\"\nlabel = \"Ours\"\nvalue = \"https:",
        "host = true\n[[var.preset]]\nid = \"ours\"\nlabel = \"Ours\"\nvalue = ¦\"http:",
        "does not start",
    ),
    ("hosts are fixed", "\"https://api.${var.region}.", "¦\"https://api.${field.key_id}.", "`${field.key_id}` decides"),
    ("hosts are fixed", "\"https://api.${var.region}.", "¦\"https://api.${var.region|lower}.", "decides the host"),
    ("hosts are fixed", "\"https://api.${var.region}.", "¦\"https://${var.base}.", "`${var.base}` is a whole URL"),
    ("hosts are fixed", "\"https://api.${var.region}.acme.example/", "¦\"https:///", "`` is not a host"),
    ("hosts are fixed", "\"https://api.${var.region}.", "¦\"https://me@api.${var.region}.", "is not a host"),
    ("hosts are fixed", "\"${var.base}/who\"", "¦\"${var.base}.evil/who\"", "`/` has to follow"),
    ("hosts are fixed", "\"${var.base}/who\"", "¦\"${var.region}/who\"", "`${var.region}` is no URL"),
    ("hosts are fixed", "\"${var.base}/who\"", "¦\"${var.callback}/who\"", "`${var.callback}` decides the host"),
    (
        "hosts are fixed",
        "choices = [\"eu\", \"us\"]\ndefault = \"eu\"\nhost = true",
        "default = 'eu'",
        "decides the host",
    ),
    ("no secret stands in a query", "{ id = \"${field.key_id}\" }", "{ id = ¦\"${field.key}\" }", "is secret"),
    ("no secret stands in a query", "\"${var.base}/who\"", "¦\"${var.base}/who?k=${field.key}\"", "is secret"),
    ("no secret stands in a query", "\"${var.base}/who\"", "¦\"${var.base}/who?k=${got.token}\"", "is secret"),
    ("no secret stands in a query", "\"${var.base}/who\"", "¦\"${var.base}/who?k=${mint.claim}\"", "is secret"),
    ("a strategy has its keys and no others", "name = \"Authorization\"\n", "", "`header` needs `name`"),
    (
        "a strategy has its keys and no others",
        "name = \"Authorization\"",
        "username = ¦\"x\"\nname = \"Authorization\"",
        "the strategy `header` has no `username`",
    ),
    (
        "a strategy has its keys and no others",
        "name = \"Authorization\"",
        "pack = ¦\"none\"\nname = \"Authorization\"",
        "the strategy `header` has no `pack`",
    ),
    (
        "a request is there when it is needed",
        "[check.request]\nmethod = \"GET\"\nurl = \"${var.base}/who\"\nheaders = { X-Claim = \"${mint.claim}\" }\n",
        "",
        "the strategy `header` needs a `request`",
    ),
    (
        "a request is there when it is needed",
        "strategy = \"header\"",
        "strategy = \"jwt-bearer\"",
        "the strategy `jwt-bearer` makes the request itself",
    ),
    ("a request is there when it is needed", "json = { auth", "form = {}\njson = ¦{ auth", "not both"),
    ("a request is there when it is needed", "method = \"POST\"", "method = ¦\"GET\"", "not a GET or HEAD"),
    ("checks follow each other", "after = [\"login\"]", "after = [¦\"loging\"]", "there is no check `loging`"),
    ("checks follow each other", "after = [\"login\"]", "after = ¦[\"who\"]", "`who` waits for itself"),
    (
        "checks follow each other",
        "proves = [\"key_id\", \"key\"]",
        "proves = [\"key_id\", \"key\"]\nafter = [¦\"who\"]",
        "`who` is optional, and `login` is not",
    ),
    // Answers.
    ("pointers and expressions can be read", "\"/token\" = {", "\"token\" = ¦{", "`token` is not a JSON pointer"),
    ("pointers and expressions can be read", "\"/token\" = {", "\"/a~2\" = ¦{", "`/a~2` is not a JSON pointer"),
    ("pointers and expressions can be read", "{ json = \"/token\",", "{ json = ¦\"token\",", "not a JSON pointer"),
    (
        "pointers and expressions can be read",
        "{ json = \"/token\",",
        "¦{ header = 'x', json = \"/token\",",
        "or from a",
    ),
    ("pointers and expressions can be read", "{ json = \"/token\",", "¦{ ", "`json` or from a `header`"),
    ("pointers and expressions can be read", "json = \"/age\"", "json = ¦\"age\"", "not a JSON pointer"),
    ("pointers and expressions can be read", "json = \"/rights/write\"", "json = ¦\"rights\"", "not a JSON pointer"),
    ("pointers and expressions can be read", "json = \"/owner\"", "json = ¦\"owner\"", "not a JSON pointer"),
    (
        "pointers and expressions can be read",
        "\"/token\" = { exists = true }",
        "\"/token\" = ¦{ }",
        "nothing is tested",
    ),
    ("pointers and expressions can be read", "{ matches = \"^9\" }", "{ matches = ¦\"(\" }", "cannot be read"),
    ("pointers and expressions can be read", "{ matches = \"^9\" }", "{ matches = ¦\"(?=9)\" }", "cannot be read"),
    ("pointers and expressions can be read", "{ regex = \"^[0-9]{4}$\"", "{ regex = ¦\"[\"", "cannot be read"),
    ("pointers and expressions can be read", "\"^(k|K)-[a-z]{6}$\"", "¦\"^(k|K-[a-z]{6}$\"", "cannot be read"),
    ("pointers and expressions can be read", "\"^(k|K)-[a-z]{6}$\"", "¦\"(k|K)-[a-z]{6}$\"", "a part of a value"),
    ("pointers and expressions can be read", "\"^(k|K)-[a-z]{6}$\"", "¦\"^(k|K)-[a-z]{6}\"", "a part of a value"),
    ("pointers and expressions can be read", "\"^(k|K)-[a-z]{6}$\"", "¦'^(k|K)-[a-z]{6}\\$'", "a part of a value"),
    (
        "pointers and expressions can be read",
        "\"^(k|K)-[a-z]{6}$\"",
        "¦\"^k-[a-z]{6}|K-[a-z]{6}$\"",
        "a part of a value",
    ),
    (
        "rules mean what an answer can mean",
        "verdict = \"rejected\"\nblame",
        "verdict = ¦\"malformed\"\nblame",
        "`malformed` is never the meaning of an answer",
    ),
    ("rules mean what an answer can mean", "when = { status = [401, 403] }", "when = ¦{ }", "this fits every answer"),
    (
        "rules mean what an answer can mean",
        "[[check.rule]]\nid = \"bad-key\"\nwhen = { status = [401, 403] }\nverdict = \"rejected\"\nblame = [\"key\"]",
        "¦[[check.rule]]\nid = \"bad-key\"\nwhen = { status = [401, 403] }\nverdict = \"rejected\"",
        "it is rejected, but no field is to blame",
    ),
    (
        "rules mean what an answer can mean",
        "missing = [\"write\"]\n",
        "missing = [\"write\"]\nblame = ¦['key']\n",
        "`limited` blames no field",
    ),
    (
        "rules mean what an answer can mean",
        "[[check.rule]]\nid = \"no-plan\"\nwhen = { status = 402, json = { \"/error\" = \"plan\" } }\nverdict = \"limited\"\nmissing = [\"write\"]",
        "¦[[check.rule]]\nid = \"no-plan\"\nwhen = { status = 402, json = { \"/error\" = \"plan\" } }\nverdict = \"limited\"",
        "it is limited, but nothing is missing",
    ),
    (
        "rules mean what an answer can mean",
        "blame = [\"key\"]\nhint",
        "blame = [\"key\"]\nmissing = ¦['write']\nhint",
        "`rejected` misses nothing",
    ),
    (
        "rules mean what an answer can mean",
        "blame = [\"key\"]\nhint",
        "blame = [\"key\"]\nproves = ¦['key']\nhint",
        "a rejected credential proves nothing",
    ),
    (
        "rules mean what an answer can mean",
        "[[check]]\nid = \"login\"\nproves = [\"key_id\", \"key\"]",
        "¦[[check]]\nid = \"login\"",
        "`login` is required, but proves nothing",
    ),
    (
        "rules mean what an answer can mean",
        "[[check]]\nid = \"who\"\nproves = [\"write\"]\nafter = [\"login\"]\noptional = true\neffects = \"none\"",
        "[[check]]\nid = \"none\"\noptional = true\neffects = \"none\"\n[[check]]\nid = \"who\"\nproves = [\"write\"]\n\
         after = [\"login\"]\noptional = true\neffects = \"none\"",
        "no answer to `none` is ever accepted",
    ),
    (
        "good news has a proof",
        "{ status = 201, json = { \"/token\" = { exists = true } } }",
        "¦{ status = 201 }",
        "`accepted` has no proof",
    ),
    (
        "good news has a proof",
        "{ status = 201, json = { \"/token\" = { exists = true } } }",
        "¦{ status = 201, json = { \"/token\" = { exists = false } } }",
        "`accepted` has no proof",
    ),
    (
        "good news has a proof",
        "{ status = 201, json = { \"/token\" = { exists = true } } }",
        "¦{ status = 201, body = { not_eq = 'no' } }",
        "`accepted` has no proof",
    ),
    (
        "good news has a proof",
        "{ status = 402, json = { \"/error\" = \"plan\" } }",
        "¦{ status = 402 }",
        "`limited` has no proof",
    ),
    (
        "every rule can be reached",
        "{ status = 402, json = { \"/error\" = \"plan\" } }",
        "¦{ status = 201, json = { \"/token\" = { exists = true } } }",
        "`logged-in` takes every such answer before",
    ),
    (
        "every rule can be reached",
        "{ status = 402, json = { \"/error\" = \"plan\" } }",
        "¦{ status = 201, json = { \"/token\" = { exists = true }, \"/error\" = \"plan\" } }",
        "`logged-in` takes every such answer before",
    ),
    (
        "every rule can be reached",
        "{ status = 201, json = { \"/token\" = { exists = true } } }",
        "{ status = '4xx' }",
        "`logged-in` takes every such answer before",
    ),
    (
        "the control request has a policy",
        "[[check]]\nid = \"login\"\nproves = [\"key_id\", \"key\"]\neffects = \"counts-quota\"\ntimeout_s = 10\n\
         control = { mutate = [\"key\"], run = \"always\", delay_ms = 100 }",
        "¦[[check]]\nid = \"login\"\nproves = [\"key_id\", \"key\"]\neffects = \"counts-quota\"\ntimeout_s = 10",
        "`login` sends a secret and has no control policy",
    ),
    ("the control request has a policy", "mutate = [\"key\"]", "mutate = ¦[]", "scrambles at least one field"),
    (
        "the control request has a policy",
        "mutate = [\"key\"]",
        "mutate = [¦\"bundle\"]",
        "`login` does not send `bundle`",
    ),
    (
        "the control request has a policy",
        "effects = \"counts-quota\"\ntimeout_s = 10\ncontrol = { mutate = [\"key\"], run = \"always\"",
        "effects = \"may-lock-out\"\ntimeout_s = 10\ncontrol = { mutate = [\"key\"], run = ¦\"always\"",
        "a wrong value with every check",
    ),
    // Fixtures.
    ("fixtures are well-formed", "name = \"in\"\ncheck = \"login\"", "name = \"in\"\ncheck = ¦\"x\"", "no check `x`"),
    (
        "fixtures are well-formed",
        "[[fixture]]\nname = \"dark\"\ncheck = \"login\"\norigin = \"synthetic\"\ntransport = \"dns\"",
        "¦[[fixture]]\nname = \"dark\"\ncheck = \"login\"\norigin = \"synthetic\"",
        "a fixture has a `response` or a `transport`",
    ),
    (
        "fixtures are well-formed",
        "[[fixture]]\nname = \"dark\"\ncheck = \"login\"\norigin = \"synthetic\"\ntransport = \"dns\"",
        "¦[[fixture]]\nname = \"dark\"\ncheck = \"login\"\norigin = \"synthetic\"\ntransport = \"dns\"\nresponse.status = 503",
        "a fixture has a `response` or a `transport`",
    ),
    ("fixtures are well-formed", "body = '{\"error\":\"plan\"}'", "json = {}, body = ¦'x'", "`json` or a `body`"),
    ("fixtures are well-formed", "response = { status = 401 }", "response = { status = ¦99 }", "not an HTTP status"),
    (
        "fixtures are well-formed",
        "{ verdict = \"accepted\", why = \"logged-in\" }",
        "{ verdict = ¦\"unchecked\", why = \"logged-in\" }",
        "`unchecked` is never the meaning",
    ),
    (
        "fixtures are well-formed",
        "expect = { verdict = \"inconclusive\" }",
        "expect = { verdict = ¦\"accepted\" }",
        "nothing is learnt when the network fails",
    ),
    (
        "fixtures are well-formed",
        "{ verdict = \"limited\", why = \"no-plan\", missing = [\"write\"] }",
        "¦{ verdict = \"limited\", why = \"no-plan\" }",
        "does not say what is missing",
    ),
    (
        "every verdict and rule has a fixture",
        "expect = { verdict = \"accepted\", why = \"logged-in\" }",
        "expect = { verdict = \"inconclusive\", why = \"logged-in\" }",
        "no fixture shows an answer to `login` that is accepted",
    ),
    (
        "every verdict and rule has a fixture",
        "expect = { verdict = \"rejected\",",
        "expect = { verdict = \"inconclusive\",",
        "no fixture shows an answer to `login` that is rejected",
    ),
    (
        "every verdict and rule has a fixture",
        "expect = { verdict = \"inconclusive\" }",
        "expect = { verdict = \"rejected\" }",
        "no fixture shows an answer to `login` that is inconclusive",
    ),
    (
        "every verdict and rule has a fixture",
        "why = \"bad-key\"",
        "why = \"worse-key\"",
        "no fixture shows the rule `bad-key`",
    ),
    (
        "every verdict and rule has a fixture",
        "id = \"no-plan\"",
        "id = \"no-plan\"\nwhy = \"payment\"",
        "no fixture shows the rule `no-plan`",
    ),
    ("every verdict and rule has a fixture", "why = \"known\", ", "", "no fixture shows the rule `known`"),
    // Samples.
    ("samples show their format", "good = [\"1234\"]\n", "", "no sample shows what `key_id` looks like"),
    ("samples show their format", "bad = [\"12345\"]\n", "", "no sample shows what `key_id` does not look like"),
    ("samples show their format", "bad = [\"{\"]\n", "", "no sample shows what `bundle` does not look like"),
    (
        "samples show their format",
        "good = [\"1234\"]",
        "good = [\"1234\", ¦\"x\"]",
        "good sample does not fit `key_id`",
    ),
    ("samples show their format", "bad = [\"12345\"]", "bad = [¦[\"43\", \"21\"]]", "this bad sample fits `key_id`"),
    ("samples show their format", "['{\"owner\":\"o\"}']", "[¦'{owner}']", "good sample does not fit `bundle`"),
    (
        "samples show their format",
        "regex = \"^[0-9]{4}$\"\ngood",
        "min_len = 5\ngood",
        "good sample does not fit `key_id`",
    ),
    ("mistakes are shown and miss every good sample", ", warn = true", "", "`old_key` is said of a good sample"),
    (
        "mistakes are shown and miss every good sample",
        "bad = [\"1234\"]",
        "bad = [\"x\"]",
        "makes the mistake `that_is_",
    ),
];

/// Changes after which a law has nothing to say.
const ALLOWED: &[(&str, &str, &str)] = &[
    ("samples show their format", "regex = \"^[0-9]{4}$\"\ngood", "max_bytes = 4\ngood"),
    ("the id is the file's stem", "name = \"Acme Files\"", "name = \"Another name\""),
    ("pointers and expressions can be read", "\"^(k|K)-[a-z]{6}$\"", "\"(?i)^(k|[|])-[a-z]{6}$\""),
    ("pointers and expressions can be read", "\"/token\" = {", "\"/a~1b~0/*\" = {"),
    (
        "good news has a proof",
        "{ status = 402, json = { \"/error\" = \"plan\" } }",
        "{ location_query = { e = 'plan' } }",
    ),
    ("every rule can be reached", "{ status = [401, 403] }", "{ status = '4xx' }"),
    (
        "every rule can be reached",
        "{ status = 402, json = { \"/error\" = \"plan\" } }",
        "{ json = { \"/error\" = \"plan\" } }",
    ),
    ("no secret stands in a query", "\"${var.base}/who\"", "\"${var.base}/${field.key}/who?a=${field.key_id}\""),
    ("no secret stands in a query", "strategy = \"header\"", "strategy = \"query\""),
    ("the control request has a policy", "run = \"always\"", "run = \"prove\""),
    ("nothing secret is shown", "\"Make a new key.\"", "\"Not ${field.key_id}.\""),
    ("environment names have their shape and are unique", "[\"ACME_KEY\"]", "[\"ACME_KEY2\", \"AK_\"]"),
    ("good news has a proof", "{ same_as = \"owner\" }", "{ certifies = \"key\" }"),
    (
        "every field is asked for in a step",
        "capture = [\"key_id\", \"key\", \"bundle\"]",
        "capture = [\"key_id\", \"key\", \"bundle\"]\n[[field]]\nid = \"old\"\nlabel = \"Old\"\nstatus = \"retired\"",
    ),
];

#[test]
fn a_file_in_which_nothing_is_wrong_has_no_findings() {
    assert_eq!(lint("acme.toml", GOOD), []);
}

/// The findings of one law.
fn of_law(law: &str, text: &str) -> Vec<Finding> {
    let law = LAWS.iter().find(|known| known.name == law).unwrap_or_else(|| panic!("there is no law `{law}`"));
    let provider = parse("acme.toml", text).unwrap_or_else(|fault| panic!("{fault}\n{text}"));
    hold(&[*law], "acme.toml", text, &provider, &fits)
}

/// [`GOOD`] with the one place `from` replaced, and the place that `¦` marks in `to`.
fn changed(from: &str, to: &str) -> (String, Option<Place>) {
    assert_eq!(GOOD.matches(from).count(), 1, "this has to be there once: {from}");
    let text = GOOD.replace(from, &to.replace('¦', ""));
    let offset = to.find('¦').map(|offset| GOOD.find(from).unwrap() + offset);
    (text.clone(), offset.map(|offset| Place::of(&text, offset)))
}

#[test]
fn every_law_finds_its_breach_where_it_stands() {
    let mut wrong = Vec::new();
    for (law, from, to, what) in CASES {
        let (text, place) = changed(from, to);
        let findings = of_law(law, &text);
        match findings.iter().find(|finding| finding.what.contains(what)) {
            None => wrong.push(format!("{law}: {to}: expected `{what}`, found {findings:#?}")),
            Some(found) if place.is_some_and(|place| place != found.at) => {
                wrong.push(format!("{law}: {to}: not at {}, but {found}", place.unwrap()));
            }
            Some(found) => assert!(lint("acme.toml", &text).contains(found), "{law}: {to}"),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_a_law_allows_is_not_found() {
    for (law, from, to) in ALLOWED {
        let (text, _) = changed(from, to);
        assert_eq!(of_law(law, &text), [], "{law}: {to}");
    }
}

#[test]
fn no_law_is_without_a_case() {
    let shown = |law: &&Law| CASES.iter().any(|(name, ..)| *name == law.name) || law.name == SCANNERS;
    let missing: Vec<&str> = LAWS.iter().filter(|law| !shown(law)).map(|law| law.name).collect();
    assert_eq!(missing, [""; 0]);
}

const SCANNERS: &str = "no sample looks like a secret";

#[test]
fn what_a_scanner_would_report_is_found_in_one_piece_and_not_in_two() {
    let tail = |length: usize| "Ab3d".repeat(9)[..length].to_owned();
    let shapes = [
        ("AKIA", "ABCD2345".repeat(2)),
        ("GOCSPX-", tail(28)),
        ("AIza", tail(35)),
        ("123456789:", tail(35)),
        ("AC", "0123456789abcdef".repeat(2)),
        ("SK", "0123456789abcdef".repeat(2)),
        ("eyJhbGciOiJI.", "eyJzdWIiOiIxIn0.x".to_owned()),
        ("-----BEGIN RSA ", "PRIVATE KEY-----".to_owned()),
        ("ghp_", tail(36)),
        ("xoxb-", tail(10)),
    ];
    for (head, tail) in shapes {
        let (text, _) = changed("\"Make a new key.\"", &format!("\"{head}{tail}\""));
        let findings = of_law(SCANNERS, &text);
        assert_eq!(findings.len(), 1, "{head}…: {findings:#?}");
        assert_eq!(findings[0].at, Place::of(&text, text.find(&format!("{head}{tail}")).unwrap()), "{head}…");
        let (text, _) = changed("bad = [\"12345\"]", &format!("bad = [[\"{head}\", \"{tail}\"]]"));
        assert_eq!(of_law(SCANNERS, &text), [], "{head}…");
    }
}

#[test]
fn the_outer_form_of_each_structure_is_known() {
    let uuid = "01234567-89ab-cdef-0123-456789ABCDEF";
    let known = [
        ("aws-access-key-id", ["AK", "IAABCDEFGHIJKLMNOP"].concat(), "AKIA"),
        ("gcp-service-account", r#"{"type":"service_account"}"#.to_owned(), r#"{"type":"authorized_user"}"#),
        ("jwt", "a.b.c".to_owned(), "a.b"),
        ("p256-private-key", "-----BEGIN X-----\nAA\n-----END X-----\n".to_owned(), "AA"),
        ("rsa-private-key", "-----BEGIN X-----\nAA\n-----END X-----\n".to_owned(), "AA"),
        ("pem", "-----BEGIN X-----\nAA\n-----END X-----\n".to_owned(), "AA"),
        ("json", "{}".to_owned(), "{"),
        ("uuid", uuid.to_owned(), "01234567"),
    ];
    for (structure, good, bad) in known {
        let field = format!("id = 'x'\nlabel = 'X'\nformat = {{ structure = '{structure}' }}");
        let field: Field = toml::from_str(&field).unwrap();
        assert!(fits(&field, &good), "{structure}");
        assert!(!fits(&field, bad), "{structure}");
    }
}

#[test]
fn a_nearest_name_is_offered_or_all_names_are() {
    let hint = |from: &str, to: &str| of_law("placeholders are declared", &changed(from, to).0)[0].hint.clone();
    assert_eq!(hint("\"Press [[Delete]].\"", "\"${var.regoin}\"").as_deref(), Some("did you mean `region`?"));
    let all = hint("\"Press [[Delete]].\"", "\"${var.quux}\"");
    assert_eq!(all.as_deref(), Some("there are: base, callback, region"));
}

#[test]
fn findings_come_in_the_order_of_the_text() {
    let text =
        GOOD.replace("[[Delete]]", "[[Delete").replace("2026-11-20", "2026").replace("timeout_s = 10", "timeout_s = 0");
    let places: Vec<Place> = lint("acme.toml", &text).into_iter().map(|finding| finding.at).collect();
    assert_eq!(places.len(), 3);
    assert!(places.is_sorted(), "{places:?}");
}

#[test]
fn a_file_that_does_not_parse_has_one_finding_with_its_place_and_hint() {
    let findings = lint("acme.toml", &GOOD.replace("[check.auth]\nstrategy", "[check.auth]\nstratgey"));
    assert_eq!(findings.len(), 1);
    assert!(findings[0].to_string().ends_with(": unknown key `stratgey`"), "{}", findings[0]);
    assert!(findings[0].to_string().starts_with("acme.toml:1"), "{}", findings[0]);
    assert_eq!(findings[0].hint.as_deref(), Some("did you mean `strategy`?"));
}

#[test]
fn the_whole_format_engine_can_judge_samples() {
    let findings = lint_with("acme.toml", GOOD, &|field, value| field.id == "key_id" && value == "12345");
    let what: Vec<&str> = findings.iter().map(|finding| finding.what.as_str()).collect();
    assert!(what.contains(&"this bad sample fits `key_id`"), "{what:?}");
    assert!(what.contains(&"this good sample does not fit `key_id`"), "{what:?}");
}
