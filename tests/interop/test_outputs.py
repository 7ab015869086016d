"""An output appears whole under its name, and never costs the input."""

import os

import pytest
import torch

USAGE = 2


@pytest.fixture
def small(tmp_path):
    """A small torch file with two weights."""
    path = tmp_path / "in.pt"
    torch.save({"a.w": torch.ones(4), "b.w": torch.zeros(4)}, path)
    return path


def keys(path) -> list[str]:
    return list(torch.load(path, weights_only=True))


def test_an_output_that_exists_is_kept(migrate, rules, small, tmp_path):
    out = tmp_path / "out.pt"
    out.write_text("precious")
    run = ["--rules", rules("drop a.w"), small, "-o", out, "--no-target"]
    refused = migrate(*run, expect=USAGE)
    assert "out.pt" in refused.err and "--force" in refused.err
    assert out.read_text() == "precious"

    migrate(*run, "--force")
    assert keys(out) == ["b.w"]


@pytest.mark.parametrize("force", [(), ("--force",)], ids=["", "force"])
@pytest.mark.parametrize("alias", ["the same path", "a symlink", "a hard link"])
def test_the_input_is_never_the_output(migrate, rules, small, tmp_path, alias, force):
    out = small if alias == "the same path" else tmp_path / "alias.pt"
    if alias == "a symlink":
        out.symlink_to(small)
    elif alias == "a hard link":
        out.hardlink_to(small)
    before = small.read_bytes()
    migrate("--rules", rules("drop a.w"), small, "-o", out, "--no-target", *force, expect=USAGE)
    assert small.read_bytes() == before


def test_in_place_keeps_the_old_file_under_another_name(migrate, rules, small, tmp_path):
    before = small.read_bytes()
    migrate("--rules", rules("drop a.w"), small, "--in-place", "--backup", ".bak", "--no-target")
    assert keys(small) == ["b.w"]
    assert (tmp_path / "in.pt.bak").read_bytes() == before


def test_in_place_that_fails_leaves_everything_as_it_was(migrate, rules, small, tmp_path):
    path, before = rules("drop nothing.*"), small.read_bytes()
    folder = sorted(tmp_path.iterdir())
    migrate("--rules", path, small, "--in-place", "--backup", ".bak", "--no-target", expect=1)
    assert small.read_bytes() == before
    assert sorted(tmp_path.iterdir()) == folder


@pytest.mark.parametrize("mask, mode", [(0o022, 0o644), (0o077, 0o600)])
@pytest.mark.parametrize("name", ["out.pt", "out.safetensors"])
def test_the_mode_is_that_of_any_new_file(migrate, rules, small, tmp_path, name, mask, mode):
    out = tmp_path / name
    run = ["--rules", rules(), small, "-o", out, "--no-target"]
    migrate(*run, preexec_fn=lambda: os.umask(mask))
    assert out.stat().st_mode & 0o777 == mode


def test_a_dry_run_writes_nothing(migrate, rules, small, tmp_path):
    path = rules("rename a.w -> c.w")
    folder = sorted(tmp_path.iterdir())
    told = migrate("--rules", path, small, "-o", tmp_path / "out.pt", "--no-target", "--dry-run")
    assert "c.w" in told.text
    assert sorted(tmp_path.iterdir()) == folder
