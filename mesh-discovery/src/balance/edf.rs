//! Weighted turns: the earliest deadline comes first.
//!
//! Each entry has a deadline. The entry with the earliest is picked, and its next deadline is
//! `1 / weight` later, so that picks are in proportion to weights and as evenly spread as they can
//! be. Among equal deadlines the one that was set first comes first. This is the scheduler of
//! Envoy's weighted `ROUND_ROBIN` and `LEAST_REQUEST`; the weight may change with every pick.
//!
//! A pick costs O(log n).
//!
//! # Example
//!
//! ```
//! use mesh_discovery::balance::edf::Edf;
//!
//! let weights = [1.0, 3.0];
//! let mut schedule = Edf::new(weights);
//! let picks: Vec<_> = (0..4).filter_map(|_| schedule.pick(|entry| weights[entry])).collect();
//! assert_eq!(picks, [1, 1, 0, 1]);
//! ```

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// The least weight that counts: deadlines have to stay finite.
const LEAST_WEIGHT: f64 = 1e-9;

/// A schedule of weighted entries.
#[derive(Clone, Debug, Default)]
pub struct Edf {
    queue: BinaryHeap<Entry>,
    set: u64,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    deadline: f64,
    /// How many deadlines were set before this one.
    order: u64,
    index: u32,
}

impl Edf {
    /// A schedule at its beginning, with the weight of each entry.
    pub fn new(weights: impl IntoIterator<Item = f64>) -> Self {
        Self::at(weights, 0.0)
    }

    /// A schedule that has been picked from for some time: `phase`, from 0 to 1, is the part of the
    /// lightest entry's first turn that is over. Schedules of many clients that begin at different
    /// phases do not pick the same entry at the same time.
    pub fn at(weights: impl IntoIterator<Item = f64>, phase: f64) -> Self {
        let weights: Vec<f64> = weights.into_iter().map(positive).collect();
        let lightest = weights.iter().copied().fold(f64::INFINITY, f64::min);
        let now = phase.clamp(0.0, 1.0) / lightest;
        let mut set = 0;
        let entry = |(index, weight): (u32, &f64)| {
            let order = set;
            set += 1;
            // The turns that are over, and the one to come.
            let deadline = ((now * weight).floor() + 1.0) / weight;
            Entry {
                deadline,
                order,
                index,
            }
        };
        let queue = (0..).zip(&weights).map(entry).collect();
        Self { queue, set }
    }

    /// Takes the entry whose turn it is, and puts it back by the weight that it has now. `None` if
    /// there are no entries.
    pub fn pick(&mut self, weight: impl FnOnce(usize) -> f64) -> Option<usize> {
        let mut first = self.queue.peek_mut()?;
        let index = first.index as usize;
        first.deadline += 1.0 / positive(weight(index));
        first.order = self.set;
        self.set += 1;
        Some(index)
    }
}

fn positive(weight: f64) -> f64 {
    // NaN becomes the least weight as well.
    weight.max(LEAST_WEIGHT)
}

impl Ord for Entry {
    /// The greatest is the one to be picked first.
    fn cmp(&self, other: &Self) -> Ordering {
        let deadlines = other.deadline.total_cmp(&self.deadline);
        deadlines.then(other.order.cmp(&self.order))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn equal_weights_take_turns() {
        let mut schedule = Edf::new([2.0; 3]);
        let picks: Vec<_> = (0..6).filter_map(|_| schedule.pick(|_| 2.0)).collect();
        assert_eq!(picks, [0, 1, 2, 0, 1, 2]);
    }

    #[test]
    fn a_weight_that_changes_counts_from_the_next_turn() {
        let mut schedule = Edf::new([1.0, 1.0]);
        let picks: Vec<_> = (0..4)
            .filter_map(|_| schedule.pick(|entry| [3.0, 1.0][entry]))
            .collect();
        assert_eq!(picks, [0, 1, 0, 0]);
    }

    #[test]
    fn weights_that_are_no_weights_do_no_harm() {
        let mut schedule = Edf::new([0.0, f64::NAN, -1.0]);
        for _ in 0..10 {
            assert!(schedule.pick(|_| 0.0).is_some());
        }
        assert_eq!(Edf::default().pick(|_| 1.0), None);
    }

    proptest! {
        #[test]
        fn picks_are_in_proportion_to_weights_from_any_phase(
            weights in prop::collection::vec(1_u32..20, 1..8),
            phase in 0.0..1.0_f64,
        ) {
            let total: u32 = weights.iter().sum();
            let mut schedule = Edf::at(weights.iter().map(|weight| f64::from(*weight)), phase);
            let mut picked = vec![0_u32; weights.len()];
            for _ in 0..total * 10 {
                picked[schedule.pick(|entry| f64::from(weights[entry])).unwrap()] += 1;
            }
            for (picked, weight) in picked.iter().zip(&weights) {
                prop_assert!(picked.abs_diff(weight * 10) <= 1, "{picked} of {}", weight * 10);
            }
        }
    }
}
