//! What torch's rebuild calls mean: which tensor a node of the graph stands for.
//!
//! The functions are those of `torch/_utils.py` and `torch/_tensor.py`; a storage is the persistent
//! id `("storage", type, key, location, size)` of `torch/serialization.py`, where the size counts
//! elements for the typed storages and bytes for `UntypedStorage`.

use super::graph::{Graph, NodeId};
use super::opcode::BINPERSID;
use crate::tensor::{Dtype, MAX_DIMS, contiguous_strides, numel};

/// The typed storage classes and their dtypes.
const STORAGES: &[(&str, Dtype)] = &[
    ("DoubleStorage", Dtype::F64),
    ("FloatStorage", Dtype::F32),
    ("HalfStorage", Dtype::F16),
    ("BFloat16Storage", Dtype::Bf16),
    ("LongStorage", Dtype::I64),
    ("IntStorage", Dtype::I32),
    ("ShortStorage", Dtype::I16),
    ("CharStorage", Dtype::I8),
    ("ByteStorage", Dtype::U8),
    ("BoolStorage", Dtype::Bool),
    ("ComplexDoubleStorage", Dtype::C128),
    ("ComplexFloatStorage", Dtype::C64),
    ("QInt8Storage", Dtype::Qint8),
    ("QUInt8Storage", Dtype::Quint8),
    ("QInt32Storage", Dtype::Qint32),
];

/// The dtypes that `_rebuild_tensor_v3` names.
const DTYPES: &[(&str, Dtype)] = &[
    ("float64", Dtype::F64),
    ("float32", Dtype::F32),
    ("float16", Dtype::F16),
    ("bfloat16", Dtype::Bf16),
    ("float8_e4m3fn", Dtype::F8E4m3),
    ("float8_e5m2", Dtype::F8E5m2),
    ("float8_e4m3fnuz", Dtype::F8E4m3fnuz),
    ("float8_e5m2fnuz", Dtype::F8E5m2fnuz),
    ("float8_e8m0fnu", Dtype::F8E8m0),
    ("complex32", Dtype::C32),
    ("complex64", Dtype::C64),
    ("complex128", Dtype::C128),
    ("int64", Dtype::I64),
    ("int32", Dtype::I32),
    ("int16", Dtype::I16),
    ("int8", Dtype::I8),
    ("uint64", Dtype::U64),
    ("uint32", Dtype::U32),
    ("uint16", Dtype::U16),
    ("uint8", Dtype::U8),
    ("bool", Dtype::Bool),
];

/// The storage class in module `torch` for a dtype, where it has one.
pub(super) fn storage_class(dtype: Dtype) -> Option<&'static str> {
    let plain = !matches!(dtype, Dtype::Qint8 | Dtype::Quint8 | Dtype::Qint32);
    STORAGES.iter().find(|row| plain && row.1 == dtype).map(|row| row.0)
}

/// The name in module `torch` of a dtype, where it has one.
pub(super) fn dtype_name(dtype: Dtype) -> Option<&'static str> {
    DTYPES.iter().find(|row| row.1 == dtype).map(|row| row.0)
}

/// The dtype of this name in module `torch`.
pub(super) fn dtype_of(name: &str) -> Option<Dtype> {
    DTYPES.iter().find(|row| row.0 == name).map(|row| row.1)
}

/// A storage as a persistent id names it.
#[derive(Clone, Debug)]
pub(super) struct StorageId {
    /// The record `data/KEY`.
    pub(super) key: String,
    /// The device, such as `cpu` or `cuda:0`.
    pub(super) location: String,
    /// The element type; `None` for `UntypedStorage`.
    pub(super) dtype: Option<Dtype>,
    /// The size of the record that belongs to it; `None` for a class with unknown elements.
    pub(super) nbytes: Option<u64>,
}

impl StorageId {
    /// The bytes of one of what its size counts.
    pub(super) fn itemsize(&self) -> Option<u64> {
        self.nbytes?;
        self.dtype.map_or(Some(1), Dtype::bytes)
    }
}

/// A plain strided tensor.
#[derive(Clone, Debug)]
pub(super) struct Plain {
    /// The persistent id.
    pub(super) storage: NodeId,
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<u64>,
    /// In elements.
    pub(super) strides: Vec<u64>,
    /// In elements.
    pub(super) offset: u64,
    pub(super) requires_grad: bool,
    pub(super) parameter: bool,
}

/// What a node is to a state dict.
#[derive(Clone, Debug)]
pub(super) enum Meaning {
    /// A tensor whose elements can be read.
    Plain(Plain),
    /// A tensor that can only be passed through: sparse, quantized, a subclass …
    Opaque(String),
    /// No tensor.
    Other,
}

