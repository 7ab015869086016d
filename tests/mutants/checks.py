"""Takes each check away in turn and runs the tests: `python tests/mutants/checks.py src/formats src/plan`.

`cargo-mutants` changes operators and what functions return. This one does to the code what one careless edit would:

- an `if` whose block fails, or adds to what is wrong, is never taken;
- a `filter` before `?`, `else` and the like lets everything through;
- sums, differences and products that are checked wrap.

The changed code lies in a clone of the last commit, so the work at hand is left alone. `--list` prints the changes and
makes none. Prints one line for each, and at the end those that no test saw.
"""

import argparse
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

# What a block has in it that says that something is wrong.
FAILS = re.compile(r"Err\(|refus|[pP]roblem|fail|flaw|doubt|warn")
# What follows a `filter` that decides whether something fails.
DECIDES = (".ok_or", ".and_then", ".map(", "else", "?")
# What of the suite has nothing to do with checks, or takes minutes.
SKIPPED = ["--skip=faults", "--skip=supply", "--skip=docs", "--skip=shells"]
WRAPPING = """
/// Arithmetic that wraps where it was checked.
pub(crate) trait Wrapping: Sized {
    fn wraps_add(self, other: Self) -> Option<Self>;
    fn wraps_sub(self, other: Self) -> Option<Self>;
    fn wraps_mul(self, other: Self) -> Option<Self>;
}
macro_rules! wrapping { ($($number:ty)*) => {$(impl Wrapping for $number {
    fn wraps_add(self, other: Self) -> Option<Self> { Some(self.wrapping_add(other)) }
    fn wraps_sub(self, other: Self) -> Option<Self> { Some(self.wrapping_sub(other)) }
    fn wraps_mul(self, other: Self) -> Option<Self> { Some(self.wrapping_mul(other)) }
})*} }
wrapping!(u32 u64 u128 usize i64 i128);
"""


@dataclass
class Change:
    """The bytes of a file that become others."""

    file: Path
    line: int
    start: int
    end: int
    new: str
    what: str

    def applied(self) -> str:
        """The whole file, changed."""
        text = self.file.read_text()
        return text[: self.start] + self.new + text[self.end :]


def blanked(text: str) -> str:
    """The text with spaces for comments, strings and characters, at the same places."""
    token = re.compile(r"""//[^\n]*|(?<!\w)r(#*)".*?"\1|"(?:\\.|[^"\\])*"|'(?:\\[^']*|[^\\'])'""", re.S)
    return token.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)


def closing(text: str, at: int) -> int:
    """Where the bracket that opens at a place is closed."""
    pairs = {"(": ")", "[": "]", "{": "}"}
    depth = 0
    for place in range(at, len(text)):
        depth += (text[place] in pairs) - (text[place] in pairs.values())
        if depth == 0:
            return place
    raise ValueError(f"the bracket at {at} is not closed")


def block_of(code: str, at: int) -> int | None:
    """Where the block of the `if` opens whose condition begins at a place; nothing for the guard of an arm."""
    while at < len(code):
        if code[at] == "{":
            return at
        if code[at] in ")]}" or code.startswith("=>", at):
            return None
        at = closing(code, at) + 1 if code[at] in "([" else at + 1
    return None


def changes(file: Path):
    """What can be taken away in a file, by place."""
    text = file.read_text()
    code = blanked(text).split("#[cfg(test)]\nmod tests {")[0]

    def change(start: int, end: int, new: str, what: str) -> Change:
        return Change(file, text.count("\n", 0, start) + 1, start, end, new, " ".join(what.split()))

    for found in re.finditer(r"\bif\b", code):
        block = block_of(code, found.end())
        if block is None or not FAILS.search(code[block : closing(code, block)]):
            continue
        condition = text[found.end() : block].strip()
        never = f"if false && {condition} " if "let " in code[found.end() : block] else f"if false && ({condition}) "
        yield change(found.start(), block, never, f"if {condition}")
    for found in re.finditer(r"\.filter\(", code):
        end = closing(code, found.end() - 1) + 1
        # The closure goes on to be compiled, so that its argument keeps its type.
        closure = re.match(r"\|[^|]*\|", text[found.end() :])
        if closure and code[end:].lstrip().startswith(DECIDES):
            rest = text[found.end() + closure.end() : end - 1]
            yield change(found.start(), end, f".filter({closure[0]} true || {{ {rest} }})", text[found.start() : end])
    for found in re.finditer(r"\.checked_(add|sub|mul)\(", code):
        line = text[: found.start()].rpartition("\n")[2] + text[found.start() :].partition("\n")[0]
        yield change(found.start(), found.end(), f".wraps_{found[1]}(", line)


