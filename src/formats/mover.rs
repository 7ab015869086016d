//! Moves the bytes of a whole file into place, on several cores.
//!
//! The file is cut into windows that begin at multiples of a page: a write that begins inside of one costs as much
//! as two. Threads take the windows in order, fill a buffer of their own from whatever lies there, and write it at
//! its place. Where blocks can be shared by files and lie alike in both, the file system is asked to do so first.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::FallocateFlags;
use rustix::io::Errno;

use super::output::{Piece, PieceContent, Sum};
use super::windows::{LARGE_WINDOW, PAGE, WINDOW, Window, cut};
use super::workers::{Buffer, in_threads};
use super::{FormatError, Pieces, Progress, SourceFile};

/// The most that one call writes. The kernel takes room in the page cache in pieces as large as what is written,
/// and large free pieces of memory are those that a virtual machine has given back to its host: a gigabyte in
/// writes of a mebibyte took 0.2 to 2.3 seconds, in writes of this length 0.2 to 0.3 (`docs/performance.md`).
const WRITE: usize = 64 << 10;

/// How many bytes came into a file in which way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// By the file system, which shares blocks where it can and copies on its own side where not.
    pub shared: u64,
    /// Read and written as they were.
    pub copied: u64,
    /// Made by a computation or by the writer itself.
    pub computed: u64,
}

impl std::ops::AddAssign for Moved {
    fn add_assign(&mut self, other: Moved) {
        self.shared += other.shared;
        self.copied += other.copied;
        self.computed += other.computed;
    }
}

/// A file to be filled.
pub(super) struct Move<'m, 'a> {
    /// What errors name.
    pub(super) path: &'m Path,
    pub(super) file: &'m File,
    pub(super) progress: &'m dyn Progress,
    /// What lies where, without gaps.
    pub(super) pieces: &'m [Piece<'a>],
    /// The length of the file.
    pub(super) end: u64,
}

/// The CRC of a part of a piece.
pub(super) struct PartSum {
    sum: Sum,
    at: u64,
    len: u64,
    crc: u32,
}

/// A part of a piece that lies in a window.
struct Part<'p, 'a> {
    piece: &'p Piece<'a>,
    /// Where it begins, in bytes from the start of the piece.
    skip: u64,
    len: u64,
}

#[derive(Default)]
struct Counters {
    copied: AtomicU64,
    computed: AtomicU64,
}

impl Move<'_, '_> {
    /// Fills the file.
    ///
    /// # Errors
    /// What failed first in the order of the file.
    pub(super) fn run(&self) -> Result<(Moved, Vec<PartSum>), FormatError> {
        let shares = shares_blocks(self.file);
        if self.end >= WINDOW && !shares {
            self.allocate()?;
        }
        let mut moved = Moved::default();
        let mut windows = Vec::new();
        for (index, piece) in self.pieces.iter().enumerate() {
            let mut from = piece.at;
            if let (true, PieceContent::Source(file, offset), None) = (shares, &piece.content, piece.sum) {
                let (head, done) = self.share(piece, file, *offset)?;
                moved.shared += done;
                if done > 0 {
                    cut(&mut windows, index, piece, piece.at..head);
                    from = head + done;
                }
            }
            cut(&mut windows, index, piece, from..piece.at + piece.len);
        }
        let counters = Counters::default();
        let sums = self.fill(&windows, &counters)?;
        moved.copied = counters.copied.into_inner();
        moved.computed = counters.computed.into_inner();
        Ok((moved, sums))
    }

    /// Takes room for the whole file: it lies together, and a full disk is found before anything is moved.
    fn allocate(&self) -> Result<(), FormatError> {
        loop {
            return match rustix::fs::fallocate(self.file, FallocateFlags::empty(), 0, self.end) {
                Err(Errno::INTR) => continue,
                // An expression that is too large for any file says so itself, by its key.
                Err(Errno::FBIG) if self.has_expression() => Ok(()),
                Err(error @ (Errno::NOSPC | Errno::DQUOT | Errno::FBIG)) => {
                    Err(FormatError::io(self.path, "write", error.into()))
                }
                // Not every file system can; writing says what is wrong.
                Ok(()) | Err(_) => Ok(()),
            };
        }
    }

    fn has_expression(&self) -> bool {
        self.pieces.iter().any(|piece| match &piece.content {
            PieceContent::Tensor(tensor) => tensor.pieces() == Pieces::InOrder,
            PieceContent::Text(_) | PieceContent::Source(..) => false,
        })
    }

