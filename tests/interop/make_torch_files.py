"""Writes torch and Lightning files of many kinds into a folder.

    python make_torch_files.py OUTDIR

What `migrate` reads and writes unchanged must come out byte for byte; the names of the files say
what is special about them. Needs the packages of requirements.txt.
"""

import collections
import copy
import datetime
import enum
import pathlib
import random
import sys
import warnings

import lightning
import numpy
import torch
from omegaconf import OmegaConf
from torch import nn

warnings.filterwarnings("ignore")
torch.manual_seed(0)


class Net(lightning.LightningModule):
    def __init__(self, width=4, name="net", table=None):
        super().__init__()
        self.save_hyperparameters()
        self.encoder = nn.Sequential(nn.Linear(3, width), nn.BatchNorm1d(width), nn.ReLU())
        self.head = nn.Linear(width, 2)
        self.register_buffer("scale", torch.tensor(2.0))

    def training_step(self, batch, _):
        return self.head(self.encoder(batch[0])).square().mean()

    def train_dataloader(self):
        data = torch.utils.data.TensorDataset(torch.randn(8, 3))
        return torch.utils.data.DataLoader(data, batch_size=4)

    def configure_optimizers(self):
        optimizer = torch.optim.AdamW(self.parameters(), lr=1e-3)
        scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10)
        return {"optimizer": optimizer, "lr_scheduler": scheduler}


class Colour(enum.Enum):
    RED = 1


class Knot:
    """Refers to itself."""

    def __init__(self):
        self.me = self
        self.items = [self, (self, 1)]


class Slotted:
    __slots__ = ("weight",)

    def __init__(self):
        self.weight = torch.ones(2)


class Extra(nn.Module):
    def __init__(self, state):
        super().__init__()
        self.state = state
        self.weight = nn.Parameter(torch.ones(2))

    def get_extra_state(self):
        return self.state

    def set_extra_state(self, state):
        self.state = state


class Tagged(torch.Tensor):
    pass


def trained(optimizer_class, **options):
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    optimizer = optimizer_class(model.parameters(), **options)
    for _ in range(2):
        optimizer.zero_grad()
        model(torch.randn(5, 3)).square().mean().backward()
        optimizer.step()
    return {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 2}


def recursive_tuple():
    inner = []
    outer = (inner, 1)
    inner.append(outer)
    long_inner = []
    long_outer = (long_inner, 1, 2, 3, 4)
    long_inner.append(long_outer)
    return {"w": torch.ones(2), "short": outer, "long": long_outer}


def recursive_containers():
    d = {"w": torch.ones(2)}
    d["self"] = d
    d["list"] = [d]
    return d


def shared():
    base = torch.arange(24.0)
    alias = torch.ones(3)
    return {
        "base": base, "view": base.view(4, 6), "slice": base[6:12], "column": base.view(4, 6)[:, 2],
        "same": alias, "same_again": alias, "detached": alias.detach(),
    }


def quantized():
    tensor = torch.quantize_per_tensor(torch.randn(4), 0.1, 0, torch.qint8)
    channel = torch.quantize_per_channel(torch.randn(2, 3), torch.ones(2), torch.zeros(2), 0, torch.quint8)
    return {"w": torch.ones(1), "q": tensor, "c": channel}


def sparse():
    coo = torch.eye(3).to_sparse()
    return {"w": torch.ones(1), "coo": coo, "csr": torch.eye(3).to_sparse_csr()}


def with_attribute():
    tensor = torch.ones(2)
    tensor.note = "kept"
    parameter = nn.Parameter(torch.ones(2))
    parameter.note = "kept"
    return {"tensor": tensor, "parameter": parameter, "subclass": torch.ones(2).as_subclass(Tagged)}


def ordered(count, kind=collections.OrderedDict):
    return kind((f"layer.{i}.weight", torch.full((2,), float(i))) for i in range(count))


DTYPES = [
    torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2,
    torch.float8_e4m3fnuz, torch.float8_e5m2fnuz, torch.complex64, torch.complex128, torch.complex32, torch.int64,
    torch.int32, torch.int16, torch.int8, torch.uint8, torch.uint16, torch.uint32, torch.uint64, torch.bool,
]

MODEL = nn.Sequential(collections.OrderedDict(
    conv=nn.Conv2d(3, 4, 3), norm=nn.BatchNorm2d(4), inner=nn.Sequential(nn.Linear(4, 2), nn.ReLU(), nn.Linear(2, 1))))

