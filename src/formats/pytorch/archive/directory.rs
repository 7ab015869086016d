//! The directory of an archive: what each entry is said to be, and where.

use std::collections::HashSet;

use super::end::{self, End};
use super::fields::{LARGE, u16_at, u32_at, u64_at, zip64_field};
use super::positioned::Positioned;
use crate::formats::FormatError;

const HEADER: u32 = 0x0201_4b50;
const HEADER_LEN: usize = 46;
/// More entries than any file of torch has; each takes memory that is several times its header.
const MOST_ENTRIES: u64 = 4_000_000;

/// What a header of the directory says of an entry.
#[derive(Clone, Debug)]
pub(super) struct Header {
    /// The whole name, root folder and all.
    pub(super) name: String,
    pub(super) flags: u16,
    pub(super) method: u16,
    pub(super) crc: u32,
    pub(super) compressed: u64,
    pub(super) size: u64,
    /// Where its local header begins.
    pub(super) at: u64,
}

/// A file is not as it should be at one entry.
pub(super) fn wrong(reader: &Positioned, entry: &str, what: impl Into<String>) -> FormatError {
    FormatError::Record { path: reader.file().path().to_owned(), entry: entry.to_owned(), what: what.into() }
}

/// Reads the directory: the headers in their order, and where it begins.
///
/// # Errors
/// Where it is not all of what the end of the file says, a header contradicts itself, or a name is there twice.
pub(super) fn read(reader: &mut Positioned) -> Result<(Vec<Header>, u64), FormatError> {
    let path = reader.file().path().to_owned();
    let damaged = |what: String| FormatError::Zip { path: path.clone(), what };
    let End { directory_at, directory_end, entries } = end::read(reader)?;
    if entries > MOST_ENTRIES {
        return Err(damaged(format!("it has {entries} entries, the limit is {MOST_ENTRIES}")));
    }
    let mut headers: Vec<Header> = Vec::new();
    let mut at = directory_at;
    for number in 0..entries {
        let Some((header, next)) = header(reader, at, directory_end)? else {
            let what = match headers.last() {
                Some(last) => format!(
                    "its directory should have {entries} entries, and after {number} of them, the last being \
                     `{}`, there is none",
                    last.name
                ),
                None => format!("its directory should have {entries} entries, and has none"),
            };
            return Err(damaged(what));
        };
        headers.push(header);
        at = next;
    }
    if at != directory_end {
        let what = format!("its directory has more in it than the {entries} entries that it should have");
        return Err(damaged(what));
    }
    let mut names = HashSet::with_capacity(headers.len());
    if let Some(twice) = headers.iter().find(|header| !names.insert(header.name.as_str())) {
        return Err(wrong(reader, &twice.name, "is there twice"));
    }
    Ok((headers, directory_at))
}

/// The header at a place, and where the next one begins; `None` where there is none before `end`.
fn header(reader: &mut Positioned, at: u64, end: u64) -> Result<Option<(Header, u64)>, FormatError> {
    let name_at = at.saturating_add(HEADER_LEN as u64);
    if name_at > end {
        return Ok(None);
    }
    let mut fixed = [0; HEADER_LEN];
    reader.fill(&mut fixed, at)?;
    let lens = [u16_at(&fixed, 28), u16_at(&fixed, 30), u16_at(&fixed, 32)];
    let next = name_at + lens.into_iter().map(u64::from).sum::<u64>();
    if u32_at(&fixed, 0) != HEADER || next > end {
        return Ok(None);
    }
    let name = reader.bytes(name_at, lens[0])?;
    let name = String::from_utf8(name).map_err(|error| {
        wrong(reader, &String::from_utf8_lossy(error.as_bytes()), "has a name that is not UTF-8")
    })?;
    let extra = reader.bytes(name_at + u64::from(lens[0]), lens[1])?;
    let bad = |what: &str| wrong(reader, &name, what);

    let (mut compressed, mut size) = (u64::from(u32_at(&fixed, 20)), u64::from(u32_at(&fixed, 24)));
    let mut local = u64::from(u32_at(&fixed, 42));
    let mut values = zip64_field(&extra).map_err(bad)?;
    for value in [&mut size, &mut compressed, &mut local] {
        if *value == u64::from(LARGE) {
            let Some((first, rest)) = values.and_then(<[u8]>::split_first_chunk::<8>) else {
                return Err(bad("refers to a zip64 value that is not there"));
            };
            *value = u64_at(first, 0);
            values = Some(rest);
        }
    }
    if values.is_some_and(|rest| !rest.is_empty()) {
        return Err(bad("has zip64 values beside others"));
    }
    if u16_at(&fixed, 34) != 0 {
        return Err(bad("is said to lie on another disk"));
    }
    let (flags, method, crc) = (u16_at(&fixed, 8), u16_at(&fixed, 10), u32_at(&fixed, 16));
    Ok(Some((Header { name, flags, method, crc, compressed, size, at: local }, next)))
}
