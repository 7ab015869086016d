//! What calls and persistent ids of hand-made pickles stand for.

use super::super::machine;
use super::super::tensors::{self, Meaning, Plain, StorageId};
use super::files::{int, pickle, text, tuple};
use crate::tensor::Dtype;

fn global(name: &str) -> Vec<u8> {
    let (module, name) = name.rsplit_once('.').unwrap();
    format!("c{module}\n{name}\n").into_bytes()
}

fn together(values: &[Vec<u8>]) -> Vec<u8> {
    [b"(".to_vec(), values.concat(), b"t".to_vec()].concat()
}

fn call(name: &str, arguments: &[Vec<u8>]) -> Vec<u8> {
    [global(name), together(arguments), b"R".to_vec()].concat()
}

/// The persistent id of storage `0`.
fn storage(class: &str, size: i64) -> Vec<u8> {
    identity(&[text("storage"), global(class), text("0"), text("cpu"), int(size)])
}

fn identity(parts: &[Vec<u8>]) -> Vec<u8> {
    [together(parts), b"Q".to_vec()].concat()
}

const TRUE: &[u8] = b"\x88";
const FALSE: &[u8] = b"\x89";
const NONE: &[u8] = b"N";

/// The arguments of a rebuild call for 2 elements of such a storage.
fn view(storage: Vec<u8>, rest: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let view = [storage, int(0), tuple(&[2]), tuple(&[1]), FALSE.to_vec(), NONE.to_vec()];
    [view.as_slice(), rest].concat()
}

/// A plain tensor of two floats.
fn floats() -> Vec<u8> {
    call("torch._utils._rebuild_tensor_v2", &view(storage("torch.FloatStorage", 2), &[]))
}

fn meaning(value: Vec<u8>) -> Result<Meaning, String> {
    let graph = machine::read(pickle(value), 10_000).unwrap();
    tensors::meaning(&graph, graph.root)
}

fn plain(value: Vec<u8>) -> Plain {
    match meaning(value) {
        Ok(Meaning::Plain(plain)) => plain,
        other => panic!("no plain tensor: {other:?}"),
    }
}

/// What an opaque value is called, or why it is none; nothing for what is no tensor.
fn what(value: Vec<u8>) -> String {
    match meaning(value) {
        Ok(Meaning::Opaque(what)) => what,
        Ok(Meaning::Other) => String::new(),
        Ok(Meaning::Plain(plain)) => format!("{plain:?}"),
        Err(what) => what,
    }
}

#[test]
fn a_parameter_is_its_tensor() {
    let hooks = global("collections.OrderedDict");
    let parameters = [
        call("torch._utils._rebuild_parameter", &[floats(), TRUE.to_vec(), hooks.clone()]),
        call(
            "torch._utils._rebuild_parameter_with_state",
            &[floats(), TRUE.to_vec(), hooks.clone(), b"}".to_vec()],
        ),
        call(
            "torch._tensor._rebuild_from_type_v2",
            &[
                global("torch._utils._rebuild_parameter"),
                global("torch.nn.parameter.Parameter"),
                together(&[floats(), TRUE.to_vec(), hooks.clone()]),
                b"}".to_vec(),
            ],
        ),
    ];
    for parameter in parameters {
        let read = plain(parameter);
        assert_eq!((read.parameter, read.requires_grad, read.dtype), (true, true, Dtype::F32));
    }
    let frozen = plain(call("torch._utils._rebuild_parameter", &[floats(), FALSE.to_vec(), hooks]));
    assert!(frozen.parameter && !frozen.requires_grad);
    assert!(!plain(floats()).parameter);
}

#[test]
fn classes_of_torch_itself_are_plain_and_others_are_not() {
    let of = |class: &str, function: &str| {
        let inner = together(&view(storage("torch.FloatStorage", 2), &[]));
        call("torch._tensor._rebuild_from_type_v2", &[global(function), global(class), inner, b"}".to_vec()])
    };
    for class in ["torch.Tensor", "torch._tensor.Tensor", "torch.nn.parameter.Parameter"] {
        assert_eq!(plain(of(class, "torch._utils._rebuild_tensor_v2")).shape, [2]);
    }
    assert_eq!(what(of("lib.Fancy", "torch._utils._rebuild_tensor_v2")), "tensor subclass lib.Fancy");
    let odd =
        [global("torch._utils._rebuild_tensor_v2"), global("torch.Tensor"), b"N".to_vec(), b"}".to_vec()];
    assert_eq!(what(call("torch._tensor._rebuild_from_type_v2", &odd)), "a tensor subclass");
}

