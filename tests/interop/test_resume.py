"""Training goes on in the refactored model from the migrated file as if it had never stopped."""

import copy

import pytest
import torch
from torch import nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_state_dict, set_state_dict

BEFORE, AFTER = 3, 4


class Old(nn.Module):
    """Attention with one fused projection, two branches, a convolution and a head."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Conv1d(6, 8, 1)
        self.bn = nn.BatchNorm1d(8)
        self.q = nn.Linear(8, 8)
        self.k = nn.Linear(8, 8)
        self.v = nn.Linear(8, 8)
        self.head = nn.Linear(8, 3)

    def project(self, x):
        return self.q(x), self.k(x), self.v(x)

    def forward(self, x):
        x = self.bn(self.embed(x.unsqueeze(-1)).squeeze(-1))
        q, k, v = self.project(x)
        return self.head(torch.relu(q) * torch.sigmoid(k) + v)


class Renamed(Old):
    """Other names in another order, so that every parameter has another number."""

    def __init__(self):
        nn.Module.__init__(self)
        self.classifier = nn.Linear(8, 3)
        self.value = nn.Linear(8, 8)
        self.key = nn.Linear(8, 8)
        self.query = nn.Linear(8, 8)
        self.stem = nn.Sequential(nn.Conv1d(6, 8, 1), nn.BatchNorm1d(8))

    def forward(self, x):
        x = self.stem[1](self.stem[0](x.unsqueeze(-1)).squeeze(-1))
        return self.classifier(torch.relu(self.query(x)) * torch.sigmoid(self.key(x)) + self.value(x))


class Fused(Old):
    """One projection for q, k and v, and a linear layer in the place of the convolution."""

    def __init__(self):
        nn.Module.__init__(self)
        self.qkv = nn.Linear(8, 24)
        self.embed = nn.Linear(6, 8)
        self.bn = nn.BatchNorm1d(8)
        self.head = nn.Linear(8, 3)

    def project(self, x):
        return self.qkv(x).chunk(3, -1)

    def forward(self, x):
        q, k, v = self.project(self.bn(self.embed(x)))
        return self.head(torch.relu(q) * torch.sigmoid(k) + v)


RENAME = """
rename {
  head.* -> classifier.*
  {q|k|v}.* -> {query|key|value}.*
  embed.* -> stem.0.*
  bn.* -> stem.1.*
}
"""
FUSE = """
merge {q,k,v}.* -> qkv.* dim 0
reshape embed.weight to [shape[0], shape[1]]
"""
SPLIT = """
split qkv.* -> {q,k,v}.* dim 0
reshape embed.weight to [shape[0], shape[1], 1]
"""


class Lion(torch.optim.Optimizer):
    """The sign of a moving average (Chen et al. 2023), with `exp_avg` alone."""

    def __init__(self, params, lr=1e-3):
        super().__init__(params, {"lr": lr, "betas": (0.9, 0.99)})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                average = state.setdefault("exp_avg", torch.zeros_like(p))
                update = average * group["betas"][0] + p.grad * (1 - group["betas"][0])
                p.add_(update.sign(), alpha=-group["lr"])
                average.lerp_(p.grad, 1 - group["betas"][1])


OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True, weight_decay=1e-3),
    "sgd without momentum": lambda p: torch.optim.SGD(p, lr=0.05),
    "adam": lambda p: torch.optim.Adam(p, lr=0.01),
    "adamw amsgrad": lambda p: torch.optim.AdamW(p, lr=0.01, amsgrad=True),
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=0.05),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.01, momentum=0.5, centered=True),
    "lion": lambda p: Lion(p, lr=0.003),
}
PAIRS = {
    "renamed and reordered": (Old, Renamed, RENAME),
    "fused": (Old, Fused, FUSE),
    "split": (Fused, Old, SPLIT),
}


def batches(count):
    generator = torch.Generator().manual_seed(11)
    return [(torch.randn(5, 6, generator=generator), torch.randn(5, 3, generator=generator)) for _ in range(count)]


def train(model, optimizer, data):
    losses = []
    for x, y in data:
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def params(model, how):
    """What the optimizer gets: all parameters, or two groups by decay, or named ones."""
    if how == "one group":
        return list(model.parameters())
    if how == "named":
        return list(model.named_parameters())
    decay = [p for p in model.parameters() if p.ndim > 1]
    rest = [p for p in model.parameters() if p.ndim <= 1]
    return [{"params": decay, "weight_decay": 0.01}, {"params": rest, "weight_decay": 0.0}]


@pytest.mark.parametrize("how", ["one group", "two groups", "named"])
@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_losses_go_on_as_if_training_had_never_stopped(migrate, rules, tmp_path, name, pair, how):
    old_class, new_class, text = PAIRS[pair]
    torch.manual_seed(0)
    model = old_class()
    optimizer = OPTIMIZERS[name](params(model, how))
    data = batches(BEFORE + AFTER)
    train(model, optimizer, data[:BEFORE])
    # What the optimizer holds is passed on by reference: the file is written before training goes on.
    checkpoint = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3}
    torch.save(copy.deepcopy(checkpoint), tmp_path / "old.pt")
    torch.save(new_class().state_dict(), tmp_path / "target.pt")
    expected = train(model, optimizer, data[BEFORE:])

    run = ["--rules", rules(text), "old.pt", "-o", "new.pt", "--target", "target.pt"]
    if (name, how) == ("sgd without momentum", "two groups"):
        # Without moments there are no shapes that would tell which parameter is in which group.
        assert "error[optimizer-ambiguous]" in migrate(*run, expect=1).err
        return
    done = migrate(*run)
    assert "optimizer state follows: optimizer" in done.err
    loaded = torch.load(tmp_path / "new.pt", weights_only=True)
    resumed = new_class()
    resumed.load_state_dict(loaded["model"])
    optimizer = OPTIMIZERS[name](params(resumed, how))
    optimizer.load_state_dict(loaded["optimizer"])
    if how == "named":
        names = [group["param_names"] for group in optimizer.state_dict()["param_groups"]]
        assert loaded["optimizer"]["param_groups"][0]["param_names"] == names[0]
    found = train(resumed, optimizer, data[BEFORE:])
    assert found == pytest.approx(expected, rel=1e-5 if pair != "renamed and reordered" else 0, abs=1e-7)


def test_loading_the_old_state_gives_wrong_moments_in_silence(migrate, rules, tmp_path):
    """Plain renaming of the weights alone pairs moments with other parameters; ours does not."""
    old_class, new_class, text = PAIRS["renamed and reordered"]
    torch.manual_seed(0)
    model = old_class()
    optimizer = OPTIMIZERS["adam"](model.parameters())
    data = batches(BEFORE + AFTER)
    train(model, optimizer, data[:BEFORE])
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "old.pt")
    torch.save(new_class().state_dict(), tmp_path / "target.pt")
    migrate("--rules", rules(text), "old.pt", "-o", "new.pt", "--target", "target.pt")
    loaded = torch.load(tmp_path / "new.pt", weights_only=True)["optimizer"]["state"]
    by_name = dict(zip([name for name, _ in new_class().named_parameters()], loaded.values()))
    plain = dict(zip(by_name, optimizer.state_dict()["state"].values()))
    assert torch.equal(by_name["query.weight"]["exp_avg"], optimizer.state[model.q.weight]["exp_avg"])
    assert torch.equal(by_name["value.weight"]["exp_avg"], optimizer.state[model.v.weight]["exp_avg"])
    assert not torch.equal(plain["value.weight"]["exp_avg"], optimizer.state[model.v.weight]["exp_avg"])


@pytest.fixture
def trained(tmp_path):
    torch.manual_seed(0)
    model = Old()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    train(model, optimizer, batches(2))
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "old.pt")
    return model, optimizer


def test_scaled_weights_have_scaled_moments(migrate, rules, tmp_path, trained):
    model, optimizer = trained
    text = "scale q.weight by 4\nrename head.* -> classifier.*"
    migrate("--rules", rules(text), "old.pt", "-o", "new.pt", "--no-target")
    state = torch.load(tmp_path / "new.pt", weights_only=True)["optimizer"]["state"]
    number = [name for name, _ in model.named_parameters()].index("q.weight")
    source = optimizer.state[model.q.weight]
    assert torch.equal(state[number]["exp_avg"], source["exp_avg"] / 4)
    assert torch.equal(state[number]["exp_avg_sq"], source["exp_avg_sq"] / 16)


def test_a_new_parameter_has_no_state_and_a_dropped_one_loses_its_own(migrate, rules, tmp_path, trained):
    model, optimizer = trained
    text = "drop v.bias\nfill head.bias -> head.scale value 1"
    migrate("--rules", rules(text), "old.pt", "-o", "new.pt", "--no-target")
    loaded = torch.load(tmp_path / "new.pt", weights_only=True)
    names = [key for key in loaded["model"] if not key.startswith("bn.") or key.endswith(("weight", "bias"))]
    (group,) = loaded["optimizer"]["param_groups"]
    assert group["params"] == list(range(len(names)))
    assert set(group["params"]) - set(loaded["optimizer"]["state"]) == {names.index("head.scale")}
    for name, parameter in model.named_parameters():
        if name != "v.bias":
            state = loaded["optimizer"]["state"][names.index(name)]
            assert torch.equal(state["exp_avg"], optimizer.state[parameter]["exp_avg"])


def test_copies_do_not_share_state(migrate, rules, tmp_path, trained):
    text = "copy q.* -> twin.*"
    migrate("--rules", rules(text), "old.pt", "-o", "new.pt", "--no-target")
    state = torch.load(tmp_path / "new.pt", weights_only=True)["optimizer"]["state"]
    storages = [value.data_ptr() for values in state.values() for value in values.values()]
    assert len(set(storages)) == len(storages)


@pytest.mark.parametrize("how", ["--optimizer", "directive"])
def test_optimizer_drop_leaves_the_state_out(migrate, rules, tmp_path, trained, how):
    text = "offset q.weight by 1.0"
    run = ["--rules", rules(text), "old.pt", "-o", "new.pt", "--no-target", "--no-record"]
    done = migrate(*run, expect=1)
    assert "error[optimizer-state]: `q.weight` is made by an offset" in done.err
    assert "optimizer drop" in done.err and not (tmp_path / "new.pt").exists()
    if how == "directive":
        migrate("--rules", rules(text + "\noptimizer drop"), *run[2:])
    else:
        migrate(*run, "--optimizer", "drop")
    assert list(torch.load(tmp_path / "new.pt", weights_only=True)) == ["model"]


def test_what_the_shapes_do_not_tell_is_an_error(migrate, rules, tmp_path):
    """Two frozen layers of the shape of trained ones: which are trained is not in the file."""
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4))
    model[0].requires_grad_(False)
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad])
    model(torch.randn(2, 4)).sum().backward()
    optimizer.step()
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "old.pt")
    text = "rename {\n  0.* -> 2.*\n  2.* -> 0.*\n}"
    torch.save(model.state_dict(), tmp_path / "target.pt")
    run = ["--rules", rules(text), "old.pt", "-o", "new.pt", "--target", "target.pt"]
    done = migrate(*run, expect=1)
    assert "error[optimizer-ambiguous]" in done.err and "v1.keys.yaml" in done.err
    # A marked key set beside the rules tells.
    lines = ["format: 1", "tensors:"]
    for key, tensor in model.state_dict().items():
        role = "buffer" if key.startswith("0.") else "parameter"
        lines.append(f"  {key}: f32 {list(tensor.shape)} {role}")
    (tmp_path / "v1.keys.yaml").write_text("\n".join(lines) + "\n")
    migrate("--rules", rules("migration v1 -> v2\n" + text), *run[2:])
    loaded = torch.load(tmp_path / "new.pt", weights_only=True)
    old = optimizer.state_dict()["state"]
    # 2.weight, 2.bias are now 0.weight, 0.bias, and so come first.
    for new, before in enumerate([2, 3, 0, 1]):
        assert torch.equal(loaded["optimizer"]["state"][new]["exp_avg"], old[before]["exp_avg"])


def test_in_the_middle_of_an_accumulation_with_a_gradient_scaler(migrate, rules, tmp_path):
    """Gradients that were saved by name mirror the parameters; the scaler's own state stays."""
    old_class, new_class, text = PAIRS["fused"]
    data = batches(8)

    def half_step(model, optimizer, scaler, batch, losses):
        x, y = batch
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=False):
            loss = nn.functional.mse_loss(model(x), y) / 2
        scaler.scale(loss).backward()
        losses.append(loss.item())

    def run(model, optimizer, scaler, data, at):
        losses = []
        for number, batch in enumerate(data, at):
            half_step(model, optimizer, scaler, batch, losses)
            if number % 2:
                scaler.step(optimizer)
                scaler.update()
                optimizer.zero_grad()
        return losses

    def parts(network):
        return network, torch.optim.AdamW(network.parameters(), lr=0.01), torch.amp.GradScaler("cpu", growth_interval=2)

    torch.manual_seed(0)
    model, optimizer, scaler = parts(old_class())
    run(model, optimizer, scaler, data[:3], 0)  # a step and a half
    checkpoint = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "scaler": scaler.state_dict(),
        "grads": {name: parameter.grad for name, parameter in model.named_parameters()},
        "micro_step": 3,
    }
    torch.save(copy.deepcopy(checkpoint), tmp_path / "old.pt")
    torch.save(new_class().state_dict(), tmp_path / "target.pt")
    expected = run(model, optimizer, scaler, data[3:], 3)

    done = migrate("--rules", rules(text), "old.pt", "-o", "new.pt", "--target", "target.pt")
    assert "grads mirrors model and follows it" in done.err
    loaded = torch.load(tmp_path / "new.pt", weights_only=True)
    resumed, optimizer, scaler = parts(new_class())
    resumed.load_state_dict(loaded["model"])
    optimizer.load_state_dict(loaded["optimizer"])
    scaler.load_state_dict(loaded["scaler"])
    for name, parameter in resumed.named_parameters():
        parameter.grad = loaded["grads"][name]
    assert run(resumed, optimizer, scaler, data[3:], loaded["micro_step"]) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("how", ["one group", "two groups"])
