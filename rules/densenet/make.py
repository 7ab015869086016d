"""A small DenseNet with the keys of torchvision's files of before PyTorch 0.4.

`python make.py [FOLDER]` writes `sample.pt`, and `expected.pt`: what torchvision itself makes of it.
The key sets are those of the two files (`migrate keys`).
"""

import re
import sys
from pathlib import Path
from types import SimpleNamespace

import torch
from torch import nn
from torchvision.models import densenet


def network() -> nn.Module:
    return densenet.DenseNet(growth_rate=4, block_config=(2, 2), num_init_features=8, bn_size=2, num_classes=10)


def before() -> nn.Module:
    torch.manual_seed(0)
    model = network()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 1.5)
    return model.eval()


def old_names(weights: dict) -> dict:
    """The weights under the old names, without the count of batches that BatchNorm then lacked."""
    dotted = {re.sub(r"(denselayer\d+\.(?:norm|conv))([12])", r"\1.\2", key): value for key, value in weights.items()}
    return {key: value for key, value in dotted.items() if not key.endswith("num_batches_tracked")}


def convert(model: nn.Module) -> dict:
    """torchvision renames the old keys itself where it loads pretrained weights."""
    weights = SimpleNamespace(get_state_dict=lambda **_: old_names(model.state_dict()))
    new = after()
    densenet._load_state_dict(new, weights, progress=False)
    return new.state_dict()


def after() -> nn.Module:
    """The model that the migrated weights are for, with other weights."""
    torch.manual_seed(1)
    return network().eval()


def inputs() -> torch.Tensor:
    return torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def main(folder: Path) -> None:
    model = before()
    torch.save(old_names(model.state_dict()), folder / "sample.pt")
    torch.save(convert(model), folder / "expected.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
