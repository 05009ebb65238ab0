"""Kill `glot run` at random moments, and run it out of disk: no file is half written, nothing is left lying about.

    python tests/fuzz/kills.py --kills 200 --disks 20

Each time a run is stopped, its folder is looked at: every file under a final name is whole. Then the run is repeated
undisturbed: no litter may be left, and the result must equal that of a run that nobody disturbed. Half of the kills
meet a new folder, half a finished result that is being overwritten. Disks are small tmpfs mounts where this may mount
one (Linux, root), else files have a limit of size.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from tqdm import tqdm

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = (
    "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\nfrom glot_cli.cli import main\nmain()"
)
BLOWS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
WIDTH, HEIGHT, RATE = 320, 180, 25
LONGEST = 600.0  # seconds that a run may take on a busy machine
OF_THE_RUN = {"seconds", "fps", "stages", "seal"}  # of run.json: differ from run to run
FINAL = {"params.npz", "overlay.mp4", "frames", "run.json"}


def main() -> int:
    """Run as many kills and full disks as are asked for; exit status 1 if anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200, help="how many")
    parser.add_argument("--disks", type=int, default=20, help="how many points at which the disk is full")
    parser.add_argument("--seed", type=int, default=0, help="of moments, signals and disks")
    parser.add_argument("--frames", type=int, default=12, help="length of the clip")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="glot-kills-") as work:
        trial = Trial(Path(work), arguments.frames, random.Random(arguments.seed))
        for number in tqdm(range(arguments.kills), "kills"):
            trial.kill(BLOWS[number % len(BLOWS)], finished=number // len(BLOWS) % 2 == 1)
        for number in tqdm(range(arguments.disks), "full disks"):
            trial.fill((number + trial.random.random()) / arguments.disks)
    print(f"seed {arguments.seed}; the undisturbed run took {trial.seconds:.1f} s")
    for what, count in sorted(trial.counts.items()):
        print(f"{count:6} {what}")
    print(f"{len(trial.faults):6} FAULTS")
    return int(bool(trial.faults))


class Trial:
    """A clip, what an undisturbed run makes of it, and what disturbed ones did.

    Args:
        work: a folder to work in.
        frames: length of the clip.
        chance: gives moments and sizes.

    Attributes:
        seconds: that the undisturbed run took.
        counts: how often a run ended how.
        faults: what was wrong.
    """

    def __init__(self, work: Path, frames: int, chance: random.Random) -> None:
        self.random = chance
        self.counts: Counter[str] = Counter()
        self.faults: list[str] = []
        self._work, self._frames = work, frames
        self._clip = make_clip(work / "clip.mp4", frames)
        calm = work / "calm"
        begin = time.monotonic()
        self._run(calm)
        self.seconds = time.monotonic() - begin
        self._calm = contents(calm / "clip")
        self._bytes = sum(path.stat().st_size for path in calm.rglob("*") if path.is_file())
        self._largest = max(path.stat().st_size for path in calm.rglob("*") if path.is_file())
        self._out = work / "out"

    def kill(self, blow: signal.Signals, finished: bool) -> None:
        """Stop one run, in a new folder or over a finished result, and repeat it."""
        shutil.rmtree(self._out, ignore_errors=True)
        if finished:
            shutil.copytree(self._work / "calm", self._out)
        what = f"{blow.name} {'over a result' if finished else 'in a new folder'}"
        process = self._start(self._out, *["--overwrite"] * finished)
        moment = self.random.uniform(0, 1.1 * self.seconds)
        try:
            said = process.communicate(timeout=moment)[1]
        except subprocess.TimeoutExpired:
            if blow == signal.SIGINT:
                os.killpg(process.pid, blow)  # as a terminal does
            else:
                process.send_signal(blow)
            said = process.communicate(timeout=LONGEST)[1]
        what += f" after {moment:.2f} s"
        status = process.returncode
        self._count(f"kills: {blow.name}, exit status {status}")
        polite = status in (0, 130) and said.count("\n") <= 1
        early = status in (-blow, -signal.SIGINT, 1) and not self._touched(finished)  # while Python itself starts
        if not (status == -signal.SIGKILL if blow == signal.SIGKILL and status != 0 else polite or early):
            self._fault(f"{what}: exit status {status}, {said!r}")
        if status == 130 and self._litter():
            self._fault(f"{what}: left {self._litter()}")
        if not self._gone(process.pid):
            self._fault(f"{what}: processes are left")
        self._look(what)
        self._repeat(what)

    def fill(self, part: float) -> None:
        """Run on a disk that is full after a part (0 to 1) of what a result takes, make room, and repeat it."""
        shutil.rmtree(self._out, ignore_errors=True)
        self._out.mkdir()
        pages = max(1, int(part * self._bytes) // 4096)
        tmpfs = f"tmpfs of {pages} pages"
        mount = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={4096 * pages}", "tmpfs", str(self._out)],
            capture_output=True,
            check=False,
        ) if shutil.which("mount") else None  # fmt: skip
        mounted = mount is not None and mount.returncode == 0
        what = tmpfs if mounted else f"files of {int(part * self._largest)} bytes at most"
        try:
            process = self._start(self._out, before=None if mounted else limit_files(int(part * self._largest)))
            said = process.communicate(timeout=LONGEST)[1]
            self._count(f"full disks ({'tmpfs' if mounted else 'limited files'}): exit status {process.returncode}")
            if process.returncode not in (0, 1) or said.count("\n") != process.returncode or "fault in glot" in said:
                self._fault(f"{what}: exit status {process.returncode}, {said!r}")
            if self._litter():
                self._fault(f"{what}: left {self._litter()}")
            self._look(what)
            if mounted:
                subprocess.run(["mount", "-o", f"remount,size={16 * self._bytes}", str(self._out)], check=True)
            self._repeat(what)
        finally:
            if mounted:
                subprocess.run(["umount", str(self._out)], check=True)

    def _start(self, out: Path, *more: str, before: Callable[[], None] | None = None) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", PROGRAM, "run", str(self._clip), "--out", str(out), "--quiet", *more],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=before or mind_signals,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )

    def _run(self, out: Path) -> None:
        """A run that nobody disturbs."""
        process = self._start(out)
        told, said = process.communicate(timeout=LONGEST)
        if process.returncode or said:
            raise SystemExit(f"an undisturbed run ended with {process.returncode}: {told}{said}")

    def _repeat(self, what: str) -> None:
        """Run again to the end: the result equals the undisturbed one, and nothing else lies there."""
        try:
            self._run(self._out)
        except SystemExit as fault:
            self._fault(f"{what}: {fault}")
            return
        if self._litter():
            self._fault(f"{what}: after the next run there is {self._litter()}")
        found = contents(self._out / "clip")
        differ = sorted(name for name in found.keys() | self._calm.keys() if found.get(name) != self._calm.get(name))
        if differ:
            self._fault(f"{what}: after the next run {differ} differ")

    def _look(self, what: str) -> None:
        """See that every file under a final name is whole, and that what calls itself finished is."""
        folder = self._out / "clip"
        try:
            found = contents(folder) if folder.exists() else {}
        except Exception as error:  # of any reader: the file is not whole
            self._fault(f"{what}: {type(error).__name__}: {error}")
            return
        frames = sum(name.startswith("frames/") for name in found)
        if "frames/" in found and frames - 1 != self._frames:
            self._fault(f"{what}: frames/ holds {frames - 1} files")
        if json.loads(found.get("run.json", "{}")).get("finished") and found != self._calm:
            self._fault(f"{what}: calls itself finished and is not")

    def _litter(self) -> list[str]:
        """What lies in the folder beside the files of a result; a folder that is empty is litter too."""
        found = [path for path in self._out.rglob("*") if path.name.startswith(".")]
        folder = self._out / "clip"
        if folder.exists():
            inside = list(folder.iterdir())
            found += [path for path in inside if path.name not in FINAL] or [folder] * (not inside)
        return sorted(str(path.relative_to(self._out)) for path in found)

    def _touched(self, finished: bool) -> bool:
        folder = self._out / "clip"
        return folder.exists() and (not finished or contents(folder) != self._calm)

    def _gone(self, group: int) -> bool:
        """Whether no process of a run is left, after some seconds."""
        end = time.monotonic() + 10
        while time.monotonic() < end:
            try:
                os.killpg(group, 0)
            except ProcessLookupError:
                return True
            time.sleep(0.1)
        return False

    def _count(self, what: str) -> None:
        self.counts[what] += 1

    def _fault(self, line: str) -> None:
        self.faults.append(line)
        print(f"FAULT: {line}", flush=True)


def make_clip(path: Path, frames: int) -> Path:
    """The first frames of the example, small."""
    with av.open(str(ROOT / "examples/clip.mp4")) as source, av.open(str(path), "w") as target:
        stream = target.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number, frame in zip(range(frames), source.decode(video=0), strict=False):
            picture = frame.reformat(WIDTH, HEIGHT, "yuv420p")
            picture.pts, picture.time_base = number, Fraction(1, RATE)
            target.mux(stream.encode(picture))
        target.mux(stream.encode(None))
    return path


def contents(folder: Path) -> dict[str, str]:
    """What each file of a result says, read to its end, by name; without times. Raises what its reader does."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        digest = hashlib.sha256()
        if any(part.startswith(".") for part in Path(name).parts):
            continue
        if path.is_dir():
            name += "/"
        elif path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                for key in sorted(arrays):
                    digest.update(f"{key} {arrays[key].dtype} {arrays[key].shape}".encode() + arrays[key].tobytes())
        elif path.suffix == ".mp4":
            with av.open(str(path)) as video:
                for frame in video.decode(video=0):
                    digest.update(f"{frame.pts}".encode() + frame.to_ndarray().tobytes())
        elif path.name == "run.json":
            report = json.loads(path.read_text(encoding="utf-8"))
            del report["options"]["overwrite"]  # half of the runs are told to
            found[name] = json.dumps({key: value for key, value in report.items() if key not in OF_THE_RUN})
            continue
        found[name] = digest.hexdigest()
    return found


def mind_signals() -> None:
    """Shells have SIGINT ignored in what they start aside, and nohup SIGHUP; every child inherits that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def limit_files(n_bytes: int) -> Callable[[], None]:
    """Let a process write no file beyond a size, as a full disk does."""

    def limit() -> None:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, n_bytes))

    return limit


if __name__ == "__main__":
    sys.exit(main())
