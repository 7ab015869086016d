"""Whether two loaded checkpoints are the same to the bit: values, layout, types, order and sharing."""

from collections.abc import Mapping

import torch
from torch._subclasses.fake_tensor import FakeTensor


def differences(expected, actual) -> list[str]:
    """Where `actual` differs from `expected`; nothing where it does not."""
    walk = _Walk()
    walk.compare(expected, actual, "")
    return walk.found


class _Walk:
    """One walk through both graphs at once; objects and storages must pair one to one."""

    def __init__(self):
        self.found = []
        self.seen = set()
        self.pairs = ({}, {})
        self.alive = []

    def note(self, path, what, expected, actual):
        self.found.append(f"{path or 'the root'}: {what}: {expected!r} became {actual!r}")

    def equal(self, path, what, expected, actual) -> bool:
        if expected != actual:
            self.note(path, what, expected, actual)
        return expected == actual

    def paired(self, path, what, expected, actual):
        """Notes two things that were one, or one that was two."""
        there, back = self.pairs
        if there.setdefault((what, expected), actual) != actual or back.setdefault((what, actual), expected) != expected:
            self.found.append(f"{path}: the sharing of {what}s changed")

    def compare(self, expected, actual, path):
        if not self.equal(path, "type", type(expected), type(actual)):
            return
        if isinstance(expected, (str, bytes, int, float, complex, type(None), torch.dtype, torch.device, type)):
            self.equal(path, "value", repr(expected), repr(actual))
            return
        if (id(expected), id(actual)) in self.seen:
            return
        self.seen.add((id(expected), id(actual)))
        self.alive += (expected, actual)  # keeps ids from being used again
        if not isinstance(expected, tuple):
            self.paired(path, "object", id(expected), id(actual))

        if isinstance(expected, torch.Tensor):
            self.compare_tensors(expected, actual, path)
        elif isinstance(expected, Mapping):
            if self.equal(path, "keys in order", list(map(repr, expected)), list(map(repr, actual))):
                for (key, value), other in zip(expected.items(), actual.values()):
                    self.compare(value, other, f"{path}[{key!r}]")
        elif isinstance(expected, (list, tuple)):
            if self.equal(path, "length", len(expected), len(actual)):
                for index, pair in enumerate(zip(expected, actual)):
                    self.compare(*pair, f"{path}[{index}]")
        elif isinstance(expected, (set, frozenset)):
            self.equal(path, "members", sorted(map(repr, expected)), sorted(map(repr, actual)))
        elif type(expected).__eq__ is object.__eq__ and hasattr(expected, "__slots__"):
            self.compare(slots(expected), slots(actual), path)
        elif not hasattr(expected, "__dict__"):
            self.equal(path, "value", repr(expected), repr(actual))
        if not isinstance(expected, FakeTensor) and getattr(expected, "__dict__", None):
            self.compare(vars(expected), vars(actual), f"{path}.__dict__")

    def compare_tensors(self, expected, actual, path):
        for what in ("dtype", "shape", "layout", "device", "requires_grad", "is_nested", "is_quantized"):
            if not self.equal(path, what, getattr(expected, what), getattr(actual, what)):
                return
        if expected.is_nested:
            for index, pair in enumerate(zip(expected.unbind(), actual.unbind())):
                self.compare_values(*pair, f"{path}[{index}]")
        elif expected.layout == torch.sparse_coo:
            self.compare_values(expected._indices(), actual._indices(), f"{path}.indices")
            self.compare_values(expected._values(), actual._values(), f"{path}.values")
        elif expected.layout != torch.strided:
            self.equal(path, "value", repr(expected), repr(actual))
        else:
            self.compare_strided(expected, actual, path)

    def compare_strided(self, expected, actual, path):
        for what in ("stride", "storage_offset", "is_conj", "is_neg"):
            self.equal(path, what, getattr(expected, what)(), getattr(actual, what)())
        ours, theirs = expected.untyped_storage(), actual.untyped_storage()
        self.alive += (ours, theirs)
        self.equal(path, "bytes in storage", ours.nbytes(), theirs.nbytes())
        self.paired(path, "storage", ours._cdata, theirs._cdata)
        if expected.is_quantized:
            self.equal(path, "quantizer", expected.qscheme(), actual.qscheme())
            self.compare_values(expected.int_repr(), actual.int_repr(), path)
        else:
            self.compare_values(expected, actual, path)

    def compare_values(self, expected, actual, path):
        if not self.equal(path, "shape", expected.shape, actual.shape):
            return
        has_bytes = not expected.is_meta and not isinstance(expected, FakeTensor)
        if has_bytes and not torch.equal(plain_bytes(expected), plain_bytes(actual)):
            self.found.append(f"{path}: the values differ")


def slots(thing) -> dict:
    """The state of an object that has no `__dict__`."""
    return {name: getattr(thing, name) for name in type(thing).__slots__ if hasattr(thing, name)}


def plain_bytes(tensor: torch.Tensor) -> torch.Tensor:
    """The bytes of the elements in row-major order: NaN and -0.0 compare as what they are."""
    flat = tensor.detach().resolve_conj().resolve_neg().contiguous().reshape(-1)
    return flat.view(torch.uint8) if flat.numel() else torch.empty(0, dtype=torch.uint8)
