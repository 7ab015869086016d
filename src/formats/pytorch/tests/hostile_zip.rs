//! Each check of an archive, by an archive that only it can refuse.

use std::path::Path;

use super::files::{FORCE, FOUR, dict, folder, kept, output, pickle, read, tensor};
use super::zip_bytes::{Archive, Entry, le16, le32, put};
use crate::formats::{FormatError, Limit, Limits, open, write};
use crate::printable::printable;

/// Asserts that reading is refused with this code and these words; where an entry is at fault, with its name.
#[track_caller]
pub(super) fn refused(bytes: &[u8], code: &str, words: &[&str]) {
    let (_folder, path) = folder();
    std::fs::write(&path, bytes).unwrap();
    refusal(&read(&path).unwrap_err(), code, words);
}

#[track_caller]
pub(super) fn refusal(error: &FormatError, code: &str, words: &[&str]) {
    // As people are shown it: a name may be meant for their terminal.
    let text = printable(&error.to_string());
    assert_eq!(error.code(), code, "{text}");
    assert!(text.contains("model.pt"), "{text}");
    for words in words {
        assert!(text.contains(words), "`{words}` is not in: {text}");
    }
}

#[track_caller]
pub(super) fn accepted(bytes: &[u8]) {
    let (_folder, path) = folder();
    std::fs::write(&path, bytes).unwrap();
    copy(&path).unwrap();
}

/// Writes a file's tensors, whole, into another one.
fn copy(path: &Path) -> Result<(), FormatError> {
    let source = read(path)?;
    let out = path.with_file_name("out.pt");
    write(&output(&source, kept(&source, str::to_owned)), &out, &FORCE).map(drop)
}

fn good() -> Entry {
    Entry::stored("a/data/0", FOUR)
}

#[test]
fn what_is_not_hostile_is_read() {
    accepted(&Archive::good().bytes());
    accepted(&Archive { zip64: true, ..Archive::good() }.bytes());
    accepted(&Archive::of(Entry::deflated("a/data/0", FOUR)).bytes());
    accepted(&Archive::of(good().described()).bytes());
    accepted(&Archive::of(Entry::deflated("a/data/0", FOUR).described()).bytes());
    let mut without_signature = good().described();
    without_signature.after.drain(..4);
    accepted(&Archive::of(without_signature).bytes());
}

#[test]
fn a_name_twice() {
    refused(&Archive::and(good()).bytes(), "bad-record", &["`a/data/0` is there twice"]);
}

#[test]
fn entries_that_overlap() {
    // One begins inside the data of the other.
    let inner = Entry::stored("a/data/1", FOUR);
    let mut archive = Archive::of(Entry::stored("a/data/0", &[inner.local.clone(), FOUR.to_vec()].concat()));
    let at = archive.entries[0].local.len() + archive.entries[0].data.len() + archive.entries[1].local.len();
    archive.entries.insert(2, Entry { local: vec![], data: vec![], at: u32::try_from(at).ok(), ..inner });
    refused(&archive.bytes(), "bad-record", &["`a/data/0` overlaps entry `a/data/1`"]);
}

#[test]
fn an_entry_that_reaches_into_the_directory() {
    let entry = Entry::stored("a/last", b"").both(18, &[le32(9), le32(9)].concat());
    refused(&Archive::and(entry).bytes(), "bad-record", &["`a/last` reaches beyond"]);
    let entry = Entry::stored("a/last", b"").both(18, &[[0xFE, 0xFF, 0xFF, 0xFF]; 2].concat());
    refused(&Archive::and(entry).bytes(), "bad-record", &["`a/last` reaches beyond"]);
}

#[test]
fn a_local_name_that_is_another() {
    let entry = good().local(30, b"b");
    refused(&Archive::of(entry).bytes(), "bad-record", &["`a/data/0` has another name before its data"]);
}

