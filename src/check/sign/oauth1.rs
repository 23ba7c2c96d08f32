//! OAuth 1.0a with HMAC-SHA1 (RFC 5849): exactly what is sent is signed.
//!
//! SHA-1 is what the services that still speak this ask for; as a MAC it holds.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use ring::hmac;
use url::{Url, form_urlencoded};
use zeroize::Zeroizing;

use crate::check::probe::{FORM, Request, Unbuildable};
use crate::provider::template::{hex, percent_encode};
use crate::secret::Secret;

/// What a signature is made with.
#[derive(Debug)]
pub(in crate::check) struct Keys {
    pub(in crate::check) consumer_key: String,
    pub(in crate::check) consumer_secret: Secret,
    pub(in crate::check) token: Option<String>,
    pub(in crate::check) token_secret: Option<Secret>,
    /// Where the user is sent back to.
    pub(in crate::check) callback: Option<String>,
}

/// What makes each request another one (RFC 5849 section 3.3).
#[derive(Debug)]
pub(in crate::check) struct Moment {
    /// Seconds since 1970.
    timestamp: i64,
    nonce: String,
}

impl Moment {
    /// `now`, with a nonce of 128 random bits.
    ///
    /// # Errors
    ///
    /// [`Unbuildable::File`] when the system gives no random bits.
    pub(in crate::check) fn of(now: DateTime<Utc>) -> Result<Self, Unbuildable> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(|_| Unbuildable::File("the system gives no random bits".to_owned()))?;
        Ok(Self { timestamp: now.timestamp(), nonce: hex(&bytes) })
    }
}

/// Signs `request` as it is, and adds the Authorization header (RFC 5849 section 3.5.1).
pub(in crate::check) fn sign(request: &mut Request, keys: &Keys, moment: &Moment) {
    let mut own = vec![
        ("oauth_consumer_key", keys.consumer_key.clone()),
        ("oauth_nonce", moment.nonce.clone()),
        ("oauth_signature_method", "HMAC-SHA1".to_owned()),
        ("oauth_timestamp", moment.timestamp.to_string()),
        ("oauth_version", "1.0".to_owned()),
    ];
    own.extend(keys.callback.clone().map(|callback| ("oauth_callback", callback)));
    own.extend(keys.token.clone().map(|token| ("oauth_token", token)));
    own.push(("oauth_signature", signature(&base(request, &own), keys)));
    own.sort();
    let parts: Vec<String> = own.iter().map(|(name, value)| format!("{name}=\"{}\"", percent_encode(value))).collect();
    request.set_header("authorization", format!("OAuth {}", parts.join(", ")));
}

