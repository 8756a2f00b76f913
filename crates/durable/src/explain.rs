//! Pictures of a durable function: the text of `df.explain`, Mermaid, SVG.
//!
//! All three show the same: one line or box for each node, a sequence flattened, children under what they are to their
//! parent. With statuses each node has its mark. Cuts are by characters.

use crate::Error;
use crate::graph::{Graph, GraphNode};
use crate::kind::{self, Kind};

mod mermaid;
mod svg;

pub use mermaid::mermaid;
pub use svg::svg;

/// What has become of a node, derived status included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// Not begun.
    Pending,
    /// Begun.
    Running,
    /// Ended well.
    Completed,
    /// Ended badly.
    Failed,
    /// Will never begin: an ancestor has ended.
    Skipped,
}

impl Status {
    /// As in rows.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }

    /// From a row.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Pending, Self::Running, Self::Completed, Self::Failed, Self::Skipped]
            .into_iter()
            .find(|status| status.name() == name)
    }

    fn mark(self) -> &'static str {
        match self {
            Self::Pending => "○",
            Self::Running => "⏳",
            Self::Completed => "✓",
            Self::Failed => "✗",
            Self::Skipped => "⊘",
        }
    }
}

/// What the header says of an instance.
#[derive(Debug, Clone, Copy)]
pub struct Instance<'a> {
    /// Its id.
    pub id: &'a str,
    /// Its label.
    pub label: Option<&'a str>,
    /// Its status in the engine's spelling: `Completed`.
    pub status: &'a str,
    /// Its output.
    pub output: Option<&'a str>,
    /// For each node, whether it may have taken effect more than once.
    pub repeats: &'a [bool],
    /// The instances that it has called.
    pub calls: &'a [Called],
}

/// What was called at a node, by [`Kind::Call`].
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
pub struct Called {
    /// The node.
    pub node: u32,
    /// The instance that was called last.
    pub id: String,
    /// Its status.
    pub status: String,
    /// How many were called there.
    pub of: u64,
}

/// The text of `df.explain` for an instance: header, empty line, tree with marks.
pub fn instance(graph: &Graph, statuses: &[Status], instance: Instance<'_>) -> String {
    let label = instance.label.map(|label| format!(" ({label})")).unwrap_or_default();
    let mark = match instance.status.to_ascii_lowercase().as_str() {
        "completed" | "continuedasnew" => "✓",
        "failed" | "canceled" | "cancelled" => "✗",
        "running" => "⏳",
        _ => "○",
    };
    let output = instance.output.map(|output| format!("Output:   {}\n", cut(output, 60))).unwrap_or_default();
    format!(
        "Instance: {}{label}\nStatus:   {mark} {}\n{output}\n{}",
        instance.id,
        instance.status,
        drawn(graph, Some(statuses), instance.repeats, instance.calls)
    )
}

/// The tree as text, every line padded to the longest and four more.
pub fn tree(graph: &Graph, statuses: Option<&[Status]>) -> String {
    drawn(graph, statuses, &[], &[])
}

fn drawn(graph: &Graph, statuses: Option<&[Status]>, repeats: &[bool], calls: &[Called]) -> String {
    let mut lines = Vec::new();
    Printer { graph, statuses, repeats, calls, lines: &mut lines }.node(0, "", true);
    let width = lines.iter().map(|line| line.chars().count()).max().unwrap_or(0) + 4;
    lines.iter().map(|line| format!("{line:width$}")).collect::<Vec<_>>().join("\n")
}

/// Recurses; a checked graph is at most 256 deep.
struct Printer<'a> {
    graph: &'a Graph,
    statuses: Option<&'a [Status]>,
    repeats: &'a [bool],
    calls: &'a [Called],
    lines: &'a mut Vec<String>,
}

