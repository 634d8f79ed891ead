//! Mutations of inputs.

use fastrand::Rng;

use crate::targets::Target;

/// How many bytes an input has at most.
const MAX_LEN: usize = 64 * 1024;

/// Bytes and numbers that are boundaries of something.
const BOUNDARIES: [&[u8]; 16] = [
    b"\0",
    b"\xff",
    b"\x7f",
    b"\x80",
    b"\n",
    b"\r\n",
    b" ",
    b"%",
    b"-1",
    b"0",
    b"65536",
    b"4294967296",
    b"18446744073709551616",
    b"\xc3\x28",
    b"\xe2\x82\xac",
    b"\xf0\x9f\x98\x80",
];

/// Makes inputs out of a target's seeds.
pub(crate) struct Mutator {
    rng: Rng,
    seeds: Vec<Vec<u8>>,
    dictionary: &'static [&'static str],
}

impl Mutator {
    pub(crate) fn new(rng: Rng, target: &Target) -> Self {
        let seeds = target.seeds.iter().map(|seed| seed.as_bytes().to_vec());
        Self {
            rng,
            seeds: seeds.collect(),
            dictionary: target.dictionary,
        }
    }

    /// A seed, changed in some places, or not at all.
    pub(crate) fn next_input(&mut self) -> Vec<u8> {
        let mut input = self.seed();
        // A few changes reach deep, many find what nobody thought of.
        let changes = 1_usize << self.rng.u32(..6);
        for _ in 0..self.rng.usize(..=changes) {
            self.mutate(&mut input);
        }
        input.truncate(MAX_LEN);
        input
    }

    fn seed(&mut self) -> Vec<u8> {
        let index = self.rng.usize(..self.seeds.len());
        self.seeds[index].clone()
    }

    fn mutate(&mut self, input: &mut Vec<u8>) {
        let range = self.range(input.len());
        match self.rng.u32(..8) {
            0 => drop(input.drain(range)),
            1 => {
                let copy = input[range].to_vec();
                let at = self.rng.usize(..=input.len());
                input.splice(at..at, copy);
            }
            2 => {
                // Depth is what parsers run out of.
                let copy = input[range.clone()].to_vec();
                let times = self.rng.usize(..200).min(MAX_LEN / copy.len().max(1));
                input.splice(range.start..range.start, copy.repeat(times));
            }
            3 => self.splice(input),
            4 if !self.dictionary.is_empty() => {
                let index = self.rng.usize(..self.dictionary.len());
                input.splice(range, self.dictionary[index].bytes());
            }
            5 => {
                let index = self.rng.usize(..BOUNDARIES.len());
                input.splice(range, BOUNDARIES[index].iter().copied());
            }
            6 => self.change_byte(input, |rng, byte| byte ^ (1 << rng.u32(..8))),
            _ => self.change_byte(input, |rng, _| rng.u8(..)),
        }
    }

    /// The head of one, the tail of another.
    fn splice(&mut self, input: &mut Vec<u8>) {
        let other = self.seed();
        let (head, tail) = (
            self.rng.usize(..=input.len()),
            self.rng.usize(..=other.len()),
        );
        input.truncate(head);
        input.extend_from_slice(&other[tail..]);
    }

    fn change_byte(&mut self, input: &mut [u8], change: impl FnOnce(&mut Rng, u8) -> u8) {
        if !input.is_empty() {
            let index = self.rng.usize(..input.len());
            input[index] = change(&mut self.rng, input[index]);
        }
    }

    /// A range, rather short than long.
    fn range(&mut self, length: usize) -> std::ops::Range<usize> {
        let start = self.rng.usize(..=length);
        let longest = 1_usize << self.rng.u32(..10);
        let end = start + self.rng.usize(..=longest.min(length - start));
        start..end
    }
}
