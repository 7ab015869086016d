"""A small Llama in Meta's layout, and the same in that of Hugging Face's transformers.

`python make.py [FOLDER]` writes `sample.pt`, and `expected.pt`: what the converter of transformers itself makes of it.
The key sets are those of the two files (`migrate keys`).
"""

import sys
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

WIDTH, HEADS, KV_HEADS, HEAD_DIM, LAYERS, WORDS, HIDDEN = 32, 4, 2, 8, 2, 32, 48

# What the rules are told of it on the command line.
OPTIONS = ["--set", f"head_dim={HEAD_DIM}"]


def linear(ins: int, outs: int) -> nn.Module:
    return nn.Linear(ins, outs, bias=False)


def angles(length: int) -> torch.Tensor:
    """The angle of each place and frequency: [length, HEAD_DIM / 2]."""
    frequencies = 10000.0 ** -(torch.arange(0, HEAD_DIM, 2).float() / HEAD_DIM)
    return torch.outer(torch.arange(length).float(), frequencies)


def rotate_pairs(x: torch.Tensor) -> torch.Tensor:
    """Meta's rotary embedding: neighbours are the two parts of a complex number."""
    turn = torch.polar(torch.ones(()), angles(x.shape[1])).unsqueeze(1)
    return torch.view_as_real(torch.view_as_complex(x.unflatten(-1, (-1, 2))) * turn).flatten(3)


def rotate_halves(x: torch.Tensor) -> torch.Tensor:
    """That of transformers: the parts stand half a head apart."""
    turn = torch.cat([angles(x.shape[1])] * 2, dim=-1).unsqueeze(1)
    first, second = x.chunk(2, dim=-1)
    return x * turn.cos() + torch.cat([-second, first], dim=-1) * turn.sin()


