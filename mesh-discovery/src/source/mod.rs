//! Where resources come from.
//!
//! A [`Source`] is a stream of [`Update`]s about the resources of one place: a list in the program,
//! a directory of files, the API server of a Kubernetes cluster. It reads and reports; what its
//! resources mean together with those of other sources is up to the
//! [`Registry`](crate::registry::Registry).
//!
//! | module | source |
//! |---|---|
//! | [`fixed`] | objects that the program has |
//! | `file` (feature `file`) | files and directories, ConfigMap mounts included |
//! | `kubernetes` (feature `kubernetes`) | the API server of a cluster |
//! | `dns` (feature `dns`) | no resources, but the addresses behind the names in clusters |
//!
//! # Example
//!
//! ```
//! use std::task::{Context, Poll, Waker};
//!
//! use mesh_core::resource::Resource;
//! use mesh_core::resource::kubernetes::namespace::Namespace;
//! use mesh_discovery::source::fixed::Fixed;
//! use mesh_discovery::source::{Source, Update};
//!
//! let mut source = Fixed::new([Resource::<Namespace>::default().into()]);
//! let mut cx = Context::from_waker(Waker::noop());
//! let Poll::Ready(Some(Update::All(objects))) = source.poll_update(&mut cx) else { panic!() };
//! assert_eq!(objects.len(), 1);
//! assert!(matches!(source.poll_update(&mut cx), Poll::Ready(None)), "nothing else will come");
//! ```

use std::fmt;
use std::task::{Context, Poll};

use mesh_core::diagnostic::Diagnostic;
use mesh_core::resource::Object;
use mesh_core::resource::kind::Kind;

#[cfg(feature = "dns")]
pub mod dns;
#[cfg(feature = "file")]
pub mod file;
pub mod fixed;
#[cfg(feature = "kubernetes")]
pub mod kubernetes;

/// A place that resources come from.
///
/// A source that can be read again after a failure stays: it reports [`Update::Failed`], tries
/// again by itself, and reports what it finds. It ends only when nothing can come any more.
pub trait Source {
    /// Waits for the next update; `None` when there will be none.
    ///
    /// The first update that says what there is ([`Update::All`]) makes the source known; until
    /// then nobody knows how many of its resources are missing.
    fn poll_update(&mut self, cx: &mut Context<'_>) -> Poll<Option<Update>>;
}

/// What a source reports.
#[derive(Clone, Debug)]
pub enum Update {
    /// All that the source has, in place of what it reported before.
    All(Vec<Object>),
    /// All that the source has of one kind, in place of what it reported of that kind.
    AllOf {
        /// The kind.
        kind: Kind,
        /// Its objects.
        objects: Vec<Object>,
    },
    /// Objects that are new or have changed, and objects that are gone.
    Changes {
        /// New or changed objects, whole.
        applied: Vec<Object>,
        /// Objects that are gone.
        removed: Vec<ObjectName>,
    },
    /// The source cannot be read, or says something that cannot be accepted. What it reported
    /// before stays.
    Failed(Vec<Diagnostic>),
    /// The source can be read again, after a failure. [`All`](Self::All) says so too, the other
    /// updates do not: a source may fail in part.
    Recovered,
    /// What is wrong with single objects of the source, and with what it may not read, in place of
    /// what was reported before. Says nothing about the other objects.
    Problems(Vec<Diagnostic>),
}

/// Which object is meant.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ObjectName {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace; empty for an object of the cluster.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl ObjectName {
    /// The name of `object`, its namespace as written.
    pub fn of(object: &Object) -> Self {
        let metadata = object.metadata();
        Self {
            kind: object.kind(),
            namespace: metadata.namespace.clone(),
            name: metadata.name.clone(),
        }
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.namespace.as_str() {
            "" => write!(f, "{} {}", self.kind, self.name),
            namespace => write!(f, "{} {namespace}/{}", self.kind, self.name),
        }
    }
}

impl<S: Source + ?Sized> Source for Box<S> {
    fn poll_update(&mut self, cx: &mut Context<'_>) -> Poll<Option<Update>> {
        (**self).poll_update(cx)
    }
}
