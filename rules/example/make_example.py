"""Writes this folder's checkpoint and key sets: `python make_example.py [FOLDER]`.

`v1.ckpt` is what Lightning's ModelCheckpoint leaves after two epochs of training on random images:
weights, Adam's moments, the schedule, loops, callback state and hyper-parameters. It is trained from a
fixed seed; another machine may round differently, so the weights of another run may differ in their
last bits. It needs the packages of `tests/interop/requirements.txt`.
"""

import sys
import warnings
from pathlib import Path

import fsspec
import lightning as L
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch.utils.data import DataLoader, TensorDataset

from models import SegmenterV1, SegmenterV2

# Lightning stores the folder of a checkpoint in it. A store in memory keeps paths of this machine out.
STORE = "memory://runs/segmenter"

SHORT_NAMES = {torch.float32: "f32", torch.int64: "i64"}


def random_images(count: int = 16, size: int = 32, classes: int = 4) -> DataLoader:
    """Random images with random masks; nothing to learn, but something to step on."""
    noise = torch.Generator().manual_seed(7)
    images = torch.randn(count, 3, size, size, generator=noise)
    masks = torch.randint(classes, (count, size, size), generator=noise)
    return DataLoader(TensorDataset(images, masks), batch_size=4)


def train(model: L.LightningModule) -> bytes:
    """The checkpoint that training `model` for two epochs leaves."""
    checkpoint = ModelCheckpoint(dirpath=STORE, monitor="train_loss", save_top_k=1)
    trainer = L.Trainer(
        max_epochs=2,
        accelerator="cpu",
        callbacks=[checkpoint],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=1,
    )
    trainer.fit(model, random_images())
    with fsspec.open(checkpoint.best_model_path, "rb") as file:
        return file.read()


def key_set(name: str, model: torch.nn.Module) -> str:
    """The text of a key set: one line a tensor, in the model's own order, buffers marked."""
    buffers = {key for key, _ in model.named_buffers()}
    lines = ["format: 1", f"name: {name}", "tensors:"]
    for key, tensor in model.state_dict().items():
        mark = " buffer" if key in buffers else ""
        lines.append(f"  {key}: {SHORT_NAMES[tensor.dtype]} {list(tensor.shape)}{mark}")
    return "\n".join(lines) + "\n"


def main(folder: Path) -> None:
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    L.seed_everything(3, verbose=False)
    model = SegmenterV1()
    (folder / "v1.ckpt").write_bytes(train(model))
    (folder / "v1.keys.yaml").write_text(key_set("v1", model))
    (folder / "v2.keys.yaml").write_text(key_set("v2", SegmenterV2()))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
