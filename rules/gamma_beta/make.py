"""A small BERT whose LayerNorms have the names of TensorFlow, as the first PyTorch ports had.

`python make.py [FOLDER]` writes `sample.pt`, and `expected.pt`: the same in a model of today.
The key sets are those of the two files (`migrate keys`).
"""

import sys
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

WIDTH, HEADS, LAYERS, WORDS = 16, 2, 2, 32


class BertLayerNorm(nn.Module):
    """LayerNorm as pytorch-pretrained-bert 0.1 wrote it."""

    def __init__(self, width: int):
        super().__init__()
        self.gamma = nn.Parameter(torch.rand(width))
        self.beta = nn.Parameter(torch.randn(width))

    def forward(self, x):
        return F.layer_norm(x, self.gamma.shape, self.gamma, self.beta, eps=1e-12)


def torch_layer_norm(width: int) -> nn.Module:
    return nn.LayerNorm(width, eps=1e-12)


class Embeddings(nn.Module):
    def __init__(self, norm):
        super().__init__()
        self.word_embeddings = nn.Embedding(WORDS, WIDTH)
        self.position_embeddings = nn.Embedding(12, WIDTH)
        self.LayerNorm = norm(WIDTH)

    def forward(self, ids):
        places = torch.arange(ids.shape[1])
        return self.LayerNorm(self.word_embeddings(ids) + self.position_embeddings(places))


class SelfAttention(nn.Module):
    def __init__(self):
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(WIDTH, WIDTH) for _ in range(3))

    def forward(self, x):
        heads = [part(x).unflatten(-1, (HEADS, -1)).transpose(1, 2) for part in (self.query, self.key, self.value)]
        return F.scaled_dot_product_attention(*heads).transpose(1, 2).flatten(2)


class Output(nn.Module):
    def __init__(self, width: int, norm):
        super().__init__()
        self.dense = nn.Linear(width, WIDTH)
        self.LayerNorm = norm(WIDTH)

    def forward(self, x, residual):
        return self.LayerNorm(self.dense(x) + residual)


class Layer(nn.Module):
    def __init__(self, norm):
        super().__init__()
        self.attention = nn.ModuleDict({"self": SelfAttention(), "output": Output(WIDTH, norm)})
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(WIDTH, 2 * WIDTH)})
        self.output = Output(2 * WIDTH, norm)

    def forward(self, x):
        x = self.attention["output"](self.attention["self"](x), x)
        return self.output(F.gelu(self.intermediate["dense"](x)), x)


class Bert(nn.Module):
    """The names are those of BertModel; `layer_scale.gamma` stands for a `gamma` that is no LayerNorm's."""

    def __init__(self, norm):
        super().__init__()
        self.embeddings = Embeddings(norm)
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList(Layer(norm) for _ in range(LAYERS))})
        self.layer_scale = nn.ParameterDict({"gamma": torch.randn(WIDTH)})

    def forward(self, ids):
        x = self.embeddings(ids)
        for layer in self.encoder["layer"]:
            x = layer(x)
        return x * self.layer_scale["gamma"]


def before() -> nn.Module:
    torch.manual_seed(0)
    return Bert(BertLayerNorm)


def convert(model: nn.Module) -> dict:
    """Each module of the old model fills the one of its name."""
    new = after()
    for name, module in model.named_modules():
        if isinstance(module, BertLayerNorm):
            weights = {"weight": module.gamma, "bias": module.beta}
            new.get_submodule(name).load_state_dict(weights, strict=True)
        elif not list(module.children()):
            new.get_submodule(name).load_state_dict(module.state_dict(), strict=True)
    return new.state_dict()


def after() -> nn.Module:
    """The model that the migrated weights are for, with other weights."""
    torch.manual_seed(1)
    return Bert(torch_layer_norm)


def inputs() -> torch.Tensor:
    return torch.randint(WORDS, (2, 10), generator=torch.Generator().manual_seed(1))


def main(folder: Path) -> None:
    model = before()
    torch.save(model.state_dict(), folder / "sample.pt")
    torch.save(convert(model), folder / "expected.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
