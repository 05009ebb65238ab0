"""Ctrl-C, and a polite kill, at every stage: the program goes at once and leaves only whole files."""

from __future__ import annotations

import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from glot_cli import load_result
from glot_cli.pipeline.video_source import Source
from glot_cli.results import Result
from tests.cli.clips import read_video, write_clip
from tests.cli.fixtures import COUNT, Glot

if sys.platform == "win32":
    pytest.skip("bars need a terminal; Windows has no pseudo-terminals", allow_module_level=True)

import fcntl
import pty
import termios

LONG = COUNT  # frames
# A stage must last until the signal comes that is sent when it shows. More frames would do it at the price of work;
# here every frame that a bar counts, and every file of a frame, waits a little beside its work.
SLOWLY = """
import time
from glot_cli import progress, results

def slowed(function):
    def slow(*arguments, **named):
        time.sleep(0.06)
        return function(*arguments, **named)
    return slow

progress._Counter.update = slowed(progress._Counter.update)
results.write_npz = slowed(results.write_npz)
"""
PROGRAM = "from glot_cli.cli import main; main()"
LIMIT = 120.0  # seconds that a slow machine may take to come to a stage


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory: pytest.TempPathFactory, person_frames: list[np.ndarray]) -> Path:
    return write_clip(tmp_path_factory.mktemp("long") / "long.mp4", person_frames, sound=True)


def _mind_ctrl_c() -> None:
    """Where tests run in the background, shells have SIGINT ignored, and every child inherits that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Terminal:
    """`glot` on a terminal of its own, whose screen can be read and whose Ctrl-C reaches every process on it."""

    def __init__(self, *arguments: object, prelude: str = "") -> None:
        self._screen, inner = pty.openpty()
        fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("4H", 24, 100, 0, 0))  # a bar needs columns to be drawn in
        # A session of its own, so that its process group is all that the command started.
        self.process = subprocess.Popen(
            [sys.executable, "-c", prelude + PROGRAM, *map(str, arguments)],
            stdin=inner,
            stdout=inner,
            stderr=inner,
            start_new_session=True,
            preexec_fn=_mind_ctrl_c,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        os.close(inner)
        self.text = ""

    def wait_for(self, words: str) -> None:
        """Read until `words` show."""
        end = time.monotonic() + LIMIT
        while words not in self.text:
            assert time.monotonic() < end, f"'{words}' never showed: {self.text[-2000:]}"
            assert self._read(), f"ended before '{words}' showed: {self.text[-2000:]}"

    def wait_for_library(self, name: str) -> None:
        """Wait until the process has mapped a shared library, which is when a module of that name begins to load."""
        maps = Path(f"/proc/{self.process.pid}/maps")
        if not maps.exists():
            self.process.kill()
            pytest.skip("no /proc")
        end = time.monotonic() + LIMIT
        while name not in maps.read_text():
            assert time.monotonic() < end and self.process.poll() is None
            time.sleep(0.01)

    def finish(self) -> int:
        """Read to the end; the exit status."""
        while self._read():
            pass
        os.close(self._screen)
        return self.process.wait(30)

    def others(self) -> list[str]:
        """Command lines of processes that are left in the command's session."""
        listed = subprocess.run(
            ["ps", "-o", "args=", "-s", str(self.process.pid)], capture_output=True, text=True, check=False
        )
        return listed.stdout.splitlines()

    def _read(self) -> bool:
        try:
            data = os.read(self._screen, 65536)
        except OSError:  # Linux: the last process on the terminal is gone
            return False
        self.text += data.decode(errors="replace")
        return bool(data)


def assert_only_whole_files(folder: Path) -> None:
    """Every file is under its final name and can be read to its end."""
    for path in folder.rglob("*"):
        assert ".part" not in path.name
        if path.suffix == ".npz":
            load_result(path)
        elif path.suffix == ".mp4":
            assert len(read_video(path)[0]) == LONG
        elif path.suffix == ".json":
            json.loads(path.read_text())
    assert not (folder / "frames").exists() or len(list((folder / "frames").iterdir())) == LONG
    if (folder / "run.json").exists():
        assert not json.loads((folder / "run.json").read_text())["finished"]  # or the next run would skip this clip


