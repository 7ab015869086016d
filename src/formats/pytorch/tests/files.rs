//! Whole torch files, made here.

use std::io::Write;
use std::path::{Path, PathBuf};

use super::super::archive_writer::ArchiveWriter;
use crate::formats::output::OutputFile;
use crate::formats::{
    Checkpoint, Content, EntryData, Format, FormatError, Limit, Limits, Output, OutputDict, OutputTensor,
    Placement, Produce, ReadElements, Replace, open, write,
};
use crate::tensor::{Dtype, TensorSpec};

pub(super) const FORCE: Placement = Placement { replace: Replace::Force, sync: false };

pub(super) fn records(path: &Path, root: &str, records: &[(&str, &[u8])]) {
    let file = std::fs::File::create(path).unwrap();
    let mut out = OutputFile::new(path, &file, &());
    let mut archive = ArchiveWriter::new(&mut out, root, 0);
    for (name, bytes) in records {
        archive.record(name, bytes.to_vec()).unwrap();
    }
    archive.finish().unwrap();
}

/// Writes a torch file of this pickle with storages `0`, `1` ….
pub(super) fn torch_file(path: &Path, pickle: &[u8], storages: &[&[u8]]) {
    let names: Vec<String> = (0..storages.len()).map(|number| format!("data/{number}")).collect();
    let mut all: Vec<(&str, &[u8])> = vec![("data.pkl", pickle), ("byteorder", b"little")];
    all.extend(names.iter().map(String::as_str).zip(storages.iter().copied()));
    all.push(("version", b"3\n"));
    all.push((".data/serialization_id", b"1234"));
    records(path, "archive", &all);
}

pub(super) fn text(text: &str) -> Vec<u8> {
    [&b"X"[..], &u32::try_from(text.len()).unwrap().to_le_bytes(), text.as_bytes()].concat()
}

pub(super) fn int(value: i64) -> Vec<u8> {
    [&b"\x8a\x08"[..], &value.to_le_bytes()].concat()
}

pub(super) fn tuple(values: &[i64]) -> Vec<u8> {
    [vec![b'('], values.iter().flat_map(|&value| int(value)).collect(), vec![b't']].concat()
}

/// `_rebuild_tensor_v2` of a float storage.
pub(super) fn tensor(key: &str, numel: i64, offset: i64, shape: &[i64], strides: &[i64]) -> Vec<u8> {
    let id = [
        b"(".to_vec(),
        text("storage"),
        b"ctorch\nFloatStorage\n".to_vec(),
        text(key),
        text("cpu"),
        int(numel),
    ];
    [
        b"ctorch._utils\n_rebuild_tensor_v2\n(".to_vec(),
        id.concat(),
        b"tQ".to_vec(),
        int(offset),
        tuple(shape),
        tuple(strides),
        b"\x89ccollections\nOrderedDict\n)RtR".to_vec(),
    ]
    .concat()
}

pub(super) fn dict(items: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let items: Vec<u8> = items.iter().flat_map(|(key, value)| [text(key), value.clone()].concat()).collect();
    [b"}(".to_vec(), items, b"u".to_vec()].concat()
}

pub(super) fn pickle(root: Vec<u8>) -> Vec<u8> {
    [b"\x80\x02".to_vec(), root, b".".to_vec()].concat()
}

pub(super) fn limited(limit: Limit, most: u64) -> Limits {
    let mut limits = Limits::default();
    limits.set(limit, most);
    limits
}

pub(super) fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.pt");
    (folder, path)
}

pub(super) fn read(path: &Path) -> Result<Checkpoint, FormatError> {
    open(path, &[], &Limits::default())
}

pub(super) fn output<'a>(source: &'a Checkpoint, tensors: Vec<OutputTensor<'a>>) -> Output<'a> {
    Output {
        source,
        format: Format::TorchZip,
        dicts: vec![OutputDict { tensors, ..OutputDict::default() }],
        record: Default::default(),
        optimizers: Vec::new(),
        edits: &[],
        weights_only: false,
        progress: &(),
    }
}