/// Reads the persistent id of a storage.
///
/// # Errors
/// What is wrong with it, in words.
pub(super) fn storage_id(graph: &Graph, id: NodeId) -> Result<StorageId, String> {
    let wrong = || "a persistent id is no storage as torch names it".to_owned();
    let tuple = match (graph.node(id).op, graph.operands(id)) {
        (BINPERSID, &[tuple]) => graph.tuple(tuple).ok_or_else(wrong)?,
        _ => return Err(wrong()),
    };
    let &[kind, class, key, location, size] = tuple else { return Err(wrong()) };
    if graph.text(kind).as_deref() != Some("storage") {
        return Err(wrong());
    }
    let key = graph.text(key).ok_or_else(wrong)?.into_owned();
    if key.is_empty() || key.contains(['/', '\\', '\0']) || key.starts_with('.') {
        return Err(format!("the storage key `{}` is not one that torch writes", key.escape_default()));
    }
    let location = graph.text(location).ok_or_else(wrong)?.into_owned();
    let size = graph.int(size).and_then(|size| u64::try_from(size).ok());
    let size = size.ok_or_else(|| format!("storage `{key}` has no valid size"))?;
    let (module, class) = graph.global(class).ok_or_else(wrong)?;
    if !matches!(module.as_ref(), "torch" | "torch.cuda" | "torch.storage") {
        return Err(wrong());
    }
    if class == "UntypedStorage" {
        return Ok(StorageId { key, location, dtype: None, nbytes: Some(size) });
    }
    let dtype = STORAGES.iter().find(|row| row.0 == class).map(|row| row.1);
    let nbytes = match dtype.and_then(Dtype::bytes) {
        Some(itemsize) => {
            let nbytes = size.checked_mul(itemsize);
            Some(nbytes.ok_or_else(|| format!("the size of storage `{key}` overflows"))?)
        }
        None if class.ends_with("Storage") => None,
        None => return Err(wrong()),
    };
    Ok(StorageId { key, location, dtype, nbytes })
}

/// Whether a function of torch rebuilds some kind of tensor.
pub(super) fn is_rebuild(module: &str, name: &str) -> bool {
    module.starts_with("torch") && (name.starts_with("_rebuild") || name == "_load_from_bytes")
}

/// Finds out what a node stands for.
///
/// # Errors
/// Where a rebuild call has arguments that torch would not accept; in words.
pub(super) fn meaning(graph: &Graph, id: NodeId) -> Result<Meaning, String> {
    let mut id = id;
    let mut parameter = None;
    // A parameter wraps a tensor once; two levels more than torch makes are no tensor.
    for _ in 0..4 {
        let Some((callable, arguments)) = graph.call(id) else { return Ok(Meaning::Other) };
        let Some((module, name)) = graph.global(callable) else { return Ok(Meaning::Other) };
        if graph.first_step(id).is_some() && name.starts_with("_rebuild") {
            return Ok(Meaning::Opaque("a tensor with attributes".to_owned()));
        }
        match (module.as_ref(), name.as_ref()) {
            ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => {
                let &[inner, requires_grad, ..] = arguments else {
                    return Err(format!("{name} has too few arguments"));
                };
                parameter = Some(graph.boolean(requires_grad).unwrap_or(true));
                id = inner;
            }
            ("torch._tensor", "_rebuild_from_type_v2" | "_rebuild_from_type") => {
                let &[function, class, inner, ..] = arguments else {
                    return Err(format!("{name} has too few arguments"));
                };
                let plain = graph.is_global(class, "torch", "Tensor")
                    || graph.is_global(class, "torch._tensor", "Tensor")
                    || graph.is_global(class, "torch.nn.parameter", "Parameter");
                let (Some((_, function)), Some(inner)) = (graph.global(function), graph.tuple(inner)) else {
                    return Ok(Meaning::Opaque("a tensor subclass".to_owned()));
                };
                if !plain {
                    let class = graph.global(class).map(|(module, name)| format!("{module}.{name}"));
                    return Ok(Meaning::Opaque(format!("tensor subclass {}", class.unwrap_or_default())));
                }
                if function.starts_with("_rebuild_parameter") {
                    let &[data, requires_grad, ..] = inner else {
                        return Err(format!("{function} has too few arguments"));
                    };
                    parameter = Some(graph.boolean(requires_grad).unwrap_or(true));
                    id = data;
                    continue;
                }
                return rebuild(graph, &function, inner, parameter);
            }
            ("torch._utils" | "torch.sparse" | "torch.nested", name) if name.starts_with("_rebuild") => {
                return rebuild(graph, name, arguments, parameter);
            }
            ("torch.storage", "_load_from_bytes") => {
                return Ok(Meaning::Opaque("a storage in its own pickle".to_owned()));
            }
            (module, name) if is_rebuild(module, name) => {
                return Ok(Meaning::Opaque(format!("a tensor of {module}.{name}")));
            }
            _ => return Ok(Meaning::Other),
        }
    }
    Ok(Meaning::Opaque("a tensor in too many wrappers".to_owned()))
}

