//! A map by keys that is read without a lock, and out of which nothing is ever taken.
//!
//! It has levels of slots, each twice as wide as the one before. What is added goes to the narrowest
//! level that has room, and stays where it is: nothing is copied as the map grows, and what was there
//! early, as what is busy is, is found first.

use std::hash::BuildHasher;
use std::iter;
use std::sync::OnceLock;

use foldhash::fast::RandomState;

/// How many slots the first level has.
const FIRST: usize = 64;

/// How many levels there are at most. The last takes all that is left.
const LEVELS: usize = 20;

/// A map by keys.
#[derive(Debug)]
pub(super) struct Keys<V> {
    levels: [OnceLock<Box<[Slot<V>]>>; LEVELS],
    hasher: RandomState,
}

/// The first of the entries whose hashes fall into a slot.
type Slot<V> = OnceLock<Box<Entry<V>>>;

#[derive(Debug)]
struct Entry<V> {
    hash: u64,
    key: Box<[u8]>,
    value: V,
    next: Slot<V>,
}

impl<V> Keys<V> {
    pub(super) fn new() -> Self {
        Self {
            levels: [const { OnceLock::new() }; LEVELS],
            hasher: RandomState::default(),
        }
    }

    pub(super) fn get(&self, key: &[u8]) -> Option<&V> {
        let hash = self.hasher.hash_one(key);
        let mut found = self.candidates(hash);
        let found = found.find(|entry| entry.hash == hash && *entry.key == *key);
        found.map(|entry| &entry.value)
    }

    /// Adds what is not there, as the one after `count` others. One at a time may add.
    pub(super) fn add(&self, key: &[u8], value: V, count: usize) {
        let level = level(count).min(LEVELS - 1);
        let Some(slots) = self.levels.get(level) else {
            return;
        };
        let hash = self.hasher.hash_one(key);
        let slots = slots.get_or_init(|| {
            iter::repeat_with(OnceLock::new)
                .take(FIRST << level)
                .collect()
        });
        let Some(mut slot) = slot(slots, hash) else {
            return;
        };
        while let Some(entry) = slot.get() {
            slot = &entry.next;
        }
        // It is empty, as nobody else adds.
        let _ = slot.set(Box::new(Entry {
            hash,
            key: key.into(),
            value,
            next: OnceLock::new(),
        }));
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &V> {
        let slots = self.levels.iter().filter_map(OnceLock::get).flatten();
        slots.flat_map(entries).map(|entry| &entry.value)
    }

    /// The entries that are looked at for a hash.
    fn candidates(&self, hash: u64) -> impl Iterator<Item = &Entry<V>> {
        let levels = self.levels.iter().map_while(OnceLock::get);
        levels
            .filter_map(move |slots| slot(slots, hash))
            .flat_map(entries)
    }
}

/// The level of an entry that comes after `count` others.
fn level(count: usize) -> usize {
    (count / FIRST + 1).ilog2() as usize
}

/// The slot of a hash, of which there are a power of two.
fn slot<V>(slots: &[Slot<V>], hash: u64) -> Option<&Slot<V>> {
    slots.get(hash as usize & (slots.len() - 1))
}

fn entries<V>(slot: &Slot<V>) -> impl Iterator<Item = &Entry<V>> {
    let first = slot.get().map(|first| &**first);
    iter::successors(first, |entry| entry.next.get().map(|next| &**next))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(number: usize) -> Vec<u8> {
        format!("key of {number}").into_bytes()
    }

    #[test]
    fn what_is_added_is_not_moved_and_the_work_grows_with_the_keys_alone() {
        const ALL: usize = 10_000;
        let keys = Keys::new();
        let (mut places, mut looked_at) = (Vec::new(), 0);
        for number in 0..ALL {
            let key = key(number);
            looked_at += keys.candidates(keys.hasher.hash_one(&*key)).count();
            keys.add(&key, number, number);
            places.push(keys.get(&key).map(std::ptr::from_ref));
        }
        // A map of which each change is a copy of all keys would have made fifty millions.
        assert!(looked_at < 8 * ALL, "{looked_at}");
        for (number, place) in places.into_iter().enumerate() {
            let found = keys.get(&key(number));
            assert_eq!(found, Some(&number));
            assert_eq!(found.map(std::ptr::from_ref), place, "{number}");
        }
        assert_eq!(keys.values().count(), ALL);
    }

    #[test]
    fn a_level_is_twice_as_wide_as_the_one_before() {
        for (count, expected) in [
            (0, 0),
            (63, 0),
            (64, 1),
            (191, 1),
            (192, 2),
            (447, 2),
            (448, 3),
        ] {
            assert_eq!(level(count), expected, "{count}");
        }
    }

    proptest! {
        #[test]
        fn it_is_a_map(all in prop::collection::hash_set(prop::collection::vec(any::<u8>(), 0..4), 0..300)) {
            let keys = Keys::new();
            for (number, key) in all.iter().enumerate() {
                prop_assert_eq!(keys.get(key), None);
                keys.add(key, number, number);
            }
            for (number, key) in all.iter().enumerate() {
                prop_assert_eq!(keys.get(key), Some(&number));
            }
        }
    }
}
