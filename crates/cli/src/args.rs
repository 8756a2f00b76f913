//! The command line: what can be said, and the help that teaches it.
//!
//! **Invariants**: help is complete without this file's comments; every example in it works as it stands.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;

/// The folder of `postern up`, in the working directory.
pub const FOLDER: &str = ".postern";

/// SQL over HTTP, run as exactly who sends it.
#[derive(Debug, Parser)]
#[command(
    name = "postern",
    version,
    about = "SQL over HTTP, run as exactly who sends it",
    long_about = "SQL over HTTP, run as exactly who sends it.\n\n\
        Postern is a gate before PostgreSQL: a request carries any SQL and a token, and runs as the role and with the facts \
        that the token proves. Row security decides what it sees; nothing in the SQL can leave the role.",
    after_help = "Start here:\n  \
        postern up                 a private PostgreSQL with an example, and a gate\n  \
        postern token --role app_user --sub alice --claim tenant=acme\n  \
        postern doctor --db URL    what in a database of yours would weaken the wall\n\n\
        `postern help COMMAND` tells more, with examples.",
    max_term_width = 100,
    arg_required_else_help = true
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    Up(Up),
    Serve(Serve),
    Doctor(Doctor),
    Resolve(Resolve),
    Check(Check),
    Fix(Fix),
    Lsp(Lsp),
    Rows(crate::rows::args::Rows),
    Dump(crate::dump::args::Dump),
    Token(Token),
    Url(Url),
    /// Print the versions of this program and of what it works with
    Version,
    #[command(after_help = "Examples:\n  \
        postern completions bash > /etc/bash_completion.d/postern\n  \
        postern completions zsh > \"${fpath[1]}/_postern\"\n  \
        postern completions fish > ~/.config/fish/completions/postern.fish")]
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// Start a private PostgreSQL with an example, and a gate before it
#[derive(Debug, Args)]
#[command(
    long_about = "Start a private PostgreSQL with an example, and a gate before it.\n\n\
        The first start makes a cluster of its own in the folder .postern (nothing of the system's PostgreSQL is touched), a \
        database \"app\" with the extension and a small example of two tenants, a signing key for development, a key for secrets, and \
        postern.toml; later starts use what is there and take seconds. Ctrl-C stops both, the gate first.",
    after_help = "Examples:\n  \
        postern up\n  \
        postern up --listen 127.0.0.1:0    any free port; it is printed\n  \
        postern up --dir /var/tmp/try --no-example\n\n\
        Then, in another terminal:\n  \
        TOKEN=$(postern token --role app_user --sub alice --claim tenant=acme)\n  \
        curl -s http://127.0.0.1:8484/v1/query -H \"Authorization: Bearer $TOKEN\" \\\n      \
        -H 'Content-Type: application/json' \\\n      \
        -d '{\"query\": \"select * from invoices\"}'\n  \
        psql \"$(postern url)\"              as superuser, past the gate"
)]
pub struct Up {
    /// Where the cluster, the key and the configuration are kept
    #[arg(long, value_name = "FOLDER", default_value = FOLDER, value_hint = ValueHint::DirPath)]
    pub dir: PathBuf,
    /// The address of the gate [default: what postern.toml says, at first 127.0.0.1:8484]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<SocketAddr>,
    /// Load the example again, even if it was loaded or changed before
    #[arg(long, overrides_with = "no_example")]
    pub example: bool,
    /// Do not load the example
    #[arg(long)]
    pub no_example: bool,
    /// The folder with the extension's files [default: beside this program]
    #[arg(long, value_name = "FOLDER", env = "POSTERN_EXTENSION_DIR", hide_env_values = true, value_hint = ValueHint::DirPath)]
    pub extension_dir: Option<PathBuf>,
}

/// Start a gate before a database
#[derive(Debug, Args)]
#[command(
    long_about = "Start a gate before a database.\n\n\
        The gate keeps nothing: any number of them can serve one database. At the start the doctor examines the database, and \
        the gate refuses to serve it while there are dangers that the configuration does not allow. Ctrl-C or SIGTERM let \
        requests under way finish; SIGHUP reads certificate and key again.",
    after_help = "Examples:\n  \
        postern serve -c /etc/postern/postern.toml\n  \
        postern doctor -c /etc/postern/postern.toml    whether it would start\n\n\
        The database needs the extension (shared_preload_libraries = 'postern'; CREATE EXTENSION postern), a password for the \
        role postern_gate, and the roles that may be entered: SELECT postern.admit('app_user')."
)]
pub struct Serve {
    /// The configuration
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: PathBuf,
}

