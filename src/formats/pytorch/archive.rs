//! Reads torch's zip archives: which records there are and where their bytes lie.
//!
//! What the headers say is read twice. The own pass (`end`, `directory`, `local`) holds every number against the
//! others and names the entry that is wrong, which the `zip` crate does not; it leaves no byte of the file unaccounted for,
//! so that no two readers can see different entries in it. The crate must then see the same, and inflates. It looks
//! for the start of the directory in a way that fails for some of torch's files (a root folder of 21 characters),
//! unless it is told that nothing stands before the archive.

mod directory;
mod end;
mod fields;
mod local;
mod positioned;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use zip::read::{ArchiveOffset, Config, ZipArchive};

use self::directory::{Header, wrong};
use self::positioned::Positioned;
use super::super::Foreign;
use super::super::{Extent, FormatError, Limit, Limits, SourceFile};

/// One record of an archive.
#[derive(Clone, Debug)]
pub(super) struct Record {
    /// The name below the root folder.
    pub(super) name: String,
    /// The CRC-32 of the bytes, as the central directory has it.
    pub(super) crc: u32,
    /// The number of bytes, inflated.
    pub(super) size: u64,
    /// How many bytes it takes in the file.
    pub(super) packed: u64,
    /// Where the bytes are in the file, if they are stored as they are.
    pub(super) stored_at: Option<u64>,
    place: usize,
}

/// The records of a torch file.
pub(super) struct Archive {
    file: Arc<SourceFile>,
    zip: ZipArchive<Positioned>,
    /// The name of the folder that holds all records.
    pub(super) root: String,
    /// The records in the order of the central directory.
    pub(super) records: Vec<Record>,
    by_name: HashMap<String, usize>,
}

const STORED: u16 = 0;
const DEFLATED: u16 = 8;
const AES: u16 = 99;
const ENCRYPTED: u16 = 1 | 1 << 6 | 1 << 13;

impl Archive {
    /// Lists the records of a file and checks that it is an archive as torch writes it: one root
    /// folder, plain names, no name twice, no overlap, `version` and `data.pkl` there.
    ///
    /// # Errors
    /// Where the archive is damaged or is no torch file.
    pub(super) fn open(file: &Arc<SourceFile>) -> Result<Self, FormatError> {
        let mut reader = Positioned::new(file);
        let (headers, directory_at) = directory::read(&mut reader)?;
        let starts = local::data_starts(&mut reader, &headers, directory_at)?;
        let mut records = Vec::with_capacity(headers.len());
        let mut by_name = HashMap::with_capacity(headers.len());
        let mut root: Option<&str> = None;
        for (place, (header, start)) in headers.iter().zip(starts).enumerate() {
            let bad = |what: &str| Err(wrong(&reader, &header.name, what));
            let (folder, name) = match place_of(&header.name) {
                Ok(place) => place,
                Err(what) => return bad(what),
            };
            let root = *root.get_or_insert(folder);
            if folder != root {
                return bad(&format!("does not lie in the root folder `{root}`"));
            }
            if header.flags & ENCRYPTED != 0 || header.method == AES {
                return bad("is encrypted");
            }
            let stored_at = match header.method {
                STORED if header.compressed != header.size => {
                    return bad("is stored as it is but has two sizes");
                }
                STORED => Some(start),
                DEFLATED if header.size > most_inflated(header.compressed) => {
                    return bad(&format!(
                        "should inflate to {} bytes, which its {} bytes cannot hold",
                        header.size, header.compressed
                    ));
                }
                DEFLATED => None,
                other => {
                    return bad(&format!("is compressed by method {other}, which torch does not read"));
                }
            };
            by_name.insert(name.to_owned(), records.len());
            let (name, crc, size, packed) = (name.to_owned(), header.crc, header.size, header.compressed);
            records.push(Record { name, crc, size, packed, stored_at, place });
        }
        let root = root.unwrap_or_default().to_owned();
        let zip = second_opinion(reader, &headers)?;
        let archive = Archive { file: file.clone(), zip, root, records, by_name };
        archive.check_torch()?;
        Ok(archive)
    }

