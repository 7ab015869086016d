"""Torch's distributed checkpoints: shown for what they are, and refused with a command that works."""

import json
import shlex
import subprocess
import sys

import pytest
import torch
import torch.distributed.checkpoint as dcp
from torch import nn

# Torch warns that one process saves and loads alone, which is meant here.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def saved(tmp_path):
    """What was saved, and the folder."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)).to(torch.bfloat16)
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.randn(5, 3, dtype=torch.bfloat16)).sum().backward()
    optimizer.step()
    value = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3}
    dcp.save(value, checkpoint_id=str(tmp_path / "dcp"), no_dist=True)
    return value


def command_of(help_text: str) -> list[str]:
    """The command that a message names, with the Python of the tests."""
    line = next(line for line in help_text.splitlines() if "python -m" in line)
    words = shlex.split(line[line.index("python -m"):].split(" (")[0])
    return [sys.executable, "-W", "ignore", *words[1:]]


def test_inspect_tells_what_it_holds(migrate, saved):
    shown = json.loads(migrate("inspect", "--json", "--keys", "dcp").out)
    assert shown["format"] == "torch distributed checkpoint" and shown["files"] == 1
    keys = {key["key"]: (key["dtype"], key["shape"]) for key in shown["keys"]}
    names = {torch.bfloat16: "bf16", torch.float32: "f32", torch.int64: "i64"}
    for key, tensor in saved["model"].items():
        assert keys[f"model.{key}"] == (names[tensor.dtype], list(tensor.shape))
    assert {"path": "epoch", "what": "a value that is no tensor"} in shown["others"]
    assert "bf16" in migrate("inspect", "dcp").out


@pytest.mark.parametrize("command", [
    ["keys"], ["plan", "--no-target", "--rules", "r.rules"], ["diff", "dcp"],
    ["--no-target", "--rules", "r.rules", "-o", "out.pt"],
])
@pytest.mark.parametrize("source", ["dcp", "dcp/__0_0.distcp", "dcp/.metadata"])
def test_every_command_names_the_way(migrate, rules, tmp_path, saved, command, source):
    rules()
    err = migrate(*command, source, expect=3).err
    assert "error[distributed]" in err and "format_utils dcp_to_torch dcp out.pt" in err
    assert not (tmp_path / "out.pt").exists()


def test_the_command_works_and_the_optimizer_follows(migrate, rules, tmp_path, saved):
    help_text = migrate("inspect", "dcp").out
    subprocess.run(command_of(help_text), cwd=tmp_path, check=True, capture_output=True)
    # Torch has made texts of the numbers of the optimizer's state.
    made = torch.load(tmp_path / "out.pt", weights_only=False)
    assert set(map(type, made["optimizer"]["state"])) == {str}
    order = ["2.weight", "2.bias", "1.weight", "1.bias", "0.weight", "0.bias"]
    target = {key.replace("0.", "stem.", 1) if key.startswith("0.") else key: saved["model"][key] for key in order}
    buffers = {key: value for key, value in saved["model"].items() if key not in order}
    torch.save(target | buffers, tmp_path / "model.pt")
    migrate("--rules", rules("rename 0.* -> stem.*"), "out.pt", "-o", "new.pt", "--target", "model.pt")
    new = torch.load(tmp_path / "new.pt", weights_only=False)
    state = new["optimizer"]["state"]
    before = saved["optimizer"]["state"]
    was = dict(zip(["0.weight", "0.bias", "1.weight", "1.bias", "2.weight", "2.bias"], before.values()))
    assert list(state) == list(range(6))
    for number, key in enumerate(order):
        assert torch.equal(state[number]["exp_avg"], was[key]["exp_avg"])


def test_lightnings_own(migrate, tmp_path):
    model = nn.Linear(3, 2)
    dcp.save({"model": model.state_dict()}, checkpoint_id=str(tmp_path / "last.ckpt"), no_dist=True)
    torch.save({"epoch": 1, "pytorch-lightning_version": "2.6.6"}, tmp_path / "last.ckpt" / "meta.pt")
    err = migrate("keys", "last.ckpt", expect=3).err
    subprocess.run(command_of(err), cwd=tmp_path, check=True, capture_output=True)
    shown = json.loads(migrate("inspect", "--json", "out.ckpt").out)
    assert (shown["at"], shown["tensors"], shown["lightning"]) == ("state_dict", 2, "2.6.6")


def test_state_of_no_parameter_is_not_left_out_in_silence(migrate, rules, tmp_path):
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    state = optimizer.state_dict()
    state["state"][77] = state["state"].pop(0)
    torch.save({"model": model.state_dict(), "optimizer": state}, tmp_path / "old.pt")
    swap = "rename {\n  0.* -> 1.*\n  1.* -> 0.*\n}"
    torch.save(model.state_dict(), tmp_path / "model.pt")
    err = migrate("--rules", rules(swap), "old.pt", "-o", "new.pt", "--target", "model.pt", expect=1).err
    assert "error[optimizer-state]" in err and "`77`" in err
