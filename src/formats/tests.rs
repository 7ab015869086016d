#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use foldhash::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::{
    AtomicFile, Checkpoint, Content, EntryData, Extent, Format, FormatError, Limit, Limits, Output,
    OutputDict, OutputTensor, Placement, Replace, SourceFile, Storage, StoredTensor, open, write,
};
use crate::tensor::{Dtype, TensorSpec};

const FORCE: Placement = Placement { replace: Replace::Force, sync: true };
const NEVER: Placement = Placement { replace: Replace::Never, sync: false };

fn safetensors_file(path: &Path, header: &str, data: &[u8]) {
    std::fs::write(path, [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()).unwrap();
}

fn read(path: &Path) -> Result<Checkpoint, FormatError> {
    open(path, &[], &Limits::default())
}

fn kept<'a>(source: &'a Checkpoint, order: &[usize], format: Format) -> Output<'a> {
    let tensor = |&entry: &usize| OutputTensor {
        key: source.main_dict().entries[entry].key.clone(),
        content: Content::Kept { entry },
    };
    Output {
        source,
        format,
        dicts: vec![OutputDict { tensors: order.iter().map(tensor).collect(), modules: HashMap::default() }],
        record: Default::default(),
        optimizers: Vec::new(),
        edits: &[],
        weights_only: false,
        progress: &(),
    }
}

#[test]
fn what_the_crate_writes_comes_out_byte_for_byte() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    let bytes: Vec<u8> = (0..64).collect();
    let view = |dtype, shape: &[usize], len| {
        safetensors::tensor::TensorView::new(dtype, shape.to_vec(), &bytes[..len]).unwrap()
    };
    let tensors = vec![
        ("b", view(safetensors::Dtype::F32, &[2, 3], 24)),
        ("quote\"é", view(safetensors::Dtype::BF16, &[3], 6)),
        ("a", view(safetensors::Dtype::I64, &[], 8)),
        ("empty", view(safetensors::Dtype::F32, &[0, 3], 0)),
        ("flag", view(safetensors::Dtype::BOOL, &[5], 5)),
    ];
    let metadata = std::collections::HashMap::from([("format".to_owned(), "pt".to_owned())]);
    for metadata in [None, Some(std::collections::HashMap::new()), Some(metadata)] {
        std::fs::write(&path, safetensors::serialize(tensors.clone(), metadata).unwrap()).unwrap();
        let source = read(&path).unwrap();
        let out = folder.path().join("b.safetensors");
        write(&kept(&source, &[0, 1, 2, 3, 4], Format::Safetensors), &out, &FORCE).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), std::fs::read(&out).unwrap());
        // Another order of keys: the crate reads it, and every tensor is aligned to its elements.
        write(&kept(&source, &[4, 3, 2, 1, 0], Format::Safetensors), &out, &FORCE).unwrap();
        let bytes = std::fs::read(&out).unwrap();
        let views = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(views.tensor("a").unwrap().data(), [0, 1, 2, 3, 4, 5, 6, 7]);
        let again = read(&out).unwrap();
        let keys: Vec<&str> = again.main_dict().entries.iter().map(|entry| &*entry.key).collect();
        assert_eq!(keys, ["flag", "quote\"é", "empty", "b", "a"]);
        for entry in &again.main_dict().entries {
            let EntryData::Stored(tensor) = &entry.data else { panic!() };
            assert_eq!(tensor.storage.extent.offset % entry.spec().dtype.bytes().unwrap(), 0);
            assert_eq!(Some(tensor.storage.extent.len), entry.spec().nbytes());
        }
    }
}

#[test]
fn damaged_headers_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    let one = |name: &str, from: u64, to: u64| {
        format!("\"{name}\":{{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[{from},{to}]}}")
    };
    let cases = [
        (format!("{{{},{}}}", one("a", 0, 4), one("a", 4, 8)), "duplicate-key", "`a` twice"),
        (format!("{{{},{}}}", one("a", 0, 4), one("b", 5, 9)), "bad-header", "a hole of 1 bytes before `b`"),
        (format!("{{{},{}}}", one("a", 0, 4), one("b", 2, 6)), "bad-header", "`b` overlaps"),
        (format!("{{{}}}", one("a", 0, 4)), "bad-header", "4 bytes follow"),
        (format!("{{{},{}}}", one("a", 0, 4), one("b", 4, 9)), "bad-header", "`b` should have 4 bytes"),
        (format!("{{{},{},{}}}", one("a", 0, 4), one("b", 4, 8), one("c", 8, 12)), "cut-off", "and has"),
        ("{\"__metadata__\":{\"k\":\"1\",\"k\":\"2\"}}".to_owned(), "duplicate-key", "k"),
        ("{\"a\":{\"dtype\":\"F99\",\"shape\":[],\"data_offsets\":[0,8]}}".to_owned(), "bad-header", "`a`"),
        (
            "{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296,4294967296],\"data_offsets\":[0,8]}}"
                .to_owned(),
            "bad-header",
            "`a` has no size",
        ),
        ("{".to_owned(), "bad-header", "EOF"),
        ("[]".to_owned(), "bad-header", "expected"),
    ];
    for (header, code, what) in cases {
        safetensors_file(&path, &header, &[0; 8]);
        let error = read(&path).unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        assert!(error.to_string().contains(what), "{error}");
    }
    std::fs::write(&path, [&1000u64.to_le_bytes()[..], b"{}"].concat()).unwrap();
    let error = read(&path).unwrap_err().to_string();
    assert!(error.contains("1008 bytes") && error.contains("has 10"), "{error}");
    std::fs::write(&path, [&u64::MAX.to_le_bytes()[..], b"{}"].concat()).unwrap();
    assert_eq!(read(&path).unwrap_err().code(), "too-large");
}

