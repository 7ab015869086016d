"""What is wrong is named, and leaves nothing behind: no output, no temporary file, no panic."""

import os
import resource
import shutil
import struct
import subprocess
import tempfile
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from conftest import EXAMPLE, binary

FAILED, USAGE, UNREADABLE = 1, 2, 3


@pytest.fixture
def refuses(migrate, rules, tmp_path):
    """Runs a migration that must fail, and checks that the folder stays as it was."""

    def run(source, expect, mentions, *, text="", name="out.pt", target=("--no-target",), **options):
        path = rules(text)
        before = sorted(tmp_path.rglob("*"))
        outcome = migrate("--rules", path, source, "-o", tmp_path / name, *target, expect=expect, **options)
        assert sorted(tmp_path.rglob("*")) == before, "something was left behind"
        for mention in mentions:
            assert mention in outcome.err, f"{mention!r} is not said in:\n{outcome.err}"

    return run


@pytest.fixture
def small(tmp_path):
    """A small torch file with two pairs of weights."""
    path = tmp_path / "in.pt"
    torch.save({"a.w": torch.ones(4), "b.w": torch.zeros(4), "a.b": torch.ones(2), "b.b": torch.zeros(2)}, path)
    return path


# ---------------------------------------------------------------- files that cannot be read


@pytest.mark.parametrize("suffix", [".ckpt", ".pt", ".safetensors"])
def test_an_empty_file(refuses, tmp_path, suffix):
    source = tmp_path / f"empty{suffix}"
    source.touch()
    refuses(source, UNREADABLE, [source.name, "empty"])


@pytest.mark.parametrize("suffix", [".ckpt", ".safetensors"])
def test_a_directory(refuses, tmp_path, suffix):
    source = tmp_path / f"folder{suffix}"
    source.mkdir()
    refuses(source, UNREADABLE, [source.name])


def test_a_file_that_is_not_there(refuses, tmp_path):
    refuses(tmp_path / "nowhere.ckpt", UNREADABLE, ["nowhere.ckpt"])


@pytest.mark.parametrize("part", [0.01, 0.5, 0.999])
def test_a_truncated_zip(refuses, tmp_path, part):
    whole = (EXAMPLE / "v1.ckpt").read_bytes()
    source = tmp_path / "truncated.ckpt"
    source.write_bytes(whole[: int(len(whole) * part)])
    refuses(source, UNREADABLE, [source.name])


def test_a_checkpoint_that_is_text(refuses, tmp_path):
    source = tmp_path / "notes.ckpt"
    source.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0000\nsize 12345\n")
    refuses(source, UNREADABLE, [source.name])


@pytest.mark.parametrize("length", [1 << 20, 1 << 62, 2**64 - 1])
def test_a_header_longer_than_the_file(refuses, tmp_path, length):
    source = tmp_path / "long.safetensors"
    source.write_bytes(struct.pack("<Q", length) + b"{}")
    refuses(source, UNREADABLE, [source.name, "header"])


def test_a_safetensors_tensor_outside_the_buffer(refuses, tmp_path):
    source = tmp_path / "outside.safetensors"
    header = b'{"layer.w":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}'
    source.write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * 8)
    refuses(source, UNREADABLE, [source.name])


def rewrite_pickle(source: Path, old: bytes, new: bytes) -> None:
    """Replaces the one occurrence of `old` in the archive's pickle."""
    with zipfile.ZipFile(source) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(source, "w") as archive:
        for name, content in records.items():
            if name.endswith("/data.pkl"):
                assert content.count(old) == 1
                content = content.replace(old, new)
            archive.writestr(name, content)


def test_a_tensor_outside_its_storage(refuses, tmp_path):
    source = tmp_path / "outside.pt"
    torch.save({"layer.w": torch.ones(4)}, source)
    rewrite_pickle(source, b"K\x04\x85", b"K\x05\x85")  # shape (4,) becomes (5,)
    refuses(source, UNREADABLE, [source.name, "layer.w"])


def test_a_storage_whose_bytes_are_damaged(refuses, tmp_path):
    source = tmp_path / "damaged.pt"
    torch.save({"layer.w": torch.full((64,), 3.0)}, source)
    content = bytearray(source.read_bytes())
    content[content.index(struct.pack("<f", 3.0) * 64)] ^= 1
    source.write_bytes(content)
    refuses(source, UNREADABLE, [source.name], text="rename layer.* -> block.*")


# ---------------------------------------------------------------- rule files


