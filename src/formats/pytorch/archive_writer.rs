//! Writes zip archives in the exact layout of torch's `PyTorchStreamWriter` (miniz underneath).
//!
//! Records are stored, their data begins at multiples of 64 bytes, sizes and CRCs follow the data
//! in descriptors. `.format_version` and `.storage_alignment` promise this layout to torch, which
//! then computes where storages lie instead of looking: a writer that keeps those records must not
//! deviate. All of it was compared byte for byte with files of torch 2.11.

use super::super::FormatError;
use super::super::mover::Moved;
use super::super::output::{OutputFile, Sum};

const ALIGNMENT: u64 = 64;
const LARGE: u64 = 0xFFFF_FFFF;

/// A record that has been laid out.
struct Record {
    name: String,
    crc: Crc,
    size: u64,
    offset: u64,
    /// Where its descriptor lies, where it has one.
    descriptor: u64,
}

/// The CRC-32 of a record.
#[derive(Clone, Copy)]
pub(super) enum Crc {
    /// It is known: the bytes are at hand, or the source records it.
    Known(u32),
    /// It is computed while the bytes are moved.
    Computed(Sum),
}

impl Crc {
    fn value(self, sums: &[u32]) -> u32 {
        match self {
            Crc::Known(crc) => crc,
            Crc::Computed(sum) => sum.of(sums),
        }
    }
}

/// An archive under construction.
pub(super) struct ArchiveWriter<'o, 'f> {
    out: &'o mut OutputFile<'f>,
    root: String,
    records: Vec<Record>,
}

impl<'o, 'f> ArchiveWriter<'o, 'f> {
    /// Starts an archive of about so many records, which lie in the folder `root`.
    pub(super) fn new(out: &'o mut OutputFile<'f>, root: &str, records: usize) -> Self {
        // The data of each, and what lies around it.
        out.reserve(2 * records);
        ArchiveWriter { out, root: root.to_owned(), records: Vec::with_capacity(records) }
    }

    /// Lays out a record whose bytes are at hand.
    ///
    /// # Errors
    /// Where its name is too long.
    pub(super) fn record(&mut self, name: &str, bytes: Vec<u8>) -> Result<(), FormatError> {
        self.body(name, bytes.len() as u64, |out| {
            let crc = crc32fast::hash(&bytes);
            out.own_text(bytes);
            Crc::Known(crc)
        })
    }

