//! Tensors looked at piece by piece, however large they are.

use super::error::ApplyError;
use super::stream::Stream;

/// How many elements are looked at at a time.
const PIECE: u64 = 1 << 17;

/// Calls `look` with (first element, bytes of an element, bytes) for each piece of a tensor.
pub(super) fn in_pieces(
    stream: &Stream,
    mut look: impl FnMut(u64, usize, &[u8]) -> Result<(), ApplyError>,
) -> Result<(), ApplyError> {
    let Some(size) = stream.dtype().bytes().and_then(|size| usize::try_from(size).ok()) else {
        return Err(ApplyError::Opaque { key: stream.key().to_owned(), what: stream.dtype().to_string() });
    };
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
