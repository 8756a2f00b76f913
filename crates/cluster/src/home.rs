//! The folder of one cluster.
//!
//! ```text
//! data/             PostgreSQL's own, of the server's account
//! s/                the socket, of the server's account
//! extension/        a copy of the extension's files
//! postgresql.conf   our settings; includes that of data/
//! pgpass            passwords, for this process's user only
//! …                 files that only the server's account may read, by Builder::private_file
//! log  lock
//! ```
//!
//! **How it works.** A temporary folder lies under `/var/tmp`, which every account can enter. A persistent one lies
//! where it was asked for, unless the server's account cannot enter that place or the socket's name would get longer
//! than a socket address holds: then it lies under `/var/tmp`, and a link stands in its place.
//!
//! **Invariants**
//! * As root we write only into folders that belong to root: the server's account cannot make us follow a link.
//! * A persistent folder is used by one process at a time, which holds the lock on `lock`.

use std::fmt::Write as _;
use std::fs::{self, File, Permissions, TryLockError};
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::account::Account;
use crate::error::Context;
use crate::{Error, Result};

/// Where folders go that nobody chose a place for.
const ROOM: &str = "/var/tmp";
/// A socket's address holds 107 bytes; below the folder come `s/.s.PGSQL.65535` and its lock file.
const LONGEST: usize = 107 - "/s/.s.PGSQL.65535.lock".len();

#[derive(Debug)]
pub(crate) struct Home {
    folder: PathBuf,
    keep: Keep,
}

#[derive(Debug)]
enum Keep {
    /// Removed with the value.
    Temporary(TempDir),
    /// The lock goes with the value, the folder stays.
    Persistent { lock: File, moved: bool },
}

impl Home {
    /// A new folder that goes away.
    pub(crate) fn temporary(account: &Account, room: Option<&Path>) -> Result<Self> {
        let room = room.unwrap_or(Path::new(ROOM));
        let folder = tempfile::Builder::new()
            .prefix("postern-")
            .tempdir_in(room)
            .context("create a folder in", room)?;
        let home = Self { folder: folder.path().to_owned(), keep: Keep::Temporary(folder) };
        home.prepare(account)?;
        Ok(home)
    }

    /// The folder asked for, made when missing.
    pub(crate) fn persistent(account: &Account, asked: &Path) -> Result<Self> {
        let (folder, moved) = place(account, asked)?;
        let lock = lock(&folder)?;
        let home = Self { folder, keep: Keep::Persistent { lock, moved } };
        home.prepare(account)?;
        Ok(home)
    }

