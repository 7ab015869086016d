//! The records that end an archive and say where its directory lies.
//!
//! Readers differ in how they look for them: from the front, from the back, past a comment. Two readers that find
//! different ends see different files in one archive. So only one place is right here, the very end.

use super::fields::{LARGE, u16_at, u32_at, u64_at};
use super::positioned::Positioned;
use crate::formats::FormatError;

const END: u32 = 0x0605_4b50;
const END_LEN: usize = 22;
const LOCATOR: u32 = 0x0706_4b50;
const LOCATOR_LEN: usize = 20;
const END64: u32 = 0x0606_4b50;
const END64_LEN: usize = 56;
const MANY: u16 = u16::MAX;

/// Where the directory lies, and how many entries it has.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct End {
    /// Where its first header begins.
    pub(super) directory_at: u64,
    /// Where the record after its last header begins.
    pub(super) directory_end: u64,
    /// The number of its headers.
    pub(super) entries: u64,
}

/// Reads the end records and checks that they agree with each other and with the length of the file.
pub(super) fn read(reader: &mut Positioned) -> Result<End, FormatError> {
    let wrong = {
        let path = reader.file().path().to_owned();
        move |what: &str| FormatError::Zip { path: path.clone(), what: what.to_owned() }
    };
    let len = reader.file().len();
    let Some(end_at) = len.checked_sub(END_LEN as u64) else {
        return Err(wrong("it ends before the record that ends an archive"));
    };
    let mut end = [0; END_LEN];
    reader.fill(&mut end, end_at)?;
    if u32_at(&end, 0) != END || u16_at(&end, 20) != 0 {
        let what = misplaced(reader)?;
        return Err(wrong(&what));
    }
    if u16_at(&end, 4) != 0 || u16_at(&end, 6) != 0 || u16_at(&end, 8) != u16_at(&end, 10) {
        return Err(wrong("it says that it is one of several disks"));
    }
    let (entries, size, at) = (u16_at(&end, 10), u32_at(&end, 12), u32_at(&end, 16));
    let mut found = End { directory_at: u64::from(at), directory_end: end_at, entries: u64::from(entries) };
    let mut directory_len = u64::from(size);
    let locator = match end_at.checked_sub(LOCATOR_LEN as u64) {
        Some(at) => {
            let mut locator = [0; LOCATOR_LEN];
            reader.fill(&mut locator, at)?;
            (u32_at(&locator, 0) == LOCATOR).then_some((at, locator))
        }
        None => None,
    };
    if let Some((locator_at, locator)) = locator {
        let end64_at = u64_at(&locator, 8);
        if end64_at.checked_add(END64_LEN as u64) != Some(locator_at) {
            return Err(wrong("its zip64 locator does not lead to the record before it"));
        }
        let mut end64 = [0; END64_LEN];
        reader.fill(&mut end64, end64_at)?;
        if u32_at(&end64, 0) != END64 || u64_at(&end64, 4) != END64_LEN as u64 - 12 {
            return Err(wrong("its zip64 locator does not lead to a zip64 end record"));
        }
        let disks = [u32_at(&locator, 4), u32_at(&end64, 16), u32_at(&end64, 20)];
        if disks != [0; 3] || u32_at(&locator, 16) > 1 || u64_at(&end64, 24) != u64_at(&end64, 32) {
            return Err(wrong("it says that it is one of several disks"));
        }
        found.entries = u64_at(&end64, 32);
        directory_len = u64_at(&end64, 40);
        found.directory_at = u64_at(&end64, 48);
        found.directory_end = end64_at;
        let agree = |small: u32, large: u64| small == LARGE || u64::from(small) == large;
        if !(entries == MANY || u64::from(entries) == found.entries)
            || !agree(size, directory_len)
            || !agree(at, found.directory_at)
        {
            return Err(wrong("its two end records contradict each other"));
        }
    } else if size == LARGE || at == LARGE {
        return Err(wrong("its end record refers to a zip64 record that is not there"));
    }
    let end = found.directory_at.checked_add(directory_len);
    match end {
        Some(end) if end == found.directory_end => Ok(found),
        Some(end) if end < found.directory_end => {
            Err(wrong("bytes that belong to nothing lie between its directory and its end"))
        }
        _ => Err(wrong("its directory reaches beyond its end")),
    }
}

/// Why the end record is not where it should be, as a sentence.
fn misplaced(reader: &mut Positioned) -> Result<String, FormatError> {
    /// A comment has a 16-bit length.
    const COMMENT: u64 = 0xFFFF;
    let len = reader.file().len();
    let from = len.saturating_sub(END_LEN as u64 + COMMENT);
    let mut tail = vec![0; usize::try_from(len - from).unwrap_or_default()];
    reader.fill(&mut tail, from)?;
    let signature = END.to_le_bytes();
    let at = tail.windows(END_LEN).rposition(|window| window.starts_with(&signature));
    let Some(record) = at.and_then(|at| tail.get(at..)) else {
        return Ok("the record that ends an archive is missing".to_owned());
    };
    let comment = usize::from(u16_at(record, 20));
    let after = record.len().saturating_sub(END_LEN);
    Ok(match after.checked_sub(comment) {
        Some(0) => format!("it has a comment of {comment} bytes, which torch does not write"),
        Some(junk) => format!("{junk} bytes that belong to nothing follow its end"),
        None => "its last bytes are cut off".to_owned(),
    })
}
