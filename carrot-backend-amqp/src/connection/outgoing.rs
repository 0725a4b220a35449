//! Frames that are ready to be sent, in pieces.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::ops::Range;
use std::sync::Arc;

use carrot_core::backend::Content;

/// The size up to which small pieces are copied together.
const GATHERED: usize = 64 << 10;
/// The maximum number of pieces of one write.
const AT_ONCE: usize = 64;

/// A part of the octets to send.
#[derive(Debug)]
pub(crate) enum Piece {
    Bytes(Vec<u8>),
    /// A part of a body, which is sent from its place.
    Body(Arc<Content>, Range<usize>),
}

impl Piece {
    fn bytes(&self) -> &[u8] {
        match self {
            Piece::Bytes(bytes) => bytes,
            Piece::Body(content, range) => content.body.get(range.clone()).unwrap_or_default(),
        }
    }
}

/// Whole frames, in pieces. The first may have left in part.
#[derive(Debug, Default)]
pub(crate) struct OutgoingFrames {
    /// The first piece. Usually it is the only one.
    first: Vec<u8>,
    rest: VecDeque<Piece>,
    /// The number of octets of the first piece that have left.
    left: usize,
}

impl From<Vec<u8>> for OutgoingFrames {
    fn from(first: Vec<u8>) -> OutgoingFrames {
        OutgoingFrames { first, ..OutgoingFrames::default() }
    }
}

impl OutgoingFrames {
    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_empty() && self.rest.is_empty()
    }

    /// Returns the number of octets that have not left.
    pub(crate) fn len(&self) -> usize {
        self.first.len() + self.rest.iter().map(|piece| piece.bytes().len()).sum::<usize>()
            - self.left
    }

    /// Adds a piece that is not empty.
    pub(crate) fn push(&mut self, piece: Piece) {
        if let Piece::Bytes(bytes) = piece {
            return self.push_bytes(bytes);
        }
        self.rest.push_back(piece);
    }

    fn push_bytes(&mut self, bytes: Vec<u8>) {
        if self.is_empty() {
            self.first = bytes;
            return;
        }
        let last = match self.rest.back_mut() {
            None => Some(&mut self.first),
            Some(Piece::Bytes(last)) => Some(last),
            Some(Piece::Body(..)) => None,
        };
        match last {
            Some(last) if last.len() + bytes.len() <= GATHERED => last.extend_from_slice(&bytes),
            _ => self.rest.push_back(Piece::Bytes(bytes)),
        }
    }

    /// Adds later frames, none of which has left.
    pub(crate) fn append(&mut self, mut later: OutgoingFrames) {
        debug_assert_eq!(later.left, 0);
        if self.is_empty() {
            *self = later;
            return;
        }
        if !later.first.is_empty() {
            self.push_bytes(later.first);
        }
        self.rest.append(&mut later.rest);
    }

    /// Returns the octets to write first, as far as they are in one piece.
    pub(crate) fn foremost(&self) -> &[u8] {
        let piece = if self.first.is_empty() {
            self.rest.front().map_or(&[][..], Piece::bytes)
        } else {
            &self.first
        };
        piece.get(self.left..).unwrap_or_default()
    }

    /// Returns whether all octets are in one piece.
    pub(crate) fn is_one_piece(&self) -> bool {
        self.rest.is_empty()
    }

    /// Returns the pieces to write next, at most 64.
    pub(crate) fn slices(&self) -> ([IoSlice<'_>; AT_ONCE], usize) {
        let mut slices = [IoSlice::new(&[]); AT_ONCE];
        slices[0] = IoSlice::new(self.foremost());
        let behind = self.rest.iter().skip(usize::from(self.first.is_empty()));
        let mut count = 1;
        for (slice, piece) in slices[1..].iter_mut().zip(behind) {
            *slice = IoSlice::new(piece.bytes());
            count += 1;
        }
        (slices, count)
    }

    /// Removes this number of octets, which have left, and frees the pieces that have left
    /// completely.
    pub(crate) fn advance(&mut self, bytes: usize) {
        self.left += bytes;
        if !self.first.is_empty() {
            if self.left < self.first.len() {
                return;
            }
            self.left -= self.first.len();
            self.first = Vec::new();
        }
        while let Some(foremost) =
            self.rest.front().map(|piece| piece.bytes().len()).filter(|length| *length <= self.left)
        {
            self.left -= foremost;
            self.rest.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

    use super::*;

    fn content(length: usize) -> Arc<Content> {
        Arc::new(Content::new("", "", (0..length).map(|at| at as u8).collect::<Vec<_>>()))
    }

    /// Returns pieces of every kind, and their octets together.
    fn some() -> (OutgoingFrames, Vec<u8>) {
        let (mut frames, mut whole) = (OutgoingFrames::default(), Vec::new());
        let body = content(700);
        let pieces = [
            Piece::Bytes(vec![1; 10]),
            Piece::Bytes(vec![2; 20]),
            Piece::Body(Arc::clone(&body), 0..300),
            Piece::Bytes(vec![3; 8]),
            Piece::Bytes(vec![4; GATHERED]),
            Piece::Body(body, 300..700),
        ];
        for piece in pieces {
            whole.extend_from_slice(piece.bytes());
            frames.push(piece);
        }
        (frames, whole)
    }

    /// Returns the next octets, at most this number.
    fn next(frames: &OutgoingFrames, most: usize) -> Vec<u8> {
        let (slices, count) = frames.slices();
        slices[..count].iter().flat_map(|slice| slice.iter().copied()).take(most).collect()
    }

    #[test]
    fn they_leave_in_order_however_much_goes_at_once() {
        for step in [1, 7, 300, 70_000] {
            let (mut frames, whole) = some();
            let mut sent = Vec::new();
            while !frames.is_empty() {
                assert_eq!(frames.len(), whole.len() - sent.len());
                let next = next(&frames, step);
                assert!(!next.is_empty());
                frames.advance(next.len());
                sent.extend(next);
            }
            assert_eq!(
                (sent == whole, frames.left, frames.len()),
                (true, 0, 0),
                "in steps of {step}"
            );
        }
    }

    #[test]
    fn what_is_added_comes_last_though_something_has_left() {
        let (mut frames, mut whole) = some();
        frames.advance(35);
        let (later, more) = some();
        frames.append(later);
        frames.append(OutgoingFrames::from(vec![9; 9]));
        whole.extend(more);
        whole.extend([9; 9]);
        assert!(next(&frames, whole.len()) == whole[35..]);
        assert_eq!(frames.len(), whole.len() - 35);
    }

    #[test]
    fn small_bytes_are_gathered() {
        let mut frames = OutgoingFrames::default();
        for _ in 0..10_000 {
            frames.append(OutgoingFrames::from(vec![5; 100]));
        }
        assert!(frames.rest.len() <= 1_000_000 / GATHERED + 1, "{}", frames.rest.len());
        assert_eq!(frames.len(), 1_000_000);
    }

    #[test]
    fn what_has_left_is_let_go() {
        let body = content(10);
        let mut frames = OutgoingFrames::from(vec![1]);
        frames.push(Piece::Body(Arc::clone(&body), 0..10));
        frames.advance(11);
        assert_eq!(Arc::strong_count(&body), 1);
        assert!(frames.is_empty() && frames.foremost().is_empty());
    }
}
