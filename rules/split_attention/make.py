"""Attention with torch's one projection for q, k and v.

`python make.py [FOLDER]` writes `sample.safetensors`, and `expected.safetensors`: what torch itself makes of it.
The key sets are those of the two files (`migrate keys`).
"""

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

WIDTH, HEADS, LAYERS = 16, 2, 2


class Fused(nn.MultiheadAttention):
    """torch's own attention of a sequence to itself."""

    def __init__(self):
        super().__init__(WIDTH, HEADS, batch_first=True)
        nn.init.normal_(self.in_proj_bias)

    def forward(self, x):
        return super().forward(x, x, x, need_weights=False)[0]


class Separate(nn.Module):
    """The same with a projection each, as in most models of today."""

    def __init__(self):
        super().__init__()
        self.q_proj, self.k_proj, self.v_proj = (nn.Linear(WIDTH, WIDTH) for _ in range(3))
        self.out_proj = nn.Linear(WIDTH, WIDTH)

    def forward(self, x):
        parts = (self.q_proj, self.k_proj, self.v_proj)
        heads = [part(x).unflatten(-1, (HEADS, -1)).transpose(1, 2) for part in parts]
        return self.out_proj(F.scaled_dot_product_attention(*heads).transpose(1, 2).flatten(2))


class Encoder(nn.Module):
    def __init__(self, attention: type[nn.Module]):
        super().__init__()
        self.layers = nn.ModuleList(
            nn.ModuleDict({"norm": nn.LayerNorm(WIDTH), "self_attn": attention()}) for _ in range(LAYERS)
        )

    def forward(self, x):
        for layer in self.layers:
            x = x + layer["self_attn"](layer["norm"](x))
        return x


def before() -> nn.Module:
    torch.manual_seed(0)
    return Encoder(Fused)


def convert(model: nn.Module) -> dict:
    """The parts that torch's own attention takes of the one projection."""
    new = after()
    for old_layer, layer in zip(model.layers, new.layers):
        old, attention = old_layer["self_attn"], layer["self_attn"]
        weights, biases = old.in_proj_weight.chunk(3), old.in_proj_bias.chunk(3)
        for part, weight, bias in zip((attention.q_proj, attention.k_proj, attention.v_proj), weights, biases):
            part.load_state_dict({"weight": weight, "bias": bias})
        attention.out_proj.load_state_dict(old.out_proj.state_dict())
        layer["norm"].load_state_dict(old_layer["norm"].state_dict())
    return {key: value.contiguous() for key, value in new.state_dict().items()}


def after() -> nn.Module:
    """The model that the migrated weights are for, with other weights."""
    torch.manual_seed(1)
    return Encoder(Separate)


def inputs() -> torch.Tensor:
    return torch.randn(2, 6, WIDTH, generator=torch.Generator().manual_seed(1))


def main(folder: Path) -> None:
    model = before()
    save_file(model.state_dict(), folder / "sample.safetensors")
    save_file(convert(model), folder / "expected.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
