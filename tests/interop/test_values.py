"""`set`, `unset` and `move` reach what a file holds besides tensors, as Python would have written it."""

import argparse
import collections

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file


class Options(dict):
    """A mapping with a class of its own, as configuration libraries have them."""


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / "in.ckpt"
    value = {
        "epoch": 3,
        "state_dict": collections.OrderedDict(w=torch.arange(3.0)),
        "hyper_parameters": {"decoder": "blocks", "lr": 0.1, "layers": [1, 2, 3], 7: "seven"},
        "callbacks": {"ModelCheckpoint{'monitor': None}": {"best_model_path": "old.ckpt"}},
        "args": argparse.Namespace(heads=4, names=("a", "b")),
        "options": Options(depth=2),
    }
    torch.save(value, path)
    return path, value


def load(path):
    return torch.load(path, weights_only=False)


CASES = [
    ('set hyper_parameters.decoder = "aspp"', lambda v: v["hyper_parameters"].update(decoder="aspp")),
    ("set hyper_parameters.new = [1, -2.5, {\"a\": none, \"b\": [true, false]}]",
     lambda v: v["hyper_parameters"].update(new=[1, -2.5, {"a": None, "b": [True, False]}])),
    ("set epoch = -1", lambda v: v.update(epoch=-1)),
    ("set epoch = -5000000000", lambda v: v.update(epoch=-5000000000)),
    ("set epoch = 9223372036854775807", lambda v: v.update(epoch=2**63 - 1)),
    ("set hyper_parameters.layers.1 = 20", lambda v: v["hyper_parameters"]["layers"].__setitem__(1, 20)),
    ("set hyper_parameters.7 = \"sieben\"", lambda v: v["hyper_parameters"].update({7: "sieben"})),
    ("unset hyper_parameters.layers.0", lambda v: v["hyper_parameters"]["layers"].pop(0)),
    ("unset hyper_parameters.lr, epoch", lambda v: (v["hyper_parameters"].pop("lr"), v.pop("epoch"))),
    ("unset? nothing.here.at.all", lambda v: None),
    ("move hyper_parameters.lr -> args.lr", lambda v: setattr(v["args"], "lr", v["hyper_parameters"].pop("lr"))),
    ("move state_dict -> model", lambda v: v.update(model=v.pop("state_dict"))),
    ("set args.heads = 8", lambda v: setattr(v["args"], "heads", 8)),
    ("set options.depth = 5", lambda v: v["options"].update(depth=5)),
    ("set callbacks.\"ModelCheckpoint{'monitor': None}\".best_model_path = \"\"",
     lambda v: next(iter(v["callbacks"].values())).update(best_model_path="")),
    ("set {\n  epoch = 0\n  hyper_parameters.decoder = \"x # y\"\n}",
     lambda v: (v.update(epoch=0), v["hyper_parameters"].update(decoder="x # y"))),
]


@pytest.mark.parametrize("text, change", CASES, ids=[case[0] for case in CASES])
def test_values_become_what_python_would_make_of_them(migrate, rules, checkpoint, tmp_path, text, change):
    path, value = checkpoint
    out = tmp_path / "out.ckpt"
    migrate("--rules", rules(text), path, "-o", out, "--no-target", "--no-record")
    change(value)
    found = load(out)
    tensors = ["state_dict" if "state_dict" in value else "model"] * 2
    assert torch.equal(found.pop(tensors[0])["w"], value.pop(tensors[1])["w"])
    assert list(found) == list(value)
    assert found == value
    assert repr(found) == repr(value)  # 1 == True, but not here


REFUSED = [
    ("unset hyper_parameters.decodr", 1, ["hyper_parameters.decodr", "`decoder`"]),
    ("unset hyper.lr", 1, ["hyper", "`hyper_parameters`"]),
    ("set hyper.decoder = 1", 1, ["`hyper_parameters`"]),
    ("set args.names.0 = \"z\"", 1, ["tuple"]),
    ("set hyper_parameters.layers.9 = 1", 1, ["`2`"]),
    ("set state_dict.w = 1", 1, ["dict of tensors"]),
    ("unset state_dict", 1, ["dict of tensors"]),
    ("move epoch -> args", 1, ["already"]),
    ("move epoch -> a.b", 1, ["`a`"]),
    ("set epoch = w + 1", 2, ["text", "number"]),
    ("set epoch", 2, ["="]),
    ("set hyper_parameters.* = 1", 2, ["plain text"]),
    ("under a {\nset b = 1\n}", 2, ["`set` cannot stand here"]),
]


@pytest.mark.parametrize("text, exit, words", REFUSED, ids=[case[0] for case in REFUSED])
def test_what_cannot_be_is_refused(migrate, rules, checkpoint, tmp_path, text, exit, words):
    out = tmp_path / "out.ckpt"
    done = migrate("--rules", rules(text), checkpoint[0], "-o", out, "--no-target", expect=exit)
    for word in words:
        assert word in done.err
    assert not out.exists()


def test_the_plan_shows_what_a_value_was(migrate, rules, checkpoint):
    text = 'set hyper_parameters.decoder = "aspp"'
    done = migrate("plan", "--rules", rules(text), checkpoint[0], "--no-target")
    assert 'changes: hyper_parameters.decoder = "aspp"  (it was "blocks")' in done.out


def test_metadata_of_safetensors(migrate, rules, tmp_path):
    path, out = tmp_path / "in.safetensors", tmp_path / "out.safetensors"
    save_file({"w": torch.ones(2)}, path, metadata={"format": "pt", "a.b": "1", "old": "x"})
    text = 'set a.b = "2"\nunset old\nset new = "y"\nmove format -> kind'
    migrate("--rules", rules(text), path, "-o", out, "--no-target", "--no-record")
    with safe_open(out, "pt") as file:
        assert file.metadata() == {"a.b": "2", "new": "y", "kind": "pt"}
    done = migrate("--rules", rules("set a = 1"), path, "-o", out, "--no-target", "--force", expect=1)
    assert "texts" in done.err
