"""Lightning goes on from the migrated file: an averaging callback, two optimizers, schedulers, frozen layers."""

import logging
import warnings

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging, StochasticWeightAveraging
from test_resume import FUSE, RENAME, Fused, Old, Renamed, batches
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

EPOCHS, MORE, STEPS = 2, 2, 4

logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
warnings.filterwarnings("ignore", module="lightning")


def below(prefix, text):
    return f"under {prefix} {{\n{text.strip()}\n}}"


def loader():
    x, y = (torch.cat(parts) for parts in zip(*batches(STEPS)))
    return DataLoader(TensorDataset(x, y), batch_size=5)


class Regression(pl.LightningModule):
    """One network, one optimizer with a scheduler."""

    def __init__(self, network, frozen=(), hidden=8):
        super().__init__()
        self.save_hyperparameters("hidden")
        self.model = network()
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(not name.startswith(frozen) if frozen else True)
        self.losses = []

    def training_step(self, batch, _):
        x, y = batch
        loss = nn.functional.mse_loss(self.model(x), y)
        self.losses.append(loss.item())
        return loss

    def configure_optimizers(self):
        trained = [parameter for parameter in self.parameters() if parameter.requires_grad]
        optimizer = torch.optim.AdamW(trained, lr=0.01)
        return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)]


class Gan(pl.LightningModule):
    """Two networks of equal parts and an optimizer for each, stepped by hand."""

    def __init__(self, generator, critic):
        super().__init__()
        self.automatic_optimization = False
        self.generator = generator()
        self.critic = critic()
        self.losses = []

    def training_step(self, batch, _):
        x, y = batch
        for optimizer, loss in zip(self.optimizers(), (self.generator_loss, self.critic_loss)):
            value = loss(x, y)
            optimizer.zero_grad()
            self.manual_backward(value)
            optimizer.step()
            self.losses.append(value.item())

    def generator_loss(self, x, y):
        return nn.functional.mse_loss(self.generator(x), y) - self.critic(x).mean() * 0.1

    def critic_loss(self, x, y):
        return nn.functional.mse_loss(self.critic(x), -y)

    def configure_optimizers(self):
        generator = torch.optim.Adam(self.generator.parameters(), lr=0.01)
        return [generator, torch.optim.RMSprop(self.critic.parameters(), lr=0.005, momentum=0.5)]


def fit(module, epochs, checkpoint=None, callbacks=(), **options):
    torch.manual_seed(1)
    trainer = pl.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[callback() for callback in callbacks],
        **options,
    )
    trainer.fit(module, loader(), ckpt_path=checkpoint, weights_only=False if checkpoint else None)
    return trainer


class SaveAt(pl.Callback):
    """Saves at the end of an epoch, while the run goes on: callbacks have their state in the file."""

    def __init__(self, path, epoch):
        self.path, self.epoch = path, epoch

    def on_train_epoch_end(self, trainer, module):
        if trainer.current_epoch == self.epoch:
            trainer.save_checkpoint(self.path)
            module.before = len(module.losses)


def goes_on(migrate, rules, tmp_path, make, old, new, text, rel, callbacks=(), say=(), **options):
    """Trains, saves, migrates, and compares the losses that follow with those of the run that was not stopped."""
    torch.manual_seed(0)
    module = make(old)
    save = lambda: SaveAt(tmp_path / "old.ckpt", EPOCHS - 1)
    fit(module, EPOCHS + MORE, callbacks=(*callbacks, save), **options)
    torch.save(make(new).state_dict(), tmp_path / "target.pt")
    done = migrate("--rules", rules(text), "old.ckpt", "-o", "new.ckpt", "--target", "target.pt", *say)
    resumed = make(new)
    trainer = fit(resumed, EPOCHS + MORE, tmp_path / "new.ckpt", callbacks, **options)
    assert trainer.current_epoch >= EPOCHS + MORE  # one more where batch norms are updated for an average
    expected = module.losses[module.before :]
    assert expected and resumed.losses == pytest.approx(expected, rel=rel, abs=1e-7)
    loaded = torch.load(tmp_path / "new.ckpt", weights_only=False)
    return done, loaded, module, resumed


