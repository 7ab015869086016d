//! What a pickle says of tensors and storages, held against the file.

use super::files::{FOUR, dict, folder, pickle, read, tensor, torch_file};
use crate::formats::EntryData;

#[test]
fn tensors_that_reach_beyond_their_storage_are_refused() {
    let cases = [
        (tensor("0", 4, 0, &[5], &[1]), "reaches 20 bytes into a storage of 16 bytes"),
        (tensor("0", 4, 2, &[3], &[1]), "reaches 20 bytes"),
        (tensor("0", 4, 0, &[2, 2], &[3, 1]), "reaches 20 bytes"),
        (tensor("0", 4, -1, &[2], &[1]), "invalid offset"),
        (tensor("0", 4, 0, &[-2], &[1]), "invalid shape"),
        (tensor("0", 4, 0, &[2], &[-1]), "invalid stride"),
        (tensor("0", 4, 0, &[2], &[1, 1]), "1 dims but 2 strides"),
        (tensor("0", 4, 0, &[1 << 40, 1 << 40], &[0, 0]), "overflows"),
        (tensor("0", 4, 0, &[3, 3], &[i64::MAX, i64::MAX]), "overflow"),
        // What would lie inside if a product, a sum, or the end could wrap.
        (tensor("0", 4, 0, &[5], &[1 << 62]), "overflow"),
        (tensor("0", 4, 0, &[3, 2], &[i64::MAX, 2]), "overflow"),
        (tensor("0", 4, 0, &[3, 2], &[i64::MAX, 1]), "overflow"),
    ];
    for (tensor, what) in cases {
        let (_folder, path) = folder();
        torch_file(&path, &pickle(dict(&[("w", tensor)])), &[FOUR]);
        let error = read(&path).unwrap_err();
        assert_eq!(error.code(), "bad-tensor", "{error}");
        assert!(error.to_string().contains("tensor `w`") && error.to_string().contains(what), "{error}");
    }
}

#[test]
fn an_empty_tensor_may_lie_anywhere() {
    for (offset, stored) in [(0, true), (4, true), (1 << 40, true), (i64::MAX, false)] {
        let (_folder, path) = folder();
        torch_file(&path, &pickle(dict(&[("w", tensor("0", 4, offset, &[0], &[1]))])), &[FOUR]);
        let checkpoint = read(&path).unwrap();
        let data = &checkpoint.main_dict().entries[0].data;
        assert_eq!(matches!(data, EntryData::Stored(_)), stored, "{offset}");
    }
}

#[test]
fn persistent_ids_are_tuples() {
    let (_folder, path) = folder();
    torch_file(
        &path,
        &pickle(dict(&[("w", tensor("0", 4, 0, &[4], &[1])), ("x", b"Pid\n".to_vec())])),
        &[FOUR],
    );
    let error = read(&path).unwrap_err();
    assert!(error.to_string().contains("a persistent id is text, torch writes tuples"), "{error}");
}

#[test]
fn storages_must_be_there_and_have_the_size_that_the_pickle_says() {
    for (tensor, what) in [
        (tensor("0", 5, 0, &[4], &[1]), "has 16 bytes, the pickle says 20"),
        (tensor("1", 4, 0, &[4], &[1]), "no entry `data/1`"),
        (tensor("../0", 4, 0, &[4], &[1]), "is not one that torch writes"),
        (tensor("0", i64::MAX, 0, &[4], &[1]), "overflows"),
        (tensor("0", -4, 0, &[4], &[1]), "no valid size"),
    ] {
        let (_folder, path) = folder();
        torch_file(&path, &pickle(dict(&[("w", tensor)])), &[FOUR]);
        let error = read(&path).unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
    }
}

#[test]
fn one_key_twice_is_refused() {
    let (_folder, path) = folder();
    let w = || tensor("0", 4, 0, &[4], &[1]);
    torch_file(&path, &pickle(dict(&[("w", w()), ("w", w())])), &[FOUR]);
    assert_eq!(read(&path).unwrap_err().code(), "duplicate-key");
    torch_file(&path, &pickle(dict(&[("a.b", w()), ("a", dict(&[("b", w())]))])), &[FOUR]);
    assert_eq!(read(&path).unwrap_err().code(), "duplicate-key");
}
