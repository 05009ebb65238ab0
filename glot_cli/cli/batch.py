"""`glot batch`: thousands of clips on many machines."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from glot_cli.cli import options, run
from glot_cli.cli.stopping import loading
from glot_cli.cli.telling import say
from glot_cli.errors import GlotError, printable
from glot_cli.pipeline.options import LEAST_SPLIT, Options

if TYPE_CHECKING:
    from glot_cli.cluster.ledger import Ledger, Row

MOST_WORKERS = 1024  # on one machine, as `sizing` has it
UNFINISHED = 3  # exit status of --status
SILENT_SECONDS = 300.0  # without a new table, after which a batch may have been killed
LINE_SECONDS = 30.0  # between lines of progress where there is no terminal
_NOT_SHARED = {"videos", "out", "as_json", "debug"}  # of the options of `glot run`


class ShardType(click.ParamType[tuple[int, int]]):
    """Two numbers with a slash between them."""

    name = "shard"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", str(value))
        if not found or not 1 <= int(found[1]) <= int(found[2]):
            self.fail(f"{value!r} is not K/N with K from 1 to N, as 3/50.", param, ctx)
        return int(found[1]), int(found[2])


@click.command("batch", short_help="Run thousands of clips, on this machine or a Ray cluster.")
@click.argument("manifest", metavar="MANIFEST", required=False, type=options.PATH)
@click.option("--out", "-o", metavar="DIR", help="Folder or URL for the results and batch.parquet, the table of clips.")
@click.option("--status", metavar="DIR", help="Say how far the batch that writes DIR is, and end.")
@click.option("--ray", metavar="ADDRESS", help="The Ray cluster that works, as auto.  [default: this machine alone]")
@click.option(
    "--workers",
    type=click.IntRange(1, MOST_WORKERS),
    metavar="WORKERS",
    help="On each machine; they share its cores evenly.  [default: as many as cores and memory allow, or GPUs]",
)
@click.option(
    "--workers-per-gpu",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    metavar="WORKERS",
    help="Workers that share a GPU.",
)
@click.option(
    "--shard",
    type=ShardType(),
    metavar="K/N",
    help="Only every N-th clip from the K-th on, one after the other, without Ray: for job arrays.",
)
@click.option(
    "--split",
    type=click.FloatRange(LEAST_SPLIT),
    metavar="SECONDS",
    help="Cut longer clips into overlapping pieces of no more, for many workers.  [default: one worker a clip]",
)
@click.option(
    "--clip-timeout",
    "limit",
    type=click.FloatRange(1),
    metavar="SECONDS",
    help="Give a clip, or a piece of one, no more time than this.  [default: any]",
)
@click.option("--retry", is_flag=True, help="Also try clips that were set aside because workers died at them.")
@options.debug
def command(
    manifest: Path | None,
    out: str | None,
    status: str | None,
    ray: str | None,
    workers: int | None,
    workers_per_gpu: int,
    shard: tuple[int, int] | None,
    split: float | None,
    limit: float | None,
    retry: bool,
    debug: bool,
    no_render: bool,
    no_frames: bool,
    **settings: Any,
) -> int:
    """Run every clip of MANIFEST as `glot run` does: each has one outcome, whatever dies on the way.

    MANIFEST is a text file (a path, URL or glob a line), a .csv (columns video, and name or out) or a folder. Called
    again, the same command goes on where it was stopped. Takes the options of `glot run` beside its own.

    Exit status: 0 every clip came out, 1 one failed (the others still ran), 2 wrong usage; of --status also 3, it is
    not finished.
    """
    if status is not None:
        return _status(status)
    if manifest is None or not out:
        missing = "MANIFEST" if manifest is None else "--out DIR"
        raise click.UsageError(f"name {missing}, or ask with --status DIR", click.get_current_context())
    wanted = Options(render=not no_render, frames=not no_frames, **settings)
    with loading():
        try:
            from glot_cli.cluster.batch import run_batch
            from glot_cli.cluster.summary import state_line

            if shard is None:
                import glot_cli.cluster.ray_pool  # noqa: F401
        except ImportError as error:
            raise _not_installed(error) from error
    live = _Live(wanted.quiet)
    try:
        with ExitStack() as stack:
            if not debug:  # Ray prints every death of a worker on standard output, at length; the table tells them
                stack.enter_context(redirect_stdout(stack.enter_context(open(os.devnull, "w", encoding="utf-8"))))
            ledger = run_batch(
                manifest,
                out,
                wanted,
                ray=ray,
                workers=workers,
                per_gpu=workers_per_gpu,
                shard=shard,
                split=split,
                limit=limit,
                retry=retry,
                tell=live,
            )
    except KeyboardInterrupt:
        live.stopped()
        raise
    finally:
        live.close()
    now = time.time()
    print(printable(f"{state_line(ledger.rows, 0, now, now)} -> {out}"), flush=True)
    return _tell_failures(ledger.rows)


def _status(folder: str) -> int:
    """How far a batch is: its line, and what failed."""
    with loading():
        try:
            from glot_cli.cluster.batch_table import read_tables
            from glot_cli.cluster.summary import state_line
        except ImportError as error:
            raise _not_installed(error) from error
    rows, abouts, missing = read_tables(folder)
    at_work = [about for about in abouts if not about.over]
    written = max(about.written for about in abouts)
    line = state_line(rows, sum(a.workers for a in at_work), min(about.began for about in at_work or abouts), written)
    age = max(0.0, time.time() - written)
    if at_work:
        line += f" (written {age:.0f} s ago{'; has it been stopped?' if age > SILENT_SECONDS else ''})"
    print(printable(line), flush=True)
    if missing:
        verb = "has" if missing == 1 else "have"
        print(f"{missing} of {missing + len(abouts)} shards {verb} written no table", flush=True)
    failed = _tell_failures(rows)
    return UNFINISHED if at_work or missing else failed


def _tell_failures(rows: Sequence[Row]) -> int:
    """Print the table of what failed; returns the exit status."""
    from glot_cli.cluster.ledger import ASIDE
    from glot_cli.cluster.summary import failures

    lines = list(failures(rows))
    for line in lines:
        print(line, flush=True)
    if any(row.state == ASIDE for row in rows):
        print("what was set aside is tried again with --retry", flush=True)
    return int(bool(lines))


def _not_installed(error: ImportError) -> GlotError:
    name = (error.name or "").partition(".")[0]
    if name == "glot_cli":
        raise error
    return GlotError(f"{name or 'a library'} is not there", remedy="install it with pip install 'glot-cli[cluster]'")


class _Live:
    """The line of progress: again and again in its place on a terminal, now and then elsewhere."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._due = 0.0
        self._shown = False
        self._last: Ledger | None = None

    def __call__(self, ledger: Ledger, workers: int, began: float) -> None:
        from glot_cli.cluster.summary import state_line

        self._last = ledger
        if self._quiet or sys.stderr is None or time.monotonic() < self._due:
            return
        line = state_line(ledger.rows, workers, began, time.time())
        if sys.stderr.isatty():
            width = os.get_terminal_size(sys.stderr.fileno()).columns
            sys.stderr.write(f"\r\033[K{line[: max(20, width - 1)]}")
            sys.stderr.flush()
            self._shown, self._due = True, time.monotonic() + 1.0
        else:
            say(line)
            self._due = time.monotonic() + LINE_SECONDS

    def stopped(self) -> None:
        """Say how far it came, and how it goes on."""
        self.close()
        self._shown = False
        if self._last is not None:
            counts = self._last.counts
            say(f"{counts['done']} of {len(self._last.rows)} clips done; the same command goes on")

    def close(self) -> None:
        """End the line."""
        if self._shown:
            sys.stderr.write("\n")


command.params[-1:-1] = [parameter for parameter in run.command.params if parameter.name not in _NOT_SHARED]
