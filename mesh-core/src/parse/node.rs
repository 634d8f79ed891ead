//! One document as a tree in which each key and value has its position.

use std::borrow::Cow;
use std::sync::Arc;

use super::scalar::Meaning;
use crate::origin::{Position, Positions, Source};
use crate::resource::value::Value;

/// A value of a document.
#[derive(Clone, Debug)]
pub(super) struct Node<'t> {
    pub(super) position: Position,
    pub(super) content: Content<'t>,
}

/// What a value is. Text is borrowed from the file unless escapes or folding changed it.
#[derive(Clone, Debug)]
pub(super) enum Content<'t> {
    Scalar(Scalar<'t>),
    Sequence(Vec<Node<'t>>),
    Mapping(Vec<Entry<'t>>),
}

/// Text, and whether it was written without quotes, so that it may mean something else.
#[derive(Clone, Debug)]
pub(super) struct Scalar<'t> {
    pub(super) text: Cow<'t, str>,
    pub(super) plain: bool,
}

/// A key and its value.
#[derive(Clone, Debug)]
pub(super) struct Entry<'t> {
    pub(super) key: Cow<'t, str>,
    /// Position of the key.
    pub(super) position: Position,
    pub(super) value: Node<'t>,
}

/// What a tree costs: see [`Limits`](super::Limits).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Weight {
    pub(super) nodes: usize,
    pub(super) bytes: usize,
    pub(super) depth: usize,
}

impl Scalar<'_> {
    pub(super) fn meaning(&self) -> Meaning {
        if self.plain {
            Meaning::of(&self.text)
        } else {
            Meaning::Text
        }
    }
}

impl<'t> Node<'t> {
    /// An object without fields.
    pub(super) const fn empty(position: Position) -> Self {
        Self {
            position,
            content: Content::Mapping(Vec::new()),
        }
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(&self.content, Content::Scalar(scalar) if scalar.meaning() == Meaning::Null)
    }

    /// The entries of a mapping; none for anything else.
    pub(super) fn entries(&self) -> &[Entry<'t>] {
        match &self.content {
            Content::Mapping(entries) => entries,
            Content::Scalar(_) | Content::Sequence(_) => &[],
        }
    }

    /// The value under `key` of a mapping, unless it is null.
    pub(super) fn field(&self, key: &str) -> Option<&Self> {
        let mut entries = self.entries().iter();
        let entry = entries.find(|entry| entry.key == key)?;
        (!entry.value.is_null()).then_some(&entry.value)
    }

    /// The text of a scalar, whatever it means.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Scalar(scalar) => Some(&scalar.text),
            Content::Sequence(_) | Content::Mapping(_) => None,
        }
    }

    /// What a person calls a value of this kind.
    pub(super) fn name(&self) -> &'static str {
        match &self.content {
            Content::Scalar(scalar) => scalar.meaning().name(),
            Content::Sequence(_) => "a list",
            Content::Mapping(_) => "an object",
        }
    }

    pub(super) fn weight(&self) -> Weight {
        match &self.content {
            Content::Scalar(scalar) => Weight {
                nodes: 1,
                bytes: scalar.text.len(),
                depth: 0,
            },
            Content::Sequence(items) => items.iter().fold(Weight::collection(), |sum, item| {
                sum.with_child(item.weight(), 0)
            }),
            Content::Mapping(entries) => entries.iter().fold(Weight::collection(), |sum, entry| {
                let mut value = entry.value.weight();
                value.nodes += 1;
                sum.with_child(value, entry.key.len())
            }),
        }
    }

    /// The positions of all values, without the values; `nodes` is about how many there are.
    pub(super) fn source(&self, file: &Arc<str>, nodes: usize) -> Source {
        let mut positions = Positions::with_capacity(self.position, nodes);
        self.add_positions(&mut positions, 0);
        Source::new(Arc::clone(file), positions)
    }

    fn add_positions(&self, positions: &mut Positions, number: usize) {
        match &self.content {
            Content::Scalar(_) => {}
            Content::Sequence(items) => {
                let added = positions.add_items(number, items.iter().map(|item| item.position));
                for (number, item) in added.zip(items) {
                    item.add_positions(positions, number);
                }
            }
            Content::Mapping(entries) => {
                let fields = entries
                    .iter()
                    .map(|entry| (&*entry.key, entry.value.position));
                let added = positions.add_fields(number, fields);
                for (number, entry) in added.zip(entries) {
                    entry.value.add_positions(positions, number);
                }
            }
        }
    }
}

impl<'v> From<&'v Value> for Node<'v> {
    fn from(value: &'v Value) -> Self {
        let scalar = |text, plain| Content::Scalar(Scalar { text, plain });
        let content = match value {
            Value::Null => scalar(Cow::Borrowed(""), true),
            Value::Bool(true) => scalar(Cow::Borrowed("true"), true),
            Value::Bool(false) => scalar(Cow::Borrowed("false"), true),
            Value::Integer(number) => scalar(Cow::Owned(number.to_string()), true),
            Value::Float(number) => scalar(Cow::Owned(float(*number)), true),
            Value::String(text) => scalar(Cow::Borrowed(text), false),
            Value::List(items) => Content::Sequence(items.iter().map(Node::from).collect()),
            Value::Map(entries) => Content::Mapping(
                entries
                    .iter()
                    .map(|(key, value)| Entry {
                        key: Cow::Borrowed(key),
                        position: Position::default(),
                        value: Node::from(value),
                    })
                    .collect(),
            ),
        };
        Self {
            position: Position::default(),
            content,
        }
    }
}

/// A number as YAML writes it: with a fraction or an exponent, or as one of its words.
fn float(number: f64) -> String {
    match number {
        f64::INFINITY => ".inf".to_owned(),
        f64::NEG_INFINITY => "-.inf".to_owned(),
        number if number.is_nan() => ".nan".to_owned(),
        number => format!("{number:?}"),
    }
}

impl Weight {
    fn collection() -> Self {
        Self {
            nodes: 1,
            bytes: 0,
            depth: 1,
        }
    }

    fn with_child(self, child: Self, key: usize) -> Self {
        Self {
            nodes: self.nodes + child.nodes,
            bytes: self.bytes + child.bytes + key,
            depth: self.depth.max(child.depth + 1),
        }
    }
}
