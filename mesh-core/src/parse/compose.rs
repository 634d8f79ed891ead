//! One document of YAML: events to a tree of [`Node`]s.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use granit_parser::{Event, Parser, ScalarStyle, Span, StrInput, Tag};

use super::node::{Content, Entry, Node, Scalar};
use super::problem::{ProblemKind, excerpt};
use super::scalar::Meaning;
use super::yaml::{place, syntax, too_deep};
use super::{Limits, duplicates};
use crate::origin::Position;

const MERGE_KEY: &str = "<<";

/// What is left of the limits of a file.
pub(super) struct Budget {
    pub(super) documents: usize,
    pub(super) nodes: usize,
    pub(super) bytes: usize,
}

/// Why a document cannot be read on.
pub(super) enum Stop {
    /// The rest of the file may be read.
    Document(Position, ProblemKind),
    /// Nothing more may be read.
    File(Position, ProblemKind),
}

/// Builds the tree of one document from events.
pub(super) struct Composer<'a, 't> {
    limits: &'a Limits,
    budget: &'a mut Budget,
    open: Vec<Collection<'t>>,
    anchors: HashMap<usize, Node<'t>>,
    root: Option<Node<'t>>,
    faults: Vec<(Position, ProblemKind)>,
}

/// A document as far as it could be read.
pub(super) struct Composed<'t> {
    /// The value of the document; `None` when it was not read to its end.
    pub(super) root: Option<Node<'t>>,
    /// What is wrong in it, with its place.
    pub(super) faults: Vec<(Position, ProblemKind)>,
    pub(super) stop: Option<Stop>,
}

/// A collection whose end has not been read.
struct Collection<'t> {
    node: Node<'t>,
    anchor: usize,
    /// Key that waits for its value.
    key: Option<Key<'t>>,
    /// Whether one of the keys is a merge key.
    merge: bool,
}

struct Key<'t> {
    text: Cow<'t, str>,
    position: Position,
    merge: bool,
}

impl<'a, 't> Composer<'a, 't> {
    pub(super) fn new(limits: &'a Limits, budget: &'a mut Budget) -> Self {
        Self {
            limits,
            budget,
            open: Vec::new(),
            anchors: HashMap::new(),
            root: None,
            faults: Vec::new(),
        }
    }

