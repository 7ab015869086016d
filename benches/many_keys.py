"""The planner over ten thousand, a hundred thousand and a million keys, under 200 rules of mixed forms.

The model has sixteen towers of many layers and experts. What the rules make of its keys is worked out here
again, as the target, so that each plan that is timed is also proved.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MIGRATE = os.environ["MIGRATE_BIN"]
MIB = 1 << 20

TOWERS = (
    "text vision audio video depth thermal lidar radar touch code music speech layout table chart graph"
).split()
PROBES = [f"{kind}{number}" for kind in ("linear", "norm", "attn", "rank") for number in range(9)]


# ---------------------------------------------------------------- the keys and the rules


def layer(experts: int) -> Iterator[tuple[str, list[int], dict[str, list[int]]]]:
    """The tensors of one layer: the name, the shape, and what the rules make of it."""
    yield "norm1.gamma", [8], {"input_norm.weight": [8]}
    yield "norm1.beta", [8], {"input_norm.bias": [8]}
    yield "attn.qkv.weight", [24, 8], {f"attn.{part}_proj.weight": [8, 8] for part in "qkv"}
    yield "attn.qkv.bias", [24], {f"attn.{part}_proj.bias": [8] for part in "qkv"}
    yield "attn.rel_index", [16, 16], {}
    yield "attn.proj.weight", [8, 8], {"attn.proj.weight": [8, 8]}
    yield "stem.bn.num_batches_tracked", [], {}
    yield "mlp.gate.weight", [experts, 8], {"mlp.router.weight": [experts, 8]}
    for expert in range(experts):
        of = f"mlp.experts.{expert}"
        yield f"{of}.w1.weight", [32, 8], {f"{of}.gate_up.weight": [64, 8]}
        yield f"{of}.w3.weight", [32, 8], {}
        yield f"{of}.w2.weight", [8, 32], {f"{of}.down.weight": [8, 32]}


def tower(name: str, layers: int, experts: int) -> Iterator[tuple[str, list[int], dict[str, list[int]]]]:
    """The tensors of one tower."""
    yield f"{name}.pos_embed", [1, 16, 8], {f"{name}.embed.position": [1, 16, 8]}
    for part, shape in (("weight", [8, 3]), ("bias", [8])):
        yield f"{name}.patch.proj.{part}", shape, {f"{name}.embed.patch.{part}": shape}
    for number in range(layers):
        for own, shape, made in layer(experts):
            renamed = {f"{name}.blocks.{number}.{key}": shape for key, shape in made.items()}
            yield f"{name}.layers.{number}.{own}", shape, renamed
    for probe in PROBES:
        yield f"{name}.probes.{probe}.weight", [4], {f"{name}.metrics.{probe}.weight": [4]}
    for part, shape in (("weight", [10, 8]), ("bias", [10])):
        yield f"{name}.head.{part}", shape, {f"{name}.classifier.{part}": shape}


def model(keys: int, experts: int) -> Iterator[tuple[str, list[int], dict[str, list[int]]]]:
    """A model of `keys` tensors, or of up to a layer more for each tower."""
    around, inside = len(list(tower("t", 0, experts))), len(list(layer(experts)))
    layers = -(-(keys // len(TOWERS) - around) // inside)
    for name in TOWERS:
        yield from tower(name, layers, experts)


def rules() -> str:
    """200 statements: ten for each tower, and forty for all."""
    lines = ["rename **.gamma -> **.weight", "rename **.beta -> **.bias", "drop **.num_batches_tracked"]
    lines += ["rename **.gate.weight -> **.router.weight"]
    lines += [f"rename **.probes.{probe}.* -> **.metrics.{probe}.*" for probe in PROBES]
    for name in TOWERS:
        lines += [
            f"rename {name}.pos_embed -> {name}.embed.position",
            f"rename {name}.patch.proj.{{weight|bias}} -> {name}.embed.patch.{{weight|bias}}",
            f"rename /{name}\\.head\\.(?P<part>weight|bias)/ -> {name}.classifier.{{part}}",
            f"drop {name}.layers.*.attn.rel_index",
            f"rename {name}.layers.{{i}}.norm1.* -> {name}.blocks.{{i}}.input_norm.*",
            f"split {name}.**.qkv.weight -> {name}.**.{{q,k,v}}_proj.weight dim 0",
            f"split {name}.layers.*.attn.qkv.bias -> {name}.layers.*.attn.{{q,k,v}}_proj.bias dim 0",
            f"merge {name}.**.experts.*.{{w1,w3}}.weight -> {name}.**.experts.*.gate_up.weight dim 0",
            f"rename {name}.layers.{{i:int}}.mlp.experts.{{e}}.w2.weight"
            f" -> {name}.blocks.{{i}}.mlp.experts.{{e}}.down.weight",
            f"rename {name}.layers.*.** -> {name}.blocks.*.**",
        ]
    return "".join(f"{line}\n" for line in lines)


# ---------------------------------------------------------------- the files


def write_keys(path: Path, tensors: Iterator[tuple[str, list[int]]]) -> None:
    """A key set as YAML; a half-written one never has its final name."""
    unfinished = path.with_suffix(".unfinished")
    with unfinished.open("w") as file:
        file.write("format: 1\ntensors:\n")
        file.writelines(f"  {key}: f32 {shape}\n" for key, shape in tensors)
    unfinished.rename(path)


def write_safetensors(path: Path, tensors: Iterator[tuple[str, list[int]]]) -> None:
    """A file of zeros, all of them a hole."""
    header, at = {}, 0
    for key, shape in tensors:
        size = 4
        for dim in shape:
            size *= dim
        header[key] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    unfinished = path.with_suffix(".unfinished")
    with unfinished.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + at)
    unfinished.rename(path)


@dataclass
class Case:
    """A model of a size, and what planning it may take."""

    keys: int
    experts: int
    suffix: str
    seconds: float
    memory: int

    def make(self, folder: Path) -> tuple[Path, Path]:
        """The source and the target, made once."""
        source, target = folder / f"{self.keys}{self.suffix}", folder / f"{self.keys}.target.keys.yaml"
        if not source.exists():
            print(f"making {source}", file=sys.stderr)
            write = write_keys if self.suffix == ".keys.yaml" else write_safetensors
            write(source, ((key, shape) for key, shape, _ in model(self.keys, self.experts)))
        if not target.exists():
            print(f"making {target}", file=sys.stderr)
            made = (made for _, _, made in model(self.keys, self.experts))
            write_keys(target, ((key, shape) for tensors in made for key, shape in tensors.items()))
        return source, target


# The header of a safetensors file may have 100 MB, which a million keys do not fit into.
CASES = [
    Case(10_000, 8, ".keys.yaml", 1.0, 2048 * MIB),
    Case(100_000, 64, ".keys.yaml", 1.0, 2048 * MIB),
    Case(100_000, 64, ".safetensors", 1.0, 2048 * MIB),
    Case(1_000_000, 128, ".keys.yaml", 10.0, 2048 * MIB),
]


# ---------------------------------------------------------------- the measuring


def timed(command: list[str]) -> tuple[float, int]:
    """Seconds and the most memory that a command takes."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    if os.waitstatus_to_exitcode(status) not in (0, 1):
        sys.exit(f"this failed: {' '.join(command)}")
    return seconds, usage.ru_maxrss * 1024