PLAIN = {
    "state_dict": lambda: MODEL.state_dict(),
    "state_dict_plain_dict": lambda: dict(MODEL.state_dict()),
    "named_parameters": lambda: dict(MODEL.named_parameters()),
    "parameters_frozen": lambda: {"a": nn.Parameter(torch.ones(2), requires_grad=False), "b": nn.Parameter(torch.ones(1))},
    "requires_grad": lambda: {"a": torch.ones(2, requires_grad=True), "b": torch.ones(2)},
    "whole_module": lambda: MODEL,
    "whole_module_in_dict": lambda: {"model": MODEL, "epoch": 1},
    "adam": lambda: trained(torch.optim.Adam),
    "adamw_amsgrad": lambda: trained(torch.optim.AdamW, amsgrad=True),
    "sgd_momentum": lambda: trained(torch.optim.SGD, lr=0.1, momentum=0.9),
    "sgd": lambda: trained(torch.optim.SGD, lr=0.1),
    "all_dtypes": lambda: {str(d).removeprefix("torch."): torch.ones(2, 3).to(d) for d in DTYPES},
    "bf16": lambda: {k: v.to(torch.bfloat16) for k, v in ordered(3).items()},
    "scalars": lambda: {"a": torch.tensor(1.5), "b": torch.tensor(7), "c": torch.tensor(True)},
    "empty_tensors": lambda: {"a": torch.zeros(0), "b": torch.zeros(2, 0, 3), "c": torch.ones(1)},
    "high_rank": lambda: {"a": torch.ones(1, 2, 1, 2, 1, 2), "b": torch.ones(300, 70), "c": torch.ones(70000)},
    "noncontiguous": lambda: {"t": torch.arange(6.0).view(2, 3).t(), "s": torch.arange(10.0)[::2], "e": torch.ones(1).expand(4)},
    "channels_last": lambda: {"w": torch.randn(4, 3, 2, 2).contiguous(memory_format=torch.channels_last)},
    "shared_storage": shared,
    "offset_view": lambda: {"w": torch.arange(100.0)[40:50]},
    "conjugate": lambda: {"c": torch.ones(2, dtype=torch.complex64).conj(), "n": torch.ones(2, dtype=torch.complex64).conj().imag},
    "nested_dicts": lambda: {"encoder": dict(ordered(2)), "decoder": {"inner": dict(ordered(3)), "bias": torch.ones(1)}, "epoch": 3},
    "two_dicts": lambda: {"model_g": ordered(2), "model_d": ordered(3)},
    "ema": lambda: {"state_dict": ordered(4), "ema": {"module": ordered(4)}, "step": 9},
    "list_of_tensors": lambda: [torch.ones(2), torch.zeros(3)],
    "single_tensor": lambda: torch.ones(3),
    "int_keys": lambda: {0: torch.ones(1), 1: torch.ones(2), "w": torch.ones(3)},
    "odd_keys": lambda: {"a b/c:d-é": torch.ones(1), "": torch.ones(2), "x" * 300: torch.ones(1), "0": torch.ones(1), "日本": torch.ones(1)},
    "no_tensors": lambda: {"a": 1, "b": [1.5, None, True, False, "x", b"bytes", -1, 2**31, -(2**31), 2**70, -(2**70), 255, 256, 65536]},
    "plain_values": lambda: {"w": torch.ones(1), "set": {1, 2}, "frozen": frozenset([1]), "bytes": b"\x00\xff", "empty": [(), [], {}, set()],
                             "tuple": ((1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)), "complex": 1j, "range": range(3), "slice": slice(1, 2),
                             "date": datetime.datetime(2024, 1, 2), "path": pathlib.PurePosixPath("a/b"), "enum": Colour.RED,
                             "long": 1 << 2100, "float": [0.1, float("inf"), float("nan")], "ellipsis": ..., "bytearray": bytearray(b"ab"),
                             "default": collections.defaultdict(list, {"a": [1]}), "counter": collections.Counter("aab"), "deque": collections.deque([1, 2])},
    "numpy_values": lambda: {"w": torch.ones(1), "scalar": numpy.float64(1.5), "int": numpy.int32(3), "array": numpy.arange(5.0), "dtype": numpy.dtype("float32")},
    "recursive_object": lambda: {"w": torch.ones(1), "knot": Knot()},
    "recursive_tuple": recursive_tuple,
    "recursive_containers": recursive_containers,
    "slotted_object": lambda: {"w": torch.ones(1), "slotted": Slotted()},
    "omegaconf": lambda: {"state_dict": ordered(2), "config": OmegaConf.create({"a": 1, "b": {"c": [1, 2, "${a}"]}})},
    "rng_state": lambda: {"state_dict": ordered(1), "torch": torch.get_rng_state(), "numpy": numpy.random.get_state(), "python": random.getstate()},
    "amp_scaler": lambda: {"model": ordered(1), "scaler": torch.amp.GradScaler("cpu").state_dict()},
    "sparse": sparse,
    "quantized": quantized,
    "meta": lambda: {"w": torch.ones(1), "m": torch.ones(3, device="meta")},
    "attributes": with_attribute,
    "extra_state": lambda: {"model": Extra({"version": 3, "list": [1, 2]}).state_dict()},
    "extra_state_tensor": lambda: {"model": Extra({"amax": torch.ones(3)}).state_dict()},
    "device_and_dtype": lambda: {"w": torch.ones(1), "device": torch.device("cpu"), "dtype": torch.float16, "size": torch.Size([1, 2]), "gen": torch.strided},
    "data_parallel": lambda: {"state_dict": nn.DataParallel(MODEL).state_dict(), "epoch": 1},
    "copied": lambda: {"a": MODEL.state_dict(), "b": copy.deepcopy(MODEL.state_dict())},
    "dict_of_1": lambda: ordered(1, dict), "dict_of_1000": lambda: ordered(1000, dict), "dict_of_1001": lambda: ordered(1001, dict),
    "ordered_of_1": lambda: ordered(1), "ordered_of_1000": lambda: ordered(1000), "ordered_of_1001": lambda: ordered(1001),
    "many": lambda: ordered(3000),
    "list_of_1001": lambda: {"w": torch.ones(1), "l": list(range(1001)), "m": [[]] * 1001},
    "large": lambda: {"w": torch.arange(1_000_000.0), "b": torch.ones(3)},
    "a": lambda: ordered(2), "b" * 21: lambda: ordered(2), "c" * 80: lambda: ordered(2), "dotted.name.v1": lambda: ordered(2),
}