pub(super) fn kept<'a>(source: &Checkpoint, name: impl Fn(&str) -> String) -> Vec<OutputTensor<'a>> {
    let entries = source.main_dict().entries.iter().enumerate();
    entries
        .map(|(entry, e)| OutputTensor { key: name(&e.key).into(), content: Content::Kept { entry } })
        .collect()
}

pub(super) fn keys(checkpoint: &Checkpoint) -> Vec<&str> {
    checkpoint.main_dict().entries.iter().map(|entry| &*entry.key).collect()
}

pub(super) const FOUR: &[u8] = &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];

#[test]
fn records_of_the_writer_are_read_back() {
    for root in ["a", "exactly-21-characters", &"long".repeat(40)] {
        let (_folder, path) = folder();
        let large = vec![7; 100_000];
        records(
            &path,
            root,
            &[("data.pkl", b"\x80\x02}."), ("data/0", &large), ("data/1", b""), ("version", b"3\n")],
        );
        let mut zip = zip::ZipArchive::with_config(
            zip::read::Config { archive_offset: zip::read::ArchiveOffset::Known(0) },
            std::fs::File::open(&path).unwrap(),
        )
        .unwrap();
        zip.validate_header_consistency().unwrap();
        for index in 0..zip.len() {
            let entry = zip.by_index(index).unwrap();
            assert!(entry.name().unwrap().starts_with(root));
            assert_eq!(entry.data_start().unwrap() % 64, 0);
        }
        assert!(read(&path).unwrap().main_dict().entries.is_empty());
    }
}

#[test]
fn without_a_change_every_byte_stays() {
    let (_folder, path) = folder();
    torch_file(
        &path,
        &pickle(dict(&[("w", tensor("0", 4, 0, &[4], &[1])), ("n", b"K\x03".to_vec())])),
        &[FOUR],
    );
    let source = read(&path).unwrap();
    assert_eq!(keys(&source), ["w", "n"]);
    assert!(matches!(&source.main_dict().entries[1].data, EntryData::Opaque { what } if what == "3"));
    let out = path.with_file_name("out.pt");
    write(&output(&source, kept(&source, str::to_owned)), &out, &FORCE).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), std::fs::read(&out).unwrap());
}

#[test]
fn dropped_storages_go_and_the_others_are_numbered_anew() {
    let (_folder, path) = folder();
    let state = dict(&[
        ("a.weight", tensor("0", 4, 0, &[4], &[1])),
        ("b.weight", tensor("1", 4, 1, &[3], &[1])),
        ("b.again", tensor("1", 4, 0, &[2, 2], &[1, 2])),
    ]);
    torch_file(&path, &pickle(dict(&[("state_dict", state), ("epoch", b"K\x03".to_vec())])), &[FOUR, FOUR]);
    let source = read(&path).unwrap();
    assert_eq!(source.main_dict().at.to_string(), "state_dict");
    assert_eq!((source.others[0].path.as_str(), source.others[0].what.as_str()), ("epoch", "3"));
    let tensors = vec![
        OutputTensor { key: "c.again".into(), content: Content::Kept { entry: 2 } },
        OutputTensor { key: "c.weight".into(), content: Content::Kept { entry: 1 } },
    ];
    let out = path.with_file_name("out.pt");
    let mut wanted = output(&source, tensors);
    wanted.record = crate::formats::Recording::Write("{}".to_owned());
    write(&wanted, &out, &FORCE).unwrap();
    let again = read(&out).unwrap();
    assert_eq!(keys(&again), ["c.again", "c.weight"]);
    let others: Vec<_> =
        again.others.iter().map(|other| (other.path.as_str(), other.what.as_str())).collect();
    assert_eq!(others, [("epoch", "3"), ("migrate", "\"{}\"")]);
    let zip = zip::ZipArchive::new(std::fs::File::open(&out).unwrap()).unwrap();
    let names: Vec<String> = zip.file_names().map(|name| name.unwrap().into_owned()).collect();
    assert_eq!(names, ["archive/data.pkl", "archive/byteorder", "archive/data/0", "archive/version"]);
    match (&again.main_dict().entries[0].data, &again.main_dict().entries[1].data) {
        (EntryData::Stored(first), EntryData::Stored(second)) => {
            assert!(std::sync::Arc::ptr_eq(&first.storage, &second.storage));
            assert_eq!((first.strides.as_slice(), second.offset), (&[1, 2][..], 4));
        }
        other => panic!("{other:?}"),
    }
}

