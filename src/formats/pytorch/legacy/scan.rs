//! How long a pickle is, found without running it.
//!
//! The legacy format does not say where its pickles end, and gigabytes of tensors may follow. So the opcodes
//! are walked up to `STOP`, and only then is the pickle read into memory. What this finds is not trusted: the
//! machine reads the same bytes again and must end at the same place.

use super::super::opcode::{self, Argument, STOP};
use crate::formats::{FormatError, SourceFile};

/// What came of a scan.
pub(super) enum Scanned {
    /// The pickle has this many bytes.
    Whole(u64),
    /// It does not reach its `STOP`.
    Stopped {
        /// The opcode that cannot be passed.
        opcode: String,
        /// Where it is, in bytes from the start of the pickle.
        offset: u64,
        /// What is wrong.
        what: String,
    },
    /// It has more bytes than the limit.
    TooLong,
}

const WINDOW: usize = 64 << 10;

/// A file that is read from front to back in pieces.
struct Window<'a> {
    file: &'a SourceFile,
    bytes: Vec<u8>,
    /// Where the window begins in the file.
    start: u64,
    /// Where the next byte is in the file.
    position: u64,
}

impl Window<'_> {
    /// The bytes from the position on, at least one of them; empty at the end of the file.
    fn rest(&mut self) -> Result<&[u8], FormatError> {
        let end = self.start + self.bytes.len() as u64;
        // It moves forwards alone.
        if self.position >= end {
            let left = self.file.len().saturating_sub(self.position);
            self.bytes.resize(usize::try_from(left).unwrap_or(WINDOW).min(WINDOW), 0);
            self.start = self.position;
            self.file.read_at(&mut self.bytes, self.start)?;
        }
        let skip = usize::try_from(self.position - self.start).unwrap_or(usize::MAX);
        Ok(self.bytes.get(skip..).unwrap_or_default())
    }

    fn byte(&mut self) -> Result<Option<u8>, FormatError> {
        let byte = self.rest()?.first().copied();
        self.position += u64::from(byte.is_some());
        Ok(byte)
    }

    /// Passes bytes; false where the file has not as many.
    fn skip(&mut self, count: u64) -> bool {
        let end = self.position.checked_add(count).filter(|&end| end <= self.file.len());
        self.position = end.unwrap_or(self.position);
        end.is_some()
    }

    /// A length of `width` bytes.
    fn length(&mut self, width: usize) -> Result<Option<u64>, FormatError> {
        let mut length = [0; 8];
        for place in length.iter_mut().take(width) {
            let Some(byte) = self.byte()? else { return Ok(None) };
            *place = byte;
        }
        Ok(Some(u64::from_le_bytes(length)))
    }

    /// Passes a line, of which no more than `limit` bytes are looked at.
    fn line(&mut self, limit: u64) -> Result<bool, FormatError> {
        let begin = self.position;
        while self.position - begin <= limit {
            let rest = self.rest()?;
            if rest.is_empty() {
                return Ok(false);
            }
            let end = rest.iter().position(|&byte| byte == b'\n');
            let passed = end.map_or(rest.len(), |end| end + 1) as u64;
            self.position += passed;
            if end.is_some() {
                return Ok(true);
            }
        }
        Ok(true) // too long, which the caller sees
    }
}

/// The length of the pickle that begins at `start`.
///
/// # Errors
/// Where the system refuses to read.
pub(super) fn pickle_len(file: &SourceFile, start: u64, limit: u64) -> Result<Scanned, FormatError> {
    let mut window = Window { file, bytes: Vec::new(), start, position: start };
    loop {
        let offset = window.position.saturating_sub(start);
        if offset >= limit {
            return Ok(Scanned::TooLong);
        }
        let stopped = |opcode: &str, what: &str| {
            Ok(Scanned::Stopped { opcode: opcode.to_owned(), offset, what: what.to_owned() })
        };
        let Some(code) = window.byte()? else {
            return stopped("the end", "the file ends inside the pickle");
        };
        if code == STOP {
            return Ok(Scanned::Whole(offset + 1));
        }
        let (Some(argument), Some(name)) = (opcode::argument(code), opcode::name(code)) else {
            return stopped(&format!("byte {code:#04x}"), "there is no such opcode: the pickle is damaged");
        };
        let inside = match argument {
            Argument::Fixed(count) => window.skip(count as u64),
            Argument::Counted(width) => match window.length(width)? {
                Some(length) => window.skip(length),
                None => false,
            },
            Argument::Lines(count) => {
                let mut inside = true;
                for _ in 0..count {
                    inside = inside && window.line(limit)?;
                }
                inside
            }
        };
        if !inside {
            return stopped(name, "the file ends inside its argument");
        }
    }
}