def lightning_files(folder):
    def fit(name, **options):
        model = Net(**options.pop("model", {}))
        trainer = lightning.Trainer(max_epochs=1, logger=False, enable_progress_bar=False, enable_model_summary=False,
                                    accelerator="cpu", default_root_dir=folder, **options)
        trainer.fit(model)
        trainer.save_checkpoint(folder / name)
        return trainer

    callbacks = lightning.pytorch.callbacks
    fit("lightning.ckpt", enable_checkpointing=False)
    fit("lightning_hparams.ckpt", enable_checkpointing=False, model={"width": 5, "name": "x", "table": {"a": [1, (2, 3)], "n": numpy.float32(1)}})
    checkpoints = callbacks.ModelCheckpoint(dirpath=folder / "checkpoints", save_last=True)
    stopping = callbacks.EarlyStopping("epoch", patience=3, strict=False, check_on_train_epoch_end=True)
    fit("lightning_callbacks.ckpt", callbacks=[checkpoints, stopping])
    fit("lightning_omegaconf.ckpt", enable_checkpointing=False, model={"table": OmegaConf.create({"a": {"b": 1}})})
    fit("lightning_bf16.ckpt", enable_checkpointing=False, precision="bf16-mixed")
    fit("lightning_true_bf16.ckpt", enable_checkpointing=False, precision="bf16-true")
    trainer = fit("lightning_ema.ckpt", enable_checkpointing=False, callbacks=[callbacks.EMAWeightAveraging()])
    trainer.save_checkpoint(folder / "lightning_weights_only.ckpt", weights_only=True)
    fit("lightning_swa.ckpt", enable_checkpointing=False, callbacks=[callbacks.StochasticWeightAveraging(swa_lrs=0.1, swa_epoch_start=0.1)])


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in PLAIN.items():
        torch.save(make(), folder / f"{name}.pt")
    lightning_files(folder)
    print(len(list(folder.rglob("*.pt"))) + len(list(folder.rglob("*.ckpt"))), "files")


if __name__ == "__main__":
    main()
