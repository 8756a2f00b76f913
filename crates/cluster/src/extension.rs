//! The extension's files for one cluster.
//!
//! **How it works.** They are copied into the cluster's folder at each start: the account of the server may not be
//! able to read where they were built, and a rebuild must not change a library that a server has mapped. The server
//! is pointed at the copy by settings. An installation that has no such setting gets the control file and SQL put
//! into its own folder, if it is ours to write.
//!
//! **Not guaranteed.** With [`ExtensionLookup::Share`] two builds cannot be tried side by side.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::Context;
use crate::installation::{ExtensionLookup, Installation};
use crate::settings::Settings;
use crate::{Error, Result};

/// The name of the extension and of its library.
pub(crate) const NAME: &str = "postern";

/// Does a cluster have the extension, and where from?
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Extension {
    Without,
    /// Named in the environment, or built beside the running program.
    Found,
    In(PathBuf),
}

/// Copies the extension's files into `target` and says in `settings` where they are.
pub(crate) fn install(
    extension: &Extension,
    installation: &Installation,
    target: &Path,
    settings: &mut Settings,
) -> Result<()> {
    let source = match extension {
        Extension::Without => return Ok(()),
        Extension::Found => extension_folder(installation.major)?,
        Extension::In(folder) if is_built(folder) => folder.clone(),
        Extension::In(_) => return Err(Error::NoExtension { major: installation.major }),
    };
    if target.exists() {
        fs::remove_dir_all(target).context("remove", target)?;
    }
    let (lib, dest) = (target.join("lib"), target.join("dest"));
    copy(&source.join("lib"), &lib)?;
    match installation.extension_lookup()? {
        ExtensionLookup::Destdir => {
            copy(&source.join("dest"), &dest)?;
            settings.set("extension_destdir", &dest.to_string_lossy());
        }
        ExtensionLookup::ControlPath => {
            copy(&source.join("dest"), &dest)?;
            settings.set("extension_control_path", &format!("{}:$system", dest.display()));
        }
        ExtensionLookup::Share => {
            copy(&source.join("dest/extension"), &installation.sharedir.join("extension"))?;
        }
    }
    settings.set("dynamic_library_path", &format!("{}:$libdir", lib.display()));
    settings.put_first("shared_preload_libraries", NAME);
    Ok(())
}

/// Where the extension built for one major version lies: named by `POSTERN_EXTENSION_DIR`, or beside the running program's target
/// folder.
///
/// # Errors
/// [`Error::NoExtension`] if it is not built there.
pub fn extension_folder(major: u32) -> Result<PathBuf> {
    if let Some(named) = std::env::var_os("POSTERN_EXTENSION_DIR") {
        let folder = of_version(Path::new(&named), major);
        return if is_built(&folder) { Ok(folder) } else { Err(Error::NoExtension { major }) };
    }
    let program = std::env::current_exe().context("find", Path::new("the running program"))?;
    program
        .ancestors()
        .map(|folder| folder.join(format!("extension/pg{major}")))
        .find(|folder| is_built(folder))
        .ok_or(Error::NoExtension { major })
}

/// A folder that is called after another version (`pg15`) has this one's beside it.
fn of_version(named: &Path, major: u32) -> PathBuf {
    let name = named.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    match name.strip_prefix("pg").and_then(|version| version.parse::<u32>().ok()) {
        Some(other) if other != major => named.with_file_name(format!("pg{major}")),
        _ => named.to_owned(),
    }
}

fn is_built(folder: &Path) -> bool {
    folder.join("lib").join(format!("{NAME}.so")).is_file() && folder.join("dest").is_dir()
}

/// Copies a folder with all below it. A file is put in place whole: a server may be reading it.
fn copy(source: &Path, target: &Path) -> Result<()> {
    fs::create_dir_all(target).context("create", target)?;
    for entry in fs::read_dir(source).context("read", source)? {
        let entry = entry.context("read", source)?;
        let (from, to) = (entry.path(), target.join(entry.file_name()));
        if from.is_dir() {
            copy(&from, &to)?;
        } else {
            let fresh = tempfile::NamedTempFile::new_in(target).context("create a file in", target)?;
            fs::copy(&from, fresh.path()).context("copy", &from)?;
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            fs::set_permissions(fresh.path(), mode).context("change the mode of", fresh.path())?;
            fresh.persist(&to).map_err(|error| error.error).context("write", &to)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_has_all_files_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let (source, target) = (folder.path().join("a"), folder.path().join("b"));
        fs::create_dir_all(source.join("usr/share")).unwrap();
        fs::write(source.join("usr/share/x.control"), "old").unwrap();
        copy(&source, &target).unwrap();
        fs::write(source.join("usr/share/x.control"), "new").unwrap();
        copy(&source, &target).unwrap();
        assert_eq!(fs::read_to_string(target.join("usr/share/x.control")).unwrap(), "new");
        assert_eq!(fs::read_dir(target.join("usr/share")).unwrap().count(), 1);
    }

    #[test]
    fn a_version_lies_beside_another() {
        assert_eq!(of_version(Path::new("a/pg15"), 15), Path::new("a/pg15"));
        assert_eq!(of_version(Path::new("a/pg15"), 18), Path::new("a/pg18"));
        assert_eq!(of_version(Path::new("a/mine"), 18), Path::new("a/mine"));
    }

    #[test]
    fn half_a_build_is_none() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("lib")).unwrap();
        fs::write(folder.path().join("lib/postern.so"), "").unwrap();
        assert!(!is_built(folder.path()));
        fs::create_dir_all(folder.path().join("dest")).unwrap();
        assert!(is_built(folder.path()));
    }
}
