"""A project's life in a repository: `init`, three refactorings with `new`, and every old checkpoint led to today."""

import json
import os
import shutil
import subprocess

import pytest
import torch
import yaml

from conftest import binary
from four_versions import Model, data, save, trained

# What somebody who knows the model writes into each rule file. The suggestion of the first is right: it is
# uncommented, not written.
WRITTEN = {
    2: "",
    3: "merge **.{q,k,v}.weight -> **.qkv.weight dim 0\nmerge **.{q,k,v}.bias -> **.qkv.bias dim 0\n",
    4: "drop head.*\nleave classes.*\n",
}
SUGGESTED = {2: ["rename encoder.** -> backbone.**  # 16 keys"], 3: [], 4: []}


class Repository:
    """A scratch git repository that has the program on its path, as the machine of a developer has."""

    def __init__(self, folder, migrate):
        self.folder, self.run = folder, migrate
        path = f"{binary().resolve().parent}{os.pathsep}{os.environ['PATH']}"
        # Neither the settings nor the hooks of whoever runs the tests.
        own = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull, "PATH": path}
        self.environment = os.environ | own
        self.git("init", "-q")
        self.git("config", "user.name", "A developer")
        self.git("config", "user.email", "developer@example.com")

    def migrate(self, *args, **options):
        return self.run(*args, cwd=self.folder, **options)

    def sh(self, *command, expect=0):
        done = subprocess.run(command, cwd=self.folder, env=self.environment, capture_output=True, text=True)
        assert done.returncode == expect, done.stdout + done.stderr
        return done.stdout + done.stderr

    def git(self, *args, expect=0):
        return self.sh("git", *args, expect=expect)

    def commit(self, why, expect=0):
        self.git("add", "-A")
        return self.git("commit", "-q", "-m", why, expect=expect)

    def ci(self):
        """Runs the commands of the workflow, but for those that install."""
        workflow = yaml.safe_load((self.folder / ".github/workflows/migrations.yml").read_text())
        (job,) = workflow["jobs"].values()
        commands = [step["run"] for step in job["steps"] if step.get("run", "").startswith("migrate ")]
        assert len(commands) == 2
        for command in commands:
            self.sh("sh", "-ec", command)


def refactor(repository, version):
    """The model's code becomes that of a version: its keys, its rules, its tests, a commit."""
    # The workstation of a developer has the new code and no trained checkpoint of it.
    torch.save(Model(version).state_dict(), repository.folder.parent / "untrained.pt")
    repository.migrate("new", f"v{version}", "--from", repository.folder.parent / "untrained.pt")
    rules = repository.folder / f"migrations/v{version - 1}_to_v{version}.rules"
    drafted = rules.read_text()
    suggested = [line[4:] for line in drafted.splitlines() if line.startswith("#   rename ")]
    assert suggested == SUGGESTED[version]

    # Nothing is done by itself: without rules neither check nor the hook lets it pass.
    said = repository.migrate("check", "migrations", expect=1).err
    assert f"in the step from `v{version - 1}` to `v{version}`" in said and "missing-key" in said
    assert "missing-key" in repository.commit(f"v{version}, not thought of yet", expect=1)

    rules.write_text(drafted + "".join(f"{line}\n" for line in suggested) + WRITTEN[version])
    repository.migrate("check", "migrations")
    repository.migrate("fmt", "migrations")
    # The case is another one now, and says so until that is taken over.
    assert "plan.txt differs" in repository.migrate("test", expect=1).out
    repository.migrate("test", "--update")
    repository.migrate("test")
    repository.commit(f"v{version}")
    repository.ci()


@pytest.fixture
def life(migrate, tmp_path):
    """The repository after four versions, with a checkpoint of each time in `runs`."""
    folder = tmp_path / "project"
    folder.mkdir()
    repository = Repository(folder, migrate)
    runs = tmp_path / "runs"
    runs.mkdir()
    save(runs / "v1.ckpt", *trained(1))
    repository.migrate("init", runs / "v1.ckpt")
    # A small checkpoint with data in the place of the key set, as the case itself advises.
    (folder / "migrations/tests/v1/args").unlink()
    shutil.copy(runs / "v1.ckpt", folder / "migrations/tests/v1/source.ckpt")
    repository.migrate("test", "--update")
    shutil.copy(folder / "migrations/pre-commit", folder / ".git/hooks/pre-commit")
    repository.commit("migrations")
    repository.ci()
    for version in range(2, 5):
        refactor(repository, version)
        save(runs / f"v{version}.ckpt", *trained(version))
    return repository, runs


