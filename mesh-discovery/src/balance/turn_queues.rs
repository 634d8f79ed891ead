//! Turns, the earliest first, where most are set in their order.

use std::cmp::Ordering;
use std::collections::binary_heap::PeekMut;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

use crate::balance::edf::Turn;

/// Turns of entries in a queue for each weight, and which of the queues has the earliest.
#[derive(Clone, Debug, Default)]
pub(crate) struct TurnQueues {
    queues: Vec<Queue>,
    /// Which queue is that of a weight, by the weight's bits. The others are free.
    by_weight: BTreeMap<u64, usize>,
    free: Vec<usize>,
    /// The first turn of each queue, and turns that were the first before others came.
    heads: BinaryHeap<Head>,
    len: usize,
}

#[derive(Clone, Debug)]
struct Queue {
    weight: f64,
    /// In the order of their turns.
    entries: VecDeque<Entry>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    turn: Turn,
    index: u32,
}

#[derive(Clone, Copy, Debug)]
struct Head {
    turn: Turn,
    queue: usize,
}

impl TurnQueues {
    /// How many turns there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Whose turn is the earliest, and when it is.
    pub(crate) fn first(&mut self) -> Option<(u32, Turn)> {
        loop {
            let head = self.heads.peek()?;
            let first = self.queues.get(head.queue)?.entries.front();
            match first.filter(|first| first.turn.order == head.turn.order) {
                Some(first) => return Some((first.index, first.turn)),
                // Another has come before it, or it has been removed.
                None => drop(self.heads.pop()),
            }
        }
    }

    /// Adds a turn of an entry.
    pub(crate) fn push(&mut self, index: u32, turn: Turn) {
        let queue = self.queue(turn.weight);
        let Some(Queue { entries, .. }) = self.queues.get_mut(queue) else {
            return;
        };
        self.len += 1;
        let entry = Entry { turn, index };
        match entries.back() {
            Some(last) if compare(&last.turn, &turn).is_le() => entries.push_back(entry),
            Some(_) => {
                let place = entries.partition_point(|one| compare(&one.turn, &turn).is_le());
                entries.insert(place, entry);
                if place == 0 {
                    self.heads.push(Head { turn, queue });
                }
            }
            None => {
                entries.push_back(entry);
                self.heads.push(Head { turn, queue });
            }
        }
    }

    /// Removes the turn that [`first`](Self::first) has just said.
    pub(crate) fn pop_first(&mut self) {
        let Some(mut head) = self.heads.peek_mut() else {
            return;
        };
        let number = head.queue;
        let Some(queue) = self.queues.get_mut(number) else {
            return;
        };
        if queue.entries.pop_front().is_some() {
            self.len -= 1;
        }
        match queue.entries.front() {
            Some(next) => head.turn = next.turn,
            None => {
                PeekMut::pop(head);
                self.by_weight.remove(&queue.weight.to_bits());
                self.free.push(number);
            }
        }
    }

    /// Removes the turns for which `keep` is false.
    pub(crate) fn retain(&mut self, keep: impl Fn(u32, &Turn) -> bool) {
        self.heads.clear();
        self.len = 0;
        for (number, queue) in self.queues.iter_mut().enumerate() {
            queue.entries.retain(|entry| keep(entry.index, &entry.turn));
            self.len += queue.entries.len();
            match queue.entries.front() {
                Some(first) => self.heads.push(Head {
                    turn: first.turn,
                    queue: number,
                }),
                // Unless it is free already.
                None if self.by_weight.get(&queue.weight.to_bits()) == Some(&number) => {
                    self.by_weight.remove(&queue.weight.to_bits());
                    self.free.push(number);
                }
                None => {}
            }
        }
    }

    /// The queue of a weight, which is opened if there is none.
    fn queue(&mut self, weight: f64) -> usize {
        // Most often that of the earliest turn, which comes again.
        if let Some(head) = self.heads.peek()
            && let Some(queue) = self.queues.get(head.queue)
            && queue.weight == weight
            && !queue.entries.is_empty()
        {
            return head.queue;
        }
        *self.by_weight.entry(weight.to_bits()).or_insert_with(|| {
            if let Some(number) = self.free.pop()
                && let Some(queue) = self.queues.get_mut(number)
            {
                queue.weight = weight;
                return number;
            }
            self.queues.push(Queue {
                weight,
                entries: VecDeque::new(),
            });
            self.queues.len() - 1
        })
    }
}

/// Which turn comes first. Among equal deadlines it is the one that was set first.
fn compare(one: &Turn, other: &Turn) -> Ordering {
    let deadlines = one.deadline.total_cmp(&other.deadline);
    deadlines.then(one.order.cmp(&other.order))
}

impl Ord for Head {
    /// The greatest is the earliest.
    fn cmp(&self, other: &Self) -> Ordering {
        compare(&other.turn, &self.turn)
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Head {}
