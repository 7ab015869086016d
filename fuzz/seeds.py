#!/usr/bin/env python3
"""Writes what fuzzing begins with into fuzz/corpus, from the tests' own files and the standard library.

Nothing here is kept in the repository: a seed is a file that the tests have anyway, or a few lines below.
"""

import collections
import io
import json
import pickle
import struct
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CORPUS = ROOT / "fuzz" / "corpus"


def put(target: str, name: str, data: bytes) -> None:
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"seed-{name}").write_bytes(data)


def files(target: str, folders: list[str], pattern: str) -> None:
    for number, path in enumerate(sorted(p for f in folders for p in (ROOT / f).rglob(pattern))):
        if path.is_file() and path.stat().st_size < 20_000:
            put(target, f"{number:03}-{path.name}", path.read_bytes())


def text(value: str) -> bytes:
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def tensor(key: str, numel: int, offset: int, shape: list[int], strides: list[int], kind: str = "FloatStorage") -> bytes:
    """`_rebuild_tensor_v2` of a storage."""
    numbers = lambda values: b"(" + b"".join(b"J" + struct.pack("<i", value) for value in values) + b"t"
    storage = b"(" + text("storage") + b"ctorch\n" + kind.encode() + b"\n" + text(key) + text("cpu")
    return (
        b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"J" + struct.pack("<i", numel) + b"tQ"
        + b"J" + struct.pack("<i", offset) + numbers(shape) + numbers(strides)
        + b"\x89ccollections\nOrderedDict\n)RtR"
    )


def state_dict(items: list[tuple[str, bytes]]) -> bytes:
    return b"ccollections\nOrderedDict\n)R(" + b"".join(text(key) + value for key, value in items) + b"u"


def pickles() -> dict[str, bytes]:
    weights = state_dict([("a.weight", tensor("0", 16, 0, [4, 4], [4, 1])), ("a.bias", tensor("1", 4, 0, [4], [1]))])
    views = state_dict([("v", tensor("0", 16, 1, [3, 2], [1, 4])), ("t", tensor("0", 16, 0, [16], [1]))])
    half = state_dict([("h", tensor("0", 32, 0, [32], [1], "HalfStorage")), ("e", tensor("1", 4, 0, [0], [1]))])
    parameter = b"ctorch._utils\n_rebuild_parameter\n(" + tensor("1", 4, 0, [2, 2], [2, 1]) + b"\x88}tR"
    optimizer = state_dict([
        ("state", b"}(K\x00}(" + text("step") + b"K\x05" + text("exp_avg") + tensor("1", 4, 0, [4], [1]) + b"uu"),
        ("param_groups", b"]}(" + text("lr") + b"G?PbM\xd2\xf1\xa9\xfc" + text("params") + b"]K\x00aua"),
    ])
    found = {
        "weights": weights,
        "views": views,
        "half": half,
        "parameter": state_dict([("p", parameter)]),
        "lightning": state_dict([("state_dict", weights), ("epoch", b"K\x03"), ("optimizer_states", b"]" + optimizer + b"a")]),
        "metadata": weights + b"}" + text("_metadata") + b"}" + text("") + b"}" + text("version") + b"K\x01sssb",
    }
    found = {name: b"\x80\x02" + body + b"." for name, body in found.items()}
    values = {"a": [1, -2, 2**70, 1.5, None, True, "é", b"bytes"], "b": {"c": (1, (2,), ()), 3: {4}}, "d": complex(1, 2)}
    values["o"] = collections.OrderedDict(x=1)
    for protocol in range(6):
        found[f"plain-{protocol}"] = pickle.dumps(values, protocol)
    return found


def archive(data: bytes, method: int) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as made:
        for name, record in [("data.pkl", data), ("data/0", bytes(range(64))), ("data/1", bytes(16)), ("version", b"3\n")]:
            made.writestr(zipfile.ZipInfo(f"a/{name}"), record, method)
    return out.getvalue()


def main() -> None:
    files("rules", ["rules", "tests/cases"], "*.rules")
    files("keys_yaml", ["rules", "tests/cases"], "*.keys.yaml")
    files("load_error", ["tests/load_errors"], "*.txt")
    for name, data in pickles().items():
        put("pickle", name, data)
        put("zip", f"stored-{name}", archive(data, zipfile.ZIP_STORED))
        put("zip", f"deflated-{name}", archive(data, zipfile.ZIP_DEFLATED))
        system = pickle.dumps({"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}, 2)
        keys = pickle.dumps(["0", "1"], 2)
        storages = struct.pack("<q", 16) + bytes(range(64)) + struct.pack("<q", 4) + bytes(16)
        put("legacy", name, system + data + keys + storages)
    for name, header, body in [
        ("empty", {}, 0),
        ("one", {"w": {"dtype": "F32", "shape": [2, 4], "data_offsets": [0, 32]}}, 32),
        ("two", {"__metadata__": {"format": "pt"}, "a": {"dtype": "BF16", "shape": [4], "data_offsets": [0, 8]},
                 "b": {"dtype": "I64", "shape": [], "data_offsets": [8, 16]}}, 16),
    ]:
        # libFuzzer's tuples of a number and bytes take the number from the end.
        put("safetensors", name, json.dumps(header).encode() + bytes([body]))


if __name__ == "__main__":
    main()