def attend(q, k, v, rotate):
    """Causal attention with grouped queries: [batch, length, heads * HEAD_DIM] each."""
    q, k, v = (x.unflatten(-1, (-1, HEAD_DIM)) for x in (q, k, v))
    q, k, v = (x.transpose(1, 2) for x in (rotate(q), rotate(k), v))
    k, v = (x.repeat_interleave(HEADS // KV_HEADS, dim=1) for x in (k, v))
    return F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2)


# ---------------------------------------------------------------- Meta's layout


class MetaAttention(nn.Module):
    def __init__(self):
        super().__init__()
        self.wq, self.wo = linear(WIDTH, HEADS * HEAD_DIM), linear(HEADS * HEAD_DIM, WIDTH)
        self.wk, self.wv = (linear(WIDTH, KV_HEADS * HEAD_DIM) for _ in range(2))

    def forward(self, x):
        return self.wo(attend(self.wq(x), self.wk(x), self.wv(x), rotate_pairs))


class MetaFeedForward(nn.Module):
    def __init__(self):
        super().__init__()
        self.w1, self.w2, self.w3 = linear(WIDTH, HIDDEN), linear(HIDDEN, WIDTH), linear(WIDTH, HIDDEN)

    def forward(self, x):
        return self.w2(F.silu(self.w1(x)) * self.w3(x))


class MetaBlock(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention, self.feed_forward = MetaAttention(), MetaFeedForward()
        self.attention_norm, self.ffn_norm = nn.RMSNorm(WIDTH, eps=1e-5), nn.RMSNorm(WIDTH, eps=1e-5)

    def forward(self, x):
        x = x + self.attention(self.attention_norm(x))
        return x + self.feed_forward(self.ffn_norm(x))


class MetaLlama(nn.Module):
    def __init__(self):
        super().__init__()
        self.tok_embeddings = nn.Embedding(WORDS, WIDTH)
        self.layers = nn.ModuleList(MetaBlock() for _ in range(LAYERS))
        self.norm = nn.RMSNorm(WIDTH, eps=1e-5)
        self.output = linear(WIDTH, WORDS)

    def forward(self, ids):
        x = self.tok_embeddings(ids)
        for layer in self.layers:
            x = layer(x)
        return self.output(self.norm(x))


# ---------------------------------------------------------------- the layout of transformers


class LlamaAttention(nn.Module):
    def __init__(self):
        super().__init__()
        self.q_proj, self.o_proj = linear(WIDTH, HEADS * HEAD_DIM), linear(HEADS * HEAD_DIM, WIDTH)
        self.k_proj, self.v_proj = (linear(WIDTH, KV_HEADS * HEAD_DIM) for _ in range(2))

    def forward(self, x):
        return self.o_proj(attend(self.q_proj(x), self.k_proj(x), self.v_proj(x), rotate_halves))


class LlamaMLP(nn.Module):
    def __init__(self):
        super().__init__()
        self.gate_proj, self.up_proj = (linear(WIDTH, HIDDEN) for _ in range(2))
        self.down_proj = linear(HIDDEN, WIDTH)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class LlamaDecoderLayer(nn.Module):
    def __init__(self):
        super().__init__()
        self.self_attn, self.mlp = LlamaAttention(), LlamaMLP()
        self.input_layernorm = nn.RMSNorm(WIDTH, eps=1e-5)
        self.post_attention_layernorm = nn.RMSNorm(WIDTH, eps=1e-5)

    def forward(self, x):
        x = x + self.self_attn(self.input_layernorm(x))
        return x + self.mlp(self.post_attention_layernorm(x))


class LlamaModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed_tokens = nn.Embedding(WORDS, WIDTH)
        self.layers = nn.ModuleList(LlamaDecoderLayer() for _ in range(LAYERS))
        self.norm = nn.RMSNorm(WIDTH, eps=1e-5)

    def forward(self, ids):
        x = self.embed_tokens(ids)
        for layer in self.layers:
            x = layer(x)
        return self.norm(x)


class LlamaForCausalLM(nn.Module):
    def __init__(self):
        super().__init__()
        self.model = LlamaModel()
        self.lm_head = linear(WIDTH, WORDS)

    def forward(self, ids):
        return self.lm_head(self.model(ids))


# ---------------------------------------------------------------- from one to the other


def before() -> nn.Module:
    torch.manual_seed(0)
    model = MetaLlama()
    for module in model.modules():
        if isinstance(module, nn.RMSNorm):
            nn.init.uniform_(module.weight, 0.5, 1.5)
    return model


def permute(weight: torch.Tensor, heads: int) -> torch.Tensor:
    """As transformers' convert_llama_weights_to_hf.py has it."""
    rows, columns = weight.shape
    return weight.view(heads, rows // heads // 2, 2, columns).transpose(1, 2).reshape(rows, columns)


def convert(model: nn.Module) -> dict:
    old = model.state_dict()
    new = {"model.embed_tokens.weight": old["tok_embeddings.weight"]}
    for index in range(LAYERS):
        meta, layer = f"layers.{index}", f"model.layers.{index}"
        new |= {
            f"{layer}.self_attn.q_proj.weight": permute(old[f"{meta}.attention.wq.weight"], HEADS),
            f"{layer}.self_attn.o_proj.weight": old[f"{meta}.attention.wo.weight"],
            f"{layer}.self_attn.k_proj.weight": permute(old[f"{meta}.attention.wk.weight"], KV_HEADS),
            f"{layer}.self_attn.v_proj.weight": old[f"{meta}.attention.wv.weight"],
            f"{layer}.mlp.gate_proj.weight": old[f"{meta}.feed_forward.w1.weight"],
            f"{layer}.mlp.up_proj.weight": old[f"{meta}.feed_forward.w3.weight"],
            f"{layer}.mlp.down_proj.weight": old[f"{meta}.feed_forward.w2.weight"],
            f"{layer}.input_layernorm.weight": old[f"{meta}.attention_norm.weight"],
            f"{layer}.post_attention_layernorm.weight": old[f"{meta}.ffn_norm.weight"],
        }
    return new | {"model.norm.weight": old["norm.weight"], "lm_head.weight": old["output.weight"]}


def after() -> nn.Module:
    """The model that the migrated weights are for, with other weights."""
    torch.manual_seed(1)
    return LlamaForCausalLM()


def inputs() -> torch.Tensor:
    return torch.randint(WORDS, (2, 10), generator=torch.Generator().manual_seed(1))


def main(folder: Path) -> None:
    model = before()
    weights = model.state_dict() | {"rope.freqs": angles(2)[1]}  # Meta's files have it, its models make it anew
    torch.save(weights, folder / "sample.pt")
    torch.save(convert(model), folder / "expected.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
