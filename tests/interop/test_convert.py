"""Between torch and safetensors, both ways, with nothing lost in silence."""

import json
import struct
from collections import OrderedDict

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from compare import plain_bytes
from conftest import EXAMPLE


def state_dict() -> OrderedDict:
    """Tensors of the kinds that both formats hold, in an order that no sort would give."""
    noise = torch.Generator().manual_seed(0)
    weight = torch.randn(6, 4, generator=noise)
    return OrderedDict(
        {
            "z.weight": weight,
            "a.transposed": weight.clone().t(),
            "m.every_second": torch.arange(10)[::2],
            "half": weight.half(),
            "brain": weight.bfloat16(),
            "tiny": weight.to(torch.float8_e4m3fn),
            "double": weight.double(),
            "complex": torch.complex(weight, -weight),
            "int8": torch.arange(-3, 4, dtype=torch.int8),
            "uint16": torch.arange(5).to(torch.uint16),
            "mask": torch.tensor([True, False, True]),
            "scalar": torch.tensor(7),
            "empty": torch.empty(0, 3),
        }
    )


def assert_same_tensors(expected: dict, actual: dict):
    assert list(expected) == list(actual)
    for key, tensor in expected.items():
        assert (tensor.dtype, tensor.shape) == (actual[key].dtype, actual[key].shape), key
        assert torch.equal(plain_bytes(tensor), plain_bytes(actual[key])), key


def header(path) -> dict:
    """The header of a safetensors file, keys in the order of the file."""
    with open(path, "rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        return json.loads(file.read(size))


def read_in_order(path) -> dict:
    """The tensors of a safetensors file in the order of its header."""
    tensors = load_file(path)
    return {key: tensors[key] for key in header(path) if key != "__metadata__"}


@pytest.fixture
def convert(migrate, rules):
    """Runs an empty rule file: only the format changes."""
    return lambda *args, **options: migrate("--rules", rules(), "--no-target", *args, **options)


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin", ".ckpt"])
def test_torch_to_safetensors(convert, tmp_path, suffix):
    source, out = tmp_path / f"in{suffix}", tmp_path / "out.safetensors"
    torch.save(state_dict(), source)
    convert(source, "-o", out)
    assert_same_tensors(state_dict(), read_in_order(out))


def test_there_and_back_again(convert, tmp_path):
    source, between, back = tmp_path / "in.pt", tmp_path / "between.safetensors", tmp_path / "back.pt"
    torch.save(state_dict(), source)
    convert(source, "-o", between)
    convert(between, "-o", back)
    for options in ({}, {"mmap": True}):
        assert_same_tensors(state_dict(), torch.load(back, weights_only=True, **options))


def test_the_file_that_safetensors_itself_wrote(convert, tmp_path):
    tensors = {key: tensor.contiguous().clone() for key, tensor in state_dict().items()}
    source, out = tmp_path / "in.safetensors", tmp_path / "out.pt"
    save_file(tensors, source)
    convert(source, "-o", out)
    assert_same_tensors(read_in_order(source), torch.load(out, weights_only=True))


def test_safetensors_stays_byte_for_byte(convert, tmp_path):
    source, out = tmp_path / "in.safetensors", tmp_path / "out.safetensors"
    save_file({"b": torch.ones(3), "a": torch.zeros(2, 2)}, source, metadata={"format": "pt"})
    convert(source, "-o", out)
    assert out.read_bytes() == source.read_bytes()


def test_metadata_is_kept(migrate, rules, tmp_path):
    kept = {"format": "pt", "modelspec.title": "Ein Modell – «ß»", "steps": "100"}
    source, out = tmp_path / "in.safetensors", tmp_path / "out.safetensors"
    save_file({"a.weight": torch.ones(3), "b.weight": torch.zeros(2)}, source, metadata=kept)
    run = ["--rules", rules("rename a.* -> c.*"), source, "-o", out, "--no-target"]

    migrate(*run, "--no-record")
    with safe_open(out, "pt") as file:
        assert file.metadata() == kept
        assert sorted(file.keys()) == ["b.weight", "c.weight"]

    migrate(*run, "--force")
    with safe_open(out, "pt") as file:
        assert kept.items() <= file.metadata().items()


def test_training_state_does_not_vanish_in_a_safetensors_file(migrate, rules, tmp_path):
    out = tmp_path / "out.safetensors"
    run = ["--rules", rules(), EXAMPLE / "v1.ckpt", "-o", out, "--no-target"]

    refused = migrate(*run, expect=1)
    for entry in ("optimizer_states", "lr_schedulers", "callbacks", "loops", "hyper_parameters", "epoch"):
        assert entry in refused.text
    assert "--weights-only" in refused.text
    assert not out.exists()

    migrate(*run, "--weights-only")
    expected = torch.load(EXAMPLE / "v1.ckpt", weights_only=True)["state_dict"]
    assert_same_tensors(expected, read_in_order(out))


def test_sharing_that_safetensors_cannot_say_is_refused(migrate, rules, tmp_path):
    source, out = tmp_path / "in.pt", tmp_path / "out.safetensors"
    weight = torch.ones(2, 2)
    torch.save({"embed.weight": weight, "head.weight": weight}, source)
    run = [source, "-o", out, "--no-target"]
    refused = migrate("--rules", rules(), *run, expect=1)
    assert "embed.weight" in refused.text and "head.weight" in refused.text
    assert not out.exists()

    migrate("--rules", rules("drop head.weight"), *run)
    assert list(load_file(out)) == ["embed.weight"]


def test_a_dtype_that_safetensors_lacks_is_refused(migrate, rules, tmp_path):
    source, out = tmp_path / "in.pt", tmp_path / "out.safetensors"
    torch.save({"fine": torch.ones(2), "wide": torch.ones(2, dtype=torch.complex128)}, source)
    run = ["--rules", rules(), source, "-o", out, "--no-target"]
    assert "wide" in migrate(*run, expect=1).text
    assert not out.exists()
