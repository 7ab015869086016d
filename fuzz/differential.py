#!/usr/bin/env python3
"""Holds what `migrate` reads from a torch file against what torch's weights-only loader reads.

    python fuzz/differential.py [SECONDS] [SEED]

Makes state dicts at random, saves them with torch, damages most of the files in one way or another, and gives each to
both. Where torch accepts a file, `migrate` must give the same tensors, or refuse with a code that docs/errors.md
lists. It must never give other tensors, and never end in any other way. Files that were told apart stay in
fuzz/artifacts/differential. Needs torch and safetensors (`bash tests/python-env`), and MIGRATE_BIN or a release build.
"""

import collections
import io
import json
import os
import pickletools
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
import warnings
import zipfile
from pathlib import Path

import safetensors.torch
import torch

ROOT = Path(__file__).resolve().parent.parent
ARTIFACTS = ROOT / "fuzz" / "artifacts" / "differential"
MIGRATE = Path(os.environ.get("MIGRATE_BIN", ROOT / "target" / "release" / "migrate")).resolve(strict=True)
CODES = set(re.findall(r"`([a-z][a-z-]+)`", (ROOT / "docs" / "errors.md").read_text()))
DTYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16,
          torch.int8, torch.uint8, torch.bool, torch.complex64, torch.float8_e4m3fn, torch.uint16]
WORDS = ["weight", "bias", "0", "1", "blocks", "a.b", "running_mean", "é", "x y", "", "w/o", "state_dict"]
warnings.filterwarnings("ignore")


class Different(Exception):
    """The two readers disagree."""


def tensor(dice: random.Random) -> torch.Tensor:
    shape = [dice.choice([0, 1, 1, 2, 3, 5]) for _ in range(dice.randrange(4))]
    made = torch.randint(0, 255, shape or (1,)).to(dice.choice(DTYPES))
    made = made if shape else made[0]
    way = dice.randrange(8)
    if way == 0 and made.dim() >= 2:
        made = made.transpose(0, 1)
    elif way == 1 and made.dim() >= 1:
        made = made[::2]
    elif way == 2:
        made = made.expand(dice.randrange(1, 4), *made.shape)
    elif way == 3 and made.is_floating_point():
        made = torch.nn.Parameter(made)
    elif way == 4 and made.is_complex():
        made = made.conj()
    return made


def state(dice: random.Random, depth: int = 0) -> dict:
    made = dice.choice([dict, collections.OrderedDict])()
    shared = tensor(dice)
    for number in range(dice.randrange(1, 6)):
        key = dice.choice(WORDS) + dice.choice(["", ".", str(number)]) + dice.choice(WORDS)
        roll = dice.randrange(12)
        if roll == 0 and depth < 3:
            made[key] = state(dice, depth + 1)
        elif roll == 1:
            made[key] = shared
        elif roll == 2 and shared.dim() >= 1:
            made[key] = shared[1:]
        elif roll == 3:
            made[key] = dice.choice([3, -1.5, "text", None, True, [1, 2], (1, "a"), {"k": 1}, torch.Size([2]), torch.float16])
        elif roll == 4:
            made[dice.choice([1, 2, (1, 2), None, 1.5])] = tensor(dice)
        else:
            made[key] = tensor(dice)
    return made


def root(dice: random.Random):
    made = state(dice)
    if dice.randrange(3) == 0:
        made = {"state_dict": made, "epoch": 3, "hyper_parameters": {"lr": 0.1}}
    return made


