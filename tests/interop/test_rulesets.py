"""The shipped rule sets against the libraries that they are for.

Each folder of `rules/` but the example has a `make.py`, which writes a sample by the real library and what
that library itself makes of it. Here the tool makes the same of it, to the bit, and the new model computes
what the old one did.
"""

import importlib.util
import warnings

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from conftest import REPOSITORY

RULES = REPOSITORY / "rules"
NAMES = sorted(folder.name for folder in RULES.iterdir() if folder.name != "example")


def maker(name: str):
    """The `make.py` of a rule set as a module."""
    spec = importlib.util.spec_from_file_location(f"make_{name}", RULES / name / "make.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def only(folder, stem: str):
    """The one file of that stem."""
    (path,) = folder.glob(f"{stem}.*")
    return path


def weights(path) -> dict:
    return load_file(path) if path.suffix == ".safetensors" else torch.load(path, weights_only=True)


def apply(migrate, name: str, sample, out, *more):
    """Migrates a sample by the shipped file itself, towards the key set beside it."""
    folder = RULES / name
    options = getattr(maker(name), "OPTIONS", [])
    rules, target = folder / f"{name}.rules", folder / "after.keys.yaml"
    migrate("--rules", rules, sample, "-o", out, "--target", target, "--weights-only", *options, *more)
    return weights(out)


@pytest.fixture(params=NAMES)
def made(request, tmp_path):
    """A rule set's maker, and the folder with what it made."""
    module = maker(request.param)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module.main(tmp_path)
    return request.param, module, tmp_path


def test_it_comes_to_what_the_library_makes_of_it(made, migrate):
    name, _, folder = made
    sample, expected = only(folder, "sample"), weights(only(folder, "expected"))
    found = apply(migrate, name, sample, folder / f"out{only(folder, 'expected').suffix}")
    assert list(found) == list(expected)
    for key, value in expected.items():
        assert found[key].dtype == value.dtype and torch.equal(found[key], value), key


def test_the_new_model_loads_it_and_computes_the_same(made, migrate):
    name, module, folder = made
    found = apply(migrate, name, only(folder, "sample"), folder / "out.pt")
    old, new = module.before(), module.after()
    if name == "lightning":
        # The sample is of a module that was trained for a step.
        old = type(old).load_from_checkpoint(only(folder, "sample"), map_location="cpu")
    new.load_state_dict(found, strict=True)
    old, new, inputs = old.eval(), new.eval(), module.inputs()
    with torch.no_grad():
        untouched = module.after().eval()(inputs)
        assert not torch.allclose(untouched, old(inputs), atol=1e-3), "other weights give the same"
        torch.testing.assert_close(new(inputs), old(inputs), rtol=1e-5, atol=1e-6)


def test_the_key_sets_are_those_of_the_files(made, migrate):
    name, _, folder = made
    for stem, side in (("sample", "before"), ("expected", "after")):
        written = folder / f"{side}.keys.yaml"
        migrate("keys", only(folder, stem), "-o", written, "--name", side)
        assert written.read_text() == (RULES / name / f"{side}.keys.yaml").read_text()


@pytest.mark.parametrize("name", NAMES)
def test_the_sample_in_the_repository_loads_too(name, migrate, tmp_path):
    found = apply(migrate, name, only(RULES / name, "sample"), tmp_path / "out.pt")
    maker(name).after().load_state_dict(found, strict=True)


def test_fused_and_separate_projections_are_each_other_s_way_back(migrate, tmp_path):
    sample = RULES / "fuse_attention" / "sample.safetensors"
    fused, back = tmp_path / "fused.safetensors", tmp_path / "back.safetensors"
    apply(migrate, "fuse_attention", sample, fused)
    found, expected = apply(migrate, "split_attention", fused, back), load_file(sample)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], expected[key]) for key in expected)


# ---------------------------------------------------------------- wrappers, in every order


def parallel(model: nn.Module) -> nn.Module:
    return nn.DataParallel(model)


def compiled(model: nn.Module) -> nn.Module:
    return torch.compile(model, backend="eager")


