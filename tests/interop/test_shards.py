"""Shards as Hugging Face's own library writes, cuts and loads them, and sets that change over as a whole.

`huggingface_hub` comes with timm, which is pinned.
"""

import json
import os
import random
import signal
import subprocess
import time

import pytest
import torch
from huggingface_hub import load_torch_model, save_torch_state_dict, split_torch_state_dict_into_shards
from safetensors.torch import load_file, save_file

from conftest import binary, most_resident

FORMATS = {True: "model.safetensors", False: "pytorch_model.bin"}
safe = pytest.mark.parametrize("safe", FORMATS, ids=["safetensors", "bin"])


def weights() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    tensors = {f"layers.{i}.{name}": torch.randn(8, 8) for i in range(6) for name in ("q", "k")}
    tensors["head"] = torch.randn(40, 8)
    tensors["norm"] = torch.randn(8, dtype=torch.bfloat16)
    return tensors


def save_shards(tensors, folder, size, safe=True):
    folder.mkdir()
    save_torch_state_dict(tensors, folder, max_shard_size=size, safe_serialization=safe)
    return folder


def load(folder) -> dict[str, torch.Tensor]:
    """Everything that the one index of a folder leads to; index and shards must agree."""
    (index,) = folder.glob("*.index.json")
    weight_map = json.loads(index.read_text())["weight_map"]
    tensors = {}
    for file in sorted(set(weight_map.values())):
        path = folder / file
        shard = load_file(path) if path.suffix == ".safetensors" else torch.load(path, weights_only=True)
        assert set(shard) == {key for key, own in weight_map.items() if own == file}, file
        tensors |= shard
    return tensors


def assert_equal(first, second):
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first)


@safe
def test_shards_are_those_that_the_library_cuts(migrate, rules, tmp_path, safe):
    tensors = weights()
    source = tmp_path / "in.pt"
    torch.save(tensors, source)
    out = tmp_path / "out"
    name = FORMATS[safe]
    migrate("--rules", rules(), source, "-o", out / name, "--max-shard-size", "1KB", "--no-target")
    pattern = name.replace(".", "{suffix}.")
    cut = split_torch_state_dict_into_shards(tensors, filename_pattern=pattern, max_shard_size="1KB")
    index = json.loads((out / f"{name}.index.json").read_text())
    assert index["weight_map"] == cut.tensor_to_filename
    assert index["metadata"] == cut.metadata
    assert sorted(path.name for path in out.iterdir()) == sorted([*cut.filename_to_tensors, f"{name}.index.json"])
    assert_equal(load(out), tensors)


@safe
def test_the_library_loads_what_is_made_of_its_shards(migrate, rules, tmp_path, safe):
    model = torch.nn.Sequential(torch.nn.Linear(16, 16), torch.nn.Linear(16, 16), torch.nn.Linear(16, 16))
    save_shards(model.state_dict(), tmp_path / "in", "2KB", safe)
    out = tmp_path / "out"
    rule = rules("rename {i}.* -> layers.{i}.*")
    migrate("--rules", rule, tmp_path / "in", "-o", f"{out}/", "--max-shard-size", "1KiB", "--no-target")
    torch.manual_seed(1)
    other = torch.nn.ModuleDict({"layers": torch.nn.Sequential(*(torch.nn.Linear(16, 16) for _ in range(3)))})
    loaded = load_torch_model(other, out, strict=True, safe=safe)
    assert not loaded.missing_keys and not loaded.unexpected_keys
    assert_equal(other.layers.state_dict(), model.state_dict())
    if safe:
        assert all(b'"format":"pt"' in path.read_bytes() for path in out.glob("*.safetensors"))


@pytest.mark.parametrize("through", ["safetensors", "bin"])
def test_three_shards_become_two_and_three_again(migrate, rules, tmp_path, through):
    tensors = {f"{i}": torch.full((32, 32), float(i)) for i in range(6)}
    save_shards(tensors, tmp_path / "three", 8200)
    two = tmp_path / "two" / f"x.{through}"
    migrate("--rules", rules(), tmp_path / "three", "-o", two, "--max-shard-size", "12300", "--no-target")
    back = tmp_path / "back" / "model.safetensors.index.json"
    migrate("--rules", rules(), two.parent, "-o", back, "--max-shard-size", "8200", "--no-target")
    assert len(list((tmp_path / "three").iterdir())) == len(list(back.parent.iterdir())) == 4
    assert len(list(two.parent.iterdir())) == 3
    for path in (tmp_path / "three", two.parent, back.parent):
        assert_equal(load(path), tensors)


def test_tensors_that_are_one_stay_one_within_their_shard(migrate, rules, tmp_path):
    tensors = {"big": torch.randn(64), "a": torch.randn(64), "z": torch.randn(64), "w": torch.randn(8, 8)}
    tensors |= {"tied": tensors["a"], "row": tensors["w"][0], "tall": tensors["w"].t()}
    source = tmp_path / "in.pt"
    torch.save(tensors, source)
    first, second = tmp_path / "first", tmp_path / "second"
    arguments = ["--max-shard-size", "256", "--no-target"]
    migrate("--rules", rules(), source, "-o", f"{first}/", *arguments)
    # What comes from later shards is tied as well.
    migrate("--rules", rules("rename big -> large"), first, "-o", f"{second}/", *arguments)
    index = json.loads((first / "pytorch_model.bin.index.json").read_text())
    assert index["metadata"]["total_size"] == 4 * 256
    for folder in (first, second):
        loaded = load(folder)
        assert_equal({key.replace("large", "big"): value for key, value in loaded.items()}, tensors)
        assert loaded["a"].data_ptr() == loaded["tied"].data_ptr()
    loaded = load(first)
    assert loaded["row"].data_ptr() == loaded["w"].data_ptr() and loaded["tall"].stride() == (1, 8)


