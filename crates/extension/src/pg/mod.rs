//! The server's functions behind safe ones.
//!
//! **Rules of this module.** It and the shims in [`crate::hooks`] are the only places with `unsafe`. Each function here is
//! safe to call from a backend's main thread; what it may raise is said in its comment. Nothing here decides anything: rules
//! live in [`crate::identity`]. Versions of the server differ in [`compat`] only.
#![allow(unsafe_code, reason = "this is where the server's functions are wrapped")]
#![allow(
    clippy::cast_ptr_alignment,
    reason = "the server allocates nodes and tuples aligned for any of their types"
)]

pub mod acl;
pub mod apply;
pub mod catalog;
pub mod caught;
pub mod compat;
pub mod compiled;
pub mod definer;
pub mod grant;
pub mod guc;
pub mod inval;
pub mod json;
pub mod jsonb;
pub mod letter;
pub mod limit;
pub mod log;
pub mod member;
pub mod memory;
pub mod node;
pub mod nonatomic;
pub mod owner_run;
pub mod path;
pub mod policy;
pub mod portal;
pub mod query;
mod receiver;
pub mod role;
pub mod role_setting;
pub mod session;
pub mod shmem;
pub mod snapshot;
pub mod spi;
pub mod statement;
pub mod subxact;
pub mod table;
pub mod toplevel;
pub mod trigger;
pub mod user;
pub mod view;
pub mod worker;
pub mod xact;

use pgrx::pg_sys;

pub use pgrx::pg_sys::{InvalidOid as NO_OID, Oid};

/// Whether the postmaster is loading `shared_preload_libraries` right now.
pub fn preloading() -> bool {
    // SAFETY: a plain read of a flag that only the postmaster changes.
    unsafe { pg_sys::process_shared_preload_libraries_in_progress }
}

/// The database that this process is connected to.
pub fn database() -> pg_sys::Oid {
    // SAFETY: a plain read of what is set when a backend starts.
    unsafe { pg_sys::MyDatabaseId }
}
