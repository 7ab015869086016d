//! A zip archive of stored records that nothing is wrong with, so that what lies in it is reached.

/// A name below the root folder, and its bytes.
pub type Record<'a> = (&'a str, &'a [u8]);

/// The archive of these records.
pub fn archive(records: &[Record<'_>]) -> Vec<u8> {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for (name, data) in records {
        let name = format!("a/{name}");
        let len = (data.len() as u32).to_le_bytes();
        // Flags, method, time, date, CRC, both sizes, the lengths of name and extra field.
        let mut common = vec![0; 8];
        common.extend(crc32fast::hash(data).to_le_bytes());
        common.extend([len, len].concat());
        common.extend([(name.len() as u16).to_le_bytes(), [0; 2]].concat());
        let at = (bytes.len() as u32).to_le_bytes();
        directory.extend([b"PK\x01\x02\0\0\0\0", common.as_slice(), &[0; 10], &at, name.as_bytes()].concat());
        bytes.extend([b"PK\x03\x04\0\0", common.as_slice(), name.as_bytes(), data].concat());
    }
    let (at, len) = ((bytes.len() as u32).to_le_bytes(), (directory.len() as u32).to_le_bytes());
    let count = (records.len() as u16).to_le_bytes();
    bytes.extend(directory);
    bytes.extend([b"PK\x05\x06\0\0\0\0", &count[..], &count, &len, &at, &[0; 2]].concat());
    bytes
}
