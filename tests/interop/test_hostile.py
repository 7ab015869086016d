"""Files from strangers: nothing is executed, opened or lost in silence, and little is needed for it.

`MIGRATE_HOSTILE=all` tries every file with every command and follows all runs with strace (hours without a release
build); without it, one of several that are alike, in a minute.
"""

import json
import os
import subprocess
import sys

import pytest
import torch
from conftest import REPOSITORY, binary

HOSTILE = REPOSITORY / "tests" / "hostile"
THOROUGH = os.environ.get("MIGRATE_HOSTILE") == "all"
sys.path.insert(0, str(HOSTILE))

import pickles  # noqa: E402


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    subprocess.run([sys.executable, HOSTILE / "make.py", folder, os.environ.get("MIGRATE_SEED", "0")], check=True)
    return folder


@pytest.fixture(scope="module")
def tried(corpus):
    """What came of all runs, from a process that has not loaded torch."""
    command = [sys.executable, "-S", HOSTILE / "run.py", binary(), corpus, *(["--all"] if THOROUGH else [])]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_every_command_stands_every_file(tried):
    wrong, safe = tried["wrong"], tried["safe"]
    told = {name: value for name, value in tried.items() if name not in ("wrong", "safe")}
    print("\nhostile files:", json.dumps(told), f"called safe: {len(safe)}")
    assert not wrong, json.dumps(wrong, indent=1)[:20_000]
    assert told["accepted"] > 100 and told["refused"] > 100


def test_what_torch_refuses_as_unsafe_is_not_called_safe(corpus, tried):
    """By the weights-only loader of torch itself, whatever the file is refused for."""
    names = corpus / "names.txt"
    names.write_text("\n".join(tried["safe"]))
    judge = [sys.executable, HOSTILE / "torch_verdicts.py", corpus, *([] if THOROUGH else [names])]
    verdicts = [json.loads(line) for line in subprocess.run(judge, capture_output=True, text=True, check=True).stdout.splitlines()]
    words = [word for _, word, _ in verdicts]
    print(f"\nof {len(verdicts)} files torch refuses {words.count('refused')}, loads {words.count('loaded')}, fails on the others")
    safe = set(tried["safe"])
    assert not [(name, message) for name, word, message in verdicts if word == "refused" and name in safe]
    assert set(tried["safe"]) <= {name for name, _, _ in verdicts}


def test_the_names_are_exactly_those_that_torch_allows(migrate, tmp_path):
    """All that torch allows, and all else that its modules have."""
    allowed = torch._weights_only_unpickler._get_allowed_globals()
    modules = [torch, torch.cuda, torch.sparse, torch.cuda.sparse, torch._utils, torch._tensor, torch.storage, torch.serialization, torch.nn.parameter]
    others = {f"{module.__name__}.{name}" for module in modules for name in dir(module)}
    builtins = {f"builtins.{name}" for name in dir(__builtins__)} | {f"collections.{name}" for name in dir(__import__("collections"))}
    every = sorted(others | builtins | set(allowed))
    listed = pickles.many(*[pickles.name(*name.rsplit(".", 1)) for name in every])
    (tmp_path / "names.pt").write_bytes(pickles.archive(pickles.pickle(pickles.named(w=pickles.tensor(), names=listed))))
    found = json.loads(migrate("inspect", "--json", "names.pt").out)
    assert found["globals_not_allowed"] == [name for name in every if name not in allowed]
    # Under the names of Python 2, which torch knows, too.
    listed = pickles.many(*[pickles.name(module, "OrderedDict") for module in ("UserDict", "__builtin__")])
    (tmp_path / "old.pt").write_bytes(pickles.archive(pickles.pickle(pickles.named(w=pickles.tensor(), names=listed))))
    assert json.loads(migrate("inspect", "--json", "old.pt").out)["globals_not_allowed"] == ["__builtin__.OrderedDict"]


def test_what_views_repeat_has_a_budget(migrate, rules, tmp_path):
    torch.save({"w": torch.ones(1).expand(20_000_000)}, tmp_path / "in.pt")
    refused = migrate("inspect", "in.pt", expect=3)
    assert "repeat of what they view" in refused.err and "--limit inflated-bytes=SIZE" in refused.err
    allowed = ["--limit", "inflated-bytes=100MB", "--no-target"]
    migrate("--rules", rules(), "in.pt", "-o", "out.safetensors", *allowed)
    assert (tmp_path / "out.safetensors").stat().st_size > 80_000_000


def test_names_are_shown_and_told_when_they_go(migrate, rules, tmp_path):
    harm = pickles.call(pickles.name("os", "system"), pickles.text(pickles.COMMAND))
    root = pickles.named(state_dict=pickles.named(w=pickles.tensor()), extra=harm)
    (tmp_path / "in.pt").write_bytes(pickles.archive(pickles.pickle(root)))
    assert "os.system  can reach files, commands or code" in migrate("inspect", "in.pt").out
    run = ["--rules", rules("rename w -> v"), "in.pt", "--no-target"]
    assert "os.system" not in migrate(*run, "-o", "kept.pt").text
    assert json.loads(migrate("inspect", "--json", "kept.pt").out)["globals_not_allowed"] == ["os.system"]
    gone = "left out, classes and functions beyond torch's weights_only allow-list: os.system"
    assert gone in migrate(*run, "-o", "weights.safetensors", "--weights-only").text
    part = ["-o", "shards/", "--weights-only", "--max-shard-size", "1MB", "--shard", "1/1"]
    assert gone in migrate(*run, *part).text
    # Also where all shards of the part are there already.
    assert gone in migrate(*run, *part).text
    unset = ["--rules", rules("rename w -> v\nunset extra", "u.rules"), "in.pt", "--no-target"]
    assert gone in migrate(*unset, "-o", "unset.pt").text
    assert json.loads(migrate(*unset, "-o", "again.pt", "--json").out)["globals_left_out"] == ["os.system"]
    assert gone.removeprefix("left out, ") in migrate(*unset, "--out-dir", "many").text
    assert not (tmp_path / "executed").exists()
