"""Migrates one sharded model on the machines of a Ray cluster, each writing a part of the shards.

    python examples/ray_migrate.py --rules v1_to_v2.rules --parts 16 /shared/old/ /shared/new/

Every machine has `migrate` and sees the same folders. A part whose worker or machine is lost is run again by Ray,
and takes up what was written; `migrate finish` writes the index when all parts are there.
"""

import argparse
import subprocess

import ray


def run(*command: str) -> None:
    """Runs a command and raises what it said where it failed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"exit {done.returncode}: {' '.join(command)}\n{done.stderr}")


# What the program refuses it refuses the second time too: only lost workers are retried.
@ray.remote(num_cpus=1, max_retries=3, retry_exceptions=False)
def migrate_part(command: list[str], part: int, parts: int) -> int:
    """Writes one part, counted from 1."""
    run(*command, "--shard", f"{part}/{parts}", "--quiet")
    return part


def migrate(program: str, rules: str, source: str, output: str, parts: int, options: list[str] = ()) -> None:
    """Migrates `source` into the folder `output` in so many parts, and finishes it."""
    command = [program, "--rules", rules, source, "-o", output, *options]
    waiting = [migrate_part.remote(command, part, parts) for part in range(1, parts + 1)]
    while waiting:
        done, waiting = ray.wait(waiting)
        print(f"part {ray.get(done[0])} of {parts} is done", flush=True)
    run(program, "finish", output)


def main() -> None:
    """Reads the command line and runs on the cluster that Ray finds, or on this machine."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", help="the checkpoint")
    parser.add_argument("output", help="the folder of the new one, which ends in a slash: new/")
    parser.add_argument("--rules", required=True)
    parser.add_argument("--parts", type=int, required=True, help="how many parts; a few for each machine")
    parser.add_argument("--program", default="migrate", help="where migrate lies on each machine")
    args, options = parser.parse_known_args()
    ray.init()
    migrate(args.program, args.rules, args.source, args.output, args.parts, options)


if __name__ == "__main__":
    main()