/// Say what in a database would weaken the wall, and what mends it
#[derive(Debug, Args)]
#[command(
    long_about = "Say what in a database would weaken the wall, and what mends it.\n\n\
        Looks at the catalogs only and changes nothing. Dangers are what a gate refuses to serve with. With a configuration the \
        database is examined as the gate sees it; with a URL as the role in it, and a superuser sees most.",
    after_help = "Exit status:\n  \
        0  nothing but notes, or everything else is allowed\n  \
        1  dangers or warnings\n  \
        2  the database could not be examined\n\n\
        Examples:\n  \
        postern doctor                     the database of `postern up`, as superuser\n  \
        postern doctor -c postern.toml --json\n  \
        postern doctor --db 'postgresql://postgres@/app?host=/run/postgresql'\n  \
        postern doctor --db \"$URL\" --role web --allow public-temp \\\n      \
        --allow table-without-rls:public.country\n  \
        postern doctor --db \"$URL\" --subscription orders    whether it is safe"
)]
pub struct Doctor {
    /// The configuration of a gate, whose database and roles to examine
    #[arg(short, long, value_name = "FILE", conflicts_with = "db", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// The database to examine
    #[arg(long, value_name = "URL")]
    pub db: Option<String>,
    /// Examine this role too, as one that is served; may be given again
    #[arg(long = "role", value_name = "ROLE")]
    pub roles: Vec<String>,
    /// Look at this subscription instead: what runs on apply, as whom, and whether it would stop
    #[arg(long, value_name = "NAME", conflicts_with_all = ["config", "roles", "allow"])]
    pub subscription: Option<String>,
    /// Allow the findings of a code, or of a code and object; may be given again
    #[arg(long, value_name = "CODE[:OBJECT]", value_parser = allowed)]
    pub allow: Vec<String>,
    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
    /// The folder of `postern up`, examined when neither a configuration nor a URL is given
    #[arg(long, value_name = "FOLDER", default_value = FOLDER, value_hint = ValueHint::DirPath)]
    pub dir: PathBuf,
}

/// Say which object each name in a function means, why, and who could capture it
#[derive(Debug, Args)]
#[command(
    long_about = "Say which object each name in a function means, why, and who could capture it.\n\n\
        Reads the catalogs of the database once and changes nothing; any role will do, and the extension is not needed. What \
        can be captured is shown with the role that could do it and the SQL that would; what cannot be decided is said to be \
        unknown.",
    after_help = "Examples:\n  \
        postern resolve 's1.f()'           in the database of `postern up`\n  \
        postern resolve 'app.total(int)' --db \"$URL\" --search-path 's3, s1' \\\n      \
        --role web\n  \
        postern resolve 's1.f()' 's2.f()' 's3.f()' --compare --db \"$URL\"\n  \
        postern resolve 's1.f()' --compare --search-path s1,s2 --search-path s2,s1\n  \
        postern resolve --sql 'select count(*) from pg_class' \\\n      \
        --temp-table pg_class --search-path pg_catalog,pg_temp"
)]
pub struct Resolve {
    /// The function or procedure, with the types of its arguments if there are several of the name
    #[arg(value_name = "FUNCTION", required_unless_present = "sql")]
    pub routines: Vec<String>,
    /// Look at this SQL instead
    #[arg(long, value_name = "SQL", conflicts_with = "routines")]
    pub sql: Option<String>,
    /// The database
    #[arg(long, value_name = "URL")]
    pub db: Option<String>,
    /// Assume this path instead of the function's own; may be given again with --compare
    #[arg(long = "search-path", value_name = "PATH")]
    pub search_paths: Vec<String>,
    /// Assume that this role calls it
    #[arg(long, value_name = "ROLE")]
    pub role: Option<String>,
    /// Assume that the connection has a temporary table of this name; may be given again
    #[arg(long = "temp-table", value_name = "NAME")]
    pub temp_tables: Vec<String>,
    /// Show a table: names downwards, functions and paths across
    #[arg(long)]
    pub compare: bool,
    /// Show the names that are built in and safe too
    #[arg(long)]
    pub all: bool,
    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
    /// The folder of `postern up`, whose database is looked at when no URL is given
    #[arg(long, value_name = "FOLDER", default_value = FOLDER, value_hint = ValueHint::DirPath)]
    pub dir: PathBuf,
}

