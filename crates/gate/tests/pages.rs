//! The pages about the configuration are true: each key that is read has a row and each row is of a key that is read, each
//! default is what holds without the key, and what the pages show can be read.

#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use postern_gate::Config;

/// What every configuration has.
const DATABASE: &str = "[database]\ndbname = \"app\"\n";

/// Each section: its keys are the fields of these structs, and this makes it complete.
const SECTIONS: [(&str, &str, &[&str], &str); 15] = [
    ("listen", "gate", &["Listen"], ""),
    ("database", "pool", &["Config"], ""),
    ("outbound", "outbound", &["Config"], "url = \"postgresql://postern_outbound@localhost/app\"\n"),
    ("limits", "gate", &["Limits"], ""),
    ("limits.roles.NAME", "gate", &["RoleLimits"], ""),
    ("cors", "gate", &["Cors"], ""),
    ("errors", "gate", &["Errors"], ""),
    ("log", "gate", &["Log"], ""),
    ("metrics", "gate", &["Metrics"], ""),
    ("telemetry", "gate", &["Telemetry"], "endpoint = \"http://localhost:4318/v1/traces\"\n"),
    ("doctor", "gate", &["Doctor"], ""),
    ("auth", "auth", &["Config"], ""),
    ("auth.jwt", "auth", &["Jwt", "Belief", "Rules", "Reach"], JWT),
    ("auth.introspection", "auth", &["Introspection", "Belief", "Rules", "Reach"], INTROSPECTION),
    ("auth.api_keys", "auth", &["ApiKeys"], "roles = [\"app_user\"]\n"),
];
const JWT: &str = "issuer = \"https://login.example.com/\"\naudience = \"app\"\njwks_url = \"https://login.example.com/keys\"\nroles = [\"app_user\"]\n";
const INTROSPECTION: &str = "url = \"https://login.example.com/introspect\"\nclient_id = \"gate\"\nclient_secret_file = \"secret\"\naudience = \"app\"\nroles = [\"app_user\"]\n";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn page(name: &str) -> String {
    fs::read_to_string(root().join("docs").join(name)).unwrap()
}

/// What stands between backticks.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// A row of a table of keys: the section, the keys, and what is said of the default.
#[derive(Debug)]
struct Row {
    section: String,
    keys: Vec<String>,
    default: String,
}

/// The rows of the tables of keys. Which section they are of says the heading, or the head of the table.
fn rows(page: &str) -> Vec<Row> {
    let (mut section, mut rows, mut is_table) = (String::new(), Vec::new(), false);
    for line in page.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            let name = quoted(title).first().map_or(title, |name| name);
            name.trim_matches(['[', ']']).clone_into(&mut section);
        }
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let ["", first, default, _, ""] = cells[..] else {
            is_table = false;
            continue;
        };
        if first.starts_with("key") {
            is_table = true;
            if let Some(name) = quoted(first).first() {
                name.trim_matches(['[', ']']).clone_into(&mut section);
            }
        } else if is_table && !first.starts_with("--") {
            let keys = quoted(first).into_iter().map(str::to_owned).collect();
            rows.push(Row { section: section.clone(), keys, default: default.to_owned() });
        }
    }
    rows
}

fn all_rows() -> Vec<Row> {
    [page("reference/configuration.md"), page("reference/authentication.md")]
        .iter()
        .flat_map(|page| rows(page))
        .collect()
}

/// The fields of a struct of a crate's configuration that a file can set.
fn fields(krate: &str, name: &str) -> BTreeSet<String> {
    let source = fs::read_to_string(root().join(format!("crates/{krate}/src/config.rs"))).unwrap();
    let start = source.find(&format!("pub struct {name} {{")).unwrap();
    let body = source[start..].split_once("\n}").unwrap().0;
    let lines: Vec<&str> = body.lines().map(str::trim).collect();
    let mut fields = BTreeSet::new();
    for (n, line) in lines.iter().enumerate() {
        if let Some((field, _)) = line.strip_prefix("pub ").and_then(|line| line.split_once(':'))
            && lines[n - 1] != "#[serde(flatten)]"
        {
            fields.insert(field.to_owned());
        }
    }
    assert!(!fields.is_empty(), "{krate}: {name}");
    fields
}

/// A configuration with this in a section.
fn with(section: &str, complete: &str, line: &str) -> String {
    match section {
        "database" => format!("{DATABASE}{line}\n"),
        "auth.jwt" | "auth.introspection" => format!("{DATABASE}[[{section}]]\n{complete}{line}\n"),
        _ => format!("{DATABASE}[{section}]\n{complete}{line}\n"),
    }
}