def best(command: list[str], repeats: int) -> tuple[float, int]:
    """The least seconds and the most memory of several runs."""
    runs = [timed(command) for _ in range(repeats)]
    return min(seconds for seconds, _ in runs), max(memory for _, memory in runs)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--repeats", type=int, default=3)
    options.add_argument("--all", action="store_true", help="the commands beside `plan`, too")
    given = options.parse_args()
    folder = Path(os.environ.get("BENCH_DIR", Path.home() / ".cache/ckpt-migrate/bench")) / "planner"
    folder.mkdir(parents=True, exist_ok=True)
    rule_file = folder / "bench.rules"
    rule_file.write_text(rules())
    nothing = folder / "nothing.rules"
    nothing.write_text("rename? no.such.key -> nowhere\n")
    print(f"{'command':<28} {'keys':>9} {'source':<12} {'seconds':>8} {'limit':>6} {'MiB':>6} {'limit':>6}  met")
    for case in CASES:
        source, target = case.make(folder)
        plan = [MIGRATE, "plan", str(source), "--target", str(target), "--rules"]
        commands = {"plan, 200 rules": [*plan, str(rule_file)]}
        if given.all:
            commands |= {
                "plan --json, 200 rules": [*plan, str(rule_file), "--json"],
                "plan, nothing fits": [*plan, str(nothing)],
                "diff": [MIGRATE, "diff", str(source), str(target)],
                "inspect": [MIGRATE, "inspect", str(source)],
            }
        for name, command in commands.items():
            seconds, memory = best(command, given.repeats)
            met = seconds <= case.seconds and memory <= case.memory
            print(
                f"{name:<28} {case.keys:>9} {case.suffix[1:]:<12} {seconds:>8.2f} {case.seconds:>6.1f}"
                f" {memory // MIB:>6} {case.memory // MIB:>6}  {'yes' if met else 'NO'}",
                flush=True,
            )


if __name__ == "__main__":
    main()
