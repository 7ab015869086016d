"""A Lightning checkpoint of a module that holds its network as `self.model`.

`python make.py [FOLDER]` writes `sample.ckpt`, and `expected.pt`: what Lightning itself makes of it.
The key sets are those of the two files (`migrate keys`).
"""

import logging
import sys
import warnings
from pathlib import Path

import lightning as L
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.LayerNorm(16), nn.Linear(16, 4))


class Classifier(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.model = network()

    def forward(self, x):
        return self.model(x)

    def training_step(self, batch, _):
        features, labels = batch
        return F.cross_entropy(self(features), labels)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


def before() -> L.LightningModule:
    torch.manual_seed(0)
    return Classifier()


def convert(model: L.LightningModule) -> dict:
    return model.model.state_dict()


def after() -> nn.Module:
    """The model that the migrated weights are for, with other weights."""
    torch.manual_seed(1)
    return network()


def inputs() -> torch.Tensor:
    return torch.randn(2, 8, generator=torch.Generator().manual_seed(1))


def main(folder: Path) -> None:
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    model = before()
    batch = torch.randn(4, 8), torch.randint(4, (4,))
    trainer = L.Trainer(
        max_steps=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(model, DataLoader([batch], batch_size=None))
    trainer.save_checkpoint(folder / "sample.ckpt")
    trained = Classifier.load_from_checkpoint(folder / "sample.ckpt", map_location="cpu")
    torch.save(convert(trained), folder / "expected.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
