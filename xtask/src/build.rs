//! `build-extension`: the library, the control file and the install script, in the shape that a server loads.
//!
//! ```text
//! target/extension/pg<major>/lib/postern.so
//! target/extension/pg<major>/dest/.../extension/postern.control  postern--X.Y.Z.sql  ...
//! ```
//!
//! What lies between `dest` and `extension` depends on how the server finds it: for Debian's `extension_destdir` it is
//! the server's own sharedir.
//!
//! **Invariants**
//! * The folder is replaced whole: it never holds the library of one build and the script of another.
//! * The functions that the library exports are those that the scripts name.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use postern_cluster::Installation;

use crate::process::{Context, Result, output, run};
use crate::script::Scripts;
use crate::workspace::{self, Profile};

/// Builds the extension for one server.
pub fn extension(server: &Installation, profile: Profile) -> Result<()> {
    run(workspace::cargo_for(server, "build").args(profile.arguments()))?;
    let library = workspace::pgrx_target(server).join(profile.folder()).join("libpostern.so");
    let scripts = Scripts::read(&workspace::root().join("crates/extension"), env!("CARGO_PKG_VERSION"))?;
    scripts.check_functions(&exported(&library)?)?;

    let target = workspace::extension(server);
    let above = target.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(above).context("create", above)?;
    let fresh =
        tempfile::Builder::new().prefix(".new-").tempdir_in(above).context("create a folder in", above)?;
    let lib = fresh.path().join("lib");
    fs::create_dir_all(&lib).context("create", &lib)?;
    fs::copy(&library, lib.join("postern.so")).context("copy", &library)?;
    let lookup = server.extension_lookup()?;
    let share = fresh.path().join("dest").join(server.extension_subfolder(lookup));
    fs::create_dir_all(&share).context("create", &share)?;
    scripts.write(&share)?;

    // A temporary folder is its maker's alone; the server's user may have to read this one.
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(fresh.path(), mode).context("change the mode of", fresh.path())?;
    if target.exists() {
        fs::remove_dir_all(&target).context("remove", &target)?;
    }
    fs::rename(fresh.path(), &target).context("rename", fresh.path())?;
    println!("extension for {}: {}", server.version, target.display());
    Ok(())
}

/// The SQL-callable functions of a library: pgrx exports each as `<name>_wrapper`, with a `pg_finfo_` beside it.
fn exported(library: &Path) -> Result<BTreeSet<String>> {
    let listing = output(Command::new("nm").args(["-D", "--defined-only", "--format=posix"]).arg(library))?;
    let symbols = listing.lines().filter_map(|line| line.split(' ').next());
    Ok(symbols
        .filter_map(|symbol| symbol.strip_prefix("pg_finfo_"))
        .filter(|symbol| symbol.ends_with("_wrapper"))
        .map(str::to_owned)
        .collect())
}
