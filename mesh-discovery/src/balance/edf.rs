//! Weighted turns: the earliest deadline comes first.
//!
//! Each entry has a deadline. The entry with the earliest is picked, and its next deadline is
//! `1 / weight` later, so that picks are in proportion to weights and as evenly spread as they can
//! be. Among equal deadlines the one that was set first comes first. This is the scheduler of
//! Envoy's weighted `ROUND_ROBIN` and `LEAST_REQUEST`; the weight may change with every pick.
//!
//! Entries of one weight have their turns in the order in which these were set. So they wait in a queue
//! for each weight, and a pick costs O(log w) for `w` different weights, and O(1) where there are few. An
//! entry that comes or goes costs up to O(n), but in one move of memory.
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

use crate::balance::turn_queues::TurnQueues;

/// The least weight that counts: deadlines have to stay finite.
const LEAST_WEIGHT: f64 = 1e-9;

/// Entries that are queued for each that there is, from which on those out of date are removed.
const STALE: usize = 2;

/// A schedule of weighted entries.
#[derive(Clone, Debug, Default)]
pub struct Edf {
    queues: TurnQueues,
    /// The turn of each entry. What is queued and not here is out of date.
    turns: Vec<Option<Turn>>,
    /// How many of those that are queued are out of date.
    stale: usize,
    set: u64,
    /// The deadline that was met last.
    now: f64,
}

/// When it is the turn of an entry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    pub(crate) deadline: f64,
    /// How many deadlines were set before this one.
    pub(crate) order: u64,
    pub(crate) weight: f64,
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
        let turn = |(order, weight): (u64, &f64)| Turn {
            // The turns that are over, and the one to come.
            deadline: ((now * weight).floor() + 1.0) / weight,
            order,
            weight: *weight,
        };
        let turns: Vec<Turn> = (0..).zip(&weights).map(turn).collect();
        let mut queues = TurnQueues::default();
        for (index, turn) in (0..).zip(&turns) {
            queues.push(index, *turn);
        }
        Self {
            queues,
            set: turns.len() as u64,
            turns: turns.into_iter().map(Some).collect(),
            stale: 0,
            now,
        }
    }

    /// Takes the entry whose turn it is, and puts it back by the weight that it has now. `None` if
    /// there are no entries.
    pub fn pick(&mut self, weight: impl FnOnce(usize) -> f64) -> Option<usize> {
        let (first, met) = loop {
            let (first, turn) = self.queues.first()?;
            if self.stale == 0 || is_current(&self.turns, first, &turn) {
                break (first, turn);
            }
            self.queues.pop_first();
            self.stale -= 1;
        };
        let index = first as usize;
        let weight = positive(weight(index));
        let turn = Turn {
            deadline: met.deadline + 1.0 / weight,
            order: self.set,
            weight,
        };
        self.now = met.deadline;
        self.set += 1;
        if let Some(place) = self.turns.get_mut(index) {
            *place = Some(turn);
        }
        self.queues.push(first, turn);
        self.queues.pop_first();
        Some(index)
    }

    /// Adds an entry at `index`, in place of the one there. Its first turn is as far away as another
    /// of its weight would be that has just been picked.
    pub fn insert(&mut self, index: usize, weight: f64) {
        let weight = positive(weight);
        let turn = Turn {
            deadline: self.now + 1.0 / weight,
            order: self.set,
            weight,
        };
        self.put(index, turn);
    }

    /// Takes the entry at `index` out, and says when it would have been its turn.
    pub(crate) fn take(&mut self, index: usize) -> Option<Turn> {
        let taken = self.turns.get_mut(index)?.take();
        self.stale += usize::from(taken.is_some());
        while self.turns.last().is_some_and(Option::is_none) {
            self.turns.pop();
        }
        taken
    }

    /// Puts an entry that was taken out at `index`, its turn unchanged.
    pub(crate) fn put(&mut self, index: usize, turn: Turn) {
        // Another order than before: what was at this index is out of date.
        let order = self.set;
        self.set += 1;
        let turn = Turn { order, ..turn };
        if self.turns.len() <= index {
            self.turns.resize(index + 1, None);
        }
        if let Some(place) = self.turns.get_mut(index) {
            self.stale += usize::from(place.replace(turn).is_some());
        }
        self.queues
            .push(u32::try_from(index).unwrap_or(u32::MAX), turn);
        if self.queues.len() > STALE * self.turns.len() {
            let turns = &self.turns;
            self.queues
                .retain(|index, turn| is_current(turns, index, turn));
            self.stale = 0;
        }
    }
}

