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
        postern rows explain public.invoices --key id=5 --as app_user --facts '{\"claims\": {\"tenant\": \"acme\"}}'"
)]
pub struct Rows {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    Matrix(Matrix),
    Explain(Explain),
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
    postern rows matrix                                  every role and table\n  \
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
    postern rows explain public.invoices --key id=5 --as app_user --facts '{\"claims\": {\"tenant\": \"acme\"}}'\n  \
    postern rows explain public.invoices --as app_user --command insert --new '{\"id\": 6, \"tenant\": \"acme\"}'\n\n\
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