def run(command: list[str], folder: Path, seconds: int) -> int | None:
    """The exit code, or nothing where it takes too long; what it started ends with it."""
    env = os.environ | {"RUSTFLAGS": "--cap-lints=warn", "CARGO_PROFILE_DEV_DEBUG": "0", "RUST_BACKTRACE": "0"}
    env["CARGO_TARGET_DIR"] = str(folder / "target")
    # What no check stops must not take the memory of the machine.
    limit = None if command[0] == "cargo" else lambda: resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, cwd=folder, env=env, start_new_session=True, preexec_fn=limit, **quiet) as process:
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return None


def newest(folder: Path, name: str) -> str:
    """The test program that was built last."""
    found = [path for path in (folder / "target/debug/deps").glob(f"{name}-*") if not path.suffix]
    return str(max(found, key=lambda path: path.stat().st_mtime))


def tests(folder: Path, of_formats: bool) -> str:
    """What the tests of the built programs say: those of `formats` first, where it is about them, then the suite."""
    units = [[newest(folder, "ckpt_migrate"), "formats"]] if of_formats else []
    for command in [*units, [newest(folder, "suite"), *SKIPPED]]:
        code = run(command, folder, 300)
        if code != 0:
            return "out of time" if code is None else "caught"
    return "PASSED"


def outcome(folder: Path, change: Change) -> str:
    """What the tests say of a change that has been made."""
    for command in (["test", "--lib", "--no-run"], ["build", "--bin", "migrate"]):
        if run(["cargo", *command, "--locked"], folder, 600) != 0:
            return "does not compile"
    return tests(folder, "formats" in change.file.parts)


def named(folder: Path, path: str):
    """The changes of a file, of the files of a folder, or of a line."""
    path, _, line = path.partition(":")
    place = folder / path
    for file in [place] if place.is_file() else sorted(place.rglob("*.rs")):
        if "tests" not in file.with_suffix("").parts:
            yield from (change for change in changes(file) if line in ("", str(change.line)))


def main() -> int:
    """Works off the list."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="+", help="files, folders, or FILE:LINE, below the root of the repository")
    parser.add_argument("--list", action="store_true", help="print what would be changed")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "clone"
        root = Path(__file__).parents[2]
        subprocess.run(["git", "clone", "--quiet", root, folder], check=True)
        lib = folder / "src/lib.rs"
        lib.write_text(lib.read_text() + WRAPPING)
        found = [change for path in args.paths for change in named(folder, path)]
        if not args.list:
            run(["cargo", "test", "--locked", "--no-run"], folder, 3600)
            if tests(folder, of_formats=True) != "PASSED":
                sys.exit("the tests fail without a change")
        passed = []
        for change in found:
            place = f"{change.file.relative_to(folder)}:{change.line}"
            if args.list:
                print(f"{place}: {change.what}")
                continue
            before = change.file.read_text()
            change.file.write_text(change.applied() + "\n#[allow(unused)]\nuse crate::Wrapping as _;\n")
            came = outcome(folder, change)
            change.file.write_text(before)
            print(f"{came}: {place}: {change.what}", flush=True)
            passed += [place] if came == "PASSED" else []
    print(f"{len(found)} changes, {len(passed)} that no test saw: {' '.join(passed)}")
    return 1 if passed else 0


if __name__ == "__main__":
    sys.exit(main())
