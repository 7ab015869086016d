"""Torch files of the legacy format: read, and written as the zip file that torch would write of the same object."""

import collections
import copyreg
import io
import pickle
import struct
import sys
import tarfile
import zipfile

import pytest
import torch

import make_torch_files
from compare import differences
from conftest import AT

LEGACY = {"_use_new_zipfile_serialization": False}


def load(path):
    return torch.load(path, weights_only=False)


def records(path) -> list[tuple[str, bytes]]:
    """What the archive holds, but for the id that torch makes anew each time."""
    with zipfile.ZipFile(path) as archive:
        return [(name, archive.read(name)) for name in archive.namelist() if not name.endswith("/serialization_id")]


def test_torchs_own_zip_comes_out(migrate, rules, tmp_path, torch_file, monkeypatch):
    for name, value in vars(make_torch_files).items():
        if isinstance(value, type):
            monkeypatch.setattr(sys.modules["__main__"], name, value, raising=False)
    (tmp_path / "legacy").mkdir()
    (tmp_path / "zip").mkdir()
    legacy, theirs = tmp_path / "legacy" / torch_file.name, tmp_path / "zip" / torch_file.name
    try:
        value = load(torch_file)
        torch.save(value, theirs)
        torch.save(value, legacy, **LEGACY)
        expected = load(legacy)
    except Exception as error:
        pytest.skip(f"torch itself cannot: {error}")
    at = ["--at", AT[torch_file.stem]] if torch_file.stem in AT else []
    out = tmp_path / torch_file.name
    migrate("--rules", rules(), legacy, "-o", out, "--no-target", *at)
    assert records(out) == records(theirs)
    assert not differences(expected, load(out))


@pytest.mark.parametrize("protocol", [1, 2, 3, 4, 5])
def test_protocols(migrate, rules, tmp_path, protocol):
    model = make_torch_files.MODEL.state_dict()
    torch.save({"state_dict": model, "epoch": 3}, tmp_path / "old.pt", pickle_protocol=protocol, **LEGACY)
    migrate("--rules", rules("rename conv.* -> stem.*"), tmp_path / "old.pt", "-o", "new.pt", "--no-target", "--no-record")
    made = load(tmp_path / "new.pt")
    expected = {key.replace("conv.", "stem."): value for key, value in model.items()}
    assert list(made["state_dict"]) == list(expected) and made["epoch"] == 3
    assert all(torch.equal(made["state_dict"][key], value) for key, value in expected.items())


def test_into_safetensors(migrate, rules, tmp_path):
    from safetensors.torch import load_file

    torch.save(make_torch_files.MODEL.state_dict(), tmp_path / "old.pt", **LEGACY)
    migrate("--rules", rules(), tmp_path / "old.pt", "-o", "new.safetensors", "--no-target")
    made = load_file(tmp_path / "new.safetensors")
    assert not differences(dict(load(tmp_path / "old.pt")), {key: made[key] for key in load(tmp_path / "old.pt")})


def python2_pickle():
    """A pickle module that writes ordered dicts as Python 2 did."""

    class Pickler(pickle._Pickler):
        dispatch_table = copyreg.dispatch_table | {
            collections.OrderedDict: lambda d: (
                collections.OrderedDict, ([[key, value] for key, value in d.items()],), vars(d) or None)}

    module = type(pickle)("pickle2")
    module.Pickler, module.dump = Pickler, pickle.dump
    return module


def test_ordered_dicts_of_python_2(migrate, rules, tmp_path):
    model = make_torch_files.MODEL.state_dict()
    torch.save(model, tmp_path / "old.pt", pickle_module=python2_pickle(), **LEGACY)
    assert b"OrderedDict" in (tmp_path / "old.pt").read_bytes()
    assert not differences(model, load(tmp_path / "old.pt"))
    out = migrate("inspect", "--keys", tmp_path / "old.pt").out
    assert "conv.weight" in out
    migrate("--rules", rules("rename conv.* -> stem.*"), tmp_path / "old.pt", "-o", "new.pt", "--no-target")
    made = torch.load(tmp_path / "new.pt", weights_only=True)
    assert list(made)[:2] == ["stem.weight", "stem.bias"] and list(made._metadata)[1] == "stem"
    assert torch.equal(made["stem.weight"], model["conv.weight"])


