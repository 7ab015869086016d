//! Reads torch's zip archives: which records there are and where their bytes lie.
//!
//! The zip structure is the `zip` crate's job. It looks for the start of the central directory in a
//! way that fails for some of torch's files (a root folder of 21 characters), unless it is told
//! that nothing stands before the archive.

use std::collections::{HashMap, HashSet};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use zip::CompressionMethod;
use zip::read::{ArchiveOffset, Config, ZipArchive};

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

/// Reads a shared file from a position of its own, through a window that survives seeking: the
/// local headers of small records, one after the other, cost one read for many.
struct Positioned {
    file: Arc<SourceFile>,
    position: u64,
    window: Vec<u8>,
    window_at: u64,
}

const WINDOW: usize = 16 << 10;

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

impl Archive {
    /// Lists the records of a file and checks that it is an archive as torch writes it: one root
    /// folder, plain names, no name twice, no overlap, `version` and `data.pkl` there.
    ///
    /// # Errors
    /// Where the archive is damaged or is no torch file.
    pub(super) fn open(file: &Arc<SourceFile>) -> Result<Self, FormatError> {
        let path = file.path();
        let damaged = |error: zip::result::ZipError| damaged(path, &error);
        let reader = Positioned { file: file.clone(), position: 0, window: Vec::new(), window_at: 0 };
        let config = Config { archive_offset: ArchiveOffset::Known(0) };
        let mut zip = ZipArchive::with_config(config, reader).map_err(damaged)?;
        zip.validate_header_consistency().map_err(damaged)?;

        let mut records = Vec::new();
        let mut by_name = HashMap::new();
        let mut root: Option<String> = None;
        let mut full_names = HashSet::new();
        for place in 0..zip.len() {
            let entry = zip.by_index_raw(place).map_err(damaged)?;
            let full = String::from_utf8(entry.name_raw().to_vec());
            let full = full.unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
            let bad = |what: &str| FormatError::Record {
                path: path.to_owned(),
                entry: full.clone(),
                what: what.to_owned(),
            };
            if entry.encrypted() {
                return Err(bad("is encrypted"));
            }
            if full.contains(['\\', '\0', '\u{fffd}'])
                || full.split('/').any(|part| matches!(part, "" | "." | ".."))
            {
                return Err(bad("has a name that does not belong into a torch file"));
            }
            let Some((folder, name)) = full.split_once('/') else {
                return Err(bad("does not lie in the root folder that a torch file has"));
            };
            match &root {
                Some(root) if root != folder => {
                    return Err(bad(&format!("does not lie in the root folder `{root}`")));
                }
                Some(_) => {}
                None => root = Some(folder.to_owned()),
            }
            if !full_names.insert(full.clone()) {
                return Err(bad("is there twice"));
            }
            let size = entry.size();
            let stored_at = match entry.compression() {
                CompressionMethod::Stored if entry.compressed_size() != size => {
                    return Err(bad("is stored but has two sizes"));
                }
                CompressionMethod::Stored => Some(entry.data_start().ok_or_else(|| bad("has no data"))?),
                CompressionMethod::Deflated => None,
                other => return Err(bad(&format!("is compressed with {other}, which torch does not read"))),
            };
            if stored_at.is_some_and(|at| at.checked_add(size).is_none_or(|end| end > file.len())) {
                return Err(bad("reaches beyond the end of the file"));
            }
            by_name.insert(name.to_owned(), records.len());
            let (name, crc, packed) = (name.to_owned(), entry.crc32(), entry.compressed_size());
            records.push(Record { name, crc, size, packed, stored_at, place });
        }
        let archive = Archive { file: file.clone(), zip, root: root.unwrap_or_default(), records, by_name };
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
                    let entry = name.to_owned();
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

    /// Inflates a record, never more than its declared size; the zip crate checks the CRC.
    fn inflate(&mut self, record: &Record, into: &mut dyn Write) -> Result<(), FormatError> {
        let path = self.file.path().to_owned();
        let error =
            |what: String| FormatError::Record { path: path.clone(), entry: record.name.clone(), what };
        let entry = self.zip.by_index(record.place).map_err(|error| damaged(&path, &error))?;
        let mut limited = entry.take(record.size.saturating_add(1));
        let count =
            io::copy(&mut limited, into).map_err(|source| error(format!("cannot be inflated: {source}")))?;
        if count != record.size {
            return Err(error(format!("does not inflate to the {} bytes it declares", record.size)));
        }
        Ok(())
    }
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
