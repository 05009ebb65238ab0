"""Hold `glot batch` on two Ray nodes to `glot run`, also while workers and the driver are being killed.

    python tests/cluster/two_nodes.py --clips 200 --kill 10 --kill-driver 60
    python tests/cluster/two_nodes.py --videos VIDEO [VIDEO ...] --split 10 --kill 10 --kill-driver 60

Both nodes are on this machine, one worker and one core each. Every clip has to end with one whole result, equal to
the one that `glot run` makes on one thread; a report that stands may never be written again; and every attempt but
the first has to be explained by a death. Videos that are cut into pieces have to be of cameras that stand. Prints
what it saw, and ends with status 1 where something is not so. Linux.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
GLOT = [sys.executable, "-c", "from glot_cli.cli.main import main; main()"]
WORKER, CLIP_PROCESS = "ray::Hand", "glot_cli.cluster.clip_process"


def environment(**more: str) -> dict[str, str]:
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), **more}


def descendants(kind: str) -> list[int]:
    """Processes that this one has started, directly or not, whose command line holds `kind`."""
    parents, found = {}, []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                if kind in (entry / "cmdline").read_bytes().decode(errors="replace").replace("\0", " "):
                    found.append(int(entry.name))
            except OSError:
                continue

    def is_ours(process: int) -> bool:
        while process > 1:
            process = parents.get(process, 0)
            if process == os.getpid():
                return True
        return False

    return [process for process in found if is_ours(process)]


class Watched:
    """Reports of results: which file each is, so that one that is written twice is seen."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self.seen: dict[str, set[tuple[int, int]]] = {}

    def look(self) -> None:
        from glot_cli.files.seal import unsealed_json

        for folder in self._out.glob("clip*"):
            path = folder / "run.json"
            try:
                status = path.stat()
            except OSError:
                continue
            identity = (status.st_ino, status.st_mtime_ns)
            if identity in self.seen.get(folder.name, set()):
                continue
            if (unsealed_json(path) or {}).get("finished"):
                self.seen.setdefault(folder.name, set()).add(identity)


def batch(clips: Path, out: Path, address: str, kill: float, kill_driver: float, options: list[str]) -> Counter[str]:
    """Run the batch until it ends by itself; returns what was killed how often."""
    killed: Counter[str] = Counter()
    watched, begin, pick = Watched(out), time.monotonic(), random.Random(1)
    command = [*GLOT, "batch", str(clips), "--out", str(out), "--ray", address, *options]
    driver = subprocess.Popen(command, env=environment())
    next_kill = begin + kill
    while True:
        watched.look()
        now = time.monotonic()
        if kill and now >= next_kill:
            next_kill = now + kill
            kind = (WORKER, CLIP_PROCESS)[killed.total() % 2]
            if processes := descendants(kind):
                os.kill(pick.choice(processes), signal.SIGKILL)
                killed[kind] += 1
        if kill_driver and not killed["driver"] and now - begin >= kill_driver:
            driver.kill()
        if driver.poll() is not None:
            if driver.returncode != -signal.SIGKILL:
                break
            killed["driver"] += 1
            driver = subprocess.Popen(command, env=environment())
        time.sleep(0.1)
    watched.look()
    print(f"status {driver.returncode} after {time.monotonic() - begin:.0f} s, killed {dict(killed)}", flush=True)
    twice = {name: len(files) for name, files in watched.seen.items() if len(files) > 1}
    print(f"{len(watched.seen)} reports seen, written more than once: {twice}", flush=True)
    if twice or driver.returncode:
        raise SystemExit(1)
    return killed


def differences(one: Path, other: Path) -> list[str]:
    """Keys that differ between two records."""
    with np.load(one / "params.npz") as a, np.load(other / "params.npz") as b:
        shared = set(a.files) & set(b.files)
        unequal = [name for name in shared if not np.array_equal(a[name], b[name], equal_nan=a[name].dtype.kind == "f")]
        return sorted((set(a.files) ^ set(b.files)) | set(unequal))


def check(out: Path, reference: Path, killed: Counter[str]) -> bool:
    """Whether every clip has one whole result, equal to the reference's, and no attempt too many."""
    from glot_cli.cluster.batch_table import read_table

    rows, _ = read_table(str(out / "batch.parquet"))
    states = Counter(row.state for row in rows)
    unequal = {}
    for folder in sorted(reference.glob("clip*")):
        if found := differences(folder, out / folder.name):
            unequal[folder.name] = found
    left = [
        path.name for folder in out.glob("clip*") for path in folder.iterdir() if path.name[0] == "." or path.is_dir()
    ]
    deaths = sum(row.deaths for row in rows)
    extra = [row.number for row in rows if row.attempts > 1 + row.deaths + row.crashes + killed["driver"]]
    print(f"states {dict(states)}, attempts {Counter(row.attempts for row in rows)}, deaths {deaths}", flush=True)
    print(
        f"on nodes {Counter(row.node for row in rows)}; unequal {unequal}; left over {left}; extra {extra}", flush=True
    )
    return states["done"] == len(rows) and not unequal and not extra and not left


def main() -> int:
    from ray.cluster_utils import Cluster

    import glot_cli.cluster.ray_pool  # noqa: F401  (sets what Ray reads while it starts)
    from tests.cluster.short_clips import make_clips

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=20)
    parser.add_argument("--videos", type=Path, nargs="+", help="instead of short clips")
    parser.add_argument("--split", type=float, help="seconds of the longest piece")
    parser.add_argument("--kill", type=float, default=0, help="seconds between kills of a worker; 0: none")
    parser.add_argument("--kill-driver", type=float, default=0, help="seconds until the driver is killed; 0: never")
    parser.add_argument("--work", type=Path, help="folder for clips and results, kept; a `run` in it is taken as it is")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work = arguments.work or Path(temporary)
        clips, reference = work / "clips", work / "run"
        if not clips.exists() and arguments.videos:
            clips.mkdir(parents=True)
            for number, video in enumerate(arguments.videos):
                shutil.copy(video, clips / f"clip{number:05d}{video.suffix}")
        elif not clips.exists():
            make_clips(clips, arguments.clips)
        options = ["--no-render", "--no-frames", "--quiet"]
        begin = time.monotonic()
        one_thread = environment(OMP_NUM_THREADS="1")
        command = [*GLOT, "run", *map(str, sorted(clips.iterdir())), "--out", str(reference), *options]
        subprocess.run(command, env=one_thread, check=True, stdout=subprocess.DEVNULL)
        print(f"glot run: {time.monotonic() - begin:.0f} s", flush=True)
        os.environ |= environment()  # its workers have to find glot
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
        try:
            cluster.add_node(num_cpus=1)
            out = Path(tempfile.mkdtemp(prefix="batch", dir=work))
            options += ["--split", str(arguments.split)] if arguments.split else []
            killed = batch(clips, out, cluster.address, arguments.kill, arguments.kill_driver, options)
            return 0 if check(out, reference, killed) else 1
        finally:
            cluster.shutdown()


if __name__ == "__main__":
    sys.exit(main())
