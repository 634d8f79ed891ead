use std::cell::{Cell, RefCell};
use std::sync::Arc;

use super::error::Error;
use crate::origin::{FieldPath, Position};
use crate::parse::node::Node;
use crate::parse::problem::{Problem, ProblemKind};

/// A large document with many errors costs no more than reading this many keys and values.
const MAX_VALUES_READ: usize = 16_000_000;
/// Least number of attempts to read a document.
const MIN_ATTEMPTS: usize = 2;
/// Greatest number of problems of a document, and so of attempts to read it.
const MAX_PROBLEMS: usize = 64;

/// What is collected while a document is read.
pub(in crate::parse) struct Session<'s> {
    subject: &'s str,
    file: &'s Arc<str>,
    strict: bool,
    attempts: Cell<usize>,
    // Values that caused an error; they are compared by address.
    skipped: RefCell<Vec<*const ()>>,
    problems: RefCell<Vec<Problem>>,
}

impl<'s> Session<'s> {
    /// A session about a document of `nodes` keys and values that messages call `subject`.
    pub(in crate::parse) fn new(subject: &'s str, file: &'s Arc<str>, nodes: usize) -> Self {
        let attempts = (MAX_VALUES_READ / nodes.max(1)).clamp(MIN_ATTEMPTS, MAX_PROBLEMS + 1);
        Self {
            subject,
            file,
            strict: true,
            attempts: Cell::new(attempts),
            skipped: RefCell::default(),
            problems: RefCell::default(),
        }
    }

    /// Accepts fields that the type does not have: it is a part of a schema.
    pub(in crate::parse) fn lenient(mut self) -> Self {
        self.strict = false;
        self
    }

    pub(in crate::parse) fn into_problems(self) -> Vec<Problem> {
        self.problems.into_inner()
    }

    pub(in crate::parse) fn report(
        &self,
        position: Position,
        path: &FieldPath<'_>,
        kind: ProblemKind,
    ) {
        if self.is_full() {
            return;
        }
        let problem = Problem {
            file: Arc::clone(self.file),
            position,
            path: path.to_string(),
            kind,
        };
        let mut problems = self.problems.borrow_mut();
        // A document that is read again reports its unknown fields again.
        if problems.contains(&problem) {
            return;
        }
        problems.push(problem);
        if problems.len() == MAX_PROBLEMS {
            problems.push(self.incomplete());
        }
    }

    /// Whether what is reported is no longer kept.
    pub(in crate::parse) fn is_full(&self) -> bool {
        self.problems.borrow().len() >= MAX_PROBLEMS
    }

    /// Records that there may be problems that were not found.
    pub(super) fn give_up(&self) {
        if !self.is_full() {
            self.problems.borrow_mut().push(self.incomplete());
        }
    }

    fn incomplete(&self) -> Problem {
        Problem {
            file: Arc::clone(self.file),
            position: Position::default(),
            path: String::new(),
            kind: ProblemKind::Incomplete,
        }
    }

    pub(super) fn begin_attempt(&self) -> bool {
        let left = self.attempts.get();
        self.attempts.set(left.saturating_sub(1));
        left > 0
    }

    pub(super) fn is_strict(&self) -> bool {
        self.strict
    }

    pub(super) fn is_skipped(&self, node: &Node<'_>) -> bool {
        self.skipped.borrow().contains(&address(node))
    }

    /// Records what is wrong with `node`, which later attempts skip.
    pub(super) fn refuse(&self, node: &Node<'_>, path: &FieldPath<'_>, kind: ProblemKind) -> Error {
        self.report(node.position, path, kind);
        self.skip(node)
    }

    /// Lets later attempts skip `node`, whose problem is recorded.
    pub(super) fn skip(&self, node: &Node<'_>) -> Error {
        self.skipped.borrow_mut().push(address(node));
        Error::Recorded
    }

    /// What a message calls the object at `path`.
    pub(super) fn name(&self, path: &FieldPath<'_>) -> String {
        match (self.subject, path.is_root()) {
            (subject, true) => subject.to_owned(),
            ("", false) => format!("`{path}`"),
            (subject, false) => format!("{subject} {path}"),
        }
    }
}

fn address(node: &Node<'_>) -> *const () {
    std::ptr::from_ref(node).cast()
}