def legacy_file(path, root, storages, *, magic=0x1950A86A20F9469CFC6C, version=1001, little=True, keys=None, tail=b""):
    """A file as `_legacy_save` lays it out, of a pickle's bytes and raw storages."""
    keys = list(storages) if keys is None else keys
    parts = [pickle.dumps(magic, 2), pickle.dumps(version, 2), pickle.dumps({"little_endian": little}, 2), root]
    parts.append(pickle.dumps(keys, 2))
    for key in keys:
        data = storages.get(key, b"")
        parts.append(struct.pack("<q", len(data) // 4) + data)
    path.write_bytes(b"".join(parts) + tail)


class Id:
    """Stands for a persistent id in a pickle that is made by hand."""

    def __init__(self, *fields):
        self.fields = fields


def object_pickle(value) -> bytes:
    class Pickler(pickle.Pickler):
        def persistent_id(self, item):
            return item.fields if isinstance(item, Id) else None

    out = io.BytesIO()
    Pickler(out, 2).dump(value)
    return out.getvalue()


class Rebuilt:
    """Pickles as the call that rebuilds a tensor."""

    def __init__(self, *arguments):
        self.arguments = arguments

    def __reduce__(self):
        return torch._utils._rebuild_tensor, self.arguments


def floats(*values):
    return struct.pack(f"<{len(values)}f", *values)


def storage(key="1", numel=6, view=None):
    return Id("storage", torch.FloatStorage, key, "cpu", numel, view)


def test_views_of_storages(migrate, rules, tmp_path):
    # What torch 0.3 and before wrote of storages that are parts of others.
    root = object_pickle({
        "whole": Rebuilt(storage(), 0, (6,), (1,)),
        "part": Rebuilt(storage(view=("2", 2, 4)), 1, (3,), (1,)),
        "again": Rebuilt(storage(view=("2", 2, 4)), 0, (2, 2), (2, 1)),
    })
    legacy_file(tmp_path / "old.pt", root, {"1": floats(*range(6))})
    expected = load(tmp_path / "old.pt")
    assert expected["part"].tolist() == [3, 4, 5]
    migrate("--rules", rules(), tmp_path / "old.pt", "-o", "new.pt", "--no-target", "--no-record")
    made = load(tmp_path / "new.pt")
    assert {k: v.tolist() for k, v in made.items()} == {k: v.tolist() for k, v in expected.items()}
    assert len({value.untyped_storage().data_ptr() for value in made.values()}) == 1
    with zipfile.ZipFile(tmp_path / "new.pt") as archive:
        assert sum("/data/" in name for name in archive.namelist()) == 1


ONE = {"a": Rebuilt(storage(), 0, (6,), (1,))}
SIX = {"1": floats(*range(6))}

WRONG = {
    "the magic number alone": (dict(magic=0x1950A86A20F9469CFC6C, version=1002), ONE, SIX, "bad-legacy", "version 1001"),
    "big-endian": (dict(little=False), ONE, SIX, "big-endian", "big-endian"),
    "no byte order": (dict(little=None), ONE, SIX, "bad-legacy", "order"),
    "no list of storages": (dict(keys={"1": 2}), ONE, SIX, "bad-legacy", "list of the keys"),
    "a storage too much": (dict(keys=["1", "2"]), ONE, SIX, "bad-legacy", "`2`"),
    "a storage too few": (dict(keys=[]), ONE, SIX, "bad-legacy", "`1`"),
    "a storage twice": (dict(keys=["1", "1"]), ONE, SIX, "bad-legacy", "twice"),
    "another size": ({}, ONE, {"1": floats(1, 2)}, "cut-off", "cut off"),
    "another size that fits": (dict(tail=b"\0" * 16), ONE, {"1": floats(1, 2)}, "bad-legacy", "2 elements"),
    "two objects": (dict(tail=b"more"), ONE, SIX, "bad-legacy", "4 bytes after"),
    "a view outside": ({}, {"a": Rebuilt(storage(view=("2", 4, 4)), 0, (1,), (1,))}, SIX, "bad-legacy", "not inside"),
    "a view by itself": ({}, {"a": storage(view=("2", 1, 2))}, SIX, "bad-legacy", "by itself"),
    "five fields": ({}, {"a": Id("storage", torch.FloatStorage, "1", "cpu", 6)}, SIX, "bad-legacy", "persistent id"),
    "a tensor outside": ({}, {"a": Rebuilt(storage(), 1, (6,), (1,))}, SIX, "bad-tensor", "reaches"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said(migrate, tmp_path, case):
    options, root, storages, code, says = WRONG[case]
    legacy_file(tmp_path / "old.pt", object_pickle(root), storages, **options)
    err = migrate("inspect", "old.pt", expect=3).err
    assert f"error[{code}]" in err and says in err, err


def test_cut_off_anywhere(migrate, tmp_path):
    legacy_file(tmp_path / "old.pt", object_pickle(ONE), SIX)
    whole = (tmp_path / "old.pt").read_bytes()
    for length in range(16, len(whole)):
        (tmp_path / "cut.pt").write_bytes(whole[:length])
        assert "error[" in migrate("inspect", "cut.pt", expect=3).err


def test_the_tar_of_torch_0_1(migrate, tmp_path):
    with tarfile.open(tmp_path / "old.pt", "w", format=tarfile.PAX_FORMAT) as archive:
        for name, values in {
            "sys_info": [{}], "pickle": [{"epoch": 1}], "tensors": [0], "storages": [0, []],
        }.items():
            data = b"".join(pickle.dumps(value, 2) for value in values)
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    # The mend that the message names is one that works.
    with pytest.raises(Exception):
        torch.load(tmp_path / "old.pt", weights_only=True)
    assert torch.load(tmp_path / "old.pt", weights_only=False) == {"epoch": 1}
    err = migrate("inspect", "old.pt", expect=3).err
    assert "error[legacy-tar]" in err and "torch.save(torch.load(OLD, weights_only=False), NEW)" in err
