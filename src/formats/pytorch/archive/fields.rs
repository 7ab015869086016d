//! The numbers in zip's records, which are little-endian and without padding.

/// The 16-bit number at a place of a record; 0 beyond its end.
pub(super) fn u16_at(record: &[u8], at: usize) -> u16 {
    record.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |bytes| u16::from_le_bytes(*bytes))
}

/// The 32-bit number at a place of a record; 0 beyond its end.
pub(super) fn u32_at(record: &[u8], at: usize) -> u32 {
    record.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

/// The 64-bit number at a place of a record; 0 beyond its end.
pub(super) fn u64_at(record: &[u8], at: usize) -> u64 {
    record.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// What a 32-bit field holds that leaves its value to a zip64 record.
pub(super) const LARGE: u32 = u32::MAX;

/// The zip64 field among the extra fields of a header, which has the 64-bit values of the fields that are [`LARGE`].
///
/// # Errors
/// The rest of a sentence about the entry: fields that run beyond their end, that come twice, and one that gives the
/// entry a second name.
pub(super) fn zip64_field(extra: &[u8]) -> Result<Option<&[u8]>, &'static str> {
    const ZIP64: u16 = 0x0001;
    const UNICODE_PATH: u16 = 0x7075;
    let mut found = None;
    let mut rest = extra;
    while !rest.is_empty() {
        let (kind, len) = (u16_at(rest, 0), usize::from(u16_at(rest, 2)));
        let field = rest.get(4..).and_then(|rest| rest.get(..len));
        let Some(field) = field else {
            return Err("has an extra field that runs beyond its header");
        };
        match kind {
            ZIP64 if found.is_some() => return Err("has two zip64 fields"),
            ZIP64 => found = Some(field),
            UNICODE_PATH => return Err("has a second name in an extra field"),
            _ => {}
        }
        rest = rest.get(4 + len..).unwrap_or_default();
    }
    Ok(found)
}
