//! Fixes of routines, as edits of the files that define them, or as SQL.
//!
//! A fix is verified before it comes here ([`fix`]). The last definition is edited; a path that a later ALTER sets is edited
//! there.

use super::{Origin, Project};
use crate::catalog::Routine;
use crate::fix::{Edit, Fix, PINNED, apply, fix, pin, pinned_value};
use crate::parse::tokens;
use crate::text::quote;
use crate::unpinned::atomic;

/// What can be mended, and what cannot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mended {
    /// The edits of each file.
    pub files: Vec<Vec<Edit>>,
    /// For each routine that is mended, the statements that mend a database made of the files.
    pub statements: Vec<String>,
    /// What is not mended, and why.
    pub refused: Vec<(String, Vec<String>)>,
    /// What the reader should know.
    pub notes: Vec<(String, String)>,
}

/// Fixes of the routines that the files define; of those only that are chosen, if any are.
pub fn mend(project: &Project, chosen: &[&Routine]) -> Mended {
    let mut mended = Mended { files: vec![Vec::new(); project.sources.len()], ..Mended::default() };
    for routine in &project.catalog.snapshot.routines {
        let Some(origin) = project.origins.get(&routine.oid) else { continue };
        let known = matches!(routine.language.as_str(), "sql" | "plpgsql");
        if !known || (!chosen.is_empty() && !chosen.iter().any(|other| other.oid == routine.oid)) {
            continue;
        }
        let name = project.catalog.signature(routine);
        match fix(&project.catalog, routine) {
            Ok(None) => {}
            Err(reasons) => mended.refused.push((name, reasons)),
            Ok(Some(fix)) => match edits(project, origin, &fix) {
                Err(reason) => mended.refused.push((name, vec![reason])),
                Ok(edits) => {
                    let notes = fix.notes.iter().map(|note| noted(project, routine, origin, &fix, note));
                    mended.notes.extend(notes.map(|note| (name.clone(), note)));
                    if !fix.changes() {
                        continue;
                    }
                    mended.statements.push(sql(project, routine, origin, &fix, &edits));
                    for (file, edit) in edits {
                        mended.files[file].push(edit);
                    }
                }
            },
        }
    }
    mended
}

/// A note, with the definition that it proposes.
fn noted(project: &Project, routine: &Routine, origin: &Origin, fix: &Fix, note: &str) -> String {
    let create = &project.sources[origin.file].text[origin.statement.clone()];
    match atomic(&project.catalog, routine, &fix.edits, create).filter(|_| fix.atomic) {
        Some(proposal) => format!("{note}:\n{proposal}"),
        None => note.to_owned(),
    }
}

/// A fix as edits of files.
fn edits(project: &Project, origin: &Origin, fix: &Fix) -> Result<Vec<(usize, Edit)>, String> {
    if project.sources[origin.file].damaged.is_some() {
        return Err("its file is not UTF-8".into());
    }
    let Some(code) = &origin.code else { return Err("its body is not one plain literal of a file".into()) };
    let mut edits: Vec<(usize, Edit)> = fix
        .edits
        .iter()
        .map(|edit| {
            let span = code.source(edit.span.start)..code.source(edit.span.end);
            let text = if code.is_identity() { edit.text.clone() } else { edit.text.replace('\'', "''") };
            (origin.file, Edit { span, text })
        })
        .collect();
    if fix.pin {
        if origin.path_reset {
            return Err("a later ALTER takes its search_path away: remove that statement".into());
        }
        if let Some((file, span)) = &origin.path_set_at {
            let text = pinned_value(&project.sources[*file].text[span.clone()]);
            edits.push((*file, Edit { span: span.clone(), text }));
        } else {
            edits.push((origin.file, pin_in(project, origin)?));
        }
    }
    Ok(edits)
}

/// The edit of the CREATE that pins its path.
fn pin_in(project: &Project, origin: &Origin) -> Result<Edit, String> {
    let start = origin.statement.start;
    let text = &project.sources[origin.file].text[origin.statement.clone()];
    let tokens = tokens(text).map_err(|error| error.message)?;
    let literal = origin.code.as_ref().map_or(0, |code| code.source(0) - start);
    let before = tokens.iter().rfind(|token| token.is(text, "as") && token.start < literal);
    let before = before.ok_or("its AS was not found")?.start;
    let edit = pin(&tokens, text, before);
    Ok(Edit { span: edit.span.start + start..edit.span.end + start, ..edit })
}

/// The statements that mend the routine where it exists already.
fn sql(project: &Project, routine: &Routine, origin: &Origin, fix: &Fix, edits: &[(usize, Edit)]) -> String {
    let kind = if routine.kind == 'p' { "PROCEDURE" } else { "FUNCTION" };
    let pinned = format!("ALTER {kind} {} SET search_path = {PINNED};\n", project.catalog.signature(routine));
    if fix.edits.is_empty() {
        return pinned;
    }
    let start = origin.statement.start;
    let whole = &project.sources[origin.file].text[origin.statement.clone()];
    let inside = |edit: &&Edit| edit.span.start >= start && edit.span.end <= origin.statement.end;
    let mut here: Vec<Edit> = edits
        .iter()
        .filter(|(file, _)| *file == origin.file)
        .map(|(_, edit)| edit)
        .filter(inside)
        .map(|edit| Edit { span: edit.span.start - start..edit.span.end - start, text: edit.text.clone() })
        .collect();
    let name = format!("{}.{}", quote(&project.catalog.schema_name(routine.schema)), quote(&routine.name));
    here.push(Edit { span: origin.name.start - start..origin.name.end - start, text: name });
    let words = tokens(whole).unwrap_or_default();
    if let [create, next, ..] = words.as_slice()
        && create.is(whole, "create")
        && !next.is(whole, "or")
    {
        here.push(Edit { span: create.end..create.end, text: " OR REPLACE".into() });
    }
    // Types in the head mean what they meant under the path of then.
    let mut out = format!("SET search_path = {};\n{};\n", origin.search_path, apply(whole, &here));
    for (file, range) in &origin.altered {
        out += &project.sources[*file].text[range.clone()];
        out += ";\n";
    }
    if fix.pin {
        out += &pinned;
    }
    out + "RESET search_path;\n"
}
