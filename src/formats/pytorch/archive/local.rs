//! What stands before and after the data of an entry, and that entries lie side by side.
//!
//! A reader that goes by the directory and one that goes from the front of the file must see the same entries. So
//! the local headers say what the directory says, the first one begins the file, and nothing lies between an entry's
//! end and the next one's begin.

use super::directory::{Header, wrong};
use super::fields::{LARGE, u16_at, u32_at, u64_at, zip64_field};
use super::positioned::Positioned;
use crate::formats::FormatError;

const HEADER: u32 = 0x0403_4b50;
const HEADER_LEN: usize = 30;
const DESCRIPTOR: u32 = 0x0807_4b50;
/// The flag of an entry whose CRC and sizes follow its data.
const DESCRIBED: u16 = 1 << 3;

/// Where the data of each entry begins, in the order of the directory, which begins at `directory_at`.
///
/// # Errors
/// The first entry, as they lie in the file, that overlaps another, is not where the directory says, or says
/// something else of itself.
pub(super) fn data_starts(
    reader: &mut Positioned,
    headers: &[Header],
    directory_at: u64,
) -> Result<Vec<u64>, FormatError> {
    let mut order: Vec<usize> = (0..headers.len()).collect();
    order.sort_by_key(|&index| headers.get(index).map(|header| header.at));
    let mut starts = vec![0; headers.len()];
    let mut previous: Option<(&Header, u64)> = None;
    // Where an entry lies elsewhere than it is said to, it leaves a gap; that is told only if all entries are right.
    let mut joined = Ok(());
    for &index in &order {
        let Some(header) = headers.get(index) else { continue };
        joined = joined.and_then(|()| joins(reader, previous, header.at, Some(header)));
        let start = local(reader, header, directory_at)?;
        let end = start.checked_add(header.compressed).filter(|&end| end <= directory_at);
        let Some(end) = end else {
            return Err(wrong(
                reader,
                &header.name,
                "reaches beyond the place where the archive's directory begins",
            ));
        };
        if let Some(start_of) = starts.get_mut(index) {
            *start_of = start;
        }
        previous = Some((header, end));
    }
    joined.and_then(|()| joins(reader, previous, directory_at, None))?;
    Ok(starts)
}

/// Checks that what lies between the data of one entry and the next thing is the data's descriptor or nothing.
fn joins(
    reader: &mut Positioned,
    previous: Option<(&Header, u64)>,
    at: u64,
    next: Option<&Header>,
) -> Result<(), FormatError> {
    let Some((previous, end)) = previous else {
        return match (at, next) {
            (0, _) => Ok(()),
            (_, Some(first)) => {
                Err(wrong(reader, &first.name, format!("begins after {at} bytes that belong to nothing")))
            }
            (_, None) => Err(FormatError::Zip {
                path: reader.file().path().to_owned(),
                what: format!("it has no entries, and {at} bytes that belong to nothing"),
            }),
        };
    };
    let Some(gap) = at.checked_sub(end) else {
        let next = next.map_or_else(|| "the directory".to_owned(), |next| format!("entry `{}`", next.name));
        return Err(wrong(reader, &previous.name, format!("overlaps {next}")));
    };
    let described = previous.flags & DESCRIBED != 0;
    match gap {
        0 if !described || previous.size == 0 => return Ok(()),
        12 | 16 | 20 | 24 if described => {
            let mut bytes = [0; 24];
            let bytes = bytes.get_mut(..usize::try_from(gap).unwrap_or_default()).unwrap_or_default();
            reader.fill(bytes, end)?;
            if describes(bytes, previous) {
                return Ok(());
            }
            return Err(wrong(
                reader,
                &previous.name,
                "has other sizes or another CRC behind its data than in the archive's directory",
            ));
        }
        _ => {}
    }
    Err(wrong(reader, &previous.name, format!("is followed by {gap} bytes that belong to nothing")))
}

/// Whether a data descriptor says what the directory says: its signature may be missing, its sizes have 32 or 64 bits.
fn describes(bytes: &[u8], header: &Header) -> bool {
    let values = match bytes.len() {
        16 | 24 if u32_at(bytes, 0) == DESCRIPTOR => bytes.get(4..).unwrap_or_default(),
        12 | 20 => bytes,
        _ => return false,
    };
    let sizes = match values.len() {
        12 => [u64::from(u32_at(values, 4)), u64::from(u32_at(values, 8))],
        _ => [u64_at(values, 4), u64_at(values, 12)],
    };
    u32_at(values, 0) == header.crc && sizes == [header.compressed, header.size]
}

/// Checks a local header against that of the directory, and gives the place behind it.
fn local(reader: &mut Positioned, header: &Header, directory_at: u64) -> Result<u64, FormatError> {
    let name_at = header.at.checked_add(HEADER_LEN as u64).filter(|&name_at| name_at <= directory_at);
    let Some(name_at) = name_at else {
        return Err(wrong(
            reader,
            &header.name,
            "is said to lie beyond the place where the archive's directory begins",
        ));
    };
    let mut fixed = [0; HEADER_LEN];
    reader.fill(&mut fixed, header.at)?;
    if u32_at(&fixed, 0) != HEADER {
        return Err(wrong(reader, &header.name, "is not where the archive's directory says"));
    }
    let (name_len, extra_len) = (u16_at(&fixed, 26), u16_at(&fixed, 28));
    let extra_at = name_at + u64::from(name_len);
    let start = extra_at + u64::from(extra_len);
    if start > directory_at {
        return Err(wrong(
            reader,
            &header.name,
            "reaches beyond the place where the archive's directory begins",
        ));
    }
    let differs = |reader: &Positioned, what: &str| {
        Err(wrong(
            reader,
            &header.name,
            format!("has another {what} before its data than in the archive's directory"),
        ))
    };
    if reader.bytes(name_at, name_len)? != header.name.as_bytes() {
        return differs(reader, "name");
    }
    if u16_at(&fixed, 6) != header.flags {
        return differs(reader, "set of flags");
    }
    if u16_at(&fixed, 8) != header.method {
        return differs(reader, "compression method");
    }
    let extra = reader.bytes(extra_at, extra_len)?;
    let zip64 = zip64_field(&extra).map_err(|what| wrong(reader, &header.name, what))?;
    // Of data that was not yet known when its header was written the values follow the data; here they are 0.
    let described = header.flags & DESCRIBED != 0;
    let is = |here: u64, there: u64| here == there || described && here == 0;
    if !is(u64::from(u32_at(&fixed, 14)), u64::from(header.crc)) {
        return differs(reader, "CRC");
    }
    let mut values = zip64;
    for (place, there) in [(22, header.size), (18, header.compressed)] {
        let mut here = u64::from(u32_at(&fixed, place));
        if here == u64::from(LARGE) {
            let Some((first, rest)) = values.and_then(<[u8]>::split_first_chunk::<8>) else {
                return Err(wrong(reader, &header.name, "refers to a zip64 value that is not there"));
            };
            here = u64_at(first, 0);
            values = Some(rest);
        }
        if !is(here, there) {
            return differs(reader, "size");
        }
    }
    Ok(start)
}
