"""A model that was saved in several wrappers: compiled, inside of DataParallel, inside of torch.compile.

`python make.py [FOLDER]` writes `sample.pt`, and `expected.pt`: what torch itself makes of it.
The key sets are those of the two files (`migrate keys`).
"""

import sys
from pathlib import Path

import torch
from torch import nn


class Classifier(nn.Module):
    """A small classifier. `module_list` and `inner.module` are names of its own and no wrappers."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU())
        self.module_list = nn.ModuleList([nn.Conv2d(8, 8, 3), nn.Conv2d(8, 8, 3)])
        self.inner = nn.ModuleDict({"module": nn.Linear(8, 8)})
        self.head = nn.Linear(8, 4)

    def forward(self, images):
        x = self.stem(images)
        for conv in self.module_list:
            x = conv(x).relu()
        return self.head(self.inner["module"](x.mean(dim=(2, 3))))


def before() -> nn.Module:
    torch.manual_seed(0)
    compiled = torch.compile(Classifier(), backend="eager")
    return torch.compile(nn.DataParallel(compiled), backend="eager")


def convert(model: nn.Module) -> dict:
    return model._orig_mod.module._orig_mod.state_dict()


def after() -> nn.Module:
    """The model that the migrated weights are for, with other weights."""
    torch.manual_seed(1)
    return Classifier()


def inputs() -> torch.Tensor:
    return torch.randn(2, 3, 12, 12, generator=torch.Generator().manual_seed(1))


def main(folder: Path) -> None:
    model = before()
    torch.save(model.state_dict(), folder / "sample.pt")
    torch.save(convert(model), folder / "expected.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
