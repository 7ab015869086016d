//! What a file holds beside the tensors of a state dict.

use super::files::{
    FORCE, FOUR, dict, folder, int, kept, output, pickle, read, records, tensor, text, torch_file,
};
use crate::formats::{Checkpoint, EntryData, Format, Output, ParamId, write};

#[test]
fn values_under_keys_that_are_no_texts_are_not_lost_in_silence() {
    let (_folder, path) = folder();
    let w = || tensor("0", 4, 0, &[4], &[1]);
    let numbered = |key: &[u8]| [&b"}("[..], &text("w"), &w(), key, &w(), b"u"].concat();
    let nested =
        dict(&[("state_dict", dict(&[("a", numbered(b"N")), ("v", w())])), ("epoch", b"K\x03".to_vec())]);
    for (root, beside) in [(numbered(b"K\x01"), vec!["1"]), (nested, vec!["epoch", "state_dict.a.None"])] {
        torch_file(&path, &pickle(root), &[FOUR]);
        let source = read(&path).unwrap();
        let paths = |source: &Checkpoint| -> Vec<String> {
            source.others.iter().map(|other| other.path.clone()).collect()
        };
        assert_eq!(paths(&source), beside);
        let out = path.with_file_name("out.safetensors");
        let wanted = Output { format: Format::Safetensors, ..output(&source, kept(&source, str::to_owned)) };
        let error = write(&wanted, &out, &FORCE).unwrap_err();
        assert_eq!(error.code(), "others-lost", "{error}");
        // A torch file keeps them.
        let out = path.with_file_name("out.pt");
        write(&output(&source, kept(&source, |key| format!("{key}x"))), &out, &FORCE).unwrap();
        assert_eq!(paths(&read(&out).unwrap()).len(), beside.len());
    }
}

#[test]
fn an_optimizer_has_a_dict_of_states_and_numbers_as_python_writes_them() {
    let (_folder, path) = folder();
    let group = dict(&[("params", [b"](".to_vec(), int(0), b"e".to_vec()].concat())]);
    let groups = [b"](".to_vec(), group, b"e".to_vec()].concat();
    let states = |key: &str| dict(&[(key, dict(&[("step", int(1))]))]);
    for (state, found) in [
        (states("0"), Some(ParamId::Number(0))),
        (states("00"), Some(ParamId::Name("00".to_owned()))),
        (int(3), None),
    ] {
        let optimizer = dict(&[("state", state), ("param_groups", groups.clone())]);
        let weights = dict(&[("w", tensor("0", 4, 0, &[4], &[1]))]);
        torch_file(&path, &pickle(dict(&[("state_dict", weights), ("optimizer", optimizer)])), &[FOUR]);
        let optimizers = read(&path).unwrap().optimizers;
        let ids: Option<Vec<&ParamId>> =
            optimizers.first().map(|optimizer| optimizer.states.keys().collect());
        assert_eq!(ids, found.as_ref().map(|id| vec![id]));
    }
}

#[test]
fn notes_about_the_file_say_how_it_is_laid_out() {
    let (_folder, path) = folder();
    let one = pickle(dict(&[("w", tensor("0", 4, 0, &[4], &[1]))]));
    let with = |notes: &[(&str, &[u8])]| {
        let most: &[(&str, &[u8])] = &[("data.pkl", &one), ("data/0", FOUR), ("version", b"3\n")];
        records(&path, "a", &[most, notes].concat());
        read(&path)
    };
    let is_torchs = |notes: &[(&str, &[u8])]| {
        with(notes).unwrap().document.as_ref().unwrap().archive.as_ref().unwrap().is_torchs
    };
    assert!(is_torchs(&[]) && is_torchs(&[(".storage_alignment", b"64")]));
    assert!(!is_torchs(&[(".storage_alignment", b"128")]), "the writer aligns to 64 bytes");
    assert!(with(&[("byteorder", b"little")]).is_ok());
    let recorded = with(&[("migrate", "wörd".as_bytes())]).unwrap();
    assert_eq!(recorded.document.as_ref().unwrap().record().as_deref(), Some("wörd"));
    assert_eq!(with(&[("byteorder", b"big")]).unwrap_err().code(), "big-endian");
}

#[test]
fn what_is_dropped_is_checked_to_its_last_byte() {
    let (_folder, path) = folder();
    // A window and a half, and what is kept.
    let large = vec![7; 3 << 19];
    let numel = i64::try_from(large.len() / 4).unwrap();
    let tensors = [("gone", tensor("0", numel, 0, &[1], &[1])), ("kept", tensor("1", 4, 0, &[4], &[1]))];
    torch_file(&path, &pickle(dict(&tensors)), &[&large, FOUR]);
    let begin = match &read(&path).unwrap().main_dict().entries[0].data {
        EntryData::Stored(stored) => usize::try_from(stored.storage.extent.offset).unwrap(),
        EntryData::Opaque { what } => panic!("{what}"),
    };
    let bytes = std::fs::read(&path).unwrap();
    let out = path.with_file_name("out.pt");
    for damage in [None, Some(0), Some(1 << 20), Some(large.len() - 1)] {
        let mut bytes = bytes.clone();
        if let Some(place) = damage {
            bytes[begin + place] = 8;
        }
        std::fs::write(&path, bytes).unwrap();
        let source = read(&path).unwrap();
        let kept = kept(&source, str::to_owned).into_iter().skip(1).collect();
        let written = write(&output(&source, kept), &out, &FORCE).map_err(|error| error.code());
        assert_eq!(written.err(), damage.map(|_| "crc-mismatch"), "{damage:?}");
    }
}
