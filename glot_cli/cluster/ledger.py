"""What has become of every clip of a batch, and which comes next: one outcome each, whatever dies."""

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
MOST_BUSY = 60  # times

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
        attempts: how many times it was given to a worker that did not find it finished.
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
    attempts: int = 0
    crashes: int = 0
    deaths: int = 0
    began: float | None = None
    ended: float | None = None


class Ledger:
    """The rows of a batch, and the order in which they are worked at.

    Args:
        entries: the clips, each with its number in the manifest.
        earlier: rows of an earlier batch in the same place, by (video, folder): what was set aside stays so, and what
            is counted goes on. Clips that were done come again, for workers to see that their results still stand.
        retry: those that were set aside have another chance.
        clock: gives the time in seconds since 1970.
    """

    def __init__(
        self,
        entries: Iterable[tuple[int, Entry]],
        earlier: Iterable[Row] = (),
        retry: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        before = {(row.video, row.folder): row for row in earlier}  # as text, as tables hold them
        self._clock = clock
        self.rows = [_row(number, entry, before) for number, entry in entries]
        self.done_before = {row.number for row in self.rows if row.state == DONE}
        for row in self.rows:
            if row.folder and (row.state != ASIDE or retry):
                row.state, row.error = WAITING, None
                row.crashes, row.deaths = (0, 0) if retry else (row.crashes, row.deaths)
        self._queue = deque(row for row in self.rows if row.state == WAITING)
        self._later: deque[tuple[float, Row]] = deque()  # by time
        self._busy: Counter[int] = Counter()
        self._counts = Counter(row.state for row in self.rows)

    @property
    def counts(self) -> Counter[str]:
        """How many clips are in each state."""
        return Counter(self._counts)

    @property
    def left(self) -> int:
        """How many clips have no outcome yet."""
        return len(self.rows) - sum(self._counts[state] for state in OVER)

    def next(self) -> Row | None:
        """The clip to work at now; None where all are done, at work or have to wait."""
        while self._later and self._later[0][0] <= self._clock():
            self._queue.append(self._later.popleft()[1])
        if not self._queue:
            return None
        row = self._queue.popleft()
        self._become(row, RUNNING)
        row.began, row.attempts = self._clock(), row.attempts + 1
        return row

    def settle(self, row: Row, report: Report) -> None:
        """Take down what a worker says of the clip that it was given.

        Args:
            row: the clip.
            report: `state` done or failed, with fields of the row; "busy", where another process is at work in its
                folder; "skipped", where it was finished before; or "died", with `crashed` and `error`, where the worker
                is dead: by the clip, or from outside.
        """
        report = dict(report)
        state = report.pop("state")
        if state == "died":
            self._died(row, report)
            return
        if state == "busy":
            self._busy[row.number] += 1
            row.attempts -= 1  # nothing was done
            if self._busy[row.number] < MOST_BUSY:
                self._become(row, WAITING)
                self._later.append((self._clock() + BUSY_SECONDS, row))
                return
            state = FAILED
        if state == "skipped":
            state, row.attempts = DONE, row.attempts - 1
            if row.number in self.done_before:  # its row tells more than the folder
                self._become(row, DONE)
                return
        for name, value in report.items():
            setattr(row, name, value)
        row.ended = self._clock()
        self._become(row, state)

    def unwind(self) -> None:
        """Clips that are at work wait again: their workers are being stopped."""
        for row in self.rows:
            if row.state == RUNNING:
                self._become(row, WAITING)

    def _died(self, row: Row, report: Report) -> None:
        row.node = report.get("node") or row.node
        crashed = report["crashed"]
        row.crashes, row.deaths = row.crashes + crashed, row.deaths + (not crashed)
        if row.crashes < MOST_CRASHES and row.deaths < MOST_DEATHS:
            self._become(row, WAITING)
            self._queue.append(row)  # last: others come first that harm nobody
            return
        count = row.crashes if row.crashes >= MOST_CRASHES else row.deaths
        row.error = f"{count} workers died at it, the last so: {report['error']}"
        row.ended = self._clock()
        self._become(row, ASIDE)

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
