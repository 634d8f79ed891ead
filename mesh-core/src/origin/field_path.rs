use std::fmt;

/// Where a value stands in a resource: `spec.http[0].match[1].headers[x-user].exact`.
///
/// A path is a chain of borrowed steps on the stack, so that walking a resource costs nothing
/// until a path is displayed. Bind each step that is used again:
///
/// ```
/// use mesh_core::origin::FieldPath;
///
/// let root = FieldPath::root();
/// let spec = root.field("spec");
/// let routes = spec.field("http");
/// for index in 0..2 {
///     let route = routes.index(index);
///     assert_eq!(route.field("name").to_string(), format!("spec.http[{index}].name"));
/// }
/// assert_eq!(root.to_string(), "");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct FieldPath<'a> {
    step: Step<'a>,
    parent: Option<&'a Self>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Step<'a> {
    Root,
    Field(&'a str),
    Key(&'a str),
    Index(usize),
}

impl FieldPath<'static> {
    /// The path of the whole document.
    pub const fn root() -> Self {
        Self {
            step: Step::Root,
            parent: None,
        }
    }
}

impl<'a> FieldPath<'a> {
    /// The field `name` of the object at this path.
    pub const fn field<'b>(&'b self, name: &'b str) -> FieldPath<'b> {
        self.child(Step::Field(name))
    }

    /// The value under `key` of the map at this path.
    ///
    /// It differs from [`field`](Self::field) in how it is displayed: keys of a map are the user's
    /// words, not the schema's.
    pub const fn key<'b>(&'b self, key: &'b str) -> FieldPath<'b> {
        self.child(Step::Key(key))
    }

    /// The element `index`, from 0, of the list at this path.
    pub const fn index(&self, index: usize) -> FieldPath<'_> {
        self.child(Step::Index(index))
    }

    /// Whether this is the whole document.
    pub const fn is_root(&self) -> bool {
        self.parent.is_none()
    }

    const fn child<'b>(&'b self, step: Step<'b>) -> FieldPath<'b> {
        FieldPath {
            step,
            parent: Some(self),
        }
    }

    pub(super) const fn parent(&self) -> Option<&'a Self> {
        self.parent
    }

    pub(super) const fn step(&self) -> Step<'a> {
        self.step
    }
}

impl fmt::Display for FieldPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(parent) = self.parent else {
            return Ok(());
        };
        parent.fmt(f)?;
        match self.step {
            Step::Root => Ok(()),
            Step::Field(name) if parent.is_root() => f.write_str(name),
            Step::Field(name) => write!(f, ".{name}"),
            Step::Key(key) => write!(f, "[{key}]"),
            Step::Index(index) => write!(f, "[{index}]"),
        }
    }
}
