//! What can be said to `postern dump`, and what of it concerns the connection and the choice of tables.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use crate::args::FOLDER;

/// Dump a database by `pg_dump`, and say what row security leaves out
#[derive(Debug, Args)]
#[command(
    disable_help_flag = true,
    long_about = "Dump a database by pg_dump, and say what row security leaves out.\n\n\
        Everything but the options below goes to pg_dump as it is, the connection included. Before it starts, the tables are named \
        that would be filtered for the role, and nothing is dumped. With --allow-row-level-security they are dumped as far as the \
        role sees them; afterwards it is said how many of how many rows that was. Tables that the role reads past their policies \
        (direct access) are dumped whole.",
    after_help = "Examples:\n  \
        postern dump --db \"$URL\" -Fc -f app.dump\n  \
        postern dump -h db.example.com -U reporting app > app.sql\n  \
        postern dump -U reporting --allow-row-level-security \\\n      \
        --count-with \"$OWNER\" -t 'public.*' app > part.sql\n\n\
        What it says goes to standard error. All rows of a table are counted by the role of --count-with, in the snapshot of the \
        dump; without it, their number is the server's estimate. The exit status is pg_dump's, or 1 if nothing was dumped."
)]
pub struct Dump {
    /// The database; may also be said as to pg_dump
    #[arg(long, value_name = "URL")]
    pub db: Option<String>,
    /// Dump what the role sees, where it does not see all
    #[arg(long)]
    pub allow_row_level_security: bool,
    /// Who counts all rows of the filtered tables: a role that sees them
    #[arg(long, value_name = "URL")]
    pub count_with: Option<String>,
    /// The folder of `postern up`, dumped when no database is said
    #[arg(long, value_name = "FOLDER", default_value = FOLDER, value_hint = ValueHint::DirPath)]
    pub dir: PathBuf,
    /// Print help
    #[arg(long, action = clap::ArgAction::HelpLong)]
    help: Option<bool>,
    /// Whatever pg_dump takes
    #[arg(value_name = "PG_DUMP ARGUMENTS", trailing_var_arg = true, allow_hyphen_values = true)]
    pub rest: Vec<String>,
}

/// Arguments for `pg_dump`, sorted by what they are about.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Sorted {
    /// Where to connect, for `psql` as well.
    pub connection: Vec<String>,
    /// Which tables, for a `pg_dump` that dumps no data.
    pub choice: Vec<String>,
    /// The role of `--role`.
    pub role: Option<String>,
    /// The snapshot of `--snapshot`.
    pub snapshot: Option<String>,
    /// There will be no data.
    pub schema_only: bool,
    /// All of them, for the dump.
    pub all: Vec<String>,
    /// Our own options among them: whoever has written one of pg_dump's goes on writing.
    pub allowed: bool,
}

/// Options of `pg_dump` that take a value: the letter, the word.
const WITH_VALUE: &[(char, &str)] = &[
    ('d', "dbname"),
    ('h', "host"),
    ('p', "port"),
    ('U', "username"),
    ('n', "schema"),
    ('N', "exclude-schema"),
    ('t', "table"),
    ('T', "exclude-table"),
    ('e', "extension"),
    ('E', "encoding"),
    ('f', "file"),
    ('F', "format"),
    ('j', "jobs"),
    ('S', "superuser"),
    ('Z', "compress"),
    ('\0', "role"),
    ('\0', "snapshot"),
    ('\0', "section"),
    ('\0', "exclude-table-data"),
    ('\0', "exclude-table-data-and-children"),
    ('\0', "table-and-children"),
    ('\0', "exclude-table-and-children"),
    ('\0', "exclude-extension"),
    ('\0', "filter"),
    ('\0', "include-foreign-data"),
    ('\0', "lock-wait-timeout"),
    ('\0', "extra-float-digits"),
    ('\0', "rows-per-insert"),
    ('\0', "restrict-key"),
    ('\0', "sync-method"),
];

