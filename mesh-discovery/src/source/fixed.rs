//! Objects that the program has, which never change.
//!
//! # Example
//!
//! ```
//! use mesh_core::resource::Resource;
//! use mesh_core::resource::istio::ServiceEntry;
//! use mesh_discovery::source::fixed::Fixed;
//!
//! let mut entry = Resource::<ServiceEntry>::default();
//! entry.metadata.name = "books".into();
//! entry.spec.hosts = vec!["books.example".into()];
//! let source = Fixed::new([entry.into()]);
//! assert_eq!(source.objects().len(), 1);
//! ```

use std::mem;
use std::task::{Context, Poll};

use mesh_core::resource::Object;

use crate::source::{Source, Update};

/// A source of objects that never change.
#[derive(Clone, Debug, Default)]
pub struct Fixed {
    objects: Vec<Object>,
    delivered: bool,
}

impl Fixed {
    /// A source of `objects`.
    pub fn new(objects: impl IntoIterator<Item = Object>) -> Self {
        Self {
            objects: objects.into_iter().collect(),
            delivered: false,
        }
    }

    /// The objects that are still to be delivered.
    pub fn objects(&self) -> &[Object] {
        &self.objects
    }
}

impl Source for Fixed {
    fn poll_update(&mut self, _: &mut Context<'_>) -> Poll<Option<Update>> {
        let first = !mem::replace(&mut self.delivered, true);
        Poll::Ready(first.then(|| Update::All(mem::take(&mut self.objects))))
    }
}