    /// Lays out a record of `size` bytes that `lay` lays out.
    ///
    /// # Errors
    /// Where its name is too long, or `lay` does not lay out `size` bytes.
    pub(super) fn body(
        &mut self,
        name: &str,
        size: u64,
        lay: impl FnOnce(&mut OutputFile<'f>) -> Crc,
    ) -> Result<(), FormatError> {
        let full = format!("{}/{name}", self.root);
        let offset = self.out.position();
        let name_len = u16::try_from(full.len()).map_err(|_| self.wrong("an entry name is too long"))?;
        let mut extra = Vec::new();
        if size >= LARGE || offset >= LARGE {
            // The data size stands as [size, 0]: miniz writes the compressed size as 0 here.
            let sizes = if size >= LARGE { vec![size, 0] } else { Vec::new() };
            zip64_field(&mut extra, &sizes, offset);
        }
        let unpadded = offset + 30 + full.len() as u64 + extra.len() as u64 + 4;
        let padding = (ALIGNMENT - unpadded % ALIGNMENT) % ALIGNMENT;
        extra.extend(b"FB");
        extra.extend(low16(padding).to_le_bytes());
        extra.extend(std::iter::repeat_n(b'Z', usize::from(low16(padding))));

        let mut header = Vec::with_capacity(128);
        header.extend(0x0403_4b50_u32.to_le_bytes());
        header.extend(0_u16.to_le_bytes()); // version needed
        header.extend(flags(size).to_le_bytes());
        header.extend([0; 2 + 2 + 2 + 4 + 4 + 4]); // method, time, date, CRC, sizes
        header.extend(name_len.to_le_bytes());
        header.extend(low16(extra.len() as u64).to_le_bytes());
        header.extend(full.as_bytes());
        header.extend(&extra);
        self.out.text(&header);

        let begin = self.out.position();
        let crc = lay(self.out);
        if self.out.position() - begin != size {
            return Err(self.wrong(&format!("entry `{full}` has another size than announced")));
        }
        let record = Record { name: full, crc, size, offset, descriptor: self.out.position() };
        if size > 0 {
            // A sum that is not known yet is written over this one.
            let known = match crc {
                Crc::Known(crc) => crc,
                Crc::Computed(_) => 0,
            };
            self.out.text(&record.descriptor(known));
        }
        self.records.push(record);
        Ok(())
    }

    /// Moves all records into the file, and writes the central directory and the end records behind them: zip64
    /// ones always, as torch has them. Returns how the bytes were moved, the sums that were computed, and the
    /// length of the file.
    ///
    /// # Errors
    /// Where reading or writing fails.
    pub(super) fn finish(self) -> Result<(Moved, Vec<u32>, u64), FormatError> {
        let (moved, sums) = self.out.fill()?;
        for record in self.records.iter().filter(|record| record.size > 0) {
            if matches!(record.crc, Crc::Computed(_)) {
                self.out.amend(record.descriptor, &record.descriptor(record.crc.value(&sums)))?;
            }
        }
        let start = self.out.position();
        let directory = self.directory(start, &sums);
        self.out.amend(start, &directory)?;
        Ok((moved, sums, start + directory.len() as u64))
    }

    /// The central directory and the end records of an archive whose records end at `start`.
    fn directory(&self, start: u64, sums: &[u32]) -> Vec<u8> {
        let mut directory = Vec::with_capacity(self.records.len() * 96);
        for record in &self.records {
            let mut extra = Vec::new();
            if record.size >= LARGE || record.offset >= LARGE {
                let sizes = if record.size >= LARGE { vec![record.size; 2] } else { Vec::new() };
                zip64_field(&mut extra, &sizes, record.offset);
            }
            let mut header = Vec::with_capacity(128);
            header.extend(0x0201_4b50_u32.to_le_bytes());
            header.extend([0; 2 + 2]); // versions
            header.extend(flags(record.size).to_le_bytes());
            header.extend([0; 2 + 2 + 2]); // method, time, date
            header.extend(record.crc.value(sums).to_le_bytes());
            header.extend(low32(record.size).to_le_bytes());
            header.extend(low32(record.size).to_le_bytes());
            header.extend(low16(record.name.len() as u64).to_le_bytes());
            header.extend(low16(extra.len() as u64).to_le_bytes());
            header.extend([0; 2 + 2 + 2 + 4]); // comment, disk, attributes
            header.extend(low32(record.offset).to_le_bytes());
            header.extend(record.name.as_bytes());
            header.extend(&extra);
            directory.append(&mut header);
        }
        let end = start + directory.len() as u64;
        let count = self.records.len() as u64;
        let mut tail = Vec::with_capacity(98);
        tail.extend(0x0606_4b50_u32.to_le_bytes());
        tail.extend(44_u64.to_le_bytes());
        tail.extend(0x031e_u16.to_le_bytes());
        tail.extend(45_u16.to_le_bytes());
        tail.extend([0; 4 + 4]); // disks
        for number in [count, count, end - start, start] {
            tail.extend(number.to_le_bytes());
        }
        tail.extend(0x0706_4b50_u32.to_le_bytes());
        tail.extend([0; 4]);
        tail.extend(end.to_le_bytes());
        tail.extend(1_u32.to_le_bytes());
        tail.extend(0x0605_4b50_u32.to_le_bytes());
        tail.extend([0; 2 + 2]);
        tail.extend(low16(count).to_le_bytes());
        tail.extend(low16(count).to_le_bytes());
        tail.extend(low32(end - start).to_le_bytes());
        tail.extend(low32(start).to_le_bytes());
        tail.extend([0; 2]);
        directory.append(&mut tail);
        directory
    }

    fn wrong(&self, what: &str) -> FormatError {
        FormatError::Output { path: self.out.path().to_owned(), what: what.to_owned() }
    }
}

impl Record {
    /// The descriptor that follows the data.
    fn descriptor(&self, crc: u32) -> Vec<u8> {
        let mut descriptor = Vec::with_capacity(24);
        descriptor.extend(0x0807_4b50_u32.to_le_bytes());
        descriptor.extend(crc.to_le_bytes());
        for _ in 0..2 {
            if self.size >= LARGE || self.offset >= LARGE {
                descriptor.extend(self.size.to_le_bytes());
            } else {
                descriptor.extend(low32(self.size).to_le_bytes());
            }
        }
        descriptor
    }
}

/// UTF-8 names always; a descriptor where there is data.
fn flags(size: u64) -> u16 {
    if size > 0 { 0x0808 } else { 0x0800 }
}

/// The zip64 field: the sizes where given, then the offset where it does not fit 32 bits.
fn zip64_field(extra: &mut Vec<u8>, sizes: &[u64], offset: u64) {
    let offset = (offset >= LARGE).then_some(offset);
    let values: Vec<u64> = sizes.iter().copied().chain(offset).collect();
    extra.extend(1_u16.to_le_bytes());
    extra.extend(low16(values.len() as u64 * 8).to_le_bytes());
    for value in values {
        extra.extend(value.to_le_bytes());
    }
}

/// A number for a 16-bit field, all ones where it does not fit.
fn low16(value: u64) -> u16 {
    u16::try_from(value).unwrap_or(u16::MAX)
}

/// A number for a 32-bit field, all ones where it does not fit.
fn low32(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_record_is_as_long_as_announced_and_has_a_name_that_fits() {
        let file = tempfile::tempfile().unwrap();
        let mut out = OutputFile::new(Path::new("model.pt"), &file, &());
        let mut archive = ArchiveWriter::new(&mut out, "root", 1);
        let mut laid = |name: &str, size: u64| {
            let record = archive.body(name, size, |out| {
                out.text(b"four");
                Crc::Known(0)
            });
            record.map_err(|error| error.to_string())
        };
        assert!(laid("data/0", 4).is_ok());
        for size in [3, 5] {
            let error = laid("data/1", size).unwrap_err();
            assert!(error.contains("entry `root/data/1` has another size than announced"), "{error}");
        }
        let root = "root/".len();
        assert!(laid(&"x".repeat(usize::from(u16::MAX) - root), 4).is_ok());
        assert!(laid(&"x".repeat(usize::from(u16::MAX) - root + 1), 4).is_err());
    }
}
