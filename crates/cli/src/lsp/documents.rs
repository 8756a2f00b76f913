//! What is open in the editor, and what is wrong with it.
//!
//! A document is judged together with the files before and after it: those of the command line if it is one of them, else those
//! of its folder that end in `.sql`, in the order in which a tool for migrations runs them. What is open counts as it is in the
//! editor, everything else as it is on disk.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::ops::Range;
use std::path::{Path, PathBuf};

use lsp_types::{
    CodeAction, CodeActionKind, CodeActionOrCommand, CodeActionParams, Diagnostic, DiagnosticSeverity,
    NumberOrString, TextDocumentContentChangeEvent, TextEdit, Uri, WorkspaceEdit,
};
use postern_analyze::catalog::Routine;
use postern_analyze::check::{Finding, Severity};
use postern_analyze::files::{self, Mended, Project, RUNNER, Source};

use super::FIX_ALL;
use super::places::Places;
use crate::args::Lsp;
use crate::names::deeply;
use crate::names::folder::{expanded, in_order, undoes};

struct Document {
    uri: Uri,
    version: i32,
    text: String,
}

/// Files that are judged together.
struct Judged {
    paths: Vec<PathBuf>,
    project: Project,
    findings: Vec<Finding>,
}

pub struct Documents {
    open: BTreeMap<PathBuf, Document>,
    listed: Vec<PathBuf>,
    version: u32,
    role: String,
    bytes: bool,
    changed: bool,
    judged: Vec<Judged>,
}

/// Diagnostics for one document.
type Published = (Uri, Option<i32>, Vec<Diagnostic>);

impl Documents {
    pub fn new(args: &Lsp, bytes: bool) -> Self {
        Self {
            open: BTreeMap::new(),
            listed: expanded(&args.files)
                .unwrap_or_else(|_| args.files.clone())
                .iter()
                .map(|file| whole(file))
                .collect(),
            version: args.server_version,
            role: args.role.clone().unwrap_or_else(|| RUNNER.to_owned()),
            bytes,
            changed: false,
            judged: Vec::new(),
        }
    }

    pub fn put(&mut self, uri: Uri, version: i32, text: String) {
        self.open.insert(path_of(&uri), Document { uri, version, text });
        self.changed = true;
    }

    /// Makes the edits of the editor, one after the other: each counts in the text that the one before it has left.
    pub fn change(&mut self, uri: Uri, version: i32, changes: Vec<TextDocumentContentChangeEvent>) {
        let mut text = self.open.get(&path_of(&uri)).map(|document| document.text.clone());
        for change in changes {
            text = match (text, change.range) {
                (_, None) => Some(change.text),
                (Some(mut text), Some(range)) => {
                    let places = Places::new(&text, self.bytes);
                    let (start, end) = (places.byte(range.start), places.byte(range.end));
                    text.replace_range(start.min(end)..end.max(start), &change.text);
                    Some(text)
                }
                // A part of what was never opened.
                (None, Some(_)) => None,
            };
        }
        if let Some(text) = text {
            self.put(uri, version, text);
        }
    }

    pub fn close(&mut self, uri: &Uri) {
        self.open.remove(&path_of(uri));
        self.changed = true;
    }

    /// The files that a document is judged with.
    fn group(&self, path: &Path) -> Vec<PathBuf> {
        if self.listed.iter().any(|file| file == path) {
            return self.listed.clone();
        }
        let mut files: BTreeSet<PathBuf> = BTreeSet::from([path.to_owned()]);
        let siblings =
            path.parent().and_then(|folder| std::fs::read_dir(folder).ok()).into_iter().flatten().flatten();
        files.extend(
            siblings
                .map(|entry| entry.path())
                .filter(|file| file.extension().is_some_and(|end| end == "sql") && !undoes(file)),
        );
        let open = self.open.keys().filter(|other| other.parent() == path.parent() && path.is_absolute());
        files.extend(open.cloned());
        in_order(files.into_iter().collect())
    }

