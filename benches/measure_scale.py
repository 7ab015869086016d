"""Measures what a part costs before it writes a byte, for each tensor, and then for each byte.

    python benches/measure_scale.py target/release/migrate /tmp/measured

The folder is made, needs about 5 GB, and is removed again.
"""

import json
import os
import resource
import shutil
import struct
import subprocess
import sys
import time
from pathlib import Path


def source(path: Path, tensors: int, elements: int) -> None:
    """A safetensors file of float32 tensors."""
    size, header = elements * 4, {}
    for i in range(tensors):
        offsets = [i * size, (i + 1) * size]
        header[f"layers.{i}.weight"] = {"dtype": "F32", "shape": [elements], "data_offsets": offsets}
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        block = os.urandom(1 << 20)
        left = tensors * size
        while left:
            left -= file.write(block[: min(left, len(block))])


def measure(*command) -> tuple[float, float, float]:
    """Seconds on the clock, seconds of processor, and the largest size in MB of a command."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - start, used, after.ru_maxrss / 1024


def main() -> None:
    program, folder = Path(sys.argv[1]), Path(sys.argv[2])
    folder.mkdir()
    rules = folder / "r.rules"
    rules.write_text("rename layers.{i}.weight -> blocks.{i}.weight\n")
    try:
        for tensors in (1_000, 10_000, 100_000):
            path = folder / "in.safetensors"
            source(path, tensors, 4)
            # Of a million parts this one has no shard: all it does is to plan and to claim the folder.
            part = ["--shard", "500000/1000000", "--max-shard-size", "1GB", "--quiet", "--no-target"]
            wall, used, memory = measure(program, "--rules", rules, path, "-o", f"{folder}/out/", *part)
            print(f"{tensors} tensors, no byte: {wall:.2f} s, {used:.2f} s of processor, {memory:.0f} MB")
            shutil.rmtree(folder / "out", ignore_errors=True)
        for text in ("rename layers.{i}.weight -> blocks.{i}.weight\n", "scale layers.{i}.weight by 0.5\n"):
            rules.write_text(text)
            source(path, 64, 8 << 20)
            part = ["--shard", "1/1", "--max-shard-size", "500MB", "--quiet", "--no-target"]
            wall, used, _ = measure(program, "--rules", rules, path, "-o", f"{folder}/out/", *part)
            print(f"2.1 GB, {text.split()[0]}: {wall:.1f} s, {used:.1f} s of processor")
            wall, used, _ = measure(program, "finish", f"{folder}/out/")
            print(f"finish: {wall:.2f} s")
            shutil.rmtree(folder / "out")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
