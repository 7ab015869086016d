"""Dicts that mirror the state dict follow it: averages of the weights, whole or of the parameters alone."""

import copy

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

RULES = """
rename enc.0.* -> encoder.fc.*
rename enc.1.* -> encoder.norm.*
split head.weight -> head.{a,b}.weight dim 0
drop head.bias
"""
RENAMED = {f"enc.0.{name}": f"encoder.fc.{name}" for name in ("weight", "bias")} | {
    f"enc.1.{name}": f"encoder.norm.{name}"
    for name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
}


def by_hand(tensors, prefix=""):
    """What the rules make of a dict, written in Python."""
    made = {}
    for key, tensor in tensors.items():
        inner = key.removeprefix(prefix)
        if inner == "head.weight":
            made[f"{prefix}head.a.weight"], made[f"{prefix}head.b.weight"] = tensor.chunk(2)
        elif inner != "head.bias":
            made[prefix + RENAMED[inner] if inner in RENAMED else key] = tensor
    return made


def same(found, expected):
    return found.keys() == expected.keys() and all(torch.equal(found[key], expected[key]) for key in found)


@pytest.fixture
def model():
    torch.manual_seed(0)
    model = nn.Sequential()
    model.add_module("enc", nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6)))
    model.add_module("head", nn.Linear(6, 2))
    return model


@pytest.fixture
def checkpoint(model):
    average = AveragedModel(model)
    average.update_parameters(model)
    average.update_parameters(copy.deepcopy(model).requires_grad_(False))
    weights = model.state_dict()
    return {
        "state_dict": weights,
        "ema": {name: parameter.detach() * 2 for name, parameter in model.named_parameters()},
        "swa_model": average.state_dict(),
        "double": {key: tensor.double() for key, tensor in weights.items()},
        "callbacks": {"StochasticWeightAveraging": {"n": 3, "average_model_state": copy.deepcopy(weights)}},
        "averaging_state": {"n_averaged": torch.tensor(3)},
        "statistics": {"mean": torch.zeros(3)},
    }


def run(migrate, rules, tmp_path, checkpoint, text=RULES, *options):
    torch.save(checkpoint, tmp_path / "old.pt")
    done = migrate("--rules", rules(text), "old.pt", "-o", "new.pt", "--no-target", *options)
    return done, torch.load(tmp_path / "new.pt", weights_only=True)


def test_each_mirror_follows_as_its_keys_say(migrate, rules, tmp_path, checkpoint):
    done, loaded = run(migrate, rules, tmp_path, checkpoint)
    for name, prefix in {"state_dict": "", "ema": "", "double": "", "swa_model": "module."}.items():
        assert same(loaded[name], by_hand(checkpoint[name], prefix)), name
    average = checkpoint["callbacks"]["StochasticWeightAveraging"]["average_model_state"]
    found = loaded["callbacks"]["StochasticWeightAveraging"]
    assert same(found["average_model_state"], by_hand(average)) and found["n"] == 3
    assert same(loaded["averaging_state"], checkpoint["averaging_state"])
    assert same(loaded["statistics"], checkpoint["statistics"])
    assert done.err.count("mirrors state_dict and follows it") == 4 and "near-mirror" not in done.err
    plan = migrate("plan", "--rules", tmp_path / "r.rules", "old.pt", "--no-target")
    assert "ema mirrors state_dict and follows it: 6 tensors out of 6" in plan.out


def test_a_near_mirror_is_reported_and_stays(migrate, rules, tmp_path, checkpoint):
    near = {**checkpoint["state_dict"], "extra.weight": torch.zeros(3)}
    del checkpoint["swa_model"]
    checkpoint["ema"] = near
    done, loaded = run(migrate, rules, tmp_path, checkpoint)
    assert same(loaded["ema"], near)
    assert "warning[near-mirror]: `ema` nearly mirrors `state_dict`" in done.err and "extra.weight" in done.err
    migrate("--rules", tmp_path / "r.rules", "old.pt", "-o", "no.pt", "--no-target", "--deny-warnings", expect=1)
    assert not (tmp_path / "no.pt").exists()


def test_a_mirror_that_lacks_a_part_of_what_is_joined_stays(migrate, rules, tmp_path, checkpoint):
    del checkpoint["ema"]["enc.0.bias"]
    done, loaded = run(migrate, rules, tmp_path, checkpoint, "merge enc.{0,1}.bias -> bias dim 0")
    assert same(loaded["ema"], checkpoint["ema"])
    assert "it lacks tensors that `bias` is made of" in done.err


def test_rules_that_name_their_dict_leave_the_others_alone(migrate, rules, tmp_path, checkpoint):
    done, loaded = run(migrate, rules, tmp_path, checkpoint, "in state_dict\n" + RULES)
    assert same(loaded["ema"], checkpoint["ema"]) and same(loaded["double"], checkpoint["double"])
    assert "mirrors" not in done.err


def test_a_mirror_below_a_prefix_less_name(migrate, rules, tmp_path, model):
    """Lightning puts `model.` before what an average of the network itself does not have."""
    weights = {f"model.{key}": tensor for key, tensor in model.state_dict().items()}
    checkpoint = {"state_dict": weights, "ema": model.state_dict()}
    text = "rename model.enc.0.* -> model.encoder.*"
    _, loaded = run(migrate, rules, tmp_path, checkpoint, text)
    assert [f"model.{key}" for key in loaded["ema"]] == list(loaded["state_dict"])
    done, loaded = run(migrate, rules, tmp_path, checkpoint, "rename model.** -> **", "--force")
    assert "does not begin with `model.` any more" in done.err
    assert same(loaded["ema"], checkpoint["ema"])
