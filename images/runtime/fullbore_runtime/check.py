"""Checks shards against the manifest beside the engine, while that imports and compiles.

`begin` starts this module as a process that holds a lock on a file until it has written its finding there. Whoever is
about to load weights waits for the lock (`wait`, which this package's plugin puts before vLLM's loader), so that
nothing is loaded that was not checked. A check that dies leaves no finding, and then nothing is loaded either.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from fullbore_runtime.errors import WeightsError
from fullbore_runtime.facts.shards import weights
from fullbore_runtime.tune.refusals import shard_refusals

ENVIRONMENT = "FULLBORE_SHARDS"
"""Names the file with the finding."""
RIGHT = "right"


def begin(directory: Path, threads: int) -> Path:
    """Start the check; it is under way before this returns. The file is left for every process that loads weights."""
    number, name = tempfile.mkstemp(prefix="fullbore-shards-")
    # The lock is the open file's, not this process's: the child goes on holding it, and nobody else.
    fcntl.flock(number, fcntl.LOCK_EX)
    words = [str(number), str(directory), str(threads)]
    subprocess.Popen([sys.executable, "-m", "fullbore_runtime.check", *words], pass_fds=[number])
    os.close(number)
    return Path(name)


def wait(path: Path) -> None:
    """Until the check is over. Raises WeightsError where a shard is not what the manifest says."""
    with path.open(encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        finding = file.read()
    if finding != RIGHT:
        raise WeightsError(finding or "the check of the shards ended without a finding; start the pod again")


def finding(directory: Path, threads: int) -> str:
    """RIGHT, or every reason not to load what is there."""
    try:
        return "; ".join(shard_refusals(weights(directory, check=True, threads=threads))) or RIGHT
    except WeightsError as error:
        return str(error)


def main() -> None:
    parser = argparse.ArgumentParser(prog="fullbore_runtime.check", description="check shards beside the engine")
    parser.add_argument("file", type=int, help="open and locked")
    parser.add_argument("directory", type=Path)
    parser.add_argument("threads", type=int)
    args = parser.parse_args()
    text = finding(args.directory, args.threads)
    if text != RIGHT:
        print(f"refusing to start: {text}", file=sys.stderr, flush=True)
    os.write(args.file, text.encode())


if __name__ == "__main__":
    main()
