//! The install script of the extension, put together from its parts, and what must hold of it.
//!
//! **How it works.** `crates/extension/sql/*.sql` in the order of their names make `postern--<version>.sql`. Released
//! scripts and upgrades lie in `sql/release/` and are copied as they are.
//!
//! **Invariants**
//! * The control file, the crates and the script have one version.
//! * A released script is never edited: while its version is the current one, the parts must still give the same text.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::process::{Context, Error, Result};

/// Psql stops here; CREATE EXTENSION skips the line.
const GUARD: &str = "\\echo Use \"CREATE EXTENSION postern\" to load this file. \\quit\n";

/// The control file and all scripts, by file name.
#[derive(Debug, PartialEq, Eq)]
pub struct Scripts {
    control: String,
    files: BTreeMap<String, String>,
}

impl Scripts {
    /// Reads them from the extension's crate.
    pub fn read(folder: &Path, version: &str) -> Result<Self> {
        let path = folder.join("postern.control");
        let control = fs::read_to_string(&path).context("read", &path)?;
        let stated = setting(&control, "default_version").unwrap_or_default();
        if stated != version {
            return Err(Error::Wrong(format!(
                "postern.control says default_version '{stated}', but the workspace has version {version}"
            )));
        }
        let parts = texts(&folder.join("sql"))?;
        if parts.is_empty() {
            return Err(Error::Wrong(format!(
                "there is no part of the install script in {}/sql",
                folder.display()
            )));
        }
        let mut script = GUARD.to_owned();
        for text in parts.values() {
            script.push('\n');
            script.push_str(text);
        }
        let mut files = texts(&folder.join("sql/release"))?;
        let name = format!("postern--{version}.sql");
        if files.get(&name).is_some_and(|released| *released != script) {
            return Err(Error::Wrong(format!(
                "the parts of the install script differ from sql/release/{name}: after a release, raise the version \
                 and write an upgrade script"
            )));
        }
        files.insert(name, script);
        Ok(Self { control, files })
    }

    /// The names of the scripts.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// A script by its name.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.files.get(name).map(String::as_str)
    }

    /// The library's functions must be those that the scripts name. A released script counts: its functions stay.
    pub fn check_functions(&self, exported: &BTreeSet<String>) -> Result<()> {
        let named: BTreeSet<String> = self.files.values().flat_map(|text| functions(text)).collect();
        let missing: Vec<_> = named.difference(exported).map(String::as_str).collect();
        let unused: Vec<_> = exported.difference(&named).map(String::as_str).collect();
        if missing.is_empty() && unused.is_empty() {
            return Ok(());
        }
        let list = |names: &[&str]| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        Err(Error::Wrong(format!(
            "the library and the SQL do not agree\n  named in SQL, but not exported: {}\n  exported, but not named in SQL: {}",
            list(&missing),
            list(&unused)
        )))
    }

    /// Writes all of them into a folder.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let control = [("postern.control", &self.control)];
        let files = self.files.iter().map(|(name, text)| (name.as_str(), text));
        for (name, text) in control.into_iter().chain(files) {
            let path = folder.join(name);
            fs::write(&path, text).context("write", &path)?;
        }
        Ok(())
    }
}

/// The SQL files of a folder in the order of their names; none when there is no such folder.
fn texts(folder: &Path) -> Result<BTreeMap<String, String>> {
    let mut texts = BTreeMap::new();
    if !folder.is_dir() {
        return Ok(texts);
    }
    for entry in fs::read_dir(folder).context("read", folder)? {
        let path = entry.context("read", folder)?.path();
        if path.extension().is_some_and(|extension| extension == "sql") {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            texts.insert(name, fs::read_to_string(&path).context("read", &path)?);
        }
    }
    Ok(texts)
}

/// The value of `name = 'value'` in a control file.
fn setting<'a>(control: &'a str, name: &str) -> Option<&'a str> {
    control.lines().find_map(|line| {
        let value = line.trim().strip_prefix(name)?.trim_start().strip_prefix('=')?.trim();
        value.strip_prefix('\'')?.split('\'').next()
    })
}

