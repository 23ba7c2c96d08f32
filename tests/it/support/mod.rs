//! What tests share.

pub(crate) mod canary;
pub(crate) mod env;
pub(crate) mod pty;
pub(crate) mod service;
pub(crate) mod session_bus;
pub(crate) mod strace;
