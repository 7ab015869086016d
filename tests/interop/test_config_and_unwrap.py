"""A model's configuration in the rules, and a state dict taken out of its file."""

import json

import torch
from safetensors.torch import load_file


def test_rules_use_the_configuration(migrate, rules, tmp_path):
    heads, dim = 4, 8
    torch.save({"q.weight": torch.randn(heads * dim, 3)}, tmp_path / "in.pt")
    config = {"num_heads": heads, "vision": {"dim": dim, "act": "gelu"}, "layers": [1, 2], "none": None}
    (tmp_path / "config.json").write_text(json.dumps(config))
    text = "reshape q.weight to [config.num_heads, config.vision.dim, -1] where config.layers[1] == 2"
    run = ["--rules", rules(text), "in.pt", "-o", "out.pt", "--no-target"]
    migrate(*run, "--config", "config.json")
    assert torch.load(tmp_path / "out.pt")["q.weight"].shape == (heads, dim, 3)

    done = migrate(*run, "--force", expect=2)
    assert "`config.num_heads` is a value of the model's configuration" in done.err
    assert "--config config.json" in done.err
    (tmp_path / "config.json").write_text(json.dumps({"num_head": 4}))
    done = migrate(*run, "--force", "--config", "config.json", expect=2)
    assert "did you mean `config.num_head`" in done.err
    (tmp_path / "config.json").write_text("[]")
    assert "no JSON object" in migrate(*run, "--force", "--config", "config.json", expect=2).err


def test_unwrap_makes_the_dict_the_whole_output(migrate, rules, tmp_path):
    weights = {"enc.w": torch.randn(2)}
    torch.save({"model_state": weights, "ema": {"enc.w": torch.zeros(2)}, "epoch": 3}, tmp_path / "in.pt")
    text = "unwrap model_state\nrename enc.* -> encoder.*"
    run = ["--rules", rules(text), "in.pt", "--no-target"]
    plan = migrate("plan", *run)
    assert "left out: ema, epoch" in plan.out
    for name, load in (("out.pt", torch.load), ("out.safetensors", load_file)):
        done = migrate(*run, "-o", name)
        assert "left out: ema, epoch" in done.err
        out = load(tmp_path / name)
        assert list(out) == ["encoder.w"] and torch.equal(out["encoder.w"], weights["enc.w"])
    text = "unwrap model_state\nset epoch = 4"
    done = migrate("--rules", rules(text), "in.pt", "--no-target", "-o", "x.pt", expect=2)
    assert "leaves out" in done.err