    /// Judges what is open, if anything has changed.
    pub fn judge(&mut self) -> Vec<Published> {
        if !std::mem::take(&mut self.changed) {
            return Vec::new();
        }
        let groups: BTreeSet<Vec<PathBuf>> = self.open.keys().map(|path| self.group(path)).collect();
        self.judged = groups.into_iter().filter_map(|paths| self.judge_together(paths)).collect();
        let mut published = Vec::new();
        for (path, document) in &self.open {
            let Some((judged, file)) = self.find(path) else { continue };
            let source = &judged.project.sources[file];
            let places = Places::new(&source.text, self.bytes);
            let found = judged.findings.iter().filter(|finding| finding.file.as_ref() == Some(&source.name));
            let diagnostics = found.map(|finding| diagnostic(finding, &places)).collect();
            published.push((document.uri.clone(), Some(document.version), diagnostics));
        }
        published
    }

    fn judge_together(&self, paths: Vec<PathBuf>) -> Option<Judged> {
        let mut sources = Vec::new();
        let mut read = Vec::new();
        for path in paths {
            let bytes = match self.open.get(&path) {
                Some(document) => document.text.clone().into_bytes(),
                // A file that has gone has nothing in it.
                None => std::fs::read(&path).unwrap_or_default(),
            };
            sources.push(Source::new(path.display().to_string(), bytes));
            read.push(path);
        }
        let base = files::empty(self.version, &self.role);
        let judged = deeply(|| {
            let project = files::replay(base, sources);
            let findings = files::check(&project);
            (project, findings)
        });
        let (project, findings) = judged.ok()?;
        Some(Judged { paths: read, project, findings })
    }

    fn find(&self, path: &Path) -> Option<(&Judged, usize)> {
        self.judged.iter().find_map(|judged| {
            let file = judged.paths.iter().position(|other| other == path)?;
            Some((judged, file))
        })
    }

    /// What can be done about a place: the fix of each routine whose definition is there, and that of the whole file.
    pub fn actions(&self, params: &CodeActionParams) -> Vec<CodeActionOrCommand> {
        let Some((judged, file)) = self.find(&path_of(&params.text_document.uri)) else { return Vec::new() };
        let wanted = |kind: &CodeActionKind| {
            let only = params.context.only.as_ref();
            only.is_none_or(|kinds| {
                kinds
                    .iter()
                    .any(|only| kind == only || kind.as_str().starts_with(&format!("{}.", only.as_str())))
            })
        };
        let project = &judged.project;
        let places = Places::new(&project.sources[file].text, self.bytes);
        let meant = places.byte(params.range.start)..places.byte(params.range.end);
        let mut actions = Vec::new();
        let here: Vec<&Routine> = project
            .catalog
            .snapshot
            .routines
            .iter()
            .filter(|routine| {
                let origin = project.origins.get(&routine.oid).filter(|origin| origin.file == file);
                origin.is_some_and(|origin| {
                    origin.statement.start <= meant.end && meant.start <= origin.statement.end
                })
            })
            .collect();
        for routine in here.iter().filter(|_| wanted(&CodeActionKind::QUICKFIX)) {
            let title = format!(
                "Qualify the names of {} and pin its search_path",
                project.catalog.signature(routine)
            );
            let statement = project.origins.get(&routine.oid).map(|origin| &origin.statement);
            let about = params.context.diagnostics.iter().filter(|diagnostic| {
                let at = places.byte(diagnostic.range.start);
                diagnostic.source.as_deref() == Some("postern")
                    && statement.is_some_and(|range| range.contains(&at))
            });
            let about: Vec<Diagnostic> = about.cloned().collect();
            actions.extend(self.action(judged, title, CodeActionKind::QUICKFIX, &[*routine], about));
        }
        if wanted(&FIX_ALL) {
            let mine = |routine: &&Routine| {
                project.origins.get(&routine.oid).is_some_and(|origin| origin.file == file)
            };
            let all: Vec<&Routine> = project.catalog.snapshot.routines.iter().filter(mine).collect();
            if !all.is_empty() {
                let title = "Qualify all names of this file's functions and pin their search_path".to_owned();
                actions.extend(self.action(judged, title, FIX_ALL, &all, Vec::new()));
            }
        }
        actions
    }

