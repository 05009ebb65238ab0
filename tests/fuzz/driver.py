"""Files made by chance, each read in a process of its own with limits: what the scripts beside this one share."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import resource
import shutil
import signal
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from glot_cli.errors import GlotError

SECONDS, BYTES = 10, 1 << 30
WAIT = 120  # seconds of a busy machine


def verdict(read: Callable[[Path], Any], path: Path) -> str:
    """What comes of reading a file in a process of its own: "read", "refused", or what is wrong."""
    receive, send = os.pipe()
    child = os.fork()
    if not child:
        os.close(receive)
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS + 1))
        os.write(send, json.dumps(tried(read, path)).encode())
        os._exit(0)
    os.close(send)
    begin = time.monotonic()
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended or time.monotonic() - begin > WAIT:
            break
        time.sleep(0.002)
    if not ended:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return "hangs"
    with os.fdopen(receive, "rb") as file:
        said = file.read()
    return json.loads(said) if said else f"died of signal {os.waitstatus_to_exitcode(status)}"


def tried(read: Callable[[Path], Any], path: Path) -> str:
    before = most_memory()
    try:
        read(path)
        said = "read"
    except GlotError as error:
        line = str(error)
        said = "refused" if "\n" not in line and path.name in line else f"no line about the file: {line[:200]}"
    except BaseException as error:
        places = [f"{Path(f.filename).name}:{f.lineno}" for f in traceback.extract_tb(error.__traceback__)][-3:]
        said = f"{type(error).__name__} ({str(error)[:100]}) at {', '.join(places)}"
    grown = (most_memory() - before) * 1024
    return said if grown < BYTES else f"takes {grown / 1e9:.1f} GB"


def most_memory() -> int:
    """KiB that this process, or one that it had started and that is gone, took at most."""
    return max(resource.getrusage(whose).ru_maxrss for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def drive(
    description: str,
    readers: dict[str, Callable[[Path], Any]],
    prepare: Callable[[Path], None],
    make: Callable[[str, Path, int, random.Random], Path],
) -> int:
    """Try as many files as are asked for; exit status 1 if any was a fault.

    Args:
        description: of the program.
        readers: what reads a file, by kind.
        prepare: makes what files are made of, in a folder.
        make: makes a file of a kind in a folder, under a number, by chance.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000, help="how many files, of all kinds alike")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first file: several at once can share them")
    parser.add_argument("--kinds", nargs="+", choices=readers, default=list(readers))
    parser.add_argument("--keep", type=Path, default=Path("fuzz_faults"), help="folder for files that are faults")
    arguments = parser.parse_args()
    counts: dict[str, Counter[str]] = {kind: Counter() for kind in arguments.kinds}
    faults: Counter[str] = Counter()
    torch.set_num_threads(1)  # a process that forks must have no threads that work
    with tempfile.TemporaryDirectory(prefix="glot-fuzz-") as work:
        prepare(Path(work))
        with contextlib.suppress(KeyboardInterrupt):  # what was tried until then is told
            for number in range(arguments.first, arguments.first + arguments.count):
                kind = arguments.kinds[number % len(arguments.kinds)]
                path = make(kind, Path(work), number, random.Random(f"{arguments.seed} {number}"))
                said = verdict(readers[kind], path)
                counts[kind][said if said in ("read", "refused") else "FAULT"] += 1
                if said not in ("read", "refused"):
                    if not faults[f"{kind}: {said}"]:
                        arguments.keep.mkdir(exist_ok=True)
                        kept = shutil.copy(path, arguments.keep / f"{kind}_{arguments.seed}_{path.name}")
                        print(f"{kept}: {said}", flush=True)
                    faults[f"{kind}: {said}"] += 1
                path.unlink()
    for kind, tally in counts.items():
        print(f"{kind:8} " + ", ".join(f"{count} {what}" for what, count in sorted(tally.items())))
    for fault, count in faults.most_common():
        print(f"{count:6} {fault}")
    return 1 if faults else 0
