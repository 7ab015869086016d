"""Prints what the installed torch, or Lightning, raises where a state dict does not load.

    python make.py > torch-2.11.0.txt
    python make.py lightning > lightning-2.6.6.txt
"""

import pathlib
import sys
import tempfile
import traceback

import torch
from torch import nn


class Block(nn.Module):
    def __init__(self, names, width):
        super().__init__()
        for name in names:
            self.add_module(name, nn.Linear(width, width))
        self.norm = nn.BatchNorm1d(width)


def network(names, classes, width=4):
    net = nn.Module()
    net.layers = nn.ModuleList(Block(names, width) for _ in range(3))
    net.head = nn.Linear(width, classes)
    net.scale = nn.Parameter(torch.tensor(1.0) if classes == 10 else torch.ones(1))
    return net


def main():
    old, new = network(["query", "key"], 10), network(["q_proj", "k_proj"], 5)
    try:
        if sys.argv[1:] == ["lightning"]:
            import lightning.pytorch as pl

            class Lit(pl.LightningModule):
                def __init__(self):
                    super().__init__()
                    self.model = new

            state = {f"model.{key}": tensor for key, tensor in old.state_dict().items()}
            path = pathlib.Path(tempfile.mkdtemp()) / "old.ckpt"
            torch.save({"state_dict": state, "pytorch-lightning_version": pl.__version__}, path)
            Lit.load_from_checkpoint(path, map_location="cpu")
        else:
            new.load_state_dict(old.state_dict())
    except RuntimeError:
        here = str(pathlib.Path(__file__).parent)
        print(traceback.format_exc().replace(sys.prefix, "").replace(here, "").strip())


main()
