//! Zip archives byte by byte, so that each of their numbers can be a lie.

use super::files::{FOUR, dict, pickle, tensor};

/// An entry of an archive under construction.
pub(super) struct Entry {
    /// Its local header with name and extra field.
    pub(super) local: Vec<u8>,
    /// What follows the header.
    pub(super) data: Vec<u8>,
    /// What follows the data.
    pub(super) after: Vec<u8>,
    /// Its header in the directory with name and extra field.
    pub(super) central: Vec<u8>,
    /// Where the directory says that it lies; where it does, if absent.
    pub(super) at: Option<u32>,
}

/// An archive under construction.
pub(super) struct Archive {
    pub(super) entries: Vec<Entry>,
    pub(super) before: Vec<u8>,
    /// What follows the directory instead of the records that end an archive of its size.
    pub(super) zip64: bool,
}

pub(super) fn le16(value: usize) -> [u8; 2] {
    u16::try_from(value).unwrap().to_le_bytes()
}

pub(super) fn le32(value: usize) -> [u8; 4] {
    u32::try_from(value).unwrap().to_le_bytes()
}

/// Writes over the bytes at a place.
pub(super) fn put(bytes: &mut [u8], at: usize, with: &[u8]) {
    bytes[at..at + with.len()].copy_from_slice(with);
}

impl Entry {
    /// An entry of `data` as it stands in the file, which is `plain` once inflated.
    pub(super) fn new(name: &str, method: usize, data: &[u8], plain: &[u8]) -> Self {
        let mut common = [le16(0), le16(method), [0; 2], [0; 2]].concat(); // flags, method, time, date
        common.extend(crc32fast::hash(plain).to_le_bytes());
        common.extend([le32(data.len()), le32(plain.len())].concat());
        common.extend([le16(name.len()), le16(0)].concat());
        let local = [b"PK\x03\x04\x14\0", common.as_slice(), name.as_bytes()].concat();
        // Comment, disk, attributes, offset.
        let central = [b"PK\x01\x02\x14\0\x14\0", common.as_slice(), &[0; 14], name.as_bytes()].concat();
        Entry { local, data: data.to_vec(), after: Vec::new(), central, at: None }
    }

    pub(super) fn stored(name: &str, bytes: &[u8]) -> Self {
        Entry::new(name, 0, bytes, bytes)
    }

    /// Deflated in one block that is not compressed.
    pub(super) fn deflated(name: &str, bytes: &[u8]) -> Self {
        let len = u16::try_from(bytes.len()).unwrap();
        let data = [&[1], &len.to_le_bytes()[..], &(!len).to_le_bytes(), bytes].concat();
        Entry::new(name, 8, &data, bytes)
    }

    /// Changes both headers alike; `at` is the field's place in the local one, from its flags to its lengths.
    pub(super) fn both(mut self, at: usize, with: &[u8]) -> Self {
        put(&mut self.local, at, with);
        put(&mut self.central, at + 2, with);
        self
    }

    pub(super) fn local(mut self, at: usize, with: &[u8]) -> Self {
        put(&mut self.local, at, with);
        self
    }

    pub(super) fn central(mut self, at: usize, with: &[u8]) -> Self {
        put(&mut self.central, at, with);
        self
    }

    /// An extra field in the directory.
    pub(super) fn central_extra(mut self, extra: &[u8]) -> Self {
        put(&mut self.central, 30, &le16(extra.len()));
        self.central.extend(extra);
        self
    }

    /// An extra field before its data.
    pub(super) fn local_extra(mut self, extra: &[u8]) -> Self {
        put(&mut self.local, 28, &le16(extra.len()));
        self.local.extend(extra);
        self
    }

    /// Its CRC and sizes follow its data.
    pub(super) fn described(mut self) -> Self {
        self.after = [b"PK\x07\x08", &self.local[14..26]].concat();
        self.both(6, &le16(8)).local(14, &[0; 12])
    }
}

impl Archive {
    /// A torch file with the tensor `w`, the bytes of which are this entry.
    pub(super) fn of(storage: Entry) -> Self {
        let pickle = pickle(dict(&[("w", tensor("0", 4, 0, &[4], &[1]))]));
        let entries = vec![Entry::stored("a/data.pkl", &pickle), storage, Entry::stored("a/version", b"3\n")];
        Archive { entries, before: Vec::new(), zip64: false }
    }

    /// One that nothing is wrong with.
    pub(super) fn good() -> Self {
        Archive::of(Entry::stored("a/data/0", FOUR))
    }

    /// One with another entry behind those of [`Archive::good`].
    pub(super) fn and(entry: Entry) -> Self {
        let mut archive = Archive::good();
        archive.entries.push(entry);
        archive
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.before.clone();
        let mut directory = Vec::new();
        for entry in &self.entries {
            let at = entry.at.map_or_else(|| le32(bytes.len()), u32::to_le_bytes);
            let begin = directory.len();
            directory.extend(&entry.central);
            put(&mut directory, begin + 42, &at);
            bytes.extend([entry.local.as_slice(), &entry.data, &entry.after].concat());
        }
        let (count, at) = (self.entries.len(), bytes.len());
        bytes.extend(&directory);
        let wide = |value: usize| (value as u64).to_le_bytes();
        if self.zip64 {
            let end64 = bytes.len();
            bytes.extend([b"PK\x06\x06", &wide(44)[..], &[0; 12], &wide(count), &wide(count)].concat());
            bytes.extend([wide(directory.len()), wide(at)].concat());
            bytes.extend([b"PK\x06\x07", &[0; 4][..], &wide(end64), &[1, 0, 0, 0]].concat());
        }
        bytes.extend([b"PK\x05\x06", &[0; 4][..], &le16(count), &le16(count)].concat());
        bytes.extend([&le32(directory.len())[..], &le32(at), &[0; 2]].concat());
        bytes
    }
}
