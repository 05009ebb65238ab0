"""A batch: manifest in, one outcome a clip, and the table of all of them."""

from __future__ import annotations

import json
import logging
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from glot_cli._version import __version__
from glot_cli.api import Options
from glot_cli.cluster.batch_table import About, earlier_rows, table_name, write_table
from glot_cli.cluster.clip_process import PROGRAM, ClipProcess
from glot_cli.cluster.ledger import Ledger, Work
from glot_cli.cluster.manifest import read_manifest
from glot_cli.cluster.remote import check_place, is_url, joined, place_of
from glot_cli.errors import GlotError, OutputError, UsageError
from glot_cli.files.atomic import not_written
from glot_cli.files.opening import expanded
from glot_cli.files.seal import is_regular
from glot_cli.pipeline.options import LEAST_SPLIT, SAME_RESULT
from glot_cli.pipeline.presets import choose

# How long the table may stay as it is: some seconds, but of the time no more than a twentieth goes into writing it.
_LEAST_SECONDS = 2.0
_WRITING_PART = 0.05
_MOST_UNWRITTEN, _UNWRITTEN_SECONDS = 20, 30.0  # tries to write it in a row, ten minutes in all, and between them
_PATIENCE = 600.0  # seconds until a cluster has its first machine that can work: it may be about to be started

log = logging.getLogger(__name__)

Tell = Callable[[Ledger, int, float], None]
JobOf = Callable[[Work], dict[str, Any]]


def run_batch(
    manifest: Path,
    out: str,
    options: Options,
    *,
    ray: str | None = None,
    workers: int | None = None,
    per_gpu: int = 1,
    shard: tuple[int, int] | None = None,
    split: float | None = None,
    limit: float | None = None,
    retry: bool = False,
    tell: Tell = lambda ledger, workers, began: None,
    program: str = PROGRAM,
) -> Ledger:
    """Run all clips of a manifest that are not finished; call it again after whatever stopped it.

    Args:
        manifest: see `read_manifest`.
        out: path or URL of the folder for results and the table.
        options: of the runs.
        ray: address of a Ray that runs; None: one is started on this machine.
        workers: how many on each machine; None: as many as there are cores and memory for, or GPUs.
        per_gpu: workers that share a GPU.
        shard: (which, of how many), from 1: only these clips, in this process alone, without Ray.
        split: clips that are longer, in seconds, are cut into pieces of no more; None: every clip is run whole.
        limit: seconds that a clip, or a step of one that is cut, may take; None for any.
        retry: clips that were set aside have another chance.
        tell: called often, with what there is, the number of workers and when the batch began.
        program: of the processes that run clips.

    Returns:
        Every clip with its outcome.

    Raises:
        UsageError: options that do not go together.
        InputError: the manifest cannot be used.
        OutputError: the table cannot be written, or another batch writes it.
        GlotError: Ray is not there, or no worker can run clips.
    """
    choose(options.preset, body=options.body, gender=options.gender, glot=options.glot)
    if shard is not None and not 1 <= shard[0] <= shard[1]:
        raise UsageError(f"must be K/N with K from 1 to N, not {shard[0]}/{shard[1]}", option="shard")
    if shard is not None and (ray or workers):
        raise UsageError("runs its clips in this process and takes no workers", option="shard")
    if shard is not None and split is not None:
        raise UsageError("runs its clips one after the other, so that to split them is no use", option="shard")
    if split is not None and not split >= LEAST_SPLIT:
        raise UsageError(f"must be {LEAST_SPLIT:g} seconds or more, not {split:g}", option="split")
    out = place_of(out)
    out = out if is_url(out) else os.path.abspath(out)
    check_place(out)
    entries = list(enumerate(read_manifest(manifest, out)))
    if shard is not None:
        entries = entries[shard[0] - 1 :: shard[1]]
    with _alone(out, table_name(shard)) as table:
        earlier, about = earlier_rows(table)
        told = _told(options)
        same = about is not None and about.program_version == __version__ and _record(about.options) == _record(told)
        # A batch that was to replace results and was stopped goes on where it was.
        goes_on = same and about is not None and not about.over and about.options.get("overwrite")
        ledger = Ledger(entries, earlier, retry, keep=same and (goes_on or not options.overwrite))

        def job_of(work: Work) -> dict[str, Any]:
            row = work.row
            known = row.number in ledger.done_before
            return {
                "video": row.video,
                "folder": row.folder,
                "known": known,
                "overwrite": options.overwrite and not known,
                "split": split,
                "stage": work.stage,
                "piece": work.piece,
            }

        record = _Record(table, ledger, told, tell)
        # A folder that was done needs no network to be seen to be done.
        load = any(row.state == "waiting" and row.number not in ledger.done_before for row in ledger.rows)
        begin = {
            "options": asdict(replace(_from_anywhere(options), overwrite=False)),
            "load": load,
            "program": program,
            "limit": limit,
        }
        record.write()
        try:
            if ledger.left and shard is not None:
                _work_here(ledger, begin, job_of, record)
            elif ledger.left:
                _work_on_ray(ledger, begin, job_of, record, ray, options.device, workers, per_gpu, split is not None)
        finally:
            ledger.unwind()
            record.stop()
    return ledger


