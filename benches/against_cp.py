"""The tool against `cp` and against a plain script of torch or safetensors, and its memory.

Like is measured with like, in turns in one run: `--no-sync` against `cp`, the default against `cp` and
`sync FILE`. The inputs were just read, so they are in the page cache; what was written before is on the disk. Each
output is checked once, element for element, before anything is timed.
"""

import argparse
import json
import os
import shutil
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


def experts() -> dict[str, torch.Tensor]:
    """A gigabyte of linear layers of 32 experts in 8 blocks."""
    noise = torch.Generator().manual_seed(1)
    return {
        f"layers.{layer}.experts.{expert}.w1.weight": torch.randn((1024, 1024), generator=noise)
        for layer in range(8)
        for expert in range(32)
    }


def small() -> dict[str, torch.Tensor]:
    """100,000 tensors of 64 elements."""
    values = torch.randn((100_000, 64), generator=torch.Generator().manual_seed(2))
    return {f"layers.{number // 10}.part{number % 10}.weight": row.clone() for number, row in enumerate(values)}


def save_large(_: None, path: Path) -> None:
    """10 GB: the blocks of the gigabyte, ten times; written header first, since memory may not hold them."""
    made = tensors()
    header, at = {}, 0
    for part in range(10):
        for key, tensor in made.items():
            header[f"part{part}.{key}"] = {
                "dtype": "F32", "shape": list(tensor.shape), "data_offsets": [at, at + tensor.nbytes]
            }
            at += tensor.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for _ in range(10):
            for tensor in made.values():
                file.write(tensor.numpy().data)


