//! Private PostgreSQL clusters: for `postern up`, the tests and the benches.
//!
//! **How it works.** A [`Cluster`] is one server with a folder of its own: data, socket, log, passwords and a copy of
//! the extension. Tests take a temporary one ([`Cluster::builder`]), which goes away with its value; `postern up`
//! keeps one in the project ([`Cluster::open_or_init`]). The server is a child process, its readiness is read from
//! the lock file that it keeps itself, and a watchdog ends it if this process dies without having done so.
//!
//! **Invariants**
//! * Nothing outside the cluster's folder is touched: not the system's cluster, its folders, its ports.
//! * The server never runs as root, and nobody connects without a password.
//! * No port is taken unless asked for: the socket lies in the folder, so that clusters run side by side.
//! * What is temporary leaves nothing behind, even when the process that made it is killed.
//!
//! Errors: every fallible call gives [`Error`].

#![forbid(unsafe_code)]

mod account;
mod builder;
mod cluster;
mod error;
mod extension;
mod home;
mod installation;
mod passwords;
mod persistent;
mod server;
mod settings;
mod skip;
mod standby;
mod template;
mod watchdog;

pub use builder::Builder;
pub use cluster::{Cluster, Mode};
pub use error::Error;
pub use extension::extension_folder;
pub use installation::{ExtensionLookup, Installation};
pub use passwords::SUPERUSER;
pub use persistent::Address;
pub use skip::skipped;
pub use template::SharedTemplates;

/// What every fallible call of this crate gives.
pub type Result<T, E = Error> = std::result::Result<T, E>;
