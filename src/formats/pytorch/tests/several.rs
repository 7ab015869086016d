//! Several dicts of tensors of one file.

use std::path::Path;
use std::sync::Arc;

use super::files::{FORCE, FOUR, Ones, dict, folder, pickle, tensor, text, torch_file};
use crate::formats::{
    Checkpoint, Content, EntryData, Format, FormatError, Limits, Output, OutputDict, OutputTensor, StateDict,
    open, write,
};
use crate::tensor::{Dtype, TensorSpec};

fn read(path: &Path, at: &[&str]) -> Result<Checkpoint, FormatError> {
    open(path, at, &Limits::default())
}

/// An output that keeps every entry of every dict, under a name that its dict's number may change.
fn kept<'a>(source: &'a Checkpoint, name: impl Fn(usize, &str) -> String) -> Output<'a> {
    let output_dict = |(index, dict): (usize, &StateDict)| {
        let entries = dict.entries.iter().enumerate();
        let tensors = entries.map(|(entry, found)| OutputTensor {
            key: name(index, &found.key).into(),
            content: Content::Kept { entry },
        });
        OutputDict { tensors: tensors.collect(), ..OutputDict::default() }
    };
    Output {
        source,
        format: Format::TorchZip,
        dicts: source.dicts.iter().enumerate().map(output_dict).collect(),
        record: Default::default(),
        optimizers: Vec::new(),
        edits: &[],
        weights_only: false,
        progress: &(),
    }
}

fn keys(dict: &StateDict) -> Vec<&str> {
    dict.entries.iter().map(|entry| &*entry.key).collect()
}

fn others(checkpoint: &Checkpoint) -> Vec<&str> {
    checkpoint.others.iter().map(|other| other.path.as_str()).collect()
}

/// The weights, an average of which `b` is tied to them, and things beside them on two levels.
fn weights_and_average() -> Vec<u8> {
    let weights = dict(&[("a", tensor("0", 4, 0, &[4], &[1])), ("b", tensor("1", 4, 0, &[4], &[1]))]);
    let average = dict(&[("a", tensor("2", 4, 0, &[4], &[1])), ("b", tensor("1", 4, 0, &[4], &[1]))]);
    pickle(dict(&[
        ("epoch", b"K\x03".to_vec()),
        ("state_dict", weights),
        ("ema", dict(&[("decay", b"K\x09".to_vec()), ("module", average)])),
    ]))
}

fn storage(dict: &StateDict, index: usize) -> &Arc<crate::formats::Storage> {
    match &dict.entries[index].data {
        EntryData::Stored(tensor) => &tensor.storage,
        EntryData::Opaque { what } => panic!("{what}"),
    }
}

#[test]
fn each_is_read_and_an_unchanged_output_keeps_every_byte() {
    let (_folder, path) = folder();
    torch_file(&path, &weights_and_average(), &[FOUR, FOUR, FOUR]);
    assert_eq!(others(&read(&path, &["state_dict"]).unwrap()), ["epoch", "ema"]);
    let source = read(&path, &["ema.module", "state_dict"]).unwrap();
    let at: Vec<String> = source.dicts.iter().map(|dict| dict.at.to_string()).collect();
    assert_eq!(at, ["ema.module", "state_dict"]);
    assert_eq!(source.main_dict().at.to_string(), "ema.module");
    assert!(source.dicts.iter().all(|dict| keys(dict) == ["a", "b"]));
    assert_eq!(others(&source), ["epoch", "ema.decay"]);
    let out = path.with_file_name("out.pt");
    write(&kept(&source, |_, key| key.to_owned()), &out, &FORCE).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), std::fs::read(&out).unwrap());
}

#[test]
fn each_takes_its_own_changes_and_what_they_share_is_written_once() {
    let (_folder, path) = folder();
    torch_file(&path, &weights_and_average(), &[FOUR, FOUR, FOUR]);
    let at = ["state_dict", "ema.module"];
    let source = read(&path, &at).unwrap();
    let mut wanted = kept(&source, |index, key| format!("{index}.{key}"));
    wanted.record = crate::formats::Recording::Write("{}".to_owned());
    let out = path.with_file_name("out.pt");
    write(&wanted, &out, &FORCE).unwrap();
    let again = read(&out, &at).unwrap();
    again.verify().unwrap();
    assert_eq!(keys(&again.dicts[0]), ["0.a", "0.b"]);
    assert_eq!(keys(&again.dicts[1]), ["1.a", "1.b"]);
    assert_eq!(others(&again), ["epoch", "migrate", "ema.decay"]);
    assert!(Arc::ptr_eq(storage(&again.dicts[0], 1), storage(&again.dicts[1], 1)));
    let zip = zip::ZipArchive::new(std::fs::File::open(&out).unwrap()).unwrap();
    assert_eq!(zip.file_names().filter(|name| name.as_ref().unwrap().contains("/data/")).count(), 3);
    // A change of the second dict alone is a change, and `like` and ties speak of their own dict.
    let ones = Ones(TensorSpec::new(Dtype::F32, [2]));
    let mut wanted = kept(&source, |_, key| key.to_owned());
    wanted.dicts[1].tensors = vec![
        OutputTensor { key: "x".into(), content: Content::Produced { tensor: &ones, like: Some(1) } },
        OutputTensor { key: "y".into(), content: Content::Tied { to: 0 } },
    ];
    write(&wanted, &out, &FORCE).unwrap();
    let again = read(&out, &at).unwrap();
    assert_eq!((keys(&again.dicts[0]), keys(&again.dicts[1])), (vec!["a", "b"], vec!["x", "y"]));
    assert!(Arc::ptr_eq(storage(&again.dicts[1], 0), storage(&again.dicts[1], 1)));
    assert_eq!(storage(&again.dicts[1], 0).extent.len, 8);
}