#[test]
fn what_cannot_be_read_is_passed_through_by_its_name() {
    let conjugate = [b"}(".to_vec(), text("conj"), TRUE.to_vec(), b"u".to_vec()].concat();
    let dtype = |name: &str| global(&format!("torch.{name}"));
    let untyped = || storage("torch.storage.UntypedStorage", 8);
    let wrapped = |times: usize| {
        (0..times).fold(floats(), |inner, _| {
            call("torch._utils._rebuild_parameter", &[inner, FALSE.to_vec(), NONE.to_vec()])
        })
    };
    let cases = [
        (call("torch._utils._rebuild_sparse_tensor", &[]), "a sparse tensor"),
        (call("torch._utils._rebuild_qtensor", &[]), "a quantized tensor"),
        (call("torch.nested._rebuild_nested_tensor", &[]), "a nested tensor"),
        (call("torch._utils._rebuild_meta_tensor_no_storage", &[]), "a meta tensor without data"),
        (call("torch._utils._rebuild_new", &[]), "a tensor of torch._utils._rebuild_new"),
        (call("torch.storage._load_from_bytes", &[text("")]), "a storage in its own pickle"),
        (call("torch.lib._rebuild_it", &[]), "a tensor of torch.lib._rebuild_it"),
        (call("torch.lib._load_from_bytes", &[]), "a tensor of torch.lib._load_from_bytes"),
        (call("lib._rebuild_it", &[]), ""),
        (call("torch._utils.other", &[]), ""),
        (call("torch.Size", &[tuple(&[2])]), ""),
        ([floats(), b"}(".to_vec(), text("a"), int(1), b"ub".to_vec()].concat(), "a tensor with attributes"),
        (wrapped(5), "a tensor in too many wrappers"),
        (
            call("torch._utils._rebuild_tensor_v2", &view(NONE.to_vec(), &[])),
            "a tensor without a storage of its own",
        ),
        (
            call("torch._utils._rebuild_tensor_v2", &view(storage("torch.FloatStorage", 2), &[conjugate])),
            "a tensor with the conjugate or negative bit",
        ),
        (
            call("torch._utils._rebuild_tensor_v3", &view(untyped(), &[dtype("float7")])),
            "a tensor of dtype float7",
        ),
        (
            call("torch._utils._rebuild_tensor_v3", &view(untyped(), &[int(1)])),
            "the dtype is no dtype of torch",
        ),
        (
            call("torch._utils._rebuild_tensor_v3", &view(untyped(), &[])),
            "_rebuild_tensor_v3 has too few arguments",
        ),
        (call("torch._utils._rebuild_tensor_v2", &view(untyped(), &[])), "a tensor of unknown dtype"),
        // What comes seventh is a dtype for `_rebuild_tensor_v3` alone.
        (
            call("torch._utils._rebuild_tensor_v2", &view(untyped(), &[b"}".to_vec(), dtype("uint8")])),
            "a tensor of unknown dtype",
        ),
        (
            call("torch._utils._rebuild_tensor", &view(storage("torch.NewStorage", 2), &[])[..4]),
            "a tensor of unknown dtype",
        ),
        (
            call("torch._utils._rebuild_tensor", &view(untyped(), &[])[..3]),
            "_rebuild_tensor has too few arguments",
        ),
        (
            call("torch._utils._rebuild_tensor_v2", &view(untyped(), &[])[..5]),
            "_rebuild_tensor_v2 has too few arguments",
        ),
        (call("torch._utils._rebuild_parameter", &[floats()]), "_rebuild_parameter has too few arguments"),
    ];
    for (value, expected) in cases {
        assert_eq!(what(value.clone()), expected, "{}", value.escape_ascii());
    }
    assert!(plain(wrapped(3)).parameter);
    let typed = plain(call("torch._utils._rebuild_tensor_v3", &view(untyped(), &[dtype("uint16")])));
    assert_eq!(typed.dtype, Dtype::U16);
    assert_eq!(
        plain(call("torch._utils._rebuild_tensor", &view(storage("torch.FloatStorage", 2), &[])[..4])).shape,
        [2]
    );
}

