//! The objects of one source, by kind and name.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::ops::Bound;

use mesh_core::resource::Object;
use mesh_core::resource::kind::Kind;

use crate::registry::slices::SliceIndex;
use crate::source::ObjectName;

/// Namespace and name.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) struct Name {
    pub(super) namespace: Box<str>,
    pub(super) name: Box<str>,
}

impl Name {
    pub(super) fn new(namespace: &str, name: &str) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }
}

/// What an object was and is. One of them is an object.
#[derive(Clone, Debug)]
pub(super) struct Changed {
    pub(super) old: Option<Object>,
    pub(super) new: Option<Object>,
}

impl Changed {
    /// The object before and after, whichever there are.
    pub(super) fn both(&self) -> impl Iterator<Item = &Object> {
        self.old.iter().chain(&self.new)
    }
}

/// The objects of one source.
#[derive(Clone, Debug, Default)]
pub(super) struct Store {
    kinds: BTreeMap<Kind, BTreeMap<Name, Object>>,
    pods_by_address: HashMap<IpAddr, Vec<Name>>,
    slices: SliceIndex,
}

impl Store {
    pub(super) fn len(&self) -> usize {
        self.kinds.values().map(BTreeMap::len).sum()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Name, &Object)> {
        self.kinds.values().flatten()
    }

    pub(super) fn contains(&self, kind: Kind, name: &Name) -> bool {
        self.find(kind, name).is_some()
    }

    pub(super) fn find(&self, kind: Kind, name: &Name) -> Option<&Object> {
        self.kinds.get(&kind)?.get(name)
    }

    /// The objects of a kind.
    pub(super) fn of_kind(&self, kind: Kind) -> impl Iterator<Item = (&Name, &Object)> {
        self.kinds.get(&kind).into_iter().flatten()
    }

    /// The objects of a kind in a namespace.
    pub(super) fn in_namespace<'a>(
        &'a self,
        kind: Kind,
        namespace: &'a str,
    ) -> impl Iterator<Item = (&'a Name, &'a Object)> {
        let first = Bound::Included(Name::new(namespace, ""));
        let of_kind = self.kinds.get(&kind);
        let from = of_kind.map(|names| names.range((first, Bound::Unbounded)));
        from.into_iter()
            .flatten()
            .take_while(move |(name, _)| &*name.namespace == namespace)
    }

    /// The pods that have `address`.
    pub(super) fn pods_at(&self, address: IpAddr) -> &[Name] {
        let found = self.pods_by_address.get(&address);
        found.map_or(&[], Vec::as_slice)
    }

    /// Where to find slices.
    pub(super) fn slices(&self) -> &SliceIndex {
        &self.slices
    }

    /// Puts `object` in, and says what changed, unless nothing did that matters.
    pub(super) fn apply(&mut self, object: Object) -> Option<Changed> {
        let metadata = object.metadata();
        let name = Name::new(&metadata.namespace, &metadata.name);
        let kind = object.kind();
        let old = self.find(kind, &name).cloned();
        if let Some(old) = &old {
            self.forget(old, &name);
        }
        self.remember(&object, &name);
        let of_kind = self.kinds.entry(kind).or_default();
        of_kind.insert(name, object.clone());
        let same = old.as_ref().is_some_and(|old| is_same(old, &object));
        (!same).then_some(Changed {
            old,
            new: Some(object),
        })
    }

    pub(super) fn remove(&mut self, name: &ObjectName) -> Option<Changed> {
        let key = Name::new(&name.namespace, &name.name);
        let old = self.kinds.get_mut(&name.kind)?.remove(&key)?;
        self.forget(&old, &key);
        Some(Changed {
            old: Some(old),
            new: None,
        })
    }

    /// Puts `objects` in place of all, or of all of one kind.
    pub(super) fn replace(&mut self, kind: Option<Kind>, objects: Vec<Object>) -> Vec<Changed> {
        let is_replaced = |object: &Object| kind.is_none_or(|kind| object.kind() == kind);
        let mut kept: BTreeMap<Kind, Vec<Name>> = BTreeMap::new();
        let mut changed = Vec::new();
        for object in objects.into_iter().filter(is_replaced) {
            let metadata = object.metadata();
            let name = Name::new(&metadata.namespace, &metadata.name);
            kept.entry(object.kind()).or_default().push(name);
            changed.extend(self.apply(object));
        }
        for names in kept.values_mut() {
            names.sort();
        }
        let is_gone = |found: Kind, name: &Name| {
            kind.is_none_or(|kind| found == kind)
                && kept
                    .get(&found)
                    .is_none_or(|names| names.binary_search(name).is_err())
        };
        let all = self.kinds.iter();
        let gone = all.flat_map(|(kind, names)| names.keys().map(|name| (*kind, name)));
        let gone: Vec<ObjectName> = gone
            .filter(|(kind, name)| is_gone(*kind, name))
            .map(|(kind, name)| ObjectName {
                kind,
                namespace: name.namespace.to_string(),
                name: name.name.to_string(),
            })
            .collect();
        changed.extend(gone.iter().filter_map(|name| self.remove(name)));
        changed
    }

    fn remember(&mut self, object: &Object, name: &Name) {
        if let Object::EndpointSlice(slice) = object {
            self.slices.insert(slice, name);
        }
        for address in addresses(object) {
            let pods = self.pods_by_address.entry(address).or_default();
            if !pods.contains(name) {
                pods.push(name.clone());
            }
        }
    }

    fn forget(&mut self, object: &Object, name: &Name) {
        if let Object::EndpointSlice(slice) = object {
            self.slices.remove(slice, name);
        }
        for address in addresses(object) {
            let Some(pods) = self.pods_by_address.get_mut(&address) else {
                continue;
            };
            pods.retain(|pod| pod != name);
            if pods.is_empty() {
                self.pods_by_address.remove(&address);
            }
        }
    }
}

