//! What nodes came to, worked out from what a function wrote; its picture; who executes what.

use std::fmt::Write as _;

use postern_durable::Graph;
use postern_durable::explain::{self, Instance, Status, Subject};
use serde::Deserialize;

use super::error::Refusal;
use crate::error::Error;
use crate::version::{self, Installed};

/// A JSON array with an object for each node.
pub fn nodes(graph: &str, status: &str, steps: Option<&str>, strands: Option<&str>) -> Result<String, Error> {
    Ok(postern_durable::nodes::nodes(graph, status, steps, strands).map_err(Refusal::from)?)
}

/// What a text given to `df.explain()` is.
pub fn subject(input: &str) -> &'static str {
    match explain::subject(input) {
        Subject::Instance => "instance",
        Subject::Tree => "tree",
        Subject::Expression => "expression",
        Subject::Sql => "sql",
        Subject::Unknown => "unknown",
    }
}

/// An instance to be drawn, as `sql/33_durable_inspect.sql` puts it together.
#[derive(Debug, Deserialize)]
struct Drawn {
    id: String,
    label: Option<String>,
    status: String,
    output: Option<String>,
    /// The derived statuses of the nodes, in their order.
    nodes: Vec<String>,
    /// For each, whether it may have taken effect more than once.
    #[serde(default)]
    repeats: Vec<bool>,
    /// What it has called, where it has.
    #[serde(default)]
    calls: Option<Vec<explain::Called>>,
}

/// Whether an instance of this status, as it is drawn, has ended.
fn has_ended(status: &str) -> bool {
    super::control::has_ended(&status.to_ascii_lowercase())
}

/// The picture of a function, or of an instance of it.
pub fn explain(graph: &str, instance: Option<&str>, format: &str) -> Result<String, Error> {
    let graph = match Graph::parse(graph) {
        Ok(graph) => graph,
        // A script may look at the text.
        Err(error) if instance.is_none() && format.eq_ignore_ascii_case("text") => {
            return Ok(explain::refusal(&error));
        }
        Err(error) => return Err(Refusal::from(error).into()),
    };
    let drawn: Option<Drawn> = instance.and_then(|text| serde_json::from_str(text).ok());
    let statuses: Option<Vec<Status>> = drawn.as_ref().map(|drawn| {
        drawn.nodes.iter().map(|name| Status::from_name(name).unwrap_or(Status::Pending)).collect()
    });
    let statuses = statuses.as_deref();
    match (format.to_ascii_lowercase().as_str(), &drawn, statuses) {
        ("text", Some(drawn), Some(statuses)) => {
            let header = Instance {
                id: &drawn.id,
                label: drawn.label.as_deref(),
                status: &drawn.status,
                output: drawn.output.as_deref(),
                repeats: &drawn.repeats,
                calls: drawn.calls.as_deref().unwrap_or_default(),
            };
            let mut text = explain::instance(&graph, statuses, header);
            if !has_ended(&drawn.status)
                && let Installed::Other(installed) = version::installed()
            {
                // Writing to a string cannot fail.
                let _ = write!(
                    text,
                    "\nIt waits: the extension is {installed} in this database, and its library is {}. {}",
                    version::LIBRARY,
                    version::remedy(&installed)
                );
            }
            Ok(text)
        }
        ("text", ..) => Ok(explain::tree(&graph, None)),
        ("mermaid", ..) => Ok(explain::mermaid(&graph, statuses)),
        ("svg", ..) => Ok(explain::svg(&graph, statuses)),
        _ => Err(Refusal::Format(format.into()).into()),
    }
}
