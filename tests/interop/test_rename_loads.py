"""A renamed torch file loads wherever its source did, and differs in the names alone."""

import copy
from collections import OrderedDict
from contextlib import contextmanager

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from compare import differences


@contextmanager
def storage_offsets():
    """Offsets of records are computed instead of looked up, as torch's own layout promises."""
    config = torch.utils.serialization.config.load
    before = config.calculate_storage_offsets
    config.calculate_storage_offsets = True
    try:
        yield
    finally:
        config.calculate_storage_offsets = before


def mapped_with_offsets(path):
    with storage_offsets():
        return torch.load(path, weights_only=True, mmap=True)


def fake(path):
    with FakeTensorMode():
        return torch.load(path, weights_only=True)


# Every way to load a file that `torch.save` wrote; the last for what holds classes of its own.
LOAD = {
    "default": lambda path: torch.load(path, weights_only=True),
    "mmap": lambda path: torch.load(path, weights_only=True, mmap=True),
    "mmap with storage offsets": mapped_with_offsets,
    "FakeTensorMode": fake,
    "meta": lambda path: torch.load(path, weights_only=True, map_location="meta"),
    "any class": lambda path: torch.load(path, weights_only=False),
}


def loads(load, path):
    """What `load` makes of the file, or the exception that it raised."""
    try:
        return load(path), None
    except Exception as error:  # whatever torch raises: the source is the measure
        return None, error


def state_dict_at(checkpoint) -> str | None:
    """Where the tensors are that rules speak of; None where there is no one dict of them."""

    def holds_tensors(value):
        return isinstance(value, dict) and any(isinstance(v, torch.Tensor) for v in value.values())

    if not isinstance(checkpoint, dict):
        return None
    for name in ("state_dict", "model"):
        if holds_tensors(checkpoint.get(name)):
            return name
    return "" if holds_tensors(checkpoint) else None


def renamed(state: dict) -> dict:
    """The dict with `renamed.` before every tensor's key and every module's prefix."""
    out = type(state)()
    for key, value in state.items():
        out[f"renamed.{key}" if isinstance(value, torch.Tensor) else key] = value
    if isinstance(state, OrderedDict) and hasattr(state, "_metadata"):
        out._metadata = renamed_metadata(state._metadata)
    return out


def renamed_metadata(metadata: dict) -> dict:
    """The module versions under the modules' new prefixes; the root module has none to change."""
    out = type(metadata)()
    for prefix, versions in metadata.items():
        out[f"renamed.{prefix}" if prefix else prefix] = versions
    return out


def expected_of(checkpoint, at: str):
    """The whole checkpoint as it must come out: the dict at `at` renamed, the rest as it was."""
    if at == "":
        return renamed(checkpoint)
    expected = copy.copy(checkpoint)
    expected[at] = renamed(checkpoint[at])
    return expected


def test_a_renamed_file_loads_as_its_source(migrate, rules, tmp_path, torch_file):
    sources = {mode: loads(load, torch_file) for mode, load in LOAD.items()}
    sources = {mode: source for mode, (source, error) in sources.items() if error is None}
    if not sources:
        pytest.skip("torch does not load the source itself")
    at = state_dict_at(next(iter(sources.values())))
    if at is None:
        pytest.skip("the file holds no dict of tensors to rename in")

    out = tmp_path / torch_file.name
    migrate("--rules", rules("rename ** -> renamed.**"), torch_file, "-o", out, "--no-target", "--no-record")

    found = []
    for mode, source in sources.items():
        result, error = loads(LOAD[mode], out)
        if error is not None:
            found.append(f"{mode}: {error}")
        else:
            found += [f"{mode}: {line}" for line in differences(expected_of(source, at), result)]
    assert not found, "\n".join(found)
