"""Each verb on tensors against what torch computes: random shapes, all dtypes, views and shared storage."""

import math
import random

import pytest
import torch

from compare import plain_bytes

FLOATS = [torch.float32, torch.float16, torch.bfloat16, torch.float64]
DTYPES = [*FLOATS, torch.int64]
SEEDS = range(3)


class Noise:
    """Random tensors of one dtype, half of them views that are not contiguous."""

    def __init__(self, seed, dtype):
        self.dice = random.Random(seed)
        self.torch = torch.Generator().manual_seed(seed)
        self.dtype = dtype

    def size(self, least=1, most=7):
        return self.dice.randint(least, most)

    def tensor(self, *shape):
        def plain(*shape):
            if self.dtype.is_floating_point:
                return torch.randn(shape, generator=self.torch, dtype=torch.float64).to(self.dtype)
            return torch.randint(-100, 100, shape, generator=self.torch, dtype=self.dtype)

        match self.dice.randrange(4) if shape else 0:
            case 1:  # transposed
                return plain(*reversed(shape)).permute(*reversed(range(len(shape))))
            case 2:  # every second row of a larger storage
                return plain(2 * shape[0], *shape[1:])[1::2]
            case 3:  # a part of a larger storage
                return plain(shape[0] + 2, *shape[1:])[1:-1]
        return plain(*shape)


@pytest.fixture
def run(migrate, rules, tmp_path):
    """Saves tensors with torch, runs rules, and gives the tensors that torch loads."""

    def run(text, tensors, **options):
        source, out = tmp_path / "in.pt", tmp_path / "out.pt"
        torch.save(tensors, source)
        migrate("--rules", rules(text), source, "-o", out, "--no-target", "--no-record", "--force", **options)
        return torch.load(out, weights_only=True)

    return run


def assert_equal(found: dict, **expected):
    """Dtype, shape and every bit, so that NaN and -0.0 count as what they are."""
    assert set(found) == {key.replace("__", ".") for key in expected}
    for key, wanted in expected.items():
        own = found[key.replace("__", ".")]
        assert (own.dtype, own.shape) == (wanted.dtype, wanted.shape), key
        assert torch.equal(plain_bytes(own), plain_bytes(wanted)), f"{key}: {own} is not {wanted}"


def over(dtypes):
    """Runs a test for each dtype and seed."""
    names = [str(dtype).removeprefix("torch.") for dtype in dtypes]

    def decorate(test):
        test = pytest.mark.parametrize("dtype", dtypes, ids=names)(test)
        return pytest.mark.parametrize("seed", SEEDS)(test)

    return decorate


# ---------------------------------------------------------------- joins and parts


@over(DTYPES)
def test_stack_and_unstack(run, seed, dtype):
    noise = Noise(seed, dtype)
    shape = [noise.size() for _ in range(noise.size(0, 3))]
    count, dim = noise.size(2, 12), noise.dice.randint(-len(shape) - 1, len(shape))
    parts = [noise.tensor(*shape) for _ in range(count)]
    tensors = {f"e.{index}.w": part for index, part in enumerate(parts)}
    # The order of the keys is no order of the index.
    noise.dice.shuffle(keys := list(tensors))
    joined = run(f"stack e.{{e}}.w -> w over e dim {dim}", {key: tensors[key] for key in keys})
    assert_equal(joined, w=torch.stack(parts, dim))

    whole = noise.tensor(*torch.stack(parts, dim).shape)
    apart = run(f"unstack w -> e.{{e}}.w over e dim {dim}", {"w": whole})
    assert_equal(apart, **{f"e__{index}__w": part for index, part in enumerate(whole.unbind(dim))})


@over(DTYPES)
def test_merge_and_split(run, seed, dtype):
    noise = Noise(seed, dtype)
    shape, dim = [noise.size() for _ in range(3)], noise.dice.randint(-3, 2)
    parts = []
    for _ in range(3):
        shape[dim] = noise.size()
        parts.append(noise.tensor(*shape))
    tensors = dict(zip("qkv", parts))
    assert_equal(run(f"merge {{q,k,v}} -> qkv dim {dim}", tensors), qkv=torch.cat(parts, dim))
    sizes = [part.shape[dim] for part in parts]
    whole = noise.tensor(*torch.cat(parts, dim).shape)
    q, k, v = whole.split(sizes, dim)
    assert_equal(run(f"split qkv -> {{q,k,v}} dim {dim} sizes {sizes}", {"qkv": whole}), q=q, k=k, v=v)