impl Printer<'_> {
    fn node(&mut self, number: u32, prefix: &str, last: bool) {
        let connector = match (prefix, last) {
            ("", _) => "",
            (_, true) => "└─",
            _ => "├─",
        };
        let steps = sequence(self.graph, number);
        let one = steps.len() == 1;
        for (place, step) in steps.into_iter().enumerate() {
            let Some(node) = self.graph.node(step) else { continue };
            let connector = if place == 0 { connector } else { "→ " };
            let mark = self
                .statuses
                .and_then(|all| all.get(step as usize))
                .map(|status| format!(" {}", status.mark()))
                .unwrap_or_default();
            // Of a request everybody knows that; of a statement it has to be said.
            let repeats =
                matches!(node.kind, Kind::Sql { .. }) && self.repeats.get(step as usize) == Some(&true);
            let often = if repeats { " (at least once)" } else { "" };
            let called = self.calls.iter().find(|called| called.node == step).map(called).unwrap_or_default();
            self.lines.push(format!("{prefix}{connector}{}{mark}{often}{called}", title(node)));
            // What the nodes of a function that was called have come to is shown where it is drawn itself.
            let statuses = self.statuses;
            if matches!(node.kind, Kind::Call { .. }) {
                self.statuses = None;
            }
            let below = if one && !last && !prefix.is_empty() {
                format!("{prefix}│   ")
            } else {
                format!("{prefix}    ")
            };
            let groups = groups(&node.kind);
            let end = groups.len().saturating_sub(1);
            let branches = matches!(node.kind, Kind::Join { .. } | Kind::Race { .. } | Kind::First { .. });
            for (place, (label, child)) in groups.into_iter().enumerate() {
                self.lines.push(format!("{below}{label}:"));
                self.node(child, &format!("{below}  "), !branches || place == end);
            }
            self.statuses = statuses;
        }
    }
}

/// The instance that was called at a node.
fn called(called: &Called) -> String {
    match called.of {
        0 | 1 => format!(" → {} {}", called.id, called.status),
        of => format!(" → {of} instances, the latest {} {}", called.id, called.status),
    }
}

/// The steps of a sequence; of anything else, itself.
fn sequence(graph: &Graph, number: u32) -> Vec<u32> {
    let mut steps = Vec::new();
    let mut todo = vec![number];
    while let Some(next) = todo.pop() {
        match graph.node(next).map(|node| &node.kind) {
            Some(Kind::Then { left, right }) => todo.extend([*right, *left]),
            _ => steps.push(next),
        }
    }
    steps
}

/// The children that are shown below a node, and what they are to it.
fn groups(kind: &Kind) -> Vec<(String, u32)> {
    let fixed =
        |groups: &[(&str, u32)]| groups.iter().map(|(label, child)| ((*label).into(), *child)).collect();
    match kind {
        Kind::If { condition, then, otherwise } => {
            fixed(&[("? condition", *condition), ("✓ then", *then), ("✗ else", *otherwise)])
        }
        Kind::IfRows { then, otherwise, .. } => fixed(&[("✓ then", *then), ("✗ else", *otherwise)]),
        Kind::Loop { body, condition: Some(condition) } => {
            fixed(&[("↻ body", *body), ("? while", *condition)])
        }
        Kind::Loop { body, condition: None } => fixed(&[("↻ body", *body)]),
        Kind::Join { branches } | Kind::Race { branches } | Kind::First { branches } => {
            branches.iter().zip(1..).map(|(child, number)| (format!("║ branch {number}"), *child)).collect()
        }
        Kind::Retry { step, .. } | Kind::Timeout { step, .. } => fixed(&[("· step", *step)]),
        Kind::Catch { step, handler } => fixed(&[("· step", *step), ("✗ on failure", *handler)]),
        Kind::Map { source, item, body, .. } => {
            vec![("? rows".into(), *source), (format!("║ each {item}"), *body)]
        }
        Kind::Call { child, .. } => fixed(&[("· function", *child)]),
        Kind::Compensate { step, undo } => fixed(&[("· step", *step), ("↶ undo", *undo)]),
        _ => Vec::new(),
    }
}

/// What is written of a node.
fn title(node: &GraphNode) -> String {
    let mut text = match &node.kind {
        Kind::Sql { query } => format!("SQL: {}", cut(&one_line(query), 50)),
        Kind::Sleep { millis } => format!("SLEEP {}s", kind::seconds(*millis)),
        Kind::WaitSchedule { cron } => format!("WAIT '{cron}'"),
        Kind::Http(http) => format!("HTTP {} {}", http.method, cut(&http.url, 40)),
        Kind::HttpMultipart { request, .. } => {
            format!("HTTP_MULTIPART {} {}", request.method, cut(&request.url, 40))
        }
        Kind::Signal { name, timeout_millis: None } => format!("SIGNAL '{name}'"),
        Kind::Signal { name, timeout_millis: Some(millis) } => {
            format!("SIGNAL '{name}' ({}s)", kind::seconds(*millis))
        }
        Kind::Loop { condition: Some(_), .. } => "LOOP (while)".into(),
        Kind::Loop { condition: None, .. } => "LOOP (infinite)".into(),
        Kind::Break { value: Some(value) } => format!("BREAK '{}'", cut(&one_line(value), 20)),
        Kind::Break { value: None } => "BREAK".into(),
        Kind::Join { branches } => format!("JOIN ({})", branches.len()),
        Kind::First { branches } => format!("FIRST ({})", branches.len()),
        Kind::Retry { policy, .. } => format!("RETRY ({} attempts)", policy.max_attempts),
        Kind::Timeout { millis, .. } => format!("TIMEOUT {}s", kind::seconds(*millis)),
        Kind::Map { concurrency, .. } => format!("MAP ({concurrency} at once)"),
        Kind::Call { label: Some(label), .. } => format!("CALL '{label}'"),
        other => other.node_type().into(),
    };
    if let Some(name) = &node.result_name
        && !matches!(node.kind, Kind::Race { .. })
    {
        text.push_str(" |=> '");
        text.push_str(name);
        text.push('\'');
    }
    text
}

