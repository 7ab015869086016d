"""Kills runs at random moments and looks at what they leave: `MIGRATE_BIN=… python random_kills.py 200`.

The tests of the suite kill before each operation; this one kills at moments that nobody chose, while bytes move too.
For a single file, shards over others, in place, and a chain of rule files, in turn.
"""

import json
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BINARY = os.path.realpath(os.environ.get("MIGRATE_BIN", "target/release/migrate"))
SIZE = 8 << 20
KEYS = ["a.w", "b.w", "c.w", "d.w"]


def checkpoint(seed: int) -> bytes:
    """Four tensors of 8 MiB."""
    places = {
        key: {"dtype": "F32", "shape": [SIZE // 4], "data_offsets": [SIZE * n, SIZE * (n + 1)]}
        for n, key in enumerate(KEYS)
    }
    header = json.dumps(places).encode()
    return struct.pack("<Q", len(header)) + header + random.Random(seed).randbytes(SIZE * len(KEYS))


def versions(folder: Path):
    """A chain of three versions."""
    shape = f"f32 [{SIZE // 4}]"
    names = [KEYS, ["x.w", *KEYS[1:]], ["x.w", "y.w", *KEYS[2:]]]
    folder.mkdir()
    for number, keys in enumerate(names, 1):
        lines = "".join(f"  {key}: {shape}\n" for key in keys)
        (folder / f"v{number}.keys.yaml").write_text(f"format: 1\ntensors:\n{lines}")
    (folder / "v1_to_v2.rules").write_text("rename a.* -> x.*\n")
    (folder / "v2_to_v3.rules").write_text("rename b.* -> y.*\n")


def shards(folder: Path) -> bytes | None:
    """What the index of a folder leads to."""
    index = folder / "model.safetensors.index.json"
    if not index.exists():
        return None
    files = sorted(set(json.loads(index.read_text())["weight_map"].values()))
    return b"".join((folder / file).read_bytes() for file in files)


def read(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


RULES = ["--rules", "r.rules", "--no-target", "old.safetensors"]
SCENES = {
    "file": ([*RULES, "-o", "new.safetensors"], lambda at: read(at / "new.safetensors")),
    "shards": ([*RULES, "-o", "out/", "--max-shard-size", "9MB", "--force"], lambda at: shards(at / "out")),
    "in place": ([*RULES, "--in-place", "--backup", ".bak"], lambda at: read(at / "old.safetensors")),
    "chain": (["--rules", "m", "old.safetensors", "-o", "new.safetensors"], lambda at: read(at / "new.safetensors")),
}


def run(at: Path, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([BINARY, "-q", *arguments], cwd=at, capture_output=True, text=True)


def main(count: int) -> None:
    generator = random.Random(count)
    told = {name: [0, 0, 0] for name in SCENES}
    with tempfile.TemporaryDirectory() as folder:
        begin = Path(folder) / "begin"
        begin.mkdir()
        old = checkpoint(1)
        (begin / "old.safetensors").write_bytes(checkpoint(2))
        (begin / "r.rules").write_text("rename a.* -> x.*\ncast b.w to f16\n")
        versions(begin / "m")
        assert run(begin, *SCENES["shards"][0]).returncode == 0
        (begin / "old.safetensors").write_bytes(old)
        for turn in range(count):
            name, (arguments, outcome) = list(SCENES.items())[turn % len(SCENES)]
            at = Path(folder) / "at"
            if turn < len(SCENES):
                shutil.copytree(begin, at)
                started = time.monotonic()
                assert run(at, *arguments).returncode == 0
                told[name] += [time.monotonic() - started, outcome(begin), outcome(at), sorted(os.listdir(at))]
                shutil.rmtree(at)
            took, before, after, files = told[name][3:]
            shutil.copytree(begin, at)
            process = subprocess.Popen([BINARY, "-q", *arguments], cwd=at)
            time.sleep(generator.uniform(0, took))
            process.send_signal(signal.SIGKILL)
            killed = process.wait() == -signal.SIGKILL
            found = outcome(at)
            assert found in (before, after), f"{name}: neither old nor new"
            if name == "in place":
                assert old in (found, read(at / "old.safetensors.bak")), "the old file is nowhere"
            else:
                assert read(at / "old.safetensors") == old, f"{name}: the input changed"
            told[name][0] += killed
            told[name][1] += killed and found == after
            left = [file for file in at.rglob("*.migrate-tmp")]
            told[name][2] += bool(left)
            if not (name == "in place" and found == after):
                force = [] if name == "in place" else ["--force"] * ("--force" not in arguments)
                assert run(at, *arguments, *force).returncode == 0, name
            assert outcome(at) == after and sorted(os.listdir(at)) == files, f"{name}: {sorted(os.listdir(at))}"
            assert not list(at.rglob("*.migrate-tmp")), name
            shutil.rmtree(at)
    for name, (killed, new, left, took, *_) in told.items():
        print(f"{name}: {killed} killed of {count // len(SCENES)} runs of {took * 1000:.0f} ms: {killed - new} left the old "
              f"state, {new} the new one; {left} left temporary files, which the next run took away")


main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