    fn prepare(&self, account: &Account) -> Result<()> {
        // Others may pass through to a folder that is theirs, and see nothing on the way.
        let mode = if account.is_other() { 0o711 } else { 0o700 };
        fs::set_permissions(&self.folder, Permissions::from_mode(mode))
            .context("change the mode of", &self.folder)?;
        make(&self.sockets(), 0o711)?;
        account.give(&self.sockets())
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    pub(crate) fn sockets(&self) -> PathBuf {
        self.folder.join("s")
    }

    pub(crate) fn extension(&self) -> PathBuf {
        self.folder.join("extension")
    }

    pub(crate) fn configuration(&self) -> PathBuf {
        self.folder.join("postgresql.conf")
    }

    pub(crate) fn passwords(&self) -> PathBuf {
        self.folder.join("pgpass")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    pub(crate) fn is_temporary(&self) -> bool {
        matches!(self.keep, Keep::Temporary(_))
    }

    /// Where the folder really is, if not where it was asked for.
    pub(crate) fn moved_to(&self) -> Option<&Path> {
        matches!(self.keep, Keep::Persistent { moved: true, .. }).then_some(self.folder.as_path())
    }

    /// An empty data folder that belongs to the server's account.
    pub(crate) fn new_data(&self, account: &Account, name: &str) -> Result<PathBuf> {
        let data = self.folder.join(name);
        make(&data, 0o700)?;
        account.give(&data)?;
        Ok(data)
    }

    /// Writes our settings where the server may read them.
    pub(crate) fn write_configuration(&self, text: &str) -> Result<()> {
        let path = self.configuration();
        fs::write(&path, text).context("write", &path)?;
        fs::set_permissions(&path, Permissions::from_mode(0o644)).context("change the mode of", &path)
    }

    /// Writes a file that only the server's account may read; gives where it is. It appears whole, and is never anybody else's to read.
    pub(crate) fn write_private(&self, account: &Account, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.folder.join(name);
        // A temporary file is made for its owner only.
        let mut file =
            tempfile::NamedTempFile::new_in(&self.folder).context("create a file in", &self.folder)?;
        file.write_all(text.as_bytes()).context("write", &path)?;
        account.give(file.path())?;
        file.persist(&path).map_err(|error| error.error).context("write", &path)?;
        Ok(path)
    }

    /// Removes what is in a temporary folder now; the folder itself goes with the value.
    pub(crate) fn clear(&self) {
        if let Keep::Temporary(folder) = &self.keep {
            // The server may be writing its last files; what stays is removed with the value.
            let _ = fs::remove_dir_all(folder.path());
        }
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if let Keep::Persistent { lock, .. } = &self.keep {
            // Closing the file would not do: a child that another thread is just starting has it open until it runs
            // its program, and with it the lock.
            let _ = lock.unlock();
        }
    }
}

/// Where a persistent cluster is, if it exists: the link is followed.
pub(crate) fn existing(asked: &Path) -> Option<PathBuf> {
    let folder = fs::canonicalize(asked).ok()?;
    folder.join("data").is_dir().then_some(folder)
}

/// Finds the place of a persistent folder and makes it.
fn place(account: &Account, asked: &Path) -> Result<(PathBuf, bool)> {
    let asked = std::path::absolute(asked).context("find", asked)?;
    if asked.is_symlink() {
        let folder = fs::read_link(&asked).context("read", &asked)?;
        if !folder.starts_with(ROOM) {
            return Err(Error::Folder { folder: asked, reason: "it is a link to another place".to_owned() });
        }
        // The link outlives a cleaning of the temporary folders.
        make(&folder, 0o711)?;
        is_ours(&folder)?;
        return Ok((folder, true));
    }
    let parent = asked.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(parent).context("create", parent)?;
    let short = asked.as_os_str().len() <= LONGEST;
    if short && account.can_enter(parent) {
        make(&asked, 0o711)?;
        is_ours(&asked)?;
        return Ok((asked, false));
    }
    if asked.exists() {
        let reason = "the server's user cannot enter it".to_owned();
        return Err(Error::Folder { folder: asked, reason });
    }
    let folder = Path::new(ROOM).join(elsewhere(&asked));
    make(&folder, 0o711)?;
    is_ours(&folder)?;
    symlink(&folder, &asked).context("create", &asked)?;
    Ok((folder, true))
}

/// A short name that is the same each time for one place and user.
fn elsewhere(asked: &Path) -> String {
    let uid = rustix::process::geteuid().as_raw();
    let mut name = format!("postern-{uid}-");
    for byte in Sha256::digest(asked.as_os_str().as_bytes()).iter().take(6) {
        let _ = write!(name, "{byte:02x}");
    }
    name
}

fn make(folder: &Path, mode: u32) -> Result<()> {
    match fs::DirBuilder::new().mode(mode).create(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        other => other.context("create", folder),
    }
}

/// The name under `/var/tmp` can be guessed: someone else may have been there first.
fn is_ours(folder: &Path) -> Result<()> {
    let found = fs::symlink_metadata(folder).context("read", folder)?;
    let reason = if !found.is_dir() {
        "it is not a folder"
    } else if found.uid() != rustix::process::geteuid().as_raw() {
        "it belongs to another user"
    } else {
        return Ok(());
    };
    Err(Error::Folder { folder: folder.to_owned(), reason: reason.to_owned() })
}

fn lock(folder: &Path) -> Result<File> {
    let path = folder.join("lock");
    let mut file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .context("open", &path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let pid = fs::read_to_string(&path).unwrap_or_default();
            let holder = match pid.trim() {
                "" => "another process".to_owned(),
                pid => format!("process {pid}"),
            };
            return Err(Error::InUse { folder: folder.to_owned(), holder });
        }
        Err(TryLockError::Error(error)) => return Err(error).context("lock", &path),
    }
    file.set_len(0).context("write", &path)?;
    writeln!(file, "{}", std::process::id()).context("write", &path)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_elsewhere_is_the_same_each_time_and_short() {
        let (one, other) = (elsewhere(Path::new("/root/a")), elsewhere(Path::new("/root/b")));
        assert_eq!(one, elsewhere(Path::new("/root/a")));
        assert_ne!(one, other);
        assert!(Path::new(ROOM).join(one).as_os_str().len() < LONGEST);
    }

    #[test]
    fn a_folder_under_a_long_name_is_put_elsewhere_with_a_link_in_its_place() {
        let base = tempfile::tempdir_in(ROOM).unwrap();
        fs::set_permissions(base.path(), Permissions::from_mode(0o755)).unwrap();
        let asked = base.path().join("x".repeat(100)).join("pg");
        let account = Account::current().unwrap();
        let home = Home::persistent(&account, &asked).unwrap();
        let real = home.moved_to().unwrap().to_owned();
        assert_eq!(fs::read_link(&asked).unwrap(), real);
        drop(home);
        let again = Home::persistent(&account, &asked).unwrap();
        assert_eq!(again.moved_to(), Some(real.as_path()));
        fs::remove_dir_all(real).unwrap();
    }

    #[test]
    fn a_folder_in_use_is_refused_with_its_holder() {
        let base = tempfile::tempdir_in(ROOM).unwrap();
        fs::set_permissions(base.path(), Permissions::from_mode(0o755)).unwrap();
        let account = Account::current().unwrap();
        let held = Home::persistent(&account, &base.path().join("pg")).unwrap();
        let error = Home::persistent(&account, &base.path().join("pg")).unwrap_err();
        assert!(error.to_string().ends_with(&format!("process {}", std::process::id())), "{error}");
        drop(held);
        Home::persistent(&account, &base.path().join("pg")).unwrap();
    }

    #[test]
    fn a_folder_of_someone_else_is_refused() {
        let error = is_ours(Path::new("/proc/1/task/nothing")).unwrap_err();
        assert!(matches!(error, Error::Io { .. }));
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(is_ours(file.path()).unwrap_err().to_string().ends_with("it is not a folder"));
    }
}
