use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use super::field_path::Step;
use super::{FieldPath, Position};

/// Where each value of one document was written.
///
/// Resources hold values alone; their positions live here, 20 bytes a value, and are found by the
/// path of the value. Cheap to clone.
///
/// ```
/// use mesh_core::origin::{FieldPath, Position, Positions, Source};
///
/// // hosts: [a, b]
/// let mut positions = Positions::new(Position::new(1, 1));
/// let fields = positions.add_fields(0, [("hosts", Position::new(1, 8))]);
/// positions.add_items(fields.start, [Position::new(1, 9), Position::new(1, 12)]);
/// let source = Source::new("mesh.yaml", positions);
///
/// let root = FieldPath::root();
/// let hosts = root.field("hosts");
/// assert_eq!(source.position(&hosts.index(1)), Position::new(1, 12));
/// // What was not written is reported where it should have been.
/// assert_eq!(source.position(&hosts.index(2)), Position::new(1, 8));
/// ```
#[derive(Clone, Eq, PartialEq)]
pub struct Source {
    file: Arc<str>,
    nodes: Arc<[PositionNode]>,
    version: &'static str,
}

impl Source {
    /// The values of a document of `file` and their positions.
    pub fn new(file: impl Into<Arc<str>>, positions: Positions) -> Self {
        Self {
            file: file.into(),
            nodes: positions.nodes.into(),
            version: "",
        }
    }

    /// This source, of a document written in `version` of its API, such as `v1alpha2`.
    #[must_use]
    pub const fn in_version(mut self, version: &'static str) -> Self {
        self.version = version;
        self
    }

    /// The source of a resource that was not read from a text: it has no file, and all positions
    /// are unknown.
    pub fn unknown() -> Self {
        Self {
            file: Arc::from(""),
            nodes: Arc::from([]),
            version: "",
        }
    }

    /// Version of the API that the document was written in, such as `v1alpha2`. Empty when unknown,
    /// which stands for the newest.
    pub const fn version(&self) -> &'static str {
        self.version
    }

    /// Name of the file, as the caller of the parser gave it. Empty when unknown.
    pub fn file(&self) -> &Arc<str> {
        &self.file
    }

    /// Position of the value at `path`, or of its nearest ancestor that was written.
    pub fn position(&self, path: &FieldPath<'_>) -> Position {
        match self.find(path) {
            Found::Exactly(node) | Found::Ancestor(node) => node.position,
            Found::Nothing => Position::default(),
        }
    }

    /// Whether there is a value at `path` itself.
    pub fn contains(&self, path: &FieldPath<'_>) -> bool {
        matches!(self.find(path), Found::Exactly(_))
    }

    fn find(&self, path: &FieldPath<'_>) -> Found<'_> {
        let Some(parent) = path.parent() else {
            return self.nodes.first().map_or(Found::Nothing, Found::Exactly);
        };
        match self.find(parent) {
            Found::Exactly(node) => self
                .child(node, path.step())
                .map_or(Found::Ancestor(node), Found::Exactly),
            ancestor => ancestor,
        }
    }

    fn child(&self, node: &PositionNode, step: Step<'_>) -> Option<&PositionNode> {
        let first = node.first_child as usize;
        let children = self.nodes.get(first..first + node.children as usize)?;
        match step {
            Step::Root => None,
            Step::Index(index) => children.get(index),
            Step::Field(name) | Step::Key(name) => {
                let name = hash(name);
                children.iter().find(|child| child.name == name)
            }
        }
    }
}

impl Default for Source {
    fn default() -> Self {
        Self::unknown()
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source")
            .field("file", &self.file)
            .field("values", &self.nodes.len())
            .finish()
    }
}

enum Found<'a> {
    Exactly(&'a PositionNode),
    Ancestor(&'a PositionNode),
    Nothing,
}

/// The positions of a document while it is read, as a tree; see [`Source`] for an example.
///
/// Values are numbered: the root is 0, and the methods return the numbers of the values that they
/// add. The children of a value are added in one call, so that they lie side by side.
#[derive(Clone, Debug)]
pub struct Positions {
    nodes: Vec<PositionNode>,
}

impl Positions {
    /// A document whose root is at `root`.
    pub fn new(root: Position) -> Self {
        Self {
            nodes: vec![PositionNode::new(0, root)],
        }
    }

    /// A document of about `values` values whose root is at `root`.
    pub fn with_capacity(root: Position, values: usize) -> Self {
        let mut nodes = Vec::with_capacity(values);
        nodes.push(PositionNode::new(0, root));
        Self { nodes }
    }

    /// Adds the fields of the object, or the entries of the map, numbered `parent`.
    pub fn add_fields<'a>(
        &mut self,
        parent: usize,
        fields: impl IntoIterator<Item = (&'a str, Position)>,
    ) -> Range<usize> {
        let nodes = fields
            .into_iter()
            .map(|(name, position)| PositionNode::new(hash(name), position));
        self.add(parent, nodes)
    }

    /// Adds the elements of the list numbered `parent`.
    pub fn add_items(
        &mut self,
        parent: usize,
        items: impl IntoIterator<Item = Position>,
    ) -> Range<usize> {
        let nodes = items
            .into_iter()
            .map(|position| PositionNode::new(0, position));
        self.add(parent, nodes)
    }

    fn add(&mut self, parent: usize, nodes: impl Iterator<Item = PositionNode>) -> Range<usize> {
        let first = self.nodes.len();
        self.nodes.extend(nodes);
        let added = first..self.nodes.len();
        if let Some(parent) = self.nodes.get_mut(parent) {
            parent.first_child = u32::try_from(first).unwrap_or(u32::MAX);
            parent.children = u32::try_from(added.len()).unwrap_or(u32::MAX);
        }
        added
    }
}

/// One value. The name is kept as a hash: should two names of one object collide, the position of
/// the first is shown for both, which only misleads a reader of a diagnostic.
#[derive(Clone, Debug, Eq, PartialEq)]
struct PositionNode {
    name: u32,
    position: Position,
    first_child: u32,
    children: u32,
}

impl PositionNode {
    const fn new(name: u32, position: Position) -> Self {
        Self {
            name,
            position,
            first_child: 0,
            children: 0,
        }
    }
}

/// 32-bit FNV-1a (RFC 9923).
fn hash(name: &str) -> u32 {
    name.bytes().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_source_has_no_positions() {
        let position = Source::unknown().position(&FieldPath::root().field("spec"));
        assert!(!position.is_known());
    }

    #[test]
    fn a_value_below_one_that_is_absent_is_placed_at_the_written_ancestor() {
        let mut positions = Positions::new(Position::new(1, 1));
        positions.add_fields(
            0,
            [("spec", Position::new(2, 3)), ("kind", Position::new(9, 7))],
        );
        let source = Source::new("a.yaml", positions);
        let root = FieldPath::root();
        let spec = root.field("spec");
        let http = spec.field("http");
        for (path, expected) in [
            (root, Position::new(1, 1)),
            (spec, Position::new(2, 3)),
            (http, Position::new(2, 3)),
            (http.index(3), Position::new(2, 3)),
            (root.field("kind"), Position::new(9, 7)),
            (root.field("status"), Position::new(1, 1)),
        ] {
            assert_eq!(source.position(&path), expected, "{path}");
        }
    }
}
