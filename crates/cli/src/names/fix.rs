//! `postern fix`.

use std::io::IsTerminal;
use std::path::PathBuf;

use postern_analyze::catalog::{Catalog, PG_CATALOG, Routine};
use postern_analyze::files::{self, RUNNER};
use postern_analyze::fix::{self, Fix};
use postern_analyze::unpinned::atomic;
use postern_analyze::{render, report};

use super::folder::expanded;
use super::{catalog_and, deeply, sources};
use crate::args::Fix as Args;
use crate::error::{Context as _, Error};

/// One routine, and what was found out about mending it.
type Outcome<'c> = (&'c Routine, Result<Option<Fix>, Vec<String>>);

pub fn run(args: &Args) -> Result<(), Error> {
    let files = expanded(&args.files)?;
    if args.db.is_none() && !files.is_empty() {
        return offline(args, &files);
    }
    let (catalog, definitions) = catalog_and(args.db.as_deref(), &args.dir, definitions)?;
    let definitions = definitions?;
    let outcomes = deeply(|| outcomes(&catalog, args))??;
    let colour = colour();
    let mut out = String::new();
    let all: Vec<(&Routine, &Fix)> = outcomes
        .iter()
        .filter_map(|(routine, outcome)| Some((*routine, outcome.as_ref().ok()?.as_ref()?)))
        .collect();
    let fixed: Vec<(&Routine, &Fix)> = all.iter().copied().filter(|(_, fix)| fix.changes()).collect();
    for file in files.iter().filter(|_| !args.sql) {
        let Ok(text) = String::from_utf8(std::fs::read(file).context("read", file)?) else {
            eprintln!("postern: {} is not UTF-8, and is not changed", file.display());
            continue;
        };
        let edited = fix::apply(&text, &fix::file(&catalog, &text, &fixed));
        if edited == text {
            continue;
        }
        if args.write {
            std::fs::write(file, &edited).context("write", file)?;
            eprintln!("postern: {} is changed", file.display());
        } else {
            out += &render::diff(&file.display().to_string(), &text, &edited, colour);
        }
    }
    for (routine, fix) in fixed.iter().filter(|_| args.files.is_empty() || args.sql) {
        let given = definitions.iter().find(|(oid, _)| *oid == routine.oid);
        let Some((given, statement)) =
            given.and_then(|(_, given)| Some((given, fix::definition(given, routine, fix)?)))
        else {
            eprintln!("postern: {}: its definition could not be read back", catalog.signature(routine));
            continue;
        };
        if args.sql {
            out += statement.trim_end();
            out += ";\n\n";
        } else {
            out += &render::diff(&catalog.signature(routine), given, &statement, colour);
        }
    }
    crate::print(&out)?;
    for (routine, fix) in all {
        let given = definitions.iter().find(|(oid, _)| *oid == routine.oid).filter(|_| fix.atomic);
        let proposal = given.and_then(|(_, given)| atomic(&catalog, routine, &fix.edits, given));
        let proposal = proposal.map_or_else(String::new, |proposal| format!(":\n{proposal}"));
        for note in &fix.notes {
            eprintln!("postern: {}: {note}{proposal}", catalog.signature(routine));
        }
    }
    for (routine, outcome) in &outcomes {
        if let Err(reasons) = outcome {
            refused(&catalog.signature(routine), reasons);
        }
    }
    Ok(())
}

fn colour() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

fn refused(routine: &str, reasons: &[String]) {
    eprintln!("postern: {routine} is not fixed:");
    for reason in reasons {
        eprintln!("  {reason}");
    }
}

/// Files, without a server.
fn offline(args: &Args, files: &[PathBuf]) -> Result<(), Error> {
    let base = files::empty(args.server_version, args.role.as_deref().unwrap_or(RUNNER));
    let sources = sources(files)?;
    let (project, mended) = deeply(|| {
        let project = files::replay(base, sources);
        let chosen: Result<Vec<&Routine>, _> =
            args.routines.iter().map(|name| report::find(&project.catalog, name)).collect();
        let mended = chosen.map(|chosen| files::mend(&project, &chosen));
        (project, mended)
    })?;
    let mended = mended?;
    let mut out = String::new();
    if args.sql {
        out = mended.statements.join("\n");
    } else {
        for ((source, file), edits) in project.sources.iter().zip(files).zip(&mended.files) {
            if edits.is_empty() {
                continue;
            }
            let edited = fix::apply(&source.text, edits);
            if args.write {
                std::fs::write(file, &edited).context("write", file)?;
                eprintln!("postern: {} is changed", file.display());
            } else {
                out += &render::diff(&source.name, &source.text, &edited, colour());
            }
        }
    }
    crate::print(&out)?;
    for problem in &project.problems {
        eprintln!("postern: {}: {}: {}", project.sources[problem.file].name, problem.object, problem.message);
    }
    for (routine, note) in &mended.notes {
        eprintln!("postern: {routine}: {note}");
    }
    for (routine, reasons) in &mended.refused {
        refused(routine, reasons);
    }
    Ok(())
}

fn outcomes<'c>(catalog: &'c Catalog, args: &Args) -> Result<Vec<Outcome<'c>>, Error> {
    let mut chosen: Vec<&Routine> = Vec::new();
    for name in &args.routines {
        chosen.push(report::find(catalog, name)?);
    }
    if chosen.is_empty() {
        let own = |routine: &&Routine| {
            routine.schema != PG_CATALOG
                && catalog.schema_name(routine.schema) != "information_schema"
                && routine.extension == 0
                && matches!(routine.language.as_str(), "sql" | "plpgsql")
        };
        chosen.extend(catalog.snapshot.routines.iter().filter(own));
    }
    Ok(chosen.into_iter().map(|routine| (routine, fix::fix(catalog, routine))).collect())
}

/// How the server itself writes each routine that could be mended.
async fn definitions(client: tokio_postgres::Client) -> Result<Vec<(u32, String)>, Error> {
    const SQL: &str = "SELECT p.oid, pg_catalog.pg_get_functiondef(p.oid) FROM pg_catalog.pg_proc p \
        WHERE p.pronamespace OPERATOR(pg_catalog.<>) 11 AND p.prokind OPERATOR(pg_catalog.<>) 'a'";
    // So that the types of arguments are written with their schema wherever it matters.
    client
        .batch_execute("SET search_path = pg_catalog, pg_temp")
        .await
        .map_err(postern_analyze::Error::from)?;
    let rows = client.query(SQL, &[]).await.map_err(postern_analyze::Error::from)?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}
