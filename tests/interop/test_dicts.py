"""One dict of tensors changes, and others that share storage with it stay as they are."""

import pytest
import torch
from safetensors.torch import load_file


@pytest.fixture
def averaged(tmp_path):
    """A checkpoint with weights and their average, of which one tensor is tied to the weights."""
    weights = {"enc.w": torch.arange(4096.0), "enc.b": torch.ones(4096)}
    average = {"enc.w": torch.full((4096,), 0.5), "enc.b": weights["enc.b"]}
    path = tmp_path / "in.pt"
    torch.save({"epoch": 3, "state_dict": weights, "ema": {"decay": 0.999, "module": average}}, path)
    return path


@pytest.mark.parametrize("chosen", ["state_dict", "ema.module"])
def test_the_other_dict_stays_and_shares_its_storage(migrate, rules, averaged, tmp_path, chosen):
    out = tmp_path / "out.pt"
    text = f"in {chosen}\nrename enc.* -> encoder.*"
    migrate("--rules", rules(text), averaged, "-o", out, "--no-target")

    loaded = torch.load(out, weights_only=True)
    dicts = {"state_dict": loaded["state_dict"], "ema.module": loaded["ema"]["module"]}
    for name, tensors in dicts.items():
        prefix = "encoder" if name == chosen else "enc"
        assert list(tensors) == [f"{prefix}.w", f"{prefix}.b"]
    bias = [next(t for key, t in tensors.items() if key.endswith(".b")) for tensors in dicts.values()]
    assert bias[0].data_ptr() == bias[1].data_ptr()
    assert (loaded["epoch"], loaded["ema"]["decay"]) == (3, 0.999)
    assert out.stat().st_size < averaged.stat().st_size + 1024


def test_one_chosen_dict_becomes_a_safetensors_file(migrate, rules, averaged, tmp_path):
    out = tmp_path / "out.safetensors"
    run = ["--rules", rules("rename enc.* -> encoder.*"), averaged, "-o", out, "--no-target"]
    refused = migrate(*run, "--at", "ema.module", expect=1)
    assert "state_dict" in refused.err and "ema.decay" in refused.err
    migrate(*run, "--at", "ema.module", "--weights-only")

    loaded = load_file(out)
    assert set(loaded) == {"encoder.w", "encoder.b"} and loaded["encoder.w"].eq(0.5).all()


def test_rules_for_several_dicts_change_each(migrate, rules, averaged, tmp_path):
    out = tmp_path / "out.pt"
    text = "in state_dict, ema.module\nrename enc.* -> encoder.*"
    migrate("--rules", rules(text), averaged, "-o", out, "--no-target")

    loaded = torch.load(out, weights_only=True)
    weights, average = loaded["state_dict"], loaded["ema"]["module"]
    assert list(weights) == list(average) == ["encoder.w", "encoder.b"]
    assert weights["encoder.b"].data_ptr() == average["encoder.b"].data_ptr()
    assert average["encoder.w"].eq(0.5).all() and loaded["ema"]["decay"] == 0.999


def test_a_block_is_about_its_own_dict(migrate, rules, averaged, tmp_path):
    out = tmp_path / "out.pt"
    text = "rename enc.* -> encoder.*\nin ema.module {\n  drop enc.w\n  rename enc.* -> shadow.*\n}"
    migrate("--rules", rules(text), averaged, "-o", out, "--no-target")

    loaded = torch.load(out, weights_only=True)
    assert list(loaded["state_dict"]) == ["encoder.w", "encoder.b"]
    assert list(loaded["ema"]["module"]) == ["shadow.b"]


def test_a_rule_that_one_of_several_dicts_does_not_fit_is_refused(migrate, rules, averaged, tmp_path):
    out = tmp_path / "out.pt"
    text = "in state_dict, ema\nrename enc.* -> encoder.*"
    refused = migrate("--rules", rules(text), averaged, "-o", out, "--no-target", expect=1)
    assert "in the dict `ema`" in refused.err and not out.exists()


def test_a_path_without_tensors_names_the_dicts_that_there_are(migrate, rules, averaged, tmp_path):
    run = ["plan", "--rules", rules("drop? x"), averaged, "--no-target"]
    for at, said in [
        ("ema.modul", "no tensors at `ema.modul`; the file holds the dict `ema.module`"),
        ("modul", "no tensors at `modul`; the file holds the dicts `state_dict`, `ema`"),
        ("epoch", "no tensors at `epoch`; the file holds the dicts `state_dict`, `ema`"),
    ]:
        assert said in migrate(*run, "--at", at, expect=2).err