#[test]
fn every_key_has_a_row_and_every_row_is_of_a_key() {
    let rows = all_rows();
    let authentication = page("reference/authentication.md");
    let configuration = page("reference/configuration.md");
    for (section, krate, structs, _) in SECTIONS {
        let mut said: BTreeSet<String> =
            rows.iter().filter(|row| row.section == section).flat_map(|row| row.keys.clone()).collect();
        // Two sections are told in a sentence, in whole or in part.
        let sentence = match section {
            "auth.introspection" => authentication.split("\n\n").find(|part| part.starts_with("`leeway`")),
            "limits.roles.NAME" => {
                configuration.split("\n\n").find(|part| part.starts_with("`[limits.roles.NAME]`"))
            }
            _ => None,
        };
        said.extend(
            sentence.into_iter().flat_map(quoted).filter(|key| !key.starts_with('[')).map(str::to_owned),
        );
        let mut read: BTreeSet<String> = structs.iter().flat_map(|name| fields(krate, name)).collect();
        match section {
            // Sections of their own.
            "listen" if read.remove("tls") => {
                read.extend(fields("gate", "Tls").iter().map(|key| format!("tls.{key}")));
            }
            "limits" => assert!(read.remove("roles")),
            "auth" => ["jwt", "introspection", "api_keys", "anonymous"]
                .iter()
                .for_each(|key| assert!(read.remove(*key))),
            _ => {}
        }
        assert_eq!(said, read, "[{section}]: the page, and what is read");
    }
    let known: BTreeSet<&str> = SECTIONS.iter().map(|(section, ..)| *section).collect();
    assert!(rows.iter().all(|row| known.contains(row.section.as_str())), "{rows:#?}");
    // A section that is new in the file is in the list above, too; [auth.anonymous] has one key, told in a sentence.
    for section in fields("gate", "Config") {
        assert!(known.contains(section.as_str()), "[{section}]");
        assert!(configuration.contains(&format!("\n## {section}\n")), "[{section}] has no part of the page");
    }
    assert_eq!(fields("auth", "Anonymous").into_iter().collect::<Vec<_>>(), ["role"]);
}

#[test]
fn every_default_is_what_holds_without_the_key() {
    let mut checked = 0;
    for Row { section, keys, default } in all_rows() {
        let (.., complete) = SECTIONS.into_iter().find(|(name, ..)| *name == section).unwrap();
        let Some(value) = quoted(&default).first().map_or(Some(default.as_str()), |value| Some(*value))
        else {
            continue;
        };
        let value = value.strip_prefix("role = ").unwrap_or(value);
        if format!("x = {value}").parse::<toml::Table>().is_err() {
            // Words: "the system's", "what fits the key"; or the key has to be given.
            assert!(
                !default.contains(['"', '[']) && !default.chars().any(|c| c.is_ascii_digit()),
                "[{section}] {keys:?}: {default}"
            );
            continue;
        }
        let key = if default.contains("role = ") {
            "role"
        } else {
            assert_eq!(keys.len(), 1, "{keys:?}");
            keys[0].as_str()
        };
        let read = |text: &str| Config::parse(text).unwrap_or_else(|error| panic!("{text}{error}"));
        let without = read(&with(&section, complete, ""));
        let same = read(&with(&section, complete, &format!("{key} = {value}")));
        if matches!((section.as_str(), key), ("database", "host" | "port" | "user" | "tls")) {
            // What is not said is settled with the URL.
            let host = if key == "tls" { "host = \"db.example\"" } else { "" };
            let (without, same) = (
                with(&section, complete, host),
                with(&section, complete, &format!("{host}\n{key} = {value}")),
            );
            let target = |text: &str| format!("{:?}", read(text).database.target().unwrap());
            assert_eq!(target(&same), target(&without), "[{section}] {key} = {value}");
        } else {
            assert_eq!(same, without, "[{section}] {key} = {value}");
        }
        checked += 1;
    }
    assert!(checked > 50, "{checked}");
}

/// The blocks of a language in all pages of documentation.
fn blocks(language: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for folder in ["docs/tutorials", "docs/how-tos", "docs/reference"] {
        for file in fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path()) {
            if file.extension().is_some_and(|extension| extension == "md") {
                let text = fs::read_to_string(&file).unwrap();
                let start = format!("```{language}\n");
                let name = file.file_name().unwrap().to_string_lossy().into_owned();
                let parts =
                    text.split(&start).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned());
                found.extend(parts.map(|block| (name.clone(), block)));
            }
        }
    }
    found.sort();
    found
}

#[test]
fn what_the_pages_show_can_be_read() {
    let mut read = 0;
    for (name, block) in blocks("toml") {
        // An editor's configuration, and tests of policies.
        if name == "names-in-an-editor.md" || name == "rows.md" {
            continue;
        }
        // Some show single lines of an entry, each for itself.
        let texts = if block.starts_with('[') || block.starts_with('#') {
            let missing = if block.contains("[database]") { "" } else { DATABASE };
            // A password is in a file that is read.
            let block = block.replace("password_file = ", "# password_file = ");
            vec![format!("{block}\n{missing}")]
        } else {
            block.lines().map(|line| with("auth.jwt", JWT, line)).collect()
        };
        for text in texts {
            // Requests without a credential want origins to be named.
            let cors = if text.contains("[auth.anonymous]") { "[cors]\norigins = []\n" } else { "" };
            Config::parse(&format!("{text}\n{cors}"))
                .unwrap_or_else(|error| panic!("{name}: {error}\n{text}"));
            read += 1;
        }
    }
    assert!(read > 12, "{read}");
}
