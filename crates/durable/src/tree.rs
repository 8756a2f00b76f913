//! A durable function as the text that composers hand to each other: JSON nodes inside JSON nodes.
//!
//! [`Tree`] is that text read: a list of nodes, children by index, so that nothing here recurses, however deep the text.
//! It holds whatever has the shape of a node; whether it means anything is `graph`'s to say.
//!
//! **Invariants**: node 0 is the root; a child's index is greater than its parent's; [`Tree::to_text`] writes the
//! keys in one order, leaves out what is empty, and adds no space.

use std::fmt::Write as _;

use crate::Error;
use crate::json::{self, Fault, Reader, Start};

/// The most levels of nodes that `df.start` takes.
pub const MAX_DEPTH: usize = 256;
/// The most nodes of one graph.
pub const MAX_NODES: usize = 10_000;

/// Every `node_type`, in the order in which messages list them: those of old first, then Postern's own.
pub const NODE_TYPES: [&str; 19] = [
    "SQL",
    "THEN",
    "IF",
    "JOIN",
    "LOOP",
    "BREAK",
    "RACE",
    "SLEEP",
    "WAIT_SCHEDULE",
    "HTTP",
    "HTTP_MULTIPART",
    "SIGNAL",
    "RETRY",
    "CATCH",
    "TIMEOUT",
    "MAP",
    "FIRST",
    "CALL",
    "COMPENSATE",
];

/// Whether `name` is a node type.
pub fn is_node_type(name: &str) -> bool {
    NODE_TYPES.contains(&name)
}

/// One node as written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Node {
    /// `node_type`; any text.
    pub node_type: String,
    /// `left_node`.
    pub left: Option<u32>,
    /// `right_node`.
    pub right: Option<u32>,
    /// `condition_node`.
    pub condition: Option<u32>,
    /// `extra_nodes`.
    pub extra: Vec<u32>,
    /// `query`: the SQL of a step, the configuration of another node.
    pub query: Option<String>,
    /// `result_name`.
    pub result_name: Option<String>,
}

/// A tree of nodes; see the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    nodes: Vec<Node>,
}

/// Why a text is no tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ParseError {
    /// The root itself has the wrong shape.
    Root(String),
    /// Something below it has: where, and what.
    Child(String, String),
    /// More nodes than a graph may have.
    TooMany,
}

/// What a text given where a step is expected turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Input {
    /// JSON with a known node type, to be read as a tree.
    Tree(String),
    /// JSON with a node type that there is not.
    Unknown(String),
    /// Anything else: SQL.
    Sql,
}

/// Looks at the outside of a text only.
pub(crate) fn classify(text: &str) -> Input {
    if !text.trim_start_matches([' ', '\t', '\r', '\n']).starts_with('{') {
        return Input::Sql;
    }
    match json::node_type(text) {
        Some(name) if is_node_type(&name) => Input::Tree(name),
        Some(name) => Input::Unknown(name),
        None => Input::Sql,
    }
}

/// Whether a text is what `?>` gives, which is no SQL.
pub(crate) fn is_half_if(text: &str) -> bool {
    text.starts_with("{\"condition\": ") && text.contains("\"_partial_if\": true")
}

/// An open node while reading.
struct Frame {
    node: u32,
    first: bool,
    seen: u8,
    /// Inside `extra_nodes`; then this is "nothing read yet".
    list: Option<bool>,
}

const KEYS: [&str; 7] =
    ["node_type", "left_node", "right_node", "condition_node", "extra_nodes", "query", "result_name"];

impl Tree {
    /// A tree of one SQL step.
    pub fn sql(query: &str) -> Self {
        Self { nodes: vec![Node { node_type: "SQL".into(), query: Some(query.into()), ..Node::default() }] }
    }