fn is_current(turns: &[Option<Turn>], index: u32, queued: &Turn) -> bool {
    let turn = turns.get(index as usize).copied().flatten();
    turn.is_some_and(|turn| turn.order == queued.order)
}

fn positive(weight: f64) -> f64 {
    // NaN becomes the least weight as well.
    weight.max(LEAST_WEIGHT)
}

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

    #[test]
    fn an_entry_that_comes_waits_for_one_turn_and_others_keep_theirs() {
        let mut schedule = Edf::new([1.0, 1.0]);
        assert_eq!(schedule.pick(|_| 1.0), Some(0));
        schedule.insert(2, 1.0);
        let picks: Vec<_> = (0..4).filter_map(|_| schedule.pick(|_| 1.0)).collect();
        assert_eq!(picks, [1, 0, 2, 1]);
    }

    #[test]
    fn an_entry_that_goes_is_picked_no_more_and_one_that_moves_keeps_its_turn() {
        let mut schedule = Edf::new([1.0, 1.0, 4.0]);
        let _gone = schedule.take(0).unwrap();
        let moved = schedule.take(2).unwrap();
        schedule.put(0, moved);
        let picks: Vec<_> = (0..5)
            .filter_map(|_| schedule.pick(|entry| [4.0, 1.0][entry]))
            .collect();
        assert_eq!(picks, [0, 0, 0, 1, 0]);
        assert!(schedule.take(7).is_none());
        assert!(schedule.take(0).is_some() && schedule.take(1).is_some());
        assert_eq!(schedule.pick(|_| 1.0), None);
    }

    #[test]
    fn what_is_out_of_date_does_not_pile_up() {
        let mut schedule = Edf::new([1.0; 4]);
        for _ in 0..1000 {
            schedule.take(3);
            schedule.insert(3, 1.0);
        }
        assert!(schedule.queues.len() <= 9, "{}", schedule.queues.len());
    }

    /// The same by a look at all turns.
    #[derive(Default)]
    struct Naive {
        turns: Vec<Option<(f64, u64)>>,
        set: u64,
        now: f64,
    }

    impl Naive {
        fn pick(&mut self, weight: impl Fn(usize) -> f64) -> Option<usize> {
            let turns = self.turns.iter().enumerate();
            let turns = turns.filter_map(|(index, turn)| Some(((*turn)?, index)));
            let first = turns.min_by(|(one, _), (other, _)| one.partial_cmp(other).unwrap());
            let ((deadline, _), index) = first?;
            self.now = deadline;
            self.put(index, deadline + 1.0 / weight(index));
            Some(index)
        }

        fn put(&mut self, index: usize, deadline: f64) {
            if self.turns.len() <= index {
                self.turns.resize(index + 1, None);
            }
            self.turns[index] = Some((deadline, self.set));
            self.set += 1;
        }
    }

    proptest! {
        #[test]
        fn picks_are_those_of_a_look_at_all_turns(
            weights in prop::collection::vec(1_u32..4, 0..9),
            steps in prop::collection::vec((0_u8..8, 0_usize..9, 0_usize..9, 1_u32..5), 0..120),
        ) {
            let mut schedule = Edf::new(weights.iter().map(|weight| f64::from(*weight)));
            let mut naive = Naive::default();
            for (index, weight) in weights.iter().enumerate() {
                naive.put(index, 1.0 / f64::from(*weight));
            }
            for (step, index, other, weight) in steps {
                let weight = f64::from(weight);
                match step {
                    0 => {
                        schedule.insert(index, weight);
                        naive.put(index, naive.now + 1.0 / weight);
                    }
                    1 => {
                        let taken = schedule.take(index);
                        let known = naive.turns.get_mut(index).and_then(Option::take);
                        prop_assert_eq!(taken.map(|turn| turn.deadline), known.map(|(at, _)| at));
                        // One of two moves to another place.
                        if let Some(turn) = taken.filter(|_| weight > 2.0) {
                            schedule.put(other, turn);
                            naive.put(other, turn.deadline);
                        }
                    }
                    _ => {
                        let by_place = |entry: usize| weight + (entry % 3) as f64;
                        prop_assert_eq!(schedule.pick(by_place), naive.pick(by_place));
                    }
                }
            }
        }

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
