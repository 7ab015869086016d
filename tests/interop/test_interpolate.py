"""`interpolate` against `torch.nn.functional.interpolate`, over its modes, options, sizes and dtypes."""

import itertools

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn.functional import interpolate

FLOATS = [torch.float32, torch.float64, torch.float16, torch.bfloat16]
SIZES = [(1, 1), (1, 7), (2, 5), (5, 2), (7, 1), (7, 7), (7, 14), (14, 7), (13, 37), (37, 13), (14, 224), (224, 16), (100, 99)]
LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}


def options() -> list[tuple[str, int, dict]]:
    """Each mode with each number of dims that it takes, and each setting of its options."""
    found = [(mode, dims, {}) for mode in ("nearest", "nearest-exact", "area") for dims in (1, 2, 3)]
    for mode, dims in [*((LINEAR[dims], dims) for dims in LINEAR), ("bicubic", 2)]:
        for align_corners in (None, False, True):
            for antialias in (False, True) if dims == 2 else (False,):
                given = {} if align_corners is None else {"align_corners": align_corners}
                found.append((mode, dims, given | ({"antialias": True} if antialias else {})))
    return found


def sizes(dims: int) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Old and new sizes of the dims: up, down, and both at once, none of them large together."""
    pairs = [tuple(zip(*pairs)) for pairs in itertools.product(SIZES, repeat=dims)]
    small = [(old, new) for old, new in pairs if max(map(torch.Size.numel, map(torch.Size, (old, new)))) < 4000]
    # Over three dims a part of the grid, the same one each time.
    return small if dims < 3 else small[:: len(small) // 40]


def statement(key: str, dims, to, mode: str, given: dict) -> str:
    words = "".join(f" {name} {str(value).lower()}" for name, value in given.items())
    return f"interpolate {key} dims {list(dims)} to {list(to)} mode {mode}{words}"


def expected(tensor: torch.Tensor, to, mode: str, given: dict) -> torch.Tensor:
    """What torch makes of a tensor whose first two dims are a batch; narrow floats with one rounding."""
    # In f64, torch's two kernels for `nearest-exact` disagree about elements at equal distances.
    wide = tensor if tensor.dtype == torch.float64 and "nearest" not in mode else tensor.float()
    if given.get("antialias") and to[-1] == 1:
        # To one column, torch 2.11 looks at the first row only; to one row, at all of the columns.
        turned = interpolate(wide.mT.contiguous(), size=to[::-1], mode=mode, **given).mT
        return turned.to(tensor.dtype)
    return interpolate(wide, size=to, mode=mode, **given).to(tensor.dtype)


def assert_close(made: torch.Tensor, wanted: torch.Tensor, what: str):
    """Equal up to a millionth of the largest value; torch's own sums in f32 are no better than that."""
    assert (made.dtype, made.shape) == (wanted.dtype, wanted.shape), what
    scale = {torch.float32: 1e-6, torch.float64: 1e-13}.get(made.dtype, torch.finfo(made.dtype).eps)
    off = (made.double() - wanted.double()).abs().max().item()
    assert off <= scale * max(wanted.abs().max().item(), 1), f"{what}: off by {off:.3g}"


def name(case) -> str:
    mode, dims, given = case
    return "-".join([mode, f"{dims}d", *(f"{key}={value}" for key, value in given.items())])


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("case", options(), ids=name)
def test_as_torch(migrate, rules, tmp_path, case, dtype):
    mode, dims, given = case
    noise = torch.Generator().manual_seed(7)
    tensors, lines, wanted = {}, [], {}
    for number, (old, new) in enumerate(sizes(dims)):
        if given.get("antialias") and new == (1, 1):
            continue  # see `expected`
        key = f"t{number}"
        tensors[key] = torch.randn(1, 2, *old, generator=noise).to(dtype)
        lines.append(statement(key, range(2, 2 + dims), new, mode, given))
        wanted[key] = (expected(tensors[key], new, mode, given), f"{old} to {new}")
    source, out = tmp_path / "in.safetensors", tmp_path / "out.safetensors"
    save_file(tensors, source)
    migrate("--rules", rules("\n".join(lines)), source, "-o", out, "--no-target")
    made = load_file(out)
    assert made.keys() == wanted.keys()
    for key, (tensor, what) in wanted.items():
        assert_close(made[key], tensor, what)


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact"])
def test_nearest_is_exact_for_any_dtype(migrate, rules, tmp_path, mode):
    """Bytes are moved as they are, payloads of NaNs among them; torch itself takes floats and bytes only."""
    noise = torch.Generator().manual_seed(1)
    bits = torch.randint(-(2**63), 2**63 - 1, (13, 5), generator=noise)
    dtypes = [torch.int64, torch.float64, torch.int32, torch.float32, torch.float16, torch.bfloat16, torch.int8]
    tensors = {str(dtype): bits.view(dtype)[:, :5].clone() for dtype in dtypes}
    tensors |= {"bool": bits > 0, "complex": torch.randn(13, 5, dtype=torch.complex64, generator=noise)}
    source, out = tmp_path / "in.safetensors", tmp_path / "out.safetensors"
    save_file(tensors, source)
    line = statement("*", [0, 1], (29, 3), mode, {})
    migrate("--rules", rules(line), source, "-o", out, "--no-target")
    rows = interpolate(torch.arange(13.0)[None, None], 29, mode=mode).long().flatten()
    columns = interpolate(torch.arange(5.0)[None, None], 3, mode=mode).long().flatten()
    for key, tensor in load_file(out).items():
        wanted = tensors[key][rows][:, columns].contiguous()
        assert torch.equal(tensor.view(torch.uint8), wanted.view(torch.uint8)), key


