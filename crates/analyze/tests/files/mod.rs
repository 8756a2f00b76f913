mod bodies;
mod broken;
mod fixes;
mod pages;
mod state;
mod stored;

use postern_analyze::check::Finding;
use postern_analyze::files::{self, Project, RUNNER, Source};
use postern_analyze::parse::with_stack;

/// What there is after some files.
pub fn project(texts: &[&str]) -> Project {
    let sources = texts
        .iter()
        .enumerate()
        .map(|(at, text)| Source::new(format!("{}.sql", at + 1), text.as_bytes().to_vec()));
    let sources: Vec<Source> = sources.collect();
    with_stack(move || files::replay(files::empty(15, RUNNER), sources)).unwrap()
}

pub fn check(project: &Project) -> Vec<Finding> {
    with_stack(|| files::check(project)).unwrap()
}

/// The findings of some files, as `rule object file:line:column`.
pub fn found(texts: &[&str]) -> Vec<String> {
    check(&project(texts))
        .iter()
        .map(|finding| {
            let at = finding.position.unwrap();
            format!(
                "{} {} {}:{}:{}",
                finding.rule,
                finding.object,
                finding.file.as_deref().unwrap(),
                at.line,
                at.column
            )
        })
        .collect()
}