@over(DTYPES)
def test_unify(run, seed, dtype):
    noise = Noise(seed, dtype)
    norm = noise.tensor(noise.size(), noise.size())
    # Equal elements in unlike strides are equal.
    ranks = {f"r{rank}.norm": norm.clone() if rank % 2 else norm for rank in range(3)}
    assert_equal(run("unify r{r}.norm -> norm over r", ranks), norm=norm)


# ---------------------------------------------------------------- layouts


@over(DTYPES)
def test_rearrange(run, seed, dtype):
    noise = Noise(seed, dtype)
    h, d, i = noise.size(), noise.size(), noise.size()
    q = noise.tensor(h * d * 2, i)
    halves = q.reshape(h, d, 2, i).transpose(1, 2).reshape(-1, i)
    assert_equal(run(f'rearrange q by "(h d two) i -> (h two d) i" with h={h}, two=2', {"q": q}), q=halves)

    x = noise.tensor(h, d * 3, i, 2)
    rule = f'rearrange x by "a (b three) ... -> ... (three a) b" with three=3'
    wanted = x.reshape(h, d, 3, i, 2).permute(3, 4, 2, 0, 1).reshape(i, 2, 3 * h, d)
    assert_equal(run(rule, {"x": x}), x=wanted)

    y = noise.tensor(h, 1, d)
    assert_equal(run('rearrange y by "a 1 b -> b 1 a 1"', {"y": y}), y=y[:, 0].t()[:, None, :, None])


@over(DTYPES)
def test_slice_pad_and_flip(run, seed, dtype):
    noise = Noise(seed, dtype)
    a, b = noise.size(2), noise.size(2)
    x = noise.tensor(a, b, 3)
    start, end = noise.dice.randrange(a), noise.dice.randint(1, b)
    assert_equal(run(f"slice x at [{start}:, :{end}]", {"x": x}), x=x[start:, :end])
    assert_equal(run(f"slice x at [:-1, -{end}:, 1:2]", {"x": x}), x=x[:-1, -end:, 1:2])

    more, value = noise.size(0), noise.dice.randint(-5, 5)
    padded = torch.nn.functional.pad(x, (0, 1, 0, 0, 0, more), value=value)
    assert_equal(run(f"pad x to [{a + more}, {b}, 4] value {value}", {"x": x}), x=padded)

    dim = noise.dice.randint(-3, 2)
    assert_equal(run(f"flip x dim {dim}", {"x": x}), x=x.flip(dim))


@over(DTYPES)
def test_select_and_repeat(run, seed, dtype):
    noise = Noise(seed, dtype)
    x = noise.tensor(noise.size(), noise.size(2), noise.size())
    dim = noise.dice.randint(-3, 2)
    places = [noise.dice.randint(-x.shape[dim], x.shape[dim] - 1) for _ in range(noise.size())]
    picked = x.index_select(dim, torch.tensor([place % x.shape[dim] for place in places]))
    assert_equal(run(f"select x at {places} dim {dim}", {"x": x}), x=picked)
    rolled = torch.cat([x[:, 1:], x[:, :1]], 1)
    assert_equal(run("select x at [1:, :1] dim 1", {"x": x}), x=rolled)

    by = noise.size()
    tiled = torch.cat([x] * by, dim)
    assert_equal(run(f"repeat x by {by} dim {dim}", {"x": x}), x=tiled)


@over(DTYPES)
def test_each_head_by_itself(run, seed, dtype):
    """Grouped-query attention: k has fewer heads than q, and each is repeated as `repeat_interleave` does."""
    noise = Noise(seed, dtype)
    heads, groups, width, i = noise.size(), noise.size(), noise.size(), noise.size()
    k = noise.tensor(heads * width, i)
    rules = f"""
        reshape k to [{heads}, 1, {width}, shape[1]]
        repeat k by {groups} dim 1
        reshape k to [-1, shape[3]]
    """
    wanted = k.reshape(heads, width, i).repeat_interleave(groups, 0).reshape(-1, i)
    assert_equal(run(rules, {"k": k}), k=wanted)


