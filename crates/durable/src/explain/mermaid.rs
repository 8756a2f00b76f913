//! The graph as a Mermaid flowchart: the flow of control, not the tree.

use std::fmt::Write as _;

use super::{Status, title};
use crate::graph::Graph;
use crate::kind::Kind;

/// A flowchart of a graph; with statuses, a class for each.
pub fn mermaid(graph: &Graph, statuses: Option<&[Status]>) -> String {
    let mut chart = Chart { graph, statuses, out: String::from("flowchart TD\n") };
    chart.node(0);
    if statuses.is_some() {
        chart.out.push_str(
            "  classDef pending fill:#fff,stroke:#57606a\n  classDef running fill:#ddf4ff,stroke:#0969da\n  \
             classDef completed fill:#dafbe1,stroke:#1a7f37\n  classDef failed fill:#ffebe9,stroke:#cf222e\n  \
             classDef skipped fill:#eaeef2,stroke:#8c959f\n",
        );
    }
    chart.out
}

/// Where the flow of a part begins, where it goes on, and the breaks that leave it.
struct Flow {
    entry: String,
    exits: Vec<String>,
    breaks: Vec<String>,
}

/// Recurses; a checked graph is at most 256 deep.
struct Chart<'a> {
    graph: &'a Graph,
    statuses: Option<&'a [Status]>,
    out: String,
}

impl Chart<'_> {
    fn node(&mut self, number: u32) -> Flow {
        let Some(kind) = self.graph.node(number).map(|node| &node.kind) else {
            return Flow { entry: format!("n{number}"), exits: Vec::new(), breaks: Vec::new() };
        };
        match kind {
            Kind::Then { left, right } => {
                // Without a box; its number stands in a comment, so that every node can be found.
                self.line(&format!("%% n{number}: sequence"));
                let first = self.node(*left);
                let second = self.node(*right);
                self.arrows(&first.exits, &second.entry, "-->");
                Flow {
                    entry: first.entry,
                    exits: second.exits,
                    breaks: [first.breaks, second.breaks].concat(),
                }
            }
            Kind::If { condition, then, otherwise } => {
                let judged = self.node(*condition);
                let choice = self.boxed(number, "{{", "}}");
                self.arrows(&judged.exits, &choice, "-->");
                let flow = self.below(&choice, &[(*then, "-->|true|"), (*otherwise, "-->|false|")]);
                Flow { entry: judged.entry, exits: flow.exits, breaks: [judged.breaks, flow.breaks].concat() }
            }
            Kind::IfRows { then, otherwise, .. } => {
                let choice = self.boxed(number, "{{", "}}");
                self.below(&choice, &[(*then, "-->|rows|"), (*otherwise, "-->|no rows|")])
            }
            Kind::Join { branches } | Kind::Race { branches } | Kind::First { branches } => {
                let fork = self.boxed(number, "[[", "]]");
                let children: Vec<_> = branches.iter().map(|branch| (*branch, "-->")).collect();
                let flow = self.below(&fork, &children);
                let end = format!("{fork}e");
                self.line(&format!("{end}((\" \"))"));
                self.arrows(&flow.exits, &end, "-->");
                Flow { entry: fork, exits: vec![end], breaks: flow.breaks }
            }
            Kind::Loop { body, condition } => {
                let head = self.boxed(number, "([", "])");
                let body = self.below(&head, &[(*body, "-->")]);
                let mut exits = body.breaks;
                match condition {
                    Some(condition) => {
                        let judged = self.node(*condition);
                        self.arrows(&body.exits, &judged.entry, "-->");
                        self.arrows(&judged.exits, &head, "-->|again|");
                        exits.extend(judged.exits.into_iter().chain(judged.breaks));
                    }
                    None => self.arrows(&body.exits, &head, "-->|again|"),
                }
                Flow { entry: head, exits, breaks: Vec::new() }
            }
            Kind::Break { .. } => {
                let name = self.boxed(number, "[", "]");
                Flow { entry: name.clone(), exits: Vec::new(), breaks: vec![name] }
            }
            Kind::Map { source, body, .. } => {
                let rows = self.node(*source);
                let each = self.boxed(number, "[[", "]]");
                self.arrows(&rows.exits, &each, "-->");
                let flow = self.below(&each, &[(*body, "-->|each|")]);
                Flow { entry: rows.entry, exits: flow.exits, breaks: rows.breaks }
            }
            Kind::Catch { step, handler } => {
                let name = self.boxed(number, "[", "]");
                self.below(&name, &[(*step, "-->"), (*handler, "-.->|on failure|")])
            }
            Kind::Compensate { step, undo } => {
                let name = self.boxed(number, "[", "]");
                let flow = self.below(&name, &[(*step, "-->")]);
                self.below(&name, &[(*undo, "-.->|undo|")]);
                flow
            }
            Kind::Retry { step, .. } | Kind::Timeout { step, .. } | Kind::Call { child: step, .. } => {
                let name = self.boxed(number, "[", "]");
                self.below(&name, &[(*step, "-->")])
            }
            _ => {
                let name = self.boxed(number, "[", "]");
                Flow { entry: name.clone(), exits: vec![name], breaks: Vec::new() }
            }
        }
    }

    /// A box with arrows to its children; the flow goes on where any of them ends.
    fn below(&mut self, name: &str, children: &[(u32, &str)]) -> Flow {
        let mut flow = Flow { entry: name.to_owned(), exits: Vec::new(), breaks: Vec::new() };
        for (child, arrow) in children {
            let child = self.node(*child);
            self.arrows(&[name.to_owned()], &child.entry, arrow);
            flow.exits.extend(child.exits);
            flow.breaks.extend(child.breaks);
        }
        flow
    }

    fn boxed(&mut self, number: u32, open: &str, close: &str) -> String {
        let name = format!("n{number}");
        let text = self.graph.node(number).map(title).unwrap_or_default();
        let class = self
            .statuses
            .and_then(|all| all.get(number as usize))
            .map(|status| format!(":::{}", status.name()))
            .unwrap_or_default();
        self.line(&format!("{name}{open}\"{}\"{close}{class}", escape(&text)));
        name
    }

    fn arrows(&mut self, from: &[String], to: &str, arrow: &str) {
        for from in from {
            self.line(&format!("{from} {arrow} {to}"));
        }
    }

    fn line(&mut self, text: &str) {
        // Writing to a String never fails.
        let _ = writeln!(self.out, "  {text}");
    }
}

/// Everything that Mermaid or the HTML it makes could read as its own becomes a character code.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '#' | '<' | '>' | '&' | '`' | '%' | '\\' | ';' => {
                let _ = write!(out, "#{};", u32::from(c));
            }
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}
