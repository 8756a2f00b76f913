//! Every answer beside the server's own.
#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod apply;
mod bodies;
mod builtin;
mod captures;
mod check;
mod compare;
mod corpus;
mod fix;
mod generated;
mod labelled;
mod loaders;
mod own_sql;
mod requirement;
mod restore;
mod server;
mod statements;
mod unpinned;
mod versions;
mod views;
