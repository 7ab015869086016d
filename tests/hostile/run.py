"""Passes a corpus through every command that opens a file, and says what came of it as JSON.

`python run.py PROGRAM CORPUS [--all]`: without `--all`, one of several alike, and one of several commands. Each run must
end with an exit code of its own, within memory and time, without a panic, and without a file that it was not asked
for; every name that looks suspicious in an input must be in its output or be said to be left out. Some runs, with
`--all` all of them, are followed by strace: nothing is executed, nobody is called, no other file is opened.

It is a program of its own: what a process that has loaded torch starts seems to need as much memory as torch does.
"""

import collections
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

MEMORY, PATIENCE = 256 << 20, 60
# A build that is not optimised needs about ten times as long.
SECONDS = float(os.environ.get("MIGRATE_HOSTILE_SECONDS", "5"))
CALLS = "execve,execveat,connect,socket,bind,open,openat,openat2,creat"
# What the loader of the system and the standard library read.
SYSTEM = ("/lib", "/usr/lib", "/etc/ld.so", "/proc/self", "/proc/stat", "/proc/cpuinfo", "/proc/sys/vm", "/sys/fs/cgroup", "/sys/devices/system", "/sys/kernel/mm", "/usr/share/terminfo", "/etc/terminfo", "/dev/null", "/proc/meminfo")


