//! The beginning of a body, kept to be read again.
//!
//! Pieces are shared with whoever reads them first, but small ones are copied together: a piece costs
//! its bookkeeping, and keeps the whole buffer that it was read into, so that a body in pieces of one
//! byte would take many times its length. Empty pieces are not kept.

use bytes::{Bytes, BytesMut};

/// What is shorter is copied.
const SMALL: usize = 1024;
/// How much of copies is kept in one piece.
const JOINED: usize = 16 * 1024;

/// The pieces that are kept.
#[derive(Debug, Default)]
pub(crate) struct Pieces {
    whole: Vec<Bytes>,
    /// Small pieces that follow the whole ones.
    tail: BytesMut,
    length: usize,
}

/// How much of [`Pieces`] has been read.
#[cfg(feature = "retry")]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Position {
    /// Pieces that have been read whole; as many as there are whole ones is the tail.
    piece: usize,
    /// Bytes of the piece after them.
    offset: usize,
    /// Bytes in all.
    read: usize,
}

impl Pieces {
    /// Keeps a piece behind the others.
    pub(crate) fn push(&mut self, piece: &Bytes) {
        if piece.is_empty() {
            return;
        }
        self.length = self.length.saturating_add(piece.len());
        let is_first = self.whole.is_empty() && self.tail.is_empty();
        if piece.len() >= SMALL || is_first {
            self.close_tail();
            self.whole.push(piece.clone());
        } else {
            if self.tail.len() + piece.len() > JOINED {
                self.close_tail();
            }
            self.tail.extend_from_slice(piece);
        }
    }

    /// Makes the tail a whole piece. Positions within it are still right.
    fn close_tail(&mut self) {
        if !self.tail.is_empty() {
            self.whole.push(self.tail.split().freeze());
        }
    }

    /// How many bytes there are.
    pub(crate) fn len(&self) -> usize {
        self.length
    }
}

#[cfg(feature = "ext-authz")]
impl Pieces {
    /// The first `max` bytes, not copied if they are one piece.
    pub(crate) fn joined(&self, max: usize) -> Bytes {
        if let ([only], true) = (self.whole.as_slice(), self.tail.is_empty()) {
            return only.slice(..only.len().min(max));
        }
        let mut joined = BytesMut::with_capacity(self.length.min(max));
        let whole = self.whole.iter().map(Bytes::as_ref);
        for piece in whole.chain([self.tail.as_ref()]) {
            let left = max - joined.len();
            joined.extend_from_slice(&piece[..piece.len().min(left)]);
        }
        joined.freeze()
    }

    /// All pieces in order.
    pub(crate) fn into_pieces(mut self) -> Vec<Bytes> {
        self.close_tail();
        self.whole
    }
}

#[cfg(feature = "retry")]
impl Pieces {
    /// Where the pieces end.
    pub(crate) fn end(&self) -> Position {
        Position {
            piece: self.whole.len(),
            offset: self.tail.len(),
            read: self.length,
        }
    }

    /// How many bytes there are after `position`.
    pub(crate) fn left(&self, position: Position) -> usize {
        self.length.saturating_sub(position.read)
    }

    /// Lets go of the pieces before `position`, which stays where it was among the others.
    pub(crate) fn release(&mut self, position: &mut Position) {
        if self.left(*position) == 0 {
            *self = Self::default();
            *position = Position::default();
            return;
        }
        let passed = position.piece.min(self.whole.len());
        let length: usize = self.whole.drain(..passed).map(|piece| piece.len()).sum();
        self.length = self.length.saturating_sub(length);
        position.piece -= passed;
        position.read = position.read.saturating_sub(length);
    }

    /// What there is at `position`, which is moved behind it.
    pub(crate) fn next(&self, position: &mut Position) -> Option<Bytes> {
        while let Some(piece) = self.whole.get(position.piece) {
            let rest = piece.slice(position.offset.min(piece.len())..);
            position.piece += 1;
            position.offset = 0;
            if !rest.is_empty() {
                position.read += rest.len();
                return Some(rest);
            }
        }
        let rest = self.tail.get(position.offset..).unwrap_or_default();
        position.offset += rest.len();
        position.read += rest.len();
        (!rest.is_empty()).then(|| Bytes::copy_from_slice(rest))
    }
}

#[cfg(all(test, feature = "retry"))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn many_small_pieces_become_few() {
        let mut pieces = Pieces::default();
        for _ in 0..100_000 {
            pieces.push(&Bytes::from_static(b"a"));
            pieces.push(&Bytes::new());
        }
        assert_eq!(pieces.len(), 100_000);
        assert!(pieces.whole.len() <= 8, "{}", pieces.whole.len());
    }

    #[test]
    fn large_pieces_are_shared() {
        let large = Bytes::from(vec![1; SMALL]);
        let mut pieces = Pieces::default();
        pieces.push(&Bytes::from_static(b"a"));
        pieces.push(&Bytes::from_static(b"b"));
        pieces.push(&large);
        let shared = pieces.whole.last().map(|piece| piece.as_ptr());
        assert_eq!(shared, Some(large.as_ptr()));
    }

    proptest! {
        /// Some of the readers look while pieces are added, as attempts that follow each other do.
        #[test]
        fn every_reader_reads_what_was_kept(
            added in proptest::collection::vec((0_usize..2 * SMALL, 0_usize..3), 0..60),
        ) {
            let mut pieces = Pieces::default();
            let mut readers = [(); 3].map(|()| (Position::default(), Vec::new()));
            let mut whole = Vec::new();
            for (index, (length, reader)) in added.into_iter().enumerate() {
                let piece = Bytes::from(vec![u8::try_from(index).unwrap(); length]);
                pieces.push(&piece);
                whole.extend_from_slice(&piece);
                let (position, read) = &mut readers[reader];
                read.extend(pieces.next(position).unwrap_or_default());
            }
            for (mut position, mut read) in readers {
                prop_assert_eq!(pieces.left(position), whole.len() - read.len());
                while let Some(piece) = pieces.next(&mut position) {
                    read.extend(piece);
                }
                prop_assert_eq!(&read, &whole);
                prop_assert_eq!(pieces.left(position), 0);
            }
            prop_assert!(pieces.next(&mut pieces.end()).is_none());
        }

        /// Pieces go on being added, as to the body of the last attempt.
        #[test]
        fn a_reader_reads_on_whatever_was_released(
            added in proptest::collection::vec((0_usize..2 * SMALL, 0_usize..3, any::<bool>()), 0..60),
        ) {
            let (mut pieces, mut position) = (Pieces::default(), Position::default());
            let (mut whole, mut read) = (Vec::new(), Vec::new());
            for (index, (length, reads, releases)) in added.into_iter().enumerate() {
                let piece = Bytes::from(vec![u8::try_from(index).unwrap(); length]);
                pieces.push(&piece);
                whole.extend_from_slice(&piece);
                for _ in 0..reads {
                    read.extend(pieces.next(&mut position).unwrap_or_default());
                }
                if releases {
                    pieces.release(&mut position);
                    prop_assert_eq!(position.piece, 0, "nothing before it is kept");
                }
                prop_assert_eq!(pieces.left(position), whole.len() - read.len());
            }
            while let Some(piece) = pieces.next(&mut position) {
                read.extend(piece);
            }
            prop_assert_eq!(read, whole);
        }
    }
}
