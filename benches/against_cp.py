"""The tool against `cp`: a gigabyte of f32 in 196 tensors, as safetensors and as a torch file.

Like is measured with like, in turns in one run: `--no-sync` against `cp`, the default against `cp` and
`sync FILE`. Each output is checked once, element for element, before anything is timed.
"""

import argparse
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

MIGRATE = os.environ["MIGRATE_BIN"]
LAYERS, WIDTH = 28, 864
MIB = 1 << 20


# ---------------------------------------------------------------- the files


def tensors() -> dict[str, torch.Tensor]:
    """28 transformer blocks of seven tensors each: 1.0 GB."""
    noise = torch.Generator().manual_seed(0)
    shapes = {
        "norm1.weight": (WIDTH,),
        "attn.qkv.weight": (3 * WIDTH, WIDTH),
        "attn.qkv.bias": (3 * WIDTH,),
        "attn.proj.weight": (WIDTH, WIDTH),
        "norm2.weight": (WIDTH,),
        "mlp.fc1.weight": (4 * WIDTH, WIDTH),
        "mlp.fc2.weight": (WIDTH, 4 * WIDTH),
    }
    return {
        f"layers.{layer}.{name}": torch.randn(shape, generator=noise)
        for layer in range(LAYERS)
        for name, shape in shapes.items()
    }


def make_inputs(folder: Path) -> tuple[Path, Path]:
    """Both inputs, made once; a half-written one never has its final name."""
    flat, archive = folder / "model.safetensors", folder / "model.pt"
    folder.mkdir(parents=True, exist_ok=True)
    if not (flat.exists() and archive.exists()):
        print(f"making two files of 1 GB in {folder}", file=sys.stderr)
        made = tensors()
        for path, save in ((flat, save_file), (archive, torch.save)):
            unfinished = folder / f"unfinished{path.suffix}"
            save(made, unfinished)
            unfinished.rename(path)
    return flat, archive


# ---------------------------------------------------------------- the jobs


@dataclass
class Job:
    """A rule file on an input, and what its output must hold."""

    name: str
    rules: str
    source: Path
    expected: Callable[[str, torch.Tensor], dict[str, torch.Tensor]]
    limit: float

    def command(self, folder: Path, *options: str) -> list[str]:
        rules = folder / "bench.rules"
        rules.write_text(self.rules)
        output = str(self.output(folder))
        return [MIGRATE, "--rules", str(rules), str(self.source), "-o", output, "--no-target", "-q", *options]

    def output(self, folder: Path) -> Path:
        return folder / f"out{self.source.suffix}"


def renamed(key, tensor):
    return {f"model.{key}": tensor}


def split(key, tensor):
    if ".qkv." not in key:
        return renamed(key, tensor)
    return {f"model.{key}".replace("qkv", name): part for name, part in zip("qkv", tensor.chunk(3))}


def rounded(key, tensor):
    return {key: tensor.bfloat16()}


def jobs(flat: Path, archive: Path) -> list[Job]:
    rename = "rename ** -> model.**\n"
    split_too = "split **.qkv.{p} -> **.{q,k,v}.{p} dim 0\n" + rename
    cast = "cast ** to bf16\n"
    return [
        Job("rename, safetensors", rename, flat, renamed, 1.3),
        Job("rename, .pt", rename, archive, renamed, 1.3),
        Job("split + rename, safetensors", split_too, flat, split, 2.0),
        Job("split + rename, .pt", split_too, archive, split, 2.0),
        Job("cast to bf16, safetensors", cast, flat, rounded, 2.0),
        Job("cast to bf16, .pt", cast, archive, rounded, 2.0),
    ]


def read(path: Path) -> dict[str, torch.Tensor]:
    """A file's tensors, mapped."""
    if path.suffix == ".pt":
        return torch.load(path, weights_only=True, mmap=True)
    with safe_open(path, "pt") as file:
        return {key: file.get_tensor(key) for key in file.keys()}


def check(job: Job, folder: Path) -> None:
    """Runs the job once and compares every element of its output."""
    output = job.output(folder)
    subprocess.run(job.command(folder, "--no-sync"), check=True)
    expected = {}
    for key, tensor in read(job.source).items():
        expected |= job.expected(key, tensor)
    actual = read(output)
    if expected.keys() != actual.keys():
        sys.exit(f"{job.name}: other keys than expected")
    for key, tensor in expected.items():
        if tensor.dtype != actual[key].dtype or not torch.equal(tensor, actual[key]):
            sys.exit(f"{job.name}: `{key}` is not what it should be")
    output.unlink()


