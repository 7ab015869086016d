"""The README's main job: the shipped Lightning checkpoint moves to the refactored model."""

import subprocess
import sys

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import Callback

from compare import differences
from conftest import EXAMPLE
from make_example import key_set, random_images
from models import SegmenterV1, SegmenterV2


@pytest.fixture
def migrated(migrate, tmp_path):
    """`v2.ckpt`, made as the README says: the target's key set is found beside the rules."""
    out = tmp_path / "v2.ckpt"
    migrate("--rules", EXAMPLE / "v1_to_v2.rules", EXAMPLE / "v1.ckpt", "-o", out)
    return out


def load(version, path):
    return version.load_from_checkpoint(path, map_location="cpu", strict=True).eval()


class Losses(Callback):
    """Every step's loss, to the bit."""

    def __init__(self):
        self.values = []

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        self.values.append(outputs["loss"].item())


def resume(model, path) -> list[float]:
    """The losses of two more epochs, beginning where the checkpoint stopped."""
    losses = Losses()
    trainer = L.Trainer(
        max_epochs=4,
        accelerator="cpu",
        callbacks=[losses],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(model, random_images(), ckpt_path=path)
    assert trainer.global_step == 16
    return losses.values


def test_the_old_file_does_not_load_into_the_new_class():
    with pytest.raises(RuntimeError, match="Missing key"):
        load(SegmenterV2, EXAMPLE / "v1.ckpt")


def test_the_new_class_computes_what_the_old_one_did(migrated):
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        before = load(SegmenterV1, EXAMPLE / "v1.ckpt")(images)
        after = load(SegmenterV2, migrated)(images)
    assert torch.equal(before, after)


def test_training_goes_on_with_the_same_losses(migrated):
    L.seed_everything(5, verbose=False)
    before = resume(SegmenterV1(), EXAMPLE / "v1.ckpt")
    L.seed_everything(5, verbose=False)
    after = resume(SegmenterV2(), migrated)
    assert len(before) == 8
    assert before == after


def test_all_but_the_weights_is_untouched(migrate, tmp_path):
    out = tmp_path / "v2.ckpt"
    migrate("--rules", EXAMPLE / "v1_to_v2.rules", EXAMPLE / "v1.ckpt", "-o", out, "--no-record")
    before, after = (torch.load(path, weights_only=True) for path in (EXAMPLE / "v1.ckpt", out))
    assert list(after["state_dict"]) == list(SegmenterV2().state_dict())
    del before["state_dict"], after["state_dict"]
    assert not (found := differences(before, after)), "\n".join(found)


def test_a_second_run_finds_nothing_to_do(migrate, migrated, tmp_path):
    again = migrate("--rules", EXAMPLE / "v1_to_v2.rules", migrated, "-o", tmp_path / "again.ckpt")
    assert "nothing to do" in again.text


def test_plan_and_diff_tell_the_same_story(migrate, migrated):
    migrate("plan", "--rules", EXAMPLE / "v1_to_v2.rules", EXAMPLE / "v1.ckpt")
    migrate("diff", EXAMPLE / "v2.keys.yaml", migrated)
    before = migrate("diff", EXAMPLE / "v2.keys.yaml", EXAMPLE / "v1.ckpt", expect=1)
    assert "model.decoder.aspp" in before.text and "model.decoder.blocks" in before.text


def test_the_key_sets_are_those_of_the_classes():
    for name, version in (("v1", SegmenterV1), ("v2", SegmenterV2)):
        assert (EXAMPLE / f"{name}.keys.yaml").read_text() == key_set(name, version())


def test_the_checkpoint_is_what_its_script_makes(tmp_path):
    subprocess.run([sys.executable, EXAMPLE / "make_example.py", tmp_path], check=True, capture_output=True)
    made, shipped = (torch.load(folder / "v1.ckpt", weights_only=True) for folder in (tmp_path, EXAMPLE))
    assert list(made) == list(shipped)
    assert made["hyper_parameters"] == shipped["hyper_parameters"]
    assert list(made["callbacks"]) == list(shipped["callbacks"])
    for key, tensor in shipped["state_dict"].items():  # another processor may round differently
        torch.testing.assert_close(made["state_dict"][key], tensor, rtol=0.05, atol=0.05)


def test_the_example_is_small():
    assert sum(path.stat().st_size for path in EXAMPLE.iterdir() if path.is_file()) < 400_000
