//! What the documentation says is so: links lead somewhere, settings and functions are those of the server, SQL runs as shown.
#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

mod links;
mod objects;
mod pages;
mod settings;
mod statements;

use std::sync::LazyLock;

use postern_cluster::Cluster;

/// A server with the extension, for all of them.
static SERVER: LazyLock<Cluster> = LazyLock::new(|| {
    Cluster::builder()
        .extension(true)
        .setting("wal_level", "logical")
        .setting("postern.loop_min_interval", "0")
        .start()
        .unwrap()
});
