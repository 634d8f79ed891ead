//! A radix tree over byte strings, frozen when it is built.
//!
//! Nodes lie in one allocation, in breadth-first order: the children of a node are neighbours, and
//! so are their first bytes, by which a child is chosen without touching the nodes. Looking a key
//! up costs in proportion to its length, whatever the number of keys.

use std::collections::VecDeque;

/// A map from byte strings to values that finds every key that another string begins with.
#[derive(Clone, Debug)]
pub(crate) struct Radix<V> {
    nodes: Box<[Node]>,
    first_bytes: Box<[u8]>,
    labels: Box<[u8]>,
    values: Box<[V]>,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    // Bytes between the parent and this node, in `labels`.
    label: Span,
    // In `nodes`.
    children: Span,
    // In `values`, or `NO_VALUE`.
    value: u32,
}

const NO_VALUE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Span {
    start: u32,
    end: u32,
}

impl Span {
    fn new(start: usize, end: usize) -> Self {
        Self {
            start: offset(start),
            end: offset(end),
        }
    }

    fn of<T>(self, slice: &[T]) -> &[T] {
        &slice[self.start as usize..self.end as usize]
    }
}

/// `index` as it is stored.
pub(crate) fn offset(index: usize) -> u32 {
    u32::try_from(index).expect("a configuration with 2^32 bytes of keys does not fit in memory")
}

impl<V> Radix<V> {
    /// Builds the tree of `entries`, whose keys differ from each other.
    pub(crate) fn build(mut entries: Vec<(Vec<u8>, V)>) -> Self {
        entries.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        let (keys, values): (Vec<Vec<u8>>, Vec<V>) = entries.into_iter().unzip();
        debug_assert!(
            keys.windows(2).all(|pair| pair[0] != pair[1]),
            "keys differ"
        );
        let mut tree = Layout::default();
        let mut queue = VecDeque::new();
        if !keys.is_empty() {
            queue.push_back((0..keys.len(), 0));
        }
        while let Some((range, depth)) = queue.pop_front() {
            let end =
                depth + common_prefix(&keys[range.start][depth..], &keys[range.end - 1][depth..]);
            let label = &keys[range.start][depth..end];
            let (mut rest, mut value) = (range.clone(), NO_VALUE);
            if keys[range.start].len() == end {
                value = offset(range.start);
                rest.start += 1;
            }
            // What waits in the queue precedes the children of this node.
            let children = tree.nodes.len() + 1 + queue.len();
            while !rest.is_empty() {
                let byte = keys[rest.start][end];
                let size = keys[rest.clone()].partition_point(|key| key[end] == byte);
                queue.push_back((rest.start..rest.start + size, end));
                rest.start += size;
            }
            let children = Span::new(children, tree.nodes.len() + 1 + queue.len());
            tree.push(label, children, value);
        }
        Self {
            nodes: tree.nodes.into(),
            first_bytes: tree.first_bytes.into(),
            labels: tree.labels.into(),
            values: values.into(),
        }
    }

    /// The values of the keys that the string with these bytes begins with, each with the length
    /// of its key, shortest first. `byte_at` is `None` behind the string's end.
    pub(crate) fn walk<F>(&self, byte_at: F) -> Walk<'_, V, F>
    where
        F: Fn(usize) -> Option<u8>,
    {
        Walk {
            tree: self,
            next: (!self.nodes.is_empty()).then_some(0),
            depth: 0,
            byte_at,
        }
    }
}

#[derive(Default)]
struct Layout {
    nodes: Vec<Node>,
    first_bytes: Vec<u8>,
    labels: Vec<u8>,
}

impl Layout {
    fn push(&mut self, label: &[u8], children: Span, value: u32) {
        let start = self.labels.len();
        self.labels.extend_from_slice(label);
        // Only the root's label can be empty, and nobody chooses the root by its first byte.
        self.first_bytes
            .push(label.first().copied().unwrap_or_default());
        self.nodes.push(Node {
            label: Span::new(start, self.labels.len()),
            children,
            value,
        });
    }
}

fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// Iterator of [`Radix::walk`].
#[derive(Clone, Debug)]
pub(crate) struct Walk<'a, V, F> {
    tree: &'a Radix<V>,
    next: Option<usize>,
    depth: usize,
    byte_at: F,
}

impl<V, F> Walk<'_, V, F>
where
    F: Fn(usize) -> Option<u8>,
{
    fn child(&self, node: &Node) -> Option<usize> {
        let byte = (self.byte_at)(self.depth)?;
        let first_bytes = node.children.of(&self.tree.first_bytes);
        let position = first_bytes.iter().position(|first| *first == byte)?;
        Some(node.children.start as usize + position)
    }
}

impl<'a, V, F> Iterator for Walk<'a, V, F>
where
    F: Fn(usize) -> Option<u8>,
{
    type Item = (usize, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        while let Some(index) = self.next.take() {
            let node = &self.tree.nodes[index];
            let label = node.label.of(&self.tree.labels);
            let mut bytes = label.iter().zip(self.depth..);
            if !bytes.all(|(byte, at)| (self.byte_at)(at) == Some(*byte)) {
                return None;
            }
            self.depth += label.len();
            self.next = self.child(node);
            if node.value != NO_VALUE {
                return Some((self.depth, &self.tree.values[node.value as usize]));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_empty_tree_finds_nothing() {
        assert_eq!(found(&BTreeSet::new(), "a"), Vec::<String>::new());
    }

    #[test]
    fn the_empty_key_is_found_in_every_string() {
        let keys = BTreeSet::from([String::new()]);
        assert_eq!(found(&keys, ""), [""]);
        assert_eq!(found(&keys, "a"), [""]);
    }

    proptest! {
        #[test]
        fn finds_the_keys_that_a_string_begins_with(
            keys in prop::collection::btree_set("[abc]{0,6}", 0..40),
            text in "[abc]{0,8}",
        ) {
            let naive: Vec<_> = keys.iter().filter(|key| text.starts_with(*key)).cloned().collect();
            prop_assert_eq!(found(&keys, &text), naive);
        }
    }

    fn found(keys: &BTreeSet<String>, text: &str) -> Vec<String> {
        let entries = keys
            .iter()
            .map(|key| (key.clone().into_bytes(), key.clone()));
        let tree = Radix::build(entries.collect());
        let walk = tree.walk(|at| text.as_bytes().get(at).copied());
        walk.inspect(|(depth, key)| assert_eq!(*depth, key.len()))
            .map(|(_, key)| key.clone())
            .collect()
    }
}