    fn check_torch(&self) -> Result<(), FormatError> {
        let path = self.file.path().to_owned();
        if self.record("constants.pkl").is_some() {
            return Err(FormatError::NotACheckpoint { path, kind: Foreign::TorchScript });
        }
        let mut missing = ["data.pkl", "version"].into_iter().filter(|name| self.record(name).is_none());
        match missing.next() {
            Some(name) => Err(FormatError::NotTorch { path, what: format!("it has no entry `{name}`") }),
            None => Ok(()),
        }
    }

    /// The record of this name below the root folder.
    pub(super) fn record(&self, name: &str) -> Option<&Record> {
        self.by_name.get(name).and_then(|&index| self.records.get(index))
    }

    /// Whether all records lie as torch lays them: stored, at multiples of 64 bytes.
    pub(super) fn has_torch_layout(&self) -> bool {
        self.records.iter().all(|record| record.stored_at.is_some_and(|at| at.is_multiple_of(64)))
    }

    /// The bytes of a record in memory, checked against its CRC.
    ///
    /// # Errors
    /// Where the record is larger than `limit`, of which `raise` is the name, or damaged.
    pub(super) fn read(
        &mut self,
        name: &str,
        (limit, raise): (u64, Option<Limit>),
    ) -> Result<Vec<u8>, FormatError> {
        let path = self.file.path().to_owned();
        let Some(record) = self.record(name).cloned() else {
            return Err(FormatError::NotTorch { path, what: format!("it has no entry `{name}`") });
        };
        if record.size > limit {
            return Err(FormatError::TooLarge {
                path,
                what: format!("entry `{name}`"),
                size: record.size,
                limit,
                raise,
            });
        }
        let mut bytes = Vec::new();
        match record.stored_at {
            Some(at) => {
                // The archive was checked to hold this many bytes: the allocation is bounded by the file.
                bytes.resize(usize::try_from(record.size).unwrap_or(usize::MAX), 0);
                self.file.read_at(&mut bytes, at)?;
                let found = crc32fast::hash(&bytes);
                if found != record.crc {
                    let entry = format!("{}/{name}", self.root);
                    return Err(FormatError::Crc { path, entry, recorded: record.crc, found });
                }
            }
            None => {
                self.inflate(&record, &mut bytes)?;
            }
        }
        Ok(bytes)
    }

    /// Where the bytes of a record are: in the file, or inflated in an unnamed temporary file.
    ///
    /// # Errors
    /// Where a deflated record is damaged, or inflates to more than is left of the budget.
    pub(super) fn extent(
        &mut self,
        name: &str,
        spool: &mut Spool,
        limits: &Limits,
    ) -> Result<Extent, FormatError> {
        let path = self.file.path().to_owned();
        let Some(record) = self.record(name).cloned() else {
            return Err(FormatError::NotTorch { path, what: format!("it has no entry `{name}`") });
        };
        if let Some(offset) = record.stored_at {
            return Ok(Extent { file: self.file.clone(), offset, len: record.size });
        }
        spool.inflated = spool.inflated.saturating_add(record.size);
        let limit = limits.of(Limit::InflatedBytes, self.file.len());
        if spool.inflated > limit {
            let what = "what its compressed entries inflate to".to_owned();
            let (size, raise) = (spool.inflated, Some(Limit::InflatedBytes));
            return Err(FormatError::TooLarge { path, what, size, limit, raise });
        }
        let io = |source| FormatError::io(&path, "inflate", source);
        let mut file = tempfile::tempfile().map_err(io)?;
        self.inflate(&record, &mut file)?;
        let file = SourceFile::from_file(&path, file)?;
        Ok(Extent { len: file.len(), file, offset: 0 })
    }

