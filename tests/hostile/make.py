"""Writes a corpus of malicious files, the same for the same seed: `python make.py FOLDER [SEED]`.

None of them is needed to be believed: each that is executed leaves a file `executed` where it was loaded.
"""

import sys
from pathlib import Path

import other_files
import torch_files


def make(folder: Path, seed: int = 0) -> int:
    """Writes all files into a folder, and says how many they are."""
    count = 0
    for source in (torch_files, other_files):
        for name, content in source.files(seed):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            count += 1
    return count


if __name__ == "__main__":
    place = Path(sys.argv[1])
    print(f"{make(place, int(sys.argv[2]) if len(sys.argv) > 2 else 0)} files in {place}")
