//! Values of a resource and where they stand.

use std::fmt;

use crate::model::Notice;
use crate::origin::{FieldPath, Origin, Source};

/// Where a value of a resource stands, for the origins and notices that are made of it.
///
/// Like [`FieldPath`], a chain of borrowed steps.
#[derive(Clone, Copy, Debug)]
pub(in crate::resolve) struct Place<'a> {
    resource: &'a Origin,
    source: &'a Source,
    path: FieldPath<'a>,
}

impl<'a> Place<'a> {
    /// The whole resource, which was read from `source`.
    pub(in crate::resolve) fn root(resource: &'a Origin, source: &'a Source) -> Self {
        Self {
            resource,
            source,
            path: FieldPath::root(),
        }
    }

    /// The field `name` of the value.
    pub(in crate::resolve) fn field<'b>(&'b self, name: &'b str) -> Place<'b> {
        self.at(self.path.field(name))
    }

    /// What the value, a map, has under `key`.
    pub(in crate::resolve) fn key<'b>(&'b self, key: &'b str) -> Place<'b> {
        self.at(self.path.key(key))
    }

    /// The element `index` of the value, a list.
    pub(in crate::resolve) fn index(&self, index: usize) -> Place<'_> {
        self.at(self.path.index(index))
    }

    fn at<'b>(&self, path: FieldPath<'b>) -> Place<'b>
    where
        'a: 'b,
    {
        Place {
            resource: self.resource,
            source: self.source,
            path,
        }
    }

    /// The value as the origin of something.
    pub(in crate::resolve) fn origin(&self) -> Origin {
        self.resource.at(&self.path, self.source)
    }

    /// Says what becomes of the value.
    pub(in crate::resolve) fn notice(&self, message: impl fmt::Display) -> Notice {
        Notice {
            origin: self.origin(),
            message: message.to_string(),
        }
    }
}
