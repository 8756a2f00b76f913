//! Postern inside PostgreSQL: SQL that runs as exactly who asked.
//!
//! | module | what it is for |
//! |---|---|
//! | [`identity`] | the one primitive: a transaction enters a role with facts, and cannot leave it |
//! | [`durable`] | functions in SQL that survive, run as the identity that asked |
//! | [`names`] | SECURITY DEFINER only with a path that nobody can capture |
//! | [`rows`] | direct access past row security, and an error instead of fewer rows |
//! | [`replication`] | who may attach code to a table, and what may be replicated |
//! | [`hooks`] | where the server asks us; thin shims and the order in which they are installed |
//! | [`launcher`] | the process that starts the others |
//! | [`guc`] | the settings |
//! | [`error`] | every error that we raise |
//! | [`version`] | whether library and objects are of one version |
//! | [`pg`] | the server's own functions behind safe ones; the only place with `unsafe` beside the shims |
//!
//! The SQL side (`sql/`) is written by hand, so that each privilege can be read where it is given.
#![deny(unsafe_code, ffi_unwind_calls)]

#[cfg(not(panic = "unwind"))]
compile_error!("an ERROR of the server passes through Rust as a panic: build with panic = \"unwind\"");

mod durable;
mod error;
mod guc;
mod hooks;
mod identity;
mod launcher;
mod names;
mod pg;
mod replication;
mod rows;
mod version;

use pgrx::prelude::*;

#[allow(unsafe_code, reason = "the macro writes the magic block that the server looks for")]
mod magic {
    pgrx::pg_module_magic!();
}

/// Called by the server when the library is loaded.
///
/// Everything is set up in the postmaster, and only there: loaded later, a backend would have run statements that no hook
/// saw. `postern.enter` therefore refuses to work in a server that does not preload.
#[pg_guard]
#[allow(non_snake_case, reason = "the name is the server's")]
pub extern "C-unwind" fn _PG_init() {
    if !pg::preloading() {
        error::raise(error::Error::NotPreloaded);
    }
    guc::init();
    hooks::install();
    identity::init();
    durable::init();
    names::init();
    replication::init();
    version::init();
    launcher::register();
    guc::reserve_prefix();
}