#[test]
fn lengths_of_safetensors_hold_to_the_byte() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    let code = |bytes: &[u8], limits: &Limits| {
        std::fs::write(&path, bytes).unwrap();
        open(&path, &[], limits).map(drop).map_err(|error| error.code())
    };
    let (usual, mut tight) = (Limits::default(), Limits::default());
    let header = |says: u64| [&says.to_le_bytes()[..], b"{}      "].concat();
    assert_eq!(code(&header(8), &usual), Ok(()));
    for (says, wrong) in [(0, "bad-header"), (9, "cut-off"), (16, "cut-off"), (17, "cut-off")] {
        assert_eq!(code(&header(says), &usual), Err(wrong), "{says}");
    }
    for len in 1..8 {
        assert_eq!(code(&header(8)[..len], &usual), Err("cut-off"), "{len}");
    }
    assert_eq!(code(&header(0)[..8], &usual), Err("bad-header"));
    for (dims, outcome) in [(64, Ok(())), (65, Err("bad-header")), (66, Err("bad-header"))] {
        let shape = vec!["1"; dims].join(",");
        let text = format!("{{\"a\":{{\"dtype\":\"F32\",\"shape\":[{shape}],\"data_offsets\":[0,4]}}}}");
        let bytes = [&(text.len() as u64).to_le_bytes(), text.as_bytes(), &[0; 4]].concat();
        assert_eq!(code(&bytes, &usual), outcome, "{dims}");
    }
    // What would fit if the sum of the sizes and the header could wrap.
    let len = (1u64 << 61) - 1;
    let tensor = |at: u64| {
        let (from, to) = (at * len, (at + 1) * len);
        format!("\"{at}\":{{\"dtype\":\"U8\",\"shape\":[{len}],\"data_offsets\":[{from},{to}]}}")
    };
    let text = format!("{{{}}}", (0..8).map(tensor).collect::<Vec<_>>().join(","));
    std::fs::write(&path, [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat()).unwrap();
    let error = read(&path).unwrap_err().to_string();
    assert!(error.ends_with("the sizes overflow"), "{error}");
    for (most, outcome) in [(8, Ok(())), (7, Err("too-large"))] {
        tight.set(Limit::HeaderBytes, most);
        assert_eq!(code(&header(8), &tight), outcome);
    }
}

#[test]
fn a_part_of_a_range_lies_inside_of_it() {
    let file = SourceFile::from_file(Path::new("a"), tempfile::tempfile().unwrap()).unwrap();
    let range = Extent { file, offset: 100, len: 10 };
    let part = |offset, len| range.part(offset, len).map(|part| (part.offset, part.len));
    assert_eq!((part(0, 10), part(4, 6), part(10, 0)), (Some((100, 10)), Some((104, 6)), Some((110, 0))));
    assert_eq!((part(4, 7), part(11, 0), part(u64::MAX, 2)), (None, None, None));
}

#[test]
fn other_files_are_named_for_what_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.ckpt");
    let mut tar = vec![0; 512];
    tar[257..262].copy_from_slice(b"ustar");
    let mut torchs = tar.clone();
    torchs[..8].copy_from_slice(b"sys_info");
    let cases: [(&[u8], &str); 9] = [
        (b"", "empty-file"),
        (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.", "bad-pickle"),
        (&tar, "tar"),
        (&torchs, "legacy-tar"),
        (b"\x80\x04\x95\x00\x00\x00\x00\x00\x00\x00\x00N.", "plain-pickle"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "git-lfs-pointer"),
        (b"hello, this is text\n", "text-file"),
        (&[0xde, 0xad, 0xbe, 0xef, 0, 0, 0, 0, 1, 2], "unknown-format"),
        (b"PK\x03\x04 cut off", "damaged-zip"),
    ];
    for (bytes, code) in cases {
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(read(&path).unwrap_err().code(), code, "{}", bytes.escape_ascii());
    }
    assert_eq!(read(folder.path()).unwrap_err().code(), "no-index");
    assert_eq!(read(Path::new("/dev/null")).unwrap_err().code(), "not-a-file");
    assert_eq!(read(&folder.path().join("nothing.pt")).unwrap_err().code(), "io");
}

