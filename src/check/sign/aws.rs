//! AWS Signature Version 4: exactly what is sent is signed.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html> (read 2026-11-21).

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings, UriPathNormalizationMode,
};
use aws_sigv4::sign::v4;
use chrono::{DateTime, Utc};

use crate::check::probe::{Request, Unbuildable};
use crate::provider::Method;
use crate::secret::Secret;

/// What a signature is made with.
#[derive(Debug)]
pub(in crate::check) struct Keys {
    pub(in crate::check) id: String,
    pub(in crate::check) secret: Secret,
    /// Of a temporary key.
    pub(in crate::check) token: Option<Secret>,
    pub(in crate::check) region: String,
    pub(in crate::check) service: String,
}

/// Signs `request` as it is, with `now` as its time, and adds the headers of the signature.
///
/// # Errors
///
/// [`Unbuildable::File`] when the request has a header that cannot be signed.
pub(in crate::check) fn sign(request: &mut Request, keys: &Keys, now: DateTime<Utc>) -> Result<(), Unbuildable> {
    sign_with(request, keys, now, settings(&keys.service))
}

fn sign_with(
    request: &mut Request,
    keys: &Keys,
    now: DateTime<Utc>,
    settings: SigningSettings,
) -> Result<(), Unbuildable> {
    let fault = |what: String| Unbuildable::File(format!("the request cannot be signed: {what}"));
    let token = keys.token.as_ref().map(|token| token.expose().to_owned());
    let identity = Credentials::new(&keys.id, keys.secret.expose(), token, None, "keyward").into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(&keys.region)
        .name(&keys.service)
        .time(SystemTime::from(now))
        .settings(settings)
        .build()
        .map_err(|error| fault(error.to_string()))?
        .into();
    let headers = request.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let body = SignableBody::Bytes(&request.body);
    let signable = SignableRequest::new(word(request.method), request.url.as_str(), headers, body)
        .map_err(|error| fault(error.to_string()))?;
    let (instructions, _) =
        aws_sigv4::http_request::sign(signable, &params).map_err(|error| fault(error.to_string()))?.into_parts();
    let (added, _) = instructions.into_parts();
    for header in added {
        request.set_header(header.name(), header.value());
    }
    Ok(())
}

/// S3 takes a path as it is and wants the body's hash in a header; all others take neither.
fn settings(service: &str) -> SigningSettings {
    let mut settings = SigningSettings::default();
    if service == "s3" {
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    }
    settings
}

