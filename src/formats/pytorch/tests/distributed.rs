//! Folders of distributed checkpoints, made here.

use super::files::{dict, int, limited, pickle, text, tuple};
use crate::formats::{Foreign, Limit, Limits, open, open_distributed};

fn class(name: &str) -> Vec<u8> {
    format!("ctorch.distributed.checkpoint.metadata\n{name}\n)").into_bytes()
}

/// An object of a class of torch's, whose attributes or state `BUILD` gives it.
fn object(name: &str, state: &[u8]) -> Vec<u8> {
    [class(name), b"\x81".to_vec(), state.to_vec(), b"b".to_vec()].concat()
}

fn tensor(dtype: &str, shape: &[i64]) -> Vec<u8> {
    let properties = [b"(".to_vec(), format!("c{dtype}\n").into_bytes(), b"\x89t".to_vec()].concat();
    let size = [b"ctorch\nSize\n".to_vec(), tuple(shape), b"\x85R".to_vec()].concat();
    let fields = [("properties", object("TensorProperties", &properties)), ("size", size)];
    object("TensorStorageMetadata", &dict(&fields))
}

#[test]
fn a_folder_tells_what_was_saved_and_how_one_file_is_made_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("it's one");
    std::fs::create_dir(&path).unwrap();
    assert!(open_distributed(&path, &Limits::default()).unwrap().is_none());
    assert_eq!(open(&path, &[], &Limits::default()).unwrap_err().code(), "no-index");
    let saved = dict(&[
        ("model.w", tensor("torch\nbfloat16", &[4, 3])),
        ("model.new", tensor("torch\nfloat99", &[4])),
        ("model.foreign", tensor("numpy\nfloat32", &[4])),
        ("epoch", [class("BytesStorageMetadata"), b"\x81".to_vec()].concat()),
        ("odd", int(3)),
    ]);
    let fields = dict(&[("state_dict_metadata", saved), ("version", text("1.0.0"))]);
    std::fs::write(path.join(".metadata"), pickle(object("Metadata", &fields))).unwrap();
    std::fs::write(path.join("__0_0.distcp"), b"1234").unwrap();
    let found = open_distributed(&path, &Limits::default()).unwrap().unwrap();
    assert_eq!((found.files, found.version.as_deref()), (1, Some("1.0.0")));
    let shown: Vec<String> = found
        .entries
        .iter()
        .map(|saved| {
            let spec = saved.spec.as_ref().map(ToString::to_string);
            format!("{} {}", saved.key, spec.as_deref().unwrap_or(saved.what))
        })
        .collect();
    let wanted = [
        "model.w bf16 [4, 3]",
        "model.new a tensor of unknown dtype",
        "model.foreign a tensor of unknown dtype",
        "epoch a value that is no tensor",
        "odd unknown",
    ];
    assert_eq!(shown, wanted);
    let error = open(&path, &[], &Limits::default()).unwrap_err();
    assert_eq!(error.code(), "distributed");
    let help = error.help().unwrap();
    assert!(help.contains("format_utils dcp_to_torch '") && help.contains("it'\\''s one' out.pt"), "{help}");
    // A file of it is not a checkpoint, though it holds the zip files of its tensors.
    let error = open(&path.join("__0_0.distcp"), &[], &Limits::default()).unwrap_err();
    assert!(error.help().unwrap().contains("it'\\''s one' out.pt"));
    // Lightning's has a file beside it, and a command of its own.
    std::fs::write(path.join("meta.pt"), b"").unwrap();
    let found = open_distributed(&path, &Limits::default()).unwrap().unwrap();
    assert_eq!(found.kind, Foreign::DistributedLightning);
    assert!(found.kind.conversion(&path).unwrap().contains("consolidate_checkpoint"));
    let error = open_distributed(&path, &limited(Limit::PickleBytes, 10)).unwrap_err();
    assert_eq!(error.code(), "too-large");
    let nothing = pickle(object("Metadata", &dict(&[("state_dict_metadata", int(3))])));
    for damaged in [&b""[..], b"\x80\x02N.", b"\x80\x02}.", &nothing] {
        std::fs::write(path.join(".metadata"), damaged).unwrap();
        assert_eq!(open_distributed(&path, &Limits::default()).unwrap_err().code(), "bad-pickle");
    }
}