pub(super) struct Ones(pub(super) TensorSpec);

impl Produce for Ones {
    fn spec(&self) -> &TensorSpec {
        &self.0
    }

    fn reader(&self) -> Box<dyn ReadElements + '_> {
        Box::new(One)
    }
}

struct One;

impl ReadElements for One {
    fn read(&self, _: u64, out: &mut [u8]) -> Result<(), FormatError> {
        out.fill(1);
        Ok(())
    }
}

#[test]
fn produced_tensors_of_every_dtype_are_read_back() {
    let (_folder, path) = folder();
    torch_file(&path, &pickle(dict(&[("w", tensor("0", 4, 0, &[4], &[1]))])), &[FOUR]);
    let source = read(&path).unwrap();
    let no_torch = |dtype: &Dtype| {
        matches!(dtype, Dtype::Object | Dtype::Qint8 | Dtype::Quint8 | Dtype::Qint32)
            || dtype.bytes().is_none()
    };
    let made: Vec<Ones> = Dtype::all()
        .filter(|dtype| !no_torch(dtype))
        .map(|dtype| Ones(TensorSpec::new(dtype, [2, 0x1_0000, 1])))
        .collect();
    let tensors = made.iter().enumerate().map(|(index, tensor)| OutputTensor {
        key: format!("t{index}").into(),
        content: Content::Produced { tensor, like: Some(0) },
    });
    let out = path.with_file_name("out.pt");
    write(&output(&source, tensors.collect()), &out, &FORCE).unwrap();
    let again = read(&out).unwrap();
    again.verify().unwrap();
    let specs: Vec<&TensorSpec> = again.main_dict().entries.iter().map(|entry| entry.spec()).collect();
    assert_eq!(specs, made.iter().map(|tensor| &tensor.0).collect::<Vec<_>>());
    // A safetensors file has no name for some of them.
    for (spec, wrong) in [(Dtype::C128, true), (Dtype::C64, false)] {
        let tensor = Ones(TensorSpec::new(spec, [2]));
        let content = Content::Produced { tensor: &tensor, like: None };
        let wanted = output(&source, vec![OutputTensor { key: "t".into(), content }]);
        let wanted = Output { format: Format::Safetensors, ..wanted };
        let error = write(&wanted, &path.with_file_name("out.safetensors"), &FORCE).err();
        assert_eq!(error.map(|error| error.code()), wrong.then_some("cannot-hold"));
    }
}

#[test]
fn tied_tensors_share_their_storage() {
    let (_folder, path) = folder();
    torch_file(&path, &pickle(dict(&[("w", tensor("0", 4, 0, &[4], &[1]))])), &[FOUR]);
    let source = read(&path).unwrap();
    let ones = Ones(TensorSpec::new(Dtype::F32, [2]));
    let tensors = || {
        vec![
            OutputTensor { key: "a".into(), content: Content::Produced { tensor: &ones, like: None } },
            OutputTensor { key: "b".into(), content: Content::Tied { to: 0 } },
        ]
    };
    let out = path.with_file_name("out.pt");
    write(&output(&source, tensors()), &out, &FORCE).unwrap();
    let again = read(&out).unwrap();
    let storages: Vec<_> = again
        .main_dict()
        .entries
        .iter()
        .filter_map(|entry| match &entry.data {
            EntryData::Stored(tensor) => Some(&tensor.storage),
            EntryData::Opaque { .. } => None,
        })
        .collect();
    assert!(storages.len() == 2 && std::sync::Arc::ptr_eq(storages[0], storages[1]));
    let out = path.with_file_name("out.safetensors");
    write(&Output { format: Format::Safetensors, ..output(&source, tensors()) }, &out, &FORCE).unwrap();
    assert_eq!(keys(&read(&out).unwrap()), ["a", "b"]);
    let mut backwards = tensors();
    backwards.reverse();
    assert_eq!(write(&output(&source, backwards), &out, &FORCE).unwrap_err().code(), "bad-output");
}

