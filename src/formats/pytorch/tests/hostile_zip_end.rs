//! Each check of the records that end an archive, by an archive that only it can refuse.

use super::files::{folder, read};
use super::hostile_zip::{accepted, refusal, refused};
use super::zip_bytes::{Archive, le16, le32, put};

/// The places of the end record's fields, from the end of the file.
const END: usize = 22;
const LOCATOR: usize = END + 20;
const END64: usize = LOCATOR + 56;

/// A good archive whose last bytes, from `back` bytes before the end on, are changed.
fn ending(zip64: bool, back: usize, with: &[u8]) -> Vec<u8> {
    let mut bytes = Archive { zip64, ..Archive::good() }.bytes();
    let at = bytes.len() - back;
    put(&mut bytes, at, with);
    bytes
}

#[test]
fn values_that_are_left_to_the_larger_record() {
    // As torch writes them where they are too large for the old one.
    accepted(&ending(true, END - 8, &[0xFF; 12]));
}

#[test]
fn zip64_end_records_that_lie() {
    let wide = u64::to_le_bytes;
    for (back, with, words) in [
        (END - 12, vec![1; 4], "its two end records contradict each other"),
        (END - 16, vec![1; 4], "its two end records contradict each other"),
        (LOCATOR - 8, wide(u64::MAX).to_vec(), "locator does not lead to the record before it"),
        (LOCATOR - 8, wide(0).to_vec(), "locator does not lead to the record before it"),
        (LOCATOR - 4, vec![1], "one of several disks"),
        (LOCATOR - 16, vec![2], "one of several disks"),
        (END64, b"PK\x06\x05".to_vec(), "does not lead to a zip64 end record"),
        (END64 - 4, wide(45).to_vec(), "does not lead to a zip64 end record"),
        (END64 - 16, vec![1], "one of several disks"),
        (END64 - 20, vec![1], "one of several disks"),
        (END64 - 24, wide(4).to_vec(), "one of several disks"),
        (END64 - 40, wide(u64::MAX).to_vec(), "its two end records contradict each other"),
        (END64 - 48, wide(u64::MAX).to_vec(), "its two end records contradict each other"),
    ] {
        refused(&ending(true, back, &with), "damaged-zip", &[words]);
    }
    // So near to the beginning that the sum would have to wrap.
    let good = ending(true, 0, &[]);
    let mut end = good[good.len() - LOCATOR..].to_vec();
    put(&mut end, 8, &wide(4u64.wrapping_sub(56)));
    let near = [b"PK\x03\x04", end.as_slice()].concat();
    refused(&near, "damaged-zip", &["locator does not lead to the record before it"]);
    // The same where the old record leaves the value to the new one.
    let capped = |back: usize, with: &[u8]| {
        let mut bytes = ending(true, END - 8, &[0xFF; 12]);
        let at = bytes.len() - back;
        put(&mut bytes, at, with);
        bytes
    };
    let twice = |value: u64| [wide(value), wide(value)].concat();
    for (bytes, words) in [
        (capped(END64 - 24, &twice(u64::MAX)), "the limit is"),
        (
            capped(END64 - 24, &twice(4)),
            "should have 4 entries, and after 3 of them, the last being `a/version`",
        ),
        (capped(END64 - 24, &twice(2)), "more in it than the 2 entries"),
        (capped(END64 - 40, &wide(u64::MAX)), "its directory reaches beyond its end"),
        (capped(END64 - 40, &wide(1)), "lie between its directory and its end"),
        (capped(END64 - 48, &wide(u64::MAX)), "its directory reaches beyond its end"),
        (capped(END64 - 48, &wide(0)), "lie between its directory and its end"),
    ] {
        refused(&bytes, "damaged-zip", &[words]);
    }
}

#[test]
fn a_missing_zip64_locator() {
    for back in [END - 12, END - 16] {
        refused(
            &ending(false, back, &[0xFF; 4]),
            "damaged-zip",
            &["refers to a zip64 record that is not there"],
        );
    }
    let words = ["refers to a zip64 record that is not there"];
    let mut bytes = ending(true, END - 8, &[0xFF; 12]);
    let at = bytes.len() - LOCATOR;
    put(&mut bytes, at, b"PK\x06\x08");
    refused(&bytes, "damaged-zip", &words);
}

#[test]
fn counts_that_lie() {
    for (count, words) in [
        (4, "should have 4 entries, and after 3 of them"),
        (2, "more in it than the 2 entries"),
        (0, "more in it than the 0 entries"),
        (0xFFFF, "should have 65535 entries"),
    ] {
        refused(&ending(false, END - 8, &[le16(count), le16(count)].concat()), "damaged-zip", &[words]);
    }
    refused(&ending(false, END - 8, &le16(4)), "damaged-zip", &["one of several disks"]);
}

#[test]
fn a_directory_that_is_elsewhere() {
    let size = ending(false, END - 12, &le32(1 << 30));
    refused(&size, "damaged-zip", &["its directory reaches beyond its end"]);
    let at = ending(false, END - 16, &le32(1 << 30));
    refused(&at, "damaged-zip", &["its directory reaches beyond its end"]);
    let at = ending(false, END - 16, &le32(0));
    refused(&at, "damaged-zip", &["lie between its directory and its end"]);
    let mut archive = Archive::good();
    archive.entries[1].central[0] = b'p';
    refused(&archive.bytes(), "damaged-zip", &["should have 3 entries, and after 1 of them"]);
}

#[test]
fn several_disks() {
    for back in [END - 4, END - 6] {
        refused(&ending(false, back, &le16(1)), "damaged-zip", &["one of several disks"]);
    }
}

#[test]
fn a_comment() {
    let mut bytes = Archive::good().bytes();
    let at = bytes.len() - 2;
    put(&mut bytes, at, &le16(7));
    refused(&bytes, "damaged-zip", &["its last bytes are cut off"]);
    bytes.extend(b"comment");
    refused(&bytes, "damaged-zip", &["it has a comment of 7 bytes"]);
}

#[test]
fn a_file_that_is_cut_off_anywhere() {
    for zip64 in [false, true] {
        let bytes = Archive { zip64, ..Archive::good() }.bytes();
        let (_folder, path) = folder();
        for len in 4..bytes.len() {
            std::fs::write(&path, &bytes[..len]).unwrap();
            let error = read(&path).unwrap_err();
            refusal(&error, "damaged-zip", &["is a damaged or cut off zip archive"]);
        }
    }
}