/// Find what is wrong with the names in a database's code, or in SQL files, with the proof and the remedy
#[derive(Debug, Args)]
#[command(
    long_about = "Find what is wrong with the names in a database's code, or in SQL files, with the proof and the remedy.\n\n\
        Of a database it reads the catalogs once and changes nothing; any role will do, and the extension is not needed. Of files \
        it judges what is there after all of them have run, in the order given (that of a folder is the one in which tools for \
        migrations run it), without a server; with --db, what they would \
        leave in that database. Roles that the files do not name are one: \"any role\". A finding shows the code, the SQL that proves it where there is one, and what to do. A comment \"-- postern: allow RULE: REASON\" on the \
        line of a finding, or the line before it, excuses it.",
    after_help = "Exit status:\n  \
        0  nothing but notes\n  \
        1  errors or warnings\n  \
        2  the database or the files could not be read\n\n\
        Examples:\n  \
        postern check                      the database of `postern up`\n  \
        postern check migrations           the files of a folder, without a server\n  \
        postern check --db \"$URL\" --format sarif > postern.sarif\n  \
        postern check --db \"$URL\" --write-baseline postern.baseline\n  \
        postern check --db \"$URL\" --baseline postern.baseline --format github"
)]
pub struct Check {
    /// SQL files, in the order in which they run, or folders of migrations [default: look at a database]
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub files: Vec<PathBuf>,
    /// The database; with files, the one that they run in
    #[arg(long, value_name = "URL")]
    pub db: Option<String>,
    /// The major version of PostgreSQL that the files are for
    #[arg(long, value_name = "MAJOR", default_value_t = 18, requires = "files")]
    pub server_version: u32,
    /// The role that runs the files, if it is not a superuser
    #[arg(long = "as", value_name = "ROLE", requires = "files")]
    pub role: Option<String>,
    /// How the findings are printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// Leave out the findings that this file lists
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub baseline: Option<PathBuf>,
    /// Write a file that lists all findings of now
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub write_baseline: Option<PathBuf>,
    /// Check the functions of extensions too
    #[arg(long)]
    pub extensions: bool,
    /// The folder of `postern up`, whose database is checked when no URL is given
    #[arg(long, value_name = "FOLDER", default_value = FOLDER, value_hint = ValueHint::DirPath)]
    pub dir: PathBuf,
}

/// How findings are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Text,
    /// For programs
    Json,
    /// SARIF 2.1.0
    Sarif,
    /// Annotations of GitHub Actions
    Github,
    /// JUnit XML
    Junit,
}

/// Qualify the names in functions where they stand, and pin the search_path
#[derive(Debug, Args)]
#[command(
    long_about = "Qualify the names in functions where they stand, and pin the search_path.\n\n\
        Nothing is changed unless --write is said, and the database never: the changes are shown as a diff, or as SQL to run. \
        A change is given only if every name means the same object after it as before; what cannot be fixed is listed with \
        the reason, on standard error. With files, the last definition of each function is edited where it stands, without a \
        server; with --db, those that are the same as the database's. Everything else in them stays as it is, byte for byte.",
    after_help = "Examples:\n  \
        postern fix --db \"$URL\"            a diff of every function that can be fixed\n  \
        postern fix --db \"$URL\" --function 'app.total(int)' --sql > total.sql\n  \
        postern fix migrations/*.sql       a diff of the files\n  \
        postern fix migrations/*.sql --write"
)]
pub struct Fix {
    /// SQL files, in the order in which they run, or folders of migrations; their definitions are fixed
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub files: Vec<PathBuf>,
    /// Fix only this function or procedure; may be given again [default: all that belong to no extension]
    #[arg(long = "function", value_name = "FUNCTION")]
    pub routines: Vec<String>,
    /// The database
    #[arg(long, value_name = "URL")]
    pub db: Option<String>,
    /// The major version of PostgreSQL that the files are for
    #[arg(long, value_name = "MAJOR", default_value_t = 18, requires = "files")]
    pub server_version: u32,
    /// The role that runs the files, if it is not a superuser
    #[arg(long = "as", value_name = "ROLE", requires = "files")]
    pub role: Option<String>,
    /// Change the files
    #[arg(long, requires = "files", conflicts_with = "dry_run")]
    pub write: bool,
    /// Print the statements that change the database
    #[arg(long, conflicts_with_all = ["write", "dry_run"])]
    pub sql: bool,
    /// Show a diff and change nothing, as is the default
    #[arg(long)]
    pub dry_run: bool,
    /// The folder of `postern up`, whose database is read when no URL is given
    #[arg(long, value_name = "FOLDER", default_value = FOLDER, value_hint = ValueHint::DirPath)]
    pub dir: PathBuf,
}