def test_the_position_embedding_of_a_vision_transformer(migrate, rules, tmp_path):
    """The class token stays, and the 14 × 14 patches become 16 × 16, as the usual Python does it."""
    noise = torch.Generator().manual_seed(2)
    pos = torch.randn(1, 197, 24, generator=noise)
    grid = pos[:, 1:].reshape(1, 14, 14, 24).permute(0, 3, 1, 2)
    grid = interpolate(grid, size=(16, 16), mode="bicubic", antialias=True)
    wanted = torch.cat([pos[:, :1], grid.permute(0, 2, 3, 1).reshape(1, 256, 24)], dim=1)
    source, out = tmp_path / "in.pt", tmp_path / "out.pt"
    torch.save({"pos_embed": pos}, source)
    text = """
        split pos_embed -> {token,patches} dim 1 sizes [1, -1]
        reshape patches to [1, 14, 14, -1]
        interpolate patches dims [1, 2] to [16, 16] mode bicubic antialias true
        reshape patches to [1, 256, -1]
        merge {token,patches} -> pos_embed dim 1
    """
    migrate("--rules", rules(text), source, "-o", out, "--no-target")
    assert_close(torch.load(out)["pos_embed"], wanted, "pos_embed")


def test_dims_in_any_place_and_order(migrate, rules, tmp_path):
    tensor = torch.randn(6, 3, 4, 5, generator=torch.Generator().manual_seed(3))
    source, out = tmp_path / "in.safetensors", tmp_path / "out.safetensors"
    save_file({"a": tensor, "b": tensor.permute(3, 2, 1, 0).contiguous()}, source)
    text = """
        interpolate a dims [-1, 0] to [9, 2] mode bilinear
        interpolate b dims [3, 0] to [2, 9] mode bilinear
    """
    migrate("--rules", rules(text), source, "-o", out, "--no-target")
    made = load_file(out)
    wanted = interpolate(tensor.permute(1, 2, 0, 3).contiguous(), size=(2, 9), mode="bilinear").permute(2, 0, 1, 3)
    assert_close(made["a"], wanted, "a")
    assert_close(made["b"], wanted.permute(3, 2, 1, 0), "b")


def test_the_strides_of_the_source_do_not_matter(migrate, rules, tmp_path):
    tensor = torch.randn(8, 3, 6, generator=torch.Generator().manual_seed(4)).permute(1, 0, 2)[:, ::2]
    source, out = tmp_path / "in.pt", tmp_path / "out.pt"
    torch.save({"a": tensor}, source)
    migrate("--rules", rules("interpolate a -> b dims [2] to [11] mode linear"), source, "-o", out, "--no-target")
    assert_close(torch.load(out)["b"], interpolate(tensor.contiguous(), size=11, mode="linear"), "b")


def test_at_its_own_size_a_tensor_is_left_as_it_is(migrate, rules, tmp_path):
    tensor = torch.tensor([[1.0, float("inf")], [float("nan"), -0.0]])
    source, out = tmp_path / "in.safetensors", tmp_path / "out.safetensors"
    save_file({"a": tensor}, source)
    line = "interpolate a dims [0, 1] to [2, 2] mode bicubic antialias true"
    migrate("--rules", rules(line), source, "-o", out, "--no-target")
    assert torch.equal(load_file(out)["a"].view(torch.int32), tensor.view(torch.int32))