CASES = {"renamed": (Renamed, RENAME, 0), "fused": (Fused, FUSE, 1e-5)}


@pytest.mark.parametrize("accumulated", [1, 2])
@pytest.mark.parametrize("case", CASES)
def test_one_optimizer_with_a_scheduler(migrate, rules, tmp_path, case, accumulated):
    new, text, rel = CASES[case]
    arguments = (migrate, rules, tmp_path, Regression, Old, new, below("model", text), rel)
    _, loaded, *_ = goes_on(*arguments, accumulate_grad_batches=accumulated)
    assert loaded["hyper_parameters"]["hidden"] == 8
    assert loaded["lr_schedulers"][0]["last_epoch"] == EPOCHS


def test_frozen_layers_have_no_state(migrate, rules, tmp_path):
    frozen = {Old: ("embed", "bn"), Renamed: ("stem",)}
    make = lambda network: Regression(network, frozen[network])
    goes_on(migrate, rules, tmp_path, make, Old, Renamed, below("model", RENAME), 0)


@pytest.mark.parametrize("case", CASES)
def test_an_averaging_callback_keeps_both_weights(migrate, rules, tmp_path, case):
    new, text, rel = CASES[case]
    average = lambda: EMAWeightAveraging(decay=0.9)
    done, loaded, module, resumed = goes_on(
        migrate, rules, tmp_path, Regression, Old, new, below("model", text), rel, callbacks=(average,)
    )
    assert "current_model_state mirrors state_dict and follows it" in done.err
    assert loaded["current_model_state"].keys() == loaded["state_dict"].keys()
    # At the end of the run the average is what the module holds.
    ours, theirs = (m.model.state_dict() for m in (resumed, module))
    assert torch.allclose(ours["bn.weight" if case == "fused" else "stem.1.weight"], theirs["bn.weight"], rtol=1e-5)


def test_the_average_of_a_swa_callback_follows(migrate, rules, tmp_path):
    swa = lambda: StochasticWeightAveraging(swa_lrs=0.01, swa_epoch_start=1, annealing_epochs=1)
    done, loaded, *_ = goes_on(
        migrate, rules, tmp_path, Regression, Old, Renamed, below("model", RENAME), 0, callbacks=(swa,)
    )
    assert "callbacks.StochasticWeightAveraging.average_model_state mirrors state_dict" in done.err
    average = loaded["callbacks"]["StochasticWeightAveraging"]["average_model_state"]
    assert average.keys() == loaded["state_dict"].keys()


def test_two_optimizers(migrate, rules, tmp_path):
    """The two networks have the same shapes: what belongs to whom must be said."""
    text = below("generator", FUSE) + "\n" + below("critic", RENAME)
    make = lambda networks: Gan(*networks)
    arguments = (migrate, rules, tmp_path, make, (Old, Old), (Fused, Renamed), text, 1e-5)
    with pytest.raises(AssertionError, match="optimizer-ambiguous(.|\n)*--params 'optimizer_states.0="):
        goes_on(*arguments)
    goes_on(*arguments, say=("--params", "optimizer_states.0=generator.**"))


def test_two_optimizers_whose_shapes_tell(migrate, rules, tmp_path):
    class Narrow(Old):
        def __init__(self):
            super().__init__()
            self.q, self.k, self.v = (nn.Linear(8, 8, bias=False) for _ in range(3))
            self.embed = nn.Conv1d(6, 8, 1, bias=False)

    text = "rename {\n  generator.* -> gen.*\n}".replace("generator.*", "generator.**").replace("gen.*", "gen.**")

    class Other(Gan):
        """The critic comes first now, which changes no number inside an optimizer."""

        def __init__(self, generator, critic):
            super().__init__(generator, critic)
            self.gen = self._modules.pop("generator")

        @property
        def generator(self):
            return self.gen

    make = lambda pair: pair[0](*pair[1:])
    goes_on(migrate, rules, tmp_path, make, (Gan, Old, Narrow), (Other, Old, Narrow), text, 0)