def _work_here(ledger: Ledger, begin: dict[str, Any], job_of: JobOf, record: _Record) -> None:
    """One clip after the other in a process beside this one."""
    told = os.environ.get("OMP_NUM_THREADS", "")  # by a scheduler that lends less than the whole machine
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = int(told) if told.isdecimal() and int(told) else cores
    process = None
    try:
        while ledger.left:
            if process is None:
                process = ClipProcess(**begin, threads=threads)
                if process.fault:
                    raise GlotError(process.fault)
            work = ledger.next()
            if work is None:
                time.sleep(0.5)
                continue
            record.tell(1, now=True)  # a clip that takes this process with it is known by that
            report = process.run(job_of(work))
            ledger.settle(work, {"node": socket.gethostname(), **report})
            if report["state"] == "died":
                process = None
    finally:
        if process is not None:
            process.stop()


def _work_on_ray(
    ledger: Ledger,
    begin: dict[str, Any],
    job_of: JobOf,
    record: _Record,
    address: str | None,
    device: str,
    workers: int | None,
    per_gpu: int,
    split: bool,
) -> None:
    from glot_cli.cluster.ray_pool import Pool, connect, disconnect

    connect(address)
    try:
        patience = 0.0 if address is None else _PATIENCE
        Pool(begin, device, workers, per_gpu, patience, split).work(ledger, job_of, record.tell)
    finally:
        disconnect()


class _Record:
    """Keeps the table on the disk near to what is known."""

    def __init__(self, place: str, ledger: Ledger, options: dict[str, Any], tell: Tell) -> None:
        self._place, self._ledger, self._options, self._tell = place, ledger, options, tell
        self._workers, self._due, self._began = 0, 0.0, time.time()
        self._failed = 0  # times in a row that it could not be written

    def tell(self, workers: int, now: bool = False) -> None:
        """Say what there is, and write it down when it is time, or now."""
        self._workers = workers
        self._tell(self._ledger, workers, self._began)
        if time.monotonic() < self._due and not now:
            return
        try:
            self.write()
            self._failed = 0
        except OutputError as error:  # a storage may not answer for a while; what was done lies in its folders
            self._failed += 1
            if self._failed > _MOST_UNWRITTEN:
                raise
            log.warning("%s; trying again", error)
            self._due = time.monotonic() + _UNWRITTEN_SECONDS

    def stop(self) -> None:
        """Write the table for the last time: nobody is at work any more."""
        self._workers = 0
        self.write()

    def write(self) -> None:
        """Write the table."""
        start = time.monotonic()
        about = About(self._options, self._workers, self._began, time.time(), over=not self._ledger.left)
        write_table(self._place, self._ledger.told(), about)
        self._due = time.monotonic() + max(_LEAST_SECONDS, (time.monotonic() - start) / _WRITING_PART)


@contextmanager
def _alone(out: str, name: str) -> Iterator[str]:
    """The place of a table that no other batch writes while the block runs.

    A folder at a URL has no lock: two batches there would do clips twice, and end with the same results.
    """
    if is_url(out):
        yield joined(out, name)
        return
    folder = Path(out)
    held = folder / f".{name}.lock"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if os.path.lexists(held) and not (is_regular(held) and held.stat().st_size == 0):
            raise OutputError("is in the way", path=held, remedy="move it, or choose another output folder")
        lock = FileLock(held, timeout=0)
        lock.acquire()
    except Timeout:
        remedy = "wait until it is done, or choose another output folder"
        raise OutputError("another batch is writing here", path=folder, remedy=remedy) from None
    except OSError as error:
        raise not_written(folder, error, "choose another output folder") from error
    try:
        yield joined(out, name)
    finally:
        Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


def _from_anywhere(options: Options) -> Options:
    """Options whose files are found from any folder: workers are not where the command was given."""
    files: dict[str, Any] = {}
    for name in ("detector", "glot", "body", "camera"):
        value = getattr(options, name)
        # A body and a network may be told by name too.
        if value is not None and (Path(value).suffix or os.sep in value) and os.path.exists(found := expanded(value)):
            files[name] = os.path.abspath(found)
    return replace(options, **files)


def _told(options: Options) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(json.dumps(asdict(options)))  # as a table gives them back
    return told


def _record(options: dict[str, Any]) -> dict[str, Any]:
    """The options that decide what a result is."""
    return {name: value for name, value in options.items() if name not in SAME_RESULT}
