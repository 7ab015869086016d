"""Parts of one output, written by jobs that do not talk to each other, are what a single run writes."""

import json
import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from conftest import binary

RULES = "rename a.{i} -> b.{i}\ntranspose b.1\n"
SIZE = ["--no-target", "--max-shard-size", "4KB"]


def files(folder: Path) -> dict[str, bytes]:
    """Every file of a folder, hidden ones too."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(params=["safetensors", "pt"])
def source(request, tmp_path) -> Path:
    torch.manual_seed(0)
    tensors = {f"a.{i}": torch.randn(16, 32) for i in range(20)}
    path = tmp_path / f"in.{request.param}"
    save_file(tensors, path) if request.param == "safetensors" else torch.save(tensors, path)
    return path


@pytest.fixture
def job(migrate, rules, source, tmp_path):
    """Runs a part, or without one the whole: `job("2/3")`."""
    path = rules(RULES)

    def run(part=None, *options, out="out/", source=source, rules=path, expect=0):
        shard = ["--shard", part] if part else []
        return migrate("--rules", rules, source, "-o", out, *SIZE, *shard, *options, expect=expect)

    return run


def test_parts_in_any_order_and_number_are_what_a_single_run_writes(migrate, job, tmp_path):
    job(out="whole/")
    wanted = files(tmp_path / "whole")
    assert len(wanted) > 8
    for parts in (1, 3, 7, 40):
        out = tmp_path / f"out{parts}"
        order = list(range(1, parts + 1))
        random.Random(parts).shuffle(order)
        for part in order:
            job(f"{part}/{parts}", out=f"out{parts}/")
        assert not list(out.glob("*.index.json"))
        migrate("finish", out)
        assert files(out) == wanted
        assert [p for p in out.iterdir() if p.is_dir()] == []


def test_parts_at_the_same_time(migrate, job, rules, source, tmp_path):
    job(out="whole/")
    command = [binary(), "--rules", rules(RULES), source, "-o", "out/", *SIZE, "--quiet", "--shard"]
    # Each part twice, as a scheduler does that takes a machine for lost which is not.
    jobs = [subprocess.Popen([*command, f"{part}/4"], cwd=tmp_path) for part in (1, 2, 3, 4) * 2]
    assert [job.wait(60) for job in jobs] == [0] * 8
    migrate("finish", "out/model.safetensors.index.json" if source.suffix == ".safetensors" else "out/")
    assert files(tmp_path / "out") == files(tmp_path / "whole")


def test_what_is_missing_is_named_and_run_again(migrate, job, tmp_path):
    job(out="whole/")
    for part in ("1/4", "2/4", "4/4"):
        job(part)
    missing = migrate("finish", "out", expect=1).err
    assert "missing-parts" in missing and "run again, then finish: `--shard 3/4`" in missing
    shards = sorted((tmp_path / "out").glob("*-of-*"))
    shards[0].write_bytes(shards[0].read_bytes()[:-1])
    shards[-1].unlink()
    job("3/4")
    broken = migrate("finish", "out", expect=1).err
    assert "is not there" in broken and "were written" in broken and "`--shard 1/4`, `--shard 4/4`" in broken
    assert not list((tmp_path / "out").glob("*.index.json"))
    job("1/4"), job("4/4")
    migrate("finish", "out")
    assert files(tmp_path / "out") == files(tmp_path / "whole")


def test_finish_twice_and_parts_afterwards(migrate, job, tmp_path):
    assert "no-parts" in migrate("finish", "out", expect=2).err
    assert "no-parts" in migrate("finish", "out/model.safetensors.index.json", expect=2).err
    (tmp_path / "out").mkdir()
    assert "no-parts" in migrate("finish", "out", expect=2).err
    job("1/1")
    migrate("finish", "out")
    before = files(tmp_path / "out")
    assert "nothing to do" in migrate("finish", "out").err
    assert json.loads(migrate("finish", "out", "--json").out)["already_finished"]
    assert "output-exists" in job("1/1", expect=2).err
    assert files(tmp_path / "out") == before


def test_a_finish_that_was_stopped_is_taken_up(migrate, job, tmp_path):
    job(out="whole/")
    job("1/2"), job("2/2")
    (index,) = (tmp_path / "whole").glob("*.index.json")
    shutil.copy(index, tmp_path / "out")
    assert "nothing to do" in migrate("finish", "out").err
    assert files(tmp_path / "out") == files(tmp_path / "whole")


def test_parts_of_another_run_are_refused(migrate, job, rules, source, tmp_path):
    job("1/3")
    before = files(tmp_path / "out")
    other = rules(RULES + "scale b.2 by 2\n", "other.rules")
    assert "other rules" in job("2/3", rules=other, expect=2).err
    count = job("2/4", expect=2).err
    assert "in 3 parts, and this is one in 4" in count and "--shard K/3" in count
    assert "other options" in job("2/3", "--no-record", expect=2).err
    data = bytearray(source.read_bytes())
    time.sleep(0.01)
    source.write_bytes(data)  # the same bytes at another time: it cannot be told that they are the same
    assert "another source" in job("2/3", expect=2).err
    assert files(tmp_path / "out") == before


def test_a_folder_with_another_checkpoint_is_refused(job, tmp_path):
    (tmp_path / "out").mkdir()
    kind = "model-00001-of-00009.safetensors", "pytorch_model-00001-of-00009.bin"
    for name in kind:
        (tmp_path / "out" / name).write_bytes(b"old")
    refused = job("1/2", expect=2).err
    assert "output-exists" in refused and "choose a new one" in refused
    assert sorted(files(tmp_path / "out")) == sorted(kind)


@pytest.mark.parametrize(
    "options, said",
    [
        (["--shard", "0/4"], "counted from 1"),
        (["--shard", "5/4"], "the last one is 4/4"),
        (["--shard", "two"], "2/8"),
        (["--shard", "1/4", "--force"], "cannot be used with"),
        (["--shard", "1/4", "--dry-run"], "cannot be used with"),
    ],
)
def test_what_is_no_part_is_refused(migrate, rules, tmp_path, options, said):
    save_file({"a": torch.ones(2)}, tmp_path / "in.safetensors")
    refused = migrate("--rules", rules("rename a -> b"), "in.safetensors", "-o", "out/", *options, expect=2)
    assert said in refused.err
    assert not (tmp_path / "out").exists()


def test_a_part_of_one_file_is_refused(migrate, rules, tmp_path):
    save_file({"a": torch.ones(2)}, tmp_path / "in.safetensors")
    refused = migrate(
        "--rules", rules("rename a -> b"), "in.safetensors", "-o", "x.safetensors", "--shard", "1/2", expect=2
    )
    assert "-o out/" in refused.err


def test_a_value_that_a_rule_asserts_is_checked_by_every_part(migrate, rules, tmp_path):
    save_file({f"a.{i}": torch.ones(600) for i in range(4)}, tmp_path / "in.safetensors")
    path = rules("assert a.3 value 2\nrename a.{i} -> b.{i}")
    for part in ("1/2", "2/2"):
        refused = migrate("--rules", path, "in.safetensors", "-o", "out/", *SIZE, "--shard", part, expect=1)
        assert "error[assertion]" in refused.err
    assert not (tmp_path / "out").exists()


def test_damage_in_a_torch_source_is_found_by_one_part(migrate, rules, tmp_path):
    torch.save({f"a.{i}": torch.full((1000,), float(i + 1)) for i in range(8)}, tmp_path / "in.pt")
    data = bytearray((tmp_path / "in.pt").read_bytes())
    # An element in the middle of `a.5`, which the rules drop: a single run finds it all the same.
    at = data.index(torch.full((8,), 6.0).numpy().tobytes())
    data[at] ^= 1
    (tmp_path / "in.pt").write_bytes(data)
    path = rules("drop a.5\nrename a.{i} -> b.{i}")
    codes = []
    for part in range(1, 5):
        done = subprocess.run(
            [binary(), "--rules", path, "in.pt", "-o", "out/", *SIZE, "--shard", f"{part}/4"],
            cwd=tmp_path, capture_output=True, text=True,
        )
        codes.append(done.returncode)
        assert done.returncode == 0 or "crc-mismatch" in done.stderr
    assert sorted(codes) == [0, 0, 0, 3]
    assert "missing-parts" in migrate("finish", "out", expect=1).err


def test_a_part_that_is_killed_is_run_again(migrate, rules, tmp_path):
    torch.manual_seed(0)
    save_file({f"a.{i}": torch.randn(512, 1024) for i in range(64)}, tmp_path / "in.safetensors")
    path = rules("rename a.{i} -> b.{i}\ntranspose b.*")
    options = ["--rules", path, "in.safetensors", "--no-target", "--max-shard-size", "8MB", "-o"]
    migrate(*options, "whole/")
    command = [binary(), *options, "out/", "--quiet", "--shard", "1/2"]
    killed = 0
    for wait in (0.02, 0.05, 0.1, 0.2):
        process = subprocess.Popen(command, cwd=tmp_path)
        time.sleep(wait)
        process.send_signal(signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
        assert not list((tmp_path / "out").glob("*.index.json"))
        # What has its final name is whole at each instant.
        for shard in (tmp_path / "out").glob("*.safetensors"):
            load_file(shard)
    assert killed
    migrate(*options, "out/", "--shard", "2/2")
    # On a fast machine the last of them came to its end.
    whole = killed < 4
    migrate("finish", "out", expect=0 if whole else 1)
    if not whole:
        migrate(*options, "out/", "--shard", "1/2")
        migrate("finish", "out")
    assert files(tmp_path / "out") == files(tmp_path / "whole")