#[test]
fn a_local_name_or_extra_field_beyond_the_file() {
    for at in [26, 28] {
        let entry = good().local(at, &[0xFF; 2]);
        refused(&Archive::of(entry).bytes(), "bad-record", &["`a/data/0` reaches beyond"]);
    }
}

#[test]
fn local_sizes_that_are_others() {
    for at in [18, 22] {
        let entry = good().local(at, &le32(15));
        refused(&Archive::of(entry).bytes(), "bad-record", &["`a/data/0` has another size before its data"]);
    }
}

#[test]
fn a_local_method_that_is_another() {
    let entry = good().local(8, &le16(8));
    let words = ["`a/data/0` has another compression method before its data"];
    refused(&Archive::of(entry).bytes(), "bad-record", &words);
}

#[test]
fn a_local_crc_that_is_another() {
    let entry = good().local(14, &le32(1));
    refused(&Archive::of(entry).bytes(), "bad-record", &["`a/data/0` has another CRC before its data"]);
    // That of data which was not known yet is 0, and no other.
    let entry = good().described().local(14, &le32(1));
    refused(&Archive::of(entry).bytes(), "bad-record", &["`a/data/0` has another CRC before its data"]);
}

#[test]
fn local_flags_that_are_others() {
    let entry = good().local(6, &le16(1));
    refused(&Archive::of(entry).bytes(), "bad-record", &["`a/data/0` has another set of flags"]);
}

#[test]
fn a_local_header_that_is_none() {
    let entry = good().local(0, b"PK\x03\x05");
    refused(&Archive::of(entry).bytes(), "bad-record", &["`a/data/0` is not where"]);
    let entry = Entry { at: Some(u32::MAX - 1), ..good() };
    refused(&Archive::of(entry).bytes(), "bad-record", &["`a/data/0` is said to lie beyond"]);
}

#[test]
fn a_descriptor_that_says_otherwise() {
    for at in [4, 8, 12] {
        let mut entry = good().described();
        entry.after[at] ^= 1;
        let words = ["`a/data/0` has other sizes or another CRC behind its data"];
        refused(&Archive::of(entry).bytes(), "bad-record", &words);
    }
    let entry = Entry { after: vec![], ..good().described() };
    refused(&Archive::of(entry).bytes(), "bad-record", &["`a/data/0` is followed by 0 bytes"]);
}

#[test]
fn names_that_lead_elsewhere() {
    for name in [
        "../x", "a/../x", "a/./x", "/a/x", "//x", "a//x", "a/", "a/x/", "..", "a\\x", "..\\x", "C:\\x",
        "C:/x", "a/x\0y",
    ] {
        let entry = Entry::stored(name, b"");
        let shown = format!("entry `{}`", printable(name));
        refused(&Archive::and(entry).bytes(), "bad-record", &[&shown, "has a name that does not belong"]);
    }
    let mut entry = Entry::stored("a/x", b"");
    for header in [&mut entry.local, &mut entry.central] {
        *header.last_mut().unwrap() = 0xFF;
    }
    refused(
        &Archive::and(entry).bytes(),
        "bad-record",
        &["entry `a/\u{fffd}`", "has a name that is not UTF-8"],
    );
}

#[test]
fn a_name_that_would_speak_to_the_terminal_is_shown_escaped() {
    let entry = Entry::stored("b/\x1b[2Jx", b"");
    refused(&Archive::and(entry).bytes(), "bad-record", &["entry `b/\\u{1b}[2Jx`"]);
}

#[test]
fn two_roots_and_none() {
    let entry = Entry::stored("b/x", b"");
    refused(&Archive::and(entry).bytes(), "bad-record", &["`b/x` does not lie in the root folder `a`"]);
    let entry = Entry::stored("x", b"");
    refused(&Archive::and(entry).bytes(), "bad-record", &["`x` does not lie in the root folder"]);
}