fn word(method: Method) -> &'static str {
    match method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
    }
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;

    /// Name, method, path, headers, session token, and the published signature.
    type Row<'a> = (&'a str, Method, String, Headers, Option<&'a str>, &'a str);
    type Headers = &'static [(&'static str, &'static str)];

    /// The key of AWS's published test suite.
    fn suite_keys(service: &str, id: &str) -> Keys {
        Keys {
            id: id.to_owned(),
            secret: ["wJalrXUtnFEMI/K7MDENG", "bPxRfiCYEXAMPLEKEY"]
                .join(if service == "s3" { "/" } else { "+" })
                .into(),
            token: None,
            region: "us-east-1".to_owned(),
            service: service.to_owned(),
        }
    }

    fn request(method: Method, url: &str, headers: &[(&str, &str)], body: &str) -> Request {
        let mut request = Request::new(method, Url::parse(url).unwrap());
        headers.iter().for_each(|(name, value)| request.set_header(name, *value));
        request.body = body.as_bytes().to_vec().into();
        request
    }

    fn signature(request: &Request) -> String {
        let (_, signature) = request.header("authorization").unwrap().rsplit_once("Signature=").unwrap();
        signature.to_owned()
    }

    /// From the `v4` folder of <https://github.com/awslabs/aws-c-auth/tree/v0.9.0/tests/aws-signing-test-suite>.
    #[test]
    fn the_published_test_suite_is_signed_as_published() {
        let unreserved = "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        let (get, post) = (Method::GET, Method::POST);
        let short = "6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267";
        let token: String = [
            "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwt",
            "hAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVX",
            "AkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA==",
        ]
        .concat();
        let plain: [Row<'_>; 12] = [
            (
                "get-vanilla",
                get,
                "/".into(),
                &[],
                None,
                "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
            ),
            (
                "get-unreserved",
                get,
                format!("/{unreserved}"),
                &[],
                None,
                "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f",
            ),
            (
                "get-vanilla-empty-query-key",
                get,
                "/?Param1=value1".into(),
                &[],
                None,
                "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb",
            ),
            (
                "get-vanilla-query-order-encoded",
                get,
                "/?Param-3=Value3&Param=Value2&%E1%88%B4=Value1".into(),
                &[],
                None,
                "371d3713e185cc334048618a97f809c9ffe339c62934c032af5a0e595648fcac",
            ),
            (
                "get-vanilla-query-order-key-case",
                get,
                "/?Param2=value2&Param1=value1".into(),
                &[],
                None,
                "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
            ),
            (
                "get-vanilla-query-unreserved",
                get,
                format!("/?{unreserved}={unreserved}"),
                &[],
                None,
                "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197",
            ),
            (
                "get-vanilla-with-session-token",
                get,
                "/".into(),
                &[],
                Some(short),
                "07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8",
            ),
            (
                "get-header-value-trim",
                get,
                "/".into(),
                &[("My-Header1", " value1"), ("My-Header2", " \"a   b   c\"")],
                None,
                "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
            ),
            (
                "post-header-key-sort",
                post,
                "/".into(),
                &[("My-Header1", "value1")],
                None,
                "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c",
            ),
            (
                "post-sts-header-before",
                post,
                "/".into(),
                &[],
                Some(&token),
                "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead",
            ),
            (
                "post-vanilla",
                post,
                "/".into(),
                &[],
                None,
                "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
            ),
            (
                "post-vanilla-query",
                post,
                "/?Param1=value1".into(),
                &[],
                None,
                "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11",
            ),
        ];
        let time = "2015-08-30T12:36:00Z".parse().unwrap();
        for (name, method, path, headers, token, published) in plain {
            let mut request = request(method, &format!("https://example.amazonaws.com{path}"), headers, "");
            let keys = Keys { token: token.map(Into::into), ..suite_keys("service", "AKIDEXAMPLE") };
            sign(&mut request, &keys, time).unwrap();
            assert_eq!(signature(&request), published, "{name}");
            assert_eq!(request.header("x-amz-date"), Some("20150830T123600Z"));
            assert_eq!(request.header("x-amz-security-token"), token);
        }
    }

    #[test]
    fn a_published_form_is_signed_with_its_hash() {
        let time = "2015-08-30T12:36:00Z".parse().unwrap();
        let rows = [
            ("application/x-www-form-urlencoded", "d3875051da38690788ef43de4db0d8f280229d82040bfac253562e56c3f20e0b"),
            (
                "application/x-www-form-urlencoded; charset=utf-8",
                "328d1b9eaadca9f5818ef05e8392801e091653bafec24fcab71e7344e7f51422",
            ),
        ];
        for (kind, published) in rows {
            let headers = [("Content-Type", kind), ("Content-Length", "13")];
            let mut request = request(Method::POST, "https://example.amazonaws.com/", &headers, "Param1=value1");
            let mut hashed = settings("service");
            hashed.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
            sign_with(&mut request, &suite_keys("service", "AKIDEXAMPLE"), time, hashed).unwrap();
            assert_eq!(signature(&request), published, "{kind}");
        }
    }

    /// <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>.
    #[test]
    fn the_published_examples_of_s3_are_signed_as_published() {
        let time = "2013-05-24T00:00:00Z".parse().unwrap();
        let rows: [(&str, Headers, &str); 3] = [
            ("test.txt", &[("Range", "bytes=0-9")], "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"),
            ("?lifecycle", &[], "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
            ("?max-keys=2&prefix=J", &[], "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
        ];
        for (path, headers, published) in rows {
            let mut request =
                request(Method::GET, &format!("https://examplebucket.s3.amazonaws.com/{path}"), headers, "");
            sign(&mut request, &suite_keys("s3", &["AKIA", "IOSFODNN7EXAMPLE"].concat()), time).unwrap();
            assert_eq!(signature(&request), published, "{path}");
        }
    }

    #[test]
    fn the_host_that_is_asked_is_the_host_that_is_signed() {
        let sign_for = |url: &str| {
            let mut request = request(Method::GET, url, &[], "");
            sign(&mut request, &suite_keys("sts", "AKIDEXAMPLE"), DateTime::UNIX_EPOCH).unwrap();
            assert!(request.header("authorization").unwrap().contains("SignedHeaders=host;x-amz-date"));
            signature(&request)
        };
        assert_ne!(sign_for("https://sts.amazonaws.com/"), sign_for("http://127.0.0.1:9000/"));
        assert_ne!(sign_for("http://127.0.0.1:9001/"), sign_for("http://127.0.0.1:9000/"));
    }
}
