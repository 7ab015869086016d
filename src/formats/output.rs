//! The file that is being written: first a layout of what lies where, then all of it moved at once.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use super::mover::{self, Moved};
use super::{Extent, FormatError, Produce, Progress, SourceFile};

/// A file that is laid out from start to end and then moved into.
pub(super) struct OutputFile<'a> {
    path: &'a Path,
    file: &'a File,
    progress: &'a dyn Progress,
    pieces: Vec<Piece<'a>>,
    end: u64,
    sums: u32,
}

/// A range of the file.
pub(super) struct Piece<'a> {
    /// Where it begins in the file.
    pub(super) at: u64,
    /// Its length in bytes.
    pub(super) len: u64,
    /// Where its bytes come from.
    pub(super) content: PieceContent<'a>,
    /// The sum that its bytes are added to.
    pub(super) sum: Option<Sum>,
}

/// Texts are joined to those before them while these are shorter.
const JOINED: usize = 4096;

/// Where the bytes of a piece come from.
pub(super) enum PieceContent<'a> {
    /// They were at hand.
    Text(Vec<u8>),
    /// They lie in an input file, from this offset on.
    Source(Arc<SourceFile>, u64),
    /// They are made.
    Tensor(&'a dyn Produce),
}

/// The number of a CRC-32 that is computed while bytes are moved. A file has fewer than its pickle has values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Sum(u32);

impl Sum {
    /// Its value among those that were computed.
    pub(super) fn of(self, sums: &[u32]) -> u32 {
        sums.get(self.0 as usize).copied().unwrap_or_default()
    }

    /// The place of its value among them.
    pub(super) fn place(self, sums: &mut [u32]) -> Option<&mut u32> {
        sums.get_mut(self.0 as usize)
    }
}

impl<'a> OutputFile<'a> {
    /// Starts at the beginning of an empty file; `path` is what errors name.
    pub(super) fn new(path: &'a Path, file: &'a File, progress: &'a dyn Progress) -> Self {
        OutputFile { path, file, progress, pieces: Vec::new(), end: 0, sums: 0 }
    }

    /// The output as the user named it.
    pub(super) fn path(&self) -> &'a Path {
        self.path
    }

    /// How many bytes have been laid out.
    pub(super) fn position(&self) -> u64 {
        self.end
    }

    /// Makes room for so many more pieces.
    pub(super) fn reserve(&mut self, pieces: usize) {
        self.pieces.reserve_exact(pieces);
    }

    /// Lays out bytes that are at hand.
    pub(super) fn text(&mut self, bytes: &[u8]) {
        match self.pieces.last_mut() {
            // What lies around each of many small tensors is to take no more room than it needs.
            Some(Piece { content: PieceContent::Text(text), len, .. }) if text.len() < JOINED => {
                text.reserve_exact(bytes.len());
                text.extend_from_slice(bytes);
                *len += bytes.len() as u64;
                self.end += bytes.len() as u64;
            }
            _ => self.own_text(bytes.to_vec()),
        }
    }

    /// Lays out bytes that are at hand, and are many.
    pub(super) fn own_text(&mut self, bytes: Vec<u8>) {
        let len = bytes.len() as u64;
        self.push(PieceContent::Text(bytes), len, None);
    }

    /// Lays out bytes of an input file.
    pub(super) fn extent(&mut self, extent: &Extent) {
        // Tensors that stay neighbours are moved as one.
        if let Some(Piece { content: PieceContent::Source(file, offset), len, sum: None, .. }) =
            self.pieces.last_mut()
            && Arc::ptr_eq(file, &extent.file)
            && *offset + *len == extent.offset
        {
            *len += extent.len;
            self.end += extent.len;
            return;
        }
        self.push(PieceContent::Source(extent.file.clone(), extent.offset), extent.len, None);
    }

    /// Lays out bytes of an input file whose CRC is wanted.
    pub(super) fn summed_extent(&mut self, extent: &Extent) -> Sum {
        let sum = self.next_sum();
        self.push(PieceContent::Source(extent.file.clone(), extent.offset), extent.len, Some(sum));
        sum
    }

    /// Lays out a tensor of `nbytes` bytes.
    pub(super) fn tensor(&mut self, tensor: &'a dyn Produce, nbytes: u64) {
        match tensor.at_rest().filter(|extent| extent.len == nbytes) {
            Some(extent) => self.extent(&extent),
            None => self.push(PieceContent::Tensor(tensor), nbytes, None),
        }
    }

    /// Lays out a tensor of `nbytes` bytes whose CRC is wanted.
    pub(super) fn summed_tensor(&mut self, tensor: &'a dyn Produce, nbytes: u64) -> Sum {
        match tensor.at_rest().filter(|extent| extent.len == nbytes) {
            Some(extent) => self.summed_extent(&extent),
            None => {
                let sum = self.next_sum();
                self.push(PieceContent::Tensor(tensor), nbytes, Some(sum));
                sum
            }
        }
    }

    fn next_sum(&mut self) -> Sum {
        self.sums += 1;
        Sum(self.sums - 1)
    }

    fn push(&mut self, content: PieceContent<'a>, len: u64, sum: Option<Sum>) {
        if len > 0 {
            self.pieces.push(Piece { at: self.end, len, content, sum });
            self.end += len;
        }
    }

    /// Moves all that was laid out into the file; says how the bytes came there, and gives the sums.
    ///
    /// # Errors
    /// Where reading, making or writing fails: what failed first in the order of the file.
    pub(super) fn fill(&mut self) -> Result<(Moved, Vec<u32>), FormatError> {
        let pieces = std::mem::take(&mut self.pieces);
        let job = mover::Move {
            path: self.path,
            file: self.file,
            progress: self.progress,
            pieces: &pieces,
            end: self.end,
        };
        let (moved, sums) = job.run()?;
        Ok((moved, mover::joined(sums, self.sums as usize)))
    }

    /// Writes bytes over a part of the file that was filled, or behind it.
    ///
    /// # Errors
    /// Where the system refuses.
    pub(super) fn amend(&self, at: u64, bytes: &[u8]) -> Result<(), FormatError> {
        use std::os::unix::fs::FileExt;
        self.file.write_all_at(bytes, at).map_err(|source| FormatError::io(self.path, "write", source))
    }
}
