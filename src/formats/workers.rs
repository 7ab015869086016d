//! Threads that fill windows, and the room that each has for one.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::FormatError;

/// More threads than this wait for each other and for memory; each holds a window or two.
const MOST_THREADS: usize = 3;

/// Room for the bytes of a window, which begin at a page: processors that copy by `rep movsb` are several times
/// slower where the source lies a few bytes further into its page than the destination.
///
/// Whoever asks for bytes fills all of them: they hold what was there before.
#[derive(Default)]
pub(super) struct Buffer {
    room: Vec<u8>,
    begin: usize,
    end: usize,
}

impl Buffer {
    /// Empties it, and makes room for this many bytes.
    pub(super) fn begin(&mut self, len: usize) {
        const PAGE_IN_MEMORY: usize = 4096;
        if self.room.len() < len + PAGE_IN_MEMORY {
            // Nothing of it is needed any more, nor both at once.
            self.room = Vec::new();
            self.room = vec![0; len + PAGE_IN_MEMORY];
        }
        self.begin = self.room.as_ptr().align_offset(PAGE_IN_MEMORY).min(PAGE_IN_MEMORY);
        self.end = self.begin;
    }

    /// The next bytes, to be filled.
    pub(super) fn more(&mut self, len: usize) -> &mut [u8] {
        let begin = self.end;
        self.end += len;
        if self.room.len() < self.end {
            self.room.resize(self.end, 0);
        }
        self.room.get_mut(begin..self.end).unwrap_or_default()
    }

    /// What it was filled with.
    pub(super) fn bytes(&self) -> &[u8] {
        self.room.get(self.begin..self.end).unwrap_or_default()
    }

    /// Room for this many bytes and no others.
    pub(super) fn of(&mut self, len: usize) -> &mut [u8] {
        self.begin(len);
        self.more(len)
    }
}

/// Does `count` jobs in several threads, each with a buffer; they are begun in order.
///
/// # Errors
/// Of the jobs that failed, what the first one failed with, whichever thread was faster.
pub(super) fn in_threads(
    count: usize,
    path: &Path,
    job: impl Fn(usize, &mut Buffer) -> Result<(), FormatError> + Sync,
) -> Result<(), FormatError> {
    let next = AtomicUsize::new(0);
    let failed = AtomicUsize::new(usize::MAX);
    let work = || {
        let mut buffer = Buffer::default();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= count || failed.load(Ordering::Relaxed) < index {
                return None;
            }
            if let Err(error) = job(index, &mut buffer) {
                failed.fetch_min(index, Ordering::Relaxed);
                return Some((index, error));
            }
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    // Threads cost more than a few windows do.
    let threads = cores.min(MOST_THREADS).min(count.div_ceil(4));
    let errors: Vec<Option<(usize, FormatError)>> = if threads <= 1 {
        vec![work()]
    } else {
        let done: Option<Vec<_>> = std::thread::scope(|scope| {
            let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
            let own = work();
            let others = others.into_iter().map(|thread| thread.join().ok());
            others.chain([Some(own)]).collect()
        });
        done.ok_or_else(|| {
            let what = "a thread that moves bytes failed".to_owned();
            FormatError::Output { path: path.to_owned(), what }
        })?
    };
    match errors.into_iter().flatten().min_by_key(|(index, _)| *index) {
        Some((_, error)) => Err(error),
        None => Ok(()),
    }
}
