//! What can be said to `postern rows`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

use crate::args::FOLDER;

/// Say who sees which rows, and why
#[derive(Debug, Args)]
#[command(
    long_about = "Say who sees which rows, and why.\n\n\
        Row security filters silently, and no catalog says what a role sees in the end. The extension does, in the database that \
        these commands ask.",
    after_help = "Examples:\n  \
        postern rows matrix --table public.invoices\n  \
        postern rows explain public.invoices --key id=5 --as app_user \\\n      \
        --facts '{\"claims\": {\"tenant\": \"acme\"}}'\n  \
        postern rows test policies.toml --mutate\n  \
        postern rows simulate migration.sql --as app_user"
)]
pub struct Rows {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    Matrix(Matrix),
    Explain(Explain),
    Test(Test),
    Simulate(Simulate),
}

/// Which database to ask, and how to print.
#[derive(Debug, Args)]
pub struct Ask {
    /// The database to ask
    #[arg(long, value_name = "URL")]
    pub db: Option<String>,
    /// The folder of `postern up`, asked when no URL is given
    #[arg(long, value_name = "FOLDER", default_value = FOLDER, value_hint = ValueHint::DirPath)]
    pub dir: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Print what each role gets of each table, by each command
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    postern rows matrix                every role and table\n  \
    postern rows matrix --role app_user --table public.invoices\n  \
    postern rows matrix --db \"$URL\" --json")]
pub struct Matrix {
    /// Only this role; may be given again
    #[arg(long = "role", value_name = "ROLE")]
    pub roles: Vec<String>,
    /// Only this table; may be given again
    #[arg(long = "table", value_name = "TABLE")]
    pub tables: Vec<String>,
    #[command(flatten)]
    pub ask: Ask,
}

/// Say why a role sees or changes one row, or does not
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    postern rows explain public.invoices --key id=5 --as app_user\n  \
    postern rows explain public.invoices --key id=5 --as app_user \\\n      \
    --facts '{\"claims\": {\"tenant\": \"acme\"}}'\n  \
    postern rows explain public.invoices --as app_user --command insert \\\n      \
    --new '{\"id\": 6, \"tenant\": \"acme\"}'\n\n\
    A value of a key is text, and is read as the column's type.")]
pub struct Explain {
    /// The table, with its schema
    pub table: String,
    /// A column and its value that tell the row; may be given again
    #[arg(long = "key", value_name = "COLUMN=VALUE", value_parser = key)]
    pub keys: Vec<(String, String)>,
    /// The role that sees the row, or does not
    #[arg(long = "as", value_name = "ROLE")]
    pub role: String,
    /// The facts that policies read, a JSON object
    #[arg(long, value_name = "JSON", value_parser = object)]
    pub facts: Option<serde_json::Value>,
    /// select, insert, update or delete
    #[arg(long, value_name = "COMMAND", default_value = "select")]
    pub command: String,
    /// The columns that an insert or update sets, a JSON object
    #[arg(long, value_name = "JSON", value_parser = object)]
    pub new: Option<serde_json::Value>,
    /// The statement reads no column: no WHERE, no RETURNING
    #[arg(long)]
    pub blind: bool,
    #[command(flatten)]
    pub ask: Ask,
}

/// Run tests of policies, and say in TAP how they went
#[derive(Debug, Args)]
#[command(
    long_about = "Run tests of policies, and say in TAP how they went.\n\n\
        A test gives rows, a role, facts and a statement, and says what must come of it. Each runs in a transaction that is rolled \
        back. With --mutate each policy is weakened in turn, and whatever no test notices is not ok: a policy that could be lost \
        without anybody knowing. Weakening locks the table, so do it in a copy of the database. Whoever asks owns the \
        tables, and is a member of postern_admin or a superuser.",
    after_help = "A file:\n  \
        [[test]]\n  \
        name = \"a tenant sees its own\"\n  \
        role = \"app_user\"\n  \
        facts = { claims = { tenant = \"acme\" } }\n  \
        given.\"public.invoices\" = [\n      \
        { id = 1, tenant = \"acme\" },\n      \
        { id = 2, tenant = \"other\" },\n  \
        ]\n  \
        sql = \"select id from invoices\"\n  \
        rows = [{ id = 1 }]          # or count = 1, or error = \"42501\"\n\n\
        Examples:\n  \
        postern rows test policies.toml\n  \
        postern rows test policies/*.toml --db \"$URL\" --mutate\n\n\
        Exit status: 0 if all is ok, 1 if not, 2 if it could not be told."
)]
pub struct Test {
    /// The files of tests
    #[arg(value_name = "FILE", required = true, value_hint = ValueHint::FilePath)]
    pub files: Vec<PathBuf>,
    /// Weaken each policy in turn, and expect a test to fail
    #[arg(long)]
    pub mutate: bool,
    /// The database
    #[arg(long, value_name = "URL")]
    pub db: Option<String>,
    /// The folder of `postern up`, asked when no URL is given
    #[arg(long, value_name = "FOLDER", default_value = FOLDER, value_hint = ValueHint::DirPath)]
    pub dir: PathBuf,
}

/// Say which rows would appear and disappear, for which role, if SQL were run
#[derive(Debug, Args)]
#[command(
    long_about = "Say which rows would appear and disappear, for which role, if SQL were run.\n\n\
        The SQL of the file runs in a transaction that is rolled back; before and after it every table is read as each role. Rows \
        are told by their primary key, or as a whole. The SQL cannot end the transaction, and waits for locks for five seconds at \
        most; sequences that it advances stay advanced. Whoever asks may run the SQL, and is a member of \
        postern_admin, who looks as roles without powers of their own, or a superuser.",
    after_help = "Examples:\n  \
        postern rows simulate migration.sql\n  \
        postern rows simulate migration.sql --as app_user \\\n      \
        --facts '{\"claims\": {\"tenant\": \"acme\"}}'\n  \
        postern rows simulate migration.sql --table public.invoices --json"
)]
pub struct Simulate {
    /// The SQL
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// Only for this role; may be given again [default: all that are not superusers and not predefined]
    #[arg(long = "as", value_name = "ROLE")]
    pub roles: Vec<String>,
    /// The facts that policies read, a JSON object
    #[arg(long, value_name = "JSON", value_parser = object)]
    pub facts: Option<serde_json::Value>,
    /// Only this table; may be given again
    #[arg(long = "table", value_name = "TABLE")]
    pub tables: Vec<String>,
    #[command(flatten)]
    pub ask: Ask,
}

fn key(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((column, value)) if !column.is_empty() => Ok((column.to_owned(), value.to_owned())),
        _ => Err("write COLUMN=VALUE".to_owned()),
    }
}

fn object(text: &str) -> Result<serde_json::Value, String> {
    match serde_json::from_str(text) {
        Ok(value @ serde_json::Value::Object(_)) => Ok(value),
        Ok(_) => Err("write a JSON object".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}
