"""A small WaveNet-like stack and an LSTM under torch.nn.utils.weight_norm.

`python make.py [FOLDER]` writes `sample.safetensors`, and `expected.safetensors`: what torch itself makes of it.
The key sets are those of the two files (`migrate keys`).
"""

import sys
import warnings
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn.utils import parametrizations, weight_norm


class Vocoder(nn.Module):
    """Convolutions and an LSTM whose weights are normed by `norm`."""

    def __init__(self, norm):
        super().__init__()
        self.convs = nn.ModuleList(norm(nn.Conv1d(8, 8, 3, padding=1)) for _ in range(2))
        self.up = norm(nn.ConvTranspose1d(8, 4, 4, stride=2))
        self.plain = nn.Linear(4, 4)
        self.lstm = nn.LSTM(4, 4, batch_first=True)
        for name in ("weight_ih_l0", "weight_hh_l0"):
            norm(self.lstm, name)

    def forward(self, x):
        for conv in self.convs:
            x = conv(x).relu()
        return self.lstm(self.plain(self.up(x).transpose(1, 2)))[0]


def before() -> nn.Module:
    warnings.filterwarnings("ignore", category=FutureWarning)
    torch.manual_seed(0)
    return Vocoder(weight_norm)


def convert(model: nn.Module) -> dict:
    """torch renames the old keys itself where a model of the new form loads them."""
    new = after()
    new.load_state_dict(model.state_dict(), strict=True)
    return new.state_dict()


def after() -> nn.Module:
    """The model that the migrated weights are for, with other weights."""
    torch.manual_seed(1)
    return Vocoder(parametrizations.weight_norm)


def inputs() -> torch.Tensor:
    return torch.randn(2, 8, 10, generator=torch.Generator().manual_seed(1))


def main(folder: Path) -> None:
    model = before()
    save_file(model.state_dict(), folder / "sample.safetensors")
    save_file(convert(model), folder / "expected.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
