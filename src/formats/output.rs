//! The file that is being written: one position, a buffer for small pieces, the kernel for large ones.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use rustix::io::Errno;

use super::{Extent, FormatError, Progress};

/// How much is read, hashed and written at a time.
pub(super) const CHUNK: usize = 1 << 20;

/// From this size on the kernel copies an extent; below it a trip through the buffer is cheaper.
const KERNEL_COPY: u64 = 64 << 10;

/// A file written from start to end.
pub(super) struct OutputFile<'a> {
    path: &'a Path,
    file: &'a File,
    pending: Vec<u8>,
    chunk: Vec<u8>,
    position: u64,
    progress: &'a dyn Progress,
    /// Whether the kernel has not yet refused to copy between the files at hand.
    kernel_copies: bool,
}

impl<'a> OutputFile<'a> {
    /// Starts at the beginning of an empty file; `path` is what errors name.
    pub(super) fn new(path: &'a Path, file: &'a File, progress: &'a dyn Progress) -> Self {
        OutputFile {
            path,
            file,
            pending: Vec::with_capacity(CHUNK),
            chunk: Vec::new(),
            position: 0,
            progress,
            kernel_copies: true,
        }
    }

    /// The output as the user named it.
    pub(super) fn path(&self) -> &'a Path {
        self.path
    }

    /// How many bytes the file holds, with those that are still in the buffer.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Writes bytes.
    ///
    /// # Errors
    /// Where the system refuses.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), FormatError> {
        if self.pending.len() + bytes.len() > CHUNK {
            self.flush()?;
        }
        if bytes.len() >= CHUNK {
            self.file.write_all(bytes).map_err(|source| FormatError::io(self.path, "write", source))?;
        } else {
            self.pending.extend_from_slice(bytes);
        }
        self.advance(bytes.len() as u64);
        Ok(())
    }

    /// Writes the bytes of an extent, moved by the kernel where it can.
    ///
    /// # Errors
    /// Where reading or writing fails.
    pub(super) fn copy(&mut self, extent: &Extent) -> Result<(), FormatError> {
        let mut done = 0;
        if extent.len >= KERNEL_COPY && self.kernel_copies {
            self.flush()?;
            while done < extent.len {
                let want = usize::try_from((extent.len - done).min(64 << 20)).unwrap_or(CHUNK);
                let mut from = extent.offset + done;
                match rustix::fs::copy_file_range(extent.file.file(), Some(&mut from), self.file, None, want)
                {
                    Ok(0) => break, // the source ends too early: reading it says so
                    Ok(moved) => {
                        done += moved as u64;
                        self.advance(moved as u64);
                    }
                    Err(Errno::INTR) => {}
                    Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::PERM) => {
                        self.kernel_copies = false;
                        break;
                    }
                    Err(error) => return Err(FormatError::io(self.path, "write", error.into())),
                }
            }
        }
        self.copy_through_memory(extent, done, |_| ())
    }

    /// Writes the bytes of an extent and adds them to a CRC.
    ///
    /// # Errors
    /// Where reading or writing fails.
    pub(super) fn copy_hashing(
        &mut self,
        extent: &Extent,
        crc: &mut crc32fast::Hasher,
    ) -> Result<(), FormatError> {
        self.copy_through_memory(extent, 0, |bytes| crc.update(bytes))
    }

    fn copy_through_memory(
        &mut self,
        extent: &Extent,
        mut done: u64,
        mut see: impl FnMut(&[u8]),
    ) -> Result<(), FormatError> {
        let mut chunk = std::mem::take(&mut self.chunk);
        while done < extent.len {
            let len = usize::try_from((extent.len - done).min(CHUNK as u64)).unwrap_or(CHUNK);
            chunk.resize(len, 0);
            extent.file.read_at(&mut chunk, extent.offset + done)?;
            see(&chunk);
            self.write(&chunk)?;
            done += len as u64;
        }
        self.chunk = chunk;
        Ok(())
    }

    /// Writes what is in the buffer.
    ///
    /// # Errors
    /// Where the system refuses.
    pub(super) fn flush(&mut self) -> Result<(), FormatError> {
        let result: io::Result<()> = self.file.write_all(&self.pending);
        self.pending.clear();
        result.map_err(|source| FormatError::io(self.path, "write", source))
    }

    fn advance(&mut self, bytes: u64) {
        self.position += bytes;
        self.progress.advance(bytes);
    }
}
