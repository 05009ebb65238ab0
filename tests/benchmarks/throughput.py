"""Frames a second of whole runs of `glot run` with drawing, each in a process of its own, as a user starts them.

    python tests/benchmarks/throughput.py VIDEO [--frames 600] [--other CHECKOUT] [--times N]
        [--mediapipe PYTHON] [--together N] [--options "--detect-every 1"]

VIDEO is any video; one that is shorter is shown to and fro until it has `--frames` frames of 1280x720, so that

    python tests/benchmarks/throughput.py examples/clip.mp4

needs nothing beside the project; two people are in that clip, and drawing and landmarks cost by the person.

With `--other` the code of another checkout runs in turn with this one, so that a busy machine slows both alike: the
ratio is what to quote. With `--mediapipe`, MediaPipe's `Pose(model_complexity=1)` looks at every frame of the same clip
in between, and only that: it draws nothing, and knows one person. PYTHON is one that has it:

    python3.11 -m venv mp && mp/bin/pip install mediapipe==0.10.21 "numpy<2"

With `--together 4`, four runs start at once, after one alone: how many times longer they take than that one.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import cycle, islice
from pathlib import Path

import av
import psutil

ROOT = Path(__file__).resolve().parents[2]
GLOT = "from glot_cli.cli import main; main()"
MEDIAPIPE = """
import sys, time, cv2, mediapipe
pose = mediapipe.solutions.pose.Pose(model_complexity=1)
video = cv2.VideoCapture(sys.argv[1])
begin, frames, found = time.perf_counter(), 0, 0
while True:
    more, picture = video.read()
    if not more:
        break
    frames += 1
    found += pose.process(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)).pose_landmarks is not None
print(frames, found, time.perf_counter() - begin, mediapipe.__version__)
"""
FRESH = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")  # as a user has them: not at all


@dataclass
class Run:
    """What one process and its children took.

    Attributes:
        seconds: from its start to its end.
        cpu: seconds of all cores.
        memory: most bytes resident at once, all processes together; what they share counts in each.
        frames: how many it looked at.
        stages: seconds, from run.json.
        told: what it wrote.
    """

    seconds: float
    cpu: float
    memory: int
    frames: int = 0
    stages: dict[str, float] = field(default_factory=dict)
    told: str = ""


def watched(command: list[str], environment: dict[str, str], folder: Path) -> Run:
    """Run a command and watch its processes."""
    begin = time.perf_counter()
    with tempfile.TemporaryFile("w+") as faults:
        process = subprocess.Popen(
            command, env=environment, cwd=folder, stdout=subprocess.PIPE, stderr=faults, text=True
        )
        peak, ended = 0, threading.Event()

        def watch() -> None:
            nonlocal peak
            parent = psutil.Process(process.pid)
            while not ended.wait(0.05):
                total = 0
                with suppress(psutil.Error):
                    for one in (parent, *parent.children(recursive=True)):
                        with suppress(psutil.Error):
                            total += one.memory_info().rss
                peak = max(peak, total)

        watcher = threading.Thread(target=watch)
        watcher.start()
        assert process.stdout is not None
        told = process.stdout.read()
        # What it used, and its children that it waited for. (Nobody else has waited for it: `Popen` is told below.)
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        ended.set()
        watcher.join()
        if process.returncode:
            faults.seek(0)
            sys.exit(f"{shlex.join(command)}\n{faults.read()}\nended with {process.returncode}")
    return Run(seconds, used.ru_utime + used.ru_stime, peak, told=told)


def run_glot(checkout: Path, video: Path, options: list[str]) -> Run:
    """One run of the code in a checkout."""
    environment = {name: value for name, value in os.environ.items() if name not in FRESH}
    with tempfile.TemporaryDirectory() as out:
        # Imported here as there from its folder alone: an installed glot must not stand in for a checkout.
        command = [sys.executable, "-c", GLOT, "run", str(video), "--out", out, "--quiet", *options]
        run = watched(command, environment | {"PYTHONPATH": str(checkout), "PYTHONSAFEPATH": "1"}, Path(out))
        report = json.loads((Path(out) / video.stem / "run.json").read_text())
    if report.get("fault"):
        sys.exit(f"{checkout}: {report['fault']}")
    run.stages = {name: stage["seconds"] for name, stage in report["stages"].items()}
    run.frames, run.told = report["frames"], f"{report['frames']} frames, people found: {report['people']}"
    return run


def run_mediapipe(python: Path, video: Path) -> Run | None:
    """MediaPipe's landmarks of every frame, its start not counted; None where it is not there."""
    if subprocess.run([python, "-c", "import cv2, mediapipe"], capture_output=True, check=False).returncode:
        return None
    environment = {name: value for name, value in os.environ.items() if name not in (*FRESH, "PYTHONPATH")}
    with tempfile.TemporaryDirectory() as folder:
        run = watched([str(python), "-c", MEDIAPIPE, str(video)], environment, Path(folder))
    frames, found, seconds, version = run.told.split()
    run.frames, run.seconds = int(frames), float(seconds)
    run.told = f"MediaPipe {version}, {frames} frames, somebody in {found}"
    return run


