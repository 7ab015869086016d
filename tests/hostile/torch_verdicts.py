"""Says of each file in a folder what torch's weights-only loader says of it: `torch_verdicts.py FOLDER [NAMES]`.

NAMES is a file with the names of those that are asked for, a line each; without it, all are.

A line for each, with the name, a word and the message. `refused` is what the loader calls unsafe, `loaded` what it
loads, `failed` what it cannot read for another reason. A few are loaded in one process, which has little memory and
time, and where it ends before the last, each in one of its own.
"""

import json
import os
import pickle
import resource
import signal
import sys
import tempfile
import warnings
from pathlib import Path

import torch

SECONDS, BYTES = 10, 6 << 30


def verdict(path: Path) -> tuple[str, str]:
    try:
        torch.load(path, weights_only=True)
        return "loaded", ""
    except pickle.UnpicklingError as error:
        return "refused", str(error).split("WeightsUnpickler error: ")[-1][:200]
    except BaseException as error:
        return "failed", f"{type(error).__name__}: {error}"[:200]


def in_a_child(paths: list[Path], out) -> list[tuple[str, str]]:
    """The verdicts of a child, which writes them into `out`."""
    out.seek(0)
    out.truncate()
    child = os.fork()
    if child == 0:
        signal.alarm(SECONDS)
        resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES))
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        json.dump([verdict(path) for path in paths], out)
        out.flush()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if status and len(paths) > 1:
        return [verdict for path in paths for verdict in in_a_child([path], out)]
    if status:
        return [("failed", f"the process ended with {os.waitstatus_to_exitcode(status)}")]
    out.seek(0)
    return json.load(out)


def main() -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    folder = Path(sys.argv[1]).resolve()
    wanted = set(Path(sys.argv[2]).read_text().splitlines()) if len(sys.argv) > 2 else None
    os.chdir(tempfile.mkdtemp())
    paths = sorted(folder.glob("*.pt"))
    if wanted is not None:
        paths = [path for path in paths if path.name in wanted]
    with tempfile.TemporaryFile("w+") as out:
        for some in (paths[start : start + 30] for start in range(0, len(paths), 30)):
            for path, (word, message) in zip(some, in_a_child(some, out), strict=True):
                print(json.dumps([path.name, word, message]), flush=True)


main()
