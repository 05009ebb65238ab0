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
    """How far a batch is: done, failed, left, frames a second of clips that ended, time left.

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
    in_pieces = [row for row in rows if row.pieces]
    if in_pieces:
        done = sum(1.0 if row.state in OVER else row.progress or 0.0 for row in in_pieces)
        line += f", steps of {counted(len(in_pieces), 'clip')} in pieces {done / len(in_pieces):.0%} done"
    if now <= since:
        return line
    if lately:
        line += f", {sum(row.frames or 0 for row in lately) / (now - since):.1f} frames/s"
    begun = [(row.progress or 0.0, now - (row.began or now)) for row in in_pieces if row.state not in OVER]
    # Of what was done of clips that are not over, the part that falls into the time that is looked at.
    clips = len(lately) + sum(share * min(1.0, (now - since) / max(age, 1e-9)) for share, age in begun)
    if clips:
        wait = timedelta(seconds=round((left - sum(share for share, _ in begun)) * (now - since) / clips))
        line += f", {wait} left"
    return line


def failures(rows: Sequence[Row]) -> Iterator[str]:
    """A table of the clips that failed or were set aside, none where none did."""
    found = [row for row in rows if row.state in (FAILED, ASIDE)]
    if not found:
        return
    cells = [("number", "state", "video", "why")] + [
        (str(row.number), row.state, printable(row.video), _why(row)) for row in found[:MOST_FAILURES]
    ]
    widths = [max(len(row[column]) for row in cells) for column in range(3)]
    for row in cells:
        yield "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]]).rstrip()
    if len(found) > MOST_FAILURES:
        yield f"and {len(found) - MOST_FAILURES} more"


def _why(row: Row) -> str:
    """The reason, without the name of the clip, which stands beside it."""
    return printable(row.error or "").removeprefix(f"{printable(row.video)}: ")