def test_a_projects_life(life, tmp_path):
    repository, runs = life
    migrate = repository.migrate
    assert repository.git("log", "--format=%s").split() == ["v4", "v3", "v2", "migrations"]
    assert repository.git("status", "--short") == ""
    # Any version of the folder can be had back, and says of a checkpoint what it then was.
    repository.git("checkout", "-q", "HEAD~1")
    said = json.loads(migrate("status", "--rules", "migrations", "--json", runs / "v1.ckpt").out)
    assert said["checkpoints"][0]["version"] == "v1"
    migrate("status", "--rules", "migrations", runs / "v4.ckpt", expect=1)
    repository.git("checkout", "-q", "-")

    # One pass, and a step at a time.
    one, steps = tmp_path / "one.ckpt", runs / "v1.ckpt"
    migrate("--rules", "migrations", runs / "v1.ckpt", "-o", one)
    for version in range(2, 5):
        made = tmp_path / f"step{version}.ckpt"
        migrate("--rules", "migrations", steps, "-o", made, "--to", f"v{version}")
        migrate("verify", "--rules", "migrations", "--to", f"v{version}", runs / "v1.ckpt", made)
        steps = made
    assert one.read_bytes() == steps.read_bytes()
    assert "already" in migrate("--rules", "migrations", one, "-o", tmp_path / "none.ckpt").text

    # Where nothing is left, it loads strictly; where the architecture is the same, so are the logits.
    old, _ = trained(1)
    inputs, _ = data()
    for version in (2, 3):
        model = Model(version)
        found = torch.load(tmp_path / f"step{version}.ckpt", weights_only=True)
        model.load_state_dict(found["state_dict"], strict=True)
        torch.testing.assert_close(model(inputs), old(inputs))
    model = Model(4)
    initial = {key: value.clone() for key, value in model.classes.state_dict().items()}
    found = torch.load(one, weights_only=True)
    said = model.load_state_dict(found["state_dict"], strict=False)
    assert (said.missing_keys, said.unexpected_keys) == (["classes.weight", "classes.bias"], [])
    assert all(torch.equal(value, initial[key]) for key, value in model.classes.state_dict().items())
    torch.testing.assert_close(model.backbone(inputs), old.encoder(inputs))


def test_the_way_back_gives_what_there_is_and_names_the_rest(life, tmp_path):
    repository, runs = life
    migrate = repository.migrate
    old = torch.load(runs / "v3.ckpt", weights_only=True)["state_dict"]
    migrate("--rules", "migrations", runs / "v3.ckpt", "-o", tmp_path / "back.ckpt", "--to", "v1")
    back = torch.load(tmp_path / "back.ckpt", weights_only=True)["state_dict"]
    model, wanted = Model(1), Model(3)
    model.load_state_dict(back, strict=True)
    wanted.load_state_dict(old)
    inputs, _ = data()
    torch.testing.assert_close(model(inputs), wanted(inputs))

    said = migrate("--rules", "migrations", runs / "v4.ckpt", "-o", tmp_path / "no.ckpt", "--to", "v1", expect=1).err
    assert "error[no-way-back]" in said and "head.{weight,bias}" in said
    assert not (tmp_path / "no.ckpt").exists()
    # Written down and read, the way back is taken, and what is left to the model is known.
    migrate("invert", "migrations/v3_to_v4.rules", "-o", "migrations/v4_to_v3.rules")
    migrate("check", "migrations")
    new = tmp_path / "new.ckpt"
    migrate("--rules", "migrations", runs / "v1.ckpt", "-o", new)
    migrate("--rules", "migrations", new, "-o", tmp_path / "v1.ckpt", "--to", "v1")
    back = torch.load(tmp_path / "v1.ckpt", weights_only=True)["state_dict"]
    start = torch.load(runs / "v1.ckpt", weights_only=True)["state_dict"]
    assert set(start) - set(back) == {"head.weight", "head.bias"}
    assert all(torch.equal(value, start[key]) for key, value in back.items())


def test_status_tells_each_files_version(life, tmp_path):
    repository, runs = life
    for version in range(2, 5):
        made = runs / f"v1_as_v{version}.ckpt"
        repository.migrate("--rules", "migrations", runs / "v1.ckpt", "-o", made, "--to", f"v{version}")
    files = sorted(runs.iterdir())
    said = json.loads(repository.migrate("status", "--rules", "migrations", "--json", *files).out)
    found = {row["path"].rsplit("/", 1)[-1]: (row["version"], row["recorded"]) for row in said["checkpoints"]}
    assert found == {f"v{version}.ckpt": (f"v{version}", False) for version in range(1, 5)} | {
        f"v1_as_v{version}.ckpt": (f"v{version}", True) for version in range(2, 5)
    }