#[test]
fn keys_go_to_the_nested_dict_that_they_begin_with() {
    let (_folder, path) = folder();
    let inner = dict(&[("w", tensor("0", 4, 0, &[4], &[1]))]);
    let other = dict(&[("v", tensor("0", 4, 0, &[2], &[1]))]);
    let model = dict(&[("head", tensor("0", 4, 0, &[1], &[1])), ("enc", inner), ("dec", other)]);
    torch_file(&path, &pickle(dict(&[("model", model)])), &[FOUR]);
    let source = read(&path).unwrap();
    assert_eq!(keys(&source), ["head", "enc.w", "dec.v"]);
    let rename = |key: &str| match key {
        "head" => "enc.head".to_owned(),
        "dec.v" => "v".to_owned(),
        other => other.to_owned(),
    };
    let out = path.with_file_name("out.pt");
    write(&output(&source, kept(&source, rename)), &out, &FORCE).unwrap();
    let again = read(&out).unwrap();
    assert_eq!(keys(&again), ["enc.head", "enc.w", "v"]);
    let inner = open(&out, &["model.enc"], &Limits::default()).unwrap();
    assert_eq!(keys(&inner), ["head", "w"]);
    // The emptied dict is gone.
    let error = open(&out, &["model.dec"], &Limits::default()).unwrap_err();
    assert_eq!(error.code(), "no-tensors");
    assert!(
        error.to_string().ends_with("no tensors at `model.dec`; the file holds the dict `model.enc`"),
        "{error}"
    );
}

#[test]
fn module_versions_follow() {
    let (_folder, path) = folder();
    let versions = dict(&[
        ("", dict(&[("version", b"K\x01".to_vec())])),
        ("a", dict(&[("version", b"K\x02".to_vec())])),
    ]);
    let state = [
        b"ccollections\nOrderedDict\n)R(".to_vec(),
        [text("a.w"), tensor("0", 4, 0, &[4], &[1])].concat(),
        b"u".to_vec(),
        [b"}".to_vec(), text("_metadata"), versions, b"sb".to_vec()].concat(),
    ];
    torch_file(&path, &pickle(state.concat()), &[FOUR]);
    let source = read(&path).unwrap();
    assert_eq!(source.main_dict().modules, ["", "a"]);
    let out = path.with_file_name("out.pt");
    let mut wanted = output(&source, kept(&source, str::to_owned));
    wanted.dicts[0].modules.insert("a".to_owned(), vec!["b".to_owned(), "c".to_owned()]);
    write(&wanted, &out, &FORCE).unwrap();
    assert_eq!(read(&out).unwrap().main_dict().modules, ["", "b", "c"]);
}

#[test]
fn several_dicts_are_a_question() {
    let (_folder, path) = folder();
    let one = || dict(&[("w", tensor("0", 4, 0, &[4], &[1]))]);
    torch_file(
        &path,
        &pickle(dict(&[("model_g", one()), ("model.d", one()), ("optimizer", one())])),
        &[FOUR],
    );
    let error = read(&path).unwrap_err();
    assert_eq!(error.code(), "many-dicts");
    assert_eq!(error.help().unwrap(), "write --at model_g, or --at model.d");
    assert_eq!(keys(&open(&path, &["model.d"], &Limits::default()).unwrap()), ["w"]);
    let error = open(&path, &["nope"], &Limits::default()).unwrap_err();
    assert!(
        error.to_string().contains("the file holds the dicts `model_g`, `model.d`, `optimizer`"),
        "{error}"
    );
    let error = open(&path, &["model_g.deeper"], &Limits::default()).unwrap_err();
    assert!(
        error.to_string().ends_with("no tensors at `model_g.deeper`; there is no dict of tensors there"),
        "{error}"
    );
}

