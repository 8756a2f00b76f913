//! `postern doctor`: examines a database and prints what was found.

use std::io::IsTerminal;
use std::process::ExitCode;

use postern_doctor::{Report, Settings, render, subscription};
use tokio::runtime::Runtime;

use crate::args::Doctor;
use crate::error::Error;
use crate::{database, progress, serve};

/// Dangers or warnings.
const FOUND: u8 = 1;
/// The database could not be examined.
const FAILED: u8 = 2;

pub fn run(args: &Doctor) -> ExitCode {
    if let Some(name) = &args.subscription {
        return match subscription(args, name) {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::from(FOUND),
            Err(error) => {
                eprintln!("postern: {error}");
                ExitCode::from(FAILED)
            }
        };
    }
    let printed = examine(args).and_then(|(report, allow)| {
        let colour = std::io::stdout().is_terminal()
            && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let text =
            if args.json { json(&marked(&report, &allow)?)? } else { render::text(&report, &allow, colour) };
        crate::print(&text)?;
        Ok(report.complaints(&allow).is_empty())
    });
    match printed {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(FOUND),
        Err(error) => {
            eprintln!("postern: {error}");
            ExitCode::from(FAILED)
        }
    }
}

/// The report, and what is allowed.
fn examine(args: &Doctor) -> Result<(Report, Vec<String>), Error> {
    let runtime = serve::runtime()?;
    let mut allow = args.allow.clone();
    if let Some(file) = &args.config {
        let config = serve::load(file)?;
        allow.extend_from_slice(&config.doctor.allow);
        let report = progress::during("examining the database", || {
            runtime.block_on(postern_gate::examine(&config, &args.roles))
        })?;
        return Ok((report, allow));
    }
    let url = database::url_or(args.db.as_ref(), &args.dir)?;
    let settings = Settings { roles: args.roles.clone(), ..Settings::default() };
    let report = progress::during("examining the database", || by_url(&runtime, &url, &settings))?;
    Ok((report, allow))
}

fn by_url(runtime: &Runtime, url: &str, settings: &Settings) -> Result<Report, Error> {
    runtime.block_on(async {
        let client = database::connect(url).await?;
        Ok(postern_doctor::examine(&client, settings).await?)
    })
}

/// Prints what there is to say of a subscription; gives whether it is safe.
fn subscription(args: &Doctor, name: &str) -> Result<bool, Error> {
    let url = database::url_or(args.db.as_ref(), &args.dir)?;
    let found = serve::runtime()?.block_on(async {
        let client = database::connect(&url).await?;
        Ok::<_, Error>(subscription::examine(&client, name).await?)
    })?;
    let found =
        found.ok_or_else(|| Error::Usage(format!("there is no subscription \"{name}\" in this database")))?;
    let text = if args.json { json(&found)? } else { subscription::text(&found) };
    crate::print(&text)?;
    Ok(found.is_safe())
}

/// The report with a word in each finding on whether it is allowed.
fn marked(report: &Report, allow: &[String]) -> Result<serde_json::Value, Error> {
    let mut value = serde_json::to_value(report).map_err(unwritten)?;
    let findings = value["findings"].as_array_mut().into_iter().flatten();
    for (shown, finding) in findings.zip(&report.findings) {
        shown["allowed"] = finding.is_allowed(allow).into();
    }
    Ok(value)
}

fn json(report: &impl serde::Serialize) -> Result<String, Error> {
    Ok(serde_json::to_string_pretty(report).map_err(unwritten)? + "\n")
}

fn unwritten(error: serde_json::Error) -> Error {
    Error::Io { action: "write the report".into(), source: error.into() }
}