#[test]
fn a_second_name_in_an_extra_field() {
    let field = [&[0x75, 0x70][..], &le16(8), &[1, 0, 0, 0, 0], b"a/y"].concat();
    let entry = Entry::stored("a/x", b"").central_extra(&field);
    refused(&Archive::and(entry).bytes(), "bad-record", &["`a/x` has a second name"]);
}

#[test]
fn encrypted_entries() {
    for flag in [1, 1 << 6, 1 << 13] {
        let entry = good().both(6, &le16(flag));
        refused(&Archive::of(entry).bytes(), "bad-record", &["`a/data/0` is encrypted"]);
    }
    let entry = good().both(8, &le16(99));
    refused(&Archive::of(entry).bytes(), "bad-record", &["`a/data/0` is encrypted"]);
}

#[test]
fn compression_that_torch_does_not_read() {
    for method in [1, 9, 12, 14, 93, 0xFFFF] {
        let entry = good().both(8, &le16(method));
        let words = format!("`a/data/0` is compressed by method {method}");
        refused(&Archive::of(entry).bytes(), "bad-record", &[&words]);
    }
}

#[test]
fn a_stored_entry_of_two_sizes() {
    let entry = good().both(22, &le32(15));
    refused(&Archive::of(entry).bytes(), "bad-record", &["`a/data/0` is stored as it is but has two sizes"]);
}

#[test]
fn what_would_inflate_to_too_much() {
    // It says so: refused for its size, or where no deflated bytes could hold as much.
    let (_folder, path) = folder();
    std::fs::write(&path, Archive::of(Entry::deflated("a/data/0", FOUR)).bytes()).unwrap();
    let mut tight = Limits::default();
    tight.set(Limit::InflatedBytes, 15);
    refusal(&open(&path, &[], &tight).unwrap_err(), "too-large", &["16 bytes"]);
    let entry = Entry::deflated("a/data/0", FOUR).both(22, &le32(1 << 30));
    refused(&Archive::of(entry).bytes(), "bad-record", &["`a/data/0` should inflate to 1073741824 bytes"]);
    // It says less than it inflates to, and more.
    for (size, words) in [
        (8, "`a/x` cannot be inflated: File is larger than its declared"),
        (17, "`a/x` does not inflate to the 17 bytes that it declares"),
    ] {
        let entry = Entry::deflated("a/x", FOUR).both(22, &le32(size));
        refused(&Archive::and(entry).bytes(), "bad-record", &[words]);
    }
}

#[test]
fn budgets_hold_to_the_byte() {
    let (_folder, path) = folder();
    let opened = |archive: &Archive, limit: Limit, most: usize| {
        std::fs::write(&path, archive.bytes()).unwrap();
        let mut limits = Limits::default();
        limits.set(limit, most as u64);
        open(&path, &[], &limits).map(drop).map_err(|error| error.code())
    };
    let deflated = Archive::of(Entry::deflated("a/data/0", FOUR));
    assert_eq!(opened(&deflated, Limit::InflatedBytes, FOUR.len()), Ok(()));
    assert_eq!(opened(&deflated, Limit::InflatedBytes, FOUR.len() - 1), Err("too-large"));
    let good = Archive::good();
    let pickle = good.entries[0].data.len();
    assert_eq!(opened(&good, Limit::PickleBytes, pickle), Ok(()));
    for less in [1, 2, pickle] {
        assert_eq!(opened(&good, Limit::PickleBytes, pickle - less), Err("too-large"));
    }
    // As much as deflated bytes can hold is believed until they are inflated.
    let most = Entry::deflated("a/x", FOUR).data.len() * 1032;
    for (size, words) in [(most, "`a/x` does not inflate to"), (most + 1, "`a/x` should inflate to")] {
        let entry = Entry::deflated("a/x", FOUR).both(22, &le32(size));
        refused(&Archive::and(entry).bytes(), "bad-record", &[words]);
    }
}

