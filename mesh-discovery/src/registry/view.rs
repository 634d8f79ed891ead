//! The objects of all sources as one: of those with the same name, that of the earlier source.

use std::collections::{BTreeSet, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use mesh_core::resource::kind::Kind;
use mesh_core::resource::kubernetes::endpoint_slice::EndpointSlice;
use mesh_core::resource::{Object, Resource};

use crate::registry::slices::SliceIndex;
use crate::registry::store::{Name, Store};

/// The objects of one source, as far as they count.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layer<'a> {
    pub(super) store: &'a Store,
    /// The namespaces that are looked at; `None` for all.
    pub(super) namespaces: Option<&'a HashSet<String>>,
}

impl Layer<'_> {
    fn shows(&self, name: &Name) -> bool {
        name.namespace.is_empty()
            || self
                .namespaces
                .is_none_or(|selected| selected.contains(&*name.namespace))
    }

    fn has(&self, kind: Kind, name: &Name) -> bool {
        self.shows(name) && self.store.contains(kind, name)
    }
}

/// The objects of all sources, the stronger source first.
#[derive(Clone, Debug)]
pub(super) struct View<'a> {
    pub(super) layers: Vec<Layer<'a>>,
}

impl<'a> View<'a> {
    pub(super) fn find(&self, kind: Kind, name: &Name) -> Option<&'a Object> {
        let mut layers = self.layers.iter().filter(|layer| layer.shows(name));
        layers.find_map(|layer| layer.store.find(kind, name))
    }

    /// All objects.
    pub(super) fn objects(&self) -> impl Iterator<Item = &'a Object> {
        self.visible(|store| store.iter())
    }

    /// The objects of a kind.
    pub(super) fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &'a Object> {
        self.visible(move |store| store.of_kind(kind))
    }

    /// The objects of a kind in a namespace.
    pub(super) fn in_namespace(
        &self,
        kind: Kind,
        namespace: &'a str,
    ) -> impl Iterator<Item = &'a Object> {
        self.visible(move |store| store.in_namespace(kind, namespace))
    }

    /// The pods that have `address`.
    pub(super) fn pods_at(&self, address: IpAddr) -> impl Iterator<Item = &'a Object> {
        let names = self.layers.iter();
        let names = names.flat_map(move |layer| layer.store.pods_at(address));
        names.filter_map(|name| self.find(Kind::Pod, name))
    }

    /// The slices that an index of each source finds, once each. They may have changed since a
    /// stronger source shows another of the same name.
    pub(super) fn slices<'n>(
        &self,
        find: impl Fn(&'a SliceIndex) -> &'a [Arc<Name>] + 'n,
    ) -> impl Iterator<Item = &'a Resource<EndpointSlice>>
    where
        'a: 'n,
    {
        let names = self.layers.iter();
        let names = names.flat_map(|layer| find(layer.store.slices()));
        let names: BTreeSet<&Name> = names.map(|name| &**name).collect();
        let objects = names.into_iter();
        let objects = objects.filter_map(|name| self.find(Kind::EndpointSlice, name));
        objects.filter_map(|object| match object {
            Object::EndpointSlice(slice) => Some(&**slice),
            _ => None,
        })
    }

    /// Objects that do not count, because an earlier source has one of that name, each with that
    /// one and the number of its own source.
    pub(super) fn shadowed(&self) -> impl Iterator<Item = (usize, &'a Object, &'a Object)> {
        let layers = self.layers.iter().enumerate().skip(1);
        layers.flat_map(move |(index, layer)| {
            let objects = layer.store.iter().filter(|(name, _)| layer.shows(name));
            objects.filter_map(move |(name, object)| {
                let mut earlier = self.layers[..index].iter();
                let winner = earlier.find(|layer| layer.has(object.kind(), name))?;
                Some((index, object, winner.store.find(object.kind(), name)?))
            })
        })
    }

    fn visible<I>(&self, of: impl Fn(&'a Store) -> I) -> impl Iterator<Item = &'a Object>
    where
        I: Iterator<Item = (&'a Name, &'a Object)>,
    {
        let layers = self.layers.iter().enumerate();
        layers.flat_map(move |(index, layer)| {
            let objects = of(layer.store);
            objects.filter_map(move |(name, object)| {
                let earlier = &self.layers[..index];
                let shadowed = || earlier.iter().any(|layer| layer.has(object.kind(), name));
                (layer.shows(name) && !shadowed()).then_some(object)
            })
        })
    }
}