    /// What a composer makes of an argument: node JSON is taken, any other text is SQL.
    pub fn from_step(text: &str) -> Result<Self, Error> {
        match classify(text) {
            Input::Tree(_) => Self::parse(text).map_err(|error| match error {
                ParseError::Root(message) => Error::Step(message),
                ParseError::Child(path, message) => {
                    Error::Step(format!("{path}: failed to deserialize Durofut child: {message}"))
                }
                ParseError::TooMany => too_many(),
            }),
            Input::Unknown(_) | Input::Sql => Ok(Self::sql(text)),
        }
    }

    /// Reads node JSON.
    pub(crate) fn parse(text: &str) -> Result<Self, ParseError> {
        let mut reader = Reader::new(text);
        let mut tree = Self { nodes: vec![Node::default()] };
        match reader.value() {
            Ok(Start::Object) => {}
            _ => return Err(ParseError::Root("Durofut must be a JSON object".into())),
        }
        let mut open = vec![Frame { node: 0, first: true, seen: 0, list: None }];
        while let Some(frame) = open.last_mut() {
            match tree.advance(&mut reader, frame) {
                Ok(Next::Same) => {}
                Ok(Next::Close) => {
                    open.pop();
                }
                Ok(Next::Child(node)) => {
                    if tree.nodes.len() > MAX_NODES {
                        return Err(ParseError::TooMany);
                    }
                    open.push(Frame { node, first: true, seen: 0, list: None });
                }
                Err(Fault(message)) if frame.node == 0 => return Err(ParseError::Root(message)),
                Err(Fault(message)) => return Err(ParseError::Child(tree.path(frame.node), message)),
            }
        }
        reader.end().map_err(|Fault(message)| ParseError::Root(message))?;
        Ok(tree)
    }

    /// Reads one key, or one entry of `extra_nodes`, of the node that is open.
    fn advance(&mut self, reader: &mut Reader<'_>, frame: &mut Frame) -> Result<Next, Fault> {
        let index = frame.node as usize;
        if let Some(first) = &mut frame.list {
            if !reader.item(first)? {
                frame.list = None;
                return Ok(Next::Same);
            }
            if reader.value()? != Start::Object {
                return Err(Fault("extra_nodes entries must be Durofut JSON objects".into()));
            }
            let child = self.push();
            self.nodes[index].extra.push(child);
            return Ok(Next::Child(child));
        }
        let Some(key) = reader.key(&mut frame.first)? else {
            return if frame.seen & 1 == 0 {
                Err(Fault("missing field `node_type`".into()))
            } else {
                Ok(Next::Close)
            };
        };
        let Some(which) = KEYS.iter().position(|known| *known == key) else {
            let start = reader.value()?;
            reader.skip(&start)?;
            return Ok(Next::Same);
        };
        if frame.seen & (1 << which) != 0 {
            return Err(Fault(format!("duplicate field `{key}`")));
        }
        frame.seen |= 1 << which;
        let start = reader.value()?;
        match (which, start) {
            (0, Start::String(name)) => self.nodes[index].node_type = name,
            (1..=3, Start::Object) => {
                let child = self.push();
                let node = &mut self.nodes[index];
                match which {
                    1 => node.left = Some(child),
                    2 => node.right = Some(child),
                    _ => node.condition = Some(child),
                }
                return Ok(Next::Child(child));
            }
            (4, Start::Array) => frame.list = Some(true),
            (5, Start::String(text)) => self.nodes[index].query = Some(text),
            (6, Start::String(text)) => self.nodes[index].result_name = Some(text),
            (1.., Start::Null) => {}
            (1 | 2, _) => return Err(Fault("Durofut children must be JSON objects".into())),
            (3, _) => return Err(Fault("condition_node must be a Durofut JSON object".into())),
            (4, _) => return Err(Fault("extra_nodes must be an array of Durofut JSON objects".into())),
            _ => return Err(Fault(format!("{key} must be a string"))),
        }
        Ok(Next::Same)
    }

    fn push(&mut self) -> u32 {
        self.nodes.push(Node::default());
        u32::try_from(self.nodes.len() - 1).unwrap_or(u32::MAX)
    }