def save_shards(made: dict[str, torch.Tensor], folder: Path) -> None:
    """3 GB in 7 shards with an index."""
    folder.mkdir()
    made = {f"part{part}.{key}": tensor for part in range(3) for key, tensor in made.items()}
    keys, weight_map = list(made), {}
    for shard in range(7):
        name = f"model-{shard + 1:05}-of-00007.safetensors"
        own = keys[shard * len(keys) // 7 : (shard + 1) * len(keys) // 7]
        save_file({key: made[key] for key in own}, folder / name, {"format": "pt"})
        weight_map |= dict.fromkeys(own, name)
    size = sum(tensor.nbytes for tensor in made.values())
    index = {"metadata": {"total_size": size}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def save_training(made: dict[str, torch.Tensor], path: Path) -> None:
    """A third of the blocks with the state of Adam, as Lightning saves them: a gigabyte."""
    weights = dict(list(made.items())[: len(made) // 3])
    state = {
        number: {"step": torch.tensor(10.0), "exp_avg": tensor * 0.1, "exp_avg_sq": tensor * tensor}
        for number, tensor in enumerate(weights.values())
    }
    group = {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "params": list(range(len(weights)))}
    optimizer = {"state": state, "param_groups": [group]}
    torch.save(
        {
            "epoch": 3, "global_step": 10, "pytorch-lightning_version": "2.6.0",
            "state_dict": weights, "optimizer_states": [optimizer], "lr_schedulers": [], "loops": {},
        },
        path,
    )


INPUTS = {
    "model.safetensors": (tensors, save_file),
    "model.pt": (tensors, torch.save),
    "experts.safetensors": (experts, save_file),
    "small.safetensors": (small, save_file),
    "small.pt": (small, torch.save),
    "training.ckpt": (tensors, save_training),
    "shards": (tensors, save_shards),
    "large.safetensors": (lambda: None, save_large),
}


def made(folder: Path, name: str) -> Path:
    """An input, made once; a half-written one never has its final name."""
    path = folder / name
    if not path.exists():
        print(f"making {path}", file=sys.stderr)
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = folder / f"unfinished-{name}"
        remove(unfinished)
        make, save = INPUTS[name]
        save(make(), unfinished)
        unfinished.rename(path)
    return path


def remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


# ---------------------------------------------------------------- the jobs


@dataclass
class Job:
    """A rule file on an input, and what its output must hold."""

    name: str
    rules: str
    source: str
    expected: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]
    limit: float
    script: str
    options: tuple[str, ...] = ()

    def command(self, folder: Path, *options: str) -> list[str]:
        rules = folder / "bench.rules"
        rules.write_text(self.rules)
        source, output = folder / self.source, str(self.output(folder))
        # A folder of shards is named with a slash.
        output += "" if source.suffix else "/"
        return [MIGRATE, "--rules", str(rules), str(source), "-o", output, "--no-target", "-q", *self.options, *options]

    def output(self, folder: Path) -> Path:
        return folder / f"out{Path(self.source).suffix}"

    def by_script(self, folder: Path) -> list[str]:
        """The same in Python, as people write it: all in memory."""
        if self.source.endswith(".safetensors"):
            head, load, save = "from safetensors.torch import load_file, save_file", "load_file(a)", "save_file(d, b)"
        else:
            head, load, save = "import torch", "torch.load(a, weights_only=True)", "torch.save(d, b)"
        lines = ["import sys", "a, b = sys.argv[1:]", head, f"d = {load}", self.script, save]
        return [sys.executable, "-c", "\n".join(lines), str(folder / self.source), str(self.output(folder))]


def each(change: Callable[[str, torch.Tensor], dict[str, torch.Tensor]]):
    def changed(source):
        return {new: tensor for key, value in source.items() for new, tensor in change(key, value).items()}

    return changed


def renamed(key, tensor):
    return {f"model.{key}": tensor}


def split(key, tensor):
    if ".qkv." not in key:
        return renamed(key, tensor)
    return {f"model.{key}".replace("qkv", name): part for name, part in zip("qkv", tensor.chunk(3))}


def rounded(key, tensor):
    return {key: tensor.bfloat16()}


def transposed(key, tensor):
    return {key: tensor.t() if tensor.dim() == 2 else tensor}


def stacked(source):
    layers = {key.split(".experts.")[0] for key in source}
    return {
        f"{layer}.experts.w1": torch.stack([source[f"{layer}.experts.{n}.w1.weight"] for n in range(32)])
        for layer in layers
    }


RENAME = 'd = {f"model.{k}": v for k, v in d.items()}'
SPLIT = """d = {(f"model.{k}".replace("qkv", n)): p.contiguous() for k, v in d.items()
     for n, p in (zip("qkv", v.chunk(3)) if ".qkv." in k else [("qkv", v)])}"""
CAST = "d = {k: v.bfloat16() for k, v in d.items()}"
TRANSPOSE = "d = {k: v.t().contiguous() if v.dim() == 2 else v for k, v in d.items()}"
STACK = """d = {f"layers.{l}.experts.w1": __import__("torch").stack(
    [d[f"layers.{l}.experts.{n}.w1.weight"] for n in range(32)]) for l in range(8)}"""
TRAINING = 'd["state_dict"] = {f"model.{k}": v for k, v in d["state_dict"].items()}'


def jobs() -> list[Job]:
    rename = "rename ** -> model.**\n"
    split_too = "split **.qkv.{p} -> **.{q,k,v}.{p} dim 0\n" + rename
    cast, turn = "cast ** to bf16\n", "transpose **.{qkv,proj,fc1,fc2}.weight\n"
    stack = "stack layers.*.experts.{e}.w1.weight -> layers.*.experts.w1 over e dim 0\n"
    flat, archive = "model.safetensors", "model.pt"
    return [
        Job("rename, safetensors", rename, flat, each(renamed), 1.1, RENAME),
        Job("rename, .pt", rename, archive, each(renamed), 1.2, RENAME),
        Job("split + rename, safetensors", split_too, flat, each(split), 1.5, SPLIT),
        Job("split + rename, .pt", split_too, archive, each(split), 1.5, SPLIT),
        Job("cast to bf16, safetensors", cast, flat, each(rounded), 1.5, CAST),
        Job("cast to bf16, .pt", cast, archive, each(rounded), 1.5, CAST),
        Job("transpose, safetensors", turn, flat, each(transposed), 2.0, TRANSPOSE),
        Job("transpose, .pt", turn, archive, each(transposed), 2.0, TRANSPOSE),
        Job("stack of experts, safetensors", stack, "experts.safetensors", stacked, 2.0, STACK),
        Job("100,000 tensors, safetensors", rename, "small.safetensors", each(renamed), 2.0, RENAME),
        Job("100,000 tensors, .pt", rename, "small.pt", each(renamed), 2.0, RENAME),
        Job("Lightning with Adam", rename, "training.ckpt", each(renamed), 1.2, TRAINING),
        Job("3 GB in 7 shards, to one", rename, "shards", each(renamed), 1.1, ""),
        Job("3 GB in 7 shards, to 7", rename, "shards", each(renamed), 1.1, "", ("--max-shard-size", "450MB")),
        Job("10 GB, safetensors", rename, "large.safetensors", each(renamed), 1.1, ""),
    ]


def read(path: Path) -> dict[str, torch.Tensor]:
    """A file's tensors, mapped."""
    if path.is_dir():
        return {key: tensor for shard in sorted(path.glob("*.safetensors")) for key, tensor in read(shard).items()}
    if path.suffix in (".pt", ".ckpt"):
        loaded = torch.load(path, weights_only=True, mmap=True)
        if "state_dict" not in loaded:
            return loaded
        states = loaded["optimizer_states"][0]["state"]
        moments = {f"{n}.{name}": value for n, state in states.items() for name, value in state.items()}
        return loaded["state_dict"] | {f"-{key}": value for key, value in moments.items()}
    with safe_open(path, "pt") as file:
        return {key: file.get_tensor(key) for key in file.keys()}


def check(job: Job, folder: Path) -> None:
    """Runs the job once and compares every element of its output."""
    output = job.output(folder)
    remove(output)
    subprocess.run(job.command(folder, "--no-sync"), check=True)
    source = read(folder / job.source)
    # Moments keep their places: the order of the parameters is the same.
    moments = {key: source.pop(key) for key in list(source) if key.startswith("-")}
    expected = job.expected(source) | moments
    actual = read(output)
    if expected.keys() != actual.keys():
        sys.exit(f"{job.name}: other keys than expected")
    for key, tensor in expected.items():
        if tensor.dtype != actual[key].dtype or not torch.equal(tensor, actual[key]):
            sys.exit(f"{job.name}: `{key}` is not what it should be")
    remove(output)


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
    source, copy, output = folder / job.source, folder / "copy", job.output(folder)
    ours, theirs = [], []
    for _ in range(rounds):
        copying = [["cp", "-r", str(source), str(copy)]] + ([["sync", "-f", str(copy)]] if sync else [])
        theirs.append(seconds(*copying))
        remove(copy)
        ours.append(seconds(job.command(folder, *([] if sync else ["--no-sync"]))))
        remove(output)
    return statistics.median(ours), statistics.median(theirs)


def by_script(job: Job, folder: Path) -> str:
    """The time of the plain script, once: it is several times as slow."""
    if not job.script:
        return ""
    taken = seconds(job.by_script(folder))
    remove(job.output(folder))
    return f"{taken:.2f} s"


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
    remove(job.output(folder))
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
    parser.add_argument("--large", action="store_true", help="with the job of 10 GB, which needs 30 GB of disk")
    options = parser.parse_args()

    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "ckpt-migrate" / "bench"
    folder = Path(os.environ.get("BENCH_DIR", cache))
    chosen = [job for job in jobs() if options.only in job.name and (options.large or "10 GB" not in job.name)]
    for job in chosen:
        made(folder, job.source)
        check(job, folder)

    row("job", "against", "migrate", "cp", "ratio", "goal", "met", "script")
    row("---", "---", "--:", "--:", "--:", "--:", "---", "--:")
    for job in chosen:
        for sync, against in ((False, "cp"), (True, "cp + sync")):
            ours, theirs = compare(job, folder, options.rounds, sync)
            ratio = ours / theirs
            times = f"{ours:.2f} s", f"{theirs:.2f} s", f"{ratio:.2f}"
            script = "" if sync else by_script(job, folder)
            row(job.name, against, *times, f"{job.limit:.1f}", verdict(ratio, job.limit), script)

    print()
    row("peak anonymous memory", "MiB", "goal", "met")
    row("---", "--:", "--:", "---")
    for job in chosen:
        peak = peak_anonymous(job, folder) / MIB
        # A kilobyte a key beside what is held of the data.
        goal = 64 + (100_000 * 1000 / MIB if "100,000" in job.name else 0)
        row(job.name, f"{peak:.1f}", f"{goal:.0f}", verdict(peak, goal))

    print()
    row("start-up", "ms", "goal", "met")
    row("---", "--:", "--:", "---")
    for name, taken in start_up(folder):
        goal = ("10", verdict(1000 * taken, 10)) if "migrate" in name else ("", "")
        row(name, f"{1000 * taken:.1f}", *goal)


if __name__ == "__main__":
    main()