def test_a_training_checkpoint_is_cut_by_its_weights_alone(migrate, rules, tmp_path):
    source = tmp_path / "in.pt"
    torch.save({"state_dict": weights(), "epoch": 3}, source)
    run = ["--rules", rules(), source, "-o", f"{tmp_path}/out/", "--max-shard-size", "1KB", "--no-target"]
    refused = migrate(*run, expect=1)
    assert "others-lost" in refused.err and "epoch" in refused.err and not (tmp_path / "out").exists()
    migrate(*run, "--weights-only")
    assert_equal(load(tmp_path / "out"), weights())


def test_damage_in_a_shard_is_noticed(migrate, rules, tmp_path):
    tensors = weights()
    save_shards(tensors, tmp_path / "in", "1KB", safe=False)
    shard = next(path for path in sorted((tmp_path / "in").glob("*.bin")) if "layers.5.q" in torch.load(path))
    damaged = bytearray(shard.read_bytes())
    damaged[damaged.find(tensors["layers.5.q"].numpy().tobytes())] ^= 1
    shard.write_bytes(damaged)
    done = migrate("--rules", rules(), tmp_path / "in", "-o", f"{tmp_path}/out/", "--no-target", expect=3)
    assert "CRC" in done.err and str(shard) in done.err and not (tmp_path / "out").exists()


def test_shards_larger_than_the_memory_there_is(rules, tmp_path):
    limit = 64 << 20
    source = tmp_path / "in.safetensors"
    save_file({f"{i}": torch.zeros(512, 1024) for i in range(64)}, source)
    assert source.stat().st_size > 2 * limit

    arguments = ["--max-shard-size", "24MB", "--no-target", "--no-sync"]
    out = tmp_path / "out"
    assert most_resident("--rules", rules("transpose **"), source, "-o", f"{out}/", *arguments) <= limit
    back = tmp_path / "back" / "pytorch_model.bin"
    assert most_resident("--rules", rules("transpose **"), out, "-o", back, *arguments) <= limit
    assert_equal(load(back.parent), load_file(source))


# The same number of shards, so that the new ones have the names of the old; fewer; more.
@pytest.mark.parametrize("counts", [(3, 3), (3, 2), (2, 3)], ids=str)
def test_killed_at_any_moment_it_leaves_the_old_set_or_the_new_one(rules, tmp_path, counts):
    """50 moments over the three cases, spread over the time that a run takes and dense where names change."""
    keys, rows = 6, 1 << 18
    sets = [tmp_path / "a.safetensors", tmp_path / "b.safetensors"]
    for value, path in enumerate(sets):
        save_file({f"{i}": torch.full((rows,), float(value)) for i in range(keys)}, path)
    sizes = [4 * rows * keys // count for count in counts]
    out = tmp_path / "out"
    rule = str(rules())

    def command(which):
        return [binary(), "--rules", rule, sets[which], "-o", f"{out}/", "--max-shard-size", str(sizes[which]),
                "--no-target", "--force", "--quiet"]

    def shards_of(folder):
        return [name for name in os.listdir(folder) if name.endswith(".safetensors")]

    def state():
        loaded = load(out)
        values = {float(value) for tensor in loaded.values() for value in (tensor.min(), tensor.max())}
        assert len(loaded) == keys and len(values) == 1, "a mix"
        return int(values.pop())

    subprocess.run(command(0), check=True)
    started = time.monotonic()
    subprocess.run(command(1), check=True)
    took = time.monotonic() - started
    moments, found, generator = 17, [], random.Random(str(counts))
    now = 1
    for moment in range(moments):
        before = shards_of(out)
        process = subprocess.Popen(command(1 - now))
        if moment % 2:
            time.sleep(generator.uniform(0, took))
        else:
            # From the first change of names on, which is over in a few milliseconds.
            while shards_of(out) == before and process.poll() is None:
                pass
            time.sleep(generator.uniform(0, 0.004))
        process.send_signal(signal.SIGKILL)
        process.wait()
        after = state()
        found.append((process.returncode == -signal.SIGKILL, after != now))
        now = after
    # Whatever was left lying about, the next run leaves one set and nothing stale of another.
    subprocess.run(command(1 - now), check=True)
    assert state() == 1 - now
    count = counts[1 - now]
    shards = [f"model-{number:05}-of-{count:05}.safetensors" for number in range(1, count + 1)]
    names = [name for name in os.listdir(out) if not name.endswith(".migrate-tmp")]
    assert sorted(names) == [*shards, "model.safetensors.index.json"]
    killed = [changed for was_killed, changed in found if was_killed]
    print(f"{len(killed)} of {moments} runs of {took * 1000:.0f} ms were killed, {sum(killed)} after the change")
