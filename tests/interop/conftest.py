"""The binary under test, the files it is tried on, and a machine without a network."""

import functools
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

os.environ |= {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "OMP_NUM_THREADS": "2",
    "NO_COLOR": "1",
}

import pytest
import torch

torch.set_num_threads(2)

HERE = Path(__file__).parent
REPOSITORY = HERE.parent.parent
EXAMPLE = REPOSITORY / "rules" / "example"
sys.path.insert(0, str(EXAMPLE))


def binary() -> Path:
    """`MIGRATE_BIN`, else the release build of this repository."""
    build = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
    return Path(os.environ.get("MIGRATE_BIN", build / "release" / "migrate"))


def most_resident(*args) -> int:
    """The most bytes that a run has in memory, and not what of the address space its allocator has set aside."""
    process = subprocess.Popen([str(binary()), *map(str, args)])
    peak = 0
    while process.poll() is None:
        try:
            lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
        except OSError:
            break
        peak = max(peak, *(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)
    assert process.wait() == 0
    assert peak > 0
    return peak


def pytest_sessionstart(session):
    if not binary().is_file():
        pytest.exit(f"no binary at {binary()}: run `cargo build --release`, or set MIGRATE_BIN", 2)


@dataclass
class Outcome:
    """What a run of the tool left: exit code and both streams."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        """Everything that a person at a terminal sees."""
        return self.out + self.err


@pytest.fixture
def migrate(tmp_path):
    """Runs the tool in the test's folder and holds it to the exit code: `migrate("plan", …, expect=1)`."""

    def run(*args, expect=0, program=None, **options) -> Outcome:
        command = [str(program or binary()), *map(str, args)]
        options = {"cwd": tmp_path, "stdin": subprocess.DEVNULL, "timeout": 300} | options
        done = subprocess.run(command, capture_output=True, text=True, **options)
        outcome = Outcome(done.returncode, done.stdout, done.stderr)
        assert "panicked" not in outcome.text, outcome.text
        assert outcome.code == expect, f"exit {outcome.code}, not {expect}: {' '.join(command)}\n{outcome.text}"
        return outcome

    return run


@pytest.fixture
def rules(tmp_path):
    """Writes a rule file: `rules("drop a")` is its path."""

    def write(text: str = "", name: str = "r.rules") -> Path:
        path = tmp_path / name
        path.write_text(text if text.endswith("\n") or not text else text + "\n")
        return path

    return write


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """A test that reaches for a hub fails, instead of passing on one machine only."""
    connect = socket.socket.connect

    def local_only(self, address):
        if self.family != socket.AF_UNIX and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise AssertionError(f"a test wanted to reach {address}")
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", local_only)


# ---------------------------------------------------------------- the files that torch and Lightning write


# Where several dicts of tensors stand side by side, nothing is guessed: the one that is meant is named.
AT = {"nested_dicts": ".", "two_dicts": "model_g", "copied": "a"}


@functools.cache
def torch_files_folder() -> Path:
    """The folder that make_torch_files.py filled, once a session."""
    folder = Path(tempfile.mkdtemp(prefix="migrate-torch-files-"))
    maker = HERE / "make_torch_files.py"
    if maker.exists():
        subprocess.run([sys.executable, str(maker), str(folder)], check=True, capture_output=True)
    return folder


def torch_files() -> list[Path]:
    """Every checkpoint that make_torch_files.py makes."""
    return sorted(p for p in torch_files_folder().rglob("*") if p.suffix in (".pt", ".pth", ".ckpt", ".bin"))


def pytest_generate_tests(metafunc):
    if "torch_file" in metafunc.fixturenames:
        files = torch_files()
        names = [str(p.relative_to(torch_files_folder())) for p in files]
        metafunc.parametrize("torch_file", files, ids=names)


def pytest_unconfigure(config):
    if torch_files_folder.cache_info().currsize:
        shutil.rmtree(torch_files_folder(), ignore_errors=True)
