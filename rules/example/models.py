"""One segmentation model, before and after a refactor.

Version 2 computes what version 1 computes. Its modules have other names (the decoder's blocks became
`aspp`, every `bn` became `norm`), and the grid of coordinates is no longer stored in the checkpoint.
`v1_to_v2.rules` says so for the checkpoints.
"""

from collections import OrderedDict

import lightning as L
import torch
from torch import nn
from torch.nn import functional as F


class Segmenter(L.LightningModule):
    """What both versions share: loss, optimizer and schedule."""

    def forward(self, images):
        return self.model(images)

    def training_step(self, batch, _):
        images, masks = batch
        loss = F.cross_entropy(self(images), masks)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        optimizer = torch.optim.Adam(self.parameters(), lr=self.hparams.lr)
        schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.5)
        return {"optimizer": optimizer, "lr_scheduler": schedule}


class Encoder(nn.Module):
    """A quarter of the size, twice the width."""

    def __init__(self, width: int, block: type[nn.Module]):
        super().__init__()
        self.stem = block(3, width, stride=2)
        self.layer1 = block(width, width)
        self.layer2 = block(width, 2 * width, stride=2)

    def forward(self, x):
        return self.layer2(self.layer1(self.stem(x)))


def network(encoder: nn.Module, decoder: nn.Module, head: nn.Module) -> nn.Module:
    """Encoder, decoder and head in a row, back at the images' size."""
    upsample = nn.Upsample(scale_factor=4, mode="bilinear")
    return nn.Sequential(OrderedDict(encoder=encoder, decoder=decoder, head=head, upsample=upsample))


def coordinates(size: int) -> torch.Tensor:
    """The x and y of every pixel of a square, from -1 to 1: [1, 2, size, size]."""
    line = torch.linspace(-1, 1, size)
    return torch.stack(torch.meshgrid(line, line, indexing="xy")).unsqueeze(0)


# ---------------------------------------------------------------- version 1


class BlockV1(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int = 1, dilation: int = 1):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, stride, dilation, dilation, bias=False)
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, x):
        return F.relu(self.bn(self.conv(x)))


class DecoderV1(nn.Module):
    def __init__(self, width: int, size: int):
        super().__init__()
        self.blocks = nn.ModuleList(BlockV1(2 * width + 2, width, dilation=d) for d in (1, 2, 3))
        self.register_buffer("grid", coordinates(size // 4))

    def forward(self, x):
        x = torch.cat([x, self.grid.expand(len(x), -1, -1, -1)], dim=1)
        return torch.cat([block(x) for block in self.blocks], dim=1)


class SegmenterV1(Segmenter):
    def __init__(self, width: int = 16, classes: int = 4, size: int = 32, lr: float = 3e-3):
        super().__init__()
        self.save_hyperparameters()
        head = nn.Conv2d(3 * width, classes, 1)
        self.model = network(Encoder(width, BlockV1), DecoderV1(width, size), head)


# ---------------------------------------------------------------- version 2


class BlockV2(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int = 1, dilation: int = 1):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, stride, dilation, dilation, bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x):
        return F.relu(self.norm(self.conv(x)))


class DecoderV2(nn.Module):
    def __init__(self, width: int, size: int):
        super().__init__()
        self.aspp = nn.ModuleList(BlockV2(2 * width + 2, width, dilation=d) for d in (1, 2, 3))
        self.register_buffer("grid", coordinates(size // 4), persistent=False)

    def forward(self, x):
        x = torch.cat([x, self.grid.expand(len(x), -1, -1, -1)], dim=1)
        return torch.cat([block(x) for block in self.aspp], dim=1)


class SegmenterV2(Segmenter):
    def __init__(self, width: int = 16, classes: int = 4, size: int = 32, lr: float = 3e-3):
        super().__init__()
        self.save_hyperparameters()
        head = nn.Conv2d(3 * width, classes, 1)
        self.model = network(Encoder(width, BlockV2), DecoderV2(width, size), head)
