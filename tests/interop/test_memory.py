"""Tensors that are made while they are written are let go one after the other."""

import pytest
import torch
from conftest import most_resident
from safetensors.torch import save_file

LIMIT = 64 << 20


@pytest.mark.parametrize(
    "rule",
    ["transpose **", "compute {i}.c = {i}.a + {i}.b", "interpolate ** dims [0] to [512] mode nearest"],
)
def test_a_file_larger_than_the_memory_there_is(rules, tmp_path, rule):
    source = tmp_path / "in.safetensors"
    save_file({f"{i}.{name}": torch.zeros(256, 1024) for i in range(64) for name in "ab"}, source)
    assert source.stat().st_size > 2 * LIMIT

    out = tmp_path / "out.safetensors"
    assert most_resident("--rules", rules(rule), source, "-o", out, "--no-target", "--no-sync") <= LIMIT
