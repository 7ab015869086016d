"""What `inspect` says of a file is what torch and Lightning say of it."""

import json

import lightning
import torch

import make_torch_files
from conftest import torch_files_folder


def shown(migrate, name, *more) -> dict:
    return json.loads(migrate("inspect", "--json", torch_files_folder() / name, *more).out)


def test_a_lightning_checkpoint(migrate):
    saved = torch.load(torch_files_folder() / "lightning_hparams.ckpt", weights_only=False)
    found = shown(migrate, "lightning_hparams.ckpt")
    assert found["lightning"] == lightning.__version__
    assert found["torch"]["layout"] == "2.7 or later" and found["torch"]["records"]["byteorder"] == "little"
    assert found["migrated"] is None
    assert found["elements"] == sum(tensor.numel() for tensor in saved["state_dict"].values())
    values = found["settings"]["hyper_parameters"]
    assert values["width"] == repr(saved["hyper_parameters"]["width"])
    assert values["table.a"] == repr(saved["hyper_parameters"]["table"]["a"])
    (optimizer,) = found["optimizers"]
    assert optimizer["parameters"] == len(saved["optimizer_states"][0]["param_groups"][0]["params"])
    assert optimizer["state"] == ["step", "exp_avg", "exp_avg_sq"]


def test_counts_by_module(migrate):
    found = shown(migrate, "lightning.ckpt", "--depth", "1")
    model = make_torch_files.Net()
    counts = {name: sum(t.numel() for t in child.state_dict().values()) for name, child in model.named_children()}
    modules = {module["path"]: module["elements"] for module in found["modules"]}
    assert {name: modules[name] for name in counts} == counts


def test_values_of_omegaconf(migrate):
    assert shown(migrate, "lightning_omegaconf.ckpt")["settings"]["hyper_parameters"]["table.a.b"] == "1"
    values = shown(migrate, "omegaconf.pt")["settings"]["config"]
    assert values["a"] == "1" and values["b.c"].startswith("[1, 2, ")


def test_what_made_it(migrate, rules, tmp_path):
    source = torch_files_folder() / "lightning.ckpt"
    migrate("--rules", rules("rename head.* -> top.*"), source, "-o", "new.ckpt", "--no-target")
    found = json.loads(migrate("inspect", "--json", "new.ckpt").out)
    assert found["migrated"]["steps"][0]["rules"] == "r.rules"
    assert "with r.rules" in migrate("inspect", "new.ckpt").out


def test_layouts(migrate, tmp_path):
    import zipfile

    torch.save({"w": torch.ones(2)}, tmp_path / "new.pt")
    torch.save({"w": torch.ones(2)}, tmp_path / "legacy.pt", _use_new_zipfile_serialization=False)
    dropped = {"21.pt": (".format_version", ".storage_alignment"), "16.pt": (".format_version", ".storage_alignment", "byteorder")}
    for name, without in dropped.items():
        with zipfile.ZipFile(tmp_path / "new.pt") as old, zipfile.ZipFile(tmp_path / name, "w") as new:
            for entry in old.namelist():
                if not entry.endswith(without):
                    new.writestr(entry, old.read(entry))
    layouts = {name: json.loads(migrate("inspect", "--json", name).out) for name in ["new.pt", "21.pt", "16.pt", "legacy.pt"]}
    assert [found["torch"]["layout"] for found in layouts.values()] == ["2.7 or later", "2.1 to 2.6", "1.6 to 2.0", "before 1.6"]
    assert layouts["legacy.pt"]["format"] == "torch legacy"


def test_every_file_is_shown(migrate, torch_file):
    from conftest import AT

    at = ["--at", AT[torch_file.stem]] if torch_file.stem in AT else []
    migrate("inspect", torch_file, *at)
    json.loads(migrate("inspect", "--json", "--keys", torch_file, *at).out)
