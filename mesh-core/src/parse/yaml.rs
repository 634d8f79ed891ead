//! YAML text to trees of [`Node`]s, one document at a time, within [`Limits`].
//!
//! YAML 1.2 (<https://yaml.org/spec/1.2.2/>) as `granit-parser` reads it, with the merge keys of
//! YAML 1.1 (<https://yaml.org/type/merge.html>), which Kubernetes' reader supports. JSON is read as
//! the subset of YAML that it is.

use std::sync::Arc;

use granit_parser::{ErrorKind, Event, Marker, Parser, ScanError, StrInput, options};

use super::Limits;
use super::compose::{Budget, Composed, Composer, Stop};
use super::node::Node;
use super::problem::{Problem, ProblemKind};
use crate::origin::Position;

/// The documents of a file.
pub(super) struct Documents<'t> {
    parser: Parser<'t, StrInput<'t>>,
    file: Arc<str>,
    limits: Limits,
    budget: Budget,
    ended: bool,
}

/// A document that is not empty. One whose text is wrong may have no root.
pub(super) struct Document<'t> {
    pub(super) root: Option<Node<'t>>,
    /// Keys and values that it has.
    pub(super) nodes: usize,
    pub(super) problems: Vec<Problem>,
}

impl<'t> Documents<'t> {
    pub(super) fn new(file: &Arc<str>, text: &'t str, limits: &Limits) -> Self {
        // The composer counts both styles together; these bound what the scanner reads ahead.
        let nesting = usize::from(limits.max_depth) + 1;
        let options = options! {
            flow_nesting_limit: nesting,
            block_nesting_limit: nesting,
        };
        Self {
            parser: Parser::new_from_str_with_options(text, options),
            file: Arc::clone(file),
            limits: limits.clone(),
            budget: Budget {
                documents: limits.max_documents,
                nodes: limits.max_nodes,
                bytes: limits.max_bytes,
            },
            ended: false,
        }
    }

    fn compose(&mut self) -> Document<'t> {
        let nodes = self.budget.nodes;
        let composed = Composer::new(&self.limits, &mut self.budget).compose(&mut self.parser);
        let Composed {
            root,
            mut faults,
            stop,
        } = composed;
        match stop {
            None => {}
            Some(Stop::Document(position, kind)) => {
                faults.push((position, kind));
                self.ended = !self.parser.proceed_next_document().unwrap_or(false);
            }
            Some(Stop::File(position, kind)) => {
                faults.push((position, kind));
                self.ended = true;
            }
        }
        Document {
            root,
            nodes: nodes - self.budget.nodes,
            problems: faults
                .into_iter()
                .map(|(position, kind)| self.problem(position, kind))
                .collect(),
        }
    }

    fn failed(&self, position: Position, kind: ProblemKind) -> Document<'t> {
        Document {
            root: None,
            nodes: 0,
            problems: vec![self.problem(position, kind)],
        }
    }

    fn problem(&self, position: Position, kind: ProblemKind) -> Problem {
        Problem {
            file: Arc::clone(&self.file),
            position,
            path: String::new(),
            kind,
        }
    }
}

impl<'t> Iterator for Documents<'t> {
    type Item = Document<'t>;

    fn next(&mut self) -> Option<Document<'t>> {
        while !self.ended {
            match self.parser.next_event() {
                Some(Ok((Event::DocumentStart(..), span))) => {
                    if self.budget.documents == 0 {
                        self.ended = true;
                        let limit = self.limits.max_documents;
                        let what = "documents";
                        let kind = ProblemKind::Limit { limit, what };
                        return Some(self.failed(place(&span.start), kind));
                    }
                    self.budget.documents -= 1;
                    let document = self.compose();
                    let empty = document.root.as_ref().is_none_or(Node::is_null);
                    if !empty || !document.problems.is_empty() {
                        return Some(document);
                    }
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => {
                    self.ended = !self.parser.proceed_next_document().unwrap_or(false);
                    let (position, kind) = syntax(&error, &self.limits);
                    return Some(self.failed(position, kind));
                }
                None => self.ended = true,
            }
        }
        None
    }
}

pub(super) fn place(marker: &Marker) -> Position {
    let clamp = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    Position::new(clamp(marker.line()), clamp(marker.col() + 1))
}

pub(super) fn syntax(error: &ScanError, limits: &Limits) -> (Position, ProblemKind) {
    let position = place(error.marker());
    if matches!(error.kind(), ErrorKind::RecursionLimitExceeded) {
        return (position, too_deep(limits));
    }
    let message = error.info();
    (position, ProblemKind::Syntax { message })
}

pub(super) fn too_deep(limits: &Limits) -> ProblemKind {
    let (limit, what) = (usize::from(limits.max_depth), "nested collections");
    ProblemKind::Limit { limit, what }
}