# ---------------------------------------------------------------- measuring


def seconds(*commands: list[str]) -> float:
    """The wall time of commands one after another; earlier writes are on disk before it starts."""
    os.sync()
    begin = time.perf_counter()
    for command in commands:
        subprocess.run(command, check=True)
    return time.perf_counter() - begin


def compare(job: Job, folder: Path, rounds: int, sync: bool) -> tuple[float, float]:
    """The medians of the tool's and of cp's time, taken in turns."""
    copy, output = folder / "copy", job.output(folder)
    ours, theirs = [], []
    for _ in range(rounds):
        copying = [["cp", str(job.source), str(copy)]] + ([["sync", str(copy)]] if sync else [])
        theirs.append(seconds(*copying))
        copy.unlink()
        ours.append(seconds(job.command(folder, *([] if sync else ["--no-sync"]))))
        output.unlink()
    return statistics.median(ours), statistics.median(theirs)


def peak_anonymous(job: Job, folder: Path) -> int:
    """The most anonymous memory, in bytes, that a run of its own was seen to hold."""
    process = subprocess.Popen(job.command(folder, "--no-sync"))
    peak = 0

    def watch():
        nonlocal peak
        while process.poll() is None:
            try:
                lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
            except OSError:
                return
            for line in lines:
                if line.startswith("RssAnon:"):
                    peak = max(peak, int(line.split()[1]) * 1024)
            time.sleep(0.001)

    watcher = threading.Thread(target=watch)
    watcher.start()
    watcher.join()
    if process.wait() != 0:
        sys.exit(f"{job.name}: exit {process.returncode}")
    job.output(folder).unlink()
    return peak


def start_up(folder: Path) -> list[tuple[str, float]]:
    """Medians of 30 runs, in seconds; `true` is what starting any process costs here."""
    tiny, out = folder / "tiny.safetensors", folder / "tiny-out.safetensors"
    rules = folder / "bench.rules"
    rules.write_text("rename a -> b\n")
    save_file({"a": torch.zeros(1)}, tiny)
    commands = {
        "true": ["true"],
        "migrate --version": [MIGRATE, "--version"],
        "migrate, a tiny file": [MIGRATE, "--rules", rules, tiny, "-o", out, "--no-target", "-q", "--force", "--no-sync"],
    }
    taken = {name: [] for name in commands}
    for _ in range(30):
        for name, command in commands.items():
            begin = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            taken[name].append(time.perf_counter() - begin)
    for path in (tiny, out):
        path.unlink()
    return [(name, statistics.median(times)) for name, times in taken.items()]


# ---------------------------------------------------------------- the table


def row(*cells: str) -> None:
    print("| " + " | ".join(cells) + " |", flush=True)


def verdict(value: float, limit: float) -> str:
    return "yes" if value <= limit else "NO"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="runs of which the median counts (default: 5)")
    parser.add_argument("--only", default="", help="only the jobs whose name holds this text")
    options = parser.parse_args()

    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "ckpt-migrate" / "bench"
    folder = Path(os.environ.get("BENCH_DIR", cache))
    chosen = [job for job in jobs(*make_inputs(folder)) if options.only in job.name]
    for job in chosen:
        check(job, folder)

    row("job", "against", "migrate", "cp", "ratio", "goal", "met")
    row("---", "---", "--:", "--:", "--:", "--:", "---")
    for job in chosen:
        for sync, against in ((False, "cp"), (True, "cp + sync")):
            ours, theirs = compare(job, folder, options.rounds, sync)
            ratio = ours / theirs
            times = f"{ours:.2f} s", f"{theirs:.2f} s", f"{ratio:.2f}"
            row(job.name, against, *times, f"{job.limit:.1f}", verdict(ratio, job.limit))

    print()
    row("peak anonymous memory", "MiB", "goal", "met")
    row("---", "--:", "--:", "---")
    for job in chosen:
        peak = peak_anonymous(job, folder) / MIB
        row(job.name, f"{peak:.1f}", "64", verdict(peak, 64))

    print()
    row("start-up", "ms", "goal", "met")
    row("---", "--:", "--:", "---")
    for name, taken in start_up(folder):
        goal = ("10", verdict(1000 * taken, 10)) if "migrate" in name else ("", "")
        row(name, f"{1000 * taken:.1f}", *goal)


if __name__ == "__main__":
    main()