    /// The tree below a node.
    pub(crate) fn below(&self, root: u32) -> Self {
        let mut nodes = vec![self.nodes[root as usize].clone()];
        let mut at = 0;
        // Children are appended, and numbered anew as they are.
        while at < nodes.len() {
            let mut node = std::mem::take(&mut nodes[at]);
            let mut take = |child: &mut u32| {
                nodes.push(self.nodes[*child as usize].clone());
                *child = u32::try_from(nodes.len() - 1).unwrap_or(u32::MAX);
            };
            for child in [&mut node.condition, &mut node.left, &mut node.right].into_iter().flatten() {
                take(child);
            }
            node.extra.iter_mut().for_each(take);
            nodes[at] = node;
            at += 1;
        }
        Self { nodes }
    }

    /// All nodes; the first is the root.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The root.
    pub fn root(&self) -> &Node {
        &self.nodes[0]
    }

    pub(crate) fn root_mut(&mut self) -> &mut Node {
        &mut self.nodes[0]
    }

    /// The way from the root to a node: `root.left.extra_nodes[1]`.
    pub fn path(&self, node: u32) -> String {
        let mut parts = Vec::new();
        let mut at = node;
        while at != 0 {
            // A parent's index is smaller; so this ends, at the root at the latest.
            let found = (0..at).rev().find_map(|parent| {
                let owner = &self.nodes[parent as usize];
                let part = if owner.left == Some(at) {
                    ".left".into()
                } else if owner.right == Some(at) {
                    ".right".into()
                } else if owner.condition == Some(at) {
                    ".condition_node".into()
                } else {
                    let place = owner.extra.iter().position(|extra| *extra == at)?;
                    format!(".extra_nodes[{place}]")
                };
                Some((parent, part))
            });
            let Some((parent, part)) = found else { break };
            parts.push(part);
            at = parent;
        }
        parts.push("root".into());
        parts.reverse();
        parts.concat()
    }

    /// The tree as JSON.
    pub fn to_text(&self) -> String {
        enum Todo {
            Node(u32),
            Text(&'static str),
            Tail(u32),
        }
        let mut out = String::new();
        let mut todo = vec![Todo::Node(0)];
        while let Some(next) = todo.pop() {
            match next {
                Todo::Text(text) => out.push_str(text),
                Todo::Tail(index) => {
                    let node = &self.nodes[index as usize];
                    for (key, value) in
                        [(",\"query\":", &node.query), (",\"result_name\":", &node.result_name)]
                    {
                        if let Some(value) = value {
                            out.push_str(key);
                            quote(&mut out, value);
                        }
                    }
                    out.push('}');
                }
                Todo::Node(index) => {
                    let node = &self.nodes[index as usize];
                    out.push_str("{\"node_type\":");
                    quote(&mut out, &node.node_type);
                    todo.push(Todo::Tail(index));
                    if !node.extra.is_empty() {
                        todo.push(Todo::Text("]"));
                        for (place, child) in node.extra.iter().enumerate().rev() {
                            todo.push(Todo::Node(*child));
                            if place > 0 {
                                todo.push(Todo::Text(","));
                            }
                        }
                        todo.push(Todo::Text(",\"extra_nodes\":["));
                    }
                    for (key, child) in [
                        (",\"condition_node\":", node.condition),
                        (",\"right_node\":", node.right),
                        (",\"left_node\":", node.left),
                    ] {
                        if let Some(child) = child {
                            todo.push(Todo::Node(child));
                            todo.push(Todo::Text(key));
                        }
                    }
                }
            }
        }
        out
    }
}

enum Next {
    Same,
    Close,
    Child(u32),
}

pub(crate) fn too_many() -> Error {
    Error::Graph {
        path: "root".into(),
        message: format!(
            "Workflow exceeds maximum node count of {MAX_NODES}. Simplify the workflow or break it into multiple instances."
        ),
        limit: true,
    }
}

/// Appends a JSON string.
pub(crate) fn quote(out: &mut String, text: &str) {
    // A string always serializes, and writing to a String never fails.
    let quoted = serde_json::to_string(text).unwrap_or_default();
    let _ = write!(out, "{quoted}");
}
