//! Files of the legacy format, made here.

use std::path::Path;

use super::files::{
    self, FORCE, FOUR, dict, folder, int, kept, keys, limited, output, pickle, read, text, tuple,
};
use crate::formats::{EntryData, FormatError, Limit, open, write};

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

/// The pickles of a file, in order, and its storages.
fn pieces(object: &[u8], storages: &[(&str, &[u8])]) -> [Vec<u8>; 6] {
    let keys: Vec<u8> = storages.iter().flat_map(|(key, _)| text(key)).collect();
    let counted = |storage: &[u8]| [&(storage.len() as u64 / 4).to_le_bytes()[..], storage].concat();
    [
        MAGIC.to_vec(),
        pickle(b"M\xe9\x03".to_vec()),
        pickle(dict(&[("protocol_version", b"M\xe9\x03".to_vec()), ("little_endian", b"\x88".to_vec())])),
        object.to_vec(),
        pickle([b"](".to_vec(), keys, b"e".to_vec()].concat()),
        storages.iter().flat_map(|(_, storage)| counted(storage)).collect(),
    ]
}

fn file(path: &Path, object: &[u8], storages: &[(&str, &[u8])]) -> Vec<u8> {
    let bytes = pieces(object, storages).concat();
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
    assert!(source.origin.legacy);
    let out = path.with_file_name("new.pt");
    write(&output(&source, kept(&source, |key| format!("net.{key}"))), &out, &FORCE).unwrap();
    let made = read(&out).unwrap();
    assert_eq!(keys(&made), ["net.whole", "net.part", "net.epoch"]);
    let stored = |index: usize| match &made.main_dict().entries[index].data {
        EntryData::Stored(stored) => stored.clone(),
        EntryData::Opaque { what } => panic!("{what}"),
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
    // What would fit if the sum could wrap: of one storage and its count, and of two.
    for numel in [(1 << 62) - 2, 1 << 61] {
        let one = |key: &str| tensor(key, numel, b"N", 0, &[1], &[1]);
        let object = pickle(dict(&[("a", one("1")), ("b", one("2"))]));
        file(&path, &object, &[("1", FOUR), ("2", FOUR)]);
        assert_eq!(read(&path).unwrap_err().code(), "cut-off", "{numel}");
    }
    // A text that would end before it begins, at the end of an earlier pickle.
    let before: u64 = pieces(b"", &[])[..3].iter().map(|piece| piece.len() as u64).sum();
    let back = (MAGIC.len() as u64 - 1).wrapping_sub(before + 11);
    file(&path, &[b"\x80\x04\x8d", &back.to_le_bytes()[..]].concat(), &[]);
    assert_eq!(read(&path).unwrap_err().code(), "bad-pickle");
    let limits = limited(Limit::PickleBytes, 100);
    let long = pickle([b"V".to_vec(), vec![b'x'; 200_000], b"\n".to_vec()].concat());
    file(&path, &long, &[]);
    assert_eq!(open(&path, &[], &limits).unwrap_err().code(), "too-large");
    assert!(read(&path).is_ok());
}

#[test]
fn what_a_file_says_twice_must_agree() {
    let (_folder, path) = folder();
    let tensor = |key: &str, numel: i64, view: &[u8]| tensor(key, numel, view, 0, &[1], &[1]);
    let object = |items: &[(&str, Vec<u8>)]| pickle(dict(items));
    let good = pieces(&object(&[("a", tensor("1", 4, b"N"))]), &[("1", FOUR)]);
    let keys = |keys: &[&str]| {
        pickle([b"](".to_vec(), keys.iter().flat_map(|key| text(key)).collect(), b"e".to_vec()].concat())
    };
    let system = |little_endian: &[u8]| pickle(dict(&[("little_endian", little_endian.to_vec())]));
    let foreign = [b"(".to_vec(), text("module"), int(1), int(2), text("s"), b"tQ".to_vec()].concat();
    let stray = |view: Vec<u8>| {
        let id = [b"ctorch\nFloatStorage\n".to_vec(), text("1"), text("cpu"), int(4), view].concat();
        [b"(".to_vec(), text("storage"), id, b"tQ".to_vec()].concat()
    };
    // A call with a view, which may come once more behind the strides.
    let called = |module: &str, last: &str| {
        let last = if last == "view" { stray(view("2", 0, 2)) } else { b"N".to_vec() };
        let arguments = [stray(view("2", 0, 2)), int(0), tuple(&[1]), tuple(&[1]), last].concat();
        [format!("c{module}\n_rebuild_tensor\n(").into_bytes(), arguments, b"tR".to_vec()].concat()
    };
    let cases: Vec<(usize, Vec<u8>, &str)> = vec![
        (0, [&MAGIC[..MAGIC.len() - 1], b"0N."].concat(), "does not begin with torch's magic number"),
        (0, b"L119547037146038801333356L\n0L1L\n.".to_vec(), "does not begin with torch's magic number"),
        (1, pickle(int(1002)), "is not of version 1001"),
        (1, pickle(text("1001")), "is not of version 1001"),
        (2, system(b"N"), "does not say in which order"),
        (2, pickle(dict(&[("other", b"\x88".to_vec())])), "does not say in which order"),
        (2, system(b"\x89"), "big-endian"),
        (3, object(&[("a", tensor("2", 4, b"N"))]), "lists a storage `1` that its object does not name"),
        (
            3,
            object(&[("a", tensor("1", 4, b"N")), ("b", tensor("1", 5, b"N"))]),
            "names storage `1` with two sizes",
        ),
        (
            3,
            object(&[("a", tensor("1", 4, b"N")), ("b", tensor("2", 4, b"N"))]),
            "holds no bytes of storage `2`",
        ),
        (3, object(&[("a", tensor("1", 3, b"N"))]), "gives storage `1` 4 elements, its object says 3"),
        (3, object(&[("a", b"P7\n".to_vec())]), "a persistent id that torch does not write"),
        (3, object(&[("a", foreign)]), "a persistent id that torch does not write"),
        (
            3,
            object(&[("a", tensor("1", 4, &view("2", 3, 2)))]),
            "a view of storage `1` that is not inside of it",
        ),
        (
            3,
            object(&[("a", tensor("1", 4, &view("2", -1, 2)))]),
            "a view of storage `1` that is not inside of it",
        ),
        (3, object(&[("a", tensor("1", 4, &text("2")))]), "a view of storage `1` that is not inside of it"),
        (3, pickle(stray(view("2", 0, 2))), "a part of a storage that stands by itself"),
        (3, object(&[("a", stray(view("2", 0, 2)))]), "a part of a storage that stands by itself"),
        (3, object(&[("a", called("lib", "N"))]), "a part of a storage that stands by itself"),
        (3, object(&[("a", called("torch._utils", "view"))]), "a part of a storage that stands by itself"),
        (
            3,
            object(&[("a", self::tensor("1", 4, &view("2", 1, 3), i64::MAX, &[1], &[1]))]),
            "has a tensor with an invalid offset",
        ),
        (
            3,
            object(&[("a", self::tensor("1", 4, &view("2", 1, 3), -1, &[1], &[1]))]),
            "has a tensor with an invalid offset",
        ),
        (4, keys(&["1", "1"]), "lists the storage `1` twice"),
        (4, pickle(b"](K\x01e".to_vec()), "has no list of the keys of its storages"),
        (4, pickle(b"N".to_vec()), "has no list of the keys of its storages"),
        (5, [&4u64.to_le_bytes()[..], FOUR, b"!!!"].concat(), "goes on for 3 bytes after its last storage"),
        (5, [&4u64.to_le_bytes()[..], &FOUR[1..]].concat(), "cut off"),
        (5, [&((1u64 << 62) + 4).to_le_bytes()[..], FOUR].concat(), "gives storage `1` 4611686018427387908"),
        (5, [&5u64.to_le_bytes()[..], FOUR].concat(), "gives storage `1` 5 elements, its object says 4"),
    ];
    let written = |pieces: &[Vec<u8>; 6]| {
        std::fs::write(&path, pieces.concat()).unwrap();
        read(&path)
    };
    assert_eq!(files::keys(&written(&good).unwrap()), ["a"]);
    // The whole of a view is inside, and stands by itself as the first of the arguments.
    let mut whole = good.clone();
    whole[3] = object(&[("a", tensor("1", 4, &view("2", 2, 2)))]);
    assert_eq!(files::keys(&written(&whole).unwrap()), ["a"]);
    for magic in
        [&b"L119547037146038801333356L\n."[..], &[b"\x80\x04\x95\x0d\0\0\0\0\0\0\0", &MAGIC[2..]].concat()]
    {
        let mut other = good.clone();
        other[0] = magic.to_vec();
        assert_eq!(files::keys(&written(&other).unwrap()), ["a"]);
    }
    for (place, piece, what) in cases {
        let mut other = good.clone();
        other[place] = piece;
        let error = written(&other).unwrap_err().to_string();
        assert!(error.contains(what), "{what}: {error}");
    }
}

#[test]
fn a_pickle_may_fill_its_budget_to_the_byte() {
    let (_folder, path) = folder();
    let long = pickle([b"V".to_vec(), vec![b'x'; 70_000], b"\n".to_vec()].concat());
    file(&path, &long, &[]);
    let most = |most| open(&path, &[], &limited(Limit::PickleBytes, most)).map_err(|error| error.code());
    assert!(most(long.len() as u64).is_ok());
    assert_eq!(most(long.len() as u64 - 1).unwrap_err(), "too-large");
    let left = [long, pickle(b"](e".to_vec())].concat().len() as u64;
    match open(&path, &[], &limited(Limit::PickleBytes, 100)) {
        Err(FormatError::TooLarge { size, .. }) => assert_eq!(size, left, "what is left of the file"),
        other => panic!("{:?}", other.map(|_| ())),
    }
}

#[test]
fn each_storage_lies_behind_its_count() {
    let (_folder, path) = folder();
    let storages: [(&str, &[u8]); 3] = [("7", &FOUR[..8]), ("3", &FOUR[..4]), ("5", FOUR)];
    let tensors: Vec<(&str, Vec<u8>)> = storages
        .iter()
        .map(|&(key, bytes)| (key, tensor(key, i64::try_from(bytes.len() / 4).unwrap(), b"N", 0, &[1], &[1])))
        .collect();
    let bytes = file(&path, &pickle(dict(&tensors)), &storages);
    let source = read(&path).unwrap();
    let found: Vec<(u64, u64)> = source
        .main_dict()
        .entries
        .iter()
        .map(|entry| match &entry.data {
            EntryData::Stored(stored) => (stored.storage.extent.offset, stored.storage.extent.len),
            EntryData::Opaque { what } => panic!("{what}"),
        })
        .collect();
    let end = bytes.len() as u64;
    assert_eq!(found, [(end - 44, 8), (end - 28, 4), (end - 16, 16)]);
}

#[test]
fn classes_with_their_source_become_classes() {
    let (_folder, path) = folder();
    let class = [&b"(\x8c\x06modulecnets\nNet\n"[..], &text("nets.py"), &text("class Net"), b"tQ"].concat();
    let object = pickle(dict(&[("a", tensor("1", 4, b"N", 0, &[4], &[1])), ("net", class)]));
    file(&path, &object, &[("1", FOUR)]);
    let source = read(&path).unwrap();
    assert_eq!(keys(&source), ["a", "net"]);
    let out = path.with_file_name("new.pt");
    write(&output(&source, kept(&source, str::to_owned)), &out, &FORCE).unwrap();
    let written = std::fs::read(&out).unwrap();
    let holds = |text: &[u8]| written.windows(text.len()).any(|window| window == text);
    assert!(holds(b"cnets\nNet\n") && !holds(b"class Net"));
}

#[test]
fn dicts_of_python_2_are_filled_afterwards() {
    let (_folder, path) = folder();
    let pair =
        |key: &str| [b"](".to_vec(), text(key), tensor("1", 4, b"N", 0, &[4], &[1]), b"e".to_vec()].concat();
    let items = [b"](".to_vec(), pair("a"), pair("b"), b"e".to_vec()].concat();
    let ordered = |items: &[u8]| [b"ccollections\nOrderedDict\n", items, b"\x85R"].concat();
    file(&path, &pickle(ordered(&items)), &[("1", FOUR)]);
    let source = read(&path).unwrap();
    assert_eq!(keys(&source), ["a", "b"]);
    // What is no list of pairs is left alone, and so is a list that a dict before it was made of: one dict of tensors is found.
    let odd = [b"](".to_vec(), pair("a"), b"](e".to_vec(), b"e".to_vec()].concat();
    let shared = dict(&[("x", ordered(&[&items[..], b"q\x07"].concat())), ("y", ordered(b"h\x07"))]);
    for (object, found) in [(ordered(&odd), vec![]), (shared, vec!["a", "b"])] {
        file(&path, &pickle(object), &[("1", FOUR)]);
        assert_eq!(keys(&read(&path).unwrap()), found);
    }
}