def test_a_rule_file_wrong_on_three_lines(refuses, small):
    text = "renam a.* -> c.*\nrename b.w -> d.w\ndrop\nsplit a.w -> c, d\n"
    refuses(small, USAGE, ["r.rules:1", "renam", "rename", "r.rules:3", "r.rules:4"], text=text)


def test_a_rule_that_matches_nothing(refuses, tmp_path):
    source = tmp_path / "in.pt"
    torch.save({"encoder.layer.0.weight": torch.ones(2), "head.weight": torch.ones(2)}, source)
    text = "rename head.* -> classifier.*\nrename encoder.layers.* -> blocks.*"
    refuses(source, FAILED, ["r.rules:2", "encoder.layers.*", "encoder.layer.0.weight"], text=text)


def test_two_rules_on_one_key(refuses, small):
    text = "rename {\n  a.* -> c.*\n  *.w -> *.weight except b.w\n}"
    refuses(small, FAILED, ["r.rules:3", "a.* -> c.*", "*.w -> *.weight", "`a.w`"], text=text)


def test_a_swap_written_as_two_statements(refuses, small):
    text = "rename a.* -> b.*\nrename b.* -> a.*"
    refuses(small, FAILED, ["r.rules:1", "a.w", "b.w"], text=text)


def test_a_split_that_does_not_divide(refuses, small):
    text = "rename b.b -> b.bias\nsplit a.w -> a.x, a.y, a.z dim 0"
    refuses(small, FAILED, ["r.rules:2", "a.w", "4", "3"], text=text)


def test_a_target_that_lacks_a_key(refuses, small, tmp_path):
    keys = tmp_path / "model.keys.yaml"
    keys.write_text("format: 1\nname: v2\ntensors:\n  c.w: f32 [4]\n  b.w: f32 [4]\n  b.b: f32 [2]\n")
    refuses(small, FAILED, ["c.b", "unexpected"], text="rename a.* -> c.*", target=("--target", keys))


def test_a_rule_file_that_is_not_there(migrate, small, tmp_path):
    outcome = migrate("--rules", "lost.rules", small, "-o", "out.pt", "--no-target", expect=USAGE)
    assert "lost.rules" in outcome.err
    assert not (tmp_path / "out.pt").exists()


# ---------------------------------------------------------------- outputs that cannot be written


def test_an_unknown_suffix(refuses, small):
    refuses(small, USAGE, ["out.onnx", ".safetensors"], name="out.onnx")


@pytest.fixture
def large(tmp_path):
    """Four megabytes, more than the places below hold."""
    path = tmp_path / "large.safetensors"
    save_file({"w": torch.zeros(1 << 20)}, path)
    return path


@pytest.fixture
def tiny_disk(tmp_path):
    """A mounted file system of one megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("a full disk is a small tmpfs, and there is no mount command")
    if done.returncode != 0:
        pytest.skip(f"a full disk is a small tmpfs, and mounting one is not permitted: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("name", ["out.safetensors", "out.pt"])
def test_a_full_disk(refuses, large, tiny_disk, name):
    refuses(large, UNREADABLE, ["out", "No space left"], name=f"disk/{name}")
    assert os.statvfs(tiny_disk).f_bavail > 200, "the space was not given back"


@pytest.mark.parametrize("name", ["out.safetensors", "out.pt"])
def test_a_file_that_may_not_grow(refuses, large, name):
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

    # Python ignores SIGXFSZ and the child inherits that: the write fails instead of killing.
    refuses(large, UNREADABLE, ["out"], name=name, preexec_fn=limit, restore_signals=False)


def test_a_read_only_folder(migrate):
    """As a user who may not write there: to root no folder is read-only."""
    base = Path(tempfile.mkdtemp())
    try:
        base.chmod(0o755)
        (base / "r.rules").touch()
        save_file({"w": torch.zeros(4)}, base / "in.safetensors")
        folder = base / "locked"
        folder.mkdir(mode=0o555)
        program = shutil.copy(binary(), base / "migrate")  # the build may lie where others cannot look
        for path in base.iterdir():
            path.chmod(0o755 if path.is_dir() or path.name == "migrate" else 0o644)
        folder.chmod(0o555)
        who = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
        run = ["--rules", base / "r.rules", base / "in.safetensors", "-o", folder / "out.pt", "--no-target"]
        outcome = migrate(*run, expect=UNREADABLE, program=program, cwd=base, **who)
        assert str(folder) in outcome.err and "ermission denied" in outcome.err
        assert not list(folder.iterdir())
    finally:
        (base / "locked").chmod(0o755)
        shutil.rmtree(base)