@pytest.mark.parametrize(
    "wrappers",
    [
        [],
        [parallel],
        [compiled],
        [parallel, compiled],
        [compiled, parallel],
        [parallel, parallel],
        [compiled, parallel, compiled],
        [parallel, compiled, parallel],
    ],
    ids=lambda wrappers: "_".join(wrapper.__name__ for wrapper in wrappers) or "clean",
)
def test_wrappers_go_in_any_order(wrappers, migrate, tmp_path):
    module = maker("wrapped")
    model = module.Classifier()
    expected = model.state_dict()
    for wrapper in wrappers:
        model = wrapper(model)
    torch.save(model.state_dict(), tmp_path / "wrapped.pt")
    found = apply(migrate, "wrapped", tmp_path / "wrapped.pt", tmp_path / "out.pt", "--no-record")
    assert list(found) == list(expected)
    assert all(torch.equal(found[key], expected[key]) for key in expected)
    if not wrappers:
        assert (tmp_path / "out.pt").read_bytes() == (tmp_path / "wrapped.pt").read_bytes()


def test_lightning_with_a_compiled_network(migrate, rules, tmp_path):
    """Lightning's prefix stands outside of the wrapper's: `model._orig_mod.0.weight`."""
    module = maker("lightning")
    model = module.before()
    expected = {key: value.clone() for key, value in model.model.state_dict().items()}
    model.model = compiled(model.model)
    keys = list(model.state_dict())
    assert keys[0] == "model._orig_mod.0.weight"
    torch.save({"state_dict": model.state_dict()}, tmp_path / "compiled.ckpt")
    for order in ("use lightning\nuse compiled", "use compiled\nuse lightning"):
        out = tmp_path / "out.pt"
        target = RULES / "lightning" / "after.keys.yaml"
        migrate(
            "--rules", rules(order), tmp_path / "compiled.ckpt", "-o", out, "--target", target, "--weights-only", "--force"
        )
        found = weights(out)
        assert list(found) == list(expected)
        assert all(torch.equal(found[key], expected[key]) for key in expected)


# ---------------------------------------------------------------- real architectures


def test_a_whole_densenet_with_its_old_names(migrate, tmp_path):
    """DenseNet-121 as torchvision has it, towards the keys of the real model."""
    from torchvision.models import densenet121

    module = maker("densenet")
    model = densenet121(weights=None)
    torch.save(module.old_names(model.state_dict()), tmp_path / "old.pth")
    torch.save(densenet121(weights=None).state_dict(), tmp_path / "new.pth")
    rules = RULES / "densenet" / "densenet.rules"
    migrate("--rules", rules, tmp_path / "old.pth", "-o", tmp_path / "out.pth", "--target", tmp_path / "new.pth")
    found, expected = weights(tmp_path / "out.pth"), model.state_dict()
    assert list(found) == list(expected)
    assert all(torch.equal(found[key], expected[key]) for key in expected)
    densenet121(weights=None).load_state_dict(found, strict=True)


def test_torch_s_own_transformer_and_back(migrate, rules, tmp_path):
    """An encoder and decoder of torch, whose attention lies at several depths and under several names."""
    model = nn.Transformer(16, 2, 1, 2, 32, batch_first=True)
    torch.save(model.state_dict(), tmp_path / "fused.pt")
    migrate("--rules", rules("use split_attention"), tmp_path / "fused.pt", "-o", tmp_path / "split.pt", "--no-target")
    split = weights(tmp_path / "split.pt")
    assert "decoder.layers.1.multihead_attn.v_proj.bias" in split
    assert not any("in_proj" in key for key in split)
    target = ("--target", tmp_path / "fused.pt")
    migrate("--rules", rules("use fuse_attention"), tmp_path / "split.pt", "-o", tmp_path / "back.pt", *target)
    found, expected = weights(tmp_path / "back.pt"), model.state_dict()
    assert list(found) == list(expected)
    assert all(torch.equal(found[key], expected[key]) for key in expected)
