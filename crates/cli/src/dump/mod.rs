//! `postern dump`: `pg_dump`, which says what row security leaves out.
//!
//! Which tables a dump has is for `pg_dump` to say: it is asked for the tables without their data. Whether they are filtered is
//! asked over a connection of `psql`, which takes the same options, files and variables as `pg_dump`. Its transaction lends its
//! snapshot to the dump, so that what is counted is what was dumped.
//!
//! **Invariants**: nothing is dumped before it is known what would be missing; what is missing for another reason, because direct access was
//! taken away meanwhile, is an error afterwards; standard output is the dump's alone.

pub mod args;
mod session;

use std::collections::BTreeSet;
use std::process::{Command, ExitCode, Stdio};

use postern_cluster::Installation;

use crate::database;
use crate::error::Error;
use args::{Dump, Sorted, sort};
use session::Session;

/// Nothing was dumped.
const REFUSED: u8 = 1;

/// A table that is filtered for the role.
struct Filtered {
    name: String,
    policies: String,
    estimate: String,
}

pub fn run(args: &Dump) -> ExitCode {
    match dump(args) {
        Ok(status) => status,
        Err(error) => {
            eprintln!("postern: {error}");
            ExitCode::from(REFUSED)
        }
    }
}

fn dump(args: &Dump) -> Result<ExitCode, Error> {
    let mut sorted = sort(&args.rest);
    let allowed = args.allow_row_level_security || sorted.allowed;
    if let Some(url) = &args.db {
        sorted.connect(url);
    } else if sorted.connection.is_empty()
        && ["PGHOST", "PGDATABASE", "PGSERVICE"].iter().all(|name| std::env::var_os(name).is_none())
    {
        let url = database::url_or(None, &args.dir)?;
        sorted.connect(&url);
    }
    if sorted.schema_only {
        return pg_dump(&sorted, &[]);
    }
    let mut session = Session::open(
        program("psql"),
        &sorted.connection,
        sorted.role.as_deref(),
        sorted.snapshot.as_deref(),
    )?;
    let tables = chosen(&sorted)?;
    let (filtered, whole) = examine(&mut session, &tables)?;
    if !filtered.is_empty() {
        eprintln!(
            "postern: row security filters {} for role \"{}\":",
            if filtered.len() == 1 { "1 table".into() } else { format!("{} tables", filtered.len()) },
            session.role
        );
        for table in &filtered {
            eprintln!("  {} ({})", table.name, table.policies);
        }
        if !allowed {
            eprintln!(
                "Nothing was dumped. Dump as a role that is not filtered, ask for direct access (postern.grant_direct), or say \
                 --allow-row-level-security to dump what the role sees."
            );
            return Ok(ExitCode::from(REFUSED));
        }
    }
    // The server wants to be told, for those that are read past their policies as well.
    let mut more = Vec::new();
    let silent = !filtered.is_empty() || whole;
    if silent {
        more.push("--enable-row-security".to_owned());
    }
    if sorted.snapshot.is_none() {
        more.push(format!("--snapshot={}", session.snapshot));
    }
    let status = pg_dump(&sorted, &more)?;
    if status == ExitCode::SUCCESS && silent && !is_as_before(&sorted, &tables, &filtered)? {
        return Ok(ExitCode::from(REFUSED));
    }
    if status == ExitCode::SUCCESS && !filtered.is_empty() {
        count(args, &mut session, &filtered)?;
    }
    Ok(status)
}

/// Whether no more tables are filtered now than before the dump: what somebody has taken away since is taken away from `pg_dump` as well,
/// whatever its snapshot, and it has said nothing of it.
fn is_as_before(sorted: &Sorted, tables: &BTreeSet<u32>, before: &[Filtered]) -> Result<bool, Error> {
    let mut later = Session::open(program("psql"), &sorted.connection, sorted.role.as_deref(), None)?;
    let (now, _) = examine(&mut later, tables)?;
    let new: Vec<&Filtered> =
        now.iter().filter(|table| before.iter().all(|known| known.name != table.name)).collect();
    if new.is_empty() {
        return Ok(true);
    }
    eprintln!("postern: since the dump began, row security filters for role \"{}\":", later.role);
    for table in new {
        eprintln!("  {} ({})", table.name, table.policies);
    }
    eprintln!("The dump may lack rows of it: do not use it.");
    Ok(false)
}

impl Sorted {
    fn connect(&mut self, url: &str) {
        self.connection.push(format!("--dbname={url}"));
        self.all.push(format!("--dbname={url}"));
    }
}

/// A program of the server that the tests and `postern up` use, or else the one on the path.
fn program(name: &str) -> Command {
    match Installation::find() {
        Ok(found) => Command::new(found.program(name)),
        Err(_) => Command::new(name),
    }
}

fn started<T>(name: &str, result: std::io::Result<T>) -> Result<T, Error> {
    result.map_err(|source| Error::Io { action: format!("run {name}"), source })
}

fn pg_dump(sorted: &Sorted, more: &[String]) -> Result<ExitCode, Error> {
    let status = started("pg_dump", program("pg_dump").args(&sorted.all).args(more).status())?;
    Ok(match status.code().and_then(|code| u8::try_from(code).ok()) {
        Some(0) => ExitCode::SUCCESS,
        Some(code) => ExitCode::from(code),
        None => ExitCode::FAILURE,
    })
}

