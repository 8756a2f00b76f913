//! The settings of the extension: the page that lists them is written from the server, and no other page says otherwise.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::SERVER;
use crate::pages::{self, root};

const PAGE: &str = "docs/reference/settings.md";

const HEAD: &str = "# Settings of the extension

<!-- Written from the server: `BLESS=1 cargo test -p postern-e2e --test documentation settings` renews it. -->

What the extension adds to `postgresql.conf`, with the server's own words; `SELECT * FROM pg_settings WHERE name LIKE 'postern.%'` shows
them where it is loaded. `shared_preload_libraries = 'postern'` comes first: without it they are unknown. More is said of each in the page
of its subject: [identities](sql.md#settings), [durable functions](durable.md#settings), [HTTP steps](durable-http.md),
[names](names.md#in-the-server), [rows](rows.md), [replication](replication.md). Those that begin with `pg_durable.` are for scripts that
know them. `request.jwt.claims` and its kin are told of in [SQL](sql.md#settings).

Who sets one: **superuser** in a session, for a role, for a database or in the configuration file, and whom `GRANT SET ON PARAMETER` lets;
**file**: in the configuration file or by `ALTER SYSTEM`, and a reload is enough; **anyone**; **nobody**: it shows something.

| setting | default | values | who | |
|---|---|---|---|---|
";

/// Every setting with its default as the server shows it (but one, which is set here), its values, and who may set it, and what it says of itself.
fn defined() -> BTreeMap<String, [String; 4]> {
    let rows = SERVER
        .psql(
            "postgres",
            "select concat_ws('|', name, case when name = 'postern.secrets_key_file' or context = 'internal' then '' else current_setting(name) end, case
                        when vartype = 'enum' then array_to_string(enumvals, ', ')
                        when vartype = 'bool' then 'on, off'
                        when vartype = 'integer' then min_val || ' to ' || max_val || coalesce(' ' || unit, '')
                        else 'text' end,
                    case context when 'user' then 'anyone' when 'superuser' then 'superuser' when 'sighup' then 'file' when 'internal' then 'nobody' else context end,
                    concat_ws(' ', short_desc, nullif(extra_desc, '')))
               from pg_settings where name ~ '^(postern|pg_durable)[.]'",
        )
        .unwrap();
    let settings: BTreeMap<_, _> = rows
        .lines()
        .map(|row| {
            let parts: Vec<String> = row.splitn(5, '|').map(str::to_owned).collect();
            let [name, rest @ ..] = <[String; 5]>::try_from(parts).unwrap();
            (name, rest)
        })
        .collect();
    assert!(settings.len() > 20, "{settings:?}");
    settings
}

#[test]
fn the_page_of_settings_is_what_the_server_has() {
    let mut page = HEAD.to_owned();
    for (name, [default, values, who, says]) in defined() {
        assert!(["anyone", "superuser", "file", "nobody"].contains(&who.as_str()), "{name}: {who}");
        let default = if default.is_empty() { default } else { format!("`{default}`") };
        writeln!(page, "| `{name}` | {default} | {values} | {who} | {says} |").unwrap();
    }
    let file = root().join(PAGE);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&file, &page).unwrap();
    }
    assert!(std::fs::read_to_string(&file).unwrap_or_default() == page, "{PAGE} should read:\n{page}");
}

#[test]
fn other_pages_say_the_same_of_their_defaults() {
    let defined = defined();
    let mut said = BTreeMap::new();
    for page in pages::all().into_iter().filter(|page| page.name.starts_with("docs/") && page.name != PAGE) {
        let mut has_defaults = false;
        for line in page.prose() {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            let ["", first, default, _, ..] = cells[..] else { continue };
            if first == "setting" {
                has_defaults = default == "default";
            } else if has_defaults {
                let names = first.split('`').skip(1).step_by(2);
                // "2, 5 s" are those of two.
                let defaults = default.split(", ").map(|text| text.trim_matches('`').replace(' ', ""));
                said.extend(
                    names
                        .zip(defaults)
                        .map(|(name, default)| (name.to_owned(), (page.name.clone(), default))),
                );
            }
        }
    }
    let mut compared = 0;
    for (name, (page, default)) in said {
        // A setting that carries what somebody else wrote is none of ours.
        if name.starts_with("request.") {
            continue;
        }
        let [truth, ..] = defined.get(&name).unwrap_or_else(|| panic!("{page}: there is no setting {name}"));
        assert_eq!(&default, truth, "{page}: {name}");
        compared += 1;
    }
    assert!(compared > 15, "{compared}");
}