fn one_line(text: &str) -> String {
    text.split(['\n', '\r']).map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

/// A text of at most `most` characters, three of them dots when it was longer.
fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        text.to_owned()
    } else {
        text.chars().take(most - 3).chain("...".chars()).collect()
    }
}

/// What `df.explain` was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// The id of an instance.
    Instance,
    /// Node JSON.
    Tree,
    /// An expression to evaluate: it gives the tree.
    Expression,
    /// A statement: one step.
    Sql,
    /// None of these.
    Unknown,
}

/// Says what a text for `df.explain` is. A statement is one by its first word, so that SQL with `@>` in it is SQL.
pub fn subject(input: &str) -> Subject {
    const WORDS: [&str; 25] = [
        "SELECT", "INSERT", "UPDATE", "DELETE", "WITH", "CREATE", "ALTER", "DROP", "CALL", "DO", "TRUNCATE",
        "GRANT", "REVOKE", "EXPLAIN", "VALUES", "TABLE", "MERGE", "VACUUM", "ANALYZE", "REFRESH", "REINDEX",
        "CLUSTER", "COMMENT", "NOTIFY", "LOCK",
    ];
    let text = input.trim();
    let word = text.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or("");
    if text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        Subject::Instance
    } else if !matches!(crate::tree::classify(text), crate::tree::Input::Sql) {
        Subject::Tree
    } else if WORDS.iter().any(|known| known.eq_ignore_ascii_case(word)) {
        Subject::Sql
    } else if ["~>", "|=>", "?>", "!>", "@>", "df."].iter().any(|sign| text.contains(sign)) {
        Subject::Expression
    } else {
        Subject::Unknown
    }
}

