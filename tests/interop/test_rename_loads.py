"""A renamed torch file loads wherever its source did, and differs in the names alone."""

import copy
import shutil
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


LOAD = {
    "default": lambda path: torch.load(path, weights_only=True),
    "mmap": lambda path: torch.load(path, weights_only=True, mmap=True),
    "mmap with storage offsets": mapped_with_offsets,
    "FakeTensorMode": fake,
    "meta": lambda path: torch.load(path, weights_only=True, map_location="meta"),
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


@pytest.fixture(scope="session")
def renamed_files(tmp_path_factory):
    """A folder for the renamed files, each made once for all load modes."""
    folder = tmp_path_factory.mktemp("renamed")
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize("mode", LOAD)
def test_a_renamed_file_loads_as_its_source(migrate, rules, renamed_files, torch_file, mode):
    source, error = loads(LOAD[mode], torch_file)
    if error is not None:
        pytest.skip(f"torch does not load the source so: {type(error).__name__}")
    at = state_dict_at(source)
    if at is None:
        pytest.skip("the file holds no dict of tensors to rename in")

    out = renamed_files / torch_file.name
    if not out.exists():
        migrate("--rules", rules("rename ** -> renamed.**"), torch_file, "-o", out, "--no-target", "--no-record")
    result, error = loads(LOAD[mode], out)
    assert error is None, error

    expected = renamed(source) if at == "" else copy.copy(source)
    if at:
        expected[at] = renamed(source[at])
    assert not (found := differences(expected, result)), "\n".join(found)
