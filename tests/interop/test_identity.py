"""An empty rule file changes nothing: what torch and Lightning wrote comes out byte for byte."""

from conftest import torch_files


def test_the_collection_is_wide():
    assert len(torch_files()) >= 30


def test_identity_in_identity_out(migrate, rules, tmp_path, torch_file):
    # The name of a torch file is part of its bytes: the archive's root folder is the file's stem
    # only where torch.save was given a path, so the tool must keep the root and not rename it.
    out = tmp_path / f"copy{torch_file.suffix}"
    migrate("--rules", rules(), torch_file, "-o", out, "--no-target")
    assert out.read_bytes() == torch_file.read_bytes()