    fn action(
        &self,
        judged: &Judged,
        title: String,
        kind: CodeActionKind,
        routines: &[&Routine],
        about: Vec<Diagnostic>,
    ) -> Option<CodeActionOrCommand> {
        let mended: Mended = deeply(|| files::mend(&judged.project, routines)).ok()?;
        #[allow(clippy::mutable_key_type, reason = "the protocol's own type; nobody changes an address")]
        let mut changes: HashMap<Uri, Vec<TextEdit>> = HashMap::new();
        for ((path, source), edits) in judged.paths.iter().zip(&judged.project.sources).zip(&mended.files) {
            if edits.is_empty() {
                continue;
            }
            let uri = match self.open.get(path) {
                Some(document) => document.uri.clone(),
                None => uri_of(path)?,
            };
            let places = Places::new(&source.text, self.bytes);
            let mut seen: BTreeSet<(usize, usize)> = BTreeSet::new();
            let edits = edits.iter().filter(|edit| seen.insert((edit.span.start, edit.span.end)));
            let edit = |span: &Range<usize>, text: &str| TextEdit {
                range: places.range(span),
                new_text: text.to_owned(),
            };
            changes.insert(uri, edits.map(|found| edit(&found.span, &found.text)).collect());
        }
        if changes.is_empty() {
            return None;
        }
        Some(CodeActionOrCommand::CodeAction(CodeAction {
            title,
            kind: Some(kind),
            diagnostics: (!about.is_empty()).then_some(about),
            edit: Some(WorkspaceEdit { changes: Some(changes), ..WorkspaceEdit::default() }),
            ..CodeAction::default()
        }))
    }
}

fn diagnostic(finding: &Finding, places: &Places<'_>) -> Diagnostic {
    let severity = match finding.severity {
        Severity::Error => DiagnosticSeverity::ERROR,
        Severity::Warning => DiagnosticSeverity::WARNING,
        Severity::Note => DiagnosticSeverity::INFORMATION,
    };
    let proof = finding.proof.as_ref().map_or_else(String::new, |proof| format!("\nproof: {proof}"));
    Diagnostic {
        range: places.range(&finding.span.clone().unwrap_or_default()),
        severity: Some(severity),
        code: Some(NumberOrString::String(finding.rule.to_owned())),
        source: Some("postern".to_owned()),
        message: format!("{}{proof}\nremedy: {}", finding.message, finding.remedy),
        ..Diagnostic::default()
    }
}

/// A path without its `..` and links, if it is there.
fn whole(path: &Path) -> PathBuf {
    std::fs::canonicalize(path)
        .unwrap_or_else(|_| std::path::absolute(path).unwrap_or_else(|_| path.to_owned()))
}

/// The file that an address means; what is no file keeps its address as its name.
fn path_of(uri: &Uri) -> PathBuf {
    let text = uri.as_str();
    let Some(encoded) = text.strip_prefix("file://") else { return PathBuf::from(text) };
    let mut bytes = Vec::new();
    let mut rest = encoded.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        let escaped = (*first == b'%').then(|| after.get(..2)).flatten();
        let escaped =
            escaped.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        match escaped {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => bytes.push(*first),
        }
    }
    match String::from_utf8(bytes) {
        Ok(path) => whole(Path::new(&path)),
        Err(_) => PathBuf::from(text),
    }
}

/// The address of a file.
fn uri_of(path: &Path) -> Option<Uri> {
    let mut text = String::from("file://");
    for byte in path.to_str()?.bytes() {
        if byte.is_ascii_alphanumeric() || b"/._-~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text.parse().ok()
}
