//! Keys that a mapping has twice.

use std::collections::HashMap;

use super::node::Entry;

/// Mappings up to this size are compared pair by pair, which needs no memory.
const SMALL: usize = 16;

/// Indices of entries whose key was written before, each with the index of the first.
pub(super) fn find(entries: &[Entry<'_>]) -> Vec<(usize, usize)> {
    if entries.len() > SMALL {
        return find_by_hash(entries);
    }
    let mut found = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let mut before = entries[..index].iter();
        if let Some(first) = before.position(|other| other.key == entry.key) {
            found.push((index, first));
        }
    }
    found
}

fn find_by_hash(entries: &[Entry<'_>]) -> Vec<(usize, usize)> {
    let mut first = HashMap::with_capacity(entries.len());
    let mut found = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let before = *first.entry(&*entry.key).or_insert(index);
        if before != index {
            found.push((index, before));
        }
    }
    found
}
