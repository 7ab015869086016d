"""A refactor that moves numbers, not names alone: a small vision transformer, before and after.

Version 1 is written as the first public transformers were: one fused projection, patches through a
linear layer, matrices stored input first, blocks counted from 1. Version 2 is the usual layout of today.
"""

import lightning as L
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from compare import differences

WIDTH, HEADS, PATCH, DEPTH, CLASSES = 48, 4, 8, 3, 5

FORWARD = f"""
let width = {WIDTH}

under model {{
  rename layer{{i}}.* -> blocks.{{i-1}}.*
  split blocks.*.attention.qkv.{{p}} -> blocks.*.attn.{{q,k,v}}_proj.{{p}} dim 0
  rename blocks.*.attention.{{dense|ln}}.* -> blocks.*.{{attn.out_proj|norm1}}.*
  rename blocks.*.ffn.{{ln}}.* -> blocks.*.norm2.*
  transpose blocks.*.ffn.w{{n:1|2}} -> blocks.*.mlp.fc{{n}}.weight
  rename blocks.*.ffn.b{{n:1|2}} -> blocks.*.mlp.fc{{n}}.bias
  reshape patches.weight -> stem.weight to [width, 3, {PATCH}, {PATCH}]
  rename patches.bias -> stem.bias
  fill head.bias value 0
  drop mask_token
}}
"""

BACK = f"""
under model {{
  merge blocks.*.attn.{{q,k,v}}_proj.{{p}} -> blocks.*.attention.qkv.{{p}} dim 0
  rename blocks.*.{{attn.out_proj|norm1|norm2}}.* -> blocks.*.{{attention.dense|attention.ln|ffn.ln}}.*
  transpose blocks.*.mlp.fc{{n:1|2}}.weight -> blocks.*.ffn.w{{n}}
  rename blocks.*.mlp.fc{{n:1|2}}.bias -> blocks.*.ffn.b{{n}}
  reshape stem.weight -> patches.weight to [{WIDTH}, -1]
  rename stem.bias -> patches.bias
  drop head.bias
  fill mask_token value 0      # the model never used it, so it still is what it began as
  rename blocks.{{i}}.* -> layer{{i+1}}.*
}}
"""


def attend(q, k, v):
    """Scaled dot-product attention over heads: [batch, length, width] each."""
    q, k, v = (x.unflatten(-1, (HEADS, -1)).transpose(1, 2) for x in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


# ---------------------------------------------------------------- version 1


class AttentionV1(nn.Module):
    def __init__(self):
        super().__init__()
        self.ln = nn.LayerNorm(WIDTH)
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH)
        self.dense = nn.Linear(WIDTH, WIDTH)

    def forward(self, x):
        return x + self.dense(attend(*self.qkv(self.ln(x)).chunk(3, dim=-1)))


class FeedForwardV1(nn.Module):
    def __init__(self):
        super().__init__()
        self.ln = nn.LayerNorm(WIDTH)
        self.w1 = nn.Parameter(torch.randn(WIDTH, 2 * WIDTH) / WIDTH**0.5)
        self.b1 = nn.Parameter(torch.randn(2 * WIDTH))
        self.w2 = nn.Parameter(torch.randn(2 * WIDTH, WIDTH) / WIDTH**0.5)
        self.b2 = nn.Parameter(torch.randn(WIDTH))

    def forward(self, x):
        return x + F.gelu(self.ln(x) @ self.w1 + self.b1) @ self.w2 + self.b2