/// What `df.explain` says of node JSON that is no function.
pub fn refusal(error: &Error) -> String {
    match error {
        Error::Function(message) if message.starts_with("Unknown node_type") => {
            format!("Invalid durable function graph: root: {message}")
        }
        Error::Function(message) => format!("Failed to parse Durofut JSON: {message}"),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    fn refusal(text: &str) -> String {
        super::refusal(&Graph::parse(text).unwrap_err())
    }

    use super::*;
    use crate::compose::*;

    fn lines(graph: &Graph, statuses: Option<&[Status]>) -> String {
        tree(graph, statuses).lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_tree_hangs_together() {
        let body = seq(
            &name("select 1", "a").unwrap(),
            &branch(
                "select true",
                &join("select 2", &seq("x", "y").unwrap()).unwrap(),
                &break_loop(Some("done")),
            )
            .unwrap(),
        )
        .unwrap();
        let fut = seq(&sleep(30).unwrap(), &repeat(&body, Some("select false")).unwrap()).unwrap();
        let graph = Graph::parse(&fut).unwrap();
        assert_eq!(
            lines(&graph, None),
            "SLEEP 30s
→ LOOP (while)
    ↻ body:
      └─SQL: select 1 |=> 'a'
      → IF
          ? condition:
            └─SQL: select true
          ✓ then:
            └─JOIN (2)
                ║ branch 1:
                  ├─SQL: select 2
                ║ branch 2:
                  └─SQL: x
                  → SQL: y
          ✗ else:
            └─BREAK 'done'
    ? while:
      └─SQL: select false"
        );
        let text = tree(&graph, None);
        let width = "                  ├─SQL: select 2".chars().count() + 4;
        assert!(text.lines().all(|line| line.chars().count() == width), "{text}");
    }

    #[test]
    fn an_instance_has_a_header_and_marks() {
        let graph = Graph::parse(&branch("select true", "select 1", "select 2").unwrap()).unwrap();
        let statuses = [Status::Completed, Status::Completed, Status::Completed, Status::Skipped];
        let of = Instance {
            id: "02fa9a27",
            label: Some("label"),
            status: "Completed",
            output: Some("{\"rows\":[{\"d\":1}],\"row_count\":1}"),
            repeats: &[false, true],
            calls: &[],
        };
        let text = instance(&graph, &statuses, of);
        assert!(text.starts_with(
            "Instance: 02fa9a27 (label)\nStatus:   ✓ Completed\nOutput:   {\"rows\":[{\"d\":1}],\"row_count\":1}\n\nIF ✓ "
        ));
        assert!(text.contains("└─SQL: select true ✓ (at least once)"));
        assert!(text.contains("└─SQL: select 2 ⊘ "));
    }

    #[test]
    fn what_was_called_is_named_and_its_nodes_have_no_marks() {
        let call = call(&seq("select 1", "select 2").unwrap(), Some("kid")).unwrap();
        let graph = Graph::parse(&join(&call, &call).unwrap()).unwrap();
        let called = |node, of| Called { node, id: "02fa9a27".into(), status: "failed".into(), of };
        let statuses = vec![Status::Pending; graph.nodes().len()];
        let text = drawn(&graph, Some(&statuses), &[], &[called(1, 1), called(5, 3)]);
        assert!(text.contains("├─CALL 'kid' ○ → 02fa9a27 failed  "), "{text}");
        assert!(text.contains("└─CALL 'kid' ○ → 3 instances, the latest 02fa9a27 failed"), "{text}");
        assert!(text.contains("└─SQL: select 1   ") && text.contains("→ SQL: select 2   "), "{text}");
    }

    #[test]
    fn cuts_are_by_characters() {
        let graph = Graph::parse(&format!("select '{}'", "é".repeat(60))).unwrap();
        let text = lines(&graph, None);
        assert_eq!(text, format!("SQL: select '{}...", "é".repeat(39)));
        assert_eq!(lines(&Graph::parse("select\n   1\n").unwrap(), None), "SQL: select 1");
    }

    #[test]
    fn what_there_is_to_explain() {
        assert_eq!(subject(" 02fa9a27 "), Subject::Instance);
        assert_eq!(subject(&seq("a", "b").unwrap()), Subject::Tree);
        assert_eq!(subject("'a' ~> 'b'"), Subject::Expression);
        assert_eq!(subject("select '{}'::jsonb @> '{}'"), Subject::Sql);
        assert_eq!(subject("hello"), Subject::Unknown);
        assert_eq!(subject("{\"node_type\": \"NONE\"}"), Subject::Tree);
        assert_eq!(
            refusal("{\"node_type\": \"SQL\", \"query\": 5}"),
            "Failed to parse Durofut JSON: Malformed Durofut JSON with node_type 'SQL': query must be a string"
        );
        assert!(refusal("{\"node_type\": \"NONE\"}").starts_with(
            "Invalid durable function graph: root: Unknown node_type 'NONE'. Valid types: SQL, "
        ));
        assert!(
            refusal("{\"node_type\": \"SLEEP\"}")
                .starts_with("Invalid durable function graph: root: query is required")
        );
    }

    #[test]
    fn pictures_hold_every_node_and_escape_it() {
        let evil = "select '\"<script>&#`' /* --> */";
        let fut = all(&[
            evil,
            &retry(&catch("a", "b").unwrap(), crate::Retry::default()).unwrap(),
            &map("c", &timeout("d", 1500).unwrap(), 3, "item").unwrap(),
            &first(&[&call("e", Some("f")).unwrap(), &compensate("g", "h").unwrap()]).unwrap(),
            &repeat(&race(&break_loop(None), &if_rows("i", "j", "k").unwrap()).unwrap(), None).unwrap(),
        ])
        .unwrap();
        let graph = Graph::parse(&fut).unwrap();
        let picture = svg(&graph, None);
        assert!(!picture.contains("<script>") && picture.contains("&lt;script&gt;&amp;#"));
        let shown = graph.nodes().iter().filter(|node| !matches!(node.kind, Kind::Then { .. })).count();
        assert_eq!(picture.matches("<rect").count(), shown);
        let chart = mermaid(&graph, Some(&vec![Status::Failed; graph.nodes().len()]));
        assert!(chart.starts_with("flowchart TD\n"));
        assert!(!chart.contains("<script>") && !chart.contains("'\"<"));
        for number in 0..graph.nodes().len() {
            assert!(chart.contains(&format!("n{number}")), "{number}\n{chart}");
        }
    }
}
