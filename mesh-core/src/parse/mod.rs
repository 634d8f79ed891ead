//! Text to resources: documents in which every key and value has a position.
//!
//! Three steps, in this order. The text becomes a tree of nodes, within [`Limits`]; a node becomes
//! a typed value, through serde; what is wrong becomes a [`Problem`] with its place, and all
//! problems of a file are found at once. [`render`](mod@render) draws them for a person.
//!
//! YAML is read as Kubernetes reads it: YAML 1.2, with the merge keys and the unquoted scalars of
//! YAML 1.1 (`yes`, `no`, `on`, `off` are booleans). Where that surprises (`version: 1.0` in a
//! field that holds text, an integer `012`), the value is refused and the remedy named. A key that
//! is written twice is refused. JSON is read by the same parser.
//!
//! # Example
//!
//! ```
//! use mesh_core::parse::{Limits, parse_as};
//! use serde::Deserialize;
//!
//! #[derive(Debug, Default, Deserialize)]
//! #[serde(default)]
//! struct Spec {
//!     hosts: Vec<String>,
//!     weight: u32,
//! }
//!
//! let text = "host: [a]\nweight: many\n";
//! let problems = parse_as::<Spec>("spec.yaml", text, &Limits::default()).unwrap_err();
//! let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
//! assert_eq!(
//!     lines,
//!     [
//!         "spec.yaml:1:1: unknown field `host` in the document (did you mean `hosts`?)",
//!         "spec.yaml:2:9: expected an integer, found a string `many` at `weight`",
//!     ]
//! );
//!
//! let (spec, _) = parse_as::<Spec>("spec.yaml", "hosts: [a, b]", &Limits::default()).unwrap();
//! assert_eq!(spec.hosts, ["a", "b"]);
//! ```

use std::sync::Arc;

use serde::de::DeserializeOwned;

use crate::origin::{FieldPath, Position, Source};

mod compose;
mod deserialize;
mod document;
mod duplicates;
mod limits;
mod nearest;
mod node;
mod problem;
pub mod render;
mod resource;
mod scalar;
mod yaml;

pub use document::{Parsed, UnknownKind, parse, parse_value};
pub use limits::Limits;
pub use problem::{Problem, ProblemKind};

use deserialize::Session;
use node::Node;
use yaml::Documents;

/// Reads a file that is one `T`, such as the `mesh` file of istiod.
///
/// An empty file is a `T` of no fields. `file` names the file in problems and positions.
///
/// # Errors
///
/// All problems of the file, in the order of their positions: the text is not YAML, exceeds a
/// limit, has more than one document, or does not fit `T`.
pub fn parse_as<T: DeserializeOwned>(
    file: &str,
    text: &str,
    limits: &Limits,
) -> Result<(T, Source), Vec<Problem>> {
    let file = Arc::from(file);
    if let Some(problem) = too_long(&file, text, limits) {
        return Err(vec![problem]);
    }
    let mut documents = Documents::new(&file, text, limits);
    let (root, nodes, mut problems) = match documents.next() {
        Some(document) => (document.root, document.nodes, document.problems),
        None => (Some(Node::empty(Position::new(1, 1))), 1, Vec::new()),
    };
    if problems.is_empty() && documents.next().is_some() {
        let (limit, what) = (1, "document in this kind of file");
        problems.push(Problem {
            file: Arc::clone(&file),
            position: Position::default(),
            path: String::new(),
            kind: ProblemKind::Limit { limit, what },
        });
    }
    let session = Session::new("the document", &file, nodes);
    let value = root
        .as_ref()
        .and_then(|root| deserialize::read(root, FieldPath::root(), &session));
    problems.extend(session.into_problems());
    match (value, root) {
        (Some(value), Some(root)) if problems.is_empty() => Ok((value, root.source(&file, nodes))),
        _ => {
            problem::sort(&mut problems);
            Err(problems)
        }
    }
}

fn too_long(file: &Arc<str>, text: &str, limits: &Limits) -> Option<Problem> {
    let (limit, what) = (limits.max_bytes, "bytes");
    (text.len() > limit).then(|| Problem {
        file: Arc::clone(file),
        position: Position::default(),
        path: String::new(),
        kind: ProblemKind::Limit { limit, what },
    })
}

#[cfg(test)]
mod tests;
