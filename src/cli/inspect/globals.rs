//! Which names in a torch file's pickle are more than tensors and plain values.

/// What `torch.load(weights_only=True)` of torch 2.11 allows beside dtypes, storages and tensor
/// classes (`_get_allowed_globals` in `torch/_weights_only_unpickler.py`).
const ALLOWED: &[&str] = &[
    "_codecs.encode",
    "bytearray",
    "complex",
    "set",
    "collections.Counter",
    "collections.OrderedDict",
    "torch.Size",
    "torch.Tensor",
    "torch._tensor._rebuild_from_type_v2",
    "torch._utils._rebuild_device_tensor_from_cpu_tensor",
    "torch._utils._rebuild_device_tensor_from_numpy",
    "torch._utils._rebuild_meta_tensor_no_storage",
    "torch._utils._rebuild_nested_tensor",
    "torch._utils._rebuild_parameter",
    "torch._utils._rebuild_parameter_with_state",
    "torch._utils._rebuild_qtensor",
    "torch._utils._rebuild_sparse_tensor",
    "torch._utils._rebuild_tensor",
    "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_tensor_v3",
    "torch._utils._rebuild_wrapper_subclass",
    "torch.device",
    "torch.nn.parameter.Parameter",
    "torch.per_channel_affine",
    "torch.per_channel_affine_float_qparams",
    "torch.per_channel_symmetric",
    "torch.per_tensor_affine",
    "torch.per_tensor_symmetric",
    "torch.serialization._get_layout",
    "torch.storage.TypedStorage",
    "torch.storage.UntypedStorage",
];

/// Modules whose functions reach files, commands or code: no checkpoint needs them.
const REACHING_OUT: &[&str] = &[
    "asyncio",
    "bdb",
    "code",
    "commands",
    "ctypes",
    "ftplib",
    "functools",
    "http",
    "httplib",
    "imp",
    "importlib",
    "multiprocessing",
    "nt",
    "ntpath",
    "operator",
    "os",
    "pdb",
    "pickle",
    "pip",
    "posix",
    "posixpath",
    "pty",
    "pydoc",
    "requests",
    "runpy",
    "shutil",
    "signal",
    "site",
    "smtplib",
    "socket",
    "ssl",
    "subprocess",
    "sys",
    "tempfile",
    "threading",
    "timeit",
    "urllib",
    "urllib2",
    "venv",
    "webbrowser",
];

/// The builtins that make plain values; all others (`eval`, `getattr`, `open`) do more.
const PLAIN_BUILTINS: &[&str] = &[
    "Ellipsis",
    "bool",
    "bytearray",
    "bytes",
    "complex",
    "dict",
    "float",
    "frozenset",
    "int",
    "list",
    "long",
    "object",
    "range",
    "set",
    "slice",
    "str",
    "tuple",
    "unicode",
    "xrange",
];

/// Whether torch takes a name (`module.name`) for harmless.
pub(super) fn is_allowed(name: &str) -> bool {
    let builtin = name.strip_prefix("builtins.").or_else(|| name.strip_prefix("__builtin__."));
    if let Some(builtin) = builtin {
        return ["bytearray", "complex", "set"].contains(&builtin);
    }
    if ALLOWED.contains(&name) {
        return name.contains('.');
    }
    let Some(rest) = name.strip_prefix("torch.") else { return false };
    let class = ["cuda.sparse.", "cuda.", "sparse."].iter().find_map(|module| rest.strip_prefix(module));
    is_tensor_class(class.unwrap_or(rest)) || is_dtype(rest)
}

/// `FloatStorage`, `HalfTensor` and the like.
fn is_tensor_class(name: &str) -> bool {
    let element = name.strip_suffix("Storage").or_else(|| name.strip_suffix("Tensor"));
    element.is_some_and(|element| {
        !element.is_empty() && element.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
}

/// `float32`, `quint4x2` and the like.
fn is_dtype(name: &str) -> bool {
    let kinds = ["bfloat", "bits", "complex", "float", "int", "qint", "quint", "uint"];
    let digit = |rest: &str| rest.starts_with(|first: char| first.is_ascii_digit());
    let plain = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    name == "bool" || plain && kinds.iter().any(|kind| name.strip_prefix(kind).is_some_and(digit))
}

/// Whether a name can reach files, commands or code when something loads it.
pub(super) fn reaches_out(name: &str) -> bool {
    let (module, rest) = name.split_once('.').unwrap_or_default();
    match module {
        "builtins" | "__builtin__" => !PLAIN_BUILTINS.contains(&rest),
        _ => REACHING_OUT.contains(&module),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn torch_decides_what_is_harmless() {
        let allowed = [
            "torch.FloatStorage",
            "torch.cuda.HalfStorage",
            "torch.cuda.sparse.LongTensor",
            "torch.bfloat16",
            "torch.bits1x8",
            "torch.float8_e4m3fn",
            "torch._utils._rebuild_tensor_v2",
            "collections.OrderedDict",
            "builtins.set",
            "__builtin__.bytearray",
            "torch.bool",
        ];
        for name in allowed {
            assert!(is_allowed(name) && !reaches_out(name), "{name}");
        }
        let refused = ["os.system", "builtins.eval", "posix.system", "__builtin__.exec", "subprocess.Popen"];
        for name in refused {
            assert!(!is_allowed(name) && reaches_out(name), "{name}");
        }
        for name in [
            "set",
            "torch.hub.load",
            "torch.int_repr",
            "torch.load",
            "numpy.dtype",
            "models.Net",
            "builtins.dict",
            "",
        ] {
            assert!(!is_allowed(name) && !reaches_out(name), "{name}");
        }
    }
}
