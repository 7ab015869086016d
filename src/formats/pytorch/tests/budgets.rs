//! Little that would make much is refused, and the error names the limit.

use std::io::Write as _;
use std::path::Path;

use super::super::document::pickle_limit;
use super::files::{FOUR, dict, folder, limited, pickle, read, tensor, text, torch_file};
use crate::formats::{FormatError, Limit, Limits, open};

/// A dict whose keys are these values, each with the tensor of memo entry 1.
fn many(count: usize) -> Vec<u8> {
    let mut items =
        [b"}(".to_vec(), text("first"), tensor("0", 4, 0, &[4], &[1]), b"q\x01".to_vec()].concat();
    for number in 0..count {
        items.extend([text(&format!("{number:x}")), b"h\x01".to_vec()].concat());
    }
    items.push(b'u');
    items
}

#[test]
fn long_keys_that_many_dicts_and_tensors_share() {
    let (_folder, path) = folder();
    // Dicts in dicts under one long key, and many tensors in the innermost.
    let key = [text(&"k".repeat(500)), b"q\x00".to_vec()].concat();
    let mut nested = [b"}".to_vec(), text("w"), tensor("0", 4, 0, &[4], &[1]), b"s".to_vec(), key].concat();
    for _ in 0..40 {
        nested.extend(b"}h\x00");
    }
    nested.extend(many(2_000));
    nested.extend(b"s".repeat(41));
    torch_file(&path, &pickle(nested), &[FOUR]);
    let Err(error) = read(&path) else { panic!("the file is read") };
    assert_eq!(error.code(), "too-large", "{error}");
    assert!(error.help().unwrap().starts_with("`--limit key-bytes=SIZE` allows more"));
    let limits = limited(Limit::KeyBytes, 1 << 30);
    assert_eq!(open(&path, &[], &limits).unwrap().main_dict().entries.len(), 2_002);
}

#[test]
fn a_path_that_leads_to_one_dict_in_many_ways() {
    let (_folder, path) = folder();
    // Each dict holds the next under `a` and under `a.a`: there are as many ways as the sum has.
    let mut nested = b"}q\x00".to_vec();
    for inner in 0..60u8 {
        let again = [b'h', inner, b's', b'q', inner + 1].to_vec();
        nested = [b"}".to_vec(), text("a"), nested, b"s".to_vec(), text("a.a"), again].concat();
    }
    torch_file(&path, &pickle(dict(&[("a", nested), ("w", tensor("0", 4, 0, &[4], &[1]))])), &[FOUR]);
    let error = open(&path, &[&vec!["a"; 60].join(".")], &Limits::default()).unwrap_err();
    assert_eq!(error.code(), "no-tensors", "{error}");
}

#[test]
fn optimizers_that_share_one_list() {
    let (_folder, path) = folder();
    let params: Vec<u8> = (0..2000u16).flat_map(|id| [&b"M"[..], &id.to_le_bytes()].concat()).collect();
    let group = dict(&[("params", [b"](".to_vec(), params, b"e".to_vec()].concat())]);
    let groups = |more: usize| {
        [b"](".to_vec(), group.clone(), b"q\x09".to_vec(), b"h\x09".repeat(more), b"e".to_vec()]
    };
    for (more, fits) in [(2, true), (2000, false)] {
        let optimizer = dict(&[("state", b"}".to_vec()), ("param_groups", groups(more).concat())]);
        torch_file(&path, &pickle(dict(&[("state_dict", many(1)), ("optimizer", optimizer)])), &[FOUR]);
        match read(&path) {
            Ok(checkpoint) => assert!(fits && checkpoint.optimizers.len() == 1),
            Err(error) => assert!(!fits && error.to_string().contains("share lists"), "{error}"),
        }
    }
}

#[test]
fn tensors_of_more_dims_than_are_read() {
    let (_folder, path) = folder();
    for (dims, fits) in [(64, true), (65, false)] {
        let ones = vec![1; dims];
        torch_file(&path, &pickle(dict(&[("w", tensor("0", 4, 0, &ones, &ones))])), &[FOUR]);
        assert_eq!(read(&path).is_ok(), fits, "{dims} dims");
    }
}

/// An archive without tensors, of a compressed pickle.
fn deflated(path: &Path, pickle: &[u8]) {
    let mut zip = zip::ZipWriter::new(std::fs::File::create(path).unwrap());
    let options =
        zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
    for (name, bytes) in [("a/data.pkl", pickle), ("a/version", b"3\n")] {
        zip.start_file(name, options).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap();
}

#[test]
fn values_of_a_pickle_that_is_inflated() {
    let (_folder, path) = folder();
    // 2 MiB of marks and values, of which the archive keeps a few kilobytes.
    for (values, code) in [(b"]".repeat(2 << 20), "bad-pickle"), (b"N2".repeat(1 << 20), "bad-pickle")] {
        let whole = pickle([b"(".to_vec(), values, b"l".to_vec()].concat());
        deflated(&path, &whole);
        let Err(error) = open(&path, &[], &Limits::default()) else { panic!("the file is read") };
        assert_eq!(error.code(), code);
        assert!(error.to_string().contains("`--limit pickle-values=NUMBER` allows more"), "{error}");
    }
}

#[test]
fn no_limit_lets_a_pickle_outgrow_its_numbers() {
    let of = |most| pickle_limit(&limited(Limit::PickleBytes, most));
    assert_eq!(of(100), (100, Some(Limit::PickleBytes)));
    assert_eq!(of((1 << 31) - 2), ((1 << 31) - 2, Some(Limit::PickleBytes)));
    assert_eq!(of((1 << 31) - 1), ((1 << 31) - 1, None));
    assert_eq!(of(u64::MAX), ((1 << 31) - 1, None));
}

#[test]
fn a_pickle_that_is_inflated_has_the_smaller_of_two_budgets() {
    let (_folder, path) = folder();
    let long = pickle(dict(&[("a", text(&"x".repeat(5000)))]));
    let length = long.len() as u64;
    deflated(&path, &long);
    let raise = |pickle: u64, inflated: u64| {
        let mut limits = limited(Limit::PickleBytes, pickle);
        limits.set(Limit::InflatedBytes, inflated);
        match open(&path, &[], &limits) {
            Ok(_) => None,
            Err(FormatError::TooLarge { raise, .. }) => raise,
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(raise(length, length), None);
    assert_eq!(raise(length - 1, length), Some(Limit::PickleBytes));
    assert_eq!(raise(length - 1, length - 1), Some(Limit::PickleBytes));
    assert_eq!(raise(length, length - 1), Some(Limit::InflatedBytes));
    // One that is stored as it is, is not inflated.
    torch_file(&path, &long, &[]);
    assert_eq!(raise(length, 1), None);
}

#[test]
fn what_tensors_repeat_is_counted_over_all_of_them() {
    let (_folder, path) = folder();
    let repeated = || tensor("0", 4, 0, &[1000], &[0]);
    torch_file(&path, &pickle(dict(&[("a", repeated()), ("b", repeated())])), &[FOUR]);
    let most = 2 * (4000 - 16);
    assert!(open(&path, &[], &limited(Limit::InflatedBytes, most)).is_ok());
    match open(&path, &[], &limited(Limit::InflatedBytes, most - 1)) {
        Err(FormatError::TooLarge { size, raise, .. }) => {
            assert_eq!((size, raise), (most, Some(Limit::InflatedBytes)));
        }
        other => panic!("{:?}", other.map(|_| ())),
    }
}