/// Sorts the arguments as `pg_dump` will understand them.
pub fn sort(arguments: &[String]) -> Sorted {
    let mut sorted = Sorted::default();
    let mut rest = arguments.iter();
    let mut options = true;
    while let Some(argument) = rest.next() {
        if options && argument == "--allow-row-level-security" {
            sorted.allowed = true;
            continue;
        }
        let first = sorted.all.len();
        sorted.all.push(argument.clone());
        if options && argument == "--" {
            options = false;
        } else if options && let Some(word) = argument.strip_prefix("--") {
            let (name, value) =
                word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value)));
            let name = whole(name);
            let takes = WITH_VALUE.iter().any(|(_, word)| *word == name);
            let value = value.map(str::to_owned).or_else(|| takes.then(|| rest.next().cloned()).flatten());
            if takes && !argument.contains('=') {
                sorted.all.extend(value.clone());
            }
            sorted.note(name, value);
        } else if options && argument.len() > 1 && argument.starts_with('-') {
            // Letters in a row; the first that takes a value has what follows.
            for (at, letter) in argument[1..].char_indices() {
                let Some((_, name)) = WITH_VALUE.iter().find(|(short, _)| *short == letter) else {
                    sorted.note(&letter.to_string(), None);
                    continue;
                };
                let attached = &argument[1 + at + letter.len_utf8()..];
                let value =
                    if attached.is_empty() { rest.next().cloned() } else { Some(attached.to_owned()) };
                if attached.is_empty() {
                    sorted.all.extend(value.clone());
                }
                sorted.note(name, value);
                break;
            }
        } else {
            sorted.note("dbname", Some(argument.clone()));
            // Among other options it need not be the last.
            sorted.all.splice(first.., ["-d".to_owned(), argument.clone()]);
        }
    }
    sorted.all.retain(|argument| argument != "--");
    sorted
}

/// The option that an unambiguous beginning of it stands for.
fn whole(name: &str) -> &str {
    let exact = WITH_VALUE.iter().find(|(_, word)| *word == name);
    let mut begins = WITH_VALUE.iter().filter(|(_, word)| word.starts_with(name));
    match (exact, begins.next(), begins.next()) {
        (Some(_), ..) | (None, None, _) | (None, Some(_), Some(_)) => name,
        (None, Some((_, word)), None) => word,
    }
}

impl Sorted {
    fn note(&mut self, name: &str, value: Option<String>) {
        let option = |name: &str, value: Option<String>| match value {
            Some(value) => format!("--{name}={value}"),
            None => format!("--{name}"),
        };
        match name {
            "dbname" | "host" | "port" | "username" => self.connection.push(option(name, value)),
            "w" | "no-password" => self.connection.push("--no-password".into()),
            "W" | "password" => self.connection.push("--password".into()),
            "role" => self.role = value,
            "snapshot" => self.snapshot = value,
            "s" | "schema-only" => self.schema_only = true,
            "section" => self.schema_only |= value.is_some_and(|section| section != "data"),
            "schema"
            | "exclude-schema"
            | "table"
            | "exclude-table"
            | "table-and-children"
            | "exclude-table-and-children"
            | "strict-names"
            | "filter" => self.choice.push(option(name, value)),
            // Without its data a table cannot lack rows.
            "exclude-table-data" => self.choice.push(option("exclude-table", value)),
            "exclude-table-data-and-children" => {
                self.choice.push(option("exclude-table-and-children", value));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::sort;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn arguments_are_understood_as_pg_dump_does() {
        let sorted =
            sort(&words("-Fc -vf out.dump -hlocalhost --port 5433 -U clerk app --role=boss -tpublic.a"));
        assert_eq!(sorted.connection, words("--host=localhost --port=5433 --username=clerk --dbname=app"));
        assert_eq!(sorted.choice, words("--table=public.a"));
        assert_eq!(sorted.role.as_deref(), Some("boss"));
        assert_eq!(
            sorted.all,
            words("-Fc -vf out.dump -hlocalhost --port 5433 -U clerk -d app --role=boss -tpublic.a")
        );
        assert!(!sorted.schema_only && !sorted.allowed);
    }

    #[test]
    fn what_has_no_data_is_not_chosen() {
        let sorted = sort(&words("--exclude-table-data=log -T tmp --exclude-schema old app"));
        assert_eq!(sorted.choice, words("--exclude-table=log --exclude-table=tmp --exclude-schema=old"));
        assert!(sort(&words("-sc app")).schema_only);
        assert!(sort(&words("--section=pre-data app")).schema_only);
        assert!(!sort(&words("--section=data app")).schema_only);
    }

    #[test]
    fn ours_is_ours_wherever_it_stands() {
        let sorted = sort(&words("-t a --allow-row-level-security app"));
        assert!(sorted.allowed);
        assert_eq!(sorted.all, words("-t a -d app"));
        assert_eq!(
            sort(&words("-t --allow-row-level-security")).choice,
            words("--table=--allow-row-level-security")
        );
        assert_eq!(sort(&words("-- app")).connection, words("--dbname=app"));
    }
}
