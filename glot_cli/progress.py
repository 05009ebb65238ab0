"""How long each stage of a run takes: bars or lines for people, timings for the record."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tqdm import tqdm

from glot_cli.errors import counted, printable


class Progress:
    """Times stages and says on standard error which one is at work: a bar on a terminal, else a line.

    Args:
        label: stands before the name of each stage.
        quiet: show neither.

    Attributes:
        stages: by name, the seconds that each has taken, its frames and its frames per second.
    """

    def __init__(self, label: str = "", quiet: bool = False) -> None:
        self._label = printable(label)
        self._quiet = quiet
        self.stages: dict[str, dict[str, float]] = {}

    @contextmanager
    def stage(self, name: str, total: int | None = None) -> Iterator[Any]:
        """A bar to `update()` once a frame, for as long as the block lasts.

        Args:
            name: of the stage.
            total: frames to come; None shows the time alone.
        """
        title = f"{self._label} {name}".strip()
        stream = sys.stderr  # a program with windows may have none
        terminal = stream is not None and stream.isatty()
        if stream is not None and not (terminal or self._quiet):
            stream.write(f"glot: {title}" + (f", {counted(total, 'frame')}" if total else "") + "\n")
            stream.flush()
        bar = tqdm(
            total=total,
            desc=title,
            unit=" frames",
            bar_format=None if total else "{desc}: {elapsed}",
            disable=self._quiet or not terminal,
            dynamic_ncols=True,
        )
        counter = _Counter(bar)
        begin = time.perf_counter()
        with bar:
            yield counter
        seconds = time.perf_counter() - begin
        row = {"seconds": round(seconds, 3)}
        if counter.count:
            row |= {"frames": counter.count, "fps": round(counter.count / max(seconds, 1e-9), 2)}
        self.stages[name] = row


class _Counter:
    """Counts whether or not the bar is shown: a disabled tqdm does not."""

    def __init__(self, bar: Any) -> None:
        self._bar = bar
        self.count = 0

    def update(self, count: int = 1) -> None:
        self.count += count
        self._bar.update(count)
