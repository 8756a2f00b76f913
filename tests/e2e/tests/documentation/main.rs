//! What the documentation says is so: links lead somewhere, settings and functions are those of the server, SQL runs as shown.
#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

mod links;
mod objects;
mod pages;
mod restore;
mod settings;
mod statements;

use std::sync::LazyLock;

use postern_cluster::Cluster;

/// A server with the extension, for all of them.
static SERVER: LazyLock<Cluster> = LazyLock::new(|| {
    Cluster::builder()
        .extension(true)
        .setting("wal_level", "logical")
        .setting("max_worker_processes", "64")
        .private_file("postern.secrets_key_file", "secrets-key", &"5e".repeat(32))
        .start()
        .unwrap()
});