def together(count: int, video: Path, options: list[str]) -> float:
    """Seconds until so many runs that start at once have all ended."""
    begin = time.perf_counter()
    with ThreadPoolExecutor(count) as pool:
        list(pool.map(lambda _: run_glot(ROOT, video, options), range(count)))
    return time.perf_counter() - begin


def to_and_fro(video: Path, target: Path, count: int) -> Path:
    """The clip itself if it is as wanted, or one of `count` frames of 1280x720 at 30 a second made of it."""
    pictures = []
    with av.open(str(video)) as source:
        stream = source.streams.video[0]
        wanted = (stream.width, stream.height, stream.frames) == (1280, 720, count)
        if wanted:
            return video
        for frame in islice(source.decode(stream), count):
            pictures.append(frame.reformat(1280, 720, "yuv420p", interpolation="AREA").to_ndarray())
    with av.open(str(target), "w") as container:
        made = container.add_stream("libx264", rate=30, options={"crf": "20"})
        made.width, made.height, made.pix_fmt = 1280, 720, "yuv420p"
        for index, picture in enumerate(islice(cycle(pictures + pictures[-2:0:-1]), count)):
            frame = av.VideoFrame.from_ndarray(picture, "yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, 30)
            container.mux(made.encode(frame))
        container.mux(made.encode(None))
    return target


def rate(runs: list[Run]) -> float:
    """Frames a second of the median run."""
    return statistics.median(run.frames / run.seconds for run in runs)


def show(name: str, runs: list[Run]) -> None:
    """Print what some runs of the same took."""
    print(f"\n{name}: {rate(runs):.2f} frames/s ({runs[0].told})")
    print(f"  seconds    {', '.join(f'{run.seconds:.1f}' for run in runs)}")
    print(f"  CPU        {', '.join(f'{run.cpu:.1f}' for run in runs)} s")
    print(f"  memory     {max(run.memory for run in runs) / 1e9:.2f} GB")
    for stage in runs[0].stages:
        print(f"  {stage:<18} {statistics.median(run.stages[stage] for run in runs):7.2f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path)
    parser.add_argument("--frames", type=int, default=600)
    parser.add_argument("--other", type=Path, metavar="CHECKOUT", help="another checkout of glot, to run in turn")
    parser.add_argument("--times", type=int, default=2)
    parser.add_argument("--mediapipe", type=Path, metavar="PYTHON", help="a Python that has MediaPipe")
    parser.add_argument("--together", type=int, default=0, metavar="N", help="also start so many runs at once")
    parser.add_argument("--options", default="", help="more options of `glot run`, for every run")
    arguments = parser.parse_args()
    options = shlex.split(arguments.options)
    with tempfile.TemporaryDirectory() as folder:
        video = to_and_fro(arguments.video.resolve(), Path(folder) / f"{arguments.video.stem}.mp4", arguments.frames)
        checkouts = [ROOT, *([arguments.other.resolve()] if arguments.other else [])]
        runs: dict[Path, list[Run]] = {checkout: [] for checkout in checkouts}
        landmarks: list[Run] = []
        for _ in range(arguments.times):
            for checkout in checkouts:
                runs[checkout].append(run_glot(checkout, video, options))
            if arguments.mediapipe and (run := run_mediapipe(arguments.mediapipe.absolute(), video)):
                landmarks.append(run)
        for checkout in checkouts:
            show(str(checkout), runs[checkout])
        ours = rate(runs[ROOT])
        if arguments.other:
            print(f"\n{ours / rate(runs[checkouts[1]]):.2f} times the speed of {checkouts[1]}")
        if landmarks:
            show("MediaPipe's landmarks", landmarks)
            print(f"\n{ours / rate(landmarks):.2f} times the speed of MediaPipe's landmarks alone")
        elif arguments.mediapipe:
            print(f"\nMediaPipe is left out: {arguments.mediapipe} cannot import mediapipe and cv2")
        if arguments.together:
            alone = run_glot(ROOT, video, options).seconds
            many = together(arguments.together, video, options)
            print(
                f"\n{arguments.together} at once take {many:.1f} s, {many / alone:.2f} times the {alone:.1f} s of one"
            )


if __name__ == "__main__":
    main()
