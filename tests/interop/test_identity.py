"""An empty rule file changes nothing: what torch and Lightning wrote comes out byte for byte."""

from conftest import AT, torch_files


def test_the_collection_is_wide():
    assert len(torch_files()) >= 30


def test_identity_in_identity_out(migrate, rules, tmp_path, torch_file):
    # Another name on purpose: the archive's root folder is the source's, not the output's stem.
    out = tmp_path / f"copy{torch_file.suffix}"
    at = ["--at", AT[torch_file.stem]] if torch_file.stem in AT else []
    migrate("--rules", rules(), torch_file, "-o", out, "--no-target", *at)
    assert out.read_bytes() == torch_file.read_bytes()