def test_state_by_names(migrate, rules, tmp_path, flat, pair, how):
    """The state as torch.distributed.checkpoint has it: parameters by their names, flattened or not."""
    options = StateDictOptions(flatten_optimizer_state_dict=flat)
    old_class, new_class, text = PAIRS[pair]
    torch.manual_seed(0)
    model = old_class()
    optimizer = torch.optim.AdamW(params(model, how), lr=0.01)
    data = batches(BEFORE + AFTER)
    train(model, optimizer, data[:BEFORE])
    weights, state = get_state_dict(model, optimizer, options=options)
    checkpoint = {"app": {"model": weights, "optim": state}}
    torch.save(copy.deepcopy(checkpoint), tmp_path / "old.pt")
    torch.save(new_class().state_dict(), tmp_path / "target.pt")
    expected = train(model, optimizer, data[BEFORE:])

    done = migrate("--rules", rules(text), "old.pt", "-o", "new.pt", "--target", "target.pt")
    assert "optimizer state follows" in done.err
    loaded = torch.load(tmp_path / "new.pt", weights_only=True)["app"]
    resumed = new_class()
    optimizer = torch.optim.AdamW(params(resumed, how), lr=0.01)
    states = {"model_state_dict": loaded["model"], "optim_state_dict": loaded["optim"]}
    set_state_dict(resumed, optimizer, **states, options=options)
    assert train(resumed, optimizer, data[BEFORE:]) == pytest.approx(expected, rel=1e-5)
