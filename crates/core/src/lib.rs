//! What every part of Postern means by an identity, and how it says no.
//!
//! Plain types: no PostgreSQL, no runtime, no `unsafe`.
#![forbid(unsafe_code)]

pub mod address;
pub mod error;
mod identity;
pub mod trigger_rule;

pub use error::{Code, Protocol, Stage};
pub use identity::{Identity, RoleName, RoleNameError};
