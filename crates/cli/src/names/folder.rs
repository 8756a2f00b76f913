//! Folders of migrations: which files run, and in which order.
//!
//! There is no file that says it, only the habits of the tools: numbers in names count as numbers, Flyway's versions wherever their files
//! lie, and its repeatable files come last. What undoes a migration is not run.

use std::cmp::Ordering;
use std::path::{Path, PathBuf};

use crate::error::{Context as _, Error};

/// Files as they are given, and for a folder those in it.
pub fn expanded(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Error> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let mut found = Vec::new();
        collect(path, &mut found)?;
        found.retain(|file| !undoes(file));
        if found.is_empty() {
            return Err(Error::Usage(format!("{} has no .sql file that could be run", path.display())));
        }
        files.extend(in_order(found));
    }
    Ok(files)
}

/// The `.sql` files in a folder and below; links to folders are not followed.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Error> {
    for entry in std::fs::read_dir(folder).context("read", folder)? {
        let entry = entry.context("read", folder)?;
        let path = entry.path();
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        if entry.file_type().context("read", &path)?.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|end| end == "sql") && path.is_file() {
            files.push(path);
        }
    }
    Ok(())
}

/// Does a file undo a migration? sqlx, golang-migrate, Hasura, Diesel, yoyo; and Flyway's `U2__name.sql`.
pub fn undoes(file: &Path) -> bool {
    let name = name(file).to_ascii_lowercase();
    let ends = ["down.sql", "rollback.sql"]
        .iter()
        .any(|end| name.strip_suffix(end).is_some_and(|start| start.is_empty() || start.ends_with('.')));
    ends || version(&name, 'u').is_some()
}

/// In the order in which they run.
pub fn in_order(mut files: Vec<PathBuf>) -> Vec<PathBuf> {
    files.sort_by(|one, other| {
        let (a, b) = (name(one).to_ascii_lowercase(), name(other).to_ascii_lowercase());
        let last = |name: &str| name.starts_with("r__");
        let by_version = match (version(&a, 'v'), version(&b, 'v')) {
            (Some(a), Some(b)) => a.cmp(&b),
            _ => Ordering::Equal,
        };
        let by_path = || natural(&one.to_string_lossy(), &other.to_string_lossy());
        last(&a).cmp(&last(&b)).then(by_version).then_with(by_path)
    });
    files
}

fn name(file: &Path) -> String {
    file.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Flyway's version: numbers between the letter and two underscores, with dots or single underscores between them.
fn version(name: &str, letter: char) -> Option<Vec<u64>> {
    let (number, _) = name.strip_prefix(letter)?.split_once("__")?;
    let mut parts = number.split(['.', '_']).map(|part| part.parse().ok()).collect::<Option<Vec<u64>>>()?;
    while parts.last() == Some(&0) {
        parts.pop();
    }
    Some(parts)
}

/// Compares texts; digits in a row are one number.
fn natural(one: &str, other: &str) -> Ordering {
    let (mut a, mut b) = (one, other);
    loop {
        let (first, rest_of_a) = head(a);
        let (second, rest_of_b) = head(b);
        let number = |part: &str| part.starts_with(|c: char| c.is_ascii_digit());
        let compared = if number(first) && number(second) {
            let (first, second) = (first.trim_start_matches('0'), second.trim_start_matches('0'));
            first.len().cmp(&second.len()).then_with(|| first.cmp(second))
        } else {
            first.cmp(second)
        };
        if compared.is_ne() || (first.is_empty() && second.is_empty()) {
            return compared.then_with(|| one.cmp(other));
        }
        (a, b) = (rest_of_a, rest_of_b);
    }
}

/// The first number of a text, or its first character.
fn head(text: &str) -> (&str, &str) {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let one = text.chars().next().map_or(0, char::len_utf8);
    text.split_at(digits.max(one))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ordered(files: &[&str]) -> Vec<String> {
        let files = in_order(files.iter().map(PathBuf::from).collect());
        files.into_iter().map(|file| file.display().to_string()).collect()
    }

    #[test]
    fn files_run_in_the_order_of_their_tool() {
        // sqlx, Supabase, Hasura, Prisma.
        for order in [
            ["9_a.up.sql", "10_b.up.sql", "20230101_c.sql"],
            ["1_a/up.sql", "2_b/up.sql", "10_c/up.sql"],
            ["0001_initial.sql", "0002_x.sql", "0010_y.sql"],
            ["a.sql", "a1.sql", "b.sql"],
            // Flyway.
            ["x/V1__b.sql", "a/V1.1__a.sql", "V2__c.sql"],
            ["V2__a.sql", "V10__b.sql", "R__views.sql"],
            ["V1_2__a.sql", "V1.10__b.sql", "R__a.sql"],
        ] {
            let mut shuffled = order;
            shuffled.reverse();
            assert_eq!(ordered(&shuffled), order);
        }
    }

    #[test]
    fn what_undoes_is_known_by_its_name() {
        for file in ["1_a.down.sql", "x/down.sql", "U1__a.sql", "U1.2__a.sql", "0001.a.rollback.sql"] {
            assert!(undoes(Path::new(file)), "{file}");
        }
        for file in ["1_a.up.sql", "up.sql", "U__a.sql", "users.sql", "markdown.sql", "V1__down.sql"] {
            assert!(!undoes(Path::new(file)), "{file}");
        }
    }
}
