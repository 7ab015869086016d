"""Planning needs the header alone: a terabyte of tensors is planned without one of its bytes."""

import json
import os
import resource
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

from conftest import binary

LAYERS, KEYS_PER_LAYER = 200, 500
BODY = 1 << 40


def write_headed_hole(path: Path) -> int:
    """A safetensors file of 100,000 keys whose body is a hole in the file; returns the header's size."""
    count = LAYERS * KEYS_PER_LAYER
    columns = BODY // count // 4
    header, at = {}, 0
    for layer in range(LAYERS):
        for key in range(KEYS_PER_LAYER):
            end = at + 4 * columns
            header[f"layer{layer}.part{key}.weight"] = {
                "dtype": "F32",
                "shape": [columns],
                "data_offsets": [at, end],
            }
            at = end
    text = json.dumps(header, separators=(",", ":")).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + at)
    return 8 + len(text)


@dataclass
class Run:
    """What a command printed, and what it took."""

    text: str
    bytes_read: int


def no_room_to_map_the_body():
    """Reads are counted, mapped pages are not: so the body must not fit into the address space."""
    resource.setrlimit(resource.RLIMIT_AS, (BODY // 100, BODY // 100))


def measured(*command) -> Run:
    """Runs a command; it must succeed. Bytes are those of all its read calls, cached or not."""
    process = subprocess.Popen(
        list(map(str, command)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=no_room_to_map_the_body,
    )
    text = process.stdout.read()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # over, but its counters are still there
    counters = dict(line.split(": ") for line in Path(f"/proc/{process.pid}/io").read_text().splitlines())
    assert process.wait() == 0, text
    return Run(text, int(counters["rchar"]))


def test_no_tensor_byte_is_read(rules, tmp_path):
    source = tmp_path / "large.safetensors"
    header = write_headed_hole(source)
    path = rules("\n".join(f"rename layer{n}.* -> blocks.{n}.*" for n in range(LAYERS)))

    run = measured(binary(), "plan", "--rules", path, source, "--no-target")
    assert "100,000" in run.text or "100000" in run.text
    # The header once or twice, the rules, and what the loader reads of libraries.
    assert run.bytes_read < 2 * header + (1 << 20)


def test_the_measure_sees_what_is_read(tmp_path):
    source = tmp_path / "large.safetensors"
    header = write_headed_hole(source)
    with open(source, "r+b") as file:
        file.truncate(4 * header)
    assert measured("cksum", source).bytes_read >= 4 * header