@pytest.mark.parametrize(
    ("stage", "number"),
    [
        ("libtorch_cpu", signal.SIGINT),  # while Python imports
        ("libtorch_python", signal.SIGINT),
        ("libtorch_python", signal.SIGTERM),
        ("long.mp4 load", signal.SIGINT),
        ("long.mp4 detect and track:  ", signal.SIGINT),
        ("long.mp4 features:  ", signal.SIGINT),
        ("long.mp4 save", signal.SIGINT),
        ("long.mp4 draw:  ", signal.SIGINT),
        ("long.mp4 draw:  ", signal.SIGTERM),
    ],
)
def test_a_stop_leaves_only_whole_files(long_clip: Path, tmp_path: Path, stage: str, number: signal.Signals) -> None:
    # Where drawing is never reached, its process need not be tried: that saves seconds a test.
    drawing = [] if "draw" in stage else ["--no-render"]
    prelude = SLOWLY if "long" in stage else ""
    terminal = Terminal("run", long_clip, "--out", tmp_path, "--detect-every", 10, *drawing, prelude=prelude)
    if "long" in stage:
        terminal.wait_for(stage)
    else:
        terminal.wait_for_library(stage)
    begin = time.monotonic()
    if number == signal.SIGINT:
        os.killpg(terminal.process.pid, number)  # as a terminal does
    else:
        terminal.process.send_signal(number)
    status = terminal.finish()
    assert status == 130, terminal.text
    assert time.monotonic() - begin < 20
    assert "Traceback" not in terminal.text, terminal.text
    assert "interrupted" in terminal.text.splitlines()[-1]
    assert terminal.others() == []
    folder = tmp_path / "long"
    if "draw" in stage:
        assert sorted(p.name for p in folder.iterdir()) == ["frames", "params.npz", "run.json"]
    if folder.exists():
        assert_only_whole_files(folder)


def test_redrawing_can_be_stopped_and_keeps_the_older_picture(finished: Path, long_clip: Path, tmp_path: Path) -> None:
    short = load_result(finished)
    rows = np.resize(np.arange(len(short)), LONG)
    long = short.select(rows)
    source = Source.of(long_clip)
    meta = replace(short.meta, video=long_clip.name, source=str(long_clip), video_id=source.video_id, frame_count=LONG)
    cameras = {name: np.resize(values, (LONG, *values.shape[1:])) for name, values in short.cameras.items()}
    arrays = {**long.arrays, "frame": np.arange(LONG, dtype=np.int32)}
    Result(arrays, meta, cameras).save(tmp_path / "params.npz")
    shutil.copy(finished / "overlay.mp4", tmp_path)
    older = (tmp_path / "overlay.mp4").read_bytes()
    terminal = Terminal("render", tmp_path, prelude=SLOWLY)
    terminal.wait_for("long.mp4 draw:  ")
    os.killpg(terminal.process.pid, signal.SIGINT)
    assert terminal.finish() == 130, terminal.text
    assert (tmp_path / "overlay.mp4").read_bytes() == older
    assert sorted(p.name for p in tmp_path.iterdir()) == ["overlay.mp4", "params.npz"]


def test_after_a_kill_that_nothing_can_catch_the_next_run_clears_up_and_finishes(
    glot: Glot, long_clip: Path, tmp_path: Path, drawable: str
) -> None:
    run = ("run", long_clip, "--out", tmp_path, "--detect-every", 10)
    terminal = Terminal(*run, prelude=SLOWLY)
    terminal.wait_for("long.mp4 draw:  ")
    terminal.process.kill()  # itself alone: the drawing process has to notice
    assert terminal.finish() == -signal.SIGKILL
    folder = tmp_path / "long"
    assert list(folder.glob(".overlay.mp4.glot-*.part")), "killed while it drew"
    stamp = (folder / "params.npz").stat().st_mtime_ns
    end = time.monotonic() + 20
    while terminal.others() and time.monotonic() < end:
        time.sleep(0.1)
    assert terminal.others() == []
    ended = glot(*run, "-q")
    assert (ended.status, ended.err) == (0, [])
    assert sorted(p.name for p in folder.iterdir()) == ["frames", "overlay.mp4", "params.npz", "run.json"]
    assert (folder / "params.npz").stat().st_mtime_ns == stamp, "only drawn"
    assert len(read_video(folder / "overlay.mp4")[0]) == LONG