    /// Reads the document whose start `parser` has read.
    pub(super) fn compose(mut self, parser: &mut Parser<'t, StrInput<'t>>) -> Composed<'t> {
        let stop = self.read(parser).err();
        Composed {
            root: self.root.filter(|_| stop.is_none()),
            faults: self.faults,
            stop,
        }
    }

    /// Reads events up to the end of the document.
    fn read(&mut self, parser: &mut Parser<'t, StrInput<'t>>) -> Result<(), Stop> {
        while let Some(event) = parser.next_event() {
            let (event, span) = event.map_err(|error| {
                let (position, kind) = syntax(&error, self.limits);
                Stop::Document(position, kind)
            })?;
            let position = place(&span.start);
            match event {
                Event::Scalar(text, style, anchor, tag) => {
                    self.charge(position, 1, 0)?;
                    let node = self.scalar(&span, text, (style, tag.as_deref()));
                    self.complete(node, anchor)?;
                }
                Event::SequenceStart(_, anchor, tag) => {
                    self.check_tag(&span, tag.as_deref(), "seq");
                    self.begin(position, Content::Sequence(Vec::new()), anchor)?;
                }
                Event::MappingStart(_, anchor, tag) => {
                    self.check_tag(&span, tag.as_deref(), "map");
                    self.begin(position, Content::Mapping(Vec::new()), anchor)?;
                }
                Event::SequenceEnd | Event::MappingEnd => self.end()?,
                Event::Alias(anchor) => self.alias(position, anchor)?,
                Event::DocumentEnd => break,
                _ => {}
            }
        }
        Ok(())
    }

    fn begin(
        &mut self,
        position: Position,
        content: Content<'t>,
        anchor: usize,
    ) -> Result<(), Stop> {
        self.charge(position, 1, 0)?;
        self.check_depth(position, 1)?;
        self.open.push(Collection {
            node: Node { position, content },
            anchor,
            key: None,
            merge: false,
        });
        Ok(())
    }

    fn end(&mut self) -> Result<(), Stop> {
        let Some(mut collection) = self.open.pop() else {
            return Ok(());
        };
        if let Content::Mapping(entries) = &mut collection.node.content {
            self.remove_duplicates(entries);
            if collection.merge {
                self.merge(entries);
            }
        }
        self.complete(collection.node, collection.anchor)
    }

    /// Puts a finished value where it belongs: under its key, in its list, or at the root.
    fn complete(&mut self, node: Node<'t>, anchor: usize) -> Result<(), Stop> {
        if anchor > 0 {
            let weight = node.weight();
            self.charge(node.position, weight.nodes, weight.bytes)?;
            self.anchors.insert(anchor, node.clone());
        }
        let Some(collection) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match (&mut collection.node.content, collection.key.take()) {
            (Content::Sequence(items), _) => items.push(node),
            (Content::Mapping(entries), Some(key)) => {
                collection.merge |= key.merge;
                entries.push(Entry {
                    key: key.text,
                    position: key.position,
                    value: node,
                });
            }
            (Content::Mapping(_), None) => {
                let (key, fault) = key(node);
                collection.key = Some(key);
                if let Some((position, kind)) = fault {
                    self.fault(position, kind);
                }
            }
            (Content::Scalar(_), _) => {}
        }
        Ok(())
    }

    fn alias(&mut self, position: Position, anchor: usize) -> Result<(), Stop> {
        let Some(target) = self.anchors.get(&anchor) else {
            let message = "an alias cannot refer to a value that contains it".to_owned();
            return Err(Stop::Document(position, ProblemKind::Syntax { message }));
        };
        let weight = target.weight();
        self.charge(position, weight.nodes, weight.bytes)?;
        self.check_depth(position, weight.depth)?;
        match self.anchors.get(&anchor).cloned() {
            Some(node) => self.complete(node, 0),
            None => Ok(()),
        }
    }

    fn charge(&mut self, position: Position, nodes: usize, bytes: usize) -> Result<(), Stop> {
        let (limit, what) = if nodes > self.budget.nodes {
            (self.limits.max_nodes, "keys and values")
        } else if bytes > self.budget.bytes {
            (self.limits.max_bytes, "bytes repeated by aliases")
        } else {
            self.budget.nodes -= nodes;
            self.budget.bytes -= bytes;
            return Ok(());
        };
        Err(Stop::File(position, ProblemKind::Limit { limit, what }))
    }

    fn check_depth(&self, position: Position, more: usize) -> Result<(), Stop> {
        if self.open.len() + more <= usize::from(self.limits.max_depth) {
            return Ok(());
        }
        Err(Stop::File(position, too_deep(self.limits)))
    }

    fn scalar(
        &mut self,
        span: &Span,
        text: Cow<'t, str>,
        (style, tag): (ScalarStyle, Option<&Tag>),
    ) -> Node<'t> {
        let plain = match tag.map(|tag| (tag, tag.core_suffix())) {
            None => style == ScalarStyle::Plain,
            Some((_, Some("str"))) => false,
            Some((_, Some("null" | "bool" | "int" | "float"))) => true,
            // The non-specific tag `!` makes a scalar text.
            Some((tag, _)) if tag.original() == "!" => false,
            Some((tag, _)) => {
                self.unsupported(span, tag);
                false
            }
        };
        Node {
            position: place(&span.start),
            content: Content::Scalar(Scalar { text, plain }),
        }
    }

    fn check_tag(&mut self, span: &Span, tag: Option<&Tag>, expected: &str) {
        if let Some(tag) = tag
            && tag.core_suffix() != Some(expected)
            && tag.original() != "!"
        {
            self.unsupported(span, tag);
        }
    }

    fn unsupported(&mut self, span: &Span, tag: &Tag) {
        let position = place(&span.tag_start.unwrap_or(span.start));
        let tag = excerpt(&tag.original());
        self.fault(position, ProblemKind::UnsupportedTag { tag });
    }

    /// Reports keys that are written twice, and keeps the first of each.
    fn remove_duplicates(&mut self, entries: &mut Vec<Entry<'t>>) {
        let found = duplicates::find(entries);
        for (again, first) in &found {
            let key = excerpt(&entries[*again].key);
            let first = entries[*first].position;
            let kind = ProblemKind::DuplicateKey { key, first };
            self.fault(entries[*again].position, kind);
        }
        let mut found = found.into_iter().map(|(again, _)| again).peekable();
        let mut index = 0..;
        entries.retain(|_| {
            found
                .next_if_eq(&index.next().unwrap_or_default())
                .is_none()
        });
    }

    /// Replaces the merge key by the entries of the objects that it names. Keys that are written
    /// win over merged ones, and earlier merged ones over later ones.
    fn merge(&mut self, entries: &mut Vec<Entry<'t>>) {
        let Some(index) = entries.iter().position(|entry| entry.key == MERGE_KEY) else {
            return;
        };
        let entry = entries.remove(index);
        let objects = match entry.value.content {
            Content::Sequence(items) => items,
            Content::Mapping(_) | Content::Scalar(_) => vec![entry.value],
        };
        let mut written: HashSet<_> = entries.iter().map(|entry| entry.key.clone()).collect();
        for object in objects {
            let Content::Mapping(merged) = object.content else {
                let message = "a merge key takes an object or a list of objects".to_owned();
                self.fault(object.position, ProblemKind::Syntax { message });
                continue;
            };
            let new = |entry: &Entry<'t>| written.insert(entry.key.clone());
            entries.extend(merged.into_iter().filter(new));
        }
    }

    fn fault(&mut self, position: Position, kind: ProblemKind) {
        if self.faults.len() < self.limits.max_problems {
            self.faults.push((position, kind));
        }
    }
}

/// The key that `node` is, and what is wrong with it.
fn key(node: Node<'_>) -> (Key<'_>, Option<(Position, ProblemKind)>) {
    let position = node.position;
    let found = node.name();
    let (text, supported, merge) = match node.content {
        Content::Scalar(scalar) => {
            let supported = !matches!(scalar.meaning(), Meaning::Null | Meaning::Bool(_));
            let merge = scalar.plain && scalar.text == MERGE_KEY;
            (scalar.text, supported, merge)
        }
        Content::Sequence(_) | Content::Mapping(_) => (Cow::Borrowed(""), false, false),
    };
    let fault = (!supported).then(|| {
        let key = excerpt(&text);
        (position, ProblemKind::UnsupportedKey { key, found })
    });
    let key = Key {
        text,
        position,
        merge,
    };
    (key, fault)
}