/// The C functions that a script names: `'<name>_wrapper'`, comments aside.
fn functions(text: &str) -> impl Iterator<Item = String> {
    let code = text.lines().map(|line| line.split("--").next().unwrap_or_default());
    let quoted = code.flat_map(|line| line.split('\'').skip(1).step_by(2));
    quoted.filter(|word| word.ends_with("_wrapper")).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crate_with(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("sql/release")).unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    const CONTROL: (&str, &str) = ("postern.control", "comment = 'x'\ndefault_version = '0.1.0'\n");
    const TWO: &str = "create function f() as 'MODULE_PATHNAME', 'f_wrapper';\n";
    const ONE: &str = "create function e() as 'MODULE_PATHNAME', 'e_wrapper'; -- not 'g_wrapper'\n";

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn the_parts_follow_the_guard_in_the_order_of_their_names() {
        let folder =
            crate_with(&[CONTROL, ("sql/20_b.sql", TWO), ("sql/10_a.sql", ONE), ("sql/notes.md", "no")]);
        let scripts = Scripts::read(folder.path(), "0.1.0").unwrap();
        assert_eq!(scripts.files["postern--0.1.0.sql"], format!("{GUARD}\n{ONE}\n{TWO}"));
        scripts.write(folder.path()).unwrap();
        assert!(folder.path().join("postern--0.1.0.sql").is_file());
    }

    #[test]
    fn another_version_in_the_control_file_is_refused() {
        let folder = crate_with(&[CONTROL, ("sql/10_a.sql", ONE)]);
        let error = Scripts::read(folder.path(), "0.2.0").unwrap_err();
        assert!(error.to_string().contains("'0.1.0', but the workspace has version 0.2.0"), "{error}");
    }

    #[test]
    fn a_released_script_may_not_drift_from_its_parts() {
        let release = format!("{GUARD}\n{ONE}");
        let folder =
            crate_with(&[CONTROL, ("sql/10_a.sql", ONE), ("sql/release/postern--0.1.0.sql", &release)]);
        Scripts::read(folder.path(), "0.1.0").unwrap();
        fs::write(folder.path().join("sql/10_a.sql"), TWO).unwrap();
        let error = Scripts::read(folder.path(), "0.1.0").unwrap_err();
        assert!(error.to_string().contains("write an upgrade script"), "{error}");
    }

    #[test]
    fn the_library_and_the_scripts_must_name_the_same_functions() {
        let folder = crate_with(&[CONTROL, ("sql/10_a.sql", ONE), ("sql/20_b.sql", TWO)]);
        let scripts = Scripts::read(folder.path(), "0.1.0").unwrap();
        scripts.check_functions(&names(&["e_wrapper", "f_wrapper"])).unwrap();
        // What a released script names must be there for ever.
        let released = format!("{GUARD}\n{TWO}");
        let folder =
            crate_with(&[CONTROL, ("sql/10_a.sql", ONE), ("sql/release/postern--0.0.9.sql", &released)]);
        let older = Scripts::read(folder.path(), "0.1.0").unwrap();
        older.check_functions(&names(&["e_wrapper", "f_wrapper"])).unwrap();
        let error = older.check_functions(&names(&["e_wrapper"])).unwrap_err().to_string();
        assert!(error.contains("not exported: f_wrapper\n"), "{error}");

        let error = scripts.check_functions(&names(&["f_wrapper", "h_wrapper"])).unwrap_err().to_string();
        assert!(error.contains("not exported: e_wrapper\n"), "{error}");
        assert!(error.ends_with("not named in SQL: h_wrapper"), "{error}");
    }

    #[test]
    fn errors_raised_in_sql_say_what_to_do_instead() {
        let crate_folder = crate::workspace::root().join("crates/extension");
        let (mut raised, mut bare) = (0, Vec::new());
        for (name, text) in texts(&crate_folder.join("sql")).unwrap() {
            for part in text.split("RAISE EXCEPTION").skip(1) {
                let statement = part.split(";\n").next().unwrap();
                raised += 1;
                // What is caught, and raised again with one, needs none.
                if !statement.contains("HINT") && !statement.contains("not one expression") {
                    bare.push(format!("{name}: {}", statement.trim()));
                }
            }
        }
        assert_eq!(bare, [""; 0]);
        assert!(raised > 50, "{raised}");
    }

    #[test]
    fn scripts_can_be_read_in_every_encoding() {
        for (name, text) in texts(&crate::workspace::root().join("crates/extension/sql")).unwrap() {
            let line = text.lines().find(|line| !line.is_ascii());
            assert_eq!(line, None, "{name}");
        }
    }
}