#[test]
fn what_only_a_descriptor_excuses() {
    // Bytes that look like one behind an entry that has none, and local values that would follow in one.
    let entry = Entry { after: good().described().after, ..good() };
    refused(&Archive::of(entry).bytes(), "bad-record", &["`a/data/0`"]);
    refused(&Archive::of(good().local(14, &[0; 4])).bytes(), "bad-record", &["`a/data/0`", "CRC"]);
}

#[test]
fn a_deflated_entry_that_is_read_in_several_pieces() {
    let bytes: Vec<u8> = (0..60_000_u32).flat_map(|number| number.to_le_bytes()).take(60_000).collect();
    accepted(&Archive::and(Entry::deflated("a/x", &bytes)).bytes());
}

#[test]
fn an_archive_that_lies_otherwise_is_laid_out_and_numbered_anew() {
    let (_folder, path) = folder();
    let tensor = pickle(dict(&[("w", tensor("7", 4, 0, &[4], &[1]))]));
    let mut archive = Archive::of(Entry::stored("a/data/7", FOUR));
    archive.entries[0] = Entry::stored("a/data.pkl", &tensor);
    std::fs::write(&path, archive.bytes()).unwrap();
    copy(&path).unwrap();
    let copied = std::fs::File::open(path.with_file_name("out.pt")).unwrap();
    let names = zip::ZipArchive::new(copied).unwrap();
    let names: Vec<String> = names.file_names().map(|name| name.unwrap().into_owned()).collect();
    assert!(names.contains(&"a/data/0".to_owned()), "{names:?}");
}

#[test]
fn deflated_bytes_that_are_none() {
    let mut entry = Entry::deflated("a/data/0", FOUR);
    entry.data[0] = 7;
    refused(&Archive::of(entry).bytes(), "bad-record", &["`a/data/0` cannot be inflated"]);
}

#[test]
fn damage_of_stored_bytes() {
    for (place, name) in [(0, "a/data.pkl"), (1, "a/data/0")] {
        let mut archive = Archive::good();
        archive.entries[place].data[3] ^= 1;
        let (_folder, path) = folder();
        std::fs::write(&path, archive.bytes()).unwrap();
        let words = format!("the data of entry `{name}` is damaged");
        refusal(&copy(&path).unwrap_err(), "crc-mismatch", &[&words]);
    }
}

#[test]
fn damage_of_deflated_bytes() {
    let mut entry = Entry::deflated("a/data/0", FOUR);
    entry.data[7] ^= 1;
    let words = ["the data of entry `a/data/0` is damaged"];
    refused(&Archive::of(entry).bytes(), "crc-mismatch", &words);
}

#[test]
fn zip64_values_of_an_entry_that_lie() {
    let wide = |values: &[u64]| {
        let values: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        [&[1, 0][..], &le16(values.len()), &values].concat()
    };
    let large = || good().both(18, &[0xFF; 8]);
    refused(
        &Archive::of(large()).bytes(),
        "bad-record",
        &["`a/data/0` refers to a zip64 value that is not there"],
    );
    for (extra, words) in [
        (wide(&[16]), "refers to a zip64 value that is not there"),
        (wide(&[16, 16, 0]), "has zip64 values beside others"),
        (wide(&[u64::MAX, u64::MAX]), "reaches beyond"),
        ([wide(&[16, 16]), wide(&[16, 16])].concat(), "has two zip64 fields"),
        (wide(&[16, 16])[..19].to_vec(), "has an extra field that runs beyond its header"),
        (vec![1, 0, 16], "has an extra field that runs beyond its header"),
    ] {
        let mut entry = large().central_extra(&extra);
        put(&mut entry.local, 18, &[le32(16), le32(16)].concat());
        if extra == wide(&[u64::MAX, u64::MAX]) {
            entry.central[8] = 8;
            entry.local[6] = 8;
            put(&mut entry.local, 14, &[0; 12]);
        }
        refused(&Archive::of(entry).bytes(), "bad-record", &["`a/data/0`", words]);
    }
    let entry = Entry { at: Some(u32::MAX), ..good().central_extra(&wide(&[u64::MAX])) };
    refused(&Archive::of(entry).bytes(), "bad-record", &["`a/data/0` is said to lie beyond"]);
    // Values that no field asks for: one reader would take them, another would not.
    let entry = good().central_extra(&wide(&[16, 16]));
    refused(&Archive::of(entry).bytes(), "bad-record", &["`a/data/0` has zip64 values beside others"]);
    // The header before the data has its own.
    let both = |extra: &[u8]| Archive::of(large().central_extra(&wide(&[16, 16])).local_extra(extra)).bytes();
    accepted(&both(&wide(&[16, 16])));
    for (extra, words) in [
        (wide(&[]), "refers to a zip64 value that is not there"),
        (wide(&[16]), "refers to a zip64 value that is not there"),
        (wide(&[16, 17]), "has another size before its data"),
        (wide(&[17, 16]), "has another size before its data"),
    ] {
        refused(&both(&extra), "bad-record", &["`a/data/0`", words]);
    }
}

