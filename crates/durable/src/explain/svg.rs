//! The tree as SVG: a box for each node, children to the right and below, no script, no font to load.

use std::fmt::Write as _;

use super::{Status, groups, sequence, title};
use crate::graph::Graph;

const ROW: usize = 30;
const STEP: usize = 28;
const MARGIN: usize = 12;
/// Of a letter of the monospaced font, generously.
const LETTER: usize = 9;

/// One box.
struct Row {
    node: u32,
    depth: usize,
    text: String,
    /// The row of the parent; None for the root.
    parent: Option<usize>,
}

/// A picture of a graph; with statuses, in their colours.
pub fn svg(graph: &Graph, statuses: Option<&[Status]>) -> String {
    let rows = rows(graph);
    let width =
        rows.iter().map(|row| row.depth * STEP + (row.text.chars().count() + 2) * LETTER).max().unwrap_or(0)
            + 2 * MARGIN;
    let height = rows.len() * ROW + 2 * MARGIN;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" font-family=\"monospace\" font-size=\"14\">\n"
    );
    // Writing to a String never fails.
    for (place, row) in rows.iter().enumerate() {
        let (x, y) = (MARGIN + row.depth * STEP, MARGIN + place * ROW);
        if let Some(parent) = row.parent {
            let (from_x, from_y) = (x - STEP + 10, MARGIN + parent * ROW + ROW - 6);
            let _ = writeln!(
                out,
                "<path d=\"M{from_x} {from_y}V{}H{x}\" fill=\"none\" stroke=\"#888\"/>",
                y + ROW / 2 - 3
            );
        }
        let status = statuses.and_then(|all| all.get(row.node as usize)).copied();
        let (fill, stroke) = match status {
            None => ("#f6f8fa", "#57606a"),
            Some(Status::Completed) => ("#dafbe1", "#1a7f37"),
            Some(Status::Failed) => ("#ffebe9", "#cf222e"),
            Some(Status::Running) => ("#ddf4ff", "#0969da"),
            Some(Status::Pending) => ("#ffffff", "#57606a"),
            Some(Status::Skipped) => ("#eaeef2", "#8c959f"),
        };
        let _ = writeln!(
            out,
            "<g><title>{:08x}{}</title><rect x=\"{x}\" y=\"{y}\" width=\"{}\" height=\"{}\" rx=\"4\" fill=\"{fill}\" \
             stroke=\"{stroke}\"/><text x=\"{}\" y=\"{}\">{}</text></g>",
            row.node,
            status.map(|status| format!(" {}", status.name())).unwrap_or_default(),
            (row.text.chars().count() + 2) * LETTER,
            ROW - 6,
            x + LETTER,
            y + 17,
            escape(&row.text),
        );
    }
    out.push_str("</svg>\n");
    out
}

fn rows(graph: &Graph) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    // What is still to be shown: node, depth, label, the row of the parent.
    let mut todo = vec![(0_u32, 0_usize, String::new(), None)];
    while let Some((number, depth, label, parent)) = todo.pop() {
        let steps = sequence(graph, number);
        if let [first, rest @ ..] = &steps[..]
            && !rest.is_empty()
        {
            todo.extend(rest.iter().rev().map(|step| (*step, depth, "→ ".to_owned(), parent)));
            todo.push((*first, depth, label, parent));
            continue;
        }
        let Some(node) = graph.node(number) else { continue };
        let row = rows.len();
        rows.push(Row { node: number, depth, text: format!("{label}{}", title(node)), parent });
        let children = groups(&node.kind).into_iter().rev();
        todo.extend(children.map(|(label, child)| (child, depth + 1, format!("{label}: "), Some(row))));
    }
    rows
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // XML has no way to write these.
            c if (c.is_control() && c != '\t') || matches!(c, '\u{fffe}' | '\u{ffff}') => {
                out.push('\u{fffd}');
            }
            c => out.push(c),
        }
    }
    out
}
