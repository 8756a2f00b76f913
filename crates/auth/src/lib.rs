//! Credentials of a request turned into a role and facts.
//!
//! [`Authenticator::authenticate`] takes what a request presents and says who it is: the role to enter and the facts to enter
//! with. In the order in which a credential passes through:
//!
//! * [`config`]: `[auth]` of `postern.toml`: issuers, API keys, anonymous requests.
//! * `authenticator`: which kind of credential it is, and what has been verified a moment ago (`cache`).
//! * `jwt`: tokens checked with keys from files or from the issuer (`keys`, `jwks`, `fetch`, `address`, `claims`).
//! * `introspection`: tokens that the issuer is asked about. [`api_key`]: keys in the database.
//! * `mapping`, `expression`: from claims to roles and facts. `json`: how strictly claims are read.
//! * `credential`: the verified credential, and the facts of one request.
//! * [`dev`]: keys and tokens for development.
//!
//! Use [`Error`] for a request that is not let in, [`ConfigError`] for a configuration that cannot be used.
//!
//! **Invariants**: a role comes from the configured list, never from a credential alone. The algorithm of a signature comes
//! from the configuration and the key, never from the token alone. A request never leads to a URL that is not in the
//! configuration or in a discovery document found there. Nothing of a credential is in a public message.
#![forbid(unsafe_code)]

mod address;
pub mod api_key;
mod authenticator;
mod cache;
mod claims;
pub mod clock;
pub mod config;
mod credential;
pub mod dev;
mod error;
mod expression;
mod fetch;
mod introspection;
mod json;
mod jwks;
mod jwt;
mod keys;
mod mapping;
mod request;

pub use api_key::{ApiKey, KeyFuture, KeyStore, KeyStoreError, NoKeys};
pub use authenticator::Authenticator;
pub use clock::{Clock, SystemClock};
pub use config::Config;
pub use error::{ConfigError, Error};
pub use request::{Authenticated, Client, Presented};
