//! The proof over a real connection: every answer, and every way to give none, through the one door to the network.

mod strategies;

use std::env;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use keyward::check::{Door, Job, Options, Script, ask, ask_many, canned, decide, decide_over, sample};
use keyward::clock::SystemClock;
use keyward::credential::{Credential, Value};
use keyward::provider::catalog::Catalog;
use keyward::provider::parse::parse;
use keyward::provider::{Effects, Provider};
use keyward::standin::{Answer, StandIn};
use keyward::verdict::{Control, Record, Verdict};
use serde_json::json;
use url::Url;

use crate::support::service::{Company, Rogue};

/// The longest that these tests wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Whatever is late on a busy machine.
const GRACE: Duration = Duration::from_millis(1500);

/// Nowhere to be seen but in what is sent.
fn canary() -> String {
    ["canary", "-7f3a/9+", "Zq81"].concat()
}

fn provider(rest: &str) -> Provider {
    let head = "schema = 1\n[provider]\nid = 'acme'\nname = 'Acme'\nsummary = 's'\ncategory = 'sms'\nstatus = 'active'\n\
                [provenance]\nreviewed = '2026-11-21'\nsource = []\n";
    parse("acme.toml", &format!("{head}{rest}")).unwrap_or_else(|fault| panic!("{fault}: {:?}", fault.hint))
}

/// A key in the path, the query, a header and the body; `effects` decides whether it is asked twice.
fn acme(more: &str) -> Provider {
    provider(&format!(
        "[[field]]\nid = 'key'\nlabel = 'k'\nsecret = true\nformat = {{ good = ['sample-key-0123456789'] }}\n\
         [[check]]\nid = 'ask'\nproves = ['key']\n{more}\n\
         [check.request]\nmethod = 'POST'\nurl = 'https://acme.invalid/v1/${{field.key}}'\nquery = {{ k = '${{field.key}}' }}\n\
         headers = {{ x-key = '${{field.key}}' }}\nform = {{ k = '${{field.key}}' }}\n\
         [[check.rule]]\nid = 'known'\nverdict = 'accepted'\nwhen = {{ json = {{ '/ok' = true }} }}\n\
         [[check.rule]]\nid = 'unknown'\nverdict = 'rejected'\nblame = ['key']\nwhen = {{ status = 401 }}\n\
         [check.extract]\necho = {{ json = '/echo', label = true }}\n"
    ))
}

fn with_key(provider: &Provider, key: &str) -> Credential {
    let mut credential = sample(provider, &[].into());
    credential.fields.insert("key".to_owned(), Value::Secret(key.into()));
    credential
}

fn asked(more: &str, options: &Options) -> Record {
    let provider = acme(more);
    let started = Instant::now();
    let record = ask(&provider, &with_key(&provider, &canary()), Door::shared(), options, &SystemClock);
    assert!(started.elapsed() < TIMEOUT + GRACE, "it took {:?}", started.elapsed());
    let shown = format!("{record:?} {}", serde_json::to_string(&record).unwrap());
    assert!(!shown.contains("canary") && !shown.contains("Zq81"), "{shown}");
    record
}

fn at(endpoint: Option<Url>) -> Record {
    asked("effects = 'issues-token'", &Options { endpoint, timeout: Some(TIMEOUT), ..Options::default() })
}

fn gives(endpoint: Url, why: &str) -> Record {
    let record = at(Some(endpoint));
    assert_eq!((record.verdict, record.why.as_str()), (Verdict::Inconclusive, why), "{:?}", record.seen);
    assert!(record.hint.is_some() && record.seen.as_ref().is_some_and(|seen| seen.contains("127.0.0.1")), "{record:?}");
    record
}

#[test]
fn a_service_that_hangs_is_waited_for_no_longer_than_said() {
    let started = Instant::now();
    gives(Rogue::hangs().url(), "network-timeout");
    assert!(started.elapsed() >= TIMEOUT);
}

#[test]
fn a_service_that_never_comes_to_an_end_is_waited_for_no_longer_than_said() {
    let service = Rogue::drips();
    gives(service.url(), "network-timeout");
}

#[test]
fn a_service_that_closes_gives_no_answer() {
    let service = Rogue::closes();
    gives(service.url(), "network-closed");
}

#[test]
fn a_service_that_closes_in_the_body_gives_no_answer_even_when_it_began_well() {
    let service = Rogue::closes_in_the_body();
    gives(service.url(), "network-closed");
}

#[test]
fn a_hundred_megabytes_are_not_read() {
    for announced in [true, false] {
        let service = Rogue::floods(announced);
        gives(service.url(), "response-too-large");
        assert!(service.written() < 32 * 1024 * 1024, "{} bytes were taken", service.written());
    }
}

#[test]
fn what_is_not_http_is_no_answer() {
    for text in [&b"\x00\x01\x02\xff garbage \r\n\r\n"[..], b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 abc\r\n\r\n"] {
        let service = Rogue::says(text);
        gives(service.url(), "unexpected-response");
    }
}