/// The OIDs of the tables that the dump will have, by `pg_dump`'s own choice.
fn chosen(sorted: &Sorted) -> Result<BTreeSet<u32>, Error> {
    let mut list = program("pg_dump");
    list.args(&sorted.connection).args(&sorted.choice).args(["--schema-only", "--format=custom"]);
    list.args(sorted.role.iter().map(|role| format!("--role={role}"))).stdin(Stdio::null());
    let listed = started("pg_dump", list.stderr(Stdio::inherit()).output())?;
    if !listed.status.success() {
        return Err(Error::Usage("pg_dump cannot say which tables it would dump".into()));
    }
    let mut read = program("pg_restore");
    let mut child =
        started("pg_restore", read.arg("--list").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn())?;
    let stdin = child.stdin.take();
    // From a thread of its own: a pipe holds less than a long list.
    let writer = std::thread::spawn(move || {
        use std::io::Write as _;
        stdin.map_or(Ok(()), |mut stdin| stdin.write_all(&listed.stdout))
    });
    let contents = started("pg_restore", child.wait_with_output())?;
    let written = writer.join().unwrap_or(Ok(()));
    if !contents.status.success() {
        started("pg_restore", written)?;
        return Err(Error::Usage("pg_restore cannot read what pg_dump would dump".into()));
    }
    Ok(tables(&String::from_utf8_lossy(&contents.stdout)))
}

/// The tables of a table of contents: lines such as `213; 1259 16386 TABLE public t owner`.
fn tables(contents: &str) -> BTreeSet<u32> {
    let line = |line: &str| {
        let mut words = line.split_once("; ")?.1.split(' ');
        let (catalog, oid, kind) = (words.next()?, words.next()?, words.next()?);
        (catalog == "1259" && kind == "TABLE").then(|| oid.parse().ok()).flatten()
    };
    contents.lines().filter_map(line).collect()
}

/// The chosen tables that are filtered; and whether there are some under row security that are not.
fn examine(session: &mut Session, tables: &BTreeSet<u32>) -> Result<(Vec<Filtered>, bool), Error> {
    let list = tables.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
    let direct = if session.has_extension()? {
        "postern.is_direct(c.oid, (SELECT r.oid FROM pg_catalog.pg_roles r WHERE r.rolname OPERATOR(pg_catalog.=) CURRENT_USER), 'r')"
    } else {
        "false"
    };
    let rows = session.ask(&format!(
        "SELECT pg_catalog.to_json(pg_catalog.concat(pg_catalog.quote_ident(n.nspname), '.', pg_catalog.quote_ident(c.relname))), {direct},
                pg_catalog.to_json(coalesce((SELECT pg_catalog.string_agg(pg_catalog.quote_ident(p.polname), ', ' ORDER BY p.polname) FROM pg_catalog.pg_policy p
                  WHERE p.polrelid OPERATOR(pg_catalog.=) c.oid AND p.polcmd OPERATOR(pg_catalog.=) ANY ('{{*,r}}'::pg_catalog.\"char\"[])), '')),
                c.reltuples::pg_catalog.int8
           FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
          WHERE c.oid OPERATOR(pg_catalog.=) ANY ('{{{list}}}'::pg_catalog.oid[]) AND c.relkind OPERATOR(pg_catalog.=) 'r' AND pg_catalog.row_security_active(c.oid)
          ORDER BY n.nspname, c.relname"
    ))?;
    let mut filtered = Vec::new();
    let mut whole = false;
    for row in rows {
        // Names come as JSON: those with line ends stay in their line.
        let wrong = || Error::Usage("psql gave another answer than was asked for".into());
        let [name, direct, policies, estimate] = <[String; 4]>::try_from(row).map_err(|_| wrong())?;
        let name: String = serde_json::from_str(&name).map_err(|_| wrong())?;
        let policies: String = serde_json::from_str(&policies).map_err(|_| wrong())?;
        if direct == "t" {
            whole = true;
            continue;
        }
        let policies =
            if policies.is_empty() { "no policy".to_owned() } else { format!("policies {policies}") };
        filtered.push(Filtered { name, policies, estimate });
    }
    Ok((filtered, whole))
}

/// Says how many of how many rows of each filtered table are in the dump.
fn count(args: &Dump, session: &mut Session, filtered: &[Filtered]) -> Result<(), Error> {
    let mut all = match &args.count_with {
        Some(url) => {
            Some(Session::open(program("psql"), &[format!("--dbname={url}")], None, Some(&session.snapshot))?)
        }
        None => None,
    };
    eprintln!("postern: the dump lacks rows:");
    for Filtered { name, estimate, .. } in filtered {
        let sql = format!("SELECT pg_catalog.count(*) FROM ONLY {name}");
        // As for the dump: filtered, and no error because of that.
        let dumped = session.one(&sql)?;
        let total = match &mut all {
            Some(all) => {
                // Whoever is filtered as well counts nothing here, and gets an error.
                all.one("SET row_security = off")?;
                all.one(&sql)?
            }
            None if estimate.starts_with('-') => "an unknown number of".into(),
            None => format!("about {estimate}"),
        };
        eprintln!("  {name}: {dumped} of {total} rows");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::tables;

    #[test]
    fn tables_are_told_by_their_oid() {
        let contents = ";\n; Archive created at 2026\n213; 1259 16386 TABLE public t owner\n\
                        214; 1259 16390 TABLE public Odd TABLE; 1259 7 TABLE owner\n215; 1259 16400 VIEW public v owner\n\
                        3300; 0 0 ACL public TABLE t owner\n216; 1259 16401 SEQUENCE public s owner\n";
        assert_eq!(tables(contents).into_iter().collect::<Vec<_>>(), [16386, 16390]);
    }
}
