//! Typed values from a tree of nodes, with all problems of a document at once.
//!
//! serde stops at the first error. So each error is recorded with its position, the value that
//! caused it is marked, and the document is read again without it, until it reads without errors
//! or the bounds on repetition are reached. Unknown fields do not stop serde: they are recorded and
//! skipped. A document without problems is read once.

use super::node::Node;
use crate::origin::FieldPath;

mod access;
mod error;
mod reader;
mod session;

pub(super) use session::Session;

/// Reads a `T` from `node`, which stands at `path` of its document.
///
/// Returns `None` when the session recorded why not; it may also have recorded problems of a value
/// that is returned.
pub(super) fn read<'n, T: serde::Deserialize<'n>>(
    node: &'n Node<'n>,
    path: FieldPath<'_>,
    session: &Session<'_>,
) -> Option<T> {
    while session.begin_attempt() {
        let reader = reader::Reader::new(node, path, session);
        if let Ok(value) = T::deserialize(reader) {
            return Some(value);
        }
        if session.is_skipped(node) {
            return None;
        }
    }
    session.give_up();
    None
}

#[cfg(test)]
mod tests;
