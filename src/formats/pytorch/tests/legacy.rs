//! Files of the legacy format, made here.

use std::path::Path;

use super::files::{FORCE, FOUR, dict, folder, int, kept, keys, limited, output, pickle, read, text, tuple};
use crate::formats::{Limit, open, write};

const MAGIC: &[u8] = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.";

/// `_rebuild_tensor` of a float storage; `view` is what the sixth field of its persistent id says.
fn tensor(key: &str, numel: i64, view: &[u8], offset: i64, shape: &[i64], strides: &[i64]) -> Vec<u8> {
    [
        b"ctorch._utils\n_rebuild_tensor\n((".to_vec(),
        text("storage"),
        b"ctorch\nFloatStorage\n".to_vec(),
        text(key),
        text("cpu"),
        int(numel),
        view.to_vec(),
        b"tQ".to_vec(),
        int(offset),
        tuple(shape),
        tuple(strides),
        b"tR".to_vec(),
    ]
    .concat()
}

fn view(key: &str, offset: i64, size: i64) -> Vec<u8> {
    [b"(".to_vec(), text(key), int(offset), int(size), b"t".to_vec()].concat()
}

fn file(path: &Path, object: &[u8], storages: &[(&str, &[u8])]) -> Vec<u8> {
    let keys: Vec<u8> = storages.iter().flat_map(|(key, _)| text(key)).collect();
    let mut bytes = [
        MAGIC.to_vec(),
        pickle(b"M\xe9\x03".to_vec()),
        pickle(dict(&[("protocol_version", b"M\xe9\x03".to_vec()), ("little_endian", b"\x88".to_vec())])),
        object.to_vec(),
        pickle([b"](".to_vec(), keys, b"e".to_vec()].concat()),
    ]
    .concat();
    for (_, storage) in storages {
        bytes.extend((storage.len() as u64 / 4).to_le_bytes());
        bytes.extend(*storage);
    }
    std::fs::write(path, &bytes).unwrap();
    bytes
}

#[test]
fn a_legacy_file_becomes_a_zip_file_with_its_ties() {
    let (_folder, path) = folder();
    let object = pickle(dict(&[
        ("whole", tensor("17", 4, b"N", 0, &[2, 2], &[1, 2])),
        ("part", tensor("17", 4, &view("18", 1, 2), 1, &[1], &[1])),
        ("epoch", int(-3)),
    ]));
    file(&path, &object, &[("17", FOUR)]);
    let source = read(&path).unwrap();
    assert_eq!(keys(&source), ["whole", "part", "epoch"]);
    let out = path.with_file_name("new.pt");
    write(&output(&source, kept(&source, |key| format!("net.{key}"))), &out, &FORCE).unwrap();
    let made = read(&out).unwrap();
    assert_eq!(keys(&made), ["net.whole", "net.part", "net.epoch"]);
    let stored = |index: usize| match &made.main_dict().entries[index].data {
        crate::formats::EntryData::Stored(stored) => stored.clone(),
        crate::formats::EntryData::Opaque { what } => panic!("{what}"),
    };
    let (whole, part) = (stored(0), stored(1));
    assert!(std::sync::Arc::ptr_eq(&whole.storage, &part.storage));
    assert_eq!((whole.strides.as_slice(), part.offset), (&[1, 2][..], 8));
    let zip = zip::ZipArchive::new(std::fs::File::open(&out).unwrap()).unwrap();
    let names: Vec<String> = zip.file_names().map(|name| name.unwrap().into_owned()).collect();
    let wanted = ["data.pkl", ".format_version", ".storage_alignment", "byteorder", "data/0", "version"];
    assert_eq!(names, wanted.map(|name| format!("new/{name}")));
}

#[test]
fn a_file_that_is_cut_off_or_damaged_anywhere_does_no_harm() {
    let (_folder, path) = folder();
    let object = pickle(dict(&[
        ("a", tensor("1", 4, &view("2", 1, 3), 0, &[3], &[1])),
        ("b", tensor("1", 4, b"N", 0, &[2, 2], &[2, 1])),
    ]));
    let bytes = file(&path, &object, &[("1", FOUR)]);
    for length in 0..bytes.len() {
        std::fs::write(&path, &bytes[..length]).unwrap();
        assert!(read(&path).is_err(), "{length} bytes");
    }
    for place in 0..bytes.len() {
        for bit in [0x01, 0x80, 0xff] {
            let mut damaged = bytes.clone();
            damaged[place] ^= bit;
            std::fs::write(&path, &damaged).unwrap();
            let _ = read(&path);
        }
    }
}

#[test]
fn lengths_that_a_file_lies_about_cost_nothing() {
    let (_folder, path) = folder();
    let huge = i64::MAX / 8;
    for (object, code) in [
        (pickle(dict(&[("a", tensor("1", huge, b"N", 0, &[huge], &[1]))])), "cut-off"),
        (pickle(dict(&[("a", tensor("1", i64::MAX, b"N", 0, &[1], &[1]))])), "bad-legacy"),
        (pickle(dict(&[("a", tensor("1", -1, b"N", 0, &[1], &[1]))])), "bad-legacy"),
        (b"\x80\x02X\xff\xff\xff\x7f".to_vec(), "bad-pickle"),
        (b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\xff".to_vec(), "bad-pickle"),
        (b"\x80\x02\xfe.".to_vec(), "bad-pickle"),
    ] {
        file(&path, &object, &[("1", FOUR)]);
        let error = read(&path).unwrap_err();
        assert_eq!(error.code(), code, "{error}");
    }
    let limits = limited(Limit::PickleBytes, 100);
    let long = pickle([b"V".to_vec(), vec![b'x'; 200_000], b"\n".to_vec()].concat());
    file(&path, &long, &[]);
    assert_eq!(open(&path, &[], &limits).unwrap_err().code(), "too-large");
    assert!(read(&path).is_ok());
}
