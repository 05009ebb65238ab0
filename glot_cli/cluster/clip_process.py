"""The process that runs clips for a worker: whatever a clip does to it, the worker stays and says how it ended.

Networks are loaded once for all. Started by `ClipProcess`; talks in JSON lines.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glot_cli.cluster.ledger import DONE, FAILED, Report
from glot_cli.cluster.remote import exists, fetch, is_url, joined, kept_at, scratch
from glot_cli.errors import GlotError, one_line, printable
from glot_cli.files.apart import Apart, pipes_to_parent, receive, send
from glot_cli.files.locks import FolderBusyError

if TYPE_CHECKING:
    from glot_cli.pipeline.report import Outcome
    from glot_cli.pipeline.run import Runner

_START_SECONDS = 1800.0  # until networks are loaded, from a disk that many others read at the same time
PROGRAM = "from glot_cli.cluster.clip_process import main; main()"
_FROM_OUTSIDE = {getattr(signal, name) for name in ("SIGKILL", "SIGTERM", "SIGINT", "SIGHUP") if hasattr(signal, name)}


class ClipProcess(Apart):
    """A process that runs clips, seen from the worker. It ends with the worker.

    Args:
        options: of the runs.
        threads: that it may have.
        load: whether networks are loaded at once, and not for the first clip that needs them.
        program: what it runs, in Python.
        limit: seconds that a clip, or a step of one, may take; None for any.

    Attributes:
        fault: why it cannot run clips, None where it can.
    """

    def __init__(
        self, options: dict[str, Any], threads: int, load: bool, program: str = PROGRAM, limit: float | None = None
    ) -> None:
        # Read when libraries are imported. Threads that wait do not spin: others are at work on these cores.
        calm = {"OMP_NUM_THREADS": str(threads), "GOMP_SPINCOUNT": "1000", "KMP_BLOCKTIME": "0"}
        super().__init__(program, {**os.environ, **calm})
        self.fault: str | None = None
        self._limit = limit
        try:
            with self.waiting(_START_SECONDS):
                send(self.orders, {"options": options, "threads": threads, "load": load})
                self.fault = receive(self.answers)[0].get("fault")
        except (EOFError, OSError, ValueError):
            self.fault = f"the process that runs clips does not start ({self.last_words()})"
        if self.fault:
            self.stop()

    def run(self, job: dict[str, Any]) -> Report:
        """Run a clip.

        Args:
            job: the arguments of `run_clip`.

        Returns:
            What `Ledger.settle` takes.
        """
        killed = _kills_for_memory()
        self._log.seek(0)  # what libraries said about earlier clips; the process writes on from there
        self._log.truncate()
        try:
            with nullcontext() if self._limit is None else self.waiting(self._limit):
                send(self.orders, job)
                return receive(self.answers)[0]
        except (EOFError, OSError, ValueError):
            words = self.last_words()
            if self.is_late:
                self.stop()
                return {"state": "died", "crashed": True, "error": f"took longer than {self._limit:g} s, its limit"}
            code = self._process.returncode
            short_of_memory = _kills_for_memory() > killed
            self.stop()
        crashed = short_of_memory or code is None or -code not in _FROM_OUTSIDE
        return {
            "state": "died",
            "crashed": crashed,
            "error": f"{words}{', the machine was out of memory' if short_of_memory else ''}",
        }


def _kills_for_memory() -> int:
    """How many processes of this machine the system has killed for want of memory; 0 where it does not say so."""
    try:
        lines = Path("/proc/vmstat").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)


def main() -> None:
    """Take the options, then run one clip after another until there are no more orders."""
    orders, answers = pipes_to_parent()
    begin, _ = receive(orders)
    try:
        runner = _prepared(**begin)
    except Exception as error:
        send(answers, {"fault": _reason(error)})
        return
    send(answers, {})
    try:
        while True:
            job, _ = receive(orders)
            send(answers, run_clip(runner, **job))
    except (EOFError, BrokenPipeError):
        return


def _prepared(options: dict[str, Any], threads: int, load: bool) -> Runner:
    import cv2
    import torch

    from glot_cli.api import Options, prepare

    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)
    up = options.get("up")
    runner, _ = prepare([], Path(), Options(**{**options, "up": None if up is None else tuple(up), "quiet": True}))
    if load:  # else a worker that dies while it loads would die on the account of a clip
        _ = runner.models
    return runner


def run_clip(
    runner: Runner,
    video: str,
    folder: str,
    known: bool,
    overwrite: bool,
    split: float | None = None,
    stage: str | None = None,
    piece: int = 0,
) -> Report:
    """One clip, or a step of one that is cut into pieces, whatever may go wrong with it.

    Args:
        runner: with the options of the batch.
        video: path or URL.
        folder: of its result, path or URL.
        known: an earlier batch with these options did it. Of what lies at a URL no more is then looked at than whether
            its report is there.
        overwrite: whether to replace an earlier result.
        split: seconds that a piece may have, None where clips are run whole. Those at URLs are, too: every piece would
            have to fetch the whole.
        stage: name of the step; None: the clip.
        piece: which of the stage's.

    Returns:
        What `Ledger.settle` takes.
    """
    begin = time.perf_counter()
    names: dict[str, str] = {}
    runner.options = replace(runner.options, overwrite=overwrite)
    try:
        from glot_cli.pipeline.folder import REPORT

        remote = is_url(video) or is_url(folder)
        if known and remote and exists(joined(folder, REPORT) if is_url(folder) else os.path.join(folder, REPORT)):
            return {"state": "skipped"}
        if split is not None and not remote:
            from glot_cli.pipeline.split_run import SplitRun

            one = SplitRun(runner, Path(video), Path(folder), split)
            planned = one.plan() if stage is None else one.step(stage, piece)
            if planned is None:
                return {"state": "stepped"}
            if isinstance(planned, list) and planned:
                return {"state": "cut", "stages": planned, "pieces": one.count}
            if not isinstance(planned, list):
                return _report(planned, Path(folder))
        with _at_hand(video, folder, names) as (there, place):
            outcome = runner.run(there, place)
            report = _report(outcome, place)
        said = {"warnings": [_named(line, names) for line in report["warnings"]]}
        return {**report, **said, "error": report["error"] and _named(report["error"], names)}
    except FolderBusyError as error:
        return {"state": "busy", "error": str(error)}
    except Exception as error:
        reason = _named(_reason(error), names)
        return {"state": FAILED, "error": reason, "seconds": round(time.perf_counter() - begin, 3)}


@contextmanager
def _at_hand(video: str, folder: str, names: dict[str, str]) -> Iterator[tuple[Path, Path]]:
    """Paths on this machine for a video and its result; what belongs at a URL is sent there after the block.

    Args:
        video: path or URL.
        folder: path or URL.
        names: receives the URLs that paths stand for, by path.
    """
    there, place = Path(video), Path(folder)
    with scratch() if is_url(video) or is_url(folder) else nullcontext(place) as room:
        if is_url(video):
            (room / "video").mkdir()
            there = fetch(video, room / "video")
            names[str(there)] = video
        if is_url(folder):
            place = room / "result"
            names[str(place)] = folder.rstrip("/")
        with kept_at(folder, place) if is_url(folder) else nullcontext():
            yield there, place


def _named(text: str, names: dict[str, str]) -> str:
    """A line with the URLs in it for which paths on this machine stand, and these will be gone."""
    for path, url in names.items():
        text = text.replace(printable(path), printable(url))
    return text


def _report(outcome: Outcome, place: Path) -> Report:
    from glot_cli.files.seal import unsealed_json
    from glot_cli.pipeline.folder import REPORT

    written = unsealed_json(place / REPORT) or {}
    warnings = [*outcome.warnings]
    changed = [", ".join(outcome.other_options)] * bool(outcome.other_options) + ["weights"] * outcome.other_weights
    if changed:
        warnings.append(f"finished before with other {' and '.join(changed)}")
    return {
        "state": "skipped" if outcome.skipped else FAILED if outcome.fault else DONE,
        "people": outcome.people,
        "frames": outcome.frames,
        "seconds": round(outcome.seconds, 3),
        "stages": {name: float(stage["seconds"]) for name, stage in written.get("stages", {}).items()},
        "warnings": [printable(line) for line in warnings],
        "error": outcome.fault,
    }


def _reason(error: Exception) -> str:
    if isinstance(error, GlotError):
        return str(error)
    return printable(f"{type(error).__name__}: {one_line(error, 300)}")
