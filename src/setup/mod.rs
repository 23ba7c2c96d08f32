//! The walk through a service's set-up: [`Provider`] → answers → a format-checked credential.
//!
//! [`source`] takes values from flags, files and the environment, and [`claim`] says whose they are; [`walk`] shows the steps and asks for the
//! rest; [`collect()`] asks nothing. Nothing here sends or stores a value: that is for the rooms that follow.
//!
//! [`Provider`]: crate::provider::Provider

pub mod claim;
pub mod collect;
mod part;
pub mod progress;
pub mod source;
mod view;
mod walk;

pub use collect::{Unfit, collect};
pub use part::part;
pub use progress::Progress;
pub use source::{Given, Outside, Sources, gather};
pub use view::page;
pub use walk::{Plan, Walked, amend, walk};
