"""A batch in words: one line of how far it is, and a table of what failed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta

from glot_cli.cluster.ledger import ASIDE, DONE, FAILED, OVER, RUNNING, Row
from glot_cli.errors import counted, printable

_WINDOW = 600.0  # seconds over which speed is measured: clips differ, and machines come and go
MOST_FAILURES = 50  # told one by one


def state_line(rows: Sequence[Row], workers: int, began: float, now: float) -> str:
    """How far a batch is: done, failed, left, frames a second, time left.

    Args:
        rows: all clips.
        workers: that are at work.
        began: when the batch, or its last start, began, seconds since 1970.
        now: likewise.
    """
    counts = Counter(row.state for row in rows)
    failed, left = counts[FAILED] + counts[ASIDE], len(rows) - sum(counts[state] for state in OVER)
    line = f"{counts[DONE]} done, {failed} failed, {left} left of {counted(len(rows), 'clip')}"
    if not left:
        return f"{line}, {sum(row.frames or 0 for row in rows):,} frames"
    since = max(began, now - _WINDOW)
    lately = [row for row in rows if row.ended is not None and row.ended > since and row.attempts]
    line += f", {counted(counts[RUNNING], 'clip')} at work on {counted(workers, 'worker')}"
    in_pieces = [row.progress or 0.0 for row in rows if row.state == RUNNING and row.pieces]
    if in_pieces:
        line += f", {counted(len(in_pieces), 'clip')} in pieces {sum(in_pieces) / len(in_pieces):.0%} done"
    if lately and now > since:
        frames = sum(row.frames or 0 for row in lately) / (now - since)
        wait = timedelta(seconds=round(left * (now - since) / len(lately)))
        line += f", {frames:.1f} frames/s, {wait} left"
    return line


def failures(rows: Sequence[Row]) -> Iterator[str]:
    """A table of the clips that failed or were set aside, none where none did."""
    found = [row for row in rows if row.state in (FAILED, ASIDE)]
    if not found:
        return
    cells = [("clip", "state", "video", "why")] + [
        (str(row.number + 1), row.state, printable(row.video), _why(row)) for row in found[:MOST_FAILURES]
    ]
    widths = [max(len(row[column]) for row in cells) for column in range(3)]
    for row in cells:
        yield "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]]).rstrip()
    if len(found) > MOST_FAILURES:
        yield f"and {len(found) - MOST_FAILURES} more"


def _why(row: Row) -> str:
    """The reason, without the name of the clip, which stands beside it."""
    return printable(row.error or "").removeprefix(f"{printable(row.video)}: ")
