//! What `postern up` says once it is ready: the address, and what to paste.

use std::fmt::Write;
use std::path::Path;

use crate::args::FOLDER;

/// What is asked first.
const INVOICES: &str = "select number, customer from invoices";

/// The greeting.
pub fn text(url: &str, folder: &Path, example: bool) -> String {
    let mut out = format!("postern is listening on {url}\n");
    let command = format!("{} token", program());
    let dir = if folder == Path::new(FOLDER) {
        String::new()
    } else {
        format!(" --dir {}", quoted(&folder.to_string_lossy()))
    };
    let query = |subject: &str, tenant: &str, sql: &str| {
        format!(
            "curl -sw '\\n' {url}/v1/query -H 'Content-Type: application/json' \\\n    \
             -H \"Authorization: Bearer $({command} --role app_user --sub {subject} --claim tenant={tenant}{dir})\" \\\n    \
             -d '{{\"query\": \"{sql}\"}}'"
        )
    };
    if example {
        // Writing to a string cannot fail.
        let _ = write!(
            out,
            "\nIn another terminal, a token, and what its owner sees: alice of acme, then bob of globex\n\n  \
             {command} --role app_user --sub alice --claim tenant=acme{dir}\n\n  {}\n\n  {}\n\n\
             An order that waits for its approval, as a durable function (examples/workflows has more):\n\n  {}\n",
            query("alice", "acme", INVOICES),
            query("bob", "globex", INVOICES),
            query(
                "alice",
                "acme",
                "select id, workflow, df.explain(workflow) from place_order($$anvil$$, 99.50)"
            )
        );
    }
    out.push_str("\nCtrl-C stops it.\n");
    out
}

/// This program as one would type it: by its name if the PATH leads to it, else by its path.
fn program() -> String {
    let Ok(this) = std::env::current_exe() else { return "postern".into() };
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join("postern")).find(|file| file.is_file());
    if found
        .and_then(|file| file.canonicalize().ok())
        .is_some_and(|file| Some(file) == this.canonicalize().ok())
    {
        return "postern".into();
    }
    let here = std::env::current_dir().unwrap_or_default();
    let shown = this.strip_prefix(&here).unwrap_or(&this);
    // A path of one part would be looked for on the PATH.
    let shown = if shown.components().count() == 1 { Path::new(".").join(shown) } else { shown.to_owned() };
    quoted(&shown.to_string_lossy())
}

/// A word for a shell.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.into()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_quoted_for_the_shell_when_it_has_to_be() {
        assert_eq!(quoted("target/debug/postern"), "target/debug/postern");
        assert_eq!(quoted("/a b/it's"), r"'/a b/it'\''s'");
        assert_eq!(quoted(""), "''");
    }

    #[test]
    fn the_folder_is_named_only_if_it_is_another() {
        let url = "http://127.0.0.1:1234";
        assert!(!text(url, Path::new(".postern"), true).contains("--dir"));
        assert!(text(url, Path::new("/x y"), true).contains("--dir '/x y'"));
        assert!(!text(url, Path::new(".postern"), false).contains("invoices"));
    }
}
