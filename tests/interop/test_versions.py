"""A project's life: four versions of a model, checkpoints of a real training loop, and the way through all of them."""

import json
import zipfile

import pytest
import torch
from torch.nn import functional as F

from four_versions import Model, data, save, trained

RULES = {
    "v1_to_v2": 'migration v1 -> v2 "the encoder is called backbone"\nrename encoder.* -> backbone.*\n',
    "v2_to_v3": 'migration v2 -> v3 "one projection for q, k and v"\n'
    "merge **.{q,k,v}.weight -> **.qkv.weight dim 0\nmerge **.{q,k,v}.bias -> **.qkv.bias dim 0\n",
    "v3_to_v4": 'migration v3 -> v4 "ten classes"\ndrop head.*\nleave classes.*\n',
}


@pytest.fixture
def project(migrate, tmp_path):
    """A folder of four versions, each key set written from an untrained model."""
    folder = tmp_path / "migrations"
    folder.mkdir()
    for version in range(1, 5):
        torch.save(Model(version).state_dict(), tmp_path / "untrained.pt")
        migrate("keys", tmp_path / "untrained.pt", "-o", folder / f"v{version}.keys.yaml")
    for name, text in RULES.items():
        (folder / f"{name}.rules").write_text(text)
    return folder


def test_one_pass_is_step_by_step_and_loads(migrate, project, tmp_path):
    migrate("check", project)
    model, optimizer = trained(1)
    old = tmp_path / "old.ckpt"
    save(old, model, optimizer)
    migrate("--rules", project, old, "-o", tmp_path / "v3.ckpt", "--to", "v3")
    migrate("--rules", project, old, "-o", tmp_path / "v2.ckpt", "--to", "v2")
    migrate("--rules", project, tmp_path / "v2.ckpt", "-o", tmp_path / "v3_in_steps.ckpt", "--to", "v3")
    assert (tmp_path / "v3.ckpt").read_bytes() == (tmp_path / "v3_in_steps.ckpt").read_bytes()

    found = torch.load(tmp_path / "v3.ckpt", weights_only=True)
    assert found["epoch"] == 3
    new = Model(3)
    new.load_state_dict(found["state_dict"], strict=True)
    inputs, wanted = data()
    torch.testing.assert_close(new(inputs), model(inputs))

    # Training goes on as if there had been no refactoring.
    resumed = torch.optim.AdamW(new.parameters(), lr=1e-2)
    resumed.load_state_dict(found["optimizer"])
    for _ in range(3):
        losses = []
        for own, its in ((model, optimizer), (new, resumed)):
            its.zero_grad()
            loss = F.mse_loss(own(inputs), wanted)
            loss.backward()
            its.step()
            losses.append(loss.detach())
        torch.testing.assert_close(*losses)

    migrate("verify", "--rules", project, "--to", "v3", old, tmp_path / "v3.ckpt")
    found["state_dict"]["backbone.1.qkv.weight"][20, 3] += 1
    torch.save(found, tmp_path / "bad.ckpt")
    said = migrate("verify", "--rules", project, "--to", "v3", old, tmp_path / "bad.ckpt", expect=1)
    assert "`backbone.1.qkv.weight` differs first at [20, 3]" in said.err
    found = torch.load(tmp_path / "v3.ckpt", weights_only=True)
    found["optimizer"]["state"][0]["exp_avg"][1, 1] += 1
    torch.save(found, tmp_path / "bad.ckpt")
    said = migrate("verify", "--rules", project, "--to", "v3", old, tmp_path / "bad.ckpt", expect=1)
    assert "differs first at [1, 1]" in said.err


def test_a_dropped_head_is_left_to_the_model_and_not_had_back(migrate, project, tmp_path):
    model, _ = trained(1)
    old, new = tmp_path / "old.pt", tmp_path / "new.pt"
    torch.save(model.state_dict(), old)
    migrate("--rules", project, old, "-o", new)
    fresh = Model(4)
    said = fresh.load_state_dict(torch.load(new, weights_only=True, mmap=True), strict=False)
    assert (said.missing_keys, said.unexpected_keys) == (["classes.weight", "classes.bias"], [])
    # A bare state dict holds its record beside the pickle.
    with zipfile.ZipFile(new) as archive:
        record = json.loads(archive.read("old/migrate"))
    assert (record["from"], record["to"], record["left"]) == ("v1", "v4", said.missing_keys)
    said = migrate("--rules", project, new, "-o", tmp_path / "back.pt", "--to", "v1", expect=1)
    assert "back to `v3` has no way back: 2 keys of `v3`" in said.err
    back = project / "v4_to_v3.rules"
    migrate("invert", project / "v3_to_v4.rules", "-o", back)
    migrate("--rules", project, new, "-o", tmp_path / "back.pt", "--to", "v1")
    found, wanted = torch.load(tmp_path / "back.pt"), model.state_dict()
    assert set(wanted) - set(found) == {"head.weight", "head.bias"}
    assert all(torch.equal(value, wanted[key]) for key, value in found.items())


def test_status_tells_versions_apart(migrate, project, tmp_path):
    names = []
    for version in range(1, 5):
        path = tmp_path / f"run{version}.ckpt"
        save(path, *trained(1)) if version == 1 else torch.save(Model(version).state_dict(), path)
        names.append(path)
    said = json.loads(migrate("status", "--rules", project, "--json", *names).out)
    assert [row["version"] for row in said["checkpoints"]] == ["v1", "v2", "v3", "v4"]
    assert not any(row["recorded"] for row in said["checkpoints"])