    /// Lets the file system copy the whole pages of an extent; where they begin in the file, and how many bytes
    /// were done.
    fn share(&self, piece: &Piece<'_>, source: &SourceFile, offset: u64) -> Result<(u64, u64), FormatError> {
        let head = piece.at.next_multiple_of(PAGE);
        let skip = head - piece.at;
        if piece.len < skip + WINDOW || !(offset + skip).is_multiple_of(PAGE) {
            return Ok((head, 0));
        }
        let whole = (piece.len - skip) / PAGE * PAGE;
        let mut done = 0;
        while done < whole {
            let (mut from, mut to) = (offset + skip + done, head + done);
            let want = usize::try_from((whole - done).min(1 << 30)).unwrap_or(1 << 30);
            match rustix::fs::copy_file_range(source.file(), Some(&mut from), self.file, Some(&mut to), want)
            {
                Ok(0) => break, // the source ends too early: reading it says so
                Ok(moved) => {
                    done += moved as u64;
                    self.progress.advance(moved as u64);
                }
                Err(Errno::INTR) => {}
                Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::PERM) => break,
                Err(error) => return Err(FormatError::io(self.path, "write", error.into())),
            }
        }
        Ok((head, done))
    }

    fn fill(&self, windows: &[Window], counters: &Counters) -> Result<Vec<PartSum>, FormatError> {
        let sums = Mutex::new(Vec::new());
        let fill = |index: usize, buffer: &mut Buffer| {
            let Some(window) = windows.get(index) else { return Ok(()) };
            let mut own = Vec::new();
            self.fill_window(*window, buffer, &mut own, counters)?;
            if !own.is_empty() {
                sums.lock().unwrap_or_else(std::sync::PoisonError::into_inner).append(&mut own);
            }
            Ok(())
        };
        in_threads(windows.len(), self.path, fill)?;
        Ok(sums.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    fn fill_window(
        &self,
        window: Window,
        buffer: &mut Buffer,
        sums: &mut Vec<PartSum>,
        counters: &Counters,
    ) -> Result<(), FormatError> {
        buffer.begin(memory((window.end - window.start).min(LARGE_WINDOW)));
        let mut written = window.start;
        for part in self.parts(window) {
            match &part.piece.content {
                PieceContent::Text(text) => {
                    let from = memory(part.skip);
                    let text = text.get(from..from + memory(part.len)).unwrap_or_default();
                    buffer.more(text.len()).copy_from_slice(text);
                    counters.computed.fetch_add(part.len, Ordering::Relaxed);
                }
                PieceContent::Source(file, offset) => {
                    let bytes = buffer.more(memory(part.len));
                    file.read_at(bytes, offset + part.skip)?;
                    part.add_to(bytes, part.skip, sums);
                    counters.copied.fetch_add(part.len, Ordering::Relaxed);
                }
                PieceContent::Tensor(tensor) => {
                    let item = tensor.spec().dtype.bytes().unwrap_or(1).max(1);
                    let reader = tensor.reader();
                    let mut skip = part.skip;
                    while skip < part.skip + part.len {
                        // A tensor that is made in order may be much longer than a window.
                        let most = LARGE_WINDOW / item * item;
                        let len = most.min(part.skip + part.len - skip);
                        let bytes = buffer.more(memory(len));
                        reader.read(skip / item, bytes)?;
                        part.add_to(bytes, skip, sums);
                        skip += len;
                        if skip < part.skip + part.len {
                            self.write(buffer, &mut written)?;
                        }
                    }
                    counters.computed.fetch_add(part.len, Ordering::Relaxed);
                }
            }
        }
        self.write(buffer, &mut written)
    }

    fn write(&self, buffer: &mut Buffer, at: &mut u64) -> Result<(), FormatError> {
        let bytes = buffer.bytes();
        for slice in bytes.chunks(WRITE) {
            let written = self.file.write_all_at(slice, *at);
            written.map_err(|source| FormatError::io(self.path, "write", source))?;
            *at += slice.len() as u64;
        }
        self.progress.advance(bytes.len() as u64);
        buffer.begin(0);
        Ok(())
    }

    /// What lies in a window.
    fn parts(&self, window: Window) -> impl Iterator<Item = Part<'_, '_>> {
        let pieces = self.pieces.iter().skip(window.piece).take_while(move |piece| piece.at < window.end);
        pieces.map(move |piece| {
            let start = piece.at.max(window.start);
            let end = (piece.at + piece.len).min(window.end);
            Part { piece, skip: start - piece.at, len: end - start }
        })
    }
}

impl Part<'_, '_> {
    fn add_to(&self, bytes: &[u8], at: u64, sums: &mut Vec<PartSum>) {
        if let Some(sum) = self.piece.sum {
            sums.push(PartSum { sum, at, len: bytes.len() as u64, crc: crc32fast::hash(bytes) });
        }
    }
}

/// Whether a file system lets files share blocks, or copies between files on its own side.
fn shares_blocks(file: &File) -> bool {
    // The numbers of statfs(2), and those of ZFS and bcachefs.
    const SHARING: [u64; 7] = [
        0x9123_683e, // Btrfs
        0x5846_5342, // XFS
        0xca45_1a4e, // bcachefs
        0x2fc1_2fc1, // ZFS
        0x6969,      // NFS
        0xff53_4d42, // CIFS
        0xfe53_4d42, // SMB2
    ];
    #[allow(clippy::cast_sign_loss, clippy::unnecessary_cast, clippy::cast_possible_truncation)]
    // a number of 32 bits
    rustix::fs::fstatfs(file).is_ok_and(|found| SHARING.contains(&u64::from(found.f_type as u32)))
}

/// The sums of whole pieces from those of their parts; that of no bytes where there are none.
pub(super) fn joined(mut parts: Vec<PartSum>, count: usize) -> Vec<u32> {
    parts.sort_unstable_by_key(|part| (part.sum, part.at));
    let mut sums = vec![0; count];
    for same in parts.chunk_by(|one, other| one.sum == other.sum) {
        let mut hasher = crc32fast::Hasher::new();
        for part in same {
            hasher.combine(&crc32fast::Hasher::new_with_initial_len(part.crc, part.len));
        }
        if let Some(place) = same.first().and_then(|part| part.sum.place(&mut sums)) {
            *place = hasher.finalize();
        }
    }
    sums
}

/// A part of a window in bytes of memory.
#[allow(clippy::cast_possible_truncation)] // no more than a window
fn memory(bytes: u64) -> usize {
    bytes as usize
}
