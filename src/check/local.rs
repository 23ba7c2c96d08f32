//! Verifies a sample token with a secret: what is entered goes in, a finding comes out, and nothing is sent.

use super::judge::{Finding, judge_unbuildable};
use super::probe::Unbuildable;
use super::sign::jwt::{JwtError, Key};
use super::values::Values;
use crate::provider::template::Encoding;
use crate::provider::{Algorithm, Check, Template};
use crate::verdict::Verdict;

/// Says whether the secret of `check` signed its sample.
pub(super) fn verify(check: &Check, values: &Values<'_>) -> Finding {
    let Some((secret, sample)) = check.auth.secret.as_ref().zip(check.auth.sample.as_ref()) else {
        let file = Unbuildable::File("`auth.secret` and `auth.sample` have to be there".to_owned());
        return judge_unbuildable(&file);
    };
    let fill = |template: &Template| template.fill(values, Encoding::Plain).map_err(Unbuildable::from);
    let (key, token) = match fill(secret).and_then(|key| Ok((key, fill(sample)?))) {
        Ok(both) => both,
        Err(unbuildable) => return judge_unbuildable(&unbuildable),
    };
    match Key::load(check.auth.alg.unwrap_or(Algorithm::HS256), &key).and_then(|key| key.verify(&token)) {
        Ok(true) => {
            let mut finding = Finding::new(Verdict::Accepted, "signature-verified");
            finding.proven.clone_from(&check.proves);
            finding
        }
        Ok(false) => blaming(secret, Verdict::Rejected, "bad-signature")
            .saying("the sample token was not signed with this secret"),
        Err(error @ JwtError::OtherAlgorithm) => Finding::inconclusive("other-algorithm").saying(error.to_string()),
        Err(error @ JwtError::NotJwt) => blaming(sample, Verdict::Malformed, "not-a-jwt").saying(error.to_string()),
        Err(error) => blaming(secret, Verdict::Malformed, "bad-key").saying(error.to_string()),
    }
}

fn blaming(template: &Template, verdict: Verdict, why: &str) -> Finding {
    let mut finding = Finding::new(verdict, why);
    finding.blame = template.holes().map(|hole| hole.id.clone()).collect();
    finding
}
