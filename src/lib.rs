//! keyward walks an operator through a service's set-up, asks the service whether the credential is good, keeps it
//! where nobody else can read it, and delivers it.
//!
//! ```text
//! providers/x.toml → Provider → walk the steps → Answers → format check → Credential ─┬─ check  → Verdict
//!                                                                                     ├─ store  → Entry
//!                                                                                     └─ deliver → child, stdout
//! ```
//!
//! | room | comes in → goes out |
//! |---|---|
//! | [`provider`] | a file → what a service is |
//! | [`setup`] | a provider → what was entered, step by step or from flags |
//! | [`credential`] | what was entered → fields that fit their format |
//! | [`check`] | provider and credential → what the service said |
//! | [`store`] | a credential ⇄ the keyring or the sealed vault |
//! | [`deliver`] | a credential → a child's environment |
//! | [`audit`] | who did what → a chain of lines |
//! | [`ui`] | reports, tables, questions: what a human sees |
//! | [`cli`] | arguments → command → report; the only room that may enter all others |
//!
//! The library is private: it has no stable API. A test holds the arrows between the rooms.

#![cfg_attr(test, expect(clippy::disallowed_methods, reason = "tests write plain files"))]

pub mod audit;
pub mod check;
pub mod cli;
pub mod clock;
pub mod credential;
pub mod deliver;
pub mod env;
pub mod harden;
pub mod paths;
pub mod problem;
pub mod provider;
pub mod secret;
pub mod settings;
pub mod setup;
pub mod standin;
pub mod store;
pub mod ui;
pub mod verdict;
