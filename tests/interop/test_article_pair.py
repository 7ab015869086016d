"""One rule, two pairs of models: a real rename migrates, and two different architectures do not.

The rule is the one that an article gives for segmentation-models-pytorch. `decoder.blocks` is that
library's UNet++, `decoder.aspp` its DeepLabV3+; two of their biases have one shape, which proves
nothing. Where a UNet++ merely calls its own blocks `aspp`, the same rule is right.
"""

import json
import re

import lightning as L
import pytest
import segmentation_models_pytorch as smp
import torch
from torch import nn

RULE = "rename model.decoder.blocks.* -> model.decoder.aspp.*"
OLD_BIAS = "model.decoder.blocks.x_0_0.conv1.1.bias"
NEW_BIAS = "model.decoder.aspp.0.convs.0.1.bias"

# The same two as a message may fold them together with their neighbours.
FOLDED_OLD = r"model\.decoder\.(blocks|aspp)\.x_0_0\.conv1\.1\.(bias|\{[^}]*\bbias\b[^}]*\})"
FOLDED_NEW = r"model\.decoder\.aspp\.0\.convs\.(0|\{0…\d\})\.1\.(bias|\{[^}]*\bbias\b[^}]*\})"


class LitSegmenter(L.LightningModule):
    """A segmentation model with the attribute that gives every key its `model.`."""

    architecture = None

    def __init__(self, encoder: str = "resnet18", classes: int = 2):
        super().__init__()
        self.save_hyperparameters()
        self.model = self.architecture(encoder, encoder_weights=None, in_channels=3, classes=classes)

    def forward(self, images):
        return self.model(images)

    def training_step(self, batch, _):
        images, masks = batch
        return nn.functional.cross_entropy(self(images), masks)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class RenamedDecoder(smp.decoders.unetplusplus.decoder.UnetPlusPlusDecoder):
    """UNet++'s decoder after a refactor: its blocks are called `aspp`."""

    @property
    def blocks(self):
        return self.aspp


class RenamedUnetPlusPlus(smp.UnetPlusPlus):
    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.decoder.__class__ = RenamedDecoder
        self.decoder.aspp = self.decoder._modules.pop("blocks")


class LitUnetPlusPlus(LitSegmenter):
    architecture = smp.UnetPlusPlus


class LitRenamedUnetPlusPlus(LitSegmenter):
    architecture = RenamedUnetPlusPlus


class LitDeepLabV3Plus(LitSegmenter):
    architecture = smp.DeepLabV3Plus


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A UNet++ that Lightning trained for one step and saved."""
    path = tmp_path_factory.mktemp("article") / "unetplusplus.ckpt"
    L.seed_everything(0, verbose=False)
    batch = torch.randn(2, 3, 64, 64), torch.randint(2, (2, 64, 64))
    trainer = L.Trainer(
        max_steps=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(LitUnetPlusPlus(), torch.utils.data.DataLoader([batch], batch_size=None))
    trainer.save_checkpoint(path)
    return path


@pytest.fixture
def target(migrate, tmp_path):
    """The key set of a model class, made by `migrate keys` from the class's own state dict."""

    def write(module: L.LightningModule):
        weights, keys = tmp_path / "target.pt", tmp_path / "v2.keys.yaml"
        torch.save(module.state_dict(), weights)
        migrate("keys", weights, "-o", keys, "--name", "v2")
        weights.unlink()
        return keys

    return write


def test_the_pair_is_the_articles():
    """The facts that the messages below must state, from the library itself."""
    source, target = LitUnetPlusPlus().state_dict(), LitDeepLabV3Plus().state_dict()
    assert (len(source), len(target)) == (254, 181)
    assert source[OLD_BIAS].shape == target[NEW_BIAS].shape == (256,)
    fits = [key for key in source if key in target and source[key].shape == target[key].shape]
    assert len(fits) == 121
    assert all(key.startswith("model.encoder.") for key in fits if key != "model.segmentation_head.0.bias")


def test_a_real_rename_migrates(migrate, rules, target, checkpoint, tmp_path):
    out = tmp_path / "new.ckpt"
    migrate("--rules", rules(RULE), checkpoint, "-o", out, "--target", target(LitRenamedUnetPlusPlus()))

    images = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    old = LitUnetPlusPlus.load_from_checkpoint(checkpoint, map_location="cpu").eval()
    new = LitRenamedUnetPlusPlus.load_from_checkpoint(out, map_location="cpu", strict=True).eval()
    with torch.no_grad():
        assert torch.equal(old(images), new(images))


def test_another_architecture_is_refused(migrate, rules, target, checkpoint, tmp_path):
    path, keys = rules(RULE), target(LitDeepLabV3Plus())
    before = sorted(tmp_path.iterdir())
    refused = migrate("--rules", path, checkpoint, "-o", tmp_path / "new.ckpt", "--target", keys, expect=1)
    assert sorted(tmp_path.iterdir()) == before

    text = " ".join(refused.text.split())  # a message may break its lines where it likes
    assert "121 of the target's 181 keys fit" in text
    assert "132 unexpected" in text and "59 missing" in text
    assert "model.segmentation_head.0.weight" in text
    assert "[2, 16, 3, 3]" in text and "[2, 256, 1, 1]" in text
    beside = text[text.index("no evidence") :]
    assert re.search(FOLDED_OLD, beside) and re.search(FOLDED_NEW, beside)
    assert "different architectures" in text
    assert "help:" in text and "`leave`" in text


def test_plan_says_the_same(migrate, rules, target, checkpoint):
    told = migrate("plan", "--rules", rules(RULE), checkpoint, "--target", target(LitDeepLabV3Plus()), expect=1)
    assert "121 of the target's 181 keys fit" in told.text and "no evidence" in told.text


def test_what_the_two_share_is_drawn(migrate, rules, target, checkpoint, tmp_path):
    """The rules under which the pair does migrate, and their picture, which `docs/` shows."""
    lines = [f"{verb} model.{key}" for verb in ("drop", "leave") for key in ("decoder.**", "segmentation_head.0.weight")]
    path, keys, page = rules("\n".join(lines)), target(LitDeepLabV3Plus()), tmp_path / "plan.html"
    told = migrate("plan", "--rules", path, checkpoint, "--target", keys, "--html", page)
    assert "121 as they are; 133 dropped; 60 left to the model" in told.text
    data = page.read_text().split('<script id="plan" type="application/json">')[1].split("</script>")[0]
    (drawn,) = json.loads(data)["dicts"]
    assert [source["key"] for source in drawn["sources"]] == list(LitUnetPlusPlus().state_dict())
    assert {output["key"] for output in drawn["outputs"]} | set(drawn["left"]) == set(LitDeepLabV3Plus().state_dict())


def test_mapping_the_two_biases_alone_is_refused(migrate, rules, target, checkpoint, tmp_path):
    out = tmp_path / "new.ckpt"
    path, keys = rules(f"rename {OLD_BIAS} -> {NEW_BIAS}"), target(LitDeepLabV3Plus())
    text = migrate("--rules", path, checkpoint, "-o", out, "--target", keys, expect=1).text
    assert "model.decoder.blocks.x_" in text and "model.decoder.aspp.0.convs." in text
    assert not out.exists()
