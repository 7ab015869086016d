//! Reads a shared file from a position of its own.

use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use crate::formats::{FormatError, SourceFile};

const WINDOW: usize = 16 << 10;

/// A reader of a shared file, through a window that survives seeking: headers of small records, one after the
/// other, cost one read for many.
pub(super) struct Positioned {
    file: Arc<SourceFile>,
    position: u64,
    window: Vec<u8>,
    window_at: u64,
}

impl Positioned {
    pub(super) fn new(file: &Arc<SourceFile>) -> Self {
        Positioned { file: file.clone(), position: 0, window: Vec::new(), window_at: 0 }
    }

    /// The file that is read.
    pub(super) fn file(&self) -> &SourceFile {
        &self.file
    }

    /// Fills a buffer from the bytes at `offset`.
    pub(super) fn fill(&mut self, buffer: &mut [u8], offset: u64) -> Result<(), FormatError> {
        self.position = offset;
        self.read_exact(buffer).map_err(|source| FormatError::io(self.file.path(), "read", source))
    }

    /// The bytes at `offset`, of which there are few: names, extra fields.
    pub(super) fn bytes(&mut self, offset: u64, len: u16) -> Result<Vec<u8>, FormatError> {
        let mut bytes = vec![0; usize::from(len)];
        self.fill(&mut bytes, offset)?;
        Ok(bytes)
    }
}

impl Read for Positioned {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.len() >= WINDOW {
            let count = self.file.file().read_at(buffer, self.position)?;
            self.position += count as u64;
            return Ok(count);
        }
        let inside = |window: &Vec<u8>, at: u64| {
            let skip = self.position.checked_sub(at).and_then(|skip| usize::try_from(skip).ok())?;
            window.get(skip..).filter(|rest| !rest.is_empty()).map(<[u8]>::len)
        };
        if inside(&self.window, self.window_at).is_none() {
            self.window.resize(WINDOW, 0);
            let count = self.file.file().read_at(&mut self.window, self.position)?;
            self.window.truncate(count);
            self.window_at = self.position;
        }
        let skip = usize::try_from(self.position - self.window_at).unwrap_or(usize::MAX);
        let rest = self.window.get(skip..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.position += count as u64;
        Ok(count)
    }
}

impl Seek for Positioned {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(step) => self.file.len().checked_add_signed(step),
            SeekFrom::Current(step) => self.position.checked_add_signed(step),
        };
        self.position = position.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::path::Path;

    use super::*;

    #[test]
    fn reads_of_all_lengths_follow_each_other() -> Result<(), Box<dyn std::error::Error>> {
        let bytes: Vec<u8> = (0..30_000_u32).flat_map(u32::to_le_bytes).collect();
        let mut file = tempfile::tempfile()?;
        file.write_all(&bytes)?;
        let mut reader = Positioned::new(&SourceFile::from_file(Path::new("a"), file)?);
        let mut at = 0;
        for len in [WINDOW, 7, WINDOW + 1, WINDOW - 1, WINDOW - 1, 2 * WINDOW] {
            let mut read = vec![0; len];
            reader.read_exact(&mut read)?;
            assert!(read == bytes[at..at + len], "{len} bytes at {at}");
            at += len;
        }
        Ok(())
    }
}