#[test]
fn outputs_appear_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    safetensors_file(&path, "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", &[0; 8]);
    let source = read(&path).unwrap();
    let output = kept(&source, &[0], Format::Safetensors);
    assert_eq!(write(&output, &path, &NEVER).unwrap_err().code(), "output-exists");
    let out = folder.path().join("b.safetensors");
    assert_eq!(write(&output, &out, &NEVER).unwrap().bytes(), out.metadata().unwrap().len());
    assert_eq!(write(&output, &folder.path().join("no/folder.pt"), &NEVER).unwrap_err().code(), "io");
    let file = AtomicFile::create(&folder.path().join("c")).unwrap();
    std::fs::write(folder.path().join("c"), "taken meanwhile").unwrap();
    assert_eq!(file.commit(&NEVER).unwrap_err().code(), "output-exists");
    drop(AtomicFile::create(&folder.path().join("d")).unwrap());
    let mut names: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["a.safetensors", "b.safetensors", "c"]);
}

#[test]
fn a_new_torch_file_takes_the_name_of_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    safetensors_file(&path, "{\"a\":{\"dtype\":\"BF16\",\"shape\":[2,2],\"data_offsets\":[0,8]}}", &[1; 8]);
    let source = read(&path).unwrap();
    for (name, root) in
        [("model.v1.pt", "model.v1"), ("x.ckpt", "x"), (".pt", "archive"), ("é.pt", "archive")]
    {
        let out = folder.path().join(name);
        write(&kept(&source, &[0], Format::TorchZip), &out, &NEVER).unwrap();
        let zip = zip::ZipArchive::new(std::fs::File::open(&out).unwrap()).unwrap();
        let names: Vec<String> = zip.file_names().map(|name| name.unwrap().into_owned()).collect();
        let wanted = ["data.pkl", ".format_version", ".storage_alignment", "byteorder", "data/0", "version"];
        assert_eq!(names, wanted.map(|name| format!("{root}/{name}")));
        let again = read(&out).unwrap();
        assert_eq!(
            (again.main_dict().entries[0].spec().to_string().as_str(), &*again.main_dict().entries[0].key),
            ("bf16 [2, 2]", "a")
        );
    }
}

#[test]
fn a_safetensors_file_is_one_dict() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    safetensors_file(&path, "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", &[0; 8]);
    let open = |at: &[&str]| open(&path, at, &Limits::default());
    for at in [&[][..], &["."], &[""]] {
        let source = open(at).unwrap();
        assert_eq!((source.dicts.len(), source.main_dict().at.name().as_str()), (1, "."));
    }
    assert_eq!(open(&["model"]).unwrap_err().code(), "no-tensors");
    assert_eq!(open(&[".", "model"]).unwrap_err().code(), "no-tensors");
    let error = open(&[".", ""]).unwrap_err();
    assert_eq!(error.code(), "dicts-overlap");
    assert!(error.to_string().ends_with("the dict `.` is named twice"), "{error}");
    // An output has a dict for each of the source's.
    let source = open(&[]).unwrap();
    for format in [Format::Safetensors, Format::TorchZip] {
        for count in [0, 2] {
            let mut output = kept(&source, &[0], format);
            output.dicts.resize_with(count, OutputDict::default);
            let error = write(&output, &folder.path().join("out"), &NEVER).unwrap_err();
            assert_eq!(error.code(), "bad-output");
        }
    }
}

#[test]
fn an_output_has_each_key_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    safetensors_file(&path, "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", &[0; 8]);
    let source = read(&path).unwrap();
    for format in [Format::Safetensors, Format::TorchZip] {
        let error = write(&kept(&source, &[0, 0], format), &folder.path().join("out"), &NEVER).unwrap_err();
        assert!(error.to_string().contains("the key `a` is written twice"), "{error}");
    }
}

#[test]
fn contiguous_is_what_lies_in_row_major_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bytes");
    std::fs::write(&path, [0; 64]).unwrap();
    let file = SourceFile::open(&path).unwrap();
    let storage = Arc::new(Storage { extent: Extent { file, offset: 16, len: 32 }, crc: None });
    let extent = |shape: &[u64], strides: &[u64], offset| {
        let spec = TensorSpec { dtype: Dtype::F32, shape: shape.to_vec() };
        let tensor = StoredTensor { spec, storage: storage.clone(), offset, strides: strides.to_vec() };
        tensor.extent().map(|extent| (extent.offset, extent.len))
    };
    assert_eq!(extent(&[2, 3], &[3, 1], 8), Some((24, 24)));
    assert_eq!(extent(&[2, 3], &[3, 1], 12), None, "beyond the storage");
    assert_eq!(extent(&[2, 3], &[1, 2], 0), None);
    assert_eq!(extent(&[2, 3], &[4, 1], 0), None);
    assert_eq!(extent(&[2, 1, 3], &[3, 77, 1], 0), Some((16, 24)), "a dim of 1 has no steps");
    assert_eq!(extent(&[2, 0], &[9, 9], 999), Some((16, 0)), "nothing lies anywhere");
    assert_eq!(extent(&[], &[], 28), Some((44, 4)));
}