def records_changed(data: bytes, dice: random.Random) -> bytes:
    """Another `data.pkl` or storage in an archive that is right otherwise."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w", dice.choice([0, 0, 8])) as new:
        for entry in old.infolist():
            record = old.read(entry)
            if entry.filename.endswith("/data.pkl") and dice.randrange(4):
                record = pickle_changed(record, dice)
            elif dice.randrange(12) == 0:
                record = bytes_changed(record, dice)
            if dice.randrange(40):
                new.writestr(entry.filename, record)
    return out.getvalue()


def pickle_changed(data: bytes, dice: random.Random) -> bytes:
    """Opcodes left out, doubled, exchanged, or with another argument."""
    try:
        starts = [at for _, _, at in pickletools.genops(data)] + [len(data)]
    except Exception:
        return bytes_changed(data, dice)
    parts = [bytearray(data[a:b]) for a, b in zip(starts, starts[1:])]
    for _ in range(dice.choice([1, 1, 1, 2, 4])):
        at = dice.randrange(len(parts))
        way = dice.randrange(6)
        if way == 0:
            parts[at] = bytearray()
        elif way == 1:
            parts.insert(at, bytearray(parts[dice.randrange(len(parts))]))
        elif way == 2:
            other = dice.randrange(len(parts))
            parts[at], parts[other] = parts[other], parts[at]
        elif len(parts[at]) > 1:
            byte = dice.randrange(1, len(parts[at]))
            parts[at][byte] = dice.choice([0, 1, 2, 3, 4, 255, dice.randrange(256)])
    return bytes(b"".join(parts))


def bytes_changed(data: bytes, dice: random.Random) -> bytes:
    data = bytearray(data)
    for _ in range(dice.choice([1, 1, 2, 8])):
        if not data:
            break
        at = dice.randrange(len(data))
        way = dice.randrange(4)
        if way == 0:
            data[at] = dice.randrange(256)
        elif way == 1:
            data[at] ^= 1 << dice.randrange(8)
        elif way == 2:
            del data[at:at + dice.randrange(1, 9)]
        else:
            data[at:at] = bytes(dice.randrange(256) for _ in range(dice.randrange(1, 9)))
    return bytes(data)


def file(dice: random.Random) -> bytes:
    out = io.BytesIO()
    legacy = dice.randrange(4) == 0
    torch.save(root(dice), out, _use_new_zipfile_serialization=not legacy)
    data = out.getvalue()
    way = dice.randrange(10)
    if way < 2:
        return data
    if way < 8 and not legacy:
        return records_changed(data, dice)
    return bytes_changed(data, dice)


def dicts(value):
    """A dict and those in it."""
    yield value
    for inner in value.values():
        if isinstance(inner, dict):
            yield from dicts(inner)


def flat(value: dict, before: str = "") -> dict:
    """The tensors of nested dicts by their joined keys. Keys that are no texts are none of a state dict's: what lies
    there is another value of the file, which `--weights-only` leaves out."""
    found = {}
    for key, inner in value.items():
        if isinstance(key, str) and isinstance(inner, dict):
            found |= flat(inner, f"{before}{key}.")
        elif isinstance(key, str) and isinstance(inner, torch.Tensor):
            found[before + key] = inner
    return found


def raw(value: torch.Tensor) -> bytes:
    value = torch.empty(value.shape, dtype=value.dtype).copy_(value.detach())
    return bytes(value.view(-1).view(torch.uint8).numpy()) if value.numel() else b""


def compare(theirs, ours: dict) -> None:
    """One of the dicts holds exactly these tensors."""
    reasons = []
    for chosen in dicts(theirs) if isinstance(theirs, dict) else ():
        found = flat(chosen)
        if set(found) != set(ours):
            reasons.append(f"other keys: {sorted(set(found) ^ set(ours))}")
            continue
        wrong = [key for key, value in found.items()
                 if value.dtype != ours[key].dtype or value.shape != ours[key].shape or raw(value) != raw(ours[key])]
        if not wrong:
            return
        reasons.append(f"other tensors: {wrong}")
    raise Different("; ".join(reasons) or "torch sees no dict")


def migrate(folder: Path) -> str | None:
    """Reads `in.pt` into `out.safetensors`; gives the code where it is refused."""
    out = folder / "out.safetensors"
    out.unlink(missing_ok=True)
    done = subprocess.run(
        [MIGRATE, "--rules", "same.rules", "in.pt", "-o", out.name, "--no-target", "--weights-only", "--no-record", "--json"],
        cwd=folder, capture_output=True, timeout=60)
    if done.returncode == 0:
        return None
    if done.returncode not in (1, 2, 3):
        raise Different(f"exit {done.returncode}: {done.stderr.decode(errors='replace')[-500:]}")
    code = json.loads(done.stdout)["problems"][0]["code"]
    if code not in CODES:
        raise Different(f"the code `{code}` is not documented")
    return code


def theirs_of(data: bytes):
    """What torch makes of a file; `None` where it refuses it."""
    try:
        return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception:
        return None


def unfilled(first, second) -> bool:
    """Whether torch gives other bytes at each load, as it does of some damaged files."""
    pairs = zip(dicts(first), dicts(second)) if isinstance(first, dict) and isinstance(second, dict) else ()
    return any(raw(value) != raw(flat(other)[key]) for one, other in pairs for key, value in flat(one).items())


def one(dice: random.Random, folder: Path, counts: collections.Counter) -> None:
    data = file(dice)
    (folder / "in.pt").write_bytes(data)
    theirs = theirs_of(data)
    code = migrate(folder)
    if code is not None:
        counts["both refuse" if theirs is None else f"torch accepts, refused: {code}"] += 1
    elif theirs is None:
        counts["torch refuses, read"] += 1
    elif unfilled(theirs, theirs_of(data)):
        counts["torch reads memory that it did not fill"] += 1
    else:
        compare(theirs, safetensors.torch.load_file(folder / "out.safetensors"))
        counts["both read the same tensors"] += 1


def work(seconds: float, seed: int) -> int:
    """Tries files until the time is over; the seed of each is the number printed before it is tried."""
    end, counts, bad = time.monotonic() + seconds, collections.Counter(), 0
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as name:
        folder = Path(name)
        (folder / "same.rules").write_text("untie? **\n")
        while time.monotonic() < end:
            seed += 1
            torch.manual_seed(seed)
            signal.alarm(120)
            try:
                one(random.Random(seed), folder, counts)
            except Exception as error:
                bad += 1
                ARTIFACTS.mkdir(parents=True, exist_ok=True)
                (ARTIFACTS / f"{seed}.pt").write_bytes((folder / "in.pt").read_bytes())
                print(f"{seed}: {type(error).__name__}: {error}", flush=True)
    total = sum(counts.values()) + bad
    print(f"differential: {total} files, {bad} told apart, the last seed was {seed}")
    for what, count in counts.most_common():
        print(f"  {count:8} {what}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(work(float(sys.argv[1]) if len(sys.argv) > 1 else 60, int(sys.argv[2]) if len(sys.argv) > 2 else 0))
