"""Tensor-parallel ranks become one torch file, and one file becomes ranks again."""

import pytest
import torch

JOIN = """
merge r{r}.layers.{i}.wq -> layers.{i}.wq over r dim 0
merge r{r}.layers.{i}.wo -> layers.{i}.wo over r dim 1
unify r{r}.norm -> norm over r
"""
PART = """
split layers.{i}.wq -> r{r}.layers.{i}.wq over r into 2 dim 0
split layers.{i}.wo -> r{r}.layers.{i}.wo over r into 2 dim 1
copy norm -> r{r}.norm over r into 2
drop norm
"""


@pytest.fixture
def ranks(tmp_path):
    torch.manual_seed(0)
    norm = torch.randn(4)
    paths = []
    for rank in range(2):
        tensors = {"norm": norm.clone()}
        for layer in range(3):
            # A rank's part is a view of the whole as often as not.
            tensors[f"layers.{layer}.wq"] = torch.randn(4, 4).t()[:2]
            tensors[f"layers.{layer}.wo"] = torch.randn(4, 2, dtype=torch.bfloat16)
        paths.append(tmp_path / f"mp_{rank:02}.pth")
        torch.save({"model": tensors, "iteration": 7, "rank": rank}, paths[-1])
    return paths


def test_ranks_join_and_part_again(migrate, rules, ranks, tmp_path):
    whole = tmp_path / "whole.pth"
    names = [f"r{rank}={path}" for rank, path in enumerate(ranks)]
    done = migrate("--rules", rules(JOIN), *names, "-o", whole, "--no-target")
    assert f"left out: {ranks[1]}: iteration, {ranks[1]}: rank" in done.err

    loaded = torch.load(whole, weights_only=True)
    sources = [torch.load(path, weights_only=True)["model"] for path in ranks]
    assert (loaded["iteration"], loaded["rank"]) == (7, 0)
    for layer in range(3):
        for key, dim in (("wq", 0), ("wo", 1)):
            parts = [source[f"layers.{layer}.{key}"] for source in sources]
            assert torch.equal(loaded["model"][f"layers.{layer}.{key}"], torch.cat(parts, dim))
    assert torch.equal(loaded["model"]["norm"], sources[0]["norm"])

    outputs = [tmp_path / "a.pth", tmp_path / "b.pth"]
    named = [part for rank, path in enumerate(outputs) for part in ("-o", f"r{rank}={path}")]
    targets = [part for name in names for part in ("--target", name)]
    migrate("--rules", rules(PART), whole, *named, *targets)
    for source, path in zip(sources, outputs):
        back = torch.load(path, weights_only=True)["model"]
        assert back.keys() == source.keys()
        assert all(torch.equal(back[key], source[key]) for key in source)


def test_damage_in_any_of_the_inputs_is_noticed(migrate, rules, ranks, tmp_path):
    damaged = bytearray(ranks[1].read_bytes())
    at = damaged.find(torch.load(ranks[1])["model"]["layers.2.wo"].view(torch.int16).numpy().tobytes())
    assert at > 0
    damaged[at] ^= 1
    ranks[1].write_bytes(damaged)
    names = [f"r{rank}={path}" for rank, path in enumerate(ranks)]
    out = tmp_path / "out.pth"
    done = migrate("--rules", rules(JOIN), *names, "-o", out, "--no-target", expect=3)
    assert "CRC" in done.err and str(ranks[1]) in done.err and not out.exists()
