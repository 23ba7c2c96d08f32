//! Signatures that a request or a token carries. The arithmetic is done by `ring` and by AWS's own signer.

pub(super) mod aws;
pub mod jwt;
pub(super) mod oauth1;