@over(DTYPES)
def test_a_chain_of_layouts(run, seed, dtype):
    noise = Noise(seed, dtype)
    a, b, c = (noise.size(2) for _ in range(3))
    x, y = noise.tensor(a, b, c), noise.tensor(a, b, c)
    rules = """
        stack x, y -> z dim 1
        permute z dims [3, 1, 0, 2]
        flip z dim 0
        slice z at [1:, :, :, :-1]
        rearrange z by "a b c d -> (d b) (a c)"
        select z at [1:, 0] dim 0
        transpose z
    """
    z = torch.stack([x, y], 1).permute(3, 1, 0, 2).flip(0)[1:, :, :, :-1]
    z = z.permute(3, 1, 0, 2).reshape((b - 1) * 2, (c - 1) * a)
    assert_equal(run(rules, {"x": x, "y": y}), z=torch.cat([z[1:], z[:1]]).t())


# ---------------------------------------------------------------- values


def once(value: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """An f64 result in a dtype, rounded once: torch itself goes from f64 to f16 and bf16 through f32."""
    if dtype in (torch.float64, torch.float32):
        return value.to(dtype)
    # To f32 by rounding to odd, after which the second rounding is as one.
    near = value.to(torch.float32)
    low = torch.where(near.double() > value, torch.nextafter(near, torch.tensor(-math.inf)), near)
    high = torch.where(near.double() < value, torch.nextafter(near, torch.tensor(math.inf)), near)
    odd = torch.where(low.view(torch.int32) & 1 == 1, low, high)
    return torch.where(near.double() == value, near, odd).to(dtype)


@over(FLOATS)
def test_scale_and_offset(run, seed, dtype):
    noise = Noise(seed, dtype)
    x = noise.tensor(noise.size(), 50)
    by = noise.dice.uniform(-3, 3)
    assert_equal(run(f"scale x by {by!r}", {"x": x}), x=once(x.double() * by, dtype))
    assert_equal(run(f"offset x by {by!r}", {"x": x}), x=once(x.double() + by, dtype))
    assert_equal(run("scale x by 1/sqrt(80)", {"x": x}), x=once(x.double() * (1 / math.sqrt(80)), dtype))


@over(FLOATS)
def test_lora(run, seed, dtype):
    noise = Noise(seed, dtype)
    o, i, r, alpha = noise.size(), noise.size(), noise.size(), noise.size(1, 32)
    tensors = {"fc.weight": noise.tensor(o, i), "fc.b": noise.tensor(o, r), "fc.a": noise.tensor(r, i)}
    rules = f"""
        let alpha = {alpha}
        let r = {r}
        compute *.weight = *.weight + (alpha / r) * (*.b @ *.a)
    """
    w, b, a = (tensor.double() for tensor in tensors.values())
    # Row by column in order, as f64 sums depend on it.
    product = sum((b[:, [k]] * a[[k]] for k in range(r)), torch.zeros(o, i, dtype=torch.float64))
    assert_equal(run(rules, tensors), fc__weight=once(w + (alpha / r) * product, dtype))


@over(FLOATS)
def test_weight_norm(run, seed, dtype):
    """What `remove_weight_norm` makes of g and v, for a convolution with its norm over all dims but the first."""
    noise = Noise(seed, dtype)
    o, i, k = noise.size(), noise.size(), noise.size()
    tensors = {"c.g": noise.tensor(o, 1, 1), "c.v": noise.tensor(o, i, k)}
    found = run("compute *.weight = *.g * *.v / norm(*.v, dims [1, 2])", tensors)["c.weight"]
    g, v = (tensor.double() for tensor in tensors.values())
    exact = g * v / v.norm(dim=(1, 2), keepdim=True)
    assert found.dtype == dtype
    # The order in which squares are added is not torch's: equal to a unit in the last place of f64.
    assert torch.allclose(found.double(), once(exact, dtype).double(), rtol=2 * torch.finfo(dtype).eps, atol=0)
    reference = torch._weight_norm(tensors["c.v"].double(), tensors["c.g"].double(), 0)
    assert torch.allclose(found.double(), reference, rtol=2 * torch.finfo(dtype).eps, atol=1e-300)


@over(FLOATS)
def test_average_of_two_checkpoints(migrate, rules, tmp_path, seed, dtype):
    noise = Noise(seed, dtype)
    shapes = {"a.weight": (noise.size(), noise.size()), "b.bias": (noise.size(),)}
    dicts = [{key: noise.tensor(*shape) for key, shape in shapes.items()} for _ in range(2)]
    for name, tensors in zip("xy", dicts):
        torch.save(tensors, tmp_path / f"{name}.pt")
    out = tmp_path / "mean.pt"
    rule = rules("compute ** = 0.75 * x.** + 0.25 * y.**")
    migrate("--rules", rule, f"x={tmp_path / 'x.pt'}", f"y={tmp_path / 'y.pt'}", "-o", out, "--no-target")
    found = torch.load(out, weights_only=True)
    x, y = dicts
    mean = {key: once(0.75 * x[key].double() + 0.25 * y[key].double(), dtype) for key in x}
    assert_equal({key: found[key] for key in x}, **{key.replace(".", "__"): mean[key] for key in mean})


@over(FLOATS)
def test_broadcasting(run, seed, dtype):
    noise = Noise(seed, dtype)
    full = [noise.size(2) for _ in range(4)]

    def stretched():
        """A shape that broadcasts to `full`: some dims 1, some of the first left out."""
        shape = [size if noise.dice.random() < 0.6 else 1 for size in full]
        return shape[noise.dice.randrange(len(shape)):]

    tensors = {name: noise.tensor(*stretched()) for name in "abc"}
    a, b, c = (tensor.double() for tensor in tensors.values())
    assert_equal(run("compute z = a * b - c", tensors), z=once(a * b - c, dtype))


@over(FLOATS)
def test_reductions_and_products(run, seed, dtype):
    noise = Noise(seed, dtype)
    x = noise.tensor(noise.size(), noise.size(), noise.size())
    exact = x.double()
    dim = noise.dice.randint(-3, 2)
    for name in ("sum", "mean"):
        found = run(f"compute z = {name}(x, dim {dim})", {"x": x})["z"]
        wanted = getattr(exact, name)(dim, keepdim=True)
        assert found.shape == wanted.shape
        assert torch.allclose(found.double(), wanted, rtol=2 * torch.finfo(dtype).eps, atol=1e-12)
    y = noise.tensor(x.shape[0], x.shape[2], noise.size())
    found = run("compute z = transpose(x @ y)", {"x": x, "y": y})["z"]
    wanted = (exact @ y.double()).transpose(1, 2)
    assert found.shape == wanted.shape
    assert torch.allclose(found.double(), wanted, rtol=2 * torch.finfo(dtype).eps, atol=1e-12)


# ---------------------------------------------------------------- names of one tensor


def shared(tensors: dict, *keys) -> bool:
    return len({tensors[key].untyped_storage().data_ptr() for key in keys}) == 1


@over(DTYPES)
def test_tie_and_untie(run, seed, dtype):
    noise = Noise(seed, dtype)
    embed = noise.tensor(noise.size(), noise.size())
    tied = run("tie embed -> head", {"embed": embed})
    assert_equal(tied, embed=embed, head=embed)
    assert shared(tied, "embed", "head")

    apart = run("untie head", {"embed": embed, "head": embed})
    assert_equal(apart, embed=embed, head=embed)
    assert not shared(apart, "embed", "head")

    again = run("tie embed -> head", {"embed": embed, "head": embed.clone()})
    assert_equal(again, embed=embed, head=embed)
    assert shared(again, "embed", "head")


@pytest.mark.parametrize("rule", ["cast ** to f16", "scale ** by 2", "transpose **", "rename * -> m.*"])
def test_names_of_one_tensor_stay_so(run, rule):
    embed = torch.randn(3, 4)
    found = run(rule, {"embed": embed, "head": embed, "other": embed.clone()})
    keys = list(found)
    assert shared(found, *keys[:2]) and not shared(found, *keys)


def test_one_name_of_two_is_not_changed_alone(migrate, rules, tmp_path):
    embed = torch.randn(3, 4)
    torch.save({"embed": embed, "head": embed}, tmp_path / "in.pt")
    run = [tmp_path / "in.pt", "-o", tmp_path / "out.pt", "--no-target"]
    refused = migrate("--rules", rules("transpose head"), *run, expect=1)
    assert "tied-apart" in refused.err and "`untie`" in refused.err
    assert not (tmp_path / "out.pt").exists()

    migrate("--rules", rules("untie head\ntranspose head"), *run)
    found = torch.load(tmp_path / "out.pt", weights_only=True)
    assert torch.equal(found["head"], embed.t()) and torch.equal(found["embed"], embed)