class Run:
    """One run of the program."""

    def __init__(self, words, folder, trace, inputs):
        self.words, self.folder = [str(word) for word in words], folder
        log = folder / "trace.log"
        command = ["strace", "-f", "-qq", "-y", "-e", f"trace={CALLS}", "-o", str(log)] if trace else []
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            environment = {"PATH": "/usr/bin:/bin", "TMPDIR": str(folder), "NO_COLOR": "1", "RUST_BACKTRACE": "0"}
            process = subprocess.Popen(command + self.words, cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=environment)
            killer = threading.Timer(PATIENCE, process.kill)
            killer.start()
            _, status, used = os.wait4(process.pid, 0)
            killer.cancel()
            process.returncode = self.code = os.waitstatus_to_exitcode(status)
            out.seek(0), err.seek(0)
            self.out, self.err = out.read(), err.read()
        self.memory, self.seconds = used.ru_maxrss << 10, used.ru_utime + used.ru_stime
        self.wrong = list(self.judge(trace))
        if trace:
            self.wrong += self.traced(log.read_text(errors="replace"), inputs)
            log.unlink()

    def judge(self, trace):
        if self.code not in (0, 1, 2, 3):
            yield f"exit {self.code}"
        if b"panicked" in self.err + self.out:
            yield "a panic: " + self.err.decode(errors="replace")[-300:]
        if self.memory > MEMORY and not trace:
            yield f"{self.memory >> 20} MiB"
        if self.seconds > SECONDS and not trace:
            yield f"{self.seconds:.1f} s"
        if re.search(rb"[\x00-\x08\x0b-\x1f\x7f]|\xe2\x80[\xaa-\xae]", self.err):
            yield "control characters on the terminal"

    def traced(self, log, inputs):
        allowed = (str(self.folder), *map(str, inputs), *SYSTEM)
        started = 0
        for line in log.splitlines():
            call = re.match(r"\d+ +(\w+)\((.*)", line)
            if not call:
                continue
            word, rest = call.groups()
            if word.startswith("exec"):
                started += 1
                if started > 1:
                    yield f"executed: {line}"
            elif word in ("connect", "socket", "bind"):
                yield f"called: {line}"
            else:
                path = re.search(r'"((?:[^"\\]|\\.)*)"', rest)
                path = os.path.normpath(os.path.join(self.folder, path.group(1))) if path else "?"
                writes = re.search(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC", rest)
                if not path.startswith(allowed) or (writes and not path.startswith((str(self.folder), "/dev/null"))):
                    if path != "/" or writes:
                        yield f"opened: {line}"


def checkpoint(program, path, good, folder):
    """The commands on a file that should be a checkpoint: always the first, and one of the others."""
    rules = ["--rules", good["rules"]]
    out, free = folder / "out.pt", ["--no-target", "--no-sync"]
    first = [
        [program, "inspect", "--json", path],
        [program, *rules, path, "-o", out, *free, "--json"],
        [program, "keys", path],
    ]
    others = [
        [program, "inspect", "--keys", path],
        [program, "plan", "--json", *rules, "--no-target", path],
        [program, "plan", "-v", *rules, "--target", good["keys"], path],
        [program, "plan", "--html", folder / "plan.html", *rules, "--no-target", path],
        [program, *rules, path, "-o", folder / "out.safetensors", "--weights-only", *free],
        [program, *rules, good["checkpoint"], "-o", folder / "out.safetensors", "--target", path, "--no-sync"],
        [program, *rules, "--out-dir", folder / "many", path, good["checkpoint"], *free],
        [program, "diff", path, good["keys"]],
        [program, "diff", good["checkpoint"], path],
        [program, "verify", *rules, "--no-target", path, good["checkpoint"]],
        [program, "verify", *rules, "--no-target", good["checkpoint"], path],
        [program, "init", path, "--dir", folder / "made"],
        [program, "explain", good["rules"], path, "w", "--no-target"],
        [program, "invert", good["rules"], path, "--no-target"],
    ]
    return first, others


def others(program, kind, path, good, folder):
    """The commands on files of other kinds, all of them."""
    rules, out = ["--rules", good["rules"]], ["-o", folder / "out.safetensors", "--no-sync"]
    return {
        "rules": [
            [program, "plan", "--rules", path, good["checkpoint"], "--no-target"],
            [program, "--rules", path, good["checkpoint"], "--no-target", *out],
            [program, "fmt", "--check", path],
            [program, "explain", path, good["checkpoint"], "w", "--no-target"],
            [program, "invert", path, good["checkpoint"], "--no-target"],
            [program, "check", path.parent],
        ],
        "keys": [
            [program, "diff", good["checkpoint"], path],
            [program, "plan", *rules, "--target", path, good["checkpoint"]],
            [program, "plan", *rules, "--no-target", path],
            [program, "init", path, "--dir", folder / "made"],
            [program, "invert", good["rules"], path, "--no-target"],
        ],
        "error": [
            [program, "diff", good["checkpoint"], "--error", path],
            [program, "plan", *rules, "--target", path, good["checkpoint"]],
        ],
        "config": [[program, "plan", *rules, "--config", path, "--no-target", good["checkpoint"]]],
    }[kind]


def names(run):
    return set(json.loads(run.out)["globals_not_allowed"]) if run.code == 0 else None


def lost(program, first, folder):
    """The names that a migration took away and did not speak of."""
    inspected, migrated = first[0], first[1]
    if migrated.code != 0 or inspected.code != 0 or not (folder / "out.pt").exists():
        return []
    again = Run([program, "inspect", "--json", folder / "out.pt"], folder, False, [])
    told = set(json.loads(migrated.out).get("globals_left_out", []))
    gone = names(inspected) - (names(again) or set()) - told
    return again.wrong + ([f"names are gone: {sorted(gone)}"] if gone else [])


def run_file(program, path, good, thorough, number):
    """Everything about one file: its runs, and what was wrong."""
    folder = Path(tempfile.mkdtemp(prefix="migrate-hostile-"))
    of = path.parent if path.suffix == ".rules" or path.name.endswith(".index.json") else path
    kind = of.name.split("-")[0]
    trace = thorough or number % 9 == 0
    inputs = [path.parent if kind in ("rules", "index") else path, *good.values()]
    if kind == "rules":
        # A rule file may name others, which are read as rule files.
        inputs += ["/etc/passwd", "/dev/zero", os.path.normpath(path.parent / "../../../../etc/passwd")]
    runs, wrong = [], []
    try:
        if kind in ("rules", "keys", "error", "config"):
            commands = others(program, kind, path, good, folder)
            if not thorough:
                commands = [commands[0], *commands[1:][number % max(1, len(commands) - 1) :][:1]]
            runs = [Run(command, folder, False, inputs) for command in commands]
        else:
            first, more = checkpoint(program, path, good, folder)
            runs = [Run(command, folder, False, inputs) for command in first]
            wrong += lost(program, runs, folder)
            more = more if thorough else [more[number % len(more)]]
            runs += [Run(command, folder, False, inputs) for command in more]
            commands = first + more
        if trace:
            for command in commands if thorough else commands[:2]:
                for old in ("out.pt", "out.safetensors", "made", "many"):
                    place = folder / old
                    shutil.rmtree(place) if place.is_dir() else place.unlink(missing_ok=True)
                runs.append(Run(command, folder, True, inputs))
        asked = {"out.pt", "out.safetensors", "plan.html", "made", "many"}
        asked |= {".github"} if any("init" in run.words for run in runs) else set()
        wrong += [f"a file is left: {left}" for left in os.listdir(folder) if left not in asked]
    finally:
        shutil.rmtree(folder)
    for run in runs:
        wrong += [f"{what} ({' '.join(run.words[1:])})" for what in run.wrong]
    return runs, wrong, trace


def chosen(path, thorough):
    """Of files that are much alike, some."""
    alike = path.name.startswith(("names-", "damaged-", "header-turned")) or path.stem.endswith("-legacy")
    return thorough or not alike or zlib.crc32(path.name.encode()) % 4 == 0


def main():
    program, corpus, thorough = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve(), "--all" in sys.argv
    good = {"rules": corpus / "rules-good/good.rules", "keys": corpus / "keys-good.yaml", "checkpoint": corpus / "header-good.safetensors"}
    files = [path for path in sorted(corpus.rglob("*")) if path.is_file() and chosen(path, thorough)]
    files = [path for path in files if path.name != "model-00001-of-00002.safetensors" and path.name != "secret.safetensors"]
    follows = shutil.which("strace") is not None
    result = {"files": len(files), "runs": 0, "traced": 0, "exits": collections.Counter(), "accepted": 0, "refused": 0, "wrong": {}, "memory": [0, ""], "seconds": [0, ""], "safe": []}
    with ThreadPoolExecutor(int(os.environ.get("MIGRATE_HOSTILE_JOBS", "2"))) as pool:
        numbers = itertools.count(0) if follows else itertools.repeat(1)
        done = pool.map(lambda pair: (pair[0], run_file(program, pair[0], good, thorough and follows, pair[1])), zip(files, numbers))
        for path, (runs, wrong, trace) in done:
            name = str(path.relative_to(corpus))
            plain = runs if not trace else [run for run in runs if run.memory]
            result["runs"] += len(runs)
            result["traced"] += trace
            result["exits"].update(str(run.code) for run in runs)
            result["accepted" if runs[0].code in (0, 1) else "refused"] += 1
            if wrong:
                result["wrong"][name] = wrong
            for run in plain:
                result["memory"] = max(result["memory"], [run.memory >> 20, f"{name}: {run.words[1]}"])
                result["seconds"] = max(result["seconds"], [round(run.seconds, 1), f"{name}: {run.words[1]}"])
            if path.suffix == ".pt" and runs[0].code == 0 and not json.loads(runs[0].out)["refused_by_weights_only"]:
                result["safe"].append(name)
    print(json.dumps(result, indent=1))


main()
