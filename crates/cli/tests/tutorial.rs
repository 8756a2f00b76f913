//! The tutorial and the pages of the examples, as somebody types them: what comes out is what they show.
//!
//! **How it works.** The blocks of a page run one after the other in one shell, in the folder of a `postern up`. A block of text
//! right behind one is what it prints: `…` stands for any text, alone on a line for any lines. Blank lines say nothing.
#![allow(
    clippy::unwrap_used,
    reason = "a test ends at the first surprise; clippy allows it in test functions only"
)]

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Running, room, run};
use postern_cluster::Installation;

/// What parts the output of one block from that of the next.
const MARK: &str = "--- the next block ---";

/// A block of commands, and what it is said to print.
struct Typed {
    commands: String,
    printed: Option<String>,
}

fn page(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    std::fs::read_to_string(root.join(name)).unwrap()
}

fn typed(page: &str) -> Vec<Typed> {
    let mut typed: Vec<Typed> = Vec::new();
    let mut parts = page.split("\n```");
    let _ = parts.next();
    let mut parts = parts.collect::<Vec<_>>().into_iter();
    // Each block is a part, and what stands between two of them is another one.
    let mut follows = false;
    while let Some(block) = parts.next() {
        let (language, text) = block.split_once('\n').unwrap();
        let between = parts.next().unwrap_or_default();
        match language {
            "sh" => typed.push(Typed { commands: text.to_owned(), printed: None }),
            "text" if follows => typed.last_mut().unwrap().printed = Some(text.to_owned()),
            _ => {}
        }
        follows = language == "sh" && between.trim().is_empty();
    }
    typed
}

/// Whether a text is like a pattern, in which `…` stands for anything.
fn is_like(text: &str, pattern: &str) -> bool {
    let mut parts = pattern.split('…');
    let Some(mut rest) = text.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    true
}

/// The first line of the pattern that is not printed.
fn missing<'a>(printed: &str, pattern: &'a str) -> Option<&'a str> {
    let mut printed = printed.lines().filter(|line| !line.trim().is_empty());
    let mut may_skip = false;
    for wanted in pattern.lines().filter(|line| !line.trim().is_empty()) {
        if wanted == "…" {
            may_skip = true;
            continue;
        }
        let found = if may_skip {
            printed.any(|line| is_like(line, wanted))
        } else {
            printed.next().is_some_and(|line| is_like(line, wanted))
        };
        if !found {
            return Some(wanted);
        }
        may_skip = false;
    }
    if may_skip { None } else { printed.next().map(|_| "(it prints more)") }
}

/// Types a page into a shell; gives what each block printed.
fn type_in(up: &Running, folder: &Path, blocks: &[Typed]) -> Vec<String> {
    // The program, and that of the server's version.
    let program = PathBuf::from(env!("CARGO_BIN_EXE_postern"));
    let psql = Installation::find().unwrap().program("psql");
    let path = format!(
        "{}:{}:{}",
        program.parent().unwrap().display(),
        psql.parent().unwrap().display(),
        std::env::var("PATH").unwrap()
    );
    let end = format!("\necho '{MARK}'\n");
    let script: Vec<&str> = blocks.iter().flat_map(|block| [block.commands.as_str(), &end]).collect();
    let script = script.concat().replace("http://127.0.0.1:8484", &up.url);
    let output = run(Command::new("bash")
        .args(["-c", &script])
        .current_dir(folder)
        .env("PATH", path)
        .env("POSTERN", "postern"));
    assert_eq!(output.complaints(), "", "{}", output.stdout);
    let mut printed: Vec<String> = output.stdout.split(MARK).map(str::to_owned).collect();
    printed.pop();
    assert_eq!(printed.len(), blocks.len());
    printed
}

#[test]
fn the_tutorial_prints_what_it_shows() {
    let room = room();
    let up = Running::up(&room.path().join(".postern"), &[]);
    let mut blocks = typed(&page("docs/tutorials/ten-minutes.md"));
    // Done already: the start, and the way to the program.
    let begun: Vec<Typed> = blocks.drain(..2).collect();
    assert_eq!(begun[0].commands.trim(), "make run");
    assert!(page("docs/tutorials/ten-minutes.md").contains("postern is listening on http://127.0.0.1:8484"));
    assert!(up.greeting.contains(&format!("postern is listening on {}", up.url)), "{}", up.greeting);
    assert!(begun[1].commands.trim().starts_with("PATH="));
    let mut shown = 0;
    for (block, printed) in blocks.iter().zip(type_in(&up, room.path(), &blocks)) {
        let Some(pattern) = &block.printed else { panic!("nothing is shown for:\n{}", block.commands) };
        assert_eq!(missing(&printed, pattern), None, "\n{}\nprints\n{printed}", block.commands);
        shown += 1;
    }
    assert!(shown >= 5, "{shown}");
}

#[test]
fn the_pages_of_the_examples_print_what_they_show() {
    let room = room();
    let up = Running::up(&room.path().join(".postern"), &[]);
    for name in ["examples/invoices/README.md", "examples/workflows/README.md"] {
        let mut blocks = typed(&page(name));
        for block in &mut blocks {
            block.commands = block.commands.replace("POSTERN=target/debug/postern\n", "");
            // It would ask the network for a name.
            block.commands = block
                .commands
                .lines()
                .filter(|line| !line.contains("announce_order"))
                .collect::<Vec<_>>()
                .join("\n");
        }
        let mut shown = 0;
        for (block, printed) in blocks.iter().zip(type_in(&up, room.path(), &blocks)) {
            let Some(pattern) = &block.printed else { continue };
            assert_eq!(missing(&printed, pattern), None, "{name}\n{}\nprints\n{printed}", block.commands);
            shown += 1;
        }
        assert!(shown >= 2, "{name}: {shown}");
    }
}

#[test]
fn a_page_is_compared_line_by_line() {
    let page = "x\n```sh\none\n```\n\n```text\na…c\n…\nlast\n```\n\nwords\n\n```sh\ntwo\n```\n\nmore\n\n```text\nother\n```\n";
    let typed = typed(page);
    assert_eq!(typed.iter().map(|block| block.commands.as_str()).collect::<Vec<_>>(), ["one", "two"]);
    let pattern = typed[0].printed.as_ref().unwrap();
    assert!(typed[1].printed.is_none(), "words stand between");
    assert_eq!(missing("abc\n\nx\ny\nlast\n", pattern), None);
    assert_eq!(missing("ab\nlast\n", pattern), Some("a…c"));
    assert_eq!(missing("ac\nx\n", pattern), Some("last"));
    assert_eq!(missing("ac\nlast\nmore\n", pattern), Some("(it prints more)"));
    assert!(is_like("a-b-c", "a…b…") && !is_like("a-b-c", "…b") && is_like("same", "same"));
}
