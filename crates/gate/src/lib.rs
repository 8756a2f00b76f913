//! SQL over HTTP, run as exactly who asks.
#![forbid(unsafe_code)]

mod connection_string;
mod encode;
mod params;
