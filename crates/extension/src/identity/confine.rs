//! What is refused while an identity stands: the end of its transaction, and whatever would reach the next user of the
//! connection.
//!
//! Nothing is refused here for what a client *says*: the server's own privileges decide that, under a security context that
//! it cannot leave. These rules are about statements that no privilege governs.

use crate::error::Error;
use crate::guc;
use crate::pg;
use crate::pg::node::Utility;
use crate::pg::xact;

/// Judges a utility statement. Every route passes here: the client's own statement, DO, functions, triggers, cursors.
pub fn utility(statement: Utility) -> Result<(), Error> {
    match statement {
        Utility::TransactionControl => Err(Error::TransactionControl("transaction control")),
        Utility::Prepare => Err(Error::NotOffered("PREPARE")),
        Utility::Execute => Err(Error::NotOffered("EXECUTE")),
        Utility::Deallocate => Err(Error::NotOffered("DEALLOCATE")),
        Utility::Discard => Err(Error::NotOffered("DISCARD")),
        Utility::Listen => Err(Error::NotOffered("LISTEN")),
        Utility::Unlisten => Err(Error::NotOffered("UNLISTEN")),
        Utility::HoldCursor => Err(Error::NotOffered("DECLARE … WITH HOLD")),
        Utility::CopyFromClient => Err(Error::NotOffered("COPY FROM STDIN")),
        Utility::CopyToClient => Err(Error::NotOffered("COPY TO STDOUT")),
        Utility::Load => Err(Error::Forbidden("LOAD")),
        Utility::AlterRole => Err(Error::Forbidden("ALTER ROLE")),
        Utility::ClaimSetting => Err(Error::Forbidden("a setting that shows facts")),
        // The server refuses this by itself, in every spelling. Here it is only said more clearly for the usual one.
        Utility::ChangeRole => {
            Err(Error::ChangeRole { role: super::enter::role().map(pg::role::name).unwrap_or_default() })
        }
        Utility::Other => Ok(()),
    }
}

/// Judges the creation of an object. The server notes in the transaction that the schema for temporary objects was named,
/// whatever the statement that did it.
pub fn created() -> Result<(), Error> {
    if !guc::ALLOW_TEMP.get() && xact::touched_temp() { Err(Error::TemporaryObject) } else { Ok(()) }
}

/// Judges a call of the function behind `pg_prepared_statements`.
pub fn prepared_statements() -> Result<(), Error> {
    Err(Error::PreparedStatements)
}

/// Judges a call of a function that takes or releases advisory locks of the session: at the end of an identity they are released;
/// but a look ends in the operator's own session, which goes on.
pub fn session_lock() -> Result<(), Error> {
    if super::enter::is_a_look() { Err(Error::OfOperator("advisory locks")) } else { Ok(()) }
}

/// Judges a call of the function behind `pg_cursors`, which tells how the operator's cursors were written.
pub fn cursors() -> Result<(), Error> {
    if super::enter::is_a_look() { Err(Error::OfOperator("cursors")) } else { Ok(()) }
}

/// Judges a call of a function that takes a descriptor of a large object: it may be one that the operator has opened.
pub fn descriptor() -> Result<(), Error> {
    if super::enter::is_a_look() { Err(Error::OfOperator("descriptors of large objects")) } else { Ok(()) }
}
