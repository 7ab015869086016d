"""Tensors that are made while they are written are let go one after the other."""

import subprocess
from pathlib import Path

import pytest
import torch
from conftest import binary
from safetensors.torch import save_file

LIMIT = 64 << 20


@pytest.mark.parametrize(
    "rule",
    ["transpose **", "compute {i}.c = {i}.a + {i}.b", "interpolate ** dims [0] to [512] mode nearest"],
)
def test_a_file_larger_than_the_memory_there_is(migrate, rules, tmp_path, rule):
    source = tmp_path / "in.safetensors"
    save_file({f"{i}.{name}": torch.zeros(256, 1024) for i in range(64) for name in "ab"}, source)
    assert source.stat().st_size > 2 * LIMIT

    out = tmp_path / "out.safetensors"
    command = [binary(), "--rules", rules(rule), source, "-o", out, "--no-target", "--no-sync"]
    process = subprocess.Popen([str(part) for part in command])
    peak = 0
    while process.poll() is None:
        peak = max(peak, resident(process.pid))
    assert process.returncode == 0
    assert 0 < peak <= LIMIT


def resident(pid: int) -> int:
    """The most memory that a process has had so far, and not what of the address space its allocator has set aside."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
