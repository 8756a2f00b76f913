//! The passwords of a cluster's roles.
//!
//! **How it works.** They are random and kept in the cluster's folder in the format of libpq's password file, so that
//! any client can be pointed at it with `PGPASSFILE`.
//!
//! **Invariants**
//! * The file is readable by its owner only, and replaced whole: a crash leaves the old or the new one.
//! * A password consists of hexadecimal digits: it needs no escape in SQL, a URL or the file.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::Result;
use crate::error::Context;

/// The superuser of every cluster.
pub const SUPERUSER: &str = "postgres";

#[derive(Debug)]
pub(crate) struct Passwords {
    file: PathBuf,
    by_role: Mutex<BTreeMap<String, String>>,
}

impl Passwords {
    /// Reads the file, where there is one.
    pub(crate) fn open(file: PathBuf) -> Result<Self> {
        let text =
            if file.exists() { fs::read_to_string(&file).context("read", &file)? } else { String::new() };
        let by_role = text.lines().filter_map(parse).collect();
        Ok(Self { file, by_role: Mutex::new(by_role) })
    }

    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    pub(crate) fn get(&self, role: &str) -> Option<String> {
        self.lock().get(role).cloned()
    }

    /// Remembers a role's password, on disk first.
    pub(crate) fn set(&self, role: &str, password: &str) -> Result<()> {
        let mut by_role = self.lock();
        let mut changed = by_role.clone();
        changed.insert(role.to_owned(), password.to_owned());
        let mut text = String::new();
        for (role, password) in &changed {
            let role = role.replace('\\', "\\\\").replace(':', "\\:");
            let _ = writeln!(text, "*:*:*:{role}:{password}");
        }
        let folder = self.file.parent().unwrap_or(Path::new("."));
        // A temporary file is made for its owner only; that is the mode wanted here.
        let mut fresh = tempfile::NamedTempFile::new_in(folder).context("create a file in", folder)?;
        fresh.write_all(text.as_bytes()).context("write", fresh.path())?;
        fresh.as_file().sync_all().context("write", fresh.path())?;
        fresh.persist(&self.file).map_err(|error| error.error).context("write", &self.file)?;
        *by_role = changed;
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.by_role.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A new password, 192 bits from the operating system's generator.
pub(crate) fn random() -> String {
    rand::random::<[u8; 24]>().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// One line of the file: `*:*:*:role:password`, where `\` takes the meaning from `:` and itself.
fn parse(line: &str) -> Option<(String, String)> {
    let (role, password) = line.strip_prefix("*:*:*:")?.rsplit_once(':')?;
    let mut plain = String::new();
    let mut escaped = false;
    for character in role.chars() {
        escaped = character == '\\' && !escaped;
        if !escaped {
            plain.push(character);
        }
    }
    Some((plain, password.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_was_set_is_read_again_whatever_the_role_is_called() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pgpass");
        let passwords = Passwords::open(file.clone()).unwrap();
        for role in ["postgres", "a:b", r"c\d", r"e\:f", "ü x"] {
            passwords.set(role, &random()).unwrap();
        }
        let again = Passwords::open(file.clone()).unwrap();
        assert_eq!(*passwords.lock(), *again.lock());
        assert_eq!(again.lock().len(), 5);
        assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn two_passwords_differ() {
        assert_ne!(random(), random());
        assert_eq!(random().len(), 48);
    }
}