/// The signature base string (RFC 5849 section 3.4.1). It may hold what a form holds.
fn base(request: &Request, own: &[(&str, String)]) -> Zeroizing<String> {
    let mut pairs: Vec<(String, String)> = request.url.query_pairs().into_owned().collect();
    if request.header("content-type").is_some_and(|kind| kind.starts_with(FORM)) {
        pairs.extend(form_urlencoded::parse(&request.body).into_owned());
    }
    pairs.extend(own.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    // Encoded first, then sorted (section 3.4.1.3.2).
    let mut pairs: Vec<(String, String)> =
        pairs.iter().map(|(name, value)| (percent_encode(name), percent_encode(value))).collect();
    pairs.sort();
    let pairs: Vec<String> = pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    let method = format!("{:?}", request.method);
    let parts = [method, percent_encode(&address(&request.url)), percent_encode(&pairs.join("&"))];
    Zeroizing::new(parts.join("&"))
}

/// The address without query and fragment; the usual port is not in it (section 3.4.1.2).
fn address(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    url.into()
}

/// HMAC-SHA1 over the base string (section 3.4.2).
fn signature(base: &str, keys: &Keys) -> String {
    let token_secret = keys.token_secret.as_ref().map_or("", Secret::expose);
    let key = [keys.consumer_secret.expose(), token_secret].map(|part| Zeroizing::new(percent_encode(part)));
    let key = Zeroizing::new(format!("{}&{}", *key[0], *key[1]));
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key.as_bytes());
    STANDARD.encode(hmac::sign(&key, base.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::Method;

    fn request(method: Method, url: &str, form: &str) -> Request {
        let mut request = Request::new(method, Url::parse(url).unwrap());
        if !form.is_empty() {
            request.set_header("content-type", FORM);
            request.body = form.as_bytes().to_vec().into();
        }
        request
    }

    fn keys(consumer: [&str; 2], token: Option<[&str; 2]>) -> Keys {
        Keys {
            consumer_key: consumer[0].to_owned(),
            consumer_secret: consumer[1].into(),
            token: token.map(|token| token[0].to_owned()),
            token_secret: token.map(|token| token[1].into()),
            callback: None,
        }
    }

    /// RFC 5849 section 3.4.1.1, in which `realm` and the signature are not signed.
    #[test]
    fn the_base_string_is_that_of_the_standard() {
        let request =
            request(Method::POST, "http://EXAMPLE.com:80/request?b5=%3D%253D&a3=a&c%40=&a2=r%20b", "c2&a3=2+q");
        let own = [
            ("oauth_consumer_key", "9djdj82h48djs9d2"),
            ("oauth_token", "kkk9d7dh3k39sjv7"),
            ("oauth_signature_method", "HMAC-SHA1"),
            ("oauth_timestamp", "137131201"),
            ("oauth_nonce", "7d8f3e4a"),
        ];
        let own = own.map(|(name, value)| (name, value.to_owned()));
        let wanted = [
            "POST&http%3A%2F%2Fexample.com%2Frequest&a2%3Dr%2520b%26a3%3D2%2520q%26a3%3Da%26b5%3D%253D%25253D%26c%2540%3D",
            "%26c2%3D%26oauth_consumer_key%3D9djdj82h48djs9d2%26oauth_nonce%3D7d8f3e4a%26oauth_signature_method%3D",
            "HMAC-SHA1%26oauth_timestamp%3D137131201%26oauth_token%3Dkkk9d7dh3k39sjv7",
        ];
        assert_eq!(*base(&request, &own), wanted.concat());
    }

    /// RFC 5849 section 1.2: the request for the photo, which has no `oauth_version`.
    #[test]
    fn the_signature_is_that_of_the_standard() {
        let request = request(Method::GET, "http://photos.example.net/photos?file=vacation.jpg&size=original", "");
        let own = [
            ("oauth_consumer_key", "dpf43f3p2l4k3l03"),
            ("oauth_token", "nnch734d00sl2jdk"),
            ("oauth_signature_method", "HMAC-SHA1"),
            ("oauth_timestamp", "137131202"),
            ("oauth_nonce", "chapoH"),
        ];
        let own = own.map(|(name, value)| (name, value.to_owned()));
        let keys = keys(
            ["dpf43f3p2l4k3l03", &["kd94hf93", "k423kf44"].concat()],
            Some(["nnch734d00sl2jdk", &["pfkkdhi9", "sl3r4s00"].concat()]),
        );
        assert_eq!(signature(&base(&request, &own), &keys), "MdpQcU8iPSUjWoN/UDMsK2sui9I=");
    }

    /// The example "Creating a signature" of the documentation of the Twitter API, version 1.
    fn update() -> (Request, Keys, Moment) {
        let url = "https://api.twitter.com/1/statuses/update.json?include_entities=true";
        let form = "status=Hello%20Ladies%20%2b%20Gentlemen%2c%20a%20signed%20OAuth%20request%21";
        let consumer = ["kAcSOqF21Fu85e7zjz7Z", "N2U4ZRhfV3WpwPAoE3Z7kBw"].concat();
        let token = ["370773112-", "GmHxMAgYyLbNEtIKZeRNFsMKPR9EyMZeS9weJAEb"].concat();
        let secret = ["LswwdoUaIvS8ltyTt5jk", "Rh4J50vUPVVHtR2YPi5kE"].concat();
        let moment =
            Moment { timestamp: 1_318_622_958, nonce: ["kYjzVBB8Y0ZFabxSWbWo", "vY3uYSQ2pTgmZeNu2VS4cg"].concat() };
        (request(Method::POST, url, form), keys(["xvz1evFS4wEEPTGEFPHBog", &consumer], Some([&token, &secret])), moment)
    }

    #[test]
    fn a_whole_request_is_signed_as_a_service_documents_it() {
        let (mut request, keys, moment) = update();
        sign(&mut request, &keys, &moment);
        let header = request.header("authorization").unwrap();
        assert!(
            header.starts_with("OAuth oauth_consumer_key=\"xvz1evFS4wEEPTGEFPHBog\", oauth_nonce=\"kYjz"),
            "{header}"
        );
        assert!(header.contains("oauth_signature=\"tnnArxj06cWHq44gCs1OSKk%2FjLY%3D\""), "{header}");
        assert!(header.ends_with(", oauth_version=\"1.0\""), "{header}");
    }

    type Change<'a> = &'a dyn Fn(&mut Request, &mut Keys, &mut Moment);

    #[test]
    fn whatever_is_changed_changes_the_signature() {
        let signed = |change: Change<'_>| {
            let (mut request, mut keys, mut moment) = update();
            change(&mut request, &mut keys, &mut moment);
            sign(&mut request, &keys, &moment);
            let header = request.header("authorization").unwrap();
            header.split("oauth_signature=").nth(1).unwrap().split('"').nth(1).unwrap().to_owned()
        };
        let same = signed(&|_, _, _| {});
        let changes: [Change<'_>; 7] = [
            &|request, _, _| request.method = Method::PUT,
            &|request, _, _| request.url.set_query(Some("include_entities=false")),
            &|request, _, _| request.body = b"status=x".to_vec().into(),
            &|_, keys, _| keys.consumer_secret = "other".into(),
            &|_, keys, _| keys.token_secret = None,
            &|_, keys, _| keys.callback = Some("oob".to_owned()),
            &|_, _, moment| moment.timestamp += 1,
        ];
        for (nth, change) in changes.iter().enumerate() {
            assert_ne!(signed(change), same, "{nth}");
        }
        assert_eq!(signed(&|_, _, _| {}), same);
    }

    #[test]
    fn no_two_moments_are_the_same() {
        let now = DateTime::from_timestamp(0, 0).unwrap();
        let (one, other) = (Moment::of(now).unwrap(), Moment::of(now).unwrap());
        assert_ne!(one.nonce, other.nonce);
        assert_eq!((one.nonce.len(), one.timestamp), (32, 0));
    }
}
