"""What has become of every clip of a batch, and what comes next: one outcome each, whatever dies."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from glot_cli.cluster.manifest import Entry

WAITING, RUNNING, DONE, FAILED, ASIDE = "waiting", "running", "done", "failed", "set aside"
OVER = (DONE, FAILED, ASIDE)
MOST_CRASHES = 2  # of workers by one clip
# Ends of workers that come from outside - a node that is lost, a kill - say nothing of the clip that was at work; but a
# clip that meets so many must be what brings them about.
MOST_DEATHS = 5
BUSY_SECONDS = 10.0  # until a folder is tried again in which another process is at work
MOST_BUSY = 2160  # times: six hours, in which the other one ends and leaves a finished result

_NOTHING: dict[str, Any] = {"people": None, "frames": None, "seconds": None}

Report = dict[str, Any]  # of a worker on a clip: `state`, and fields of `Row`


@dataclass
class Row:
    """One clip in the table of a batch.

    Attributes:
        number: its place in the manifest, from 0.
        video: path or URL.
        folder: path or URL of its result, empty where it has none.
        state: waiting, running, done, failed (the reason is `error`) or set aside (it killed its workers).
        people: how many were found.
        frames: how many frames were looked at.
        seconds: how long its run took.
        stages: seconds of every stage of it.
        warnings: a line for each fault that did not stop it.
        error: why it failed or was set aside.
        node: the machine that it ran on.
        pieces: that it is cut into; None where it is run whole.
        progress: share of their steps that are done, 0 to 1; None where it is run whole.
        attempts: how many times it was given to a worker that did not find it finished. Steps of a clip that is cut
            count where they had to be taken again.
        crashes: how many workers it crashed.
        deaths: how many workers ended from outside while they were at it.
        began: when it was last given to a worker, seconds since 1970.
        ended: when its outcome was there.
    """

    number: int
    video: str
    folder: str
    state: str = WAITING
    people: int | None = None
    frames: int | None = None
    seconds: float | None = None
    stages: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    error: str | None = None
    node: str | None = None
    pieces: int | None = None
    progress: float | None = None
    attempts: int = 0
    crashes: int = 0
    deaths: int = 0
    began: float | None = None
    ended: float | None = None


@dataclass(eq=False)
class Work:
    """What one worker does at a time: a clip, or a step of one that is cut into pieces.

    Attributes:
        row: the clip.
        stage: name of the step, None for a clip.
        piece: which of the stage's.
        crashes: workers that it crashed.
        deaths: workers that ended from outside while they were at it.
        busy: times that another process was at work in the folder.
    """

    row: Row
    stage: str | None = None
    piece: int = 0
    crashes: int = 0
    deaths: int = 0
    busy: int = 0


class _Stages:
    """The steps of a clip that is cut into pieces: those of a stage wait for those of the one before."""

    def __init__(self, row: Row, stages: Iterable[tuple[str, int]]) -> None:
        self._row = row
        self._stages = deque(stages)
        self._all = sum(count for _, count in self._stages)
        self._done = self._open = 0

    def done(self) -> list[Work]:
        """One more step is done, or none yet: those whose time has come by that."""
        self._done += self._open > 0
        self._open -= self._open > 0
        self._row.progress = round(self._done / self._all, 4)
        if self._open or not self._stages:
            return []
        stage, self._open = self._stages.popleft()
        return [Work(self._row, stage, piece) for piece in range(self._open)]


class Ledger:
    """The rows of a batch, and the order in which they are worked at.

    Args:
        entries: the clips, each with its number in the manifest.
        earlier: rows of an earlier batch in the same place, by (video, folder): what was set aside stays so, and what
            is counted goes on. Clips that were done come again, for workers to see that their results still stand.
        retry: those that were set aside have another chance.
        keep: clips that were done were done as is wanted now, so that whoever is asked has only to see that they stand.
        clock: gives the time in seconds since 1970.
        timer: gives seconds that nobody sets back.

    Attributes:
        rows: all clips.
        done_before: numbers of those that were done as is wanted now.
    """

    def __init__(
        self,
        entries: Iterable[tuple[int, Entry]],
        earlier: Iterable[Row] = (),
        retry: bool = False,
        keep: bool = True,
        clock: Callable[[], float] = time.time,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        before = {(row.video, row.folder): row for row in earlier}  # as text, as tables hold them
        self._clock, self._timer = clock, timer
        self.rows = [_row(number, entry, before) for number, entry in entries]
        self.done_before = {row.number for row in self.rows if row.state == DONE} if keep else set()
        self._unseen = {row.number: replace(row) for row in self.rows if row.number in self.done_before}
        suspects = set()  # at work when the driver ended: one of them may have brought that about
        for row in self.rows:
            if row.folder and (row.state != ASIDE or retry):
                suspects |= {row.number} if row.state == RUNNING else set()
                row.state, row.error = WAITING, None
                row.crashes, row.deaths = (0, 0) if retry else (row.crashes, row.deaths)
        waiting = sorted((row for row in self.rows if row.state == WAITING), key=lambda row: row.number in suspects)
        # Those of a clip in pieces are spread over its steps, which begin anew.
        self._queue = deque(
            Work(row) if row.pieces else Work(row, crashes=row.crashes, deaths=row.deaths) for row in waiting
        )
        self._later: deque[tuple[float, Work]] = deque()  # by time
        self._cut: dict[int, _Stages] = {}  # by number
        self._counts = Counter(row.state for row in self.rows)

    @property
    def counts(self) -> Counter[str]:
        """How many clips are in each state."""
        return Counter(self._counts)

    def told(self) -> list[Row]:
        """The rows for those who look on, and for a later batch: what was done stays so until somebody has looked."""
        return [self._unseen.get(row.number, row) for row in self.rows]

    @property
    def left(self) -> int:
        """How many clips have no outcome yet."""
        return len(self.rows) - sum(self._counts[state] for state in OVER)

    def next(self) -> Work | None:
        """What to do now; None where all is done, or at work, or has to wait."""
        while self._later and self._later[0][0] <= self._timer():
            self._queue.append(self._later.popleft()[1])
        while self._queue:
            work = self._queue.popleft()
            if work.row.state in OVER:  # a step of a clip that failed meanwhile
                continue
            self._become(work.row, RUNNING)
            if work.stage is None:
                work.row.began, work.row.pieces, work.row.progress = self._clock(), None, None
            work.row.attempts += work.stage is None or work.crashes + work.deaths > 0
            return work
        return None

    def settle(self, work: Work, report: Report) -> None:
        """Take down what a worker says of what it was given.

        Args:
            work: what it was given.
            report: `state` done or failed, with fields of the row; "busy", where another process is at work in the
                folder; "skipped", where the clip was finished before; "cut", with `stages` and their numbers of steps
                and `pieces`, where it is to be done in steps; "stepped", where a step is done; "unready", where the
                worker could not even begin; or "died", with `crashed` and `error`, where the worker is dead: by what
                it was given, or from outside.
        """
        report, row = dict(report), work.row
        state = report.pop("state")
        if row.state in OVER:  # another step has decided
            return
        if state in ("cut", "stepped"):
            row.node = report.get("node") or row.node
            if state == "cut":
                row.pieces = report["pieces"]
                self._cut[row.number] = _Stages(row, report["stages"])
            # First of all: what is begun is brought to its end.
            self._queue.extendleft(reversed(self._cut[row.number].done()))
            return
        if state == "unready":
            row.attempts -= work.stage is None or work.crashes + work.deaths > 0
            self._wait(work)
            self._queue.appendleft(work)
            return
        if state == "died":
            self._died(work, report)
            return
        if state == "busy":
            work.busy += 1
            row.attempts -= work.stage is None or work.crashes + work.deaths > 0  # nothing was done
            if work.busy < MOST_BUSY:
                self._wait(work)
                self._later.append((self._timer() + BUSY_SECONDS, work))
                return
            state = FAILED
        if state == "skipped":
            state, row.attempts = DONE, row.attempts - (work.stage is None)
            before = self._unseen.pop(row.number, None)
            if before is not None:  # the row tells more than the folder
                row.began, row.pieces, row.progress = before.began, before.pieces, before.progress
                self._become(row, DONE)
                return
        for name, value in ({} if state == DONE else _NOTHING | {"warnings": [], "stages": {}}).items():
            setattr(row, name, value)  # of an earlier batch, in which it was done
        for name, value in report.items():
            setattr(row, name, value)
        if state == DONE and row.pieces:
            row.progress = 1.0
        self._end(row, state)

    def unwind(self) -> None:
        """Clips that are at work wait again: their workers are being stopped."""
        for row in self.rows:
            if row.state == RUNNING:
                self._become(row, WAITING)

    def _died(self, work: Work, report: Report) -> None:
        row, crashed = work.row, report["crashed"]
        row.node = report.get("node") or row.node
        row.crashes, row.deaths = row.crashes + crashed, row.deaths + (not crashed)
        work.crashes, work.deaths = work.crashes + crashed, work.deaths + (not crashed)
        if work.crashes < MOST_CRASHES and work.deaths < MOST_DEATHS:
            self._wait(work)
            self._queue.append(work)  # last: others come first that harm nobody
            return
        count = work.crashes if work.crashes >= MOST_CRASHES else work.deaths
        row.error = f"{count} workers died at it, the last so: {report['error']}"
        self._end(row, ASIDE)

    def _wait(self, work: Work) -> None:
        """A clip waits; one in pieces, of which others may be at work, is still on its way."""
        if work.stage is None:
            self._become(work.row, WAITING)

    def _end(self, row: Row, state: str) -> None:
        self._unseen.pop(row.number, None)
        row.ended = self._clock()
        self._cut.pop(row.number, None)
        self._become(row, state)

    def _become(self, row: Row, state: str) -> None:
        self._counts[row.state] -= 1
        self._counts[state] += 1
        row.state = state


def _row(number: int, entry: Entry, before: dict[tuple[str, str], Row]) -> Row:
    """The row of a clip, with what an earlier batch knew of it."""
    if entry.fault:
        return Row(number, entry.video, entry.folder, FAILED, error=entry.fault, ended=time.time())
    row = before.get((plain_text(entry.video), plain_text(entry.folder)))
    if row is None:
        return Row(number, entry.video, entry.folder)
    return replace(row, number=number, video=entry.video, folder=entry.folder)


def plain_text(name: str) -> str:
    """The name of a file as text that can be written: it may hold bytes that are no UTF-8."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