class LayerV1(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = AttentionV1()
        self.ffn = FeedForwardV1()

    def forward(self, x):
        return self.ffn(self.attention(x))


class TransformerV1(nn.Module):
    def __init__(self):
        super().__init__()
        self.mask_token = nn.Parameter(torch.zeros(WIDTH))
        self.patches = nn.Linear(3 * PATCH * PATCH, WIDTH)
        for number in range(1, DEPTH + 1):
            self.add_module(f"layer{number}", LayerV1())
        self.head = nn.Linear(WIDTH, CLASSES, bias=False)

    def forward(self, images):
        x = self.patches(F.unfold(images, PATCH, stride=PATCH).transpose(1, 2))
        for number in range(1, DEPTH + 1):
            x = getattr(self, f"layer{number}")(x)
        return self.head(x.mean(dim=1))


# ---------------------------------------------------------------- version 2


class AttentionV2(nn.Module):
    def __init__(self):
        super().__init__()
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (nn.Linear(WIDTH, WIDTH) for _ in range(4))

    def forward(self, x):
        return self.out_proj(attend(self.q_proj(x), self.k_proj(x), self.v_proj(x)))


class MlpV2(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(WIDTH, 2 * WIDTH)
        self.fc2 = nn.Linear(2 * WIDTH, WIDTH)

    def forward(self, x):
        return self.fc2(F.gelu(self.fc1(x)))


class BlockV2(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1, self.attn = nn.LayerNorm(WIDTH), AttentionV2()
        self.norm2, self.mlp = nn.LayerNorm(WIDTH), MlpV2()

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class TransformerV2(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, WIDTH, PATCH, PATCH)
        self.blocks = nn.ModuleList(BlockV2() for _ in range(DEPTH))
        self.head = nn.Linear(WIDTH, CLASSES)

    def forward(self, images):
        x = self.stem(images).flatten(2).transpose(1, 2)
        for block in self.blocks:
            x = block(x)
        return self.head(x.mean(dim=1))


class Classifier(L.LightningModule):
    network: type[nn.Module]

    def __init__(self):
        super().__init__()
        self.model = self.network()

    def forward(self, images):
        return self.model(images)

    def training_step(self, batch, _):
        images, labels = batch
        return F.cross_entropy(self(images), labels)

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=1e-3)


class ClassifierV1(Classifier):
    network = TransformerV1


class ClassifierV2(Classifier):
    network = TransformerV2


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The weights of version 1 after a step of training, as `save_weights_only=True` leaves them."""
    path = tmp_path_factory.mktemp("refactor") / "v1.ckpt"
    L.seed_everything(0, verbose=False)
    batch = torch.randn(4, 3, 32, 32), torch.randint(CLASSES, (4,))
    trainer = L.Trainer(
        max_steps=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(ClassifierV1(), torch.utils.data.DataLoader([batch], batch_size=None))
    trainer.save_checkpoint(path, weights_only=True)
    return path


def key_sets(migrate, folder):
    """Both key sets, from the state dicts of fresh models."""
    for name, version in (("v1", ClassifierV1), ("v2", ClassifierV2)):
        weights = folder / f"{name}-fresh.pt"
        torch.save(version().state_dict(), weights)
        migrate("keys", weights, "-o", folder / f"{name}.keys.yaml", "--name", name)


def test_the_new_layout_computes_the_same(migrate, rules, trained, tmp_path):
    key_sets(migrate, tmp_path)
    path = rules('migration v1 -> v2 "the layout of today"\n' + FORWARD, "v1_to_v2.rules")
    migrate("--rules", path, trained, "-o", tmp_path / "v2.ckpt")

    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    old = ClassifierV1.load_from_checkpoint(trained, map_location="cpu").eval()
    new = ClassifierV2.load_from_checkpoint(tmp_path / "v2.ckpt", map_location="cpu", strict=True).eval()
    with torch.no_grad():
        torch.testing.assert_close(new(images), old(images), rtol=1e-5, atol=1e-6)


def test_the_way_back_gives_the_same_bits(migrate, rules, trained, tmp_path):
    key_sets(migrate, tmp_path)
    forward = rules('migration v1 -> v2 "the layout of today"\n' + FORWARD, "v1_to_v2.rules")
    back = rules('migration v2 -> v1 "as it was"\n' + BACK, "v2_to_v1.rules")
    migrate("--rules", forward, trained, "-o", tmp_path / "v2.ckpt", "--no-record")
    migrate("--rules", back, tmp_path / "v2.ckpt", "-o", tmp_path / "back.ckpt", "--no-record")

    before, after = (torch.load(p, weights_only=True) for p in (trained, tmp_path / "back.ckpt"))
    for module, versions in before["state_dict"]._metadata.items():
        if any(key.rpartition(".")[0] == module for key in before["state_dict"]):
            assert after["state_dict"]._metadata[module] == versions, module
    del before["state_dict"]._metadata, after["state_dict"]._metadata  # those of mere containers may go
    assert not (found := differences(before, after)), "\n".join(found)


def test_through_safetensors_as_well(migrate, rules, trained, tmp_path):
    key_sets(migrate, tmp_path)
    path = rules('migration v1 -> v2 "the layout of today"\n' + FORWARD, "v1_to_v2.rules")
    flat = tmp_path / "v1.safetensors"
    migrate("--rules", rules(), trained, "-o", flat, "--no-target", "--weights-only")
    migrate("--rules", path, flat, "-o", tmp_path / "v2.pt")
    migrate("--rules", path, trained, "-o", tmp_path / "v2.ckpt")
    weights = torch.load(tmp_path / "v2.pt", weights_only=True)
    expected = torch.load(tmp_path / "v2.ckpt", weights_only=True)["state_dict"]
    assert list(weights) == list(expected)
    assert all(torch.equal(weights[key], expected[key]) for key in expected)