#[test]
fn one_dict_twice_or_inside_another_is_refused() {
    let (_folder, path) = folder();
    let w = || tensor("0", 4, 0, &[4], &[1]);
    let inner = dict(&[("enc", dict(&[("w", w())])), ("head", w())]);
    // `again` is the very dict `model.enc`, from the memo; `e` beside it only begins like it.
    let shared = [b"}(".to_vec(), text("w"), w(), b"uq\x07".to_vec()].concat();
    let root = dict(&[
        ("model", inner),
        ("model.d", dict(&[("w", w())])),
        ("first", dict(&[("part", shared), ("v", w())])),
        ("again", b"h\x07".to_vec()),
    ]);
    torch_file(&path, &pickle(root), &[FOUR]);
    let cases = [
        (&["model", "model"][..], "the dict `model` is named twice", "name `model` once"),
        (
            &["model.enc", "first", "model.enc"],
            "the dict `model.enc` is named twice",
            "name `model.enc` once",
        ),
        (&["model", "model.enc"], "`model.enc` lies inside `model`, which", "name `model` alone"),
        (&["model.enc", "model"], "`model.enc` lies inside `model`, which", "name `model` alone"),
        (&["first", "."], "`first` lies inside `.`, which", "name `.` alone"),
        (&["first", "again"], "`first` and `again` share a dict", "name `first` alone"),
        (&["again", "model", "first.part"], "`again` and `first.part` share a dict", "name `again` alone"),
    ];
    for (at, what, help) in cases {
        let error = read(&path, at).unwrap_err();
        assert_eq!(error.code(), "dicts-overlap");
        assert!(error.to_string().contains(what), "{error}");
        assert!(error.help().unwrap().starts_with(help), "{error:?}");
    }
    let source = read(&path, &["model", "model.d", "again"]).unwrap();
    let all: Vec<_> = source.dicts.iter().map(keys).collect();
    assert_eq!(all, [vec!["enc.w", "head"], vec!["w"], vec!["w"]]);
    assert_eq!(others(&source), ["first"]);
    assert_eq!(read(&path, &["model", "nope"]).unwrap_err().code(), "no-tensors");
}

#[test]
fn what_holds_one_dict_is_refused_several() {
    let (_folder, path) = folder();
    torch_file(&path, &weights_and_average(), &[FOUR, FOUR, FOUR]);
    let source = read(&path, &["state_dict", "ema.module"]).unwrap();
    let cases = [
        (Format::Safetensors, false, "or write a torch file"),
        (Format::Safetensors, true, "or write a torch file"),
        (Format::TorchZip, true, "or leave --weights-only out"),
    ];
    for (format, weights_only, instead) in cases {
        let out = path.with_file_name("out");
        let output = Output { format, weights_only, ..kept(&source, |_, key| key.to_owned()) };
        let error = write(&output, &out, &FORCE).unwrap_err();
        assert_eq!(error.code(), "one-dict-only");
        assert!(error.to_string().contains("several are chosen: `state_dict`, `ema.module`"), "{error}");
        let help = format!("choose one with --at state_dict or --at ema.module, {instead}");
        assert_eq!(error.help(), Some(help));
        assert!(!out.exists());
    }
    let mut output = kept(&source, |_, key| key.to_owned());
    output.dicts.truncate(1);
    assert_eq!(write(&output, &path.with_file_name("out"), &FORCE).unwrap_err().code(), "bad-output");
}

#[test]
fn a_file_without_dicts_has_one_without_entries() {
    let (_folder, path) = folder();
    torch_file(&path, &pickle(b"K\x03".to_vec()), &[]);
    let source = read(&path, &[]).unwrap();
    assert!(source.dicts.len() == 1 && source.main_dict().entries.is_empty());
    let out = path.with_file_name("out.pt");
    write(&kept(&source, |_, key| key.to_owned()), &out, &FORCE).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), std::fs::read(&out).unwrap());
}

#[test]
fn module_versions_that_are_shared_follow_once() {
    let (_folder, path) = folder();
    let versions = [dict(&[("a", dict(&[("version", b"K\x02".to_vec())]))]), b"q\x07".to_vec()].concat();
    let state = |versions: &[u8]| {
        [
            b"ccollections\nOrderedDict\n)R(".to_vec(),
            [text("a.w"), tensor("0", 4, 0, &[4], &[1])].concat(),
            b"u".to_vec(),
            [b"}".to_vec(), text("_metadata"), versions.to_vec(), b"sb".to_vec()].concat(),
        ]
        .concat()
    };
    let root = dict(&[("model", state(&versions)), ("ema", state(b"h\x07"))]);
    torch_file(&path, &pickle(root), &[FOUR]);
    let at = ["model", "ema"];
    let source = read(&path, &at).unwrap();
    assert!(source.dicts.iter().all(|dict| dict.modules == ["a"]));
    let mut wanted = kept(&source, |_, key| key.replace('a', "b"));
    for dict in &mut wanted.dicts {
        dict.modules.insert("a".to_owned(), vec!["b".to_owned(), "c".to_owned()]);
    }
    let out = path.with_file_name("out.pt");
    write(&wanted, &out, &FORCE).unwrap();
    let again = read(&out, &at).unwrap();
    assert!(again.dicts.iter().all(|dict| dict.modules == ["b", "c"] && keys(dict) == ["b.w"]));
    wanted.dicts[1].modules.clear();
    let error = write(&wanted, &out, &FORCE).unwrap_err();
    assert!(error.to_string().contains("share the version of the module `a`"), "{error}");
}