#[test]
fn plain_words_on_a_secure_port_are_a_failure_of_tls() {
    let service = Rogue::says(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").claiming_tls();
    gives(service.url(), "network-tls");
    let closing = Rogue::closes().claiming_tls();
    gives(closing.url(), "network-tls");
}

#[test]
fn a_port_where_nobody_listens_is_said() {
    gives(Rogue::nobody(), "network-refused");
}

#[test]
fn a_redirect_is_never_followed() {
    for status in [301, 302, 303, 307, 308] {
        let elsewhere = StandIn::start(|_| Answer::json(200, &json!({ "ok": true }))).unwrap();
        let to = elsewhere.url().join("steal?x=1").unwrap();
        let service = StandIn::start(move |_| Answer::text(status, "").header("location", to.as_str())).unwrap();
        let record = gives(service.url(), "unexpected-redirect");
        assert_eq!((service.seen().len(), elsewhere.seen().len()), (1, 0), "{status}");
        assert!(!record.hint.unwrap().contains("steal"));
    }
}

#[test]
fn what_is_sent_arrives_whole_and_under_our_own_name() {
    let service = StandIn::start(|_| Answer::json(200, &json!({ "ok": true, "echo": "someone" }))).unwrap();
    let record = at(Some(service.url().join("base").unwrap()));
    assert_eq!((record.verdict, record.account.as_deref()), (Verdict::Accepted, Some("someone")));
    let seen = &service.seen()[0];
    assert_eq!((seen.method.as_str(), seen.path.as_str()), ("POST", "/base/v1/canary-7f3a%2F9%2BZq81"));
    assert_eq!(seen.query.as_deref(), Some("k=canary-7f3a%2F9%2BZq81"));
    assert_eq!(
        (seen.header("x-key"), seen.body.as_slice()),
        (Some(canary().as_str()), &b"k=canary-7f3a%2F9%2BZq81"[..])
    );
    assert_eq!(seen.header("user-agent"), Some(concat!("keyward/", env!("CARGO_PKG_VERSION"))));
    assert_eq!(seen.header("content-length"), Some("24"));
}

#[test]
fn an_echo_in_any_form_stays_out_of_everything_that_is_shown() {
    use base64::Engine as _;
    let encoded = base64::engine::general_purpose::STANDARD.encode(format!("user:{}", canary()));
    let echoes = [canary(), canary().replace('/', "\\/"), "canary-7f3a%2f9%2bZq81".to_owned(), encoded.clone()];
    for echo in echoes {
        let body = json!({ "ok": true, "echo": format!("for {echo}"), "code": echo });
        let service = StandIn::start(move |_| Answer::json(200, &body).header("x-echo", &echo)).unwrap();
        let record = at(Some(service.url()));
        let account = record.account.unwrap();
        assert!(account.starts_with("for ") && account.contains("[secret]"), "{account}");
        assert!(!account.contains(&encoded[10..20]) && !record.seen.unwrap().contains(&encoded[10..20]));
    }
}

#[test]
fn passing_trouble_is_asked_about_once_more_where_that_does_nothing() {
    for (effects, requests) in [("none", 2), ("issues-token", 1)] {
        let service = StandIn::start(|_| Answer::json(503, &json!({}))).unwrap();
        let options = Options { endpoint: Some(service.url()), timeout: Some(TIMEOUT), ..Options::default() };
        let record = asked(&format!("effects = '{effects}'"), &options);
        assert_eq!((record.why.as_str(), service.seen().len()), ("server-error", requests), "{effects}");
    }
}

const ALWAYS: &str = "effects = 'none'\ncontrol = { mutate = ['key'], run = 'always', delay_ms = 10 }";

fn controlled(answer: impl Fn(bool) -> Answer + Send + Sync + 'static) -> (Record, usize) {
    let service = StandIn::start(move |seen| answer(seen.header("x-key") == Some(&canary()))).unwrap();
    let record = asked(ALWAYS, &Options { endpoint: Some(service.url()), ..Options::default() });
    (record, service.seen().len())
}

#[test]
fn a_service_that_refuses_the_wrong_secret_passes_the_control() {
    let (record, requests) =
        controlled(
            |right| {
                if right { Answer::json(200, &json!({ "ok": true })) } else { Answer::json(401, &json!({})) }
            },
        );
    assert_eq!((record.verdict, record.control, requests), (Verdict::Accepted, Control::Passed, 2));
}

#[test]
fn a_service_that_takes_every_secret_fails_the_control() {
    let (record, requests) = controlled(|_| Answer::json(200, &json!({ "ok": true })));
    assert_eq!((record.verdict, record.why.as_str()), (Verdict::Inconclusive, "control-failed"));
    assert_eq!((record.control, record.proven.is_empty(), requests), (Control::Failed, true, 2));
}

#[test]
fn a_control_that_is_throttled_leaves_nothing_proven_where_the_proof_rests_on_it() {
    let (record, _) = controlled(|right| Answer::json(if right { 200 } else { 429 }, &json!({ "ok": right })));
    assert_eq!((record.verdict, record.why.as_str()), (Verdict::Inconclusive, "control-unanswered"));
    assert_eq!((record.control, record.proven.is_empty()), (Control::NotRun, true));
}

#[test]
fn many_services_are_asked_in_the_time_of_the_slowest() {
    let slow = |_: &_| Answer::json(200, &json!({ "ok": true })).after(Duration::from_millis(300));
    let service = StandIn::start(slow).unwrap();
    let provider = acme("effects = 'none'");
    let credential = with_key(&provider, &canary());
    let options = Options { endpoint: Some(service.url()), ..Options::default() };
    let jobs: Vec<Job<'_>> =
        (0..32).map(|_| Job { provider: &provider, credential: &credential, options: options.clone() }).collect();
    let done = AtomicUsize::new(0);
    let started = Instant::now();
    let records = ask_many(&jobs, 32, Door::shared(), &SystemClock, &|_, _| {
        done.fetch_add(1, Ordering::Relaxed);
    });
    let took = started.elapsed();
    assert!(records.iter().all(|record| record.verdict == Verdict::Accepted && record.latency_ms >= 300));
    assert_eq!((records.len(), done.into_inner(), service.seen().len()), (32, 32, 32));
    assert!(took < Duration::from_millis(1000), "{took:?}");
}

/// Runs the test `name` of this program again, in a process with another environment.
fn again(name: &str, settings: &[(&str, &str)]) {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args([&format!("check::{name}"), "--exact", "--nocapture"]).env(CHILD, "1");
    for name in ["SSL_CERT_FILE", "SSL_CERT_DIR", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"] {
        command.env_remove(name).env_remove(name.to_lowercase());
    }
    let output = command.envs(settings.iter().copied()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}{}", String::from_utf8_lossy(&output.stderr));
}

const CHILD: &str = "KEYWARD_TEST_CHILD";
const TARGET: &str = "KEYWARD_TEST_TARGET";

fn target() -> Option<Url> {
    env::var(TARGET).ok().map(|url| Url::parse(&url).unwrap())
}

#[test]
fn the_authority_that_ssl_cert_file_names_is_believed() {
    if env::var_os(CHILD).is_some() {
        assert_eq!(at(target()).verdict, Verdict::Accepted);
        return;
    }
    let company = Company::start("{\"ok\":true}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("company.pem");
    std::fs::write(&file, &company.authority).unwrap();
    let url = company.service.url();
    let settings = [("SSL_CERT_FILE", file.to_str().unwrap()), (TARGET, url.as_str())];
    again("the_authority_that_ssl_cert_file_names_is_believed", &settings);
}

#[test]
fn a_certificate_that_nobody_vouches_for_is_not_believed() {
    if env::var_os(CHILD).is_some() {
        let record = gives(target().unwrap(), "network-tls");
        assert!(record.seen.unwrap().contains("invalid peer certificate"));
        return;
    }
    let (company, other) = (Company::start("{\"ok\":true}"), Company::start("{\"ok\":true}"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("other.pem");
    std::fs::write(&file, &other.authority).unwrap();
    let url = company.service.url();
    let settings = [("SSL_CERT_FILE", file.to_str().unwrap()), (TARGET, url.as_str())];
    again("a_certificate_that_nobody_vouches_for_is_not_believed", &settings);
}

#[test]
fn a_name_that_does_not_resolve_is_said() {
    if env::var_os(CHILD).is_some() {
        let record = at(None);
        assert_eq!((record.verdict, record.why.as_str()), (Verdict::Inconclusive, "network-dns"), "{:?}", record.seen);
        assert_eq!(record.seen.as_deref(), Some("no answer from acme.invalid"));
        return;
    }
    again("a_name_that_does_not_resolve_is_said", &[]);
}

#[test]
fn a_machine_without_any_authority_is_told_so() {
    if env::var_os(CHILD).is_some() {
        let record = at(target());
        assert_eq!((record.verdict, record.why.as_str()), (Verdict::Inconclusive, "network-tls"));
        assert!(record.seen.unwrap().contains("no certificate authorities"));
        return;
    }
    let company = Company::start("{\"ok\":true}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("empty.pem");
    std::fs::write(&file, "").unwrap();
    let url = company.service.url();
    let settings = [("SSL_CERT_FILE", file.to_str().unwrap()), (TARGET, url.as_str())];
    again("a_machine_without_any_authority_is_told_so", &settings);
}

#[test]
fn a_proxy_that_does_not_answer_is_told_apart_from_the_service() {
    if env::var_os(CHILD).is_some() {
        let record = at(None);
        assert_eq!(
            (record.verdict, record.why.as_str()),
            (Verdict::Inconclusive, "network-proxy"),
            "{:?}",
            record.seen
        );
        return;
    }
    let proxy = Rogue::nobody();
    again("a_proxy_that_does_not_answer_is_told_apart_from_the_service", &[("HTTPS_PROXY", proxy.as_str())]);
}

#[test]
fn a_proxy_that_refuses_is_told_apart_from_the_service() {
    if env::var_os(CHILD).is_some() {
        let record = at(None);
        assert_eq!(
            (record.verdict, record.why.as_str()),
            (Verdict::Inconclusive, "network-proxy"),
            "{:?}",
            record.seen
        );
        return;
    }
    for answer in [&b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"[..], b"HTTP/1.1 403 Forbidden\r\n\r\n"] {
        let proxy = Rogue::says(answer);
        again("a_proxy_that_refuses_is_told_apart_from_the_service", &[("HTTPS_PROXY", proxy.url().as_str())]);
    }
}

#[test]
fn this_machine_is_never_asked_through_a_proxy() {
    if env::var_os(CHILD).is_some() {
        assert_eq!(at(target()).verdict, Verdict::Accepted);
        return;
    }
    let service = StandIn::start(|_| Answer::json(200, &json!({ "ok": true }))).unwrap();
    let (proxy, url) = (Rogue::nobody(), service.url());
    let settings = [("HTTP_PROXY", proxy.as_str()), ("ALL_PROXY", proxy.as_str()), (TARGET, url.as_str())];
    again("this_machine_is_never_asked_through_a_proxy", &settings);
    assert_eq!(service.seen().len(), 1);
}

/// Each needs another kind of proof; the files that are shipped say more.
const SHAPES: [&str; 8] = [
    // A key in a header, rights in the answer, which echoes the key.
    "[[field]]\nid = 'api_key'\nlabel = 'k'\nsecret = true\n\
     [[scope]]\nid = 'library_write'\nwhy = 'w'\nverify = { check = 'key', json = '/access/user/write', test = true }\n\
     [[scope]]\nid = 'groups_write'\nwhy = 'w'\nverify = { check = 'key', json = '/access/groups/*/write', test = true }\n\
     [[check]]\nid = 'key'\nproves = ['api_key']\neffects = 'none'\n\
     request = { method = 'GET', url = 'https://api.zotero.org/keys/current', headers = { Zotero-API-Version = '3' } }\n\
     auth = { strategy = 'header', name = 'Zotero-API-Key', value = '${field.api_key}' }\n\
     extract = { account = { json = '/username', label = true } }\n\
     [[check.rule]]\nid = 'known'\nverdict = 'accepted'\nwhen = { status = 200, json = { '/userID' = { exists = true } } }\n\
     [[check.rule]]\nid = 'unknown'\nverdict = 'rejected'\nblame = ['api_key']\nwhen = { status = [403, 404] }\n\
     [[fixture]]\nname = 'all rights'\ncheck = 'key'\norigin = 'synthetic'\n\
     response = { status = 200, json = { key = '${field.api_key}', userID = 1, username = 'ops', access = { user = { write = true }, groups = { all = { write = true } } } } }\n\
     expect = { verdict = 'accepted', account = 'ops' }\n\
     [[fixture]]\nname = 'read only'\ncheck = 'key'\norigin = 'synthetic'\n\
     response = { status = 200, json = { userID = 1, access = { user = { library = true } } } }\n\
     expect = { verdict = 'limited', why = 'missing-scope', missing = ['library_write', 'groups_write'] }\n\
     [[fixture]]\nname = 'unknown'\ncheck = 'key'\norigin = 'synthetic'\nresponse = { status = 403, body = 'Invalid key' }\n\
     expect = { verdict = 'rejected', blame = ['api_key'] }\n\
     [[fixture]]\nname = 'guest network'\ncheck = 'key'\norigin = 'synthetic'\n\
     response = { status = 403, body = '<html>Log in</html>' }\nexpect = { verdict = 'inconclusive', why = 'unexpected-response' }\n",
    // A token in the path, a name that is compared.
    "[[field]]\nid = 'token'\nlabel = 't'\nsecret = true\n[[field]]\nid = 'bot'\nlabel = 'b'\nformat = { good = ['desk_bot'] }\n\
     [[check]]\nid = 'get_me'\nproves = ['token', 'bot']\neffects = 'none'\n\
     request = { method = 'GET', url = 'https://api.telegram.org/bot${field.token}/getMe' }\n\
     [[check.rule]]\nid = 'same'\nverdict = 'accepted'\nwhen = { json = { '/ok' = true, '/result/username' = { same_as = 'bot', ignore_case = true } } }\n\
     [[check.rule]]\nid = 'other'\nverdict = 'limited'\nwhy = 'name-differs'\nmissing = ['bot']\nproves = ['token']\nwhen = { json = { '/ok' = true } }\n\
     [[check.rule]]\nid = 'revoked'\nverdict = 'rejected'\nwhen = { status = 401, json = { '/ok' = false } }\n\
     [[fixture]]\nname = 'same'\ncheck = 'get_me'\norigin = 'synthetic'\n\
     response = { status = 200, json = { ok = true, result = { username = 'Desk_Bot' } } }\nexpect = { verdict = 'accepted', why = 'same' }\n\
     [[fixture]]\nname = 'other'\ncheck = 'get_me'\norigin = 'synthetic'\n\
     response = { status = 200, json = { ok = true, result = { username = 'other_bot' } } }\nexpect = { verdict = 'limited', why = 'name-differs', missing = ['bot'] }\n\
     [[fixture]]\nname = 'revoked'\ncheck = 'get_me'\norigin = 'synthetic'\n\
     response = { status = 401, json = { ok = false } }\nexpect = { verdict = 'rejected' }\n",
    // An OAuth pair without a user, and the redirect URI at the authorize endpoint.
    "[[field]]\nid = 'id'\nlabel = 'i'\n[[field]]\nid = 'secret'\nlabel = 's'\nsecret = true\n\
     [[var]]\nid = 'redirect_uri'\nlabel = 'r'\ndefault = 'https://portal.example/oauth2.aspx'\n\
     [[check]]\nid = 'pair'\nproves = ['id', 'secret']\neffects = 'none'\ncontrol = { mutate = ['secret'], run = 'always' }\n\
     auth = { strategy = 'oauth2-client-probe', token_url = 'https://oauth2.googleapis.com/token', client_id = '${field.id}', client_secret = '${field.secret}', redirect_uri = '${var.redirect_uri}' }\n\
     [[check]]\nid = 'redirect'\nproves = ['redirect_uri']\nafter = ['pair']\noptional = true\neffects = 'none'\n\
     [check.request]\nmethod = 'GET'\nurl = 'https://accounts.google.com/o/oauth2/v2/auth'\nexpect = 'any'\nuser_agent = 'Mozilla/5.0'\n\
     query = { client_id = '${field.id}', redirect_uri = '${var.redirect_uri}', response_type = 'code', scope = 'openid' }\n\
     [[check.rule]]\nid = 'mismatch'\nverdict = 'limited'\nmissing = ['redirect_uri']\n\
     when = { status = '3xx', location_query = { authError = { decode = 'base64url', contains = 'redirect_uri_mismatch' } } }\n\
     [[check.rule]]\nid = 'sign_in'\nverdict = 'accepted'\nwhen = { status = '3xx', header = { location = { contains = '/signin/identifier' } } }\n\
     [[fixture]]\nname = 'known'\ncheck = 'pair'\norigin = 'synthetic'\n\
     response = { status = 400, json = { error = 'invalid_grant' } }\nexpect = { verdict = 'accepted', why = 'client-authenticated' }\n\
     [[fixture]]\nname = 'wrong'\ncheck = 'pair'\norigin = 'synthetic'\n\
     response = { status = 401, json = { error = 'invalid_client' } }\nexpect = { verdict = 'rejected', blame = ['id', 'secret'] }\n\
     [[fixture]]\nname = 'mismatch'\ncheck = 'redirect'\norigin = 'synthetic'\n\
     response = { status = 302, headers = { location = '/signin/oauth/error?authError=ChVyZWRpcmVjdF91cmlfbWlzbWF0Y2g' } }\n\
     expect = { verdict = 'limited', missing = ['redirect_uri'] }\n\
     [[fixture]]\nname = 'registered'\ncheck = 'redirect'\norigin = 'synthetic'\n\
     response = { status = 302, headers = { location = 'https://accounts.google.com/signin/identifier?x=1' } }\nexpect = { verdict = 'accepted' }\n",
    // A signed request, an XML answer, a bucket by HEAD.
    "[[field]]\nid = 'id'\nlabel = 'i'\n[[field]]\nid = 'key'\nlabel = 'k'\nsecret = true\n\
     [[field]]\nid = 'session'\nlabel = 's'\nsecret = true\nrequired = false\n[[var]]\nid = 'region'\nlabel = 'r'\nhost = true\ndefault = 'us-east-1'\n\
     [[check]]\nid = 'whoami'\nproves = ['id', 'key']\neffects = 'none'\n\
     request = { method = 'POST', url = 'https://sts.${var.region}.amazonaws.com/', form = { Action = 'GetCallerIdentity', Version = '2011-06-15' } }\n\
     [check.auth]\nstrategy = 'aws-sigv4'\naccess_key_id = '${field.id}'\nsecret_access_key = '${field.key}'\nsession_token = '${field.session}'\nregion = '${var.region}'\nservice = 'sts'\n\
     [[check.rule]]\nid = 'known'\nverdict = 'accepted'\nwhen = { json = { '/GetCallerIdentityResponse/GetCallerIdentityResult/Arn' = { exists = true } } }\n\
     [[check.rule]]\nid = 'bad-secret'\nverdict = 'rejected'\nblame = ['key']\nwhen = { status = 403, json = { '/Error/Code' = 'SignatureDoesNotMatch' } }\n\
     [[check.advice]]\njson = '/GetCallerIdentityResponse/GetCallerIdentityResult/Arn'\ntest = { matches = ':root$' }\nmessage = 'root'\n\
     [[check]]\nid = 'bucket'\nafter = ['whoami']\noptional = true\neffects = 'none'\n\
     request = { method = 'HEAD', url = 'https://s3.${var.region}.amazonaws.com/', expect = 'any' }\n\
     auth = { strategy = 'aws-sigv4', access_key_id = '${field.id}', secret_access_key = '${field.key}', region = '${var.region}', service = 's3' }\n\
     [[check.rule]]\nid = 'there'\nverdict = 'accepted'\nwhen = { status = 200 }\n\
     [[check.rule]]\nid = 'denied'\nverdict = 'limited'\nmissing = ['s3:ListBucket']\nwhen = { status = 403 }\n\
     [[fixture]]\nname = 'root'\ncheck = 'whoami'\norigin = 'synthetic'\n\
     response = { status = 200, json = { GetCallerIdentityResponse = { GetCallerIdentityResult = { Arn = 'arn:aws:iam::1:root' } } } }\n\
     expect = { verdict = 'accepted', advice = ['root'] }\n\
     [[fixture]]\nname = 'wrong'\ncheck = 'whoami'\norigin = 'synthetic'\n\
     response = { status = 403, json = { Error = { Code = 'SignatureDoesNotMatch' } } }\nexpect = { verdict = 'rejected', why = 'bad-secret' }\n\
     [[fixture]]\nname = 'no right'\ncheck = 'bucket'\norigin = 'synthetic'\n\
     response = { status = 403 }\nexpect = { verdict = 'limited', missing = ['s3:ListBucket'] }\n",
    // An error code in a 200.
    "[[field]]\nid = 'login'\nlabel = 'l'\n[[field]]\nid = 'psw'\nlabel = 'p'\nsecret = true\n\
     [[var]]\nid = 'host'\nlabel = 'h'\nhost = true\nchoices = ['smsc.ru', 'smscentre.com']\n\
     [[check]]\nid = 'balance'\nproves = ['login', 'psw']\neffects = 'may-lock-out'\n\
     request = { method = 'POST', url = 'https://${var.host}/sys/balance.php', form = { login = '${field.login}', psw = '${field.psw|md5}', fmt = '3' } }\n\
     [[check.rule]]\nid = 'known'\nverdict = 'accepted'\nwhen = { json = { '/balance' = { exists = true } } }\n\
     [[check.rule]]\nid = 'login-or-address'\nverdict = 'rejected'\nblame = ['login', 'psw']\nwhen = { json = { '/error_code' = 2 } }\n\
     [[check.rule]]\nid = 'rate-limited'\nverdict = 'inconclusive'\nwhen = { json = { '/error_code' = 9 } }\n\
     [[fixture]]\nname = 'known'\ncheck = 'balance'\norigin = 'synthetic'\n\
     response = { status = 200, headers = { content-type = 'text/html; charset=utf-8' }, body = '{\"balance\":\"84.75\"}' }\nexpect = { verdict = 'accepted' }\n\
     [[fixture]]\nname = 'wrong'\ncheck = 'balance'\norigin = 'synthetic'\n\
     response = { status = 200, json = { error = 'authorise error', error_code = 2 } }\nexpect = { verdict = 'rejected', why = 'login-or-address' }\n\
     [[fixture]]\nname = 'too often'\ncheck = 'balance'\norigin = 'synthetic'\n\
     response = { status = 200, json = { error_code = 9 } }\nexpect = { verdict = 'inconclusive', why = 'rate-limited' }\n",
    // A login call whose answer carries a token in a header.
    "[[field]]\nid = 'account'\nlabel = 'a'\n[[field]]\nid = 'user'\nlabel = 'u'\n[[field]]\nid = 'password'\nlabel = 'p'\nsecret = true\n\
     [[check]]\nid = 'token'\nproves = ['account', 'user', 'password']\neffects = 'may-lock-out'\n\
     [check.request]\nmethod = 'POST'\nurl = 'https://cloud.api.selcloud.ru/identity/v3/auth/tokens'\n\
     [check.request.json.auth]\nidentity = { methods = ['password'], password = { user = { name = '${field.user}', password = '${field.password}', domain = { name = '${field.account}' } } } }\n\
     scope = { domain = { name = '${field.account}' } }\n\
     [[check.rule]]\nid = 'token'\nverdict = 'accepted'\nwhen = { status = 201, header = { x-subject-token = { exists = true } } }\n\
     [[check.rule]]\nid = 'refused'\nverdict = 'rejected'\nwhen = { status = 401, json = { '/error/code' = 401 } }\n\
     [check.extract]\ntoken = { header = 'x-subject-token', secret = true }\n\
     [[check]]\nid = 'projects'\nafter = ['token']\noptional = true\neffects = 'none'\n\
     request = { method = 'GET', url = 'https://cloud.api.selcloud.ru/identity/v3/auth/projects', headers = { X-Auth-Token = '${got.token}' } }\n\
     [[check.rule]]\nid = 'listed'\nverdict = 'accepted'\nwhen = { json = { '/projects/*/name' = { exists = true } } }\n\
     [[fixture]]\nname = 'token'\ncheck = 'token'\norigin = 'synthetic'\n\
     response = { status = 201, headers = { x-subject-token = 'token-0123456789' }, json = { token = { expires_at = '2026-11-22T00:00:00Z' } } }\nexpect = { verdict = 'accepted' }\n\
     [[fixture]]\nname = 'refused'\ncheck = 'token'\norigin = 'synthetic'\n\
     response = { status = 401, json = { error = { code = 401 } } }\nexpect = { verdict = 'rejected' }\n\
     [[fixture]]\nname = 'listed'\ncheck = 'projects'\norigin = 'synthetic'\n\
     response = { status = 200, json = { projects = [{ name = 'a' }] } }\nexpect = { verdict = 'accepted' }\n",
    // Basic, an answer that echoes the secret, a sender that has to be owned.
    "[[field]]\nid = 'sid'\nlabel = 's'\n[[field]]\nid = 'token'\nlabel = 't'\nsecret = true\n[[field]]\nid = 'sender'\nlabel = 'n'\nkind = 'phone'\n\
     [[check]]\nid = 'numbers'\nproves = ['sid', 'token', 'sender']\neffects = 'none'\n\
     request = { method = 'GET', url = 'https://api.twilio.com/2010-04-01/Accounts/${field.sid}/IncomingPhoneNumbers.json', query = { PhoneNumber = '${field.sender}' } }\n\
     auth = { strategy = 'basic', username = '${field.sid}', password = '${field.token}' }\n\
     [[check.rule]]\nid = 'owned'\nverdict = 'accepted'\nwhen = { status = 200, json = { '/incoming_phone_numbers/*/phone_number' = { same_as = 'sender' } } }\n\
     [[check.rule]]\nid = 'not-owned'\nverdict = 'limited'\nmissing = ['sender']\nproves = ['sid', 'token']\nwhen = { status = 200, json = { '/incoming_phone_numbers' = { exists = true } } }\n\
     [[check.rule]]\nid = 'refused'\nverdict = 'rejected'\nwhen = { status = 401, json = { '/code' = 20003 } }\n\
     [[fixture]]\nname = 'owned'\ncheck = 'numbers'\norigin = 'synthetic'\n\
     response = { status = 200, json = { auth_token = '${field.token}', incoming_phone_numbers = [{ phone_number = '${field.sender}' }] } }\nexpect = { verdict = 'accepted', why = 'owned' }\n\
     [[fixture]]\nname = 'none'\ncheck = 'numbers'\norigin = 'synthetic'\n\
     response = { status = 200, json = { incoming_phone_numbers = [] } }\nexpect = { verdict = 'limited', missing = ['sender'] }\n\
     [[fixture]]\nname = 'refused'\ncheck = 'numbers'\norigin = 'synthetic'\n\
     response = { status = 401, json = { code = 20003 } }\nexpect = { verdict = 'rejected', why = 'refused' }\n",
    // A server of the operator's own: a health page, an unsigned command, a signed one.
    "[[field]]\nid = 'secret'\nlabel = 's'\nsecret = true\n[[var]]\nid = 'server'\nlabel = 'u'\nkind = 'url'\nhost = true\n\
     [[var]]\nid = 'header'\nlabel = 'h'\ndefault = 'Authorization'\n\
     [[check]]\nid = 'health'\neffects = 'none'\nrequest = { method = 'GET', url = '${var.server}/healthcheck' }\n\
     rule = [{ id = 'well', verdict = 'accepted', when = { json = { '' = true } } }, { id = 'server-error', verdict = 'inconclusive', when = { json = { '' = false } } }]\n\
     [[check]]\nid = 'unsigned'\neffects = 'none'\nafter = ['health']\n\
     request = { method = 'POST', url = '${var.server}/command', json = { c = 'version' } }\n\
     rule = [{ id = 'jwt-off', verdict = 'inconclusive', when = { json = { '/error' = 0 } } }, { id = 'jwt-on', verdict = 'accepted', when = { json = { '/error' = 6 } } }]\n\
     [[check]]\nid = 'signed'\nproves = ['secret']\neffects = 'none'\nafter = ['unsigned']\n\
     mint = { body = { alg = 'HS256', key = '${field.secret}', ttl_s = 300, claims = { c = 'version' } }, head = { alg = 'HS256', key = '${field.secret}', ttl_s = 300, claims = { payload = { c = 'version' } } } }\n\
     request = { method = 'POST', url = '${var.server}/command', json = { c = 'version', token = '${mint.body}' } }\n\
     auth = { strategy = 'header', name = '${var.header}', value = 'Bearer ${mint.head}' }\n\
     rule = [{ id = 'right', verdict = 'accepted', when = { json = { '/error' = 0, '/version' = { exists = true } } } }, { id = 'wrong', verdict = 'rejected', when = { json = { '/error' = 6 } } }]\n\
     [[fixture]]\nname = 'well'\ncheck = 'health'\norigin = 'synthetic'\nresponse = { status = 200, body = 'true' }\nexpect = { verdict = 'accepted' }\n\
     [[fixture]]\nname = 'unwell'\ncheck = 'health'\norigin = 'synthetic'\nresponse = { status = 200, body = 'false' }\nexpect = { verdict = 'inconclusive', why = 'server-error' }\n\
     [[fixture]]\nname = 'off'\ncheck = 'unsigned'\norigin = 'synthetic'\nresponse = { status = 200, json = { error = 0 } }\nexpect = { verdict = 'inconclusive', why = 'jwt-off' }\n\
     [[fixture]]\nname = 'right'\ncheck = 'signed'\norigin = 'synthetic'\nresponse = { status = 200, json = { error = 0, version = '9.3' } }\nexpect = { verdict = 'accepted' }\n\
     [[fixture]]\nname = 'wrong'\ncheck = 'signed'\norigin = 'synthetic'\nresponse = { status = 200, json = { error = 6 } }\nexpect = { verdict = 'rejected', why = 'wrong' }\n",
];

#[test]
fn every_fixture_gives_its_verdict_here_and_over_a_connection() {
    let mut decided = 0;
    for shape in SHAPES {
        let provider = provider(shape);
        for fixture in &provider.fixture {
            let here = decide(&provider, fixture).unwrap_or_else(|mismatch| panic!("{mismatch}"));
            let reply = canned(&provider, fixture).unwrap().expect("an answer");
            let service = StandIn::start(move |_| reply.clone().into()).unwrap();
            let there = decide_over(&provider, fixture, Door::shared(), Some(&service.url()));
            assert_eq!(there, Ok(here), "{}", fixture.name);
            assert_eq!(service.seen().len(), 1);
            decided += 1;
        }
    }
    assert_eq!(decided, 28);
}

#[test]
fn every_fixture_of_every_provider_gives_its_verdict_here_and_over_a_connection() {
    for (id, loaded) in Catalog::built_in().load_all() {
        let provider = loaded.unwrap().provider;
        assert_eq!(provider.fixture.is_empty(), provider.check.is_empty(), "{id}");
        for fixture in &provider.fixture {
            let here = decide(&provider, fixture).unwrap_or_else(|mismatch| panic!("{id}: {mismatch}"));
            // How the network fails is shown by the tests above.
            let Some(reply) = canned(&provider, fixture).unwrap() else { continue };
            let service = StandIn::start(move |_| reply.clone().into()).unwrap();
            let there = decide_over(&provider, fixture, Door::shared(), Some(&service.url()));
            assert_eq!(there, Ok(here), "{id}: {}", fixture.name);
            assert_eq!(service.seen().len(), 1, "{id}: {}", fixture.name);
        }
    }
}

#[test]
fn a_stand_in_plays_a_service_from_its_fixtures() {
    let provider = provider(SHAPES[0]);
    let mut good = sample(&provider, &[].into());
    good.fields.insert("api_key".to_owned(), Value::Secret(canary().into()));
    let service = StandIn::play(Script::new(provider.clone(), good.clone())).unwrap();
    let options = Options { endpoint: Some(service.url()), ..Options::default() };
    let verdict = |credential: &Credential| ask(&provider, credential, Door::shared(), &options, &SystemClock).verdict;
    assert_eq!(verdict(&sample(&provider, &[].into())), Verdict::Rejected);
    assert_eq!(verdict(&good), Verdict::Accepted);
}

#[test]
fn a_login_call_hands_its_token_to_the_next_check() {
    let provider = provider(SHAPES[5]);
    let service = StandIn::play(Script::new(provider.clone(), sample(&provider, &[].into()))).unwrap();
    let options = Options { endpoint: Some(service.url()), consent: Effects::MayLockOut, ..Options::default() };
    let record = ask(&provider, &sample(&provider, &[].into()), Door::shared(), &options, &SystemClock);
    assert_eq!((record.verdict, record.proven.len()), (Verdict::Accepted, 3), "{record:?}");
    assert_eq!(service.seen()[1].header("x-auth-token"), Some("token-0123456789"));
}

#[test]
fn a_signed_command_carries_its_token_in_the_body_and_under_the_chosen_header() {
    let provider = provider(SHAPES[7]);
    let service = StandIn::start(|seen| match (seen.path.as_str(), seen.header("authorizationjwt")) {
        ("/ds/healthcheck", _) => Answer::text(200, "true"),
        ("/ds/command", None) => Answer::json(200, &json!({ "error": 6 })),
        _ => Answer::json(200, &json!({ "error": 0, "version": "9.3.0.1" })),
    })
    .unwrap();
    let mut credential = sample(&provider, &[].into());
    credential.vars.insert("server".to_owned(), format!("{}ds/", service.url()));
    credential.vars.insert("header".to_owned(), "AuthorizationJwt".to_owned());
    let record = ask(&provider, &credential, Door::shared(), &Options::default(), &SystemClock);
    assert_eq!((record.verdict, record.proven.clone()), (Verdict::Accepted, vec!["secret".to_owned()]), "{record:?}");
    let signed = &service.seen()[2];
    let body: serde_json::Value = serde_json::from_slice(&signed.body).unwrap();
    assert_eq!(body["token"].as_str().unwrap().split('.').count(), 3);
    assert!(signed.header("authorizationjwt").unwrap().starts_with("Bearer ey"));
}

#[test]
fn a_stand_in_stops_when_it_is_dropped() {
    let service = StandIn::start(|_| Answer::json(200, &json!({ "ok": true }))).unwrap();
    let url = service.url();
    drop(service);
    assert_eq!(at(Some(url)).why, "network-refused");
}
