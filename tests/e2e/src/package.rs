//! A copy of the extension's files, to change.

use std::fs;
use std::path::{Path, PathBuf};

use postern_cluster::extension_folder;

/// Copies the extension built for one version of the server into a folder; gives where its control file is in there.
pub fn copy_of_extension(major: u32, to: &Path) -> PathBuf {
    copy(&extension_folder(major).expect("the extension is built"), to).expect("a control file")
}

/// Copies a folder, and gives where the control file is in the copy.
fn copy(from: &Path, to: &Path) -> Option<PathBuf> {
    let mut control = None;
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("the folder") {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name())).expect("an entry");
        if path.is_dir() {
            control = copy(&path, &to.join(name)).or(control);
        } else {
            fs::copy(&path, to.join(&name)).expect("a copy");
            if name == "postern.control" {
                control = Some(to.to_owned());
            }
        }
    }
    control
}
