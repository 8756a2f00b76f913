//! `postern token`: a signed statement of who one is, for development.

use postern_auth::dev;

use crate::args::Token;
use crate::error::Error;
use crate::up::{Places, signing_key};

pub fn run(args: &Token) -> Result<(), Error> {
    let key = signing_key(&args.key.clone().unwrap_or_else(|| Places(&args.dir).signing_key()))?;
    let token = dev::Token {
        issuer: &args.issuer,
        audience: &args.audience,
        subject: Some(&args.sub),
        role: Some(&args.role),
        claims: args.claims.iter().cloned().collect(),
        lifetime: args.expires,
    };
    crate::print(&format!("{}\n", dev::sign(&key, &token)))
}
