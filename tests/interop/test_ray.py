"""`examples/ray_migrate.py` on a real Ray cluster of this machine, of which a worker is killed in the middle of its part."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from conftest import REPOSITORY, binary

ray = pytest.importorskip("ray")
sys.path.insert(0, str(REPOSITORY / "examples"))

PARTS = 4
RULES = "rename a.{i} -> b.{i}\ntranspose b.*\n"


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def cluster():
    """Four worker processes on two cores: they wait for the disk more than they compute."""
    os.environ |= {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_AUTH_MODE": "disabled",
        "PYTHONPATH": str(REPOSITORY / "examples"),
    }
    local = {"_node_ip_address": "127.0.0.1", "include_dashboard": False, "object_store_memory": 80 << 20}
    ray.init(num_cpus=PARTS, log_to_driver=False, **local)
    yield
    ray.shutdown()


def slow_program(folder: Path) -> Path:
    """The program, begun by a script that says which worker runs it and, of one part, waits until that is killed.

    The part has written a shard by then: it begins with all that belongs to it, and is stopped before the second.
    """
    script = folder / "migrate-slow"
    script.write_text(
        f"""#!/bin/bash
case "$*" in
  *"--shard 2/{PARTS}"*)
    if [ ! -e {folder}/worker ]; then
      echo $PPID > {folder}/worker.new && mv {folder}/worker.new {folder}/worker
      {binary()} "$@" &
      child=$!
      until ls {folder}/out/.*.migrate-parts/*.safetensors.json >/dev/null 2>&1; do sleep 0.002; done
      kill -STOP $child
      sleep 30
      kill -KILL $child
      exit 1
    fi ;;
esac
exec {binary()} "$@"
"""
    )
    script.chmod(0o755)
    return script


def test_a_killed_worker_is_replaced_and_the_result_is_that_of_one_machine(cluster, rules, tmp_path):
    import ray_migrate

    torch.manual_seed(0)
    save_file({f"a.{i}": torch.randn(256, 1024) for i in range(48)}, tmp_path / "in.safetensors")
    source, path = str(tmp_path / "in.safetensors"), str(rules(RULES))
    options = ["--no-target", "--max-shard-size", "3MB"]
    whole = [binary(), "--rules", path, source, "-o", str(tmp_path / "whole") + "/", *options, "--quiet"]
    subprocess.run(whole, check=True)
    killed = []

    def kill():
        worker = tmp_path / "worker"
        while not worker.exists():
            time.sleep(0.01)
        time.sleep(0.5)
        pid = int(worker.read_text())
        assert b"ray::" in Path(f"/proc/{pid}/cmdline").read_bytes()
        os.kill(pid, signal.SIGKILL)
        killed.append(pid)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    out = str(tmp_path / "out") + "/"
    ray_migrate.migrate(str(slow_program(tmp_path)), path, source, out, PARTS, options)
    killer.join(10)
    assert killed, "no worker was killed"
    assert len(files(tmp_path / "whole")) == 25
    assert files(tmp_path / "out") == files(tmp_path / "whole")


def test_what_the_program_refuses_is_said_and_not_retried(cluster, rules, tmp_path):
    import ray_migrate

    save_file({"a.0": torch.ones(4)}, tmp_path / "in.safetensors")
    source, path = str(tmp_path / "in.safetensors"), str(rules("rename b -> c\n"))
    out = str(tmp_path / "out") + "/"
    with pytest.raises(Exception, match="error\\["):
        ray_migrate.migrate(str(binary()), path, source, out, 2, ["--no-target"])
    assert not (tmp_path / "out").exists()
