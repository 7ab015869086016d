"""Pickles put together by hand, and the two containers that torch keeps them in."""

import io
import struct
import zipfile

STOP = b"."
COMMAND = "touch executed"  # what a file does that is executed, in the folder of the run


def text(value) -> bytes:
    value = value if isinstance(value, bytes) else value.encode("utf-8", "surrogatepass")
    return b"X" + struct.pack("<I", len(value)) + value


def number(value: int) -> bytes:
    if 0 <= value < 256:
        return b"K" + bytes([value])
    length = value.bit_length() // 8 + 1
    data = value.to_bytes(length, "little", signed=True)
    if length < 256:
        return b"\x8a" + bytes([length]) + data
    return b"\x8b" + struct.pack("<i", length) + data


def name(module: str, attribute: str) -> bytes:
    return f"c{module}\n{attribute}\n".encode()


def put(index: int) -> bytes:
    return b"q" + bytes([index]) if index < 256 else b"r" + struct.pack("<I", index)


def get(index: int) -> bytes:
    return b"h" + bytes([index]) if index < 256 else b"j" + struct.pack("<I", index)


def sequence(*items: bytes) -> bytes:
    return b"(" + b"".join(items) + b"t"


def many(*items: bytes) -> bytes:
    return b"](" + b"".join(items) + b"e"


def table(*items: tuple[bytes, bytes]) -> bytes:
    return b"}(" + b"".join(key + value for key, value in items) + b"u"


def named(**items: bytes) -> bytes:
    return table(*((text(key), value) for key, value in items.items()))


def call(function: bytes, *arguments: bytes) -> bytes:
    return function + sequence(*arguments) + b"R"


def storage(key=text("0"), size=number(4), kind=None, location=text("cpu"), word=text("storage"), more=()) -> bytes:
    kind = kind or name("torch", "FloatStorage")
    return sequence(word, kind, key, location, size, *more) + b"Q"


def ordered() -> bytes:
    return name("collections", "OrderedDict") + b")R"


def tensor(shape=(4,), stride=(1,), offset=0, **of) -> bytes:
    """A tensor over a storage of four floats, unless its numbers lie."""
    as_bytes = lambda value: value if isinstance(value, bytes) else number(value)
    dims = [sequence(*map(as_bytes, dims)) if isinstance(dims, (tuple, list)) else dims for dims in (shape, stride)]
    return call(name("torch._utils", "_rebuild_tensor_v2"), storage(**of), as_bytes(offset), *dims, b"\x89", ordered())


def pickle(root: bytes, protocol=2) -> bytes:
    return (b"\x80" + bytes([protocol]) if protocol >= 2 else b"") + root + STOP


def archive(pickled: bytes, records=None, method=zipfile.ZIP_STORED, more=()) -> bytes:
    """A zip archive as torch reads it."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as file:
        all_records = {"data.pkl": pickled, "byteorder": b"little"} | (records or FLOATS) | {"version": b"3\n"}
        for key, content in all_records.items():
            file.writestr(f"archive/{key}", content)
        for key, content in more:
            file.writestr(key, content)
    return out.getvalue()


FLOATS = {"data/0": struct.pack("<4f", 1, 2, 3, 4)}


def legacy(pickled: bytes, keys=("0",), description=None, body=None) -> bytes:
    """A file as torch wrote it before 1.6; its storages have a sixth field, which the pickle here may lack."""
    described = description or named(little_endian=b"\x88", protocol_version=number(1001), type_sizes=named())
    parts = [number(0x1950A86A20F9469CFC6C), number(1001), described]
    listed = many(*map(text, keys)) if keys else b"]"
    content = struct.pack("<q", 4) + FLOATS["data/0"]
    return b"".join(map(pickle, parts)) + pickled + pickle(listed) + (content * len(keys) if body is None else body)


def view(root: bytes) -> bytes:
    """The same pickle with the sixth field that legacy files have in the ids of their storages."""
    return root.replace(b"tQ", b"NtQ")