    /// Inflates a record, never more than its declared size, and checks its CRC.
    fn inflate(&mut self, record: &Record, into: &mut dyn Write) -> Result<(), FormatError> {
        let path = self.file.path().to_owned();
        let entry = || format!("{}/{}", self.root, record.name);
        let error = |what: String| FormatError::Record { path: path.clone(), entry: entry(), what };
        let mut summed = Summed { into, sum: crc32fast::Hasher::new(), count: 0, refused: None };
        let inflated = match self.zip.by_index(record.place) {
            Ok(inflated) => inflated,
            Err(source) => return Err(error(format!("cannot be inflated: {source}"))),
        };
        let copied = io::copy(&mut inflated.take(record.size.saturating_add(1)), &mut summed);
        if let Some(source) = summed.refused {
            return Err(FormatError::io(&path, "inflate", source));
        }
        let (count, found) = (summed.count, summed.sum.finalize());
        // The crate ends data whose CRC is another with an error that does not say so to programs.
        if count == record.size && found != record.crc {
            return Err(FormatError::Crc { path, entry: entry(), recorded: record.crc, found });
        }
        copied.map_err(|source| error(format!("cannot be inflated: {source}")))?;
        if count != record.size {
            return Err(error(format!("does not inflate to the {} bytes that it declares", record.size)));
        }
        Ok(())
    }
}

/// Hands on what is written, and tells a writer that refuses from a reader that does.
struct Summed<'w> {
    into: &'w mut dyn Write,
    sum: crc32fast::Hasher,
    count: u64,
    refused: Option<io::Error>,
}

impl Write for Summed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.into.write(bytes) {
            Ok(count) => {
                self.sum.update(bytes.get(..count).unwrap_or_default());
                self.count += count as u64;
                Ok(count)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => {
                let kind = error.kind();
                self.refused = Some(error);
                Err(kind.into())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.into.flush()
    }
}

/// The root folder and the name below it, of an entry that may be in a torch file: a plain relative path.
fn place_of(full: &str) -> Result<(&str, &str), &'static str> {
    const FOREIGN: &str = "has a name that does not belong into a torch file";
    let plain = |part: &str| !matches!(part, "" | "." | "..");
    if full.contains(['\\', '\0', '\u{fffd}']) || !full.split('/').all(plain) {
        return Err(FOREIGN);
    }
    let Some((root, name)) = full.split_once('/') else {
        return Err("does not lie in the root folder that a torch file has");
    };
    let is_drive = matches!(root.as_bytes(), [letter, b':'] if letter.is_ascii_alphabetic());
    if is_drive { Err(FOREIGN) } else { Ok((root, name)) }
}

/// What deflated bytes can inflate to at most: a run of 258 bytes takes 2 bits.
fn most_inflated(compressed: u64) -> u64 {
    compressed.saturating_mul(258 * 8 / 2)
}

/// Opens the archive by the `zip` crate, which must see the same entries in it.
fn second_opinion(reader: Positioned, headers: &[Header]) -> Result<ZipArchive<Positioned>, FormatError> {
    let path = reader.file().path().to_owned();
    let error = |what: String| FormatError::Zip { path: path.clone(), what };
    let config = Config { archive_offset: ArchiveOffset::Known(0) };
    let zip = ZipArchive::with_config(config, reader).map_err(|error| damaged(&path, &error))?;
    if zip.len() != headers.len() {
        return Err(error(format!("it has {} entries, or {}", headers.len(), zip.len())));
    }
    for (place, header) in headers.iter().enumerate() {
        let seen = zip.by_index_data(place).map_err(|error| damaged(&path, &error))?;
        let same = seen.name_raw() == header.name.as_bytes()
            && seen.header_start() == header.at
            && [seen.compressed_size(), seen.size()] == [header.compressed, header.size]
            && seen.crc32() == header.crc;
        if !same {
            return Err(FormatError::Record {
                path,
                entry: header.name.clone(),
                what: "can be read in two ways".to_owned(),
            });
        }
    }
    Ok(zip)
}

/// Counts what has been inflated from one file.
#[derive(Default)]
pub(super) struct Spool {
    inflated: u64,
}

fn damaged(path: &Path, error: &zip::result::ZipError) -> FormatError {
    let path: PathBuf = path.to_owned();
    match error {
        zip::result::ZipError::Io(source) if source.kind() != io::ErrorKind::UnexpectedEof => {
            let source = io::Error::new(source.kind(), source.to_string());
            FormatError::Io { path, doing: "read", source }
        }
        other => FormatError::Zip { path, what: other.to_string() },
    }
}