/// Serve an editor with the findings and fixes of SQL files
#[derive(Debug, Args)]
#[command(
    long_about = "Serve an editor with the findings and fixes of SQL files.\n\n\
        Speaks the Language Server Protocol over standard input and output; editors start it themselves. What is open is judged \
        as `postern check` judges files, together with the files that are named here, or else with the other .sql files of its \
        folder, in the order in which tools for migrations run them. Nothing is written: the editor makes the edits.",
    after_help = "Examples:\n  \
        postern lsp\n  \
        postern lsp migrations/*.sql"
)]
pub struct Lsp {
    /// SQL files, in the order in which they run, or folders of migrations
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub files: Vec<PathBuf>,
    /// The major version of PostgreSQL that the files are for
    #[arg(long, value_name = "MAJOR", default_value_t = 18)]
    pub server_version: u32,
    /// The role that runs the files, if it is not a superuser
    #[arg(long = "as", value_name = "ROLE")]
    pub role: Option<String>,
}

/// Print a token for development
#[derive(Debug, Args)]
#[command(
    long_about = "Print a token for development.\n\n\
        It is a JWT, signed with the key that `postern up` made for its own gate. In production tokens come from your identity \
        provider.",
    after_help = "Examples:\n  \
        postern token --role app_user --sub alice --claim tenant=acme\n  \
        postern token --role app_user --sub bob --expires 5m \\\n      \
        --claim 'groups=[\"staff\", \"audit\"]' --claim level=3\n\n\
        A claim is JSON if it can be read as JSON, and text otherwise; 'level=\"3\"' is text."
)]
pub struct Token {
    /// The role to run as
    #[arg(long)]
    pub role: String,
    /// Whom the token is about
    #[arg(long, value_name = "SUBJECT")]
    pub sub: String,
    /// A further claim; may be given again
    #[arg(long = "claim", value_name = "NAME=VALUE", value_parser = claim)]
    pub claims: Vec<(String, serde_json::Value)>,
    /// How long it is valid, for example 30s, 5m, 1h, 7d
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = duration)]
    pub expires: Duration,
    /// The key to sign with: Ed25519 in PEM, or a shared secret [default: that of the folder of `postern up`]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub key: Option<PathBuf>,
    /// Who vouches for it
    #[arg(long, value_name = "ISSUER", default_value = crate::up::ISSUER)]
    pub issuer: String,
    /// For whom it is
    #[arg(long, value_name = "AUDIENCE", default_value = crate::up::AUDIENCE)]
    pub audience: String,
    /// The folder of `postern up`
    #[arg(long, value_name = "FOLDER", default_value = FOLDER, value_hint = ValueHint::DirPath)]
    pub dir: PathBuf,
}

/// Print the connection URL of the private PostgreSQL
#[derive(Debug, Args)]
#[command(
    long_about = "Print the connection URL of the private PostgreSQL, which `postern up` runs.\n\n\
        It leads to the server itself, past the gate. Without a role it is the superuser's.",
    after_help = "Examples:\n  \
        psql \"$(postern url)\"\n  \
        psql \"$(postern url)\" -c \"select postern.admit('web')\"\n  \
        postern doctor --db \"$(postern url --role postern_gate)\""
)]
pub struct Url {
    /// The role to log in as
    #[arg(long)]
    pub role: Option<String>,
    /// The database
    #[arg(long, value_name = "DATABASE", default_value = crate::up::DATABASE)]
    pub db: String,
    /// The folder of `postern up`
    #[arg(long, value_name = "FOLDER", default_value = FOLDER, value_hint = ValueHint::DirPath)]
    pub dir: PathBuf,
}

/// Longer is a mistake.
const LONGEST: u64 = 10 * 366 * 24 * 60 * 60;

fn claim(text: &str) -> Result<(String, serde_json::Value), String> {
    let (name, value) = text.split_once('=').ok_or("a claim is NAME=VALUE")?;
    match name {
        "" => return Err("the name of the claim is empty".into()),
        // A claim that is quietly another one would be worse than none.
        "role" | "sub" => return Err(format!("say --{name}")),
        "iss" => return Err("say --issuer".into()),
        "aud" => return Err("say --audience".into()),
        "exp" | "iat" => return Err("say --expires".into()),
        _ => {}
    }
    let value = serde_json::from_str(value).unwrap_or_else(|_| serde_json::Value::String(value.into()));
    Ok((name.into(), value))
}

fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "a time is a number and one of s, m, h, d: 30s, 5m, 1h, 7d".to_owned();
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 60 * 60,
        'd' => 24 * 60 * 60,
        _ => return Err(wrong()),
    };
    let number: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    match number.checked_mul(seconds) {
        Some(1..=LONGEST) => Ok(Duration::from_secs(number * seconds)),
        Some(0) => Err(wrong()),
        _ => Err("that is more than ten years".into()),
    }
}

fn allowed(text: &str) -> Result<String, String> {
    let code = text.split(':').next().unwrap_or_default();
    match postern_doctor::codes::find(code) {
        Some(_) => Ok(text.into()),
        None => Err(format!("there is no finding \"{code}\"")),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use serde_json::json;

    use super::*;

    #[test]
    fn the_command_line_is_well_made() {
        Cli::command().debug_assert();
    }

    /// What each command says of itself, and those below it after it, with the mark of its heading.
    fn helps() -> Vec<(&'static str, String, String)> {
        let mut root = Cli::command().term_width(100);
        root.build();
        let mut helps = vec![("##", "postern".to_owned(), root.render_long_help().to_string())];
        for command in root.get_subcommands_mut().filter(|command| command.get_name() != "help") {
            let name = format!("postern {}", command.get_name());
            helps.push(("##", name.clone(), command.render_long_help().to_string()));
            for below in command.get_subcommands_mut().filter(|command| command.get_name() != "help") {
                let name = format!("{name} {}", below.get_name());
                helps.push(("###", name, below.render_long_help().to_string()));
            }
        }
        helps
    }

    #[test]
    fn examples_are_not_broken_in_a_narrow_terminal() {
        let mut commands = vec![Cli::command()];
        let mut examples = 0;
        while let Some(command) = commands.pop() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            for line in help.lines().filter(|line| line.starts_with("  ")) {
                assert!(line.chars().count() <= 80, "{}: {line}", command.get_name());
                examples += 1;
            }
            commands.extend(command.get_subcommands().cloned());
        }
        assert!(examples > 40, "{examples}");
    }

    /// `BLESS=1 cargo test -p postern-cli` writes the page anew.
    #[test]
    fn the_reference_page_is_the_help() {
        let mut page = String::from(
            "# The command line\n\n\
             What `postern help` and `postern help COMMAND` say. What a command is asked for goes to standard output, \
             everything else to standard\nerror. Unless said otherwise the exit status is 0, or 1 on failure, or 2 for what \
             cannot be understood.\n",
        );
        for (level, title, help) in helps() {
            let help = help.lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
            page = format!("{page}\n{level} {title}\n\n```text\n{}\n```\n", help.trim_end());
        }
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/cli.md");
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&file, &page).unwrap();
        }
        assert_eq!(std::fs::read_to_string(&file).unwrap(), page);
    }

    #[test]
    fn a_claim_is_json_or_else_text() {
        assert_eq!(claim("tenant=acme"), Ok(("tenant".into(), json!("acme"))));
        assert_eq!(claim("level=3"), Ok(("level".into(), json!(3))));
        assert_eq!(claim("level=\"3\""), Ok(("level".into(), json!("3"))));
        assert_eq!(claim("groups=[\"a\", 1]"), Ok(("groups".into(), json!(["a", 1]))));
        assert_eq!(claim("note=a=b"), Ok(("note".into(), json!("a=b"))));
        assert_eq!(claim("note="), Ok(("note".into(), json!(""))));
        assert!(claim("note").is_err());
        assert!(claim("=x").is_err());
        for said_otherwise in ["iss=x", "aud=x", "sub=x", "role=x", "exp=1", "iat=1"] {
            assert!(claim(said_otherwise).is_err(), "{said_otherwise}");
        }
    }

    #[test]
    fn a_time_is_a_number_and_a_unit() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("2h"), Ok(Duration::from_hours(2)));
        assert_eq!(duration("7d"), Ok(Duration::from_hours(7 * 24)));
        for wrong in [
            "",
            "s",
            "1",
            "0m",
            "-1s",
            "1.5h",
            "1ä",
            "99999999999999999999s",
            "18446744073709551615d",
            "3661d",
        ] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn only_codes_that_exist_can_be_allowed() {
        assert!(allowed("public-temp").is_ok());
        assert!(allowed("table-without-rls:public.country").is_ok());
        assert!(allowed("public-tmp").is_err());
    }
}
