//! What nodes came to, worked out from what a function wrote; and its picture.

use super::error::Refusal;
use crate::error::Error;

/// A JSON array with an object for each node.
pub fn nodes(graph: &str, status: &str, steps: Option<&str>, strands: Option<&str>) -> Result<String, Error> {
    Ok(postern_durable::nodes::nodes(graph, status, steps, strands).map_err(Refusal::from)?)
}

/// The picture of a function.
pub fn explain(
    graph: &str,
    nodes: Option<&str>,
    header: Option<&str>,
    format: &str,
) -> Result<String, Error> {
    let _ = (nodes, header, format);
    Ok(graph.to_owned())
}
