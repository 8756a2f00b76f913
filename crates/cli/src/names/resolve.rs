//! `postern resolve`.

use postern_analyze::catalog::Catalog;
use postern_analyze::render;
use postern_analyze::report::{self, Report};

use super::{catalog, deeply, json};
use crate::args::Resolve;
use crate::error::Error;

pub fn run(args: &Resolve) -> Result<(), Error> {
    if args.search_paths.len() > 1 && !args.compare {
        return Err(Error::Usage("several paths make a table: say --compare".into()));
    }
    let mut catalog = catalog(args.db.as_deref(), &args.dir)?;
    if let Some(role) = args.role.as_deref().filter(|role| catalog.role(role).is_none()) {
        return Err(Error::Usage(format!("there is no role \"{role}\"")));
    }
    catalog.snapshot.temporary.clone_from(&args.temp_tables);
    let reports = deeply(|| reports(&catalog, args))??;
    if args.compare {
        let table = report::compare(&reports);
        return crate::print(&if args.json { json(&table)? } else { render::comparison(&table) });
    }
    if args.json {
        return crate::print(&json(&reports)?);
    }
    let texts: Vec<String> = reports.iter().map(|report| render::report(report, args.all)).collect();
    crate::print(&texts.join("\n"))
}

fn reports(catalog: &Catalog, args: &Resolve) -> Result<Vec<Report>, Error> {
    let role = args.role.as_deref();
    // Without a path each subject has its own.
    let paths: Vec<Option<&str>> = if args.search_paths.is_empty() {
        vec![None]
    } else {
        args.search_paths.iter().map(|path| Some(path.as_str())).collect()
    };
    let mut reports = Vec::new();
    for path in paths {
        if let Some(sql) = &args.sql {
            reports.push(report::sql(catalog, sql, path, role));
        }
        for routine in &args.routines {
            reports.push(report::routine(catalog, report::find(catalog, routine)?, path, role));
        }
    }
    Ok(reports)
}
