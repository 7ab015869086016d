//! How a file is cut into the windows that are filled one by one.

use std::ops::Range;

use super::Pieces;
use super::output::{Piece, PieceContent};

/// How much is read, hashed and written at a time.
pub(super) const WINDOW: u64 = 1 << 20;
/// The same for tensors that are best made in large pieces. A smaller one is made in one piece: a permutation reads
/// its source once for each.
pub(super) const LARGE_WINDOW: u64 = 12 << 20;
/// What windows begin at multiples of, and what must agree where files share blocks.
pub(super) const PAGE: u64 = 4096;

/// A range of the file that one thread fills, and the piece in which it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) piece: usize,
}

/// Cuts a range of a piece into windows; what is left of the last one is filled up.
pub(super) fn cut(windows: &mut Vec<Window>, index: usize, piece: &Piece<'_>, range: Range<u64>) {
    let (pieces, item) = match &piece.content {
        PieceContent::Tensor(tensor) => (tensor.pieces(), tensor.spec().dtype.bytes().unwrap_or(1).max(1)),
        PieceContent::Text(_) | PieceContent::Source(..) => (Pieces::Any, 1),
    };
    let size = if pieces == Pieces::Large { LARGE_WINDOW } else { WINDOW };
    let mut start = range.start;
    while start < range.end {
        // Up to the next multiple of the window, and to a whole element.
        let next = if pieces == Pieces::Large {
            // All of them about as large.
            let step = piece.len.div_ceil(piece.len.div_ceil(size));
            (piece.at + ((start - piece.at) / step + 1) * step).next_multiple_of(PAGE)
        } else {
            (start / size + 1) * size
        };
        let whole = piece.at + (next - piece.at) / item * item;
        let cut_at = if whole > start { whole } else { next.next_multiple_of(item).max(start + item) };
        let end = if pieces == Pieces::InOrder { range.end } else { cut_at.min(range.end) };
        match windows.last_mut() {
            Some(last)
                if last.end == start && !last.end.is_multiple_of(WINDOW) && end - last.start <= size =>
            {
                last.end = end;
            }
            _ => windows.push(Window { start, end, piece: index }),
        }
        start = end;
    }
}
