//! Tensors looked at piece by piece, however large they are.

use super::error::ApplyError;
use super::stream::Stream;
use crate::formats::Progress;

/// How many elements are looked at at a time.
const PIECE: u64 = 1 << 17;

/// Calls `look` with (first element, bytes of an element, bytes) for each piece of a tensor.
pub(super) fn in_pieces(
    stream: &Stream,
    mut look: impl FnMut(u64, usize, &[u8]) -> Result<(), ApplyError>,
) -> Result<(), ApplyError> {
    let size = size(stream)?;
    let mut at = 0;
    let mut buffer = Vec::new();
    while at < stream.count() {
        let count = PIECE.min(stream.count() - at);
        buffer.resize(usize::try_from(count).unwrap_or(0) * size, 0);
        stream.read(at, &mut buffer)?;
        look(at, size, &buffer)?;
        at += count;
    }
    Ok(())
}

/// Where two tensors differ first.
pub(super) struct FirstDifference {
    /// The element, counted in row-major order.
    pub index: u64,
    /// Its bytes in the first.
    pub one: Vec<u8>,
    /// Its bytes in the second.
    pub other: Vec<u8>,
}

/// Where two tensors of one spec differ first; what lies behind is not looked at.
pub(super) fn first_difference(
    first: &Stream,
    second: &Stream,
    progress: &dyn Progress,
) -> Result<Option<FirstDifference>, ApplyError> {
    let size = size(first)?;
    let (mut own, mut other) = (Vec::new(), Vec::new());
    let mut at = 0;
    while at < first.count() {
        let count = PIECE.min(first.count() - at);
        let length = usize::try_from(count).unwrap_or(0) * size;
        own.resize(length, 0);
        other.resize(length, 0);
        first.read(at, &mut own)?;
        second.read(at, &mut other)?;
        progress.advance(length as u64);
        if own != other {
            let mut pairs = (at..).zip(own.chunks_exact(size).zip(other.chunks_exact(size)));
            let differs = pairs.find(|(_, (one, other))| one != other);
            return Ok(differs.map(|(index, (one, other))| {
                let (one, other) = (one.to_vec(), other.to_vec());
                FirstDifference { index, one, other }
            }));
        }
        at += count;
    }
    Ok(None)
}

/// The bytes of an element.
fn size(stream: &Stream) -> Result<usize, ApplyError> {
    let size = stream.dtype().bytes().and_then(|size| usize::try_from(size).ok());
    size.ok_or_else(|| ApplyError::Opaque { key: stream.key().to_owned(), what: stream.dtype().to_string() })
}