#[test]
fn an_entry_on_another_disk() {
    let entry = good().central(34, &le16(1));
    refused(&Archive::of(entry).bytes(), "bad-record", &["`a/data/0` is said to lie on another disk"]);
}

#[test]
fn bytes_before_between_and_behind() {
    let archive = Archive { before: b"PK\x03\x04junk".to_vec(), ..Archive::good() };
    refused(&archive.bytes(), "bad-record", &["`a/data.pkl` begins after 8 bytes that belong to nothing"]);
    let entry = Entry { after: b"junk".to_vec(), ..good() };
    refused(
        &Archive::of(entry).bytes(),
        "bad-record",
        &["`a/data/0` is followed by 4 bytes that belong to nothing"],
    );
    // An entry that the directory does not list.
    let hidden = Entry::stored("a/hidden", FOUR);
    let entry = Entry { after: [hidden.local, hidden.data].concat(), ..good() };
    refused(&Archive::of(entry).bytes(), "bad-record", &["`a/data/0` is followed by 54 bytes"]);
    let behind = [Archive::good().bytes(), b"junk".to_vec()].concat();
    refused(&behind, "damaged-zip", &["4 bytes that belong to nothing follow its end"]);
    // Two archives in one file, of which readers take the one or the other.
    let two = [Archive::good().bytes(), Archive::good().bytes()].concat();
    refused(&two, "damaged-zip", &["lie between its directory and its end"]);
    let nothing = Archive { entries: vec![], before: b"PK\x03\x04".to_vec(), zip64: false };
    refused(&nothing.bytes(), "damaged-zip", &["it has no entries, and 4 bytes"]);
}

/// Every byte of the headers, changed: refused, or the same tensors. Nothing else is there to be read.
#[test]
fn no_changed_byte_gives_other_tensors() {
    let bytes = Archive { zip64: true, ..Archive::of(good().described()) }.bytes();
    let (_folder, path) = folder();
    let tensors = || -> Option<Vec<u8>> {
        copy(&path).ok()?;
        let source = read(&path.with_file_name("out.pt")).ok()?;
        match &source.main_dict().entries.first()?.data {
            crate::formats::EntryData::Stored(tensor) => {
                let extent = tensor.extent()?;
                let mut bytes = vec![0; usize::try_from(extent.len).unwrap()];
                extent.file.read_at(&mut bytes, extent.offset).unwrap();
                Some(bytes)
            }
            crate::formats::EntryData::Opaque { .. } => None,
        }
    };
    for at in 4..bytes.len() {
        for flip in [0x01, 0xFF] {
            let mut changed = bytes.clone();
            changed[at] ^= flip;
            std::fs::write(&path, &changed).unwrap();
            if let Some(tensors) = tensors() {
                assert_eq!(tensors, FOUR, "byte {at} changed by {flip:#x}");
            }
        }
    }
}
