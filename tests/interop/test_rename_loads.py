"""A renamed torch file loads wherever its source did, and differs in the names alone."""

import sys
from contextlib import contextmanager

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

import make_torch_files
from compare import differences
from conftest import AT


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


def is_state_dict(value) -> bool:
    return isinstance(value, dict) and any(isinstance(item, torch.Tensor) for item in value.values())


def state_dict_at(checkpoint, at: str | None) -> dict | None:
    """The dict that rules speak of: the named one, `state_dict`, the root, or `model`; None without tensors."""
    if not isinstance(checkpoint, dict):
        return None
    if at is not None:
        return checkpoint if at == "." else checkpoint[at]
    places = [checkpoint.get("state_dict"), checkpoint, checkpoint.get("model")]
    return next((place for place in places if is_state_dict(place)), None)


def leads_to_a_tensor(value) -> bool:
    return isinstance(value, dict) and (is_state_dict(value) or any(map(leads_to_a_tensor, value.values())))


def leaves(state: dict, prefix: str = ""):
    """The entries of a state dict: those of nested dicts under keys joined with dots."""
    for key, value in state.items():
        if value is not state and leads_to_a_tensor(value):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}" if isinstance(key, str) else key, value


def rename_in_place(state: dict) -> None:
    """Puts `renamed.` before every key that is text and before every module's path.

    In place, so that whatever else refers to the dict refers to the renamed one.
    """
    entries = list(leaves(state))
    state.clear()
    state.update((f"renamed.{key}", value) for key, value in entries if isinstance(key, str))
    state.update((key, value) for key, value in entries if not isinstance(key, str))
    metadata = getattr(state, "_metadata", None)
    if metadata is not None:
        modules = list(metadata.items())
        metadata.clear()
        metadata.update((f"renamed.{path}" if path else path, versions) for path, versions in modules)


@pytest.fixture(autouse=True)
def classes_of_the_files(monkeypatch):
    """The maker of the files ran as a script: pickle looks for its classes in the main module."""
    for name, value in vars(make_torch_files).items():
        if isinstance(value, type) and value.__module__ == make_torch_files.__name__:
            monkeypatch.setattr(sys.modules["__main__"], name, value, raising=False)


def test_a_renamed_file_loads_as_its_source(migrate, rules, tmp_path, torch_file):
    sources = {mode: loads(load, torch_file) for mode, load in LOAD.items()}
    sources = {mode: source for mode, (source, error) in sources.items() if error is None}
    if not sources:
        pytest.skip("torch does not load the source itself")
    at = AT.get(torch_file.stem)
    states = {mode: state_dict_at(source, at) for mode, source in sources.items()}

    out = tmp_path / torch_file.name
    # A dict that the rules name is renamed alone: what mirrors it stays.
    first = next(iter(sources.values()))
    named = at or ("state_dict" if isinstance(first, dict) and "state_dict" in first else None)
    text = (f"in {named}\n" if named and named != "." else "") + "rename ** -> renamed.**"
    run = ["--rules", rules(text), torch_file, "-o", out, "--no-target", "--no-record"]
    run += ["--at", at] if at == "." else []
    if None in states.values():  # a list, a whole module: there is no dict of tensors to rename in
        assert "no dict of tensors" in migrate(*run, expect=3).err
        assert not out.exists()
        return
    migrate(*run)

    found = []
    for mode, source in sources.items():
        rename_in_place(states[mode])
        result, error = loads(LOAD[mode], out)
        if error is not None:
            found.append(f"{mode}: {error}")
        else:
            found += [f"{mode}: {line}" for line in differences(source, result)]
    assert not found, "\n".join(found)
