//! The folder of `postern up`: what is in it, and that one process at a time has it.
//!
//! **Invariants**
//! - The lock is the system's, on an open file: it ends with the process, however that ends, so that nothing left behind
//!   can keep the next start from happening.
//! - Files with secrets are readable by their owner only from the moment they exist, and appear whole or not at all.
//!
//! The folder itself can be entered by others: as root, the server runs as another user and must reach its own folder.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::error::{Context, Error};

/// The folder, as long as this process has it.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    // Held for its lock.
    _lock: File,
}

/// Where things are in the folder; for those who only read.
#[derive(Debug, Clone, Copy)]
pub struct Places<'a>(pub &'a Path);

impl Places<'_> {
    /// The cluster.
    pub fn cluster(self) -> PathBuf {
        self.0.join("pg")
    }

    /// The configuration of the gate.
    pub fn config(self) -> PathBuf {
        self.0.join("postern.toml")
    }

    /// The private key that tokens for development are signed with.
    pub fn signing_key(self) -> PathBuf {
        self.0.join("signing-key.pem")
    }

    /// Its public half, for the gate.
    pub fn public_key(self) -> PathBuf {
        self.0.join("signing-key.jwk.json")
    }

    /// The password of the gate's role.
    pub fn gate_password(self) -> PathBuf {
        self.0.join("gate-password")
    }

    /// The key that secrets of HTTP steps are sealed with, for the outbound worker; the server has a copy.
    pub fn secrets_key(self) -> PathBuf {
        self.0.join("secrets-key")
    }

    /// There once the example was loaded.
    pub fn example_marker(self) -> PathBuf {
        self.0.join("example-loaded")
    }

    fn lock(self) -> PathBuf {
        self.0.join("lock")
    }
}

impl Folder {
    /// Makes the folder where there is none, and takes it.
    pub fn take(path: &Path) -> Result<Self, Error> {
        fs::create_dir_all(path).map_err(|source| Error::Folder { folder: path.to_owned(), source })?;
        let path = path.canonicalize().context("find", path)?;
        let file = Places(&path).lock();
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&file)
            .context("open", &file)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // What the other one wrote, if it has come to that; the error says enough without.
                let _ = lock.read_to_string(&mut holder);
                let holder = Some(holder.trim().to_owned()).filter(|pid| !pid.is_empty());
                return Err(Error::Locked { folder: path, holder });
            }
            Err(TryLockError::Error(source)) => return Err(source).context("lock", &file),
        }
        lock.set_len(0).and_then(|()| writeln!(lock, "{}", std::process::id())).context("write", &file)?;
        // What is in here is nobody's to commit.
        let ignore = path.join(".gitignore");
        if !ignore.exists() {
            fs::write(&ignore, "*\n").context("write", &ignore)?;
        }
        Ok(Self { path, _lock: lock })
    }

    /// Where it really is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn places(&self) -> Places<'_> {
        Places(&self.path)
    }
}

/// Writes a file that only its owner may read.
pub fn write_private(path: &Path, text: &str) -> Result<(), Error> {
    let folder = path.parent().unwrap_or(Path::new("."));
    // A temporary file is made for its owner only.
    let mut file = tempfile::NamedTempFile::new_in(folder).context("create a file in", folder)?;
    file.write_all(text.as_bytes()).context("write", path)?;
    file.as_file().sync_all().context("write", path)?;
    file.persist(path).map_err(|error| error.error).context("write", path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_folder_is_one_process_s_until_it_lets_go() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("a/b");
        let taken = Folder::take(&path).unwrap();
        // The lock is on the open file, so a second opening conflicts even within one process.
        let error = Folder::take(&path).unwrap_err().to_string();
        assert!(error.contains("another \"postern up\" is running"), "{error}");
        assert!(error.ends_with(&format!(", as process {}", std::process::id())), "{error}");
        drop(taken);
        Folder::take(&path).unwrap();
        assert_eq!(fs::read_to_string(path.join(".gitignore")).unwrap(), "*\n");
    }

    #[test]
    fn a_private_file_is_its_owner_s_and_is_replaced_whole() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("secret");
        for text in ["one", "two"] {
            write_private(&path, text).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(fs::read_dir(room.path()).unwrap().count(), 1, "no temporary file is left");
    }
}
