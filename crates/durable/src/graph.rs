//! The tree checked and flattened: what the engine walks.
//!
//! [`Graph::parse`] is the whole check of `df.start`. Afterwards every child is there, every configuration is read, and
//! nothing has to be looked at twice.
//!
//! **Invariants**: node 0 is the root; a node's children have greater numbers (preorder: condition, left, right, extra);
//! a node is the child of exactly one other.

use crate::Error;
use crate::check::{self, kind, preorder};
use crate::kind::Kind;
use crate::tree::{self, Input, ParseError, Tree};

/// One node of a graph.
#[derive(Debug, Clone, PartialEq)]
pub struct GraphNode {
    /// What it does.
    pub kind: Kind,
    /// The node whose child it is; None for the root.
    pub parent: Option<u32>,
    /// The name that its result gets.
    pub result_name: Option<String>,
}

/// A checked durable function; see the module.
#[derive(Debug, Clone, PartialEq)]
pub struct Graph {
    nodes: Vec<GraphNode>,
    text: String,
}

impl Graph {
    /// Everything that `df.start` checks of its first argument.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let tree = match tree::classify(text) {
            Input::Sql => Tree::sql(text),
            Input::Unknown(name) => return Err(Error::Function(check::unknown(&name))),
            Input::Tree(name) => Tree::parse(text).map_err(|error| match error {
                ParseError::Root(message) => {
                    Error::Function(format!("Malformed Durofut JSON with node_type '{name}': {message}"))
                }
                ParseError::Child(path, message) => {
                    Error::graph(path, format!("failed to deserialize Durofut child: {message}"))
                }
                ParseError::TooMany => tree::too_many(),
            })?,
        };
        Self::from_tree(&tree)
    }

    /// Checks and flattens a tree.
    pub fn from_tree(tree: &Tree) -> Result<Self, Error> {
        if tree.nodes().len() > tree::MAX_NODES {
            return Err(tree::too_many());
        }
        let order = preorder(tree)?;
        let mut number = vec![0_u32; tree.nodes().len()];
        for (new, (old, _)) in order.iter().enumerate() {
            number[*old as usize] = u32::try_from(new).unwrap_or(u32::MAX);
        }
        let mut nodes = Vec::with_capacity(order.len());
        for (old, parent) in &order {
            let node = &tree.nodes()[*old as usize];
            let kind = kind(node, &number).map_err(|message| Error::graph(tree.path(*old), message))?;
            if let Some(name) = node.result_name.as_deref()
                && !is_name(name)
            {
                return Err(Error::graph(
                    tree.path(*old),
                    format!(
                        "result_name '{name}' is not a valid identifier — must match [a-zA-Z_][a-zA-Z0-9_]*"
                    ),
                ));
            }
            nodes.push(GraphNode {
                kind,
                parent: parent.map(|old| number[old as usize]),
                result_name: node.result_name.clone(),
            });
        }
        Ok(Self { nodes, text: tree.to_text() })
    }

    /// Refuses a function with half an IF where a statement should be. What runs was let through once, and is not asked again.
    pub fn check_new(&self) -> Result<(), Error> {
        let half = |node: &GraphNode| matches!(&node.kind, Kind::Sql { query } if tree::is_half_if(query));
        if self.nodes.iter().any(half) { Err(Error::HalfIf) } else { Ok(()) }
    }

    /// All nodes, by number.
    pub fn nodes(&self) -> &[GraphNode] {
        &self.nodes
    }

    /// A node by its number.
    pub fn node(&self, number: u32) -> Option<&GraphNode> {
        self.nodes.get(number as usize)
    }

    /// The text of the function that is below a node: the same tree, with that node as its root.
    pub fn text_of(&self, number: u32) -> Option<String> {
        let tree = Tree::from_step(&self.text).ok()?;
        let (old, _) = *preorder(&tree).ok()?.get(number as usize)?;
        Some(tree.below(old).to_text())
    }

    /// The tree as text: what to store, and what [`Graph::parse`] makes the same graph of.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The `query` of a node's row: that of the tree, with children in the configuration by their ids.
    pub fn row_query(&self, number: u32) -> Option<String> {
        self.node(number).and_then(|node| node.kind.row_query())
    }
}

/// The id of a node in rows: its number in eight hex digits.
pub fn node_id(number: u32) -> String {
    format!("{number:08x}")
}

/// Whether `name` may name a result: `[a-zA-Z_][a-zA-Z0-9_]*`.
pub fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests;
