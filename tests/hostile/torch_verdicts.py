"""Says of each file in a folder what torch's weights-only loader says of it: `python torch_verdicts.py FOLDER`.

A line for each, with the name, a word and the message. `refused` is what the loader calls unsafe, `loaded` what it
loads, `failed` what it cannot read for another reason. Each is loaded in a process of its own, with little memory
and time.
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


def in_a_child(path: Path, out) -> tuple[str, str]:
    """The verdict of a child, which writes it into `out`."""
    out.seek(0)
    out.truncate()
    child = os.fork()
    if child == 0:
        signal.alarm(SECONDS)
        resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES))
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        json.dump(verdict(path), out)
        out.flush()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if status:
        return "failed", f"the process ended with {os.waitstatus_to_exitcode(status)}"
    out.seek(0)
    return tuple(json.load(out))


def main() -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    os.chdir(tempfile.mkdtemp())
    with tempfile.TemporaryFile("w+") as out:
        for path in sorted(Path(sys.argv[1]).glob("*.pt")):
            word, message = in_a_child(path, out)
            print(json.dumps([path.name, word, message]), flush=True)


main()