fn rebuild(
    graph: &Graph,
    name: &str,
    arguments: &[NodeId],
    parameter: Option<bool>,
) -> Result<Meaning, String> {
    let plain_arguments = match name {
        "_rebuild_tensor" => 4,
        "_rebuild_tensor_v2" => 6,
        "_rebuild_tensor_v3" => 7,
        _ => return Ok(Meaning::Opaque(opaque_kind(name))),
    };
    let (&[storage, offset, shape, stride], rest) =
        arguments.split_first_chunk().ok_or_else(|| format!("{name} has too few arguments"))?;
    if arguments.len() < plain_arguments {
        return Err(format!("{name} has too few arguments"));
    }
    if graph.node(storage).op != BINPERSID {
        return Ok(Meaning::Opaque("a tensor without a storage of its own".to_owned()));
    }
    let metadata = arguments.get(plain_arguments).copied();
    if metadata.is_some_and(|flags| !graph.items(flags).is_empty()) {
        return Ok(Meaning::Opaque("a tensor with the conjugate or negative bit".to_owned()));
    }
    let id = storage_id(graph, storage)?;
    let dtype = match (id.dtype, arguments.get(6)) {
        (_, Some(&dtype)) if name == "_rebuild_tensor_v3" => {
            let Some((_, dtype)) = graph.global(dtype) else {
                return Err("the dtype is no dtype of torch".to_owned());
            };
            let Some(known) = dtype_of(&dtype) else {
                return Ok(Meaning::Opaque(format!("a tensor of dtype {dtype}")));
            };
            known
        }
        (Some(dtype), _) => dtype,
        (None, _) => return Ok(Meaning::Opaque("a tensor of unknown dtype".to_owned())),
    };
    let numbers = |id: NodeId, what: &str| -> Result<Vec<u64>, String> {
        let list = size(graph, id).ok_or_else(|| format!("has a {what} that is no tuple"))?;
        let number = |&id: &NodeId| graph.int(id).and_then(|number| u64::try_from(number).ok());
        list.iter().map(number).collect::<Option<_>>().ok_or_else(|| format!("has an invalid {what}"))
    };
    // One list of dims may be that of many tensors.
    if size(graph, shape).is_some_and(|dims| dims.len() > MAX_DIMS) {
        return Err(format!("has more than {MAX_DIMS} dims"));
    }
    let shape = numbers(shape, "shape")?;
    if let Some(strides) = size(graph, stride).filter(|strides| strides.len() != shape.len()) {
        return Err(format!("has {} dims but {} strides", shape.len(), strides.len()));
    }
    let strides = numbers(stride, "stride")?;
    let offset =
        graph.int(offset).and_then(|offset| u64::try_from(offset).ok()).ok_or("has an invalid offset")?;
    let requires_grad =
        parameter.or_else(|| rest.first().and_then(|&flag| graph.boolean(flag))).unwrap_or(false);
    let plain =
        Plain { storage, dtype, shape, strides, offset, requires_grad, parameter: parameter.is_some() };
    check_reach(&plain, id.nbytes)?;
    Ok(Meaning::Plain(plain))
}

/// The dims of a tuple, or of a `torch.Size`, which is pickled as a call with the tuple.
pub(super) fn size(graph: &Graph, id: NodeId) -> Option<&[NodeId]> {
    if let Some(dims) = graph.tuple(id) {
        return Some(dims);
    }
    let (callable, arguments) = graph.call(id)?;
    match arguments {
        &[tuple] if graph.is_global(callable, "torch", "Size") => graph.tuple(tuple),
        _ => None,
    }
}

/// Checks that every element that shape and strides reach lies inside the storage.
fn check_reach(plain: &Plain, storage_bytes: Option<u64>) -> Result<(), String> {
    let itemsize = plain.dtype.bytes().ok_or("has elements without a size in bytes")?;
    let count = numel(&plain.shape).filter(|&count| count <= i64::MAX.unsigned_abs());
    let count = count.ok_or("has a shape whose product overflows")?;
    contiguous_strides(&plain.shape).ok_or("has a shape whose product overflows")?;
    count.checked_mul(itemsize).ok_or("has a shape whose size in bytes overflows")?;
    let storage = storage_bytes.ok_or("views a storage whose elements have no known size")?;
    let reach = if count == 0 {
        Some(0)
    } else {
        let mut dims = plain.shape.iter().zip(&plain.strides);
        let last = dims.try_fold(plain.offset, |sum, (&dim, &stride)| {
            sum.checked_add(dim.saturating_sub(1).checked_mul(stride)?)
        });
        last.and_then(|last| last.checked_add(1)).and_then(|end| end.checked_mul(itemsize))
    };
    match reach {
        Some(reach) if reach <= storage => Ok(()),
        Some(reach) => Err(format!("reaches {reach} bytes into a storage of {storage} bytes")),
        None => Err("has an offset and strides that overflow".to_owned()),
    }
}

fn opaque_kind(name: &str) -> String {
    let kinds = [
        ("_rebuild_sparse", "a sparse tensor"),
        ("_rebuild_qtensor", "a quantized tensor"),
        ("_rebuild_nested", "a nested tensor"),
        ("_rebuild_meta", "a meta tensor without data"),
        ("_rebuild_wrapper", "a tensor subclass"),
    ];
    let known = kinds.iter().find(|row| name.starts_with(row.0)).map(|row| row.1.to_owned());
    known.unwrap_or_else(|| format!("a tensor of torch._utils.{name}"))
}
