//! An identity: the role that SQL runs as, and the facts that row security may rely on.

use serde::{Deserialize, Serialize};

/// PostgreSQL cuts identifiers to this many bytes (`NAMEDATALEN - 1`). A longer name is refused, never cut: cut, two
/// different names could become one role.
pub const MAX_ROLE_BYTES: usize = 63;

/// The exact name of a role: 1 to 63 bytes, without NUL.
///
/// It is compared byte for byte with `pg_authid.rolname`: no case folding, no quotes, no trimming.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RoleName(String);

/// Why a text cannot be the name of a role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RoleNameError {
    /// The empty text.
    #[error("role name is empty")]
    Empty,
    /// More than [`MAX_ROLE_BYTES`] bytes.
    #[error("role name is longer than {MAX_ROLE_BYTES} bytes")]
    TooLong,
    /// A NUL byte, which no PostgreSQL text can hold.
    #[error("role name contains a NUL byte")]
    Nul,
}

impl RoleName {
    /// The name as PostgreSQL stores it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for RoleName {
    type Error = RoleNameError;

    fn try_from(name: String) -> Result<Self, RoleNameError> {
        match name.as_bytes() {
            [] => Err(RoleNameError::Empty),
            bytes if bytes.len() > MAX_ROLE_BYTES => Err(RoleNameError::TooLong),
            bytes if bytes.contains(&0) => Err(RoleNameError::Nul),
            _ => Ok(Self(name)),
        }
    }
}

impl TryFrom<&str> for RoleName {
    type Error = RoleNameError;

    fn try_from(name: &str) -> Result<Self, RoleNameError> {
        Self::try_from(name.to_owned())
    }
}

impl From<RoleName> for String {
    fn from(role: RoleName) -> Self {
        role.0
    }
}

impl std::fmt::Display for RoleName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// A role and the facts about whoever acts in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Identity {
    /// The role that is entered.
    pub role: RoleName,
    /// The facts: a JSON object. `None` enters without facts, and policies that ask for one see NULL.
    pub facts: Option<serde_json::Map<String, serde_json::Value>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_name_is_refused_rather_than_cut() {
        assert_eq!(RoleName::try_from("a".repeat(63)).map(|r| r.as_str().len()), Ok(63));
        assert_eq!(RoleName::try_from("a".repeat(64)), Err(RoleNameError::TooLong));
        assert_eq!(
            RoleName::try_from("ä".repeat(32)),
            Err(RoleNameError::TooLong),
            "bytes count, not characters"
        );
        assert_eq!(RoleName::try_from(""), Err(RoleNameError::Empty));
        assert_eq!(RoleName::try_from("a\0b"), Err(RoleNameError::Nul));
        assert_eq!(RoleName::try_from("alice ").map(String::from), Ok("alice ".into()), "nothing is trimmed");
    }
}