#[test]
fn an_output_has_each_key_once_and_a_dict_to_put_it_into() {
    let (_folder, path) = folder();
    let out = path.with_file_name("out.pt");
    let refusal = |source: &Checkpoint, names: &[&str]| {
        let ones = Ones(TensorSpec::new(Dtype::F32, [2]));
        let tensor = |key: &&str| OutputTensor {
            key: (*key).into(),
            content: Content::Produced { tensor: &ones, like: None },
        };
        let output = output(source, names.iter().map(tensor).collect());
        write(&output, &out, &FORCE).err().map(|error| error.to_string()).unwrap_or_default()
    };
    let w = || tensor("0", 4, 0, &[4], &[1]);
    torch_file(&path, &pickle(dict(&[("w", w()), ("a", dict(&[("w", w())]))])), &[FOUR]);
    let source = read(&path).unwrap();
    assert_eq!(refusal(&source, &["w", "a.w"]), "");
    for names in [["w", "w"], ["a.w", "a.w"], ["w", "a"]] {
        let error = refusal(&source, &names);
        assert!(
            error.ends_with(&format!("the key `{}` is written twice, or a dict is there", names[1])),
            "{error}"
        );
    }
    torch_file(&path, &pickle(int(3)), &[]);
    let source = read(&path).unwrap();
    let error = refusal(&source, &["w"]);
    assert!(error.ends_with("the source has no dict that could take tensors"), "{error}");
}

#[test]
fn damage_is_found_and_leaves_no_output() {
    let (folder, path) = folder();
    torch_file(&path, &pickle(dict(&[("w", tensor("0", 4, 0, &[4], &[1]))])), &[FOUR]);
    let good = std::fs::read(&path).unwrap();
    let at = good.windows(FOUR.len()).position(|window| window == FOUR).unwrap();
    let mut bad = good.clone();
    bad[at] ^= 1;
    std::fs::write(&path, &bad).unwrap();
    let source = read(&path).unwrap();
    let out = path.with_file_name("out.pt");
    let error = write(&output(&source, kept(&source, str::to_owned)), &out, &FORCE).unwrap_err();
    assert_eq!(error.code(), "crc-mismatch");
    assert!(error.to_string().contains("archive/data/0"), "{error}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "only the input is there");
    for length in [0, 3, 100, good.len() / 2, good.len() - 1] {
        std::fs::write(&path, &good[..length]).unwrap();
        assert!(read(&path).is_err(), "cut off at {length}");
    }
}

#[test]
fn compressed_and_odd_archives() {
    let pickle = pickle(dict(&[("w", tensor("0", 4, 0, &[4], &[1]))]));
    let make = |path: &Path, names: &[(&str, &[u8])], method| {
        let mut zip = zip::ZipWriter::new(std::fs::File::create(path).unwrap());
        let options = zip::write::SimpleFileOptions::default().compression_method(method);
        for (name, bytes) in names {
            zip.start_file(*name, options).unwrap();
            zip.write_all(bytes).unwrap();
        }
        zip.finish().unwrap();
    };
    let (_folder, path) = folder();
    let good: [(&str, &[u8]); 3] = [("a/data.pkl", &pickle), ("a/data/0", FOUR), ("a/version", b"3\n")];
    for method in [zip::CompressionMethod::Deflated, zip::CompressionMethod::Stored] {
        make(&path, &good, method);
        let source = read(&path).unwrap();
        let out = path.with_file_name("out.pt");
        write(&output(&source, kept(&source, str::to_owned)), &out, &FORCE).unwrap();
        let again = read(&out).unwrap();
        again.verify().unwrap();
        assert_eq!(again.main_dict().entries[0].spec().to_string(), "f32 [4]");
    }
    let tight = limited(Limit::InflatedBytes, 3);
    make(&path, &good, zip::CompressionMethod::Deflated);
    assert_eq!(open(&path, &[], &tight).unwrap_err().code(), "too-large");
    for (names, code) in [
        (vec![("a/data.pkl", &pickle[..]), ("a/data/0", FOUR)], "not-torch"),
        (vec![("a/version", &b"3\n"[..])], "not-torch"),
        (vec![("a/version", &b"3\n"[..]), ("b/data.pkl", &pickle)], "bad-record"),
        (vec![("version", &b"3\n"[..])], "bad-record"),
        (vec![("a/../../x", &b"3\n"[..])], "bad-record"),
        (vec![("a/constants.pkl", &b""[..])], "torchscript"),
    ] {
        make(&path, &names, zip::CompressionMethod::Stored);
        assert_eq!(read(&path).unwrap_err().code(), code, "{names:?}");
    }
    records(&path, "a", &[("data.pkl", &pickle), ("byteorder", b"big"), ("version", b"3\n")]);
    assert_eq!(read(&path).unwrap_err().code(), "big-endian");
}