#[test]
fn shapes_strides_and_offsets_are_checked() {
    let of = |storage: Vec<u8>, offset: Vec<u8>, shape: Vec<u8>, strides: Vec<u8>| {
        what(call("torch._utils._rebuild_tensor", &[storage, offset, shape, strides]))
    };
    let (floats, most) = (|size| storage("torch.FloatStorage", size), i64::MAX);
    let size = |dims: &[i64]| call("torch.Size", &[tuple(dims)]);
    assert!(of(floats(6), int(1), size(&[2, 2]), tuple(&[3, 1])).starts_with("Plain"));
    assert!(
        of(floats(0), int(9), tuple(&[0, 2]), tuple(&[9, 9])).starts_with("Plain"),
        "nothing reaches nowhere"
    );
    let cases = [
        (of(floats(5), int(1), size(&[2, 2]), tuple(&[3, 1])), "reaches 24 bytes into a storage of 20 bytes"),
        (of(floats(6), int(2), size(&[2, 2]), tuple(&[3, 1])), "reaches 28 bytes into a storage of 24 bytes"),
        (of(floats(6), int(-1), tuple(&[2]), tuple(&[1])), "has an invalid offset"),
        (of(floats(6), NONE.to_vec(), tuple(&[2]), tuple(&[1])), "has an invalid offset"),
        (of(floats(6), int(0), tuple(&[-2]), tuple(&[1])), "has an invalid shape"),
        (of(floats(6), int(0), tuple(&[2]), tuple(&[-1])), "has an invalid stride"),
        (of(floats(6), int(0), NONE.to_vec(), tuple(&[1])), "has a shape that is no tuple"),
        (of(floats(6), int(0), tuple(&[2]), NONE.to_vec()), "has a stride that is no tuple"),
        (
            of(floats(6), int(0), call("lib.Size", &[tuple(&[2])]), tuple(&[1])),
            "has a shape that is no tuple",
        ),
        (of(floats(6), int(0), tuple(&[2, 1]), tuple(&[1])), "has 2 dims but 1 strides"),
        (of(floats(6), int(0), tuple(&[most, 2]), tuple(&[0, 0])), "has a shape whose product overflows"),
        // Nothing in them, but strides that are made anew would overflow.
        (
            of(floats(6), int(0), tuple(&[0, most, most]), tuple(&[0, 0, 0])),
            "has a shape whose product overflows",
        ),
        (of(floats(6), int(0), tuple(&[most]), tuple(&[0])), "has a shape whose size in bytes overflows"),
        (of(floats(6), int(0), tuple(&[3]), tuple(&[most])), "has an offset and strides that overflow"),
        (of(floats(6), int(most), tuple(&[2]), tuple(&[most])), "has an offset and strides that overflow"),
    ];
    for (found, expected) in cases {
        assert_eq!(found, expected);
    }
}

#[test]
fn a_persistent_id_is_one_that_torch_writes() {
    let read = |id: Vec<u8>| -> Result<StorageId, String> {
        let graph = machine::read(pickle(id), 10_000).unwrap();
        tensors::storage_id(&graph, graph.root)
    };
    let named = |key: &str| {
        read(identity(&[text("storage"), global("torch.HalfStorage"), text(key), text("cuda:0"), int(5)]))
    };
    let half = named("12").unwrap();
    assert_eq!((half.key.as_str(), half.location.as_str()), ("12", "cuda:0"));
    assert_eq!((half.dtype, half.nbytes, half.itemsize()), (Some(Dtype::F16), Some(10), Some(2)));
    let untyped = read(storage("torch.storage.UntypedStorage", 5)).unwrap();
    assert_eq!((untyped.dtype, untyped.nbytes, untyped.itemsize()), (None, Some(5), Some(1)));
    let new = read(storage("torch.cuda.NewStorage", 5)).unwrap();
    assert_eq!((new.dtype, new.nbytes, new.itemsize()), (None, None, None));
    for key in ["", "a/b", "a\\b", "a\0b", ".", "..", ".data"] {
        assert!(named(key).unwrap_err().contains("is not one that torch writes"), "{key:?}");
    }
    let parts = [text("storage"), global("torch.FloatStorage"), text("0"), text("cpu"), int(1)];
    for number in 0..parts.len() {
        let mut other = parts.clone();
        other[number] = NONE.to_vec();
        assert!(read(identity(&other)).is_err(), "part {number}");
    }
    let no = "a persistent id is no storage as torch names it";
    for (id, why) in [
        (identity(&parts[..4]), no),
        (identity(&[parts.as_slice(), &[int(1)]].concat()), no),
        (identity(&[&[text("module")], &parts[1..]].concat()), no),
        (storage("lib.FloatStorage", 1), no),
        (storage("torch.Float", 1), no),
        (together(&parts), no),
        ([text("0"), b"Q".to_vec()].concat(), no),
        (storage("torch.FloatStorage", -1), "storage `0` has no valid size"),
        (storage("torch.ComplexDoubleStorage", i64::MAX), "the size of storage `0` overflows"),
    ] {
        assert_eq!(read(id.clone()).unwrap_err(), why, "{}", id.escape_ascii());
    }
}

#[test]
fn a_dtype_has_the_class_that_torch_gives_it() {
    assert_eq!(tensors::storage_class(Dtype::F32), Some("FloatStorage"));
    // Their classes are read, but what is written never has scales.
    assert_eq!(tensors::storage_class(Dtype::Quint8), None);
    assert_eq!(tensors::storage_class(Dtype::U16), None);
    assert_eq!(
        (tensors::dtype_name(Dtype::U16), tensors::dtype_of("uint16")),
        (Some("uint16"), Some(Dtype::U16))
    );
}