/// The addresses of a pod; none of another object.
pub(super) fn addresses(object: &Object) -> impl Iterator<Item = IpAddr> {
    let status = match object {
        Object::Pod(pod) => Some(&pod.spec.status),
        _ => None,
    };
    status.into_iter().flat_map(|status| {
        let others = status.pod_ips.iter().map(|ip| &*ip.ip);
        let texts = status.pod_ip.as_deref().into_iter().chain(others);
        texts.filter_map(|text| text.parse().ok())
    })
}

/// Whether two versions of an object differ only in what a server keeps for itself.
///
/// Of a node only labels matter: its status is written every few minutes.
fn is_same(old: &Object, new: &Object) -> bool {
    if let (Object::Node(old), Object::Node(new)) = (old, new) {
        return old.metadata.labels == new.metadata.labels;
    }
    if old == new {
        return true;
    }
    let mut normal = new.clone();
    let metadata = normal.metadata_mut();
    let before = old.metadata();
    metadata
        .resource_version
        .clone_from(&before.resource_version);
    metadata.managed_fields.clone_from(&before.managed_fields);
    metadata.generation = before.generation;
    *old == normal
}

#[cfg(test)]
mod tests {
    use mesh_core::resource::Resource;
    use mesh_core::resource::kubernetes::node::Node;
    use mesh_core::resource::kubernetes::pod::Pod;

    use super::*;

    fn pod(name: &str, address: &str) -> Object {
        let mut pod = Resource::<Pod>::default();
        pod.metadata.name = name.into();
        pod.metadata.namespace = "shop".into();
        pod.spec.status.pod_ip = Some(address.into());
        pod.into()
    }

    #[test]
    fn a_new_version_alone_is_no_change() {
        let mut store = Store::default();
        assert!(store.apply(pod("a", "10.0.0.1")).is_some());
        let mut again = pod("a", "10.0.0.1");
        again.metadata_mut().resource_version = "2".into();
        assert!(store.apply(again).is_none());
        let found = store.find(Kind::Pod, &Name::new("shop", "a")).unwrap();
        assert_eq!(found.metadata().resource_version, "2");
    }

    #[test]
    fn the_status_of_a_node_is_no_change_and_its_zone_is() {
        let mut store = Store::default();
        let mut node = Resource::<Node>::default();
        assert!(store.apply(node.clone().into()).is_some());
        let heartbeat = ("heartbeat".to_owned(), "now".to_owned());
        node.metadata.annotations.extend([heartbeat]);
        assert!(store.apply(node.clone().into()).is_none());
        node.metadata.labels.insert("zone".into(), "a".into());
        assert!(store.apply(node.into()).is_some());
    }

    #[test]
    fn pods_are_found_by_their_present_address() {
        let mut store = Store::default();
        store.apply(pod("a", "10.0.0.1"));
        store.apply(pod("a", "10.0.0.2"));
        assert!(store.pods_at([10, 0, 0, 1].into()).is_empty());
        assert_eq!(
            store.pods_at([10, 0, 0, 2].into()),
            [Name::new("shop", "a")]
        );
        store.replace(Some(Kind::Pod), Vec::new());
        assert!(store.pods_at([10, 0, 0, 2].into()).is_empty());
    }

    #[test]
    fn what_is_not_in_a_replacement_is_gone() {
        let mut store = Store::default();
        store.replace(None, vec![pod("a", "10.0.0.1"), pod("b", "10.0.0.2")]);
        let changed = store.replace(Some(Kind::Node), Vec::new());
        assert!(changed.is_empty(), "pods are not nodes");
        let changed = store.replace(None, vec![pod("b", "10.0.0.2"), pod("c", "10.0.0.3")]);
        let of = |changed: &Changed| {
            let name = |object: &Object| object.metadata().name.clone();
            (
                changed.old.as_ref().map(name),
                changed.new.as_ref().map(name),
            )
        };
        let changed: Vec<_> = changed.iter().map(of).collect();
        let (a, c) = ("a".to_owned(), "c".to_owned());
        assert_eq!(changed, [(None, Some(c)), (Some(a), None)]);
        assert_eq!(store.len(), 2);
    }

    #[test]
    fn a_namespace_is_not_mistaken_for_one_that_it_begins_with() {
        let mut store = Store::default();
        let mut other = pod("a", "10.0.0.1");
        other.metadata_mut().namespace = "shop-2".into();
        store.apply(other);
        store.apply(pod("b", "10.0.0.2"));
        let names = store
            .in_namespace(Kind::Pod, "shop")
            .map(|(name, _)| &*name.name);
        assert_eq!(names.collect::<Vec<_>>(), ["b"]);
    }
}
